"""What a delivery loses between its files and the stores, by column, and how much is too much.

A cell is lost when something stands in it that cannot be read as what its column holds: no date,
no declared code, no number that can be an NHS number. A blank cell is not lost, nor one that was
repaired; both are counted beside. Past the column's limit the delivery is refused, as a column
that silently became blank would make wrong numbers of everything counted from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import duckdb

from linked_cyp.contracts.model import Column, Contract, Relationship, Table
from linked_cyp.core.sql import literal, quoted
from linked_cyp.identity.identifiers import NO_ID
from linked_cyp.ingest.landing import LandedDelivery
from linked_cyp.ingest.ledger import COLUMN, CURRENT, UNLESS_TOLD, is_allowed
from linked_cyp.ingest.readers import Staged, StagedTable
from linked_cyp.ingest.readers.refine import id_columns, undeclared
from linked_cyp.ingest.reasons import Reason

# The largest share of a column's filled cells that may be lost, where the contract says nothing:
# of keys and dates, by which everything is counted; of numbers of persons, which name nobody unless
# they are valid and beside which others name the child, so that what is lost of them is counted and
# warned of and refuses nothing by itself; of everything else.
STRICT, OF_PERSONS, OTHERWISE = 0.01, 1.0, 0.05
# One cell is no column, unless it is all there is of it.
FEWEST_LOST = 2
# The share of the keys of one table that may be missing in the table they refer to.
MOST_ORPHANS = 0.5
FEWEST_KEYS = 3
# Of a mark that protects, the share of rows in which it may be set only as it cannot be read.
MOST_ASSUMED, FEWEST_ASSUMED = 0.5, 7
# Of numbers for which the contract has limits, the share that may be beyond them.
MOST_OUTSIDE, FEWEST_OUTSIDE = 0.5, 4
# Of a table without a key, the share of rows that may be the same as another one.
MOST_REPEATED, FEWEST_REPEATED = 0.45, 10
# By how much, as a share of the filled cells, a newer version may read worse.
WORSE = 0.01
# A column counts as gone when it was mostly filled and hardly is now.
MOSTLY, HARDLY = 0.5, 0.05


# The shape of a postcode; whether it exists is not asked here.
POSTCODE_SHAPE = "[A-Z]{1,2}[0-9O][0-9A-Z]?[0-9O][A-Z]{2}"
# A number as spreadsheets show what is too long for the cell.
ROUNDED = r"-?[0-9](\.[0-9]+)?[Ee]\+[0-9]{1,3}"


@dataclass(frozen=True)
class ColumnCount:
    """Cells of one column in one delivery. ``lost`` are among ``filled``.

    ``unfilled`` are not: they say why a person has no UPN (UN1). ``rounded``: long numbers of which
    a spreadsheet has left the first digits (1.23E+09).
    """

    table: str
    column: str
    written: str
    rows: int
    filled: int
    repaired: int
    lost: int
    unfilled: int = 0
    rounded: int = 0

    @property
    def read(self) -> int:
        return self.filled - self.lost

    @property
    def share(self) -> float:
        return self.lost / self.filled if self.filled else 0.0


def column_counts(con: duckdb.DuckDBPyConnection, staged: Staged) -> list[ColumnCount]:
    """The cells of every staged column, in one scan of each table."""
    return [
        count for item in staged.tables.values() for count in _counts(con, staged.contract, item)
    ]


def limit(contract: Contract, table: Table, column: Column) -> float:
    """The share of its filled cells that a column may lose."""
    if column.max_lost_share is not None:
        return column.max_lost_share
    if contract.max_lost_share is not None:
        return contract.max_lost_share
    if column.identifier_type in ("nhs_number", "upn", "uln"):
        return OF_PERSONS
    if is_strict(table, column):
        return STRICT
    return OTHERWISE


def is_strict(table: Table, column: Column) -> bool:
    """Whether a column is a key, a date, or required."""
    keys = {name for alternative in table.person_key for name in alternative} | {*table.primary_key}
    return column.type in ("date", "timestamp") or column.required or column.name in keys


def lost_columns(contract: Contract, counts: Iterable[ColumnCount]) -> Iterator[Reason]:
    """Why a delivery is refused for what its columns lose, a reason for each column."""
    for count in counts:
        table = contract.tables[count.table]
        column = table.column(count.column)
        whole = count.lost == count.filled and is_strict(table, column)
        enough = count.lost >= FEWEST_LOST or whole
        # a number of a person may be wrong for many reasons, but so it was the file's
        if count.rounded or (count.share > limit(contract, table, column) and enough):
            says = f"{{column}}: {count.lost} of {count.filled} values cannot be read"
            yield Reason("column__lost", says, table, column)


def collisions(staged: Staged) -> Iterator[Reason]:
    """Why a delivery is refused in which two ids would become one, a reason for each column."""
    for item in staged.tables.values():
        for name in sorted(item.collided):
            says = "{column} has ids that differ by leading zeros only"
            yield Reason("column__collided", says, item.table, item.table.column(name))


def out_of_range(con: duckdb.DuckDBPyConnection, staged: Staged) -> Iterator[Reason]:
    """Why a delivery is refused of which most numbers of a column cannot be: of another unit, with
    another sign, or another column's. A few are reported by the checks."""
    for item in staged.tables.values():
        columns = [item.table.column(name) for name in item.present]
        bounded = [(c, _outside(c)) for c in columns if c.type in ("integer", "number")]
        asked = [(c, outside) for c, outside in bounded if outside]
        if not asked:
            continue
        counts = con.execute(
            "SELECT "
            + ", ".join(f"count({quoted(c.name)}), count(*) FILTER ({o})" for c, o in asked)
            + f" FROM {item.relation}"
        ).fetchone() or (0, 0) * len(asked)
        for place, (column, _) in enumerate(asked):
            filled, outside = counts[2 * place : 2 * place + 2]
            if outside >= FEWEST_OUTSIDE and outside > MOST_OUTSIDE * filled:
                says = (
                    f"{{column}}: {outside} of {filled} numbers are outside what the contract says"
                )
                yield Reason("column__range", says, item.table, column)


