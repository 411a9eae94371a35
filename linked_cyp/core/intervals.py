"""95 % intervals of shares: Wilson's, also where what is counted comes in clusters.

Pairs of records are not independent: a child of five records makes ten pairs, and one record lost
loses four of them. So the variance is that of a ratio between clusters (children), and the
interval is Wilson's on the number of independent pairs that would have the same variance
(Korn and Graubard 1998, Survey Methodology 24:193; Wilson 1927). A bootstrap over children gives
the same in the middle; at 0 and 1, where linkage should be, it gives an interval of no width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

Z = 1.959963984540054  # 97.5 % of a normal distribution lie below


def wilson(numerator: float, denominator: float) -> tuple[float | None, float | None]:
    """Wilson's 95 % interval of ``numerator / denominator``; (None, None) without a denominator."""
    if denominator <= 0:
        return None, None
    p = min(max(numerator / denominator, 0.0), 1.0)
    centre = p + Z * Z / (2 * denominator)
    spread = Z * math.sqrt(p * (1 - p) / denominator + Z * Z / (4 * denominator**2))
    scale = 1 + Z * Z / denominator
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return (0.0 if p == 0 else max(low, 0.0)), (1.0 if p == 1 else min(high, 1.0))


def with_wilson(frame: pl.DataFrame, size: str = "denominator") -> pl.DataFrame:
    """Add ``value``, ``low`` and ``high`` to ``numerator`` and ``denominator``.

    Args:
        size: column with the number of independent trials, where that is not the denominator.
    """
    n = pl.col(size)
    p = pl.col("value")
    centre = p + Z * Z / (2 * n)
    spread = Z * (p * (1 - p) / n + Z * Z / (4 * n * n)).sqrt()
    scale = 1 + Z * Z / n
    return (
        frame.with_columns(
            pl.when(pl.col("denominator") > 0)
            .then((pl.col("numerator") / pl.col("denominator")).clip(0.0, 1.0))
            .alias("value")
        )
        .with_columns(
            pl.when(p == 0)
            .then(0.0)
            .otherwise(((centre - spread) / scale).clip(0, 1))
            .alias("low"),
            pl.when(p == 1)
            .then(1.0)
            .otherwise(((centre + spread) / scale).clip(0, 1))
            .alias("high"),
        )
        .with_columns(
            pl.when(p.is_null() | p.is_nan()).then(None).otherwise(pl.col(c)).alias(c)
            for c in ("value", "low", "high")
        )
    )


def clustered(clusters: pl.DataFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """Ratios with intervals from totals per cluster.

    Args:
        clusters: one row per cluster (and group): ``numerator``, ``denominator`` and the columns
            of ``by``; the numerator is a part of the denominator.

    Returns:
        The columns of ``by``, ``numerator``, ``denominator``, ``value``, ``low``, ``high``.
    """
    a, b = pl.col("numerator"), pl.col("denominator")
    totals = [
        a.sum().alias("numerator"),
        b.sum().alias("denominator"),
        (a * a).sum().alias("aa"),
        (a * b).sum().alias("ab"),
        (b * b).sum().alias("bb"),
        (b > 0).sum().alias("k"),
    ]
    clusters = clusters.with_columns(a.cast(pl.Float64), b.cast(pl.Float64))
    summed = (
        clusters.group_by(list(by), maintain_order=True).agg(totals)
        if by
        else clusters.select(totals)
    )
    ratio = pl.col("r")
    scatter = pl.col("aa") - 2 * ratio * pl.col("ab") + ratio * ratio * pl.col("bb")
    # At 0 and 1 there is no scatter: count every cluster as one trial, weighted by its size.
    kish = b * b / pl.col("bb")
    corrected = pl.col("k") / (pl.col("k") - 1).clip(lower_bound=1)
    effective = ratio * (1 - ratio) * b * b / (corrected * scatter)
    return with_wilson(
        summed.with_columns((a / b).clip(0.0, 1.0).alias("r")).with_columns(
            pl.when((ratio <= 0) | (ratio >= 1) | (scatter <= 0))
            .then(kish)
            .otherwise(pl.min_horizontal(effective, b))
            .alias("size")
        ),
        "size",
    ).select(*by, "numerator", "denominator", "value", "low", "high")
