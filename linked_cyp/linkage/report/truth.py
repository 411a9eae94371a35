"""Quality against the known truth of a synthetic population, by source pair and by group."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from linked_cyp.core.intervals import clustered
from linked_cyp.linkage.report.evaluate import (
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
# Why a true pair was not put together, in the order in which it is asked.
MISSED = {
    "missed_refused": "refused for a conflict or doubt",
    "missed_weak": "compared, but too weak",
    "missed_unseen": "never compared: nothing in common to compare by",
}
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
    ethnicity = pl.read_csv(seeds / "ethnicity_group.csv", infer_schema=False)
    groups = dict(ethnicity.select("ethnicity_code", "ons2011_group").iter_rows())
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
        precision, recall and f1 in all, by source pair and by group; why true pairs were missed
        (:data:`MISSED`) and poor_evidence, records without a name or national number, in all and
        by group; merged_twins, merged_siblings, merged_adoption; candidate_recall and
        candidate_reach; and precision and recall at each threshold.
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
        *_reasons(con, persons, linkable, who),
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


def _reasons(
    con: duckdb.DuckDBPyConnection, persons: pl.DataFrame, truth: pl.DataFrame, who: pl.DataFrame
) -> list[pl.DataFrame]:
    """Why true pairs were missed, and records with little to link by, in all and by group."""
    con.register("true_record", truth.select("record_key", "child").to_arrow())
    con.register("found_person", persons.to_arrow())
    missed = con.execute(
        """
        WITH truth AS (FROM true_record JOIN found_person USING (record_key)), pair AS (
            SELECT l.child, l.person = r.person AS is_found, l.record_key AS record_key_l,
                r.record_key AS record_key_r
            FROM truth l JOIN truth r ON l.child = r.child AND l.record_key < r.record_key
        ), refused AS (SELECT DISTINCT record_key_l, record_key_r, 1 AS refused
                       FROM linkage.main.refused)
        SELECT child, count(*) AS denominator,
            count(*) FILTER (NOT is_found AND refused IS NOT NULL) AS missed_refused,
            count(*) FILTER (NOT is_found AND refused IS NULL AND match_weight IS NOT NULL)
                AS missed_weak,
            count(*) FILTER (NOT is_found AND refused IS NULL AND match_weight IS NULL)
                AS missed_unseen
        FROM pair LEFT JOIN refused USING (record_key_l, record_key_r)
        LEFT JOIN linkage.main.pairs USING (record_key_l, record_key_r) GROUP BY child
        """
    ).pl()
    poor = con.execute(
        """SELECT child, count(*) AS denominator, count(*) FILTER
               (nhs IS NULL AND upn IS NULL AND NOT is_named) AS poor_evidence
           FROM true_record JOIN linkage.main.person_record USING (record_key)
           WHERE alternative = 0 GROUP BY child"""
    ).pl()
    con.unregister("true_record")
    con.unregister("found_person")
    found = []
    for measure, totals in (*((name, missed) for name in MISSED), ("poor_evidence", poor)):
        counted = totals.select("child", "denominator", pl.col(measure).alias("numerator"))
        found.append(clustered(counted).with_columns(pl.lit(measure).alias("measure")))
        for kind in GROUPS:
            labelled = counted.join(
                who.select("child", pl.col(kind).alias("group_value")), on="child"
            ).drop_nulls("group_value")
            found.append(
                clustered(labelled, ["group_value"]).with_columns(
                    pl.lit(measure).alias("measure"), pl.lit(kind).alias("group_kind")
                )
            )
    return found


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
