"""Deaths as the register and the child death overview panels tell of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.deaths import build_deaths
from linked_cyp.synthetic.parameters import age_at, date_column, day_of
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.births import SEXES, extract, la_codes, to_month
from linked_cyp.synthetic.writers.delivery import LOCAL_ID, PERSON, Sent, Style
from linked_cyp.synthetic.writers.sus import ethnic_category


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """One extract of the register and one snapshot of the panels' cases."""
    yield partial(deaths_registration, world)
    yield partial(child_death_review, world)


def deaths_registration(world: World) -> Sent:
    """The register up to the end of a month; an inquest still open is not in it."""
    settings = _settings(world)
    period, end = to_month(world, settings["month"])
    rng = world.streams("death register")
    deaths = _written(world).filter(pl.col("registered") <= end)
    age = age_at(deaths["birth"].to_numpy(), deaths["death_day"].to_numpy())
    area = la_codes(world, deaths)
    born, died, entered = (
        date_column(name, deaths[day].to_numpy())
        for name, day in (
            ("DEC_DATE_OF_BIRTH", "written_birth"),
            ("REG_DATE_OF_DEATH", "death_day"),
            ("REG_DATE", "registered"),
        )
    )
    rows = deaths.select(
        pl.Series("DMIC_ROW_ID", (80_000_000 + np.arange(deaths.height) * 3).astype(str)),
        pl.col("nhs_number").alias("NHS Number"),
        born,
        born.dt.strftime("%Y%m").alias("DMIC_DEC_MONTH_OF_BIRTH"),
        pl.col("sex").replace_strict(SEXES).alias("DEC_SEX"),
        pl.Series("DEC_AGEC", age),
        died,
        entered,
        pl.lit(True).alias("DMIC_RECORD_VALID_IS_LATEST"),
        pl.when(pl.col("band") == "neonatal").then(pl.lit("Y")).alias("NEO_NATE_FLAG"),
        pl.col("cause").alias("S_UNDERLYING_COD_ICD10"),
        *(
            pl.col("mentions").list.get(n, null_on_oob=True).alias(f"S_COD_CODE_{n + 1}")
            for n in range(15)
        ),
        pl.col("injury").alias("S_INJURY_EXTERNAL"),
        pl.when("is_expected").then(pl.lit("H")).otherwise(pl.lit("9MV01")).alias("POD_CODE"),
        area.alias("PLACE_OF_DEATH_ULA_CODE"),
        area.alias("ULA_OF_RESIDENCE_CODE"),
        pl.col("lsoa_code").alias("LSOA_OF_RESIDENCE_CODE"),
        pl.col("person_id").alias(PERSON),
        pl.col("nhs_number").alias(LOCAL_ID),
    )
    # an earlier version of the entry, from before the cause was final
    older = rows.filter(pl.Series(rng.random(rows.height) < settings["older_version"]))
    older = older.with_columns(
        DMIC_ROW_ID=(pl.col("DMIC_ROW_ID").cast(pl.Int64) + 1).cast(pl.String),
        DMIC_RECORD_VALID_IS_LATEST=pl.lit(False),
        S_UNDERLYING_COD_ICD10=pl.lit("R99X"),
    )
    return extract(world, "deaths_registration", period, {"death": pl.concat([rows, older])})


def child_death_review(world: World) -> Sent:
    """Every case known on the day of the snapshot; open ones have no category yet."""
    day = day_of(world.years[-1], _settings(world)["review_snapshot"])
    deaths = _written(world).filter(pl.col("death_day") <= day)
    closed = pl.col("reviewed") <= day
    case = "CDOP-" + pl.int_range(1001, pl.len() + 1001).cast(pl.String)
    known = pl.any_horizontal("in_need", "on_plan", "in_care")
    rows = deaths.select(
        case.alias("CaseId"),
        pl.col("nhs_number").alias("NHSNumber"),
        pl.col("surname").alias("Surname"),
        pl.col("forename").alias("Forename"),
        date_column("DateOfBirth", deaths["written_birth"].to_numpy()),
        date_column("DateOfDeath", deaths["death_day"].to_numpy()),
        pl.col("sex").alias("Sex"),
        ethnic_category(world).alias("Ethnicity"),
        pl.col("postcode").alias("Postcode"),
        pl.col("is_expected").alias("ExpectedDeath"),
        pl.when(known).then(pl.lit("Y")).otherwise(pl.lit("N")).alias("KnownToSocialCare"),
        pl.col("in_need").alias("CINPlan"),
        pl.col("on_plan").alias("CPPlan"),
        pl.col("in_care").alias("LookedAfter"),
        pl.when(closed).then(pl.col("category").cast(pl.String)).alias("PrimaryCategoryOfDeath"),
        pl.when(closed).then("modifiable").alias("ModifiableFactors"),
        pl.when(closed)
        .then(pl.col("reviewed").cast(pl.Int32).cast(pl.Date))
        .alias("ReviewCompletedDate"),
        pl.col("person_id").alias(PERSON),
        case.alias(LOCAL_ID),
    )
    period = str(np.datetime64(day, "D"))
    return Sent(
        feed="child_death_review",
        supplier=world.parameters.deliveries["nhs_supplier"],
        period=period,
        tables={"child_death": rows},
        style=Style(date="%d/%m/%Y", true="Yes", false="No", manifest=True),
        produced=f"{period}T02:00:00",
    )


def _settings(world: World) -> Any:
    return world.parameters.part("births_deaths_growth")["deaths"]


def _written(world: World) -> pl.DataFrame:
    deaths = world.part(build_deaths)
    written = deaths.written.drop(
        "household_id", "errors", "earlier_surname", "postcode_frozen"
    ).rename({"birth": "written_birth"})
    return deaths.deaths.join(written, on="person_id", how="left", maintain_order="left")
