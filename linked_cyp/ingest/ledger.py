"""The ledger: what arrived, what became of it, and what therefore counts now.

Only facts are stored: what a delivery held, whether it could be accepted, whether it was
withdrawn. Which delivery is superseded is derived by a view from the order of versions, never
from the order of arrival, so any arrival order gives one state.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import duckdb

from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import quoted, transaction
from linked_cyp.ingest.landing import STATEMENT

DELIVERY = "identifiable.ledger.delivery"
FILE = "identifiable.ledger.delivery_file"
TABLE = "identifiable.ledger.delivery_table"
COLUMN = "identifiable.ledger.delivery_column"
WORSE_ALLOWED = "identifiable.ledger.worse_allowed"
WITHDRAWAL = "identifiable.ledger.withdrawal"
CURRENT = "identifiable.ledger.current"
REJECTED = "identifiable.quarantine.rejected"
ARCHIVE = "identifiable.archive.file"
ENCODED = "identifiable.encoded"  # a schema: rows of deliveries that came encoded

UNLESS_TOLD = "unless somebody says that it is right"  # in every reason that can be overruled

_SCHEMA = f"""
CREATE SCHEMA IF NOT EXISTS identifiable.ledger;
CREATE SCHEMA IF NOT EXISTS identifiable.raw;
CREATE SCHEMA IF NOT EXISTS identifiable.quarantine;
CREATE SCHEMA IF NOT EXISTS identifiable.archive;
CREATE TABLE IF NOT EXISTS {DELIVERY} (
    delivery_id VARCHAR NOT NULL, supplier VARCHAR NOT NULL, feed VARCHAR NOT NULL,
    period VARCHAR NOT NULL, collection_year INTEGER, version VARCHAR, produced VARCHAR,
    version_order VARCHAR NOT NULL, content_sha256 VARCHAR NOT NULL, contract_version VARCHAR,
    outcome VARCHAR NOT NULL, reason VARCHAR, files INTEGER, rows_received BIGINT,
    rows_accepted BIGINT, rows_quarantined BIGINT, cells_blanked BIGINT, received_at TIMESTAMP);
CREATE TABLE IF NOT EXISTS {FILE} (
    delivery_id VARCHAR NOT NULL, file_index INTEGER NOT NULL, file_name VARCHAR, sha256 VARCHAR,
    size BIGINT, encoding VARCHAR, tables VARCHAR[], rows BIGINT, expected_rows BIGINT,
    rule VARCHAR, column_name VARCHAR, undeclared_columns VARCHAR[], out_of_force_columns VARCHAR[],
    is_repaired BOOLEAN);
CREATE TABLE IF NOT EXISTS {TABLE} (
    delivery_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, received BIGINT, accepted BIGINT,
    quarantined BIGINT, cells_blanked BIGINT);
CREATE TABLE IF NOT EXISTS {COLUMN} (
    delivery_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, column_name VARCHAR NOT NULL,
    rows BIGINT, filled BIGINT, repaired BIGINT, lost BIGINT);
CREATE TABLE IF NOT EXISTS {WORSE_ALLOWED} (
    delivery_id VARCHAR NOT NULL, reason VARCHAR, allowed_at TIMESTAMP);
CREATE TABLE IF NOT EXISTS {WITHDRAWAL} (
    delivery_id VARCHAR NOT NULL, reason VARCHAR, withdrawn_at TIMESTAMP, erased_at TIMESTAMP);
CREATE TABLE IF NOT EXISTS {REJECTED} (
    delivery_id VARCHAR NOT NULL, feed VARCHAR NOT NULL, table_name VARCHAR, source_file INTEGER,
    row_number BIGINT, scope VARCHAR NOT NULL, column_name VARCHAR, rule VARCHAR NOT NULL,
    rows BIGINT NOT NULL, record VARCHAR);
CREATE TABLE IF NOT EXISTS {ARCHIVE} (
    delivery_id VARCHAR NOT NULL, file_index INTEGER NOT NULL, part INTEGER NOT NULL, content BLOB);
