"""Raw tables become pseudonymised tables: identifiers out, tokens in, dates and places coarsened.

What becomes of each column is the contract's plan (:meth:`Table.pseudonymised`) and nothing else.
It fails closed: a treatment this module does not know, an identifier that would be kept, or a raw
column the contract does not declare stops the delivery before a row is written. A delivery's rows
are replaced in one transaction, and their number must equal the raw table's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb
import polars as pl

from linked_cyp.contracts.model import Contract, Table
from linked_cyp.contracts.pseudonymised import ROW_COLUMNS, target
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import literal, quoted, transaction
from linked_cyp.identity import tokenise
from linked_cyp.identity.keys import Keys
from linked_cyp.identity.tokenise import raw
from linked_cyp.ingest.encoded import received
from linked_cyp.ingest.ledger import PROCESSABLE
from linked_cyp.pseudonymise import encoded
from linked_cyp.pseudonymise.plan import LookUps, insert_statement, refuse_unsafe

# The ledger's columns that the warehouse may show: no file names, no manifest.
LEDGER = {
    "delivery_id": "VARCHAR",
    "supplier": "VARCHAR",
    "feed": "VARCHAR",
    "period": "VARCHAR",
    "collection_year": "INTEGER",
    "status": "VARCHAR",
    "rows_received": "BIGINT",
    "rows_accepted": "BIGINT",
    "rows_quarantined": "BIGINT",
}
_ROW_COMMENTS = {
    "delivery_id": "The delivery the row came in.",
    "source_file": "Which of the delivery's files, counted from 0.",
    "row_number": "The data row's number in that file, from 1.",
    "record_key": "Keyed token of the person as this supplier numbers them.",
}


def pseudonymise_delivery(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    delivery_id: str,
    keys: Keys,
    postcodes: pl.DataFrame,
) -> dict[str, int]:
    """Write one delivery's pseudonymised tables, replacing what was there of it.

    A delivery that its supplier encoded is pseudonymised already: its rows are copied.

    Args:
        con: has the catalogs ``identifiable`` (read) and ``warehouse`` (written).
        contract: the whole contract (not one year's), as raw tables have all its columns.
        postcodes: where postcodes lie, from
        :func:`linked_cyp.pseudonymise.reference.load_postcodes`.

    Returns:
        Rows written, by table of the contract; 0 for a table the delivery did not hold.

    Raises:
        LinkedCypError: the plan is unsafe, raw tables do not fit the contract, or the rows written
            are not as many as the raw rows. Nothing is changed then.
    """
    tokenise.check_delivery_ids([delivery_id])
    with value_free(f"pseudonymising a delivery of {contract.feed}"):
        found = _columns_of(con, "identifiable", "raw")
        tables = [t for t in contract.tables.values() if t.table_name in found]
        for table in contract.tables.values():
            refuse_unsafe(table)
        if received.is_held(con, delivery_id):
            ensure_tables(con, [contract])
            with transaction(con):
                return encoded.publish(con, contract, delivery_id)
        for table in tables:
            _refuse_unexpected(table, found[table.table_name])
        ensure_tables(con, [contract])
        look_ups = LookUps.plan(contract.feed, tables)
        try:
            look_ups.make(con, [delivery_id], keys, postcodes)
            return _write(con, contract, tables, delivery_id, look_ups)
        finally:
            tokenise.drop(con, *look_ups.names())


def ensure_tables(con: duckdb.DuckDBPyConnection, contracts: Iterable[Contract]) -> None:
    """Create or update the pseudonymised table of every contract table, with its comments.

    A column new in the contract is added, one no longer in it is dropped with its values; both
    are put right by pseudonymising again.

    Raises:
        LinkedCypError: a column's type changed, so the table has to be made anew.
    """
    with value_free("creating pseudonymised tables"):
        con.execute("CREATE SCHEMA IF NOT EXISTS warehouse.pseudonymised")
        columns = ", ".join(f"{name} {kind}" for name, kind in LEDGER.items())
        con.execute(f"CREATE TABLE IF NOT EXISTS warehouse.pseudonymised.delivery ({columns})")
        found = _columns_of(con, "warehouse", "pseudonymised")
        for contract in contracts:
            for table in contract.tables.values():
                refuse_unsafe(table)
                _ensure_table(con, table, found.get(table.table_name, {}))


def refuse_unaccepted(con: duckdb.DuckDBPyConnection, delivery_id: str) -> None:
    """The gate: only a delivery that passed ingest goes further.

    Raises:
        LinkedCypError: the ledger does not hold it, or it was rejected or withdrawn.
    """
    with value_free("reading the ledger"):
        found = con.execute(
            "SELECT status FROM identifiable.ledger.current WHERE delivery_id = ?", [delivery_id]
        ).fetchall()
    if not found:
        raise LinkedCypError(f"delivery {delivery_id} is not in the ledger: ingest it first")
    if found[0][0] not in PROCESSABLE:
        raise LinkedCypError(f"delivery {delivery_id} is {found[0][0]} and goes no further")


def sync_ledger(con: duckdb.DuckDBPyConnection) -> int:
    """Copy the ledger to ``warehouse.pseudonymised.delivery``, without file names.

    Rows of withdrawn deliveries leave with it, so a process killed after a withdrawal and before
    :func:`remove_delivery` leaves nothing behind that the next run does not remove.

    Returns:
        Deliveries in the ledger.
    """
    names = ", ".join(LEDGER)
    with value_free("copying the ledger to the warehouse"):
        ensure_tables(con, ())
        with transaction(con):
            con.execute("DELETE FROM warehouse.pseudonymised.delivery")
            con.execute(
                f"INSERT INTO warehouse.pseudonymised.delivery ({names}) "
                f"SELECT {names} FROM identifiable.ledger.current"
            )
            withdrawn = "SELECT delivery_id FROM identifiable.ledger.current WHERE status = ?"
            _remove(con, withdrawn, "withdrawn")
            return _count(con, "SELECT count(*) FROM warehouse.pseudonymised.delivery")


def remove_delivery(con: duckdb.DuckDBPyConnection, delivery_id: str) -> dict[str, int]:
    """Remove a delivery's rows from every pseudonymised table; returns rows removed by table.

    The bytes stay in the file until :meth:`linked_cyp.stores.door.Stores.rebuild`.
    """
    with value_free("removing a delivery from the warehouse"), transaction(con):
        return _remove(con, "SELECT ?", delivery_id)


def _remove(con: duckdb.DuckDBPyConnection, deliveries: str, parameter: str) -> dict[str, int]:
    """Delete the rows of some deliveries (SQL with one parameter) from every table of rows."""
    removed = {}
    for (name,) in con.execute(
        "SELECT table_name FROM duckdb_columns() WHERE database_name = 'warehouse' "
        "AND schema_name = 'pseudonymised' AND column_name = 'row_number' ORDER BY 1"
    ).fetchall():
        rows = _count(
            con,
            f"DELETE FROM warehouse.pseudonymised.{quoted(name)} "
            f"WHERE delivery_id IN ({deliveries})",
            [parameter],
        )
        if rows:
            removed[name] = rows
    return removed


def _write(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    tables: Iterable[Table],
    delivery_id: str,
    look_ups: LookUps,
) -> dict[str, int]:
    written = dict.fromkeys(contract.tables, 0)
    with transaction(con):
        for table in contract.tables.values():
            con.execute(f"DELETE FROM {target(table)} WHERE delivery_id = ?", [delivery_id])
        for table in tables:
            con.execute(insert_statement(table, look_ups), [delivery_id])
            counted = "SELECT count(*) FROM {} WHERE delivery_id = ?"
            expected = _count(con, counted.format(raw(table.table_name)), [delivery_id])
            rows = _count(con, counted.format(target(table)), [delivery_id])
            if rows != expected:
                raise LinkedCypError(
                    f"{table.table_name}: {expected} raw rows became {rows} pseudonymised rows"
                )
            written[table.name] = rows
    return written


def _columns_of(
    con: duckdb.DuckDBPyConnection, catalog: str, schema: str
) -> dict[str, dict[str, str]]:
    """Type by column by table. DuckDB reads its whole catalogue to answer, so it is asked once."""
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in con.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = ? AND schema_name = ? ORDER BY table_name, column_index",
        [catalog, schema],
    ).fetchall():
        tables.setdefault(table, {})[column] = kind
    return tables


def _refuse_unexpected(table: Table, found: Mapping[str, str]) -> None:
    declared = {*ROW_COLUMNS, *(column.name for column in table.columns)}
    if unexpected := len(set(found) - declared):
        raise LinkedCypError(
            f"raw {table.table_name} has {unexpected} columns the contract does not declare"
        )
    if missing := sorted(declared - set(found)):
        raise LinkedCypError(f"raw {table.table_name} lacks {', '.join(missing)}")


def _ensure_table(con: duckdb.DuckDBPyConnection, table: Table, found: Mapping[str, str]) -> None:
    wanted = dict(ROW_COLUMNS)
    if table.person_key:
        wanted["record_key"] = "BIGINT"
    outputs = table.pseudonymised()
    wanted |= {output.name: output.sql_type for output in outputs}
    if found == wanted:
        return
    with transaction(con):
        if not found:
            columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in wanted.items())
            con.execute(f"CREATE TABLE {target(table)} ({columns})")
        for name in found.keys() - wanted.keys():
            con.execute(f"ALTER TABLE {target(table)} DROP COLUMN {quoted(name)}")
        for name, kind in wanted.items():
            if found and name not in found:
                con.execute(f"ALTER TABLE {target(table)} ADD COLUMN {quoted(name)} {kind}")
            elif found and found[name] != kind:
                raise LinkedCypError(
                    f"pseudonymised {table.table_name}.{name} is {found[name]}, the contract says "
                    f"{kind}: make the warehouse anew"
                )
        con.execute(f"COMMENT ON TABLE {target(table)} IS {literal(table.description)}")
        comments = {name: text for name, text in _ROW_COMMENTS.items() if name in wanted}
        comments |= {output.name: output.description for output in outputs}
        for name, text in comments.items():
            con.execute(f"COMMENT ON COLUMN {target(table)}.{quoted(name)} IS {literal(text)}")


def _count(con: duckdb.DuckDBPyConnection, sql: str, parameters: Iterable[str] = ()) -> int:
    return con.execute(sql, list(parameters)).fetchall()[0][0]
