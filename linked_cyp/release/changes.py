"""What changed since the release before, and whether two releases side by side single somebody out.

Ids stay the same from one release of a project to the next, so who holds both can see whose rows
went and whose came. Where that is a handful of children, withdrawing one of them is visible: the
difference is reported as small, with no number, to those who decide whether to publish at once or
together with the next deliveries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from linked_cyp.core.disclosure import SMALLEST, rounded
from linked_cyp.core.sql import literal, quoted
from linked_cyp.release.build import FRESH, ReleaseTable
from linked_cyp.release.record import RecordTable
from linked_cyp.release.selection import PERSON

BEFORE = "before"
COLUMNS = (
    ("table_schema", "VARCHAR", "Schema of the table."),
    ("table_name", "VARCHAR", "Name of the table."),
    ("unit", "VARCHAR", "What is counted: rows, persons or columns."),
    ("added", "BIGINT", "New since the release before; rounded to 5, empty under 10."),
    ("removed", "BIGINT", "Gone since the release before; rounded to 5, empty under 10."),
    ("is_small", "BOOLEAN", "Whether fewer than ten, but not none, came or went."),
)


def change_table(
    con: duckdb.DuckDBPyConnection, tables: Sequence[ReleaseTable], before: Path | None
) -> RecordTable:
    """Rows, persons and columns that came and went, table by table (no rows for a first release).

    Args:
        con: with the release being built attached as ``fresh``.
        before: the file of the release before.
    """
    rows: list[tuple[str, str, str, int | None, int | None, bool]] = []
    if before is not None:
        con.execute(f"ATTACH {literal(str(before))} AS {BEFORE} (READ_ONLY)")
        try:
            held = _held(con)
            rows = [row for table in tables for row in _changes(con, table, held)]
            named = {(t.zone, t.name) for t in tables}
            rows += [
                (zone, name, "columns", 0, len(columns), False)
                for (zone, name), columns in sorted(held.items())
                if (zone, name) not in named
            ]
        finally:
            con.execute(f"DETACH {BEFORE}")
    return RecordTable(
        "provenance",
        "change",
        "What came and went since the release before: one row per table and unit.",
        COLUMNS,
        rows,
    )


def small_beside(
    con: duckdb.DuckDBPyConnection, tables: Sequence[ReleaseTable], earlier: Mapping[str, Path]
) -> list[str]:
    """Which earlier releases show a handful of persons come or go, taking all tables together.

    Changes that were many from one release to the next may be few beside an older one.

    Args:
        con: with the release being built attached as ``fresh``.
        earlier: files by release id.
    """
    now = {(t.zone, t.name): [c.name for c in t.columns] for t in tables}
    new = _persons(FRESH, now)
    found = []
    for release_id, path in earlier.items():
        con.execute(f"ATTACH {literal(str(path))} AS {BEFORE} (READ_ONLY)")
        try:
            old = _persons(BEFORE, _held(con))
            if new and old:
                counts = [
                    _count(con, f"SELECT count(*) FROM (({one}) EXCEPT ({other}))")
                    for one, other in ((new, old), (old, new))
                ]
                found += [release_id] if any(0 < n < SMALLEST for n in counts) else []
        finally:
            con.execute(f"DETACH {BEFORE}")
    return found


def small_differences(table: RecordTable) -> list[str]:
    """The tables in which a handful of children or rows came or went."""
    return sorted({f"{row[0]}.{row[1]}" for row in table.rows if row[5]})


def _persons(catalog: str, held: Mapping[tuple[str, str], Sequence[str]]) -> str:
    """SQL for everybody in some table of a release; empty where no table has persons."""
    return " UNION ".join(
        f"SELECT {PERSON} FROM {catalog}.{quoted(zone)}.{quoted(name)}"
        for (zone, name), columns in sorted(held.items())
        if PERSON in columns
    )


def _held(con: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], list[str]]:
    """Columns of each research table of the release before."""
    found: dict[tuple[str, str], list[str]] = {}
    for zone, name, column in con.execute(
        "SELECT schema_name, table_name, column_name FROM duckdb_columns() WHERE database_name = ?"
        " AND schema_name IN ('curated', 'cohort') ORDER BY ALL",
        [BEFORE],
    ).fetchall():
        found.setdefault((zone, name), []).append(column)
    return found


def _changes(
    con: duckdb.DuckDBPyConnection, table: ReleaseTable, held: dict[tuple[str, str], list[str]]
) -> list[tuple[str, str, str, int | None, int | None, bool]]:
    place = (table.zone, table.name)
    now = [column.name for column in table.columns]
    then = held.get(place, [])
    shared = [name for name in now if name in then]
    found: list[tuple[str, str, str, int | None, int | None, bool]] = [
        (*place, "columns", len(set(now) - set(then)), len(set(then) - set(now)), False)
    ]
    units = {"rows": (shared, "ALL")} | ({"persons": ([PERSON], "")} if PERSON in shared else {})
    for unit, (columns, every) in units.items():
        if columns:
            listed = ", ".join(map(quoted, columns))
            new, old = (f"SELECT {listed} FROM {c}.{table.relation}" for c in (FRESH, BEFORE))
            added, removed = (
                _count(con, f"SELECT count(*) FROM ({a} EXCEPT {every} {b})")
                for a, b in ((new, old), (old, new))
            )
            small = 0 < added < SMALLEST or 0 < removed < SMALLEST
            found.append((*place, unit, rounded(added), rounded(removed), small))
    return found


def _count(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = con.execute(sql).fetchone()
    return int(row[0]) if row else 0
