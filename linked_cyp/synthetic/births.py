"""Births to mothers living in the area: gestation, weight, mother, registration, and stillbirths.

What the hospital diagnosed holds here too: a baby whose birth spell says preterm is preterm.
Rates are in ``parameters/births_deaths_growth.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.parameters import gamma_days, pick_index
from linked_cyp.synthetic.records import registered
from linked_cyp.synthetic.world import World

PRETERM = 37 * 7  # days of gestation below which a birth is preterm
NEONATAL = 28  # days of age below which a death is neonatal


@dataclass(frozen=True)
class Births:
    """``babies``: person_id (null of a stillborn), household_id, birth, sex, ethnicity, decile,
    area, lsoa_code, number (in the confinement), confinement (babies), earlier_children,
    gestation_days, weight (grams), mother_age (years), provider (number; null at home), minute (of
    the day), registered (day), has_anomaly. ``written``: what the midwife wrote of each baby, by
    person_id."""

    babies: pl.DataFrame
    written: pl.DataFrame


def build_births(world: World) -> Births:
    """Every birth in the area since the oldest children were born."""
    settings = world.parameters.part("births_deaths_growth")["births"]
    rng = world.streams("births of the area")
    live = _live(world)
    babies = pl.concat([live, _still(settings, rng, live)], how="diagonal")
    size = babies.height
    gestation = _gestation(settings, rng, babies)
    registration = gamma_days(rng, size, **settings["registered_after_days"])
    babies = babies.with_columns(
        gestation_days=pl.Series(gestation),
        weight=pl.Series(_weight(settings["weight"], rng, babies, gestation)),
        mother_age=pl.Series(_mother_age(settings["mother_first_age"], rng, babies)),
        provider=_provider(world, settings, rng, babies),
        minute=pl.Series(rng.integers(0, 1440, size)),
        registered=pl.col("birth") + pl.Series(registration),
        has_anomaly=pl.Series(rng.random(size) < settings["anomaly"]),
    )
    columns = ("forename", "middle_names", "surname", "birth", "sex", "ethnicity", "nhs_number")
    newborn = live.select("person_id", day="birth", is_newborn=pl.lit(True))
    written = registered(world, newborn, "birth_register", columns, ("person_id", "is_newborn"))
    return Births(babies.drop("is_preterm", "in_hospital", "death_day"), written)


def _live(world: World) -> pl.DataFrame:
    """Live births at an address of the area; only a first identity is born."""
    persons = world.population.persons
    born = persons.filter(pl.col("person_id") == pl.col("child_id")).select(
        *("person_id", "household_id", "birth", "sex", "ethnicity", "decile", "death_day"),
        number=pl.int_range(1, pl.len() + 1).over("household_id", "birth"),
        confinement=pl.len().over("household_id", "birth").cast(pl.Int64),
        earlier_children=pl.col("order").min().over("household_id", "birth"),
    )
    spells = world.hospital.spells.filter(pl.col("condition") == "birth")
    early = world.hospital.diagnoses.filter(pl.col("code") == "P073")["spell_id"].implode()
    spells = spells.select(
        "person_id", in_hospital="provider", is_preterm=pl.col("spell_id").is_in(early)
    )
    homes = world.places.postcodes.select("postcode_id", "lsoa_code")
    return (
        world.population.addresses_at(born, "birth")
        .filter(pl.col("area") != world.places.outside)
        .join(homes, on="postcode_id", how="left", maintain_order="left")
        .join(spells, on="person_id", how="left", maintain_order="left")
        .drop("postcode_id", "house")
    )


def _still(
    settings: Mapping[str, Any], rng: np.random.Generator, live: pl.DataFrame
) -> pl.DataFrame:
    """Stillbirths to some of the same mothers, one to three years before a live birth."""
    chosen = live.filter(pl.Series(rng.random(live.height) < settings["stillbirths"]))
    back = pl.Series(rng.integers(400, 1000, chosen.height))
    return chosen.with_columns(
        pl.lit(None, dtype=live.schema["person_id"]).alias("person_id"),
        pl.lit(None, dtype=live.schema["death_day"]).alias("death_day"),
        pl.lit(None, dtype=live.schema["is_preterm"]).alias("is_preterm"),
        birth=pl.col("birth") - back,
        number=pl.lit(1, dtype=live.schema["number"]),
        confinement=pl.lit(1, dtype=pl.Int64),
    )


def _gestation(
    settings: Mapping[str, Any], rng: np.random.Generator, babies: pl.DataFrame
) -> np.ndarray:
    rates, size = settings["preterm"], babies.height
    twin = (babies["confinement"] > 1).to_numpy()
    dies = babies.select(
        (pl.col("death_day") - pl.col("birth") < NEONATAL).fill_null(False)
        | pl.col("person_id").is_null()
    ).to_series()
    poor = (10 - babies["decile"].to_numpy()) / 9
    share = np.where(twin, rates["multiple"], rates["single"] * rates["deprived"] ** poor)
    share = np.where(dies.to_numpy(), rates["neonatal_death"], share)
    drawn = pl.Series(rng.random(size) < share)
    preterm = babies.select(pl.coalesce("is_preterm", drawn)).to_series().to_numpy()
    early = PRETERM - 1 - rng.exponential(settings["preterm_shortfall_days"], size)
    early = np.where(dies.to_numpy(), early - 40, early).clip(min=160)
    term = rng.normal(settings["term_days"]["mean"], settings["term_days"]["sd"], size)
    days = np.where(preterm, early, term.clip(PRETERM, 42 * 7 + 3))
    # babies of one confinement are of one age
    frame = babies.select("household_id", "birth").with_columns(days=pl.Series(days.astype(int)))
    return frame.select(pl.col("days").first().over("household_id", "birth")).to_series().to_numpy()


def _weight(
    settings: Mapping[str, Any],
    rng: np.random.Generator,
    babies: pl.DataFrame,
    gestation: np.ndarray,
) -> np.ndarray:
    """Grams, growing with the cube of gestation and rounded to ten."""
    poor = (10 - babies["decile"].to_numpy()) / 9
    mean = (
        settings["mean_at_40_weeks"]
        * (gestation / 280) ** 3
        * np.where((babies["sex"] == "M").to_numpy(), settings["boys"], 1.0)
        * np.where((babies["confinement"] > 1).to_numpy(), settings["multiple"], 1.0)
        * settings["deprived"] ** poor
    )
    grams = mean * rng.normal(1, settings["sd"], babies.height)
    return (grams.clip(350, 5900) / 10).astype(int) * 10


def _mother_age(
    settings: Mapping[str, Any], rng: np.random.Generator, babies: pl.DataFrame
) -> np.ndarray:
    """Completed years, from one date of birth for each household's mother."""
    homes = babies.group_by("household_id", maintain_order=True).agg(
        first=pl.col("birth").min(), decile=pl.col("decile").first()
    )
    poor = (10 - homes["decile"].to_numpy()) / 9
    age = settings["mean"] + settings["deprived"] * (poor - 0.5)
    age = (age + rng.normal(0, settings["sd"], homes.height)).clip(
        settings["least"], settings["most"]
    )
    born = homes.select("household_id", mother=pl.col("first") - pl.Series(age * 365.25))
    joined = babies.join(born, on="household_id", how="left", maintain_order="left")
    years = (joined["birth"] - joined["mother"]).to_numpy() / 365.25
    return years.astype(int)


def _provider(
    world: World, settings: Mapping[str, Any], rng: np.random.Generator, babies: pl.DataFrame
) -> pl.Expr:
    """The hospital of the birth spell; before the hospital's records begin, one at random."""
    weights = [p["weight"] for p in world.parameters.hospital["providers"]]
    drawn = pl.Series(pick_index(rng, weights, babies.height))
    at_home = pl.Series(rng.random(babies.height) < settings["home"])
    recorded = pl.col("birth") >= world.hospital.spells["admitted"].min()
    return (
        pl.when(recorded & pl.col("person_id").is_not_null())
        .then("in_hospital")
        .when(~at_home)
        .then(drawn)
    )
