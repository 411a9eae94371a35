"""The measures of a linkage run: counts and rates, no token and no person.

``warehouse.linkage.quality`` keeps them run by run; the page and the drift checks are made from it.
Numbers there are exact; a page shows them suppressed (:func:`shown_rate`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import duckdb
import polars as pl

from linked_cyp.core.disclosure import BASE, rounded
from linked_cyp.core.intervals import with_wilson
from linked_cyp.core.sql import exists, transaction

TABLE = "warehouse.linkage.quality"
FEWEST = 50  # of fewer, rounding alone would move a rate by more than five points
BASES = ("truth", "estimate", "rate")
# Feed and group are '' where a measure is about all of them, so that rows of two runs join.
SCHEMA = pl.Schema(
    {
        "run_id": pl.Int64,
        "run_date": pl.Date,
        "basis": pl.String,  # truth (known), estimate (from weights), rate (counted)
        "measure": pl.String,
        "feed": pl.String,
        "group_kind": pl.String,
        "group_value": pl.String,
        "numerator": pl.Float64,
        "denominator": pl.Float64,
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
    }
)
MEASURES = tuple(name for name in SCHEMA.names() if not name.startswith("run_"))
_DDL = f"""
    CREATE TABLE IF NOT EXISTS {TABLE} (run_id BIGINT, run_date DATE, basis VARCHAR,
        measure VARCHAR, feed VARCHAR, group_kind VARCHAR, group_value VARCHAR, numerator DOUBLE,
        denominator DOUBLE, value DOUBLE, low DOUBLE, high DOUBLE)
"""


def measures(frame: pl.DataFrame, basis: str, measure: str | None = None) -> pl.DataFrame:
    """A frame of measures, all of :data:`MEASURES`, from one that has some of them.

    What is missing: names are '', ``value`` is the share with Wilson's interval where there is a
    denominator, and the count itself where there is none.
    """
    if measure is not None:
        frame = frame.with_columns(pl.lit(measure).alias("measure"))
    frame = frame.with_columns(pl.lit(basis).alias("basis"))
    for name in ("feed", "group_kind", "group_value"):
        if name not in frame.columns:
            frame = frame.with_columns(pl.lit("").alias(name))
    frame = frame.with_columns(pl.col("numerator").cast(pl.Float64))
    if "denominator" not in frame.columns:
        frame = frame.with_columns(pl.lit(None, dtype=pl.Float64).alias("denominator"))
    frame = frame.with_columns(pl.col("denominator").cast(pl.Float64))
    if "value" not in frame.columns:
        frame = with_wilson(frame).with_columns(
            pl.when(pl.col("denominator").is_null())
            .then(pl.col("numerator"))
            .otherwise(pl.col("value"))
            .alias("value")
        )
    for name in ("low", "high"):
        if name not in frame.columns:
            frame = frame.with_columns(pl.lit(None, dtype=pl.Float64).alias(name))
    return frame.select(pl.col(n).cast(SCHEMA[n]) for n in MEASURES)


def counted(measure: str, numerator: float, denominator: float | None = None) -> pl.DataFrame:
    """One measure of the whole run, counted."""
    frame = pl.DataFrame({"numerator": [numerator], "denominator": [denominator]})
    return measures(frame, "rate", measure)


def persist(
    con: duckdb.DuckDBPyConnection, found: Iterable[pl.DataFrame], run_id: int, run_date: date
) -> pl.DataFrame:
    """Write the measures of a run, in place of those it had; they are returned."""
    frame = pl.concat(found).select(
        pl.lit(run_id, dtype=pl.Int64).alias("run_id"),
        pl.lit(run_date).alias("run_date"),
        *MEASURES,
    )
    con.execute("CREATE SCHEMA IF NOT EXISTS warehouse.linkage")
    con.execute(_DDL)
    con.register("quality_now", frame.to_arrow())
    try:
        with transaction(con):
            con.execute(f"DELETE FROM {TABLE} WHERE run_id = ?", [run_id])
            con.execute(f"INSERT INTO {TABLE} BY NAME FROM quality_now")
    finally:
        con.unregister("quality_now")
    return frame


def last_run(con: duckdb.DuckDBPyConnection, before: int) -> pl.DataFrame:
    """The measures of the newest run before this one; none, where there was none."""
    if not exists(con, TABLE):
        return pl.DataFrame(schema=SCHEMA)
    return con.execute(
        f"FROM {TABLE} WHERE run_id = (SELECT max(run_id) FROM {TABLE} WHERE run_id < ?)", [before]
    ).pl()


def shown_count(count: float | None) -> str:
    """A count as a page shows it: ``0``, ``under 10`` or rounded to 5."""
    if count is None:
        return "-"
    number = rounded(round(count))
    return "under 10" if number is None else f"{number:,}"


def shown_rate(numerator: float | None, denominator: float | None) -> float | None:
    """A rate as a page shows it; None where it is of fewer than :data:`FEWEST`.

    It is the rate nearest to the true one that a numerator of a multiple of 5 can give with the
    denominator shown, so that it tells no more than the counts do and is off by at most 2.5 cases.
    """
    if numerator is None or denominator is None or round(denominator) < FEWEST:
        return None
    bottom = rounded(round(denominator)) or 1
    top = BASE * round(numerator / denominator * bottom / BASE)
    return min(top / bottom, 1.0)


def suppressed(frame: pl.DataFrame) -> pl.DataFrame:
    """Measures fit to be shown: ``shown_n``, ``shown_of`` (texts), ``value``, ``low`` and ``high``.

    Counts are suppressed under 10 and rounded to 5, rates worked out as :func:`shown_rate` says,
    and intervals keep their width. Measures against truth are exact: their children are invented.
    """
    rows: list[dict[str, object]] = []
    for row in frame.iter_rows(named=True):
        top, bottom = row["numerator"], row["denominator"]
        if row["basis"] == "truth":
            texts = {"shown_n": _exact(top), "shown_of": _exact(bottom)}
            rows.append({**row, **texts})
            continue
        texts = {"shown_n": shown_count(top), "shown_of": shown_count(bottom)}
        value = shown_rate(top, bottom)
        low, high = row["low"], row["high"]
        if value is None or low is None or high is None:
            low = high = None
        else:
            moved = value - row["value"]
            low, high = max(low + moved, 0.0), min(high + moved, 1.0)
        rows.append({**row, **texts, "value": value, "low": low, "high": high})
    schema = {**frame.schema, "shown_n": pl.String(), "shown_of": pl.String()}
    return pl.DataFrame(rows, schema=schema)


def _exact(count: float | None) -> str:
    return "-" if count is None else f"{count:,.0f}"


def pick(frame: pl.DataFrame, measure: str, **where: str) -> pl.DataFrame:
    """Rows of one measure."""
    found = frame.filter(pl.col("measure") == measure)
    for column, value in where.items():
        found = found.filter(pl.col(column) == value)
    return found


def first(frame: pl.DataFrame, measure: str, columns: Sequence[str] = (), **where: str) -> dict:
    """The one row of a measure as a dictionary; empty where it was not measured."""
    found = pick(frame, measure, **where)
    row = found.row(0, named=True) if found.height else {}
    return {c: row.get(c) for c in columns} if columns and row else row
