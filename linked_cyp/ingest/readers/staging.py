"""Staged rows: what the readers produce and deliveries take over.

Everything here lives in temporary tables of one connection (memory, spilled to encrypted files in
the private work folder): one table of typed rows per contract table, and one table of problems.
Nothing is in a store until a delivery is accepted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from linked_cyp.contracts.model import Contract, Table
from linked_cyp.core.sql import literal, quoted
from linked_cyp.identity.exclusions import marks
from linked_cyp.ingest.readers.conform import TEXT_PREFIX, record_text

PROBLEMS = "temp.main.delivery_problems"
# A file that is another one of the delivery once more is left out.
REPEATED = "file__repeated"
# Problems that lose no information: they do not count against the quarantined share.
HARMLESS = ("row__blank", "row__duplicate", "line__header", "line__total", "line__remark")


@dataclass(frozen=True)
class SourceFile:
    """A file to read. ``index`` numbers the files of a delivery from 0, in order of name."""

    index: int
    name: str
    path: Path
    expected_rows: int | None = None


@dataclass
class FileResult:
    """What became of one file. ``rows`` counts its data rows; ``rule`` says why it was refused.

    A zip file may have been read in part: ``unassigned_rows`` is then what no table was found for.
    ``is_cut``: its last line, and no other, lacks its end and its last fields.
    """

    index: int
    encoding: str | None = None
    tables: tuple[str, ...] = ()
    rows: int = 0
    rule: str | None = None
    column: str | None = None
    undeclared: tuple[str, ...] = ()
    out_of_force: tuple[str, ...] = ()
    repaired: bool = False
    unassigned_rows: int | None = None
    is_cut: bool = False

    @property
    def unassigned(self) -> int:
        """Rows that belong to no table."""
        if self.unassigned_rows is not None:
            return self.unassigned_rows
        return self.rows if self.rule and not self.tables else 0


@dataclass(frozen=True)
class Elements:
    """Where the rows of one table stand in an XML file.

    ``child`` and ``row`` are the elements' names; ``ends`` counts the table's rows after each
    child of the file, in document order.
    """

    child: str
    row: str
    ends: Sequence[int]

    def place(self, row_number: int, *, child: bool = True) -> str:
        """A row (from 1) as a person finds it: the n-th child, and which element inside it.

        Args:
            child: the table's rows belong to children.
        """
        if not child:
            return f"{self.row} {row_number}"
        of = bisect_left(self.ends, row_number)
        before = self.ends[of - 1] if of else 0
        return f"{self.child} {of + 1}, {self.row} {row_number - before}"


@dataclass
class StagedTable:
    """The rows of one contract table in one delivery.

    ``relation`` holds the rows that could be split into columns: ``source_file``, ``row_number``,
    the ``present`` columns typed, and ``text__<column>`` beside those that are not text.
    ``received`` counts these and the rows that could not be split or were refused with their file.
    ``elements`` has the places of the rows of each XML file, by its index.
    ``rewritten`` are the text columns in which a value was given its one spelling:
    ``text__<column>`` is beside those too. ``repaired`` counts by column the values that were
    read although they were not written as the contract says. ``padded`` are the rows (file,
    number) whose line lacked its last fields. ``collided`` are the id columns in which two ids
    differ by leading zeros only. ``assumed`` counts by column the protective flags that were set
    because they could not be read. ``partial`` are the columns that some file with rows of the
    table lacks while another has them.
    """

    table: Table
    present: tuple[str, ...]
    relation: str
    received: int = 0
    unsplit: int = 0
    elements: dict[int, Elements] = field(default_factory=dict)
    rewritten: set[str] = field(default_factory=set)
    repaired: dict[str, int] = field(default_factory=dict)
    padded: list[tuple[int, int]] = field(default_factory=list)
    collided: set[str] = field(default_factory=set)
    assumed: dict[str, int] = field(default_factory=dict)
    partial: set[str] = field(default_factory=set)

    def written(self, name: str) -> str:
        """SQL of a column as the supplier wrote it."""
        typed = self.table.column(name).type != "string"
        return quoted(TEXT_PREFIX + name if typed or name in self.rewritten else name)


@dataclass
class Staged:
    """A whole delivery, staged."""

    contract: Contract
    in_force: Contract
    tables: dict[str, StagedTable] = field(default_factory=dict)
    files: list[FileResult] = field(default_factory=list)

    def drop(self, con: duckdb.DuckDBPyConnection) -> None:
        for staged in self.tables.values():
            con.execute(f"DROP TABLE IF EXISTS {staged.relation}")
        con.execute(f"DROP TABLE IF EXISTS {PROBLEMS}")


def relation_name(table: Table) -> str:
    return f"temp.main.{quoted('staged__' + table.table_name)}"


def create_problems(con: duckdb.DuckDBPyConnection) -> None:
    """The empty table of problems.

    ``position`` orders the problems of one row: the first one is the reason the row is counted by.
    """
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {PROBLEMS.rsplit('.', 1)[1]} (table_name VARCHAR, "
        "source_file INTEGER, row_number BIGINT, scope VARCHAR, column_name VARCHAR, rule VARCHAR, "
        "position INTEGER, rows BIGINT, record VARCHAR)"
    )


def create_relation(
    con: duckdb.DuckDBPyConnection, table: Table, present: Sequence[str]
) -> StagedTable:
    """The empty table of one contract table's rows."""
    columns = ["source_file INTEGER", "row_number BIGINT"]
    for name in present:
        column = table.column(name)
        if column.type != "string":
            columns.append(f"{quoted(TEXT_PREFIX + name)} VARCHAR")
        columns.append(f"{quoted(name)} {column.sql_type}")
    relation = relation_name(table)
    con.execute(f"DROP TABLE IF EXISTS {relation}")
    short = relation.removeprefix("temp.main.")
    con.execute(f"CREATE TEMP TABLE {short} ({', '.join(columns)})")
    return StagedTable(table, tuple(present), relation)