CREATE OR REPLACE VIEW {CURRENT} AS
WITH ranked AS (
    SELECT d.*, w.delivery_id IS NOT NULL AS is_withdrawn, w.withdrawn_at, w.erased_at,
        row_number() OVER (
            PARTITION BY d.supplier, d.feed, d.period,
                d.outcome = 'accepted' AND w.delivery_id IS NULL
            ORDER BY d.version_order DESC, d.content_sha256 DESC) AS place
    FROM {DELIVERY} AS d LEFT JOIN {WITHDRAWAL} AS w ON w.delivery_id = d.delivery_id
)
SELECT * EXCLUDE (is_withdrawn, place),
    CASE WHEN is_withdrawn THEN 'withdrawn' WHEN outcome = 'rejected' THEN 'rejected'
        WHEN place > 1 THEN 'superseded' ELSE 'accepted' END AS status
FROM ranked;
"""


PROCESSABLE = ("accepted", "superseded")  # statuses of deliveries whose rows are in raw tables


@dataclass(frozen=True)
class TableCounts:
    """Rows of one table in one delivery: ``accepted + quarantined == received``, always.

    ``cells_blanked`` counts values of accepted rows that could not be read.
    """

    received: int = 0
    accepted: int = 0
    quarantined: int = 0
    cells_blanked: int = 0


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file; ``rule`` says why it was refused, None when it was read."""

    index: int
    tables: tuple[str, ...]
    rows: int
    encoding: str | None = None
    rule: str | None = None
    column: str | None = None
    undeclared: tuple[str, ...] = ()


@dataclass(frozen=True)
class DeliveryOutcome:
    """What the ledger says of one delivery. No field holds a value from the data.

    ``status`` is accepted, rejected, superseded or withdrawn as of now; ``reason`` says why it was
    rejected; ``unassigned_rows`` counts rows of files that belong to no table (all quarantined);
    ``is_repeat`` tells that this content was known already and nothing was read; ``is_encoded``
    that the supplier encoded it.
    """

    delivery_id: str
    supplier: str
    feed: str
    period: str
    status: str
    reason: str | None
    tables: Mapping[str, TableCounts] = field(default_factory=dict)
    files: tuple[FileOutcome, ...] = ()
    unassigned_rows: int = 0
    is_repeat: bool = False
    is_encoded: bool = False

    def table(self, name: str) -> TableCounts:
        """Counts of one table, all zero when the delivery held none of it."""
        return self.tables.get(name, TableCounts())

    @property
    def received(self) -> int:
        return sum(t.received for t in self.tables.values()) + self.unassigned_rows

    @property
    def accepted(self) -> int:
        return sum(t.accepted for t in self.tables.values())

    @property
    def quarantined(self) -> int:
        return self.received - self.accepted


def prepare(con: duckdb.DuckDBPyConnection) -> None:
    """Make the identifiable store's schemas, tables and views where they are missing."""
    if not _prepared(con):
        con.execute(_SCHEMA)


def _prepared(con: duckdb.DuckDBPyConnection) -> bool:
    found = con.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'identifiable' "
        "AND schema_name = 'ledger' AND table_name = 'worse_allowed'"
    ).fetchone()
    return bool(found and found[0])


@dataclass(frozen=True)
class LedgerRow:
    """One delivery as it stands now; ``status`` is derived, see :data:`CURRENT`."""

    delivery_id: str
    supplier: str
    feed: str
    period: str
    collection_year: int
    version: str
    status: str
    reason: str | None
    received: int
    accepted: int
    quarantined: int
    cells_blanked: int


def ledger_rows(con: duckdb.DuckDBPyConnection, feed: str | None = None) -> list[LedgerRow]:
    """Every delivery with its status of now, newest version first within supplier and period."""
    if not _prepared(con):
        return []
    rows = con.execute(
        "SELECT delivery_id, supplier, feed, period, collection_year, version, status, reason, "
        "rows_received, rows_accepted, rows_quarantined, cells_blanked "
        f"FROM {CURRENT} WHERE feed = coalesce(?, feed) "
        "ORDER BY feed, supplier, period, version_order DESC, content_sha256 DESC",
        [feed],
    ).fetchall()
    return [LedgerRow(*row) for row in rows]


