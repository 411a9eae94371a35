"""Quoting for generated SQL, and transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
