"""The canonical content hash of a release.

DuckDB files are not reproducible byte for byte, so what is hashed is the content: each table's
name, comments, columns and rows, in a fixed order and notation. The same content has the same hash
whatever the number of threads and the order in which rows were written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

import duckdb

from linked_cyp.core.sql import quoted

BATCH = 50_000
# Sums of fractions depend on the order of adding in their last digits, so those are left out.
_FRACTIONS = ("DOUBLE", "FLOAT")


def content_hash(
    con: duckdb.DuckDBPyConnection, catalog: str, tables: Iterable[tuple[str, str]]
) -> str:
    """SHA-256 over the given tables (schema, name) of a catalog, in hexadecimal."""
    total = hashlib.sha256()
    for schema, table in sorted(tables):
        total.update(_table_hash(con, catalog, schema, table))
    return total.hexdigest()


def _table_hash(con: duckdb.DuckDBPyConnection, catalog: str, schema: str, table: str) -> bytes:
    columns = con.execute(
        "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE database_name = ?"
        " AND schema_name = ? AND table_name = ? ORDER BY column_index",
        [catalog, schema, table],
    ).fetchall()
    comment = con.execute(
        "SELECT comment FROM duckdb_tables() WHERE (database_name, schema_name, table_name)"
        " = (?, ?, ?)",
        [catalog, schema, table],
    ).fetchone()
    digest = hashlib.sha256()
    digest.update(json.dumps([schema, table, comment and comment[0], columns]).encode())
    relation = f"{quoted(catalog)}.{quoted(schema)}.{quoted(table)}"
    # Row hashes are of one length, so sorting and joining them is unambiguous.
    cursor = con.cursor()
    cursor.execute(f"SELECT {_row_hash(columns)} AS h FROM {relation} ORDER BY h")
    while rows := cursor.fetchmany(BATCH):
        digest.update("".join([row[0] for row in rows]).encode())
    return digest.digest()


def _row_hash(columns: Sequence[tuple[str, str, str]]) -> str:
    """One row as JSON text, hashed: JSON tells null from empty and keeps columns apart."""
    values = [
        f"format('{{:.12g}}', {quoted(name)})" if kind in _FRACTIONS else quoted(name)
        for name, kind, _ in columns
    ]
    return f"sha256(to_json([{', '.join(f'to_json({v})' for v in values)}])::VARCHAR)"
