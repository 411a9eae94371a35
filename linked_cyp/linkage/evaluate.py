"""How good the persons are, against known truth: pairwise precision, recall and F1."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Quality:
    """Counts of pairs of records and the shares that follow from them."""

    correct: int  # pairs put together that belong together
    linked: int  # pairs put together
    true: int  # pairs that belong together

    @property
    def precision(self) -> float:
        return self.correct / self.linked if self.linked else 1.0

    @property
    def recall(self) -> float:
        return self.correct / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        total = self.linked + self.true
        return 2 * self.correct / total if total else 1.0


def pairwise(persons: pl.DataFrame, truth: pl.DataFrame) -> Quality:
    """Compare a grouping of records with the true one.

    Args:
        persons: ``record_key`` and ``person`` (any number or text).
        truth: ``record_key`` and ``child``.

    Records that only one of the two knows are left out.
    """
    both = persons.select("record_key", "person").join(
        truth.select("record_key", "child"), on="record_key"
    )
    return Quality(
        correct=_pairs(both, "person", "child"),
        linked=_pairs(both, "person"),
        true=_pairs(both, "child"),
    )


def pairwise_by(
    persons: pl.DataFrame, truth: pl.DataFrame, group: pl.DataFrame
) -> dict[str, Quality]:
    """:func:`pairwise` within each group of children.

    Args:
        group: ``child`` and ``group``, such as ethnicity or authority.

    A wrong link between children of two groups counts in neither.
    """
    labelled = truth.join(group, on="child")
    return {
        str(name[0]): pairwise(persons, part)
        for name, part in sorted(
            labelled.partition_by("group", as_dict=True).items(), key=lambda item: str(item[0])
        )
    }


def _pairs(frame: pl.DataFrame, *columns: str) -> int:
    sizes = frame.group_by(columns).agg(pl.len().cast(pl.Int64).alias("n"))["n"]
    return int((sizes * (sizes - 1) // 2).sum())
