"""Deliveries: from files that landed to rows in the identifiable store, or reasons why not.

A delivery is accepted or rejected as a whole; within an accepted one, rows that break their
contract are quarantined with the rule they broke. ``accepted + quarantined == received`` holds for
every table and is checked here, in code. One delivery is one transaction: a process killed at any
point leaves the store as it was, and running again gives the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from linked_cyp.contracts.model import Contract, Table
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import insert, literal, quoted, transaction
from linked_cyp.identity.keys import Keys
from linked_cyp.ingest import gone, ledger, losses, periods, refusals, same_people, volume
from linked_cyp.ingest.archive import archive, located
from linked_cyp.ingest.encoded import received
from linked_cyp.ingest.landing import (
    STATEMENT,
    LandedDelivery,
    find,
)
from linked_cyp.ingest.ledger import (
    DELIVERY,
    FILE,
    REJECTED,
    TABLE,
    WORSE_ALLOWED,
    DeliveryOutcome,
    TableCounts,
    is_withdrawn,
    outcome,
    prepare,
    tables_of_rows,
)
from linked_cyp.ingest.readers import FileResult, SourceFile, Staged, stage_delivery
from linked_cyp.ingest.readers.staging import (
    PROBLEMS,
    StagedTable,
    problem_counts,
    rejected_rows,
)

if TYPE_CHECKING:
    from linked_cyp.ingest.encoded.statement import Statement


def ingest(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    delivery: LandedDelivery | str,
    work_dir: Path,
    *,
    again: bool = False,
    keys: Keys | None = None,
) -> DeliveryOutcome:
    """Read one delivery into the identifiable store, in one transaction.

    Content that the ledger knows is not read again, unless the contract's version changed since;
    withdrawn content stays withdrawn. A delivery that cannot be accepted is recorded as rejected,
    with its reason, and leaves no rows in ``raw``: this is an outcome, not an error.

    Args:
        con: a connection with the identifiable store attached for writing, outside a transaction.
        contract: the feed's contract.
        delivery: what landed, or the id of a delivery that is in the archive.
        work_dir: private folder (0700) for transcoded copies; cleared of ours on return.
        again: read it even if nothing changed.
        keys: the master key's, by which a delivery that came encoded is known to be genuine.

    Raises:
        LinkedCypError: the delivery is of another feed, it is encoded and no keys are given, its
            files changed since they were identified, its id is unknown, or the store failed.
            Messages hold no values.
    """
    with value_free("ingesting a delivery"):
        prepare(con)
        with located(con, delivery, work_dir) as landed:
            if landed.feed != contract.feed:
                raise LinkedCypError("the delivery is of another feed than the contract")
            if _known(con, contract, landed) and not again:
                return _repeat(con, landed)
            if is_withdrawn(con, landed.delivery_id):
                return _repeat(con, landed)
            if landed.is_encoded:
                _take_encoded(con, contract, landed, work_dir, keys)
                return outcome(con, landed.delivery_id)
            year = contract.collection_year(landed.period)
            files = [SourceFile(f.index, f.name, f.path, f.expected_rows) for f in landed.files]
            with stage_delivery(con, contract, files, work_dir, year) as staged:
                archive(con, landed)  # after reading: notices a file that changed meanwhile
                _store(con, contract, landed, staged, year)
    return outcome(con, landed.delivery_id)


def ingest_landed(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    delivery_id: str,
    landing: Path,
    work_dir: Path,
    keys: Keys | None = None,
) -> DeliveryOutcome:
    """:func:`ingest` by id: from the landing folder, else from the archive.

    Raises:
        LinkedCypError: it is in neither, or as :func:`ingest`.
    """
    landed = find(landing, {contract.feed: contract}, delivery_id)
    return ingest(con, contract, landed or delivery_id, work_dir, keys=keys)


def _take_encoded(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    landed: LandedDelivery,
    work_dir: Path,
    keys: Keys | None,
) -> None:
    """Take a delivery that its supplier encoded; refused, it is recorded without any row.

    Nothing that a refused one says of itself is believed, its counts included.
    """
    if keys is None:
        raise LinkedCypError("an encoded delivery is verified with the keys, and none were given")
    with received.copied(landed, work_dir) as own:
        statement, reason = None, landed.problem
        if reason is None:
            try:
                statement = received.believed(con, contract, own, keys)
            except received.Refused as refusal:
                reason = f"encoded delivery refused: {refusal}"
        archive(con, own)
        _store_encoded(con, contract, own, statement, reason)


def _store_encoded(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    landed: LandedDelivery,
    statement: Statement | None,
    reason: str | None,
) -> None:
    rows = {name: count for name, (count, _) in statement.files.items()} if statement else {}
    staged = Staged(contract, contract)
    staged.files += [FileResult(f.index, rows=rows.get(f.name, 0)) for f in landed.files]
    with transaction(con):
        versions = _forget(con, landed)
        counts: dict[str, TableCounts] = {}
        if statement:
            counts = dict(statement.tables)
            received.store(con, contract, landed, statement)
            if statement.unassigned_rows:  # in files that never left the supplier
                place = [file.name for file in landed.files].index(STATEMENT)
                staged.files[place].rows = statement.unassigned_rows
                staged.files[place].rule = "file__unrecognised"
        year = contract.collection_year(landed.period)
        _store_ledger(con, contract, landed, staged, year, reason, counts, versions)
        _check_quarantine(con, landed.delivery_id)


def _known(con: duckdb.DuckDBPyConnection, contract: Contract, landed: LandedDelivery) -> bool:
    if landed.is_encoded:
        # Accepted, it stays so under a later contract, which it cannot be read by again; refused,
        # it may be acceptable by now.
        known = con.execute(
            f"SELECT outcome FROM {DELIVERY} WHERE delivery_id = ?", [landed.delivery_id]
        ).fetchone()
        return known == ("accepted",)
    found = con.execute(
        f"SELECT contract_version = ? AND (outcome = 'accepted' OR delivery_id NOT IN "
        f"(SELECT delivery_id FROM {WORSE_ALLOWED})) FROM {DELIVERY} WHERE delivery_id = ?",
        [contract.version, landed.delivery_id],
    ).fetchone()
    return bool(found and found[0])


def _repeat(con: duckdb.DuckDBPyConnection, landed: LandedDelivery) -> DeliveryOutcome:
    """The same content again: nothing to read, but it may have come under a newer version."""
    con.execute(
        f"UPDATE {DELIVERY} SET version = ?, produced = ?, version_order = ? "
        "WHERE delivery_id = ? AND version_order < ?",
        [
            landed.version,
            landed.produced,
            landed.version_order,
            landed.delivery_id,
            landed.version_order,
        ],
    )
    return outcome(con, landed.delivery_id, is_repeat=True)


def _store(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    landed: LandedDelivery,
    staged: Staged,
    year: int,
) -> None:
    judged = {name: problem_counts(con, name) for name in staged.tables}
    columns = losses.column_counts(con, staged)
    reasons = _reasons(con, contract, landed, staged, columns, judged)
    with transaction(con):
        versions = _forget(con, landed)
        for table in contract.tables.values():
            _raw_table(con, table)
        counts = {
            name: _store_table(con, landed.delivery_id, item, judged[name], bool(reasons))
            for name, item in staged.tables.items()
        }
        _store_problems(con, landed, counts, bool(reasons))
        absent = [(t, c.name) for t, c in gone.absent(staged) if c.name not in t.present]
        lacking = [(item.table.name, name) for item, name in absent]
        losses.store_counts(con, landed.delivery_id, columns, lacking)
        _store_ledger(
            con, contract, landed, staged, year, "; ".join(reasons) or None, counts, versions
        )
        _check_quarantine(con, landed.delivery_id)


def _reasons(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    landed: LandedDelivery,
    staged: Staged,
    columns: Sequence[losses.ColumnCount],
    judged: Mapping[str, Mapping[str, int]],
) -> list[str]:
    """Why a delivery is refused: for its folder, for what it holds, for what came before it."""
    files = [SourceFile(f.index, f.name, f.path, f.expected_rows) for f in landed.files]
    reasons = [landed.problem] if landed.problem else []
    reasons += map(str, refusals.structure(staged, files))
    reasons += periods.refusals(con, staged, landed)
    received = {name: item.received for name, item in staged.tables.items()}
    reasons += [] if reasons else volume.refusals(con, contract, landed, received)
    reasons += map(str, refusals.contents(con, staged, columns, judged))
    if not reasons and not ledger.is_allowed(con, landed.delivery_id):
        reasons += map(str, losses.repeats(con, staged))
    reasons += [] if reasons else map(str, gone.refusals(con, landed, staged, columns))
    if not reasons and not ledger.is_allowed(con, landed.delivery_id):
        reasons += map(str, same_people.refusals(con, landed, staged))
    reasons += [] if reasons else losses.worse_than_before(con, landed, columns)
    if any(ledger.UNLESS_TOLD in reason for reason in reasons):
        reasons.append(ledger.how_to_allow(landed.delivery_id))
    return reasons


def _forget(con: duckdb.DuckDBPyConnection, landed: LandedDelivery) -> tuple[str, str, str]:
    """Remove what an earlier reading stored; the greatest version this content came under."""
    mine = (landed.version, landed.produced, landed.version_order)
    before = con.execute(
        f"SELECT version, produced, version_order FROM {DELIVERY} WHERE delivery_id = ?",
        [landed.delivery_id],
    ).fetchone()
    if before is None:
        return mine
    for name in [*tables_of_rows(con), REJECTED, DELIVERY, FILE, TABLE]:
        con.execute(f"DELETE FROM {name} WHERE delivery_id = ?", [landed.delivery_id])
    return max(mine, before, key=lambda version: version[2])


def _store_table(
    con: duckdb.DuckDBPyConnection,
    delivery_id: str,
    item: StagedTable,
    problems: Mapping[str, int],
    rejected: bool,
) -> TableCounts:
    """Put one table's sound rows into ``raw``.

    Raises:
        LinkedCypError: the numbers do not reconcile.
    """
    target = _raw_table(con, item.table)
    accepted = 0
    if not rejected:
        names = ", ".join(quoted(name) for name in item.present)
        bad = (
            f"ANTI JOIN ({rejected_rows(item)}) AS bad USING (source_file, row_number)"
            if problems["rows"]
            else ""
        )
        columns = ", ".join(["row_number", "source_file", *([names] if names else [])])
        counted = con.execute(
            f"INSERT INTO {target} BY NAME SELECT {literal(delivery_id)} AS delivery_id, "
            f"{columns} FROM {item.relation} AS s {bad}"
        ).fetchone()
        accepted = int(counted[0]) if counted else 0
    quarantined = problems["rows"] + problems["file_rows"]
    if rejected:
        quarantined = item.received
    if accepted + quarantined != item.received:
        raise LinkedCypError(
            f"{item.table.name}: {accepted} accepted and {quarantined} quarantined rows "
            f"are not the {item.received} received"
        )
    cells = 0 if rejected else problems["cells"]
    return TableCounts(item.received, accepted, quarantined, cells)


def _raw_table(con: duckdb.DuckDBPyConnection, table: Table) -> str:
    """The table in ``raw``, made or widened to the contract's columns."""
    name = f"identifiable.raw.{quoted(table.table_name)}"
    columns = [f"{quoted(c.name)} {c.sql_type}" for c in table.columns]
    con.execute(
        f"CREATE TABLE IF NOT EXISTS {name} (delivery_id VARCHAR, row_number BIGINT, "
        f"source_file INTEGER, {', '.join(columns)})"
    )
    held = {row[0] for row in con.execute(f"SELECT column_name FROM (DESCRIBE {name})").fetchall()}
    for column in table.columns:
        if column.name not in held:
            con.execute(f"ALTER TABLE {name} ADD COLUMN {quoted(column.name)} {column.sql_type}")
    return name