def refuse_file(
    con: duckdb.DuckDBPyConnection,
    table: str | None,
    file: int,
    rule: str,
    rows: int,
    column: str | None = None,
) -> None:
    """Record that a whole file was set aside, with the number of rows it held."""
    con.execute(
        f"INSERT INTO {PROBLEMS} VALUES (?, ?, NULL, 'file', ?, ?, 0, ?, NULL)",
        [table, file, column, rule, rows],
    )


def note_lines(
    con: duckdb.DuckDBPyConnection, table: str, file: int, rule: str, lines: int
) -> None:
    """Record lines outside the table (above its header): they are no rows, and count as none."""
    con.execute(
        f"INSERT INTO {PROBLEMS} SELECT ?, ?, NULL, 'line', NULL, ?, 0, 0, NULL FROM range(?)",
        [table, file, rule, lines],
    )


def find_problems(con: duckdb.DuckDBPyConnection, staged: Staged) -> None:
    """Judge every staged row against its contract and record what is wrong.

    A row is set aside when a required value is missing or unreadable, or its primary key was seen
    before; a value that cannot be read in an optional column is blanked and recorded as a cell.
    """
    for item in staged.tables.values():
        _protect(con, item)
        required = _required(staged.in_force, item.table)
        suspects = _suspects(con, item, required)
        _blank_rows(con, item, suspects)
        for position, (column, rule) in enumerate(suspects, start=1):
            _record(con, item, column, rule, column in required, position)
        _repeated_keys(con, item)


def _protect(con: duckdb.DuckDBPyConnection, item: StagedTable) -> None:
    """A protective flag that is there and cannot be read (-1, S, 1.00) is set, never blank."""
    for name in marks(item.table):
        if name in item.present and item.table.column(name).type == "boolean":
            column, text = quoted(name), quoted(TEXT_PREFIX + name)
            found = con.execute(
                f"UPDATE {item.relation} SET {column} = true"
                f" WHERE {text} IS NOT NULL AND {column} IS NULL"
            ).fetchone()
            item.assumed[name] = int(found[0]) if found else 0


def unread_marks(con: duckdb.DuckDBPyConnection, item: StagedTable) -> list[str]:
    """Protective columns of other types that hold what cannot be read, and so protect nobody."""
    found = []
    for name in marks(item.table):
        if name in item.present and item.table.column(name).type not in ("boolean", "string"):
            unread = f"{quoted(TEXT_PREFIX + name)} IS NOT NULL AND {quoted(name)} IS NULL"
            if con.execute(f"FROM {item.relation} WHERE {unread} LIMIT 1").fetchone():
                found.append(name)
    return found


def rejected_rows(item: StagedTable) -> str:
    """SQL of the (source_file, row_number) of one table's rows that are set aside."""
    return (
        f"SELECT DISTINCT source_file, row_number FROM {PROBLEMS} "
        f"WHERE table_name = {literal(item.table.name)} AND scope = 'row'"
    )


def _required(in_force: Contract, table: Table) -> set[str]:
    current = in_force.tables.get(table.name, table)
    return {c.name for c in current.columns if c.required}


def _suspects(
    con: duckdb.DuckDBPyConnection, item: StagedTable, required: set[str]
) -> list[tuple[str, str]]:
    """The (column, rule) pairs that at least one row breaks, found in one scan."""
    checks: list[tuple[str, str, str]] = []
    for column in item.table.columns:
        name = column.name
        if name in required:
            present = name in item.present
            missing = f"count(*) - count({item.written(name)})" if present else "count(*)"
            checks.append((name, "required", missing))
        if name in item.present and item.written(name) != quoted(name):
            unread = f"count({item.written(name)}) - count({quoted(name)})"
            checks.append((name, "format", unread))
    if not checks:
        return []
    counts = con.execute(
        f"SELECT {', '.join(sql for _, _, sql in checks)} FROM {item.relation}"
    ).fetchone()
    return [(c, r) for (c, r, _), n in zip(checks, counts or (), strict=True) if n]


