"""Events that strike whole households by their risk, and the children each one concerns."""

from __future__ import annotations

import numpy as np
import polars as pl

from linked_cyp.synthetic.parameters import age_at
from linked_cyp.synthetic.population import Population


def household_events(
    rng: np.random.Generator,
    population: Population,
    *,
    rate: float,
    by_decile: list[float],
    first_day: int,
    joins: float,
    before_birth: int,
    oldest: int,
) -> pl.DataFrame:
    """Events that strike households by risk, and the children of the household each concerns.

    Returns household_id, event (number), person_id, birth, day: every child who joins the event,
    alive and of an age for it (``before_birth`` days before birth to ``oldest`` years).
    """
    homes = population.persons.group_by("household_id", maintain_order=True).agg(
        pl.col("risk").first(), pl.col("decile").first(), born=pl.col("birth").min()
    )
    begin = np.maximum(homes["born"].to_numpy() - before_birth, first_day)
    years = (population.last_day - begin).clip(min=0) / 365.25
    multiplier = np.asarray(by_decile)[homes["decile"].to_numpy() - 1]
    counts = rng.poisson(rate * years * multiplier * homes["risk"].to_numpy())
    row = np.repeat(np.arange(homes.height), counts)
    day = begin[row] + (rng.random(len(row)) * (population.last_day - begin[row])).astype(int)
    events = pl.DataFrame(
        {
            "household_id": homes["household_id"].gather(row),
            "event": np.arange(len(row)),
            "day": day,
        }
    )
    children = population.persons.select("household_id", "person_id", "birth", "from_day", "to_day")
    joined = events.join(children, on="household_id", how="inner", maintain_order="left_right")
    joined = joined.filter(
        pl.Series(rng.random(joined.height) < joins),
        pl.col("day") >= pl.col("birth") - before_birth,
        pl.col("day") < pl.col("to_day"),
    )
    young = age_at(joined["birth"].to_numpy(), joined["day"].to_numpy()) <= oldest
    return joined.filter(pl.Series(young)).select(
        "household_id", "event", "person_id", "birth", "day"
    )