def _store_problems(
    con: duckdb.DuckDBPyConnection,
    landed: LandedDelivery,
    counts: dict[str, TableCounts],
    rejected: bool,
) -> None:
    """Put the problems into quarantine; ``rows`` adds up to the rows quarantined.

    The first rule a row breaks counts it and keeps its record; further rules count nothing.
    """
    ident = [landed.delivery_id, landed.feed]
    con.execute(
        f"INSERT INTO {REJECTED} SELECT ?, ?, table_name, source_file, row_number, scope, "
        "column_name, rule, CASE WHEN scope = 'row' THEN (nth = 1)::BIGINT ELSE rows END, "
        "CASE WHEN scope <> 'row' OR nth = 1 THEN record END FROM (SELECT *, row_number() OVER "
        "(PARTITION BY table_name, scope, source_file, row_number ORDER BY position) AS nth "
        f"FROM {PROBLEMS}) ORDER BY table_name, source_file, row_number, position",
        ident,
    )
    if not rejected:
        return
    for name, count in counts.items():
        told = con.execute(
            f"SELECT coalesce(sum(rows), 0) FROM {REJECTED} "
            "WHERE delivery_id = ? AND table_name = ?",
            [landed.delivery_id, name],
        ).fetchone()
        rest = count.quarantined - int(told[0] if told else 0)
        con.execute(
            f"INSERT INTO {REJECTED} VALUES (?, ?, ?, NULL, NULL, 'file', NULL, "
            "'delivery__rejected', ?, NULL)",
            [*ident, name, rest],
        )


