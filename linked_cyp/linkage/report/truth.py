"""Quality against the known truth of a synthetic population, by source pair and by group."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from linked_cyp.linkage.evaluate import (
    candidates,
    contributions,
    merged,
    scores,
    scores_by_source_pair,
    threshold_curve,
)
from linked_cyp.linkage.report.quality import measures
from linked_cyp.linkage.report.rates import AGES, QUINTILES

FILES = ("record", "person", "address", "school")
CURVE = (-4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0)
GROUPS = ("sex", "ethnicity", "age", "deprivation", "local authority", "name origin")
RELATIONS = ("twins", "siblings", "adoption")
_SEXES = {"M": "male", "F": "female", "1": "male", "2": "female"}


def is_known(folder: Path) -> bool:
    """Whether the truth of a synthetic population lies there."""
    return all((folder / f"{name}.parquet").is_file() for name in FILES)


def people(folder: Path, seeds: Path, day: date) -> pl.DataFrame:
    """Every synthetic child with its groups and relations.

    Returns:
        ``child``, the columns of :data:`GROUPS` (text, null where it has none) and of
        :data:`RELATIONS` (number of the family, null without one). ``adoption`` joins a child's
        two identities, which must not be linked; siblings are of one household, twins not among
        them.
    """
    person = pl.read_parquet(folder / "person.parquet")
    ethnicity = pl.read_csv(seeds / "ethnicity.csv", infer_schema=False).unique("source_code")
    groups = dict(ethnicity.select("source_code", "ons2011_group").iter_rows())
    home = (
        pl.read_parquet(folder / "address.parquet")
        .sort("from_day")
        .unique("household_id", keep="last", maintain_order=True)
        .select("household_id", "area", pl.col("decile").alias("home_decile"))
    )
    authority = (
        pl.read_parquet(folder / "school.parquet")
        .group_by("area")
        .agg(pl.col("authority").drop_nulls().mode().min().cast(pl.String))
    )
    age = (pl.lit(day) - pl.col("birth")).dt.total_days() / 365.2425
    band = pl.coalesce(*(pl.when(age < limit).then(pl.lit(label)) for label, limit in AGES))
    quintile = (pl.col("home_decile").cast(pl.Int64) + 1) // 2
    household = pl.when(pl.len().over("household_id") > 1).then("household_id")
    return (
        person.join(home, on="household_id", how="left")
        .join(authority, on="area", how="left")
        .select(
            pl.col("person_id").alias("child"),
            pl.col("sex").cast(pl.String).replace_strict(_SEXES, default=None).alias("sex"),
            pl.col("ethnicity").replace_strict(groups, default=None).alias("ethnicity"),
            band.alias("age"),
            quintile.replace_strict(QUINTILES, default=None).alias("deprivation"),
            pl.col("authority").alias("local authority"),
            pl.col("origin").alias("name origin"),
            pl.col("twin_group").alias("twins"),
            household.alias("siblings"),
            pl.when(pl.len().over("child_id") > 1).then("child_id").alias("adoption"),
        )
    )


def against_truth(
    con: duckdb.DuckDBPyConnection, truth: pl.DataFrame, who: pl.DataFrame
) -> pl.DataFrame:
    """Measures of the persons and pairs in the stores against the truth.

    Args:
        con: connection with ``linkage`` and ``warehouse``.
        truth: ``record_key``, ``feed``, ``child``.
        who: what :func:`people` gives.

    Returns:
        precision, recall and f1 in all, by source pair and by group; merged_twins,
        merged_siblings, merged_adoption; candidate_recall and candidate_reach; and precision and
        recall at each threshold.
    """
    persons = con.execute(
        "SELECT record_key, person_id AS person FROM warehouse.linkage.bridge"
    ).pl()
    may_link = con.execute(
        "SELECT record_key FROM warehouse.linkage.bridge WHERE tier <> 'excluded'"
    ).pl()
    # What may not be linked is nobody's error: it is looked at only for links that should not be.
    linkable = truth.join(may_link, on="record_key", how="semi")
    shares = contributions(persons, linkable)
    pairs = con.execute("SELECT record_key_l, record_key_r, match_weight FROM linkage.main.pairs")
    scored = pairs.pl()
    sources = scores_by_source_pair(
        persons, linkable.select("record_key", "child", source="feed")
    ).with_columns(
        pl.lit("source pair").alias("group_kind"),
        pl.concat_str("source_l", pl.lit(" + "), "source_r").alias("group_value"),
    )
    curve = threshold_curve(scored, linkable, CURVE).with_columns(
        pl.lit("threshold").alias("group_kind"),
        pl.col("weight").cast(pl.String).alias("group_value"),
    )
    found = [
        scores(shares),
        sources,
        *(_by_group(shares, who, kind) for kind in GROUPS),
        candidates(scored, linkable),
        *_merged(persons, truth, who, RELATIONS),
        curve.with_columns(pl.format("threshold_{}", "measure").alias("measure")),
    ]
    return pl.concat(measures(frame, "truth") for frame in found)


def _by_group(shares: pl.DataFrame, who: pl.DataFrame, kind: str) -> pl.DataFrame:
    labelled = shares.join(who.select("child", pl.col(kind).alias("group_value")), on="child")
    return (
        scores(labelled.drop_nulls("group_value"), ["group_value"])
        .sort("measure", "group_value")
        .with_columns(pl.lit(kind).alias("group_kind"))
    )


def _merged(
    persons: pl.DataFrame, truth: pl.DataFrame, who: pl.DataFrame, relations: Sequence[str]
) -> list[pl.DataFrame]:
    found = []
    for relation in relations:
        family = who.select("child", pl.col(relation).alias("family"))
        if relation == "siblings":  # a twin is counted once, and one's own other identity never
            own = who.filter(pl.col("twins").is_null() & pl.col("adoption").is_null())
            family = family.join(own, on="child", how="semi")
        row = merged(persons, truth, family)
        found.append(row.with_columns(pl.lit(f"merged_{relation}").alias("measure")))
    return found
