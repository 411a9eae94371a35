"""Small warehouses for tests: the pseudonymised tables the contracts promise, empty or with a few
rows written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import duckdb

from linked_cyp.contracts.facts import Excludes
from linked_cyp.contracts.model import Contract
from linked_cyp.linkage.records.opt_outs import OPT_OUT_DDL, OPTED_OUT_DDL
from linked_cyp.opt_outs.policy import not_applied
from linked_cyp.pseudonymise.deliveries import ensure_tables
from linked_cyp.pseudonymise.reference import ensure_establishments

NOT_ASKED = not_applied("the people of this test are invented, and cannot object")


def empty_warehouse(con: duckdb.DuckDBPyConnection, contracts: Mapping[str, Contract]) -> None:
    """Create the empty pseudonymised tables, ledger, schools and bridge in ``warehouse``."""
    ensure_tables(con, contracts.values())
    ensure_establishments(con)
    con.execute("CREATE SCHEMA IF NOT EXISTS warehouse.linkage")
    con.execute(
        "CREATE TABLE IF NOT EXISTS warehouse.linkage.bridge "
        "(record_key BIGINT, feed VARCHAR, person_id BIGINT, tier VARCHAR)"
    )


def insert_rows(
    con: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Mapping[str, Any]]
) -> None:
    """Insert rows given as mappings; columns left out are null."""
    for row in rows:
        columns = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" for _ in row)
        con.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(row.values()))


def no_opt_outs(con) -> None:
    """The linkage store as a build leaves it where nobody opted out (``linkage.opt_outs``)."""
    for name, columns in (
        ("opt_out", OPT_OUT_DDL),
        ("opted_out", OPTED_OUT_DDL),
        ("objector", "record_key BIGINT"),
        ("unknown_objection", "place VARCHAR"),
    ):
        con.execute(f"CREATE TABLE IF NOT EXISTS linkage.main.{name} ({columns})")


def with_exclusion(
    contracts: Mapping[str, Contract], feed: str, table: str, column: str, excludes: Excludes
) -> dict[str, Contract]:
    """The contracts with one more exclusion on a column."""
    contract = contracts[feed]
    before = contract.tables[table]
    columns = tuple(
        replace(c, excludes=excludes) if c.name == column else c for c in before.columns
    )
    tables = {**contract.tables, table: replace(before, columns=columns)}
    return {**contracts, feed: replace(contract, tables=tables)}
