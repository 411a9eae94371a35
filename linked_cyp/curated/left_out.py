"""What the curated tables leave out: each accepted row of which they make none, with its reason.

A row may be in no curated table for many good reasons; it may not be in none without one. For every
feed and table ``provenance.left_out`` counts the rows by the first reason that holds, in the order
in which the models ask; what is left is in the curated tables. Where one curated table is made of
a delivered one, row by row, its rows are counted beside (:func:`differences`): the rules here are
written apart from the models, so that neither can lose a row that the other does not know of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import duckdb

from linked_cyp.contracts.model import Contract, Table
from linked_cyp.contracts.pseudonymised import DELIVERIES
from linked_cyp.core.sql import exists, literal, quoted, transaction
from linked_cyp.curated.left_out_rules import (
    IN_NO_TABLE,
    NOT_LINKED,
    RULES,
    Again,
    Numbered,
    Rule,
    Step,
    Unless,
)

LEFT_OUT = "warehouse.provenance.left_out"
_NEEDED = ("warehouse.staging.stg_delivery", "warehouse.curated.child", "warehouse.linkage.bridge")
NOT_CURATED, NOBODY = "not_curated", "parent_left_out"
_PEOPLE = (
    Unless(NOT_LINKED, "person_id IS NULL"),
    Unless(IN_NO_TABLE, "NOT is_child"),
)


def count(
    con: duckdb.DuckDBPyConnection, contracts: Iterable[Contract], manifest: Mapping[str, Any]
) -> list[str]:
    """Write ``provenance.left_out`` anew from the tables as they are after dbt.

    Args:
        con: has the catalog ``warehouse``, for writing, with what dbt made.
        contracts: of every feed.
        manifest: dbt's, which says what tables the models read.

    Returns:
        Names of the delivered tables whose rows do not add up (:func:`differences`).
    """
    con.execute("CREATE SCHEMA IF NOT EXISTS warehouse.provenance")
    with transaction(con):
        con.execute(
            f"CREATE OR REPLACE TABLE {LEFT_OUT} (feed VARCHAR, table_name VARCHAR,"
            " delivery_id VARCHAR, reason VARCHAR, rows BIGINT)"
        )
        if not all(exists(con, name) for name in _NEEDED):
            return []
        read = _read(manifest)
        wrong = [name for contract in contracts for name in _of_feed(con, contract, read)]
        con.execute("DROP TABLE IF EXISTS temp.main.judged_rows")
    return wrong


def _read(manifest: Mapping[str, Any]) -> set[str]:
    """Names of the pseudonymised tables that some model reads."""
    models = [n for n in manifest["nodes"].values() if n["resource_type"] == "model"]
    sources = {name for model in models for name in model["depends_on"]["nodes"]}
    return {name.rsplit(".", 1)[-1] for name in sources if ".pseudonymised." in name}


def _of_feed(con: duckdb.DuckDBPyConnection, contract: Contract, read: set[str]) -> Iterator[str]:
    rules = {name: rule for rule in RULES if rule.feed == contract.feed for name in rule.tables}
    done: set[str] = set()
    for name, table in contract.tables.items():
        if name in done or not exists(con, f"warehouse.pseudonymised.{table.table_name}"):
            continue
        rule = rules.get(name, Rule(contract.feed, (name,)))
        done |= {*rule.tables}
        if table.table_name not in read:
            _store(con, f"SELECT *, {literal(NOT_CURATED)} AS reason FROM ({_rows(con, table)})")
            continue
        tables = [contract.tables[each] for each in rule.tables]
        union = " UNION ALL BY NAME ".join(f"({_rows(con, each)})" for each in tables)
        steps = rule.steps or tuple(_of_people(con, contract, table))
        _store(con, _judged(f"SELECT *, NULL::VARCHAR AS reason FROM ({union})", steps))
        if rule.made and exists(con, f"warehouse.{rule.made.split()[0]}"):
            yield from differences(con, rule)


def _rows(con: duckdb.DuckDBPyConnection, table: Table) -> str:
    """SQL of a table's rows with what is known of their delivery and person."""
    relation = f"warehouse.pseudonymised.{quoted(table.table_name)}"
    person = "NULL::VARCHAR AS person_id"
    joined = ""
    if _has(con, table, "record_key"):
        person = "linked.person_id"
        joined = (
            " LEFT JOIN warehouse.linkage.bridge AS linked ON linked.record_key = t.record_key"
            f" AND linked.feed = {literal(table.feed)}"
        )
    return (
        f"SELECT t.* REPLACE (coalesce(t.source_file, 0) * 1000000000000 + t.row_number AS"
        f" row_number), {literal(table.feed)} AS of_feed, {literal(table.name)} AS of_table,"
        " d.supplier AS delivery_supplier, d.collection_year AS delivery_year, d.status,"
        " s.period_month AS delivery_month, s.term_number AS delivery_term,"
        f" {person}, c.person_id IS NOT NULL AS is_child, c.birth_month AS child_birth_month,"
        " c.death_month AS child_death_month"
        f" FROM {relation} AS t JOIN {DELIVERIES} AS d USING (delivery_id)"
        f" LEFT JOIN warehouse.staging.stg_delivery AS s USING (delivery_id){joined}"
        f" LEFT JOIN warehouse.curated.child AS c ON c.person_id = {person.split(' AS ')[0]}"
    )


