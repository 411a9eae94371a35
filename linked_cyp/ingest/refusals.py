"""Why a delivery is refused for what it holds itself, whoever sent it and whatever came before.

Ingest refuses by these, and a supplier is told them before anything is sent: one list, so that a
return that is refused cannot look clean where it was made. What needs the ledger or the folder
(:mod:`linked_cyp.ingest.volume`, :mod:`linked_cyp.ingest.periods`) only ingest can ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import duckdb

from linked_cyp.contracts.model import Contract
from linked_cyp.contracts.vocabulary import GOVERNANCE
from linked_cyp.ingest import gone, losses
from linked_cyp.ingest.losses import ColumnCount
from linked_cyp.ingest.readers import FileResult, SourceFile, Staged, kinds
from linked_cyp.ingest.readers.headers import names_table
from linked_cyp.ingest.readers.staging import REPEATED, unread_marks
from linked_cyp.ingest.reasons import Reason

# A file that cannot be parsed at all says nothing about what it held: the delivery is rejected.
_FATAL = (
    *("file__malformed", "file__doctype", "file__encoding"),
    *(kinds.LOCKED, kinds.PACKED, kinds.WORKBOOK_HERE),
)


def structure(
    staged: Staged, files: Sequence[SourceFile], *, whole: bool = True
) -> Iterator[Reason]:
    """Why a delivery cannot be accepted whatever its rows say.

    Args:
        files: the delivery's files, with the rows that its manifest says.
        whole: the files are all there is, so that a required table must be among them.
    """
    contract = staged.contract
    names = {file.index: file.name for file in files}
    fatal = [r for r in staged.files if r.rule and is_fatal(contract, r, names[r.index])]
    yield from (_refused(contract, result) for result in fatal)
    read = {name for result in staged.files if not result.rule for name in result.tables}
    if not read and not fatal:
        yield Reason("delivery__unread", "no file could be read as a table of this feed")
    told = {name for result in staged.files if result.rule for name in result.tables}
    for table in staged.in_force.tables.values():
        if whole and table.required and table.name not in read | told:
            yield Reason("table__required", "required table {table} is missing", table)
    if contract.domain == GOVERNANCE:  # a column that we do not know may say the opposite
        for result in staged.files:
            if result.undeclared:
                yield Reason(
                    "file__undeclared",
                    f"file {{file}} of {contract.feed} has {len(result.undeclared)} columns that"
                    " are not declared: a list of opt-outs holds its own columns only",
                    file=result.index,
                )
    for result in staged.files:
        if result.is_cut:
            yield Reason("file__cut", "file {file} ends in the middle of a line", file=result.index)
    expected = {f.index: f.expected_rows for f in files}
    for result in staged.files:
        if expected[result.index] not in (None, result.rows):
            yield Reason(
                "file__rows",
                "file {file} does not hold the rows its manifest says",
                None,
                file=result.index,
            )


def contents(
    con: duckdb.DuckDBPyConnection,
    staged: Staged,
    counts: Sequence[ColumnCount],
    judged: Mapping[str, Mapping[str, int]],
) -> Iterator[Reason]:
    """Why a delivery cannot be accepted for what its rows say.

    Args:
        con: has the staged tables.
        counts: the cells of its columns.
        judged: by table, how many rows were set aside
            (:func:`linked_cyp.ingest.readers.staging.problem_counts`).
    """
    contract = staged.contract
    yield from losses.lost_columns(contract, counts)
    yield from losses.collisions(staged)
    yield from losses.out_of_range(con, staged)
    yield from losses.assumed_marks(staged)
    yield from losses.orphans(con, staged)
    yield from gone.unprotected(staged)
    for name, item in staged.tables.items():
        rows = judged[name]
        harmful = rows["rows"] - rows["harmless"] + rows["file_rows"]
        if item.received and harmful / item.received > contract.max_quarantined_share:
            share = f"{100 * harmful / item.received:.0f} %"
            yield Reason(
                "table__quarantined", share + " of {table} would be quarantined", item.table
            )
        for column in unread_marks(con, item):
            yield Reason(
                "column__mark",
                "{table}.{name} protects people and holds what cannot be read",
                item.table,
                item.table.column(column),
            )


def is_fatal(contract: Contract, result: FileResult, name: str) -> bool:
    """Whether a refused file refuses the delivery.

    It does when nobody can know what it held, or when by header or name it is one of the tables. A
    document that lies beside the return does not.
    """
    if result.rule in ("file__empty", REPEATED):
        return False
    if result.rule in _FATAL or result.tables:
        return True
    return any(names_table(table, name) for table in contract.tables.values())


def _refused(contract: Contract, result: FileResult) -> Reason:
    """A refused file as a reason: the column to blame by our name and the supplier's."""
    rule = result.rule or ""
    if result.column and result.tables:
        table = contract.tables[result.tables[0]]
        column = table.column(result.column)
        found = "missing" if rule == "file__column_missing" else "there twice"
        says = f"file {{file}}: column {column.physical_name} ({table.name}.{column.name}) is "
        return Reason(rule, says + found, table, column, file=result.index)
    return Reason(rule, f"file {{file}}: {rule}", file=result.index)
