"""Who is linked: shares of each source's children found in another, by group.

Groups come from what the source itself says of the child (pseudonymised: sex, ethnic group, month
of birth, small area, supplier), never from a source it was linked to: that would count the linked
children only. A rate is not recall: a child may truly be in no other source.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from linked_cyp.contracts.model import Contract, Table, spine_of
from linked_cyp.contracts.pseudonymised import DELIVERIES
from linked_cyp.core.sql import exists, literal, quoted
from linked_cyp.linkage.report.bands import AGES, QUINTILES
from linked_cyp.linkage.report.quality import measures

GROUPS = ("sex", "ethnicity", "age", "deprivation", "supplier")
# What a pseudonymised column is called, and which group it gives.
_COLUMNS = {
    "sex": ("sex_code",),
    "ethnicity": ("ethnicity_code",),
    "age": ("birth_month",),
    "deprivation": ("lsoa11_code", "home_lsoa11_code"),
}


def linkage_rates(
    con: duckdb.DuckDBPyConnection,
    contracts: Mapping[str, Contract],
    seeds: Path,
    day: date,
) -> pl.DataFrame:
    """Shares of each source's children with a record in the spine, and in any other source.

    Args:
        con: connection with ``linkage`` and ``warehouse`` after the bridge was published.
        contracts: feeds by name.
        seeds: folder with ``sex.csv``, ``ethnicity.csv``, ``ethnicity_group.csv`` and
            ``imd_2019.csv``.
        day: on which ages are worked out.

    Returns:
        Measures ``linked_to_spine``, ``linked_to_other`` and ``poor_evidence`` (neither a name
        nor a national number) by feed, and by feed and group.
        Records that may not be linked are left out.
    """
    spine = spine_of(contracts.values())
    _children(con, spine)
    _groups(con, contracts, seeds, day)
    frames = []
    for measure, column, feeds in (
        ("linked_to_spine", "in_spine", f"feed <> {literal(spine)}" if spine else "false"),
        ("linked_to_other", "in_other", "true"),
        ("poor_evidence", "is_poor", "true"),
    ):
        frame = con.execute(
            f"""
            SELECT c.feed, '' AS group_kind, '' AS group_value,
                count(*) FILTER ({column}) AS numerator, count(*) AS denominator
            FROM temp.feed_child c WHERE {feeds} GROUP BY c.feed
            UNION ALL
            SELECT c.feed, kind, coalesce(g.label, 'not known'),
                count(*) FILTER ({column}), count(*)
            FROM temp.feed_child c CROSS JOIN (SELECT unnest($kinds) AS kind)
            LEFT JOIN temp.child_group g USING (feed, person_id, kind)
            WHERE {feeds} GROUP BY ALL
            ORDER BY ALL
            """,
            {"kinds": list(GROUPS)},
        ).pl()
        frames.append(measures(frame, "rate", measure))
    for name in ("feed_child", "child_group", "observation"):
        con.execute(f"DROP TABLE IF EXISTS temp.{name}")
    found = pl.concat(frames)
    # A group that the source says nothing about is one row, "not known", of no interest.
    said = pl.col("group_value").ne("not known").any().over("feed", "group_kind")
    return found.filter((pl.col("group_kind") == "") | said)


def _children(con: duckdb.DuckDBPyConnection, spine: str) -> None:
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE feed_child AS
        WITH reach AS (
            SELECT person_id, bool_or(feed = {literal(spine)}) AS in_spine,
                count(DISTINCT feed) > 1 AS in_other
            FROM warehouse.linkage.bridge GROUP BY person_id
        )
        SELECT feed, person_id, any_value(in_spine) AS in_spine, any_value(in_other) AS in_other,
            bool_and(nhs IS NULL AND upn IS NULL AND NOT is_named) AS is_poor
        FROM warehouse.linkage.bridge JOIN reach USING (person_id)
        JOIN linkage.main.person_record r USING (record_key)
        WHERE tier <> 'excluded' AND r.alternative = 0 GROUP BY feed, person_id
        """
    )


