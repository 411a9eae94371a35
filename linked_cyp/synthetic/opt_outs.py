"""Who of the population objected to the use of their data, how, and since when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from linked_cyp.synthetic.world import World


@dataclass(frozen=True)
class OptOuts:
    """Frames by person.

    Attributes:
        national: ``person_id`` of those who opted out nationally.
        type_1: ``person_id``, ``day`` of the dissent, ``ended`` (day of its withdrawal or null).
        flags: ``person_id`` of patients whose practice gives its flags.
        objections: ``person_id``, ``day``, ``ended``, one row for each person.
    """

    national: pl.DataFrame
    type_1: pl.DataFrame
    flags: pl.DataFrame
    objections: pl.DataFrame


def build_opt_outs(world: World) -> OptOuts:
    """Households decide; what they decide holds for all of their children."""
    rules, rng = world.parameters.part("opt_outs"), world.streams("opt outs")
    persons = world.population.persons.select("person_id", "household_id")
    homes = persons["household_id"].unique().sort()
    type_1 = rng.random(homes.len()) < rules["type_1"]
    alike = type_1 & (rng.random(homes.len()) < rules["type_1_also_national"])
    national = alike | (rng.random(homes.len()) < rules["national"])
    objects = rng.random(homes.len()) < rules["objection"]
    objects[int(rng.integers(homes.len()))] = True
    low, high = rules["recorded_days"]

    def of(chosen: np.ndarray) -> pl.DataFrame:
        return persons.filter(pl.col("household_id").is_in(homes.filter(chosen).implode()))

    def dated(frame: pl.DataFrame, withdrawn: float) -> pl.DataFrame:
        since = world.snapshot - rng.integers(low, high, frame.height)
        later = since + rng.integers(1, low, frame.height)
        ended = rng.random(frame.height) < withdrawn
        return frame.select(
            "person_id",
            pl.Series("day", since),
            pl.when(pl.Series(ended, dtype=pl.Boolean)).then(pl.Series(later)).alias("ended"),
        )

    return OptOuts(
        of(national).select("person_id"),
        dated(of(type_1), rules["type_1_withdrawn"]),
        persons.filter(pl.Series(rng.random(persons.height) < rules["gp_flags"])).select(
            "person_id"
        ),
        dated(of(objects), rules["objection_withdrawn"]),
    )
