"""What changed since the last run: rates, the distribution of weights, the model."""

from __future__ import annotations

import math

import duckdb
import polars as pl

from linked_cyp.linkage.report.quality import counted, measures, pick

KEY = ["basis", "measure", "feed", "group_kind", "group_value"]
# Usual reading of the index: under 0.1 no shift, over 0.25 a large one.
LARGE_SHIFT = 0.25


def drift(
    now: pl.DataFrame, before: pl.DataFrame, con: duckdb.DuckDBPyConnection, run_id: int
) -> pl.DataFrame:
    """Measures of change: weight_shift (population stability index) and model_changed (0 or 1).

    Args:
        now: measures of this run; before: of the last one, empty where there was none.
    """
    runs = con.execute(
        "SELECT run_id, model_id FROM linkage.main.run WHERE run_id <= ?"
        " ORDER BY run_id DESC LIMIT 2",
        [run_id],
    ).fetchall()
    changed = len(runs) == 2 and runs[0][1] != runs[1][1]
    found = [counted("model_changed", int(changed))]
    if before.height:
        index = stability(pick(before, "weight"), pick(now, "weight"))
        frame = pl.DataFrame({"numerator": [index], "value": [index]})
        found.append(measures(frame, "rate", "weight_shift"))
    return pl.concat(found)


def stability(before: pl.DataFrame, now: pl.DataFrame) -> float:
    """Population stability index of two distributions over the same groups; 0 is no change.

    The sum over groups of ``(q - p) ln(q / p)``. A group that one of them lacks counts as half a
    case, so that the index stays finite.

    Args:
        before, now: ``group_value`` and ``numerator`` (counts).
    """
    both = before.select("group_value", pl.col("numerator").alias("p")).join(
        now.select("group_value", pl.col("numerator").alias("q")),
        on="group_value",
        how="full",
        coalesce=True,
    )
    both = both.with_columns(pl.col("p", "q").cast(pl.Float64).fill_null(0.0).clip(lower_bound=0.5))
    p_all, q_all = float(both["p"].sum()), float(both["q"].sum())
    return sum(
        (q / q_all - p / p_all) * math.log((q / q_all) / (p / p_all))
        for p, q in both.select("p", "q").iter_rows()
    )


def changes(now: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Rates of both runs side by side: :data:`KEY`, ``before``, ``now``, ``change``, ``is_sure``.

    ``is_sure``: the two intervals do not overlap.
    """
    rates = pl.col("denominator").is_not_null() & pl.col("low").is_not_null()
    joined = now.filter(rates).join(before.filter(rates), on=KEY, suffix="_before")
    apart = (pl.col("high") < pl.col("low_before")) | (pl.col("low") > pl.col("high_before"))
    return joined.select(
        *KEY,
        pl.col("value_before").alias("before"),
        pl.col("value").alias("now"),
        (pl.col("value") - pl.col("value_before")).alias("change"),
        apart.alias("is_sure"),
    )