def _groups(
    con: duckdb.DuckDBPyConnection, contracts: Mapping[str, Contract], seeds: Path, day: date
) -> None:
    """``temp.child_group``: feed, person_id, kind, label; the newest the source says counts."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE observation (feed VARCHAR, record_key BIGINT, kind VARCHAR,"
        " code VARCHAR, year INTEGER, period VARCHAR)"
    )
    for contract in contracts.values():
        for table in contract.tables.values():
            for select in _observed(con, contract, table):
                con.execute(f"INSERT INTO temp.observation {select}")
    con.register("label_of", _labels(seeds).to_arrow())
    birth, on = "try_cast(code AS DATE)", f"DATE {literal(day.isoformat())}"
    ages = " ".join(f"WHEN age < {limit} THEN {literal(label)}" for label, limit in AGES)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE child_group AS
        WITH aged AS (
            SELECT *,
                CASE WHEN kind = 'age' THEN date_diff('month', {birth}, {on}) // 12 END AS age
            FROM temp.observation
        ), labelled AS (
            SELECT o.feed, record_key, o.kind, year, period, CASE o.kind WHEN 'supplier' THEN o.code
                WHEN 'age' THEN CASE WHEN age < 0 THEN NULL {ages} END
                ELSE coalesce(l.label, a.label) END AS label
            FROM aged o
            LEFT JOIN label_of l ON l.kind = o.kind AND l.feed = o.feed AND l.code = o.code
            LEFT JOIN label_of a ON a.kind = o.kind AND a.feed = '' AND a.code = o.code
        )
        SELECT feed, person_id, kind,
            arg_max(label, (coalesce(year, 0), coalesce(period, ''), label)) AS label
        FROM labelled JOIN warehouse.linkage.bridge USING (feed, record_key)
        WHERE label IS NOT NULL GROUP BY feed, person_id, kind
        """
    )
    con.unregister("label_of")


def _observed(con: duckdb.DuckDBPyConnection, contract: Contract, table: Table) -> list[str]:
    """Queries of what one pseudonymised table says about groups, one for each column."""
    name = f"warehouse.pseudonymised.{table.table_name}"
    if not exists(con, name):
        return []
    source = f"{name} AS t"
    key = "t.record_key"
    if not table.person_key:
        parent = next(
            (r for r in table.relationships if contract.tables[r.to_table].person_key), None
        )
        if parent is None:
            return []
        on = " AND ".join(
            f"t.{quoted(a)} = p.{quoted(b)}"
            for a, b in zip(parent.columns, parent.to_columns, strict=True)
        )
        above = contract.tables[parent.to_table]
        source += (
            f" JOIN warehouse.pseudonymised.{above.table_name} AS p"
            f" ON p.delivery_id = t.delivery_id AND {on}"
        )
        key = "p.record_key"
    held = {row[0] for row in con.execute(f"DESCRIBE {name}").fetchall()}
    chosen = [
        (kind, f"t.{quoted(column)}::VARCHAR")
        for kind, columns in _COLUMNS.items()
        for column in columns
        if column in held
    ]
    if table.person_key:
        chosen.append(("supplier", "d.supplier"))
    return [
        f"SELECT DISTINCT {literal(contract.feed)}, {key}, {literal(kind)}, {code},"
        f" d.collection_year, d.period FROM {source} JOIN {DELIVERIES} AS d"
        f" ON d.delivery_id = t.delivery_id AND d.status = 'accepted'"
        f" WHERE {code} IS NOT NULL AND {key} IS NOT NULL"
        for kind, code in chosen
    ]


def _labels(seeds: Path) -> pl.DataFrame:
    """kind, feed ('' for any), code, label: what the codes of the groups stand for."""
    sex = pl.read_csv(seeds / "sex.csv", infer_schema=False).select(
        pl.lit("sex").alias("kind"),
        "feed",
        pl.col("source_code").alias("code"),
        pl.col("sex").replace_strict({"M": "male", "F": "female"}, default=None).alias("label"),
    )
    groups = pl.read_csv(seeds / "ethnicity_group.csv", infer_schema=False)
    ethnicity = (
        pl.read_csv(seeds / "ethnicity.csv", infer_schema=False)
        .join(groups, on="ethnicity_code")
        .select(
            pl.lit("ethnicity").alias("kind"),
            "feed",
            pl.col("source_code").alias("code"),
            pl.col("ons2011_group").replace("Unknown", None).alias("label"),
        )
    )
    quintile = (pl.col("imd_decile").cast(pl.Int64) + 1) // 2
    deprivation = pl.read_csv(seeds / "imd_2019.csv", infer_schema=False).select(
        pl.lit("deprivation").alias("kind"),
        pl.lit("").alias("feed"),
        pl.col("lsoa11_code").alias("code"),
        quintile.replace_strict(QUINTILES, default=None).alias("label"),
    )
    return (
        pl.concat([sex, ethnicity, deprivation])
        .drop_nulls("label")
        .unique(["kind", "feed", "code"], keep="first", maintain_order=True)
    )