def _store_ledger(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    landed: LandedDelivery,
    staged: Staged,
    year: int,
    reason: str | None,
    counts: dict[str, TableCounts],
    versions: Sequence[str],
) -> None:
    version, produced, order = versions
    unassigned = sum(r.unassigned for r in staged.files)
    totals = [sum(getattr(c, n) for c in counts.values()) for n in TableCounts.__match_args__]
    insert(
        con,
        DELIVERY,
        {
            "delivery_id": landed.delivery_id,
            "supplier": landed.supplier,
            "feed": landed.feed,
            "period": landed.period,
            "collection_year": year,
            "version": version,
            "produced": produced,
            "version_order": order,
            "content_sha256": landed.content_sha256,
            "contract_version": contract.version,
            "outcome": "rejected" if reason else "accepted",
            "reason": reason,
            "files": len(landed.files),
            "rows_received": totals[0] + unassigned,
            "rows_accepted": totals[1],
            "rows_quarantined": totals[2] + unassigned,
            "cells_blanked": totals[3],
            "received_at": datetime.now(UTC).replace(tzinfo=None),
        },
    )
    by_index = {file.index: file for file in landed.files}
    for result in staged.files:
        file = by_index[result.index]
        insert(
            con,
            FILE,
            {
                "delivery_id": landed.delivery_id,
                "file_index": file.index,
                "file_name": file.name,
                "sha256": file.sha256,
                "size": file.size,
                "encoding": result.encoding,
                "tables": list(result.tables),
                "rows": result.rows,
                "expected_rows": file.expected_rows,
                "rule": result.rule,
                "column_name": result.column,
                "undeclared_columns": list(result.undeclared),
                "out_of_force_columns": list(result.out_of_force),
                "is_repaired": result.repaired,
            },
        )
    for name, c in counts.items():
        insert(con, TABLE, {"delivery_id": landed.delivery_id, "table_name": name, **asdict(c)})


def _check_quarantine(con: duckdb.DuckDBPyConnection, delivery_id: str) -> None:
    """What was stored in quarantine is what the ledger says was quarantined.

    Raises:
        LinkedCypError: it is not.
    """
    stored, told = con.execute(
        f"SELECT (SELECT coalesce(sum(rows), 0) FROM {REJECTED} WHERE delivery_id = $1), "
        f"(SELECT rows_quarantined FROM {DELIVERY} WHERE delivery_id = $1)",
        [delivery_id],
    ).fetchone() or (0, 0)
    if stored != told:
        raise LinkedCypError(f"quarantine holds {stored} rows but {told} were counted")