def _blank_rows(
    con: duckdb.DuckDBPyConnection, item: StagedTable, suspects: Sequence[tuple[str, str]]
) -> None:
    """Rows with nothing in them (spreadsheets export hundreds at the end)."""
    if not any(rule == "required" for _, rule in suspects):
        return
    con.execute(
        f"INSERT INTO {PROBLEMS} SELECT {literal(item.table.name)}, source_file, row_number, "
        f"'row', NULL, 'row__blank', 0, 1, NULL FROM {item.relation} WHERE {_all_blank(item)}"
    )


def _all_blank(item: StagedTable) -> str:
    return " AND ".join(f"{item.written(n)} IS NULL" for n in item.present) or "true"


def _record(
    con: duckdb.DuckDBPyConnection,
    item: StagedTable,
    name: str,
    rule: str,
    required: bool,
    position: int,
) -> None:
    text = item.written(name) if name in item.present else "NULL"
    if rule == "required":
        broken = f"s.{text} IS NULL" if name in item.present else "true"
    else:
        broken = f"s.{text} IS NOT NULL AND s.{quoted(name)} IS NULL"
    scope, rows = ("row", 1) if required else ("cell", 0)
    record = (
        record_text(item.table, item.present, rewritten=item.rewritten) if required else f"s.{text}"
    )
    con.execute(
        f"INSERT INTO {PROBLEMS} SELECT {literal(item.table.name)}, source_file, row_number, "
        f"'{scope}', {literal(name)}, {literal(f'{name}__{rule}')}, {position}, {rows}, {record} "
        f"FROM {item.relation} AS s WHERE {broken} AND NOT ({_all_blank(item)})"
    )


def _repeated_keys(con: duckdb.DuckDBPyConnection, item: StagedTable) -> None:
    """Rows whose primary key was seen before: the first is kept.

    Exact repeats are told from rows that contradict the first. Only keys whose hash occurs twice
    are compared, so the common case costs one aggregation over 64-bit hashes.
    """
    keys = [name for name in item.table.primary_key if name in item.present]
    if not keys or len(keys) < len(item.table.primary_key):
        return
    key = ", ".join(quoted(name) for name in keys)
    sound = (
        f"SELECT * FROM {item.relation} AS s ANTI JOIN ({rejected_rows(item)}) AS bad "
        "USING (source_file, row_number)"
    )
    repeated = f"SELECT hash({key}) AS h FROM {item.relation} GROUP BY h HAVING count(*) > 1"
    con.execute(f"CREATE OR REPLACE TEMP TABLE repeated_keys AS {repeated}")
    found = con.execute("SELECT count(*) FROM temp.main.repeated_keys").fetchone()
    if found and found[0]:
        content = ", ".join(
            quoted(n if item.table.column(n).type == "string" else TEXT_PREFIX + n)
            for n in item.present
        )
        record = record_text(item.table, item.present, rewritten=item.rewritten)
        window = f"PARTITION BY {key} ORDER BY source_file, row_number"
        con.execute(
            f"INSERT INTO {PROBLEMS} SELECT {literal(item.table.name)}, source_file, row_number, "
            f"'row', {literal(keys[0]) if len(keys) == 1 else 'NULL'}, CASE WHEN content IS NOT "
            "DISTINCT FROM first_content THEN 'row__duplicate' ELSE 'key__unique' END, "
            f"1000, 1, {record} FROM (SELECT *, "
            f"row({content}) AS content, first_value(row({content})) OVER ({window}) AS "
            f"first_content, row_number() OVER ({window}) AS nth FROM ({sound}) "
            f"WHERE hash({key}) IN (FROM temp.main.repeated_keys)) AS s WHERE nth > 1"
        )
    con.execute("DROP TABLE temp.main.repeated_keys")


def problem_counts(con: duckdb.DuckDBPyConnection, table: str) -> Mapping[str, int]:
    """How many rows, and how many of them harmlessly, were set aside in one table; cells too."""
    harmless = ", ".join(literal(rule) for rule in HARMLESS)
    row = con.execute(
        "WITH first AS (SELECT rule FROM "
        f"{PROBLEMS} WHERE table_name = ? AND scope = 'row' QUALIFY row_number() OVER "
        "(PARTITION BY source_file, row_number ORDER BY position) = 1) "
        f"SELECT count(*), count(*) FILTER (rule IN ({harmless})), "
        f"(SELECT count(*) FROM {PROBLEMS} AS c WHERE c.table_name = ? AND c.scope = 'cell' AND "
        f"NOT EXISTS (FROM {PROBLEMS} AS r WHERE r.table_name = c.table_name AND r.scope = 'row' "
        "AND r.source_file = c.source_file AND r.row_number = c.row_number)), "
        f"(SELECT coalesce(sum(rows), 0) FROM {PROBLEMS} WHERE table_name = ? AND scope = 'file') "
        "FROM first",
        [table, table, table],
    ).fetchone()
    rows, harmless_rows, cells, file_rows = row or (0, 0, 0, 0)
    return {
        "rows": int(rows),
        "harmless": int(harmless_rows),
        "cells": int(cells),
        "file_rows": int(file_rows),
    }
