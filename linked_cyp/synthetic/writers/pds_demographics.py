"""The NHS spine's demographic record: persons, former names, addresses and merged numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import polars as pl

from linked_cyp.synthetic.households import FOREVER
from linked_cyp.synthetic.parameters import date_column
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import LOCAL_ID, PERSON, Sent, Style

NUMBER = "NHS Number"
SEXES = {"M": "1", "F": "2"}


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """One snapshot."""
    yield partial(pds_demographics, world)


def pds_demographics(world: World) -> Sent:
    """Everyone who has lived in the area, as of the day of the snapshot."""
    day = str(np.datetime64(world.snapshot, "D"))
    spine = _spine(world)
    tables = {
        "person": _persons(world, spine),
        "former_name": _former_names(spine),
        "address": _addresses(world, spine),
        "person_merger": _mergers(spine),
    }
    return Sent(
        feed="pds_demographics",
        supplier=world.parameters.deliveries["nhs_supplier"],
        period=day,
        produced=f"{day}T02:00:00",
        tables=tables,
        style=Style(date="%Y-%m-%d", manifest=True),
    )


def _spine(world: World) -> pl.DataFrame:
    persons = world.population.persons.select("person_id", "from_day", "to_day")
    return (
        world.registrations.spine.join(persons, on="person_id", how="left", maintain_order="left")
        .with_columns(day=pl.lit(world.snapshot, dtype=pl.Int64))
        .sort("nhs_number")
    )


def _persons(world: World, spine: pl.DataFrame) -> pl.DataFrame:
    rng = world.streams("spine")
    share = world.parameters.population["sensitive_flag"]
    nhs2001 = dict(
        zip(
            world.parameters.ethnicity["ethnicity"],
            world.parameters.ethnicity["nhs2001"],
            strict=True,
        )
    ) | {"REFU": "Z", "NOBT": "99"}
    sensitive = rng.random(spine.height) < share
    practice = np.char.mod("Y9%04d", rng.integers(1, 60, spine.height))
    # the day the last address outside the area began: removed from the area's lists
    here = world.population.addresses_at(spine, "day")["area"] != world.places.outside
    death = spine["death_day"].fill_null(FOREVER).to_numpy()
    dead = death <= world.snapshot
    ended = ((spine["to_day"] <= world.snapshot) & ~pl.Series(dead)).to_numpy()
    current = spine.select(
        pl.col("nhs_number").alias(NUMBER),
        pl.col("forename").alias("Given Name"),
        pl.col("middle_names").alias("Other Given Names"),
        pl.col("surname").alias("Family Name"),
        date_column("Date of Birth", spine["birth"].to_numpy()),
        pl.col("sex").replace_strict(SEXES).alias("Gender"),
        pl.col("ethnicity").replace_strict(nhs2001).alias("Ethnic Category"),
        date_column("Date of Death", death, ~dead),
        pl.when(pl.Series(dead)).then(pl.lit("2")).alias("Death Status"),
        pl.when(pl.Series(sensitive)).then(pl.lit("S")).alias("Sensitivity Flag"),
        # an adopted child's first number is closed; nothing says what followed it
        pl.Series("Superseded Flag", np.zeros(spine.height, dtype=bool)),
        pl.Series("Primary Care Provider", practice.astype(str)),
        pl.when(pl.Series(dead))
        .then(pl.lit("DEA"))
        .when(pl.Series(ended))
        .then(pl.lit("ADO"))
        .when(~here)
        .then(pl.lit("EMB"))
        .alias("Reason for Removal"),
        date_column("Person Business Effective From Date", spine["from_day"].to_numpy()),
        date_column("Person Business Effective To Date", spine["to_day"].to_numpy(), ~ended),
        pl.col("person_id").alias(PERSON),
        pl.col("nhs_number").alias(LOCAL_ID),
    )
    # a number issued twice leaves a thin record of its own behind
    second = spine["second_nhs_number"].is_not_null()
    thin = current.filter(second).with_columns(
        spine["second_nhs_number"].filter(second).alias(NUMBER),
        spine["second_nhs_number"].filter(second).alias(LOCAL_ID),
        pl.lit(None, dtype=pl.String).alias("Other Given Names"),
        pl.lit(True).alias("Superseded Flag"),
    )
    return pl.concat([current, thin])


def _former_names(spine: pl.DataFrame) -> pl.DataFrame:
    changed = spine.filter(
        pl.col("earlier_surname").is_not_null(), pl.col("earlier_surname") != pl.col("surname")
    )
    return changed.select(
        pl.col("nhs_number").alias(NUMBER),
        pl.lit("F").alias("Name Type"),
        pl.col("forename").alias("Given Name"),
        pl.col("middle_names").alias("Other Given Names"),
        pl.col("earlier_surname").alias("Family Name"),
        date_column("Name Business Effective From Date", changed["from_day"].to_numpy()),
        date_column("Name Business Effective To Date", changed["change_day"].to_numpy()),
        pl.col("person_id").alias(PERSON),
        pl.col("nhs_number").alias(LOCAL_ID),
    )


def _addresses(world: World, spine: pl.DataFrame) -> pl.DataFrame:
    """Address history since birth; a record not kept up stops at an earlier address."""
    history = (
        spine.select(
            "person_id",
            "household_id",
            "nhs_number",
            "from_day",
            "postcode",
            "postcode_frozen",
            "errors",
            until="to_day",
        )
        .join(
            world.population.addresses.rename({"from_day": "begin", "to_day": "finish"}),
            on="household_id",
            how="left",
            maintain_order="left_right",
        )
        .with_columns(
            begin=pl.max_horizontal("begin", "from_day"),
            finish=pl.min_horizontal("finish", "until"),
        )
        .filter(pl.col("begin") < pl.col("finish"), pl.col("begin") <= world.snapshot)
        .join(
            world.places.postcodes.select("postcode_id", "lsoa_code", written="postcode"),
            on="postcode_id",
            how="left",
            maintain_order="left",
        )
        .with_columns(
            newest=pl.col("begin") == pl.col("begin").max().over("person_id"),
            number=pl.len().over("person_id"),
            stale=pl.col("errors")
            .str.contains("postcode.not_updated", literal=True)
            .fill_null(False),
        )
    )
    # a move that never reached the spine: the address before is still the current one
    history = history.filter(~(pl.col("stale") & pl.col("newest") & (pl.col("number") > 1)))
    history = history.with_columns(
        newest=pl.col("begin") == pl.col("begin").max().over("person_id")
    )
    finish = history["finish"].to_numpy()
    still = history["newest"].to_numpy()
    mistyped = pl.col("newest") & pl.col("postcode_frozen") & ~pl.col("stale")
    return history.select(
        pl.col("nhs_number").alias(NUMBER),
        pl.concat_str(pl.col("house").cast(pl.String), pl.lit(" Synthetic Street")).alias(
            "Address Line 1"
        ),
        pl.when(mistyped).then("postcode").otherwise("written").alias("Postcode"),
        date_column("Usual Address Business Effective From Date", history["begin"].to_numpy()),
        date_column("Usual Address Business Effective To Date", finish, still),
        pl.col("lsoa_code").alias("derCurrentyr2011LSOAofResidence_FromPostcode"),
        pl.col("lsoa_code").alias("derCurrentyr2021LSOAofResidence_FromPostcode"),
        pl.col("person_id").alias(PERSON),
        pl.col("nhs_number").alias(LOCAL_ID),
    )


def _mergers(spine: pl.DataFrame) -> pl.DataFrame:
    merged = spine.filter(pl.col("second_nhs_number").is_not_null())
    return merged.select(
        pl.col("nhs_number").alias(NUMBER),
        pl.col("second_nhs_number").alias("Superseded NHS Number"),
        date_column(
            "Person Merger Business Effective From Date", merged["from_day"].to_numpy() + 90
        ),
        pl.col("person_id").alias(PERSON),
        pl.col("nhs_number").alias(LOCAL_ID),
    )
