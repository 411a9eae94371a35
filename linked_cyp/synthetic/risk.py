"""Events of care by a child's risk: age, sex, deprivation, social care and a tendency of its own.

One mechanism for admissions, emergency attendances and outpatient referrals, so that the children
who come to hospital often come in every way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from linked_cyp.synthetic.care import Care
from linked_cyp.synthetic.need import Need
from linked_cyp.synthetic.parameters import age_at
from linked_cyp.synthetic.population import Population

BAND_STARTS = [1, 5, 10, 15]  # first ages of the bands after infancy


@dataclass(frozen=True)
class Kind:
    """One kind of event.

    ``rates`` are events by child and year in the age bands 0, 1-4, 5-9, 10-14 and 15-19; ``girls``
    is the rate of girls over that of boys; ``deprived`` is the rate in the poorest tenth over that
    in the middle; ``in_need`` and ``looked_after`` multiply; nobody younger than ``least_age``.
    """

    name: str
    rates: tuple[float, ...]
    girls: float
    deprived: float
    in_need: float
    looked_after: float
    least_age: int = 0


@dataclass(frozen=True)
class AtRisk:
    """Persons of a period, one row each, with what their risk depends on, in arrays."""

    persons: pl.DataFrame
    first_day: int
    last_day: int
    frailty: np.ndarray
    in_need: np.ndarray
    looked_after: np.ndarray

    def events(
        self, rng: np.random.Generator, kinds: Iterable[Kind]
    ) -> Iterator[tuple[Kind, np.ndarray, np.ndarray]]:
        """Each kind with the rows (of ``persons``) and days of its events, by year."""
        poor = (5.5 - self.persons["decile"].to_numpy()) / 4.5
        girl = (self.persons["sex"] == "F").to_numpy()
        birth = self.persons["birth"].to_numpy()
        begins = np.maximum(self.persons["from_day"].to_numpy(), self.first_day)
        ends = np.minimum(self.persons["to_day"].to_numpy(), self.last_day + 1)
        kinds = list(kinds)
        # one year of age at a time would be exact; the band at the middle of each year is near
        for start in range(self.first_day, self.last_day + 1, 365):
            low, high = np.maximum(begins, start), np.minimum(ends, start + 365)
            years = np.maximum(high - low, 0) / 365.25
            age = age_at(birth, (low + np.maximum(high, low)) // 2)
            band = np.clip(np.searchsorted(BAND_STARTS, age, side="right"), 0, len(BAND_STARTS))
            for kind in kinds:
                sex_ratio = np.where(girl, 2 * kind.girls, 2) / (1 + kind.girls)
                expected = (
                    np.array(kind.rates)[band]
                    * years
                    * sex_ratio
                    * self.frailty
                    * kind.deprived**poor
                    * np.where(self.in_need, kind.in_need, 1.0)
                    * np.where(self.looked_after, kind.looked_after, 1.0)
                )
                row = np.repeat(np.arange(self.persons.height), rng.poisson(expected))
                day = low[row] + (rng.random(len(row)) * (high - low)[row]).astype(int)
                fits = age_at(birth[row], day) >= kind.least_age
                yield kind, row[fits], day[fits]


def children_at_risk(
    rng: np.random.Generator,
    shape: float,
    population: Population,
    care: Care,
    need: Need,
    first_day: int,
    last_day: int,
) -> AtRisk:
    """Everybody alive in a period; a generator in the same state gives the same frailty.

    Args:
        shape: gamma shape of a child's own tendency, whose mean is 1.
    """
    persons = population.persons.filter(
        pl.col("birth") < last_day, pl.col("to_day") > first_day, pl.col("from_day") < last_day
    )
    frailty = rng.gamma(shape, 1 / shape, persons.height)
    in_need = need.referrals.filter(
        pl.col("path") != "nfa", pl.col("day") <= last_day, pl.col("close") > first_day
    )
    in_care = care.periods.filter(pl.col("start") <= last_day, pl.col("end") > first_day)
    return AtRisk(
        persons,
        first_day,
        last_day,
        frailty,
        persons["person_id"].is_in(in_need["person_id"].unique().implode()).to_numpy(),
        persons["person_id"].is_in(in_care["person_id"].unique().implode()).to_numpy(),
    )
