"""Precision and recall without truth: expected true links from match weights, by kind of evidence.

A match weight is a posterior: of pairs at weight w, ``2^w / (1 + 2^w)`` are expected to be true.
That is over-confident, least so where an identifier agrees (predicted 0.9986, found 0.978 for pairs
without names), so the expectation is given by kind of evidence and, wherever clerical reviewers
have decided enough pairs of a kind and band of weight, the share found true takes its place.
"""

from __future__ import annotations

import math

import duckdb
import polars as pl

from linked_cyp.core.intervals import Z
from linked_cyp.linkage.pairs.edges import EDGE_CLASSES, classed_pairs_sql, prior_weight
from linked_cyp.linkage.persons.joining import REASONS
from linked_cyp.linkage.report.quality import measures
from linked_cyp.linkage.review.sampling import BAND
from linked_cyp.linkage.review.standing import labelled_pairs

FEWEST_DECISIONS = 10  # in a stratum, for them to take the weight's place
# Refused because they cannot be one child, whatever the weight says.
CONFLICTS = tuple(REASONS[kind] for kind in ("nhs", "upn", "local"))


def strata(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Scored pairs by kind of evidence, band of weight and what became of them.

    Decisions are counted with the pairs as they were drawn, and each with the number of pairs it
    stands for. Among the pairs as they are now, those found different are apart because of that,
    and the decisions on what is still linked would all say the same.

    Returns:
        ``kind`` (of :data:`~linked_cyp.linkage.pairs.edges.EDGE_CLASSES`), ``band`` (its lowest
        weight),
        ``state`` (linked, conflict: refused because two numbers or ids differ, refused: for another
        reason, apart: any other pair in two persons), ``n``, ``expected`` (sum of posteriors),
        ``decided`` (clerical decisions), ``share`` (of pairs they found the same) and ``size`` (how
        many decisions of equal weight tell as much, Kish 1965); null without decisions.
    """
    found = con.execute(
        f"""
        SELECT edge_class AS kind, floor(weight / {BAND}) * {BAND} AS band,
            CASE WHEN l.cluster = r.cluster THEN 'linked'
                 WHEN list_contains($conflicts, c.reason) THEN 'conflict'
                 WHEN c.reason <> $decided THEN 'refused' ELSE 'apart' END AS state,
            count(*) AS n, sum(1 / (1 + pow(2, -p.match_weight))) AS expected
        FROM {classed_pairs_sql(prior_weight(con))} p
        JOIN linkage.main.person l ON l.record_key = p.record_key_l
        JOIN linkage.main.person r ON r.record_key = p.record_key_r
        LEFT JOIN (SELECT record_key_l, record_key_r, min(reason) AS reason
                   FROM linkage.main.refused GROUP BY ALL) c
            ON c.record_key_l = p.record_key_l AND c.record_key_r = p.record_key_r
        GROUP BY ALL ORDER BY ALL
        """,
        {"conflicts": list(CONFLICTS), "decided": REASONS["decision"]},
    ).pl()
    stands_for = pl.col("importance")
    decisions = (
        labelled_pairs(con)
        .group_by(
            pl.col("edge_class").alias("kind"),
            ((pl.col("weight") / BAND).floor() * BAND).alias("band"),
            pl.col("reason").is_not_null().alias("is_refused"),
        )
        .agg(
            pl.len().alias("decided"),
            (stands_for.filter("is_same").sum() / stands_for.sum()).alias("share"),
            (stands_for.sum() ** 2 / (stands_for**2).sum()).alias("size"),
        )
    )
    return (
        found.with_columns((pl.col("state") == "refused").alias("is_refused"))
        .join(decisions, on=["kind", "band", "is_refused"], how="left", maintain_order="left")
        .drop("is_refused")
    )


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
    enough = pl.col("decided").fill_null(0) >= FEWEST_DECISIONS
    # Agresti and Coull's two of each keep the variance of a unanimous stratum above nought.
    size = pl.col("size") + 4
    share = (pl.col("share") * pl.col("size") + 2) / size
    frame = found.with_columns(
        pl.when(enough).then(pl.col("n") * pl.col("share")).otherwise("expected").alias("reviewed"),
        pl.when(enough)
        .then(pl.col("n").cast(pl.Float64) ** 2 * share * (1 - share) / size)
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
