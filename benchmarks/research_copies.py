"""A large warehouse from a small one: its children many times over, under fresh tokens.

Ingesting half a million children takes hours and measures ingest. What dbt and a release read is
the pseudonymised tables and the bridge, so these are copied: every token of a child, a household or
an event gets a fresh value in each copy, the same in every table, so that a copy joins with itself
and with nothing else. Schools, practices, submissions, codes and areas stay what they are: a copy
has more children in each, not more of them. Deliveries grow, and stay as many as they were.

What this does not give: other histories. Each copy has the same months, codes and areas, so groups
by area and month grow as the population does, which no larger country's would: a model that pairs
rows within such a group shows up here first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb

from linked_cyp.contracts.model import Contract, OutputColumn, Table
from linked_cyp.core.sql import literal, quoted

# Token scopes that name places, organisations, submissions and codes rather than somebody.
SHARED = frozenset(
    {
        *("submission_id", "concept_id", "concept_map_id", "sen2_id", "school_census_id"),
        *("school_id", "school_urn", "establishment_id", "organisation_id", "place_id", "team_id"),
        *("placement_urn", "provider_ukprn_number", "social_worker_id"),
    }
)
# Numbers that a reader gives rows (a serial, a place in the file) are shifted by this in each copy.
SHIFT = 10_000_000


def copy_warehouse(
    small: Path, large: Path, contracts: Mapping[str, Contract], copies: int
) -> dict[str, int]:
    """Write ``large`` with ``copies`` times the children of ``small``.

    Tables that dbt makes are left out; everything else comes along.

    Args:
        small: the warehouse of an ingested and linked population; opened read-only.
        large: a file that does not exist yet.

    Returns:
        rows written, by table.
    """
    tables = {t.table_name: t for c in contracts.values() for t in c.tables.values()}
    bridge = {"record_key": True, "person_id": True}
    written = {}
    with duckdb.connect() as con:
        con.execute("SET preserve_insertion_order = false; SET memory_limit = '4GB'")
        con.execute(f"SET temp_directory = {literal(str(large.with_suffix('.tmp')))}")
        con.execute(f"ATTACH {literal(str(small))} AS small (READ_ONLY)")
        con.execute(f"ATTACH {literal(str(large))} AS warehouse")
        for schema, name in con.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'small'"
            " AND schema_name IN ('pseudonymised', 'linkage', 'provenance', 'reference')"
        ).fetchall():
            con.execute(f"CREATE SCHEMA IF NOT EXISTS warehouse.{schema}")
            changed: dict[str, str] = {}
            if schema == "pseudonymised" and name in tables:
                changed = _changed(tables[name])
            elif (schema, name) in (("linkage", "bridge"), ("linkage", "opted_out")):
                held = _columns(con, schema, name)
                changed = {c: fresh(c) for c in bridge if c in held}
            elif (schema, name) == ("pseudonymised", "delivery"):
                counts = ("rows_received", "rows_accepted", "rows_quarantined")
                _write(con, schema, name, {c: f"{c} * {copies}" for c in counts}, 1)
                continue
            written[f"{schema}.{name}"] = _write(
                con, schema, name, changed, copies if changed else 1
            )
        con.execute("CHECKPOINT warehouse")
    return written


def fresh(column: str) -> str:
    """SQL for a token in the copy ``copy``: itself in the first, another 63 bits in the others."""
    name = quoted(column)
    return f"CASE WHEN copy = 0 THEN {name} ELSE (hash({name}, copy) >> 1)::BIGINT END"


def _changed(table: Table) -> dict[str, str]:
    """SQL of the columns that differ from copy to copy; none for a table that is nobody's."""
    outputs = table.pseudonymised()
    own = [o.name for o in outputs if o.treatment == "token" and _scope(o) not in SHARED]
    if table.person_key:
        own.append("record_key")
    if not own:
        return {}
    changed = {name: fresh(name) for name in own} | {"row_number": f"row_number + copy * {SHIFT}"}
    if not set(own) & set(table.primary_key):
        serials = [o.name for o in outputs if o.treatment == "keep" and o.sql_type == "BIGINT"]
        changed |= {n: f"{quoted(n)} + copy * {SHIFT}" for n in serials if n.endswith("_id")}
    return changed


def _scope(output: OutputColumn) -> str:
    return output.source.token_scope or output.source.name


def _write(
    con: duckdb.DuckDBPyConnection, schema: str, name: str, changed: Mapping[str, str], copies: int
) -> int:
    relation = f"{quoted(schema)}.{quoted(name)}"
    replaced = ", ".join(f"{sql} AS {quoted(column)}" for column, sql in changed.items())
    selected = f"t.* REPLACE ({replaced})" if changed else "t.*"
    con.execute(
        f"CREATE TABLE warehouse.{relation} AS SELECT {selected}"
        f" FROM range({copies}) AS c(copy) CROSS JOIN small.{relation} AS t"
    )
    return int(con.execute(f"SELECT count(*) FROM warehouse.{relation}").fetchall()[0][0])


def _columns(con: duckdb.DuckDBPyConnection, schema: str, name: str) -> set[str]:
    rows = con.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = 'small'"
        " AND schema_name = ? AND table_name = ?",
        [schema, name],
    ).fetchall()
    return {row[0] for row in rows}
