"""What happened in a linkage run, counted in the linkage store: no truth and no model needed.

Every function takes a connection with ``linkage`` and ``warehouse`` and returns measures
(:mod:`linked_cyp.linkage.report.quality`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import duckdb
import polars as pl

from linked_cyp.core.sql import exists, literal
from linked_cyp.linkage.report.quality import counted, measures, shown_count

WEIGHT_BAND = 2  # bits
SELF_BAND = 5  # bits
LARGEST_SHOWN = 10  # records in a person; more are counted together


def funnel(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """From source persons to children, by feed and in all: each step a part of the one before.

    * records: source persons; linkable: not excluded; candidate: in a scored pair; linked: in a
      person with another record. persons: children after linkage.
    """
    frame = con.execute(
        """
        WITH paired AS (
            SELECT record_key_l AS record_key FROM linkage.main.pairs
            UNION SELECT record_key_r FROM linkage.main.pairs
        ), state AS (
            SELECT b.feed, b.person_id, b.tier <> 'excluded' AS is_linkable,
                b.tier NOT IN ('excluded', 'unlinked') AS is_linked,
                p.record_key IS NOT NULL AS is_candidate
            FROM warehouse.linkage.bridge b LEFT JOIN paired p USING (record_key)
        )
        SELECT coalesce(feed, '') AS feed, count(*) AS records,
            count(*) FILTER (is_linkable) AS linkable, count(*) FILTER (is_candidate) AS candidate,
            count(*) FILTER (is_linked) AS linked, count(DISTINCT person_id) AS persons
        FROM state GROUP BY GROUPING SETS ((), (feed)) ORDER BY feed
        """
    ).pl()
    steps = ["records", "linkable", "candidate", "linked"]
    return pl.concat(
        [
            measures(
                frame.select(
                    pl.lit(f"step_{step}").alias("measure"),
                    "feed",
                    pl.col(step).alias("numerator"),
                    pl.col("records").alias("denominator"),
                ),
                "rate",
            )
            for step in steps
        ]
        + [measures(frame.select("feed", pl.col("persons").alias("numerator")), "rate", "persons")]
    )


def excluded(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Records kept out of linkage, by reason."""
    frame = con.execute(
        "SELECT exclusion AS group_value, count(*) AS numerator FROM linkage.main.person_record"
        " WHERE alternative = 0 AND exclusion IS NOT NULL GROUP BY 1 ORDER BY 1"
    ).pl()
    return measures(frame.with_columns(pl.lit("reason").alias("group_kind")), "rate", "excluded")


