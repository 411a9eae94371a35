"""Where the review stands: decisions, agreement between reviewers, precision by weight band."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import polars as pl

from linked_cyp.core.errors import value_free
from linked_cyp.core.intervals import wilson, with_wilson
from linked_cyp.core.sql import exists
from linked_cyp.linkage.model.parameters import Parameters
from linked_cyp.linkage.pairs.edges import classed_pairs_sql, prior_weight
from linked_cyp.linkage.review.decisions import DECISIONS, newest_decisions
from linked_cyp.linkage.review.sampling import BAND
from linked_cyp.linkage.review.thresholds import Choice, choose_thresholds, thresholds_in_force


@dataclass(frozen=True)
class Standing:
    """What clerical review has found so far."""

    sheets: int
    drawn: int  # pairs on all sheets
    decisions: dict[str, int]  # newest per pair, by word
    reviewers: dict[str, int]  # decisions by reviewer
    pairs_seen_twice: int
    agreement: float | None  # share of pairs seen by several on which all said the same
    agreement_low: float | None
    agreement_high: float | None
    bands: pl.DataFrame  # edge_class, band, same, different, unsure, value, low, high


def labelled_pairs(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Pairs with a decision of same or different, and how many pairs each stands for.

    A stratum's pairs are shared out among those of it that were decided, so a sheet that came back
    half done, or pairs about which nobody was sure, do not count as fewer pairs of their kind.

    Returns:
        ``edge_class``, ``reason`` (null: not refused), ``weight``, ``is_same``, ``importance``.
    """
    seen = _decided(con).filter(pl.col("decision") != "unsure")
    return seen.select(
        "edge_class",
        "reason",
        "weight",
        (pl.col("decision") == "same").alias("is_same"),
        (pl.col("population") / pl.len().over("stratum")).alias("importance"),
    )


def standing(con: duckdb.DuckDBPyConnection) -> Standing:
    """Counts, agreement and precision of what has been reviewed."""
    with value_free("summing up the review"):
        sheets, drawn = 0, 0
        if exists(con, "linkage.main.review_sheet"):
            sheets, drawn = con.execute(
                "SELECT count(*), coalesce(sum(pairs), 0) FROM linkage.main.review_sheet"
            ).fetchall()[0]
        newest = newest_decisions(con)
        each = newest_decisions(con, by_reviewer=True)
        twice = (
            each.group_by("record_key_l", "record_key_r")
            .agg(pl.len().alias("n"), pl.col("decision").n_unique().alias("answers"))
            .filter(pl.col("n") > 1)
        )
        alike = int((twice["answers"] == 1).sum())
        low, high = wilson(alike, twice.height)
        words = dict(newest["decision"].value_counts().iter_rows())
        return Standing(
            sheets=sheets,
            drawn=int(drawn),
            decisions={word: words.get(word, 0) for word in DECISIONS},
            reviewers=dict(each["reviewer"].value_counts().sort("reviewer").iter_rows()),
            pairs_seen_twice=twice.height,
            agreement=alike / twice.height if twice.height else None,
            agreement_low=low,
            agreement_high=high,
            bands=_bands(con),
        )


def _bands(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Share of true pairs by edge class and weight band, as estimated for all pairs of the band.

    The interval is Wilson's on the effective number of pairs (Kish 1965): unequal importance makes
    a sample worth less than its size.
    """
    band = ((pl.col("weight") / BAND).floor() * BAND).alias("band")
    seen = _decided(con).filter(pl.col("reason").is_null())
    unsure = seen.group_by("edge_class", band).agg(
        (pl.col("decision") == "unsure").sum().alias("unsure")
    )
    share = pl.col("importance")
    labelled = labelled_pairs(con).filter(pl.col("reason").is_null())
    counted = labelled.group_by("edge_class", band).agg(
        pl.col("is_same").sum().alias("same"),
        (~pl.col("is_same")).sum().alias("different"),
        share.filter("is_same").sum().alias("numerator"),
        share.sum().alias("denominator"),
        (share.sum() ** 2 / (share**2).sum()).alias("size"),
    )
    return (
        with_wilson(counted, "size")
        .join(unsure, on=["edge_class", "band"], how="left")
        .select("edge_class", "band", "same", "different", "unsure", "value", "low", "high")
        .sort("edge_class", "band")
    )


def _decided(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Decided pairs with the number of pairs in the stratum they were drawn from.

    Class and weight are today's (a retrained model weighs otherwise) where the pair is still
    scored; whether it was refused is as it was, since the decision itself may part it now.
    """
    newest = newest_decisions(con).select("record_key_l", "record_key_r", "sheet_id", "decision")
    if not exists(con, "linkage.main.review_pair"):
        return pl.DataFrame(
            schema={
                "decision": pl.String,
                "edge_class": pl.String,
                "reason": pl.String,
                "stratum": pl.String,
                "weight": pl.Float64,
                "population": pl.Float64,
            }
        )
    on_sheet = con.execute(
        "SELECT v.sheet_id, record_key_l, record_key_r, v.reason, v.stratum, v.stratum_pairs,"
        " coalesce(p.edge_class, v.edge_class) AS edge_class,"
        " coalesce(p.weight, v.weight) AS weight"
        f" FROM linkage.main.review_pair v LEFT JOIN {classed_pairs_sql(prior_weight(con))} p"
        " USING (record_key_l, record_key_r)"
    ).pl()
    # A second sheet leaves out what the first decided: the fullest count is the stratum's.
    return newest.join(on_sheet, on=["sheet_id", "record_key_l", "record_key_r"]).with_columns(
        pl.col("stratum_pairs").max().over("stratum").cast(pl.Float64).alias("population")
    )


def thresholds_from_decisions(
    con: duckdb.DuckDBPyConnection, chosen: Parameters
) -> tuple[dict[str, float], dict[str, Choice]]:
    """The thresholds in force, and those that the clerical decisions ask for.

    Pairs that a rule refused are left out: no threshold would join them.
    """
    with value_free("choosing thresholds from decisions"):
        labelled = labelled_pairs(con).filter(pl.col("reason").is_null())
        return thresholds_in_force(con, chosen), choose_thresholds(labelled, chosen.loss)
