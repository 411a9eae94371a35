"""The weight from which a pair of each edge class is believed, and how it follows from a loss.

The match probability is over-confident (pairs said to match with 0.9986 matched in 0.978 of cases),
so a threshold is chosen from labelled pairs: the weight at which the expected loss of wrong and
missed links is lowest, counted pair by pair and weighted by how each pair was sampled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import numpy as np
import polars as pl

from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import exists, insert
from linked_cyp.linkage.model.parameters import Loss, Parameters
from linked_cyp.linkage.pairs.edges import EDGE_CLASSES
from linked_cyp.linkage.review.tables import ensure_tables

FEWEST_LABELLED = 50  # fewer labelled pairs of a class say too little to move its threshold
RESAMPLES = 500


@dataclass(frozen=True)
class Choice:
    """The threshold of one edge class that its labelled pairs ask for."""

    edge_class: str
    weight: float  # believe pairs from here; inf: none
    low: float  # 95 % interval of the weight over resamples of the labelled pairs
    high: float
    loss: float  # expected loss at this threshold, for 1,000 pairs of the class
    same: int  # labelled pairs
    different: int
    # weight, up_to (the same pairs are believed), false_links, missed_links, loss, low, high: all
    # for 1,000 pairs
    curve: pl.DataFrame

    @property
    def labelled(self) -> int:
        return self.same + self.different

    @property
    def is_supported(self) -> bool:
        """Whether enough pairs of both kinds were labelled."""
        return self.labelled >= FEWEST_LABELLED and min(self.same, self.different) > 0

    def loss_at(self, weight: float) -> float:
        """Expected loss for 1,000 pairs if pairs were believed from ``weight``."""
        return float(self.curve.filter(pl.col("up_to") >= weight)["loss"][0])


def thresholds_in_force(con: duckdb.DuckDBPyConnection, chosen: Parameters) -> dict[str, float]:
    """The newest weight of ``linkage.main.threshold`` by edge class, else the parameters'."""
    if not exists(con, "linkage.main.threshold"):
        return dict(chosen.thresholds)
    rows = con.execute(
        "SELECT edge_class, weight FROM linkage.main.threshold"
        " QUALIFY row_number() OVER (PARTITION BY edge_class ORDER BY decided DESC) = 1"
    ).fetchall()
    return {**chosen.thresholds, **{name: weight for name, weight in rows if name in EDGE_CLASSES}}


def choose_thresholds(labelled: pl.DataFrame, loss: Loss, *, seed: int = 1) -> dict[str, Choice]:
    """The threshold of least expected loss for each edge class.

    Args:
        labelled: ``edge_class``, ``weight``, ``is_same`` and ``importance`` (how many pairs the
            labelled one stands for).
        loss: what a wrong and a missed link cost.
        seed: of the resamples that give the intervals.

    Thresholds lie half-way between neighbouring weights, and those that cost the same give way to
    the highest: in doubt a pair is not believed.
    """
    parts = labelled.partition_by("edge_class", as_dict=True)
    return {
        str(name): _choose(str(name), part, loss, np.random.default_rng(seed))
        for (name,), part in sorted(parts.items())
    }


def _choose(name: str, part: pl.DataFrame, loss: Loss, draw: np.random.Generator) -> Choice:
    part = part.sort("weight")
    weight = part["weight"].to_numpy()
    is_same = part["is_same"].to_numpy()
    importance = part["importance"].to_numpy().astype(float)
    # Candidates: below all pairs, in each gap between different weights, above all pairs.
    gaps = np.flatnonzero(np.diff(weight) > 0) + 1
    cut = np.concatenate([[0], gaps, [len(weight)]])
    at = np.concatenate([weight[:1], (weight[gaps - 1] + weight[gaps]) / 2, [math.inf]])

    def curves(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Wrong and missed links for 1,000 pairs at each candidate; one row per resample."""
        mass = times * importance
        total = mass.sum(axis=1, keepdims=True)
        below = [
            np.pad(np.cumsum(mass * kind, axis=1), ((0, 0), (1, 0))) for kind in (~is_same, is_same)
        ]
        wrong, missed = below[0][:, -1:] - below[0][:, cut], below[1][:, cut]
        return 1000 * wrong / total, 1000 * missed / total

    def best(expected: np.ndarray) -> np.ndarray:
        least = expected.min(axis=1, keepdims=True)
        return expected.shape[1] - 1 - np.argmax((expected <= least + 1e-9)[:, ::-1], axis=1)

    wrong, missed = curves(np.ones((1, len(weight))))
    expected = loss.false_link * wrong + loss.missed_link * missed
    count = len(weight)
    times = draw.multinomial(count, np.full(count, 1 / count), RESAMPLES)
    again = np.nan_to_num(loss.false_link * curves(times)[0] + loss.missed_link * curves(times)[1])
    low, high = np.quantile(again, (0.025, 0.975), axis=0)
    places = np.quantile(best(again), (0.025, 0.975), method="nearest")
    chosen = int(best(expected)[0])
    return Choice(
        edge_class=name,
        weight=float(at[chosen]),
        low=float(at[places[0]]),
        high=float(at[places[1]]),
        loss=float(expected[0, chosen]),
        same=int(is_same.sum()),
        different=int((~is_same).sum()),
        curve=pl.DataFrame(
            {
                "weight": at,
                "up_to": np.append(weight[cut[:-1]], math.inf),
                "false_links": wrong[0],
                "missed_links": missed[0],
                "loss": expected[0],
                "low": low,
                "high": high,
            }
        ),
    )


def set_thresholds(
    con: duckdb.DuckDBPyConnection,
    choices: Mapping[str, Choice],
    loss: Loss,
    *,
    decided_by: str,
    basis: str,
    now: datetime | None = None,
) -> dict[str, float]:
    """Put the chosen thresholds into force for the next run; unsupported ones are left out.

    Returns:
        The weights by edge class that were written.

    Raises:
        LinkedCypError: nobody answers for it.
    """
    if not decided_by.strip():
        raise LinkedCypError("a threshold needs the name of whoever decides on it")
    usable = {name: choice for name, choice in choices.items() if choice.is_supported}
    with value_free("setting thresholds"):
        ensure_tables(con)
        moment = (now or datetime.now(UTC)).replace(tzinfo=None)
        for name, choice in usable.items():
            threshold = {
                "edge_class": name,
                "weight": choice.weight,
                "basis": basis,
                "false_link": loss.false_link,
                "missed_link": loss.missed_link,
                "decided": moment,
                "decided_by": decided_by.strip(),
                "labelled_pairs": choice.labelled,
            }
            insert(con, "linkage.main.threshold", threshold)
    return {name: choice.weight for name, choice in usable.items()}
