"""Columns that are not there, or hold nothing: said, and refused where a number would be wrong.

A file without a column reads as well as one whose column is blank for everybody, and everything
counted from it is wrong without a word. Columns by which children are known and counted must be
there; of all others the supplier's own earlier delivery says whether they used to hold something.
What is right nevertheless is taken once the operator says so
(:func:`linked_cyp.ingest.ledger.allow_worse`), except the columns that protect people.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import duckdb

from linked_cyp.contracts.model import Column, Contract, Table
from linked_cyp.contracts.vocabulary import GOVERNANCE
from linked_cyp.identity.exclusions import must_be_there, sensitive_marks
from linked_cyp.ingest.landing import LandedDelivery
from linked_cyp.ingest.ledger import COLUMN, CURRENT, is_allowed
from linked_cyp.ingest.losses import ColumnCount
from linked_cyp.ingest.readers import Staged
from linked_cyp.ingest.readers.staging import StagedTable
from linked_cyp.ingest.reasons import Reason

# The share of its rows that a column held before, from which on it is missed when it goes; and the
# part of the values to be expected that says that it went.
USED, LEFT = 0.2, 0.05
# That none of the rows has a value may be chance where it is likelier than this.
CHANCE = 0.002
# Rows from which on a key or birth date that nobody has is no chance.
FEWEST_ROWS = 20


def absent(staged: Staged) -> Iterator[tuple[StagedTable, Column]]:
    """The columns of this year's contract that some file of the delivery's tables does not have."""
    for name, item in staged.tables.items():
        table = staged.in_force.tables.get(name)
        for column in table.columns if table and item.received else ():
            if column.name not in item.present or column.name in item.partial:
                yield item, column


def unprotected(staged: Staged) -> Iterator[Reason]:
    """Why a delivery is refused that lacks a column which protects people; nobody can allow it.

    Of a list of opt-outs every column does: without its flag, a list of flags opts nobody out.
    """
    lacking = {(item.table.name, column.name) for item, column in absent(staged)}
    if staged.contract.domain == GOVERNANCE:
        for item, column in absent(staged):
            says = "{table} has no column {name}, which a list has"
            yield Reason("column__protects", says, item.table, column)
    for name, item in staged.tables.items():
        always = sensitive_marks(item.table) - set(item.present)
        of_year = {c for c in must_be_there(staged.contract, item.table) if (name, c) in lacking}
        for mark in sorted(always | of_year):
            says = "{table} has no column {name}, which protects people"
            yield Reason("column__protects", says, item.table, item.table.column(mark))


def refusals(
    con: duckdb.DuckDBPyConnection,
    landed: LandedDelivery,
    staged: Staged,
    counts: Iterable[ColumnCount],
) -> Iterator[Reason]:
    """Why a delivery is refused for columns that it lacks or that hold nothing.

    Args:
        con: has the ledger.
        landed: the delivery.
        staged: its tables.
        counts: the cells of its columns.
    """
    if is_allowed(con, landed.delivery_id):
        return
    counts = list(counts)
    own = list(of_itself(staged, counts))
    yield from own
    said = {(r.table.name, r.column.name) for r in own if r.table and r.column}
    yield from _went(con, landed, staged, {(c.table, c.column): c for c in counts}, said)


def of_itself(staged: Staged, counts: Iterable[ColumnCount]) -> Iterator[Reason]:
    """The reasons that need no earlier delivery: a key or birth date that nobody has."""
    for item, column in absent(staged):
        if is_needed(item.table, column):
            where = " from some file" if column.name in item.partial else ""
            yield _reason(f"{{column}} is missing{where}", item.table, column)
    for count in counts:
        table = staged.contract.tables[count.table]
        column = table.column(count.column)
        nobody = not count.filled and not count.unfilled
        if count.rows >= FEWEST_ROWS and nobody and names_child(column):
            yield _reason(f"{{column}} is blank in all {count.rows} rows", table, column)


def is_needed(table: Table, column: Column) -> bool:
    """Whether a column must be there: a key or a birth date."""
    keys = {name for alternative in table.person_key[:1] for name in alternative}
    keys |= {*table.primary_key}
    return column.name in keys or names_child(column)


def names_child(column: Column) -> bool:
    """Whether a column says who a child is, as some child of every delivery has it."""
    return column.linkage_role in ("birth_date", "nhs_number", "upn")


def _went(
    con: duckdb.DuckDBPyConnection,
    landed: LandedDelivery,
    staged: Staged,
    now: dict[tuple[str, str], ColumnCount],
    said: set[tuple[str, str]],
) -> Iterator[Reason]:
    """The columns in which the supplier's earlier delivery held values and this one holds none."""
    for table, name, before, of_rows in _held(con, staged.contract, landed):
        item, year = staged.tables.get(table), staged.in_force.tables.get(table)
        declared = {c.name: c for c in year.columns} if year else {}
        if item is None or not item.received or name not in declared or (table, name) in said:
            continue
        count = now.get((table, name))
        rows = count.rows if count else item.received
        expected = before * rows
        # of one row more than there were: that all of few had a value promises nothing
        cautious = before * of_rows / (of_rows + 1)
        if before < USED or (1 - cautious) ** rows > CHANCE:
            continue
        if count is None or count.read < LEFT * expected:
            now_ = "missing" if count is None else "blank" if not count.filled else "hardly read"
            says = (
                f"{{column}} is {now_}, and was read in {before:.0%} of the rows of this "
                "supplier's earlier delivery"
            )
            yield _reason(says, item.table, declared[name])


def _held(
    con: duckdb.DuckDBPyConnection, contract: Contract, landed: LandedDelivery
) -> list[tuple[str, str, float, int]]:
    """(table, column, share read, rows) of the supplier's delivery nearest before this one.

    Of terms, one of the same season: some columns are asked for in one term only. Where none is
    before it, the nearest after it, so that the order of arrival does not matter.
    """
    same = "AND period[5:] = ?" if contract.period_kind == "academic_term" else "AND ? IS NOT NULL"
    found = con.execute(
        f"SELECT delivery_id FROM {CURRENT} WHERE status = 'accepted' AND supplier = ? "
        f"AND feed = ? AND period <> ? {same} "
        "ORDER BY period > ?, CASE WHEN period > ? THEN period END, period DESC LIMIT 1",
        [landed.supplier, landed.feed, *(landed.period, landed.period[4:]), *[landed.period] * 2],
    ).fetchone()
    if found is None:
        return []
    return con.execute(
        f"SELECT table_name, column_name, (filled - lost) / rows, rows FROM {COLUMN} "
        "WHERE delivery_id = ? AND rows > 0 ORDER BY ALL",
        [found[0]],
    ).fetchall()


def _reason(says: str, table: Table, column: Column) -> Reason:
    return Reason("column__gone", says, table, column, is_overruled=True)