def _outside(column: Column) -> str:
    """SQL that is true of a number that the contract does not allow; empty where it allows all."""
    low, high = column.minimum, column.maximum
    tests = [] if low is None else [f"{quoted(column.name)} < {low}"]
    tests += [] if high is None else [f"{quoted(column.name)} > {high}"]
    return " OR ".join(tests)


def assumed_marks(staged: Staged) -> Iterator[Reason]:
    """Why a delivery is refused of which most rows are protected as their flag cannot be read."""
    for item in staged.tables.values():
        for name, rows in item.assumed.items():
            if rows >= FEWEST_ASSUMED and rows > MOST_ASSUMED * item.received:
                says = (
                    f"{{column}} protects people, and {rows} of {item.received} values cannot be "
                    "read as yes or no"
                )
                yield Reason("column__mark", says, item.table, item.table.column(name))


def repeats(con: duckdb.DuckDBPyConnection, staged: Staged) -> Iterator[Reason]:
    """Why a delivery is refused of which a table without a key holds its rows twice."""
    for item in staged.tables.values():
        if item.table.primary_key or item.received < FEWEST_REPEATED or not item.present:
            continue
        rows, distinct = con.execute(
            f"SELECT count(*), count(DISTINCT hash({_list(item.present)})) FROM {item.relation}"
        ).fetchone() or (0, 0)
        if rows - distinct > MOST_REPEATED * rows:
            says = f"{rows - distinct} of {rows} rows of {{table}} are there before"
            yield Reason("table__repeated", says, item.table, is_overruled=True)


