"""How each research table was made, as a query over names as they are in the release.

A release holds no staging tables. Where one says no more than which deliveries there were, it is
written out inside the queries that read it, over ``provenance.delivery``, which every release has:
so a cohort whose years or authorities are those delivered can be made again by its readers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from linked_cyp.release.build import ReleaseTable
from linked_cyp.release.record import RecordTable

if TYPE_CHECKING:
    from sqlglot import exp

# Under another name in a release, with the same columns.
RELEASED_AS = {"pseudonymised.delivery": "provenance.delivery"}
INSIDE = "staging"  # the schema whose tables may be written out


def definition_table(
    tables: Iterable[ReleaseTable], manifest: Mapping[str, Any] | None
) -> RecordTable:
    """The SQL that made each table."""
    queries = {
        f"{node['schema']}.{node['name']}": node["compiled_code"]
        for node in ((manifest or {}).get("nodes") or {}).values()
        if node.get("resource_type") == "model" and node.get("compiled_code")
    }
    rows = []
    for table in tables:
        name = f"{table.zone}.{table.name}"
        if name in queries:
            sql, read = for_release(queries[name], queries)
            rows.append((table.zone, table.name, sql, ", ".join(read)))
    return RecordTable(
        "provenance",
        "definition",
        "The query that made each research table. Where every table that it reads is in this"
        " release with all its columns, it can be run again here.",
        (
            ("table_schema", "VARCHAR", "Schema of the table: curated or cohort."),
            ("table_name", "VARCHAR", "Name of the table."),
            ("sql", "VARCHAR", "The query, in DuckDB's SQL."),
            ("reads", "VARCHAR", "The tables it reads, some of which are not released."),
        ),
        sorted(rows),
    )


def for_release(sql: str, queries: Mapping[str, str]) -> tuple[str, list[str]]:
    """A query whose tables are named ``schema.table``, laid out, and the tables it reads.

    Args:
        sql: as dbt compiled it.
        queries: those of every model by ``schema.table``, from which some are written out.
    """
    tree = _rewritten(sql, queries)
    return tree.sql(dialect="duckdb", pretty=True), sorted(_read(tree))


def _rewritten(sql: str, queries: Mapping[str, str]) -> exp.Expr:
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(sql, dialect="duckdb")
    for table in list(tree.find_all(exp.Table)):
        if not table.db:
            continue
        name = f"{table.db}.{table.name}"
        if table.db == INSIDE and name in queries:
            inner = _rewritten(queries[name], queries)
            if _read(inner) <= set(RELEASED_AS.values()):
                table.replace(
                    exp.Subquery(this=inner, alias=exp.to_identifier(table.alias_or_name))
                )
                continue
        schema, own = RELEASED_AS.get(name, name).split(".")
        table.set("catalog", None)
        table.set("db", exp.to_identifier(schema))
        table.set("this", exp.to_identifier(own))
    return tree


def _read(tree: exp.Expr) -> set[str]:
    from sqlglot import exp

    return {f"{t.db}.{t.name}" for t in tree.find_all(exp.Table) if t.db}
