"""Small warehouses for tests: the pseudonymised tables the contracts promise, empty or with a few
rows written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb

from linked_cyp.contracts import Contract, Table

DELIVERY_COLUMNS = {
    "delivery_id": "VARCHAR",
    "supplier": "VARCHAR",
    "feed": "VARCHAR",
    "period": "VARCHAR",
    "collection_year": "INTEGER",
    "status": "VARCHAR",
}


def pseudonymised_columns(table: Table) -> dict[str, str]:
    """Column names and SQL types of one pseudonymised table, with the row's own keys first."""
    keys = {"delivery_id": "VARCHAR", "row_number": "BIGINT"}
    if table.person_key:
        keys["record_key"] = "BIGINT"
    return keys | {output.name: output.sql_type for output in table.pseudonymised()}


def empty_warehouse(
    con: duckdb.DuckDBPyConnection,
    contracts: Mapping[str, Contract],
    catalog: str = "warehouse",
) -> None:
    """Create the empty pseudonymised tables, delivery ledger and bridge of a warehouse."""
    for schema in ("pseudonymised", "linkage"):
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {catalog}.{schema}")
    tables = {
        f"{catalog}.pseudonymised.{table.table_name}": pseudonymised_columns(table)
        for contract in contracts.values()
        for table in contract.tables.values()
    }
    tables[f"{catalog}.pseudonymised.delivery"] = DELIVERY_COLUMNS
    tables[f"{catalog}.linkage.bridge"] = {
        "record_key": "BIGINT",
        "feed": "VARCHAR",
        "person_id": "BIGINT",
    }
    for name, columns in tables.items():
        declared = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
        con.execute(f"CREATE TABLE IF NOT EXISTS {name} ({declared})")


def insert_rows(
    con: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Mapping[str, Any]]
) -> None:
    """Insert rows given as mappings; columns left out are null."""
    for row in rows:
        columns = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" for _ in row)
        con.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(row.values()))