def orphans(con: duckdb.DuckDBPyConnection, staged: Staged) -> Iterator[Reason]:
    """Why a delivery is refused in which most that a table refers to has no row in the other."""
    for item in staged.tables.values():
        for link in references(staged.contract, item.table):
            other = staged.tables.get(link.to_table)
            if other is None or not _has(item, link.columns) or not _has(other, link.to_columns):
                continue
            ours, theirs = _list(link.columns), _list(link.to_columns)
            keys, missing, known = con.execute(
                f"SELECT count(*), count(*) FILTER (k NOT IN (SELECT row({theirs}) "
                f"FROM {other.relation})), "
                f"(SELECT count(*) FROM {other.relation} WHERE {_filled_in(link.to_columns)}) "
                f"FROM (SELECT DISTINCT row({ours}) AS k "
                f"FROM {item.relation} WHERE {_filled_in(link.columns)})"
            ).fetchone() or (0, 0, 0)
            if (
                keys
                and (known or link in item.table.relationships)
                and missing / keys > MOST_ORPHANS
                and (missing >= FEWEST_KEYS or missing == keys)
            ):
                yield Reason(
                    "table__orphans",
                    f"{missing} of {keys} values of {{column}} have no row in {{other}}",
                    item.table,
                    item.table.column(link.columns[0]),
                    other.table,
                )


def references(contract: Contract, table: Table) -> Iterator[Relationship]:
    """What a table refers to: as the contract declares, and by the supplier's own id of a child.

    A table whose children go by an id of the supplier's, of which the contract declares nothing,
    refers to the first required table in which children go by the same id.
    """
    yield from table.relationships
    declared = {link.columns for link in table.relationships}
    for column in _own_ids(table):
        of_same = [
            (other, its.name)
            for other in contract.tables.values()
            for its in _own_ids(other)
            if other.required and _scope(its) == _scope(column)
        ]
        if of_same and (column.name,) not in declared:
            other, name = of_same[0]
            if other is not table:
                yield Relationship((column.name,), other.name, (name,))


def _own_ids(table: Table) -> Iterator[Column]:
    """The columns that alone say who a child is, by an id of the supplier's own."""
    for alternative in table.person_key:
        column = table.column(alternative[0])
        if len(alternative) == 1 and column.type == "string" and not column.identifier_type:
            yield column


def _scope(column: Column) -> str:
    return column.token_scope or column.name


def _filled_in(names: Iterable[str]) -> str:
    return " AND ".join(f"{quoted(name)} IS NOT NULL" for name in names)


def worse_than_before(
    con: duckdb.DuckDBPyConnection, landed: LandedDelivery, counts: Iterable[ColumnCount]
) -> Iterator[str]:
    """Why a delivery is refused that would supersede one that was read better.

    Unless somebody said that it may (:func:`linked_cyp.ingest.ledger.allow_worse`).
    """
    before = con.execute(
        f"SELECT delivery_id FROM {CURRENT} WHERE status = 'accepted' AND supplier = ? "
        "AND feed = ? AND period = ? AND delivery_id <> ? AND version_order <= ?",
        [landed.supplier, landed.feed, landed.period, landed.delivery_id, landed.version_order],
    ).fetchone()
    if before is None or is_allowed(con, landed.delivery_id):
        return
    held = {
        (table, column): (rows, filled, lost)
        for table, column, rows, filled, lost in con.execute(
            "SELECT table_name, column_name, rows, filled, lost "
            f"FROM {COLUMN} WHERE delivery_id = ?",
            [before[0]],
        ).fetchall()
    }
    now = {(c.table, c.column): c for c in counts}
    for (table, column), (rows, filled, lost) in held.items():
        count = now.get((table, column))
        if not filled or not rows or (count is not None and not count.rows):
            continue
        share = count.filled / count.rows if count else 0.0
        if filled / rows >= MOSTLY and share < HARDLY:
            yield (
                f"{table}.{column} is blank, and was not in the delivery it would supersede, "
                f"{UNLESS_TOLD}"
            )
        elif count and count.lost >= FEWEST_LOST and count.share > lost / filled + WORSE:
            yield (
                f"{table}.{column}: {count.lost} values cannot be read, {lost} in the delivery it "
                f"would supersede, {UNLESS_TOLD}"
            )