def absent_columns(
    con: duckdb.DuckDBPyConnection, deliveries: Collection[str]
) -> dict[str, list[str]]:
    """The columns that accepted deliveries lack, as ``table.column``, by delivery."""
    rows = con.execute(
        "SELECT delivery_id, list(table_name || '.' || column_name ORDER BY table_name, "
        f"column_name) FROM {COLUMN} WHERE list_contains(?, delivery_id) AND filled IS NULL AND "
        f"delivery_id IN (SELECT delivery_id FROM {DELIVERY} WHERE outcome = 'accepted') "
        "GROUP BY delivery_id ORDER BY delivery_id",
        [list(deliveries)],
    ).fetchall()
    return dict(rows)


def current_deliveries(con: duckdb.DuckDBPyConnection, feed: str | None = None) -> list[str]:
    """The deliveries that count now: accepted, not superseded, not withdrawn."""
    rows = con.execute(
        f"SELECT delivery_id FROM {CURRENT} "
        "WHERE status = 'accepted' AND feed = coalesce(?, feed) ORDER BY ALL",
        [feed],
    ).fetchall()
    return [row[0] for row in rows]


def outcome(
    con: duckdb.DuckDBPyConnection, delivery_id: str, *, is_repeat: bool = False
) -> DeliveryOutcome:
    """What the ledger holds about one delivery.

    Raises:
        LinkedCypError: the ledger does not know it.
    """
    found = con.execute(
        "SELECT supplier, feed, period, status, reason, rows_received "
        f"FROM {CURRENT} WHERE delivery_id = ?",
        [delivery_id],
    ).fetchone()
    if found is None:
        raise LinkedCypError("the ledger does not know this delivery")
    tables = {
        name: TableCounts(*counts)
        for name, *counts in con.execute(
            "SELECT table_name, received, accepted, quarantined, cells_blanked "
            f"FROM {TABLE} WHERE delivery_id = ? ORDER BY table_name",
            [delivery_id],
        ).fetchall()
    }
    files = tuple(
        FileOutcome(index, tuple(names or ()), rows, encoding, rule, column, tuple(dropped or ()))
        for index, names, rows, encoding, rule, column, dropped in con.execute(
            "SELECT file_index, tables, rows, encoding, rule, column_name, undeclared_columns "
            f"FROM {FILE} WHERE delivery_id = ? ORDER BY file_index",
            [delivery_id],
        ).fetchall()
    )
    supplier, feed, period, status, reason, received = found
    unassigned = received - sum(t.received for t in tables.values())
    encoded = con.execute(
        f"SELECT count(*) FROM {FILE} WHERE delivery_id = ? AND file_name = ?",
        [delivery_id, STATEMENT],
    ).fetchall()
    return DeliveryOutcome(
        delivery_id,
        supplier,
        feed,
        period,
        status,
        reason,
        tables,
        files,
        unassigned,
        is_repeat,
        bool(encoded[0][0]),
    )


def withdraw(con: duckdb.DuckDBPyConnection, delivery_id: str, reason: str) -> str | None:
    """Withdraw a delivery: it counts no more from the next build on, even if it lands again.

    Withdrawing twice changes nothing. An older delivery of the same supplier, feed and period,
    if it was not withdrawn itself, counts again: withdraw both to remove both.

    Args:
        reason: for the operator; kept in the encrypted store only.

    Returns:
        The delivery of the same supplier, feed and period that counts now instead, if any.

    Raises:
        LinkedCypError: the ledger does not know the delivery, or no reason was given.
    """
    if not reason.strip():
        raise LinkedCypError("a withdrawal needs a reason")
    with value_free("withdrawing a delivery"):
        prepare(con)
        target = outcome(con, delivery_id)
        con.execute(
            f"INSERT INTO {WITHDRAWAL} SELECT ?, ?, now() AT TIME ZONE 'UTC', NULL "
            f"WHERE NOT EXISTS (FROM {WITHDRAWAL} WHERE delivery_id = ?)",
            [delivery_id, reason, delivery_id],
        )
        now = con.execute(
            f"SELECT delivery_id FROM {CURRENT} WHERE status = 'accepted' "
            "AND supplier = ? AND feed = ? AND period = ?",
            [target.supplier, target.feed, target.period],
        ).fetchone()
        return now[0] if now and target.status == "accepted" else None


