"""Quoting for generated SQL, and transactions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import duckdb


def quoted(name: str) -> str:
    """One identifier, quoted; DuckDB reserves words that standard SQL does not."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """One string literal."""
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All that is written to one store inside, or nothing (DuckDB: one store per transaction)."""
    con.execute("BEGIN TRANSACTION")
    try:
        yield
    except BaseException:
        con.execute("ROLLBACK")
        raise
    con.execute("COMMIT")


def insert(con: duckdb.DuckDBPyConnection, table: str, row: Mapping[str, Any]) -> None:
    """One row, by the names of its columns; those not named take their default."""
    names = ", ".join(map(quoted, row))
    marks = ", ".join("?" * len(row))
    con.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))


def exists(con: duckdb.DuckDBPyConnection, relation: str) -> bool:
    """Whether ``catalog.schema.table`` exists, as a table or a view."""
    catalog, schema, table = relation.split(".")
    found = con.execute(
        "SELECT count(*) FROM information_schema.tables"
        " WHERE table_catalog = ? AND table_schema = ? AND table_name = ?",
        [catalog, schema, table],
    ).fetchone()
    return bool(found and found[0])
