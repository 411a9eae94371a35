"""Deaths of children living in the area: cause, registration, and what the review panel found.

Causes by age band and the delays of registration and review are in
``parameters/births_deaths_growth.yaml``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from linked_cyp.synthetic.births import NEONATAL
from linked_cyp.synthetic.parameters import age_at, gamma_days, pick, pick_index, text
from linked_cyp.synthetic.records import registered
from linked_cyp.synthetic.world import World

BANDS = ("neonatal", "infant", "child", "young_person")  # first ages: 0, 28 days, 1 and 10 years


@dataclass(frozen=True)
class Deaths:
    """``deaths``: person_id, birth, death_day, band, area, lsoa_code, cause and injury (ICD-10, or
    null), mentions (list), category (of the panel), is_expected, inquest, registered and reviewed
    (days), modifiable, in_need, on_plan, in_care (at death). ``written``: what was written of each
    child, by person_id."""

    deaths: pl.DataFrame
    written: pl.DataFrame


def build_deaths(world: World) -> Deaths:
    """Every death of a child at an address of the area."""
    settings = world.parameters.part("births_deaths_growth")["deaths"]
    rng = world.streams("deaths of the area")
    dead = _dead(world)
    size = dead.height
    age = age_at(dead["birth"].to_numpy(), dead["death_day"].to_numpy())
    days = (dead["death_day"] - dead["birth"]).to_numpy()
    band = np.select([days < NEONATAL, age < 1, age < 10], list(BANDS[:3]), BANDS[3])
    causes = pl.DataFrame(
        [
            {"band": name, "number": number, "injury": None, **cause}
            for name in BANDS
            for number, cause in enumerate(settings["causes"][name])
        ],
        schema={
            **{"band": pl.String, "number": pl.Int64, "cause": pl.String, "injury": pl.String},
            **{"mentions": pl.List(pl.String), "category": pl.Int64, "weight": pl.Float64},
            **{"expected": pl.Float64, "inquest": pl.Float64},
        },
    )
    chosen = np.zeros(size, dtype=np.int64)
    for name in BANDS:
        rows = np.flatnonzero(band == name)
        weights = causes.filter(pl.col("band") == name)["weight"].to_list()
        chosen[rows] = pick_index(rng, weights, len(rows))
    dead = dead.with_columns(text(band).alias("band"), number=pl.Series(chosen)).join(
        causes.drop("weight"), on=["band", "number"], how="left", maintain_order="left"
    )
    inquest = rng.random(size) < dead["inquest"].to_numpy()
    delays = settings["registered_after_days"]
    wait = rng.exponential(np.where(inquest, delays["inquest"], delays["usual"])) + 1
    review = gamma_days(rng, size, **settings["reviewed_after_days"])
    deaths = dead.drop("number", "expected").with_columns(
        inquest=pl.Series(inquest),
        is_expected=pl.Series(rng.random(size) < dead["expected"].to_numpy()),
        registered=pl.col("death_day") + pl.Series(wait.astype(int)),
        reviewed=pl.col("death_day") + pl.Series(review),
        modifiable=text(pick(rng, settings["modifiable"], size)),
    )
    columns = ("forename", "surname", "birth", "sex", "ethnicity", "nhs_number", "postcode")
    frame = deaths.select("person_id", day="death_day")
    written = registered(world, frame, "death_register", columns, ("person_id",))
    return Deaths(_known(world, deaths), written)


def _dead(world: World) -> pl.DataFrame:
    """Who died under the identity he or she then had, with the address of the day."""
    dead = world.population.persons.filter(
        pl.col("death_day").is_not_null(),
        pl.col("death_day") >= pl.col("from_day"),
        pl.col("death_day") < pl.col("to_day"),
    ).select("person_id", "household_id", "birth", "death_day")
    homes = world.places.postcodes.select("postcode_id", "lsoa_code")
    return (
        world.population.addresses_at(dead, "death_day")
        .filter(pl.col("area") != world.places.outside)
        .join(homes, on="postcode_id", how="left", maintain_order="left")
        .drop("postcode_id", "house", "household_id")
    )


def _known(world: World, deaths: pl.DataFrame) -> pl.DataFrame:
    """What children's social care knew of each child on the day of death."""

    def on_the_day(events: pl.DataFrame, begin: str, end: str) -> pl.Expr:
        found = deaths.join(
            events.select("person_id", begin=begin, end=end), on="person_id", how="inner"
        ).filter(pl.col("begin") <= pl.col("death_day"), pl.col("end") >= pl.col("death_day"))
        return pl.col("person_id").is_in(found["person_id"].unique().implode())

    need = world.need
    referred = need.referrals.filter(pl.col("path") != "nfa")
    protection = need.protection.join(
        need.referrals.select("referral_id", "person_id"), on="referral_id", how="left"
    )
    return deaths.with_columns(
        in_need=on_the_day(referred, "day", "close"),
        on_plan=on_the_day(protection, "start", "end"),
        in_care=on_the_day(world.care.periods, "start", "end"),
    )