def allow_worse(con: duckdb.DuckDBPyConnection, delivery_id: str, reason: str) -> None:
    """Say that a delivery is right although it is of another size than before, lacks what it used
    to hold, or would supersede one that was read better; it is then to be taken again.

    Raises:
        LinkedCypError: the ledger does not know the delivery, or no reason was given.
    """
    if not reason.strip():
        raise LinkedCypError("taking a worse delivery needs a reason")
    prepare(con)
    outcome(con, delivery_id)
    con.execute(
        f"INSERT INTO {WORSE_ALLOWED} VALUES (?, ?, now() AT TIME ZONE 'UTC')",
        [delivery_id, reason],
    )


def how_to_allow(delivery_id: str) -> str:
    """What an operator does who knows that a refused delivery is right."""
    return f'if it is right: linked-cyp ingest --allow {delivery_id} --reason "..."'


def is_allowed(con: duckdb.DuckDBPyConnection, delivery_id: str) -> bool:
    """Whether somebody said that a delivery is right (:func:`allow_worse`)."""
    found = con.execute(
        f"SELECT count(*) FROM {WORSE_ALLOWED} WHERE delivery_id = ?", [delivery_id]
    ).fetchone()
    return bool(found and found[0])


def is_withdrawn(con: duckdb.DuckDBPyConnection, delivery_id: str) -> bool:
    """Whether a delivery was withdrawn (erased or not yet)."""
    found = con.execute(
        f"SELECT count(*) FROM {WITHDRAWAL} WHERE delivery_id = ?", [delivery_id]
    ).fetchone()
    return bool(found and found[0])


def withdrawn(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Every withdrawn delivery, erased or not: what no other store may hold."""
    prepare(con)
    rows = con.execute(f"SELECT delivery_id FROM {WITHDRAWAL} ORDER BY ALL").fetchall()
    return [row[0] for row in rows]


def tables_of_rows(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The qualified name of every table that holds rows of deliveries, as sent or encoded."""
    found = con.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() "
        "WHERE database_name = 'identifiable' AND schema_name IN ('raw', 'encoded') ORDER BY ALL"
    ).fetchall()
    return [f"identifiable.{schema}.{quoted(table)}" for schema, table in found]


def erase_withdrawn(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Delete every row, quarantined record, archived byte and file name of withdrawn deliveries.

    The ledger keeps that they existed, their counts and their withdrawal. Deleted rows leave bytes
    in the file until the store is rebuilt (``Stores.rebuild``), which the caller does next.

    Returns:
        The deliveries erased now (those erased before are not repeated).
    """
    with value_free("erasing withdrawn deliveries"):
        prepare(con)
        found = con.execute(
            f"SELECT delivery_id FROM {WITHDRAWAL} WHERE erased_at IS NULL ORDER BY ALL"
        ).fetchall()
        ids = [row[0] for row in found]
        if not ids:
            return []
        with transaction(con):
            for name in [*tables_of_rows(con), REJECTED, ARCHIVE]:
                con.execute(f"DELETE FROM {name} WHERE list_contains(?, delivery_id)", [ids])
            # Bytes of deliveries whose ingest was killed and never run again.
            con.execute(
                f"DELETE FROM {ARCHIVE} WHERE delivery_id NOT IN "
                f"(SELECT delivery_id FROM {DELIVERY})"
            )
            con.execute(
                f"UPDATE {FILE} SET file_name = NULL, undeclared_columns = NULL "
                "WHERE list_contains(?, delivery_id)",
                [ids],
            )
            con.execute(
                f"UPDATE {WITHDRAWAL} SET erased_at = now() AT TIME ZONE 'UTC' "
                "WHERE list_contains(?, delivery_id)",
                [ids],
            )
        return ids