def _has(con: duckdb.DuckDBPyConnection, table: Table, column: str) -> bool:
    found = con.execute(
        "SELECT 1 FROM duckdb_columns() WHERE database_name = 'warehouse' AND schema_name ="
        " 'pseudonymised' AND table_name = ? AND column_name = ?",
        [table.table_name, column],
    ).fetchone()
    return found is not None


def _of_people(con: duckdb.DuckDBPyConnection, contract: Contract, table: Table) -> Iterator[Step]:
    """Steps of a table without a rule: its person counts, or else the row that it belongs to."""
    if _has(con, table, "record_key"):
        yield from _PEOPLE
        return
    for link in table.relationships:
        parent = contract.tables[link.to_table]
        if _has(con, parent, "record_key") and len(link.columns) == len(link.to_columns):
            same = " AND ".join(
                f"p.{quoted(b)} = r.{quoted(a)}"
                for a, b in zip(link.columns, link.to_columns, strict=True)
            )
            yield Unless(
                NOBODY,
                f"NOT EXISTS (SELECT 1 FROM ({_rows(con, parent)}) AS p"
                f" WHERE p.delivery_id = r.delivery_id AND {same} AND p.is_child)",
            )
            return


def _judged(rows: str, steps: Sequence[Step]) -> str:
    """SQL of the rows with the first reason that holds."""
    rows = (
        "SELECT * REPLACE (CASE WHEN status <> 'accepted' THEN 'delivery_' || status END AS reason)"
        f" FROM ({rows})"
    )
    for step in steps:
        match step:
            case Unless(reason, where):
                found = f"CASE WHEN coalesce({where}, false) THEN {literal(reason)} END"
            case Again(key, order, reason):
                again = f"row_number() OVER (PARTITION BY reason IS NULL, {key} ORDER BY {order})"
                found = f"CASE WHEN reason IS NULL AND {again} > 1 THEN {literal(reason)} END"
            case Numbered(name, key, order):
                number = f"row_number() OVER (PARTITION BY reason IS NULL, {key} ORDER BY {order})"
                rows = f"SELECT *, {number} AS {quoted(name)} FROM ({rows})"
                continue
        rows = f"SELECT * REPLACE (coalesce(reason, {found}) AS reason) FROM ({rows}) AS r"
    return rows


def _store(con: duckdb.DuckDBPyConnection, judged: str) -> None:
    con.execute(
        "CREATE OR REPLACE TEMP TABLE judged_rows AS SELECT of_feed AS feed, of_table AS"
        f" table_name, delivery_id, reason, count(*) AS rows FROM ({judged}) GROUP BY ALL"
    )
    con.execute(
        f"INSERT INTO {LEFT_OUT} FROM temp.main.judged_rows WHERE reason IS NOT NULL ORDER BY ALL"
    )


def differences(con: duckdb.DuckDBPyConnection, rule: Rule) -> Iterator[str]:
    """The tables just judged, where the rows kept are not those of the curated table."""
    (kept,) = con.execute(
        "SELECT coalesce(sum(rows), 0) FROM temp.main.judged_rows WHERE reason IS NULL"
    ).fetchone() or (0,)
    (made,) = con.execute(f"SELECT count(*) FROM warehouse.{rule.made}").fetchone() or (0,)
    if kept != made:
        yield f"{rule.feed}.{'+'.join(rule.tables)}"