def store_counts(
    con: duckdb.DuckDBPyConnection,
    delivery_id: str,
    counts: Iterable[ColumnCount],
    absent: Iterable[tuple[str, str]] = (),
) -> None:
    """Put the counts into the ledger, in place of what an earlier reading of the delivery found.

    ``absent``: declared columns (table, column) that the delivery lacks; their counts are null.
    """
    con.execute(f"DELETE FROM {COLUMN} WHERE delivery_id = ?", [delivery_id])
    rows = [[delivery_id, c.table, c.column, c.rows, c.filled, c.repaired, c.lost] for c in counts]
    rows += [[delivery_id, *column, None, None, None, None] for column in absent]
    if rows:
        names = "delivery_id, table_name, column_name, rows, filled, repaired, lost"
        con.executemany(f"INSERT INTO {COLUMN} ({names}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _counts(
    con: duckdb.DuckDBPyConnection, contract: Contract, item: StagedTable
) -> Iterator[ColumnCount]:
    columns = [item.table.column(name) for name in item.present]
    if not columns:
        return
    ids = id_columns(contract, item.table)
    asked = [
        f"{_filled(item, c)}, {_lost(item, c, c.name in ids)}, {_unfilled(c)}, {_rounded(c)}"
        for c in columns
    ]
    rows, *found = con.execute(
        f"SELECT count(*), {', '.join(asked)} FROM {item.relation}"
    ).fetchone() or (0,)
    for place, column in enumerate(columns):
        filled, lost, unfilled, rounded = found[4 * place : 4 * place + 4]
        yield ColumnCount(
            *(item.table.name, column.name, column.physical_name, rows),
            *(filled, item.repaired.get(column.name, 0), lost, unfilled, rounded),
        )


def _filled(item: StagedTable, column: Column) -> str:
    """SQL that counts the cells in which something stands.

    What suppliers write where a person has no number (UN1, ten zeros) is nothing, and so is one
    word for nothing (NULL, N/A) in every cell of a text column; of a coded one it may be a code.
    """
    written = item.written(column.name)
    if column.type != "string" or column.codeset:
        return f"count({written})"
    if column.identifier_type in ("nhs_number", "upn", "uln"):
        return f"count({written}) FILTER (NOT ({_is_none(column)}))"
    word = f"regexp_full_match(upper(trim(min({written}))), {literal(f'({NO_ID})')})"
    return f"CASE WHEN min({written}) = max({written}) AND {word} THEN 0 ELSE count({written}) END"


def _is_none(column: Column) -> str:
    kind, name = column.identifier_type, quoted(column.name)
    return f"linked_cyp_accepted_{kind}({name}) AND NOT linked_cyp_valid_{kind}({name})"


def _unfilled(column: Column) -> str:
    """SQL that counts the cells in which a reason stands for there being no number."""
    return f"count(*) FILTER ({_is_none(column)})" if column.identifier_type == "upn" else "0"


def _rounded(column: Column) -> str:
    """SQL that counts the long numbers, of persons or codes, that have lost their last digits."""
    if column.identifier_type not in ("nhs_number", "upn", "uln") and not column.pattern:
        return "0"
    return f"count(*) FILTER (regexp_full_match({quoted(column.name)}, {literal(ROUNDED)}))"


def _lost(item: StagedTable, column: Column, is_id: bool) -> str:
    """SQL that counts the lost cells of one column; an id as 1.23E+09 has lost its last digits."""
    name, written = quoted(column.name), item.written(column.name)
    tests = [f"{written} IS NOT NULL AND {name} IS NULL"] if written != name else []
    if column.type == "string":
        if column.codeset or (column.pattern and column.pseudonymisation == "keep"):
            tests.append(undeclared(column))
        if is_id:
            tests.append(f"regexp_full_match({name}, {literal(ROUNDED)})")
        if column.identifier_type in ("nhs_number", "upn", "uln"):
            tests.append(f"NOT linked_cyp_accepted_{column.identifier_type}({name})")
        if column.identifier_type == "postcode":
            compact = rf"upper(regexp_replace({name}, '\s', '', 'g'))"
            tests.append(
                f"NOT regexp_full_match({compact}, {literal(f'{POSTCODE_SHAPE}|{NO_ID}')})"
            )
    return f"count(*) FILTER ({' OR '.join(f'({t})' for t in tests)})" if tests else "0"


def _has(item: StagedTable, names: Iterable[str]) -> bool:
    return set(names) <= set(item.present)


def _list(names: Iterable[str]) -> str:
    return ", ".join(quoted(name) for name in names)
