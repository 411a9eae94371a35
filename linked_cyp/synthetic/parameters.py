"""The parameters of the synthetic population, read from ``parameters/``, and its random streams.

Every rate, mix and error model is data in that folder; this package holds only the mechanism.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

FOLDER = Path(__file__).resolve().parent / "parameters"


@dataclass(frozen=True)
class Parameters:
    """All parameters: one mapping for each YAML file, one frame for each CSV file."""

    population: Mapping[str, Any]
    education: Mapping[str, Any]
    social_care: Mapping[str, Any]
    hospital: Mapping[str, Any]
    errors: Mapping[str, Any]
    deliveries: Mapping[str, Any]
    local_authorities: pl.DataFrame
    lsoas: pl.DataFrame
    ethnicity: pl.DataFrame
    name_origins: pl.DataFrame
    forenames: pl.DataFrame
    surnames: pl.DataFrame
    surname_parts: pl.DataFrame
    name_variants: pl.DataFrame
    conditions: pl.DataFrame

    def part(self, name: str) -> Mapping[str, Any]:
        """The parameters of a part of the world that only some feeds tell of."""
        return _mapping(FOLDER / f"{name}.yaml")


@cache
def _mapping(path: Path) -> Mapping[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@cache
def load_parameters(folder: Path = FOLDER) -> Parameters:
    """Read the parameter files of a folder (the package's own by default)."""

    def mapping(name: str) -> dict[str, Any]:
        return yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))

    def frame(name: str, **options: Any) -> pl.DataFrame:
        return pl.read_csv(folder / f"{name}.csv", **options)

    text = {"schema_overrides": {"number": pl.String, "procedures": pl.String}}
    return Parameters(
        population=mapping("population"),
        education=mapping("education"),
        social_care=mapping("social_care"),
        hospital=mapping("hospital"),
        errors=mapping("errors"),
        deliveries=mapping("deliveries"),
        local_authorities=frame("local_authorities", **text),
        lsoas=frame("lsoa"),
        ethnicity=frame("ethnicity"),
        name_origins=frame("name_origins"),
        forenames=frame("forenames"),
        surnames=frame("surnames"),
        surname_parts=frame("surname_parts"),
        name_variants=frame("name_variants"),
        conditions=frame("conditions", **text),
    )


@dataclass(frozen=True)
class Streams:
    """Independent random generators by name, so one part's draws never disturb another's."""

    seed: int

    def __call__(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])


def pick(rng: np.random.Generator, weights: Mapping[Any, float], size: int) -> np.ndarray:
    """Draw ``size`` keys of a weight table, as text."""
    keys = np.array([str(k) for k in weights], dtype=object)
    return keys[pick_index(rng, list(weights.values()), size)]


def pick_index(rng: np.random.Generator, weights: Sequence[float], size: int) -> np.ndarray:
    """Draw ``size`` positions of a list of weights."""
    edges = np.cumsum(np.asarray(weights, dtype=float))
    return np.searchsorted(edges, rng.random(size) * edges[-1], side="right").clip(
        max=len(edges) - 1
    )


def pick_by(
    rng: np.random.Generator, groups: np.ndarray, tables: Mapping[Any, Mapping[Any, float]]
) -> np.ndarray:
    """Draw one key for each row from the weight table of the row's group (rows of others: None)."""
    chosen = np.full(len(groups), None, dtype=object)
    for group, weights in tables.items():
        rows = np.flatnonzero(groups == group)
        chosen[rows] = pick(rng, weights, len(rows))
    return chosen


def gamma_days(
    rng: np.random.Generator, size: int, *, shape: float, mean: float, most: float | None = None
) -> np.ndarray:
    """Draw whole days from a gamma distribution with the given shape and mean, at least one."""
    days = np.maximum(1, np.rint(rng.gamma(shape, mean / shape, size))).astype(np.int64)
    return days if most is None else np.minimum(days, int(most))


def text(values: Any) -> pl.Series:
    """A nullable text series (arrays of Python strings and None do not convert by themselves)."""
    return pl.Series(np.asarray(values, dtype=object).tolist(), dtype=pl.String)


def as_days(value: Any) -> int:
    """The day number (days since 1 January 1970) of a date."""
    return int(np.datetime64(value, "D").astype(np.int64))


def day_of(year: int, offset_month_day: Sequence[int]) -> int:
    """The day number of ``[years from year, month, day]``, as dates are written in parameters."""
    offset, month, day = offset_month_day
    return as_days(f"{year + offset:04d}-{month:02d}-{day:02d}")


def date_column(name: str, days: np.ndarray, missing: np.ndarray | None = None) -> pl.Series:
    """A date series from day numbers; ``missing`` marks nulls."""
    series = pl.Series(name, days.astype(np.int32)).cast(pl.Date)
    return series if missing is None else series.set(pl.Series(missing), None)


def academic_year(days: np.ndarray) -> np.ndarray:
    """The calendar year in which the academic year holding each day begins (1 September)."""
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return 1970 + (months - 8) // 12


def first_september(year: np.ndarray) -> np.ndarray:
    """Day numbers of 1 September of calendar years."""
    return ((year - 1970) * 12 + 8).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def birthday(births: np.ndarray, age: int | np.ndarray) -> np.ndarray:
    """Day numbers of the birthdays at which children reach an age (29 February: 1 March)."""
    dates = births.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    offset = (dates - months.astype("datetime64[D]")).astype(np.int64)
    return (months + 12 * np.asarray(age)).astype("datetime64[D]").astype(np.int64) + offset


def age_at(births: np.ndarray, days: np.ndarray | int) -> np.ndarray:
    """Completed years at a day (negative before birth)."""
    born = births.astype("datetime64[D]")
    day = np.asarray(days).astype("datetime64[D]")
    b_month, d_month = born.astype("datetime64[M]"), day.astype("datetime64[M]")
    b_dom = (born - b_month.astype("datetime64[D]")).astype(np.int64)
    d_dom = (day - d_month.astype("datetime64[D]")).astype(np.int64)
    months = (d_month - b_month).astype(np.int64) - (d_dom < b_dom)
    return months // 12
