"""What the tables of a safeguarding extract share: the authority, the day, keys and dates."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from linked_cyp.synthetic.early_help import build_early_help
from linked_cyp.synthetic.parameters import date_column
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import LOCAL_ID, PERSON


@dataclass(frozen=True)
class Extract:
    """One authority on one day."""

    world: World
    area: int
    day: int

    @property
    def children(self) -> pl.DataFrame:
        """The children the authority knows, as it wrote them down."""
        known = self.world.part(build_early_help).children
        return known.filter(pl.col("area") == self.area)

    def named(self, frame: pl.DataFrame, column: str) -> pl.DataFrame:
        """The child's id under the supplier's name in place of person_id, and the truth."""
        ids = self.children.select("person_id", pl.col("child_id").alias(column))
        return (
            frame.join(ids, on="person_id", how="inner", maintain_order="left")
            .with_columns(pl.col("person_id").alias(PERSON), pl.col(column).alias(LOCAL_ID))
            .drop("person_id")
        )

    def date(self, frame: pl.DataFrame, column: str) -> pl.Series:
        """A day column as a date, blank where it is missing or after the extract."""
        days = frame[column].fill_null(self.day + 1).to_numpy()
        return date_column(column, days, days > self.day)

    def chance(self, name: str, size: int, rate: float) -> pl.Series:
        """Which of ``size`` rows are struck."""
        return pl.Series(self.world.streams(f"ssd {name} {self.area}").random(size) < rate)


def key(prefix: str, *columns: str) -> pl.Expr:
    """Keys as a case management system makes them: a letter and numbers."""
    parts = [pl.col(column).cast(pl.String) for column in columns]
    return pl.concat_str(pl.lit(prefix), *parts, separator="-")
