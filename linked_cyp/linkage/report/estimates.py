"""Precision and recall without truth: expected true links from match weights, by kind of evidence.

A match weight is a posterior: of pairs at weight w, ``2^w / (1 + 2^w)`` are expected to be true.
That is over-confident, least so where an identifier agrees (predicted 0.9986, found 0.978 for pairs
without names), so the expectation is given by kind of evidence and, wherever a clerical reviewer
has decided enough pairs of a stratum, the share found true takes its place.
"""

from __future__ import annotations

import math

import duckdb
import polars as pl

from linked_cyp.linkage.edges import EDGE_CLASSES, edge_class_sql
from linked_cyp.linkage.intervals import Z
from linked_cyp.linkage.joining import REASONS
from linked_cyp.linkage.report.quality import measures
from linked_cyp.release.gate import exists

BAND = 5  # bits
FEWEST_DECISIONS = 10  # in a stratum, for them to take the weight's place
# Refused because they cannot be one child, whatever the weight says.
CONFLICTS = tuple(REASONS[kind] for kind in ("nhs", "upn", "local"))


def strata(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Scored pairs by kind of evidence, band of weight and what became of them.

    Returns:
        ``kind`` (of :data:`~linked_cyp.linkage.edges.EDGE_CLASSES`), ``band`` (its lowest weight),
        ``state`` (linked, conflict: refused because two numbers or ids differ, apart: any other
        pair in two persons), ``n``,
        ``expected`` (sum of posteriors), ``same`` and ``different`` (clerical decisions).
    """
    decided = "SELECT NULL::BIGINT AS record_key_l, NULL::BIGINT AS record_key_r, NULL AS decision"
    if exists(con, "linkage.main.decision"):
        decided = """SELECT record_key_l, record_key_r, decision FROM linkage.main.decision
            QUALIFY row_number() OVER (PARTITION BY record_key_l, record_key_r
                                       ORDER BY decided DESC, decision_id DESC) = 1"""
    return con.execute(
        f"""
        WITH decided AS ({decided}), conflict AS (
            SELECT DISTINCT record_key_l, record_key_r FROM linkage.main.refused
            WHERE list_contains($conflicts, reason)
        )
        SELECT {edge_class_sql()} AS kind,
            (floor(match_weight / {BAND}) * {BAND})::INTEGER AS band,
            CASE WHEN l.cluster = r.cluster THEN 'linked' WHEN c.record_key_l IS NOT NULL
                 THEN 'conflict' ELSE 'apart' END AS state,
            count(*) AS n, sum(1 / (1 + pow(2, -match_weight))) AS expected,
            count(*) FILTER (d.decision = 'same') AS same,
            count(*) FILTER (d.decision = 'different') AS different
        FROM linkage.main.pairs p
        JOIN linkage.main.person l ON l.record_key = p.record_key_l
        JOIN linkage.main.person r ON r.record_key = p.record_key_r
        LEFT JOIN conflict c ON c.record_key_l = p.record_key_l AND c.record_key_r = p.record_key_r
        LEFT JOIN decided d ON d.record_key_l = p.record_key_l AND d.record_key_r = p.record_key_r
        GROUP BY ALL ORDER BY ALL
        """,
        {"conflicts": list(CONFLICTS)},
    ).pl()


def estimated(found: pl.DataFrame) -> pl.DataFrame:
    """Estimated precision and recall of the links, by kind of evidence and in all.

    * precision: expected true pairs among those linked, of those linked;
    * recall: the same, of expected true pairs among all that were scored, without those refused
      for a conflict of identifiers, which the weights know nothing about. Pairs that no blocking
      rule found are in neither.

    Where decisions took the place of weights (measures ``precision_reviewed``,
    ``recall_reviewed``) the interval is theirs; the weights alone give none.

    Args:
        found: what :func:`strata` gives.
    """
    decided = pl.col("same") + pl.col("different")
    share = pl.col("same") / decided
    enough = decided >= FEWEST_DECISIONS
    frame = found.with_columns(
        pl.when(enough).then(pl.col("n") * share).otherwise("expected").alias("reviewed"),
        # Agresti and Coull's two of each keep the variance of a unanimous stratum above nought.
        pl.when(enough)
        .then(
            pl.col("n").cast(pl.Float64) ** 2
            * ((pl.col("same") + 2) / (decided + 4))
            * ((pl.col("different") + 2) / (decided + 4))
            / (decided + 4)
        )
        .otherwise(0.0)
        .alias("variance"),
        enough.alias("is_reviewed"),
    )
    parts = [("", frame)] + [(k, frame.filter(pl.col("kind") == k)) for k in EDGE_CLASSES]
    rows = [row for kind, part in parts if part.height or not kind for row in _rows(kind, part)]
    schema = {"measure": pl.String, "group_value": pl.String} | dict.fromkeys(
        ("numerator", "denominator", "value", "low", "high"), pl.Float64
    )
    tall = pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.when(pl.col("group_value") == "")
        .then(pl.lit(""))
        .otherwise(pl.lit("evidence"))
        .alias("group_kind")
    )
    return measures(tall, "estimate")


def _rows(kind: str, frame: pl.DataFrame) -> list[tuple[object, ...]]:
    linked = frame.filter(pl.col("state") == "linked")
    scored = frame.filter(pl.col("state") != "conflict")
    n = float(linked["n"].sum())
    rows: list[tuple[object, ...]] = []
    for name, column in (("", "expected"), ("_reviewed", "reviewed")):
        if name and not frame["is_reviewed"].any():
            continue
        true, whole = float(linked[column].sum()), float(scored[column].sum())
        for measure, bottom, spread in (
            ("precision", n, math.sqrt(linked["variance"].sum())),
            ("recall", whole, math.sqrt(scored["variance"].sum())),
        ):
            value = true / bottom if bottom else None
            low = high = None
            if name and value is not None and spread:
                low = max(value - Z * spread / bottom, 0.0)
                high = min(value + Z * spread / bottom, 1.0)
            rows.append((measure + name, kind, true, bottom, value, low, high))
    return rows