def tiers(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Records by link-quality tier, by feed."""
    frame = con.execute(
        """SELECT feed, 'tier' AS group_kind, tier AS group_value, count(*) AS numerator,
               sum(count(*)) OVER (PARTITION BY feed) AS denominator
           FROM warehouse.linkage.bridge GROUP BY feed, tier ORDER BY ALL"""
    ).pl()
    return measures(frame, "rate", "tier")


def cluster_sizes(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Persons by how many records they are made of (10 stands for 10 and more)."""
    frame = con.execute(
        """SELECT 'records' AS group_kind, least(n, $most)::VARCHAR AS group_value,
               count(*) AS numerator, sum(count(*)) OVER () AS denominator
           FROM (SELECT count(*) AS n FROM warehouse.linkage.bridge GROUP BY person_id)
           GROUP BY ALL ORDER BY min(n)""",
        {"most": LARGEST_SHOWN},
    ).pl()
    return measures(frame, "rate", "cluster_size")


def contradictions(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Persons whose records disagree about what cannot be two things, of those with two records.

    Not errors of linkage alone: a mistyped day in one source is one too.
    """
    row = con.execute(
        """
        SELECT count(*), count(*) FILTER (sexes > 1), count(*) FILTER (months > 1),
            count(*) FILTER (dates > 1)
        FROM (SELECT count(DISTINCT sex) AS sexes, count(DISTINCT birth_year_month) AS months,
                  count(DISTINCT birth_date) AS dates
              FROM linkage.main.person JOIN linkage.main.person_record USING (record_key)
              WHERE alternative = 0 GROUP BY cluster HAVING count(*) > 1)
        """
    ).fetchall()[0]
    found = zip(("sex", "birth_month", "birth_date"), row[1:], strict=True)
    return pl.concat([counted(f"contradiction_{name}", n, row[0]) for name, n in found])


def refused(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Pairs that were strong enough but not joined, by reason."""
    frame = con.execute(
        "SELECT 'reason' AS group_kind, reason AS group_value, count(*) AS numerator"
        " FROM linkage.main.refused GROUP BY ALL ORDER BY ALL"
    ).pl()
    return measures(frame, "rate", "refused")


def filled(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """How much of what links is filled in, by feed."""
    fields = {
        "NHS number": "nhs IS NOT NULL",
        "UPN": "upn IS NOT NULL",
        "local authority child id": "la_child IS NOT NULL",
        "name": "is_named",
        "date of birth": "birth_date IS NOT NULL",
        "sex": "sex IS NOT NULL",
        "postcode": "postcode IS NOT NULL",
    }
    counts = ", ".join(f'count(*) FILTER ({sql}) AS "{name}"' for name, sql in fields.items())
    frame = con.execute(
        f"SELECT feed, count(*) AS denominator, {counts} FROM linkage.main.person_record"
        " JOIN linkage.main.source USING (source) WHERE alternative = 0 GROUP BY feed ORDER BY feed"
    ).pl()
    tall = frame.unpivot(
        list(fields),
        index=["feed", "denominator"],
        variable_name="group_value",
        value_name="numerator",
    )
    return measures(tall.with_columns(pl.lit("field").alias("group_kind")), "rate", "filled")


def weights(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Scored pairs by match weight, in bands of two bits (named by where the band begins)."""
    frame = con.execute(
        f"""SELECT 'weight' AS group_kind,
               (floor(match_weight / {WEIGHT_BAND}) * {WEIGHT_BAND})::INTEGER AS band,
               count(*) AS numerator, sum(count(*)) OVER () AS denominator
           FROM linkage.main.pairs GROUP BY ALL ORDER BY band"""
    ).pl()
    return measures(
        frame.with_columns(pl.col("band").cast(pl.String).alias("group_value")), "rate", "weight"
    )


def events(con: duckdb.DuckDBPyConnection, run_id: int) -> pl.DataFrame:
    """What happened to person ids in this run: events, and the records they concern."""
    frame = con.execute(
        "SELECT 'event' AS group_kind, event AS group_value, count(*) AS ids,"
        " sum(records) AS records FROM linkage.main.event WHERE run_id = ? GROUP BY ALL"
        " ORDER BY ALL",
        [run_id],
    ).pl()
    kinds = {"event": "ids", "event_records": "records"}
    return pl.concat(
        measures(frame.select("group_kind", "group_value", pl.col(c).alias("numerator")), "rate", m)
        for m, c in kinds.items()
    )


def unlinkable(
    con: duckdb.DuckDBPyConnection, settings: dict[str, Any] | None, thresholds: Mapping[str, float]
) -> pl.DataFrame:
    """Records that could not reach their threshold even against themselves, and how far they get.

    Args:
        settings: Splink settings of the model in force.
        thresholds: by edge class; a record's own is that of its kind: identified, named, nameless.

    Returns:
        Measures ``unlinkable`` by feed and in all; and ``self_weight``, records by their weight
        against themselves, in bands of :data:`SELF_BAND` bits.
    """
    if settings is None:
        return counted("unlinkable", 0, 0)
    prior, gains = self_weight(settings)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE against_itself AS
        SELECT feed, weight, CASE WHEN nhs IS NOT NULL OR upn IS NOT NULL OR la_child IS NOT NULL
                THEN weight < {literal(str(thresholds["identifier"]))}::DOUBLE
            WHEN is_named THEN weight < {literal(str(thresholds["named"]))}::DOUBLE
            ELSE weight - {prior!r} < {literal(str(thresholds["nameless"]))}::DOUBLE
            END AS is_unlinkable
        FROM (SELECT *, {prior!r} + {gains} AS weight FROM linkage.main.person_record
              WHERE alternative = 0 AND exclusion IS NULL)
        JOIN linkage.main.source USING (source)
        """
    )
    frame = con.execute(
        """SELECT coalesce(feed, '') AS feed, count(*) AS denominator,
               count(*) FILTER (is_unlinkable) AS numerator FROM temp.against_itself
           GROUP BY GROUPING SETS ((), (feed)) ORDER BY feed"""
    ).pl()
    bands = con.execute(
        f"""SELECT 'weight' AS group_kind, band, band::VARCHAR AS group_value,
               count(*) AS numerator, sum(count(*)) OVER () AS denominator
           FROM (SELECT (floor(weight / {SELF_BAND}) * {SELF_BAND})::INTEGER AS band
                 FROM temp.against_itself) GROUP BY ALL ORDER BY band"""
    ).pl()
    con.execute("DROP TABLE temp.against_itself")
    return pl.concat(
        [measures(frame, "rate", "unlinkable"), measures(bands, "rate", "self_weight")]
    )


def self_weight(settings: dict[str, Any]) -> tuple[float, str]:
    """The prior weight, and SQL for what a person record adds to it when compared with itself."""
    prior = settings["probability_two_random_records_match"]
    terms = []
    for comparison in settings["comparisons"]:
        levels = comparison["comparison_levels"]
        missing = next(level["sql_condition"] for level in levels if level.get("is_null_level"))
        best = next(level for level in levels if not level.get("is_null_level"))
        gain = math.log2(best["m_probability"] / best["u_probability"])
        missing = re.sub(r"\b(\w+)_[lr]\b", r"\1", missing)
        terms.append(f"CASE WHEN {missing} THEN 0 ELSE {gain!r} END")
    return math.log2(prior / (1 - prior)), " + ".join(terms)


def blocking(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Candidate pairs of each blocking rule of the model in force, where they were counted."""
    if not exists(con, "linkage.main.blocking"):
        return measures(pl.DataFrame(schema={"numerator": pl.Float64}), "rate", "blocking")
    frame = con.execute(
        """SELECT CASE WHEN is_used THEN 'rule' ELSE 'rule not used' END AS group_kind,
               rule AS group_value, sum(pairs) AS numerator FROM linkage.main.blocking
           WHERE model_id = (SELECT max(model_id) FROM linkage.main.blocking)
           GROUP BY ALL ORDER BY group_kind, numerator DESC"""
    ).pl()
    return measures(frame, "rate", "blocking")


def attacks(con: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
    """Results of the attack suite as ``groups`` of tables, on what it was run and when.

    None where it has not been run.
    """
    from linked_cyp.linkage.attacks import summarise
    from linked_cyp.linkage.attacks.store import COLUMNS, TABLE
    from linked_cyp.linkage.attacks.table import groups

    if not exists(con, TABLE):
        return None
    table = con.execute(f"FROM {TABLE}").pl()
    about = table.row(0, named=True)
    return {
        **{name: about[name] for name in COLUMNS},
        "groups": groups(summarise(table)),
        "seeds": table["seed"].n_unique(),
        "is_sample": about["children"] < about["of_children"],
        "children": shown_count(about["children"]),
        "of_children": shown_count(about["of_children"]),
    }
