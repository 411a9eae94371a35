"""The last look at a finished file, opened as a researcher would, before it gets its name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import duckdb

from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import quoted
from linked_cyp.release.build import ID_PATTERN, OPERATIONAL, ReleaseColumn, ReleaseTable
from linked_cyp.release.shapes import shapes_of

# Nothing that research counts or measures is this large; 63-bit tokens are.
LARGEST_NUMBER = 2**40
_WHOLE = ("BIGINT", "UBIGINT", "HUGEINT", "UINTEGER", "INTEGER")


def check_release(
    path: Path,
    tables: Sequence[ReleaseTable],
    counts: Mapping[str, int],
    codes: Collection[str] = (),
) -> None:
    """Refuse the file unless it holds what was planned, documented, and nothing like an identifier.

    Args:
        counts: rows of each ``zone.table`` in the warehouse.
        codes: declared codes, some of which are forenames too.

    Raises:
        LinkedCypError: names every table or column that fails, and why.
    """
    with value_free("checking the release"), duckdb.connect(str(path), read_only=True) as con:
        problems = [
            *_contents(con, tables, counts),
            *_comments(con),
            *_values(con, tables, codes),
        ]
    if problems:
        raise LinkedCypError("release refused: " + "; ".join(problems))


def _contents(
    con: duckdb.DuckDBPyConnection, tables: Sequence[ReleaseTable], counts: Mapping[str, int]
) -> Iterator[str]:
    research = {(t.zone, t.name): t for t in tables}
    held = con.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal"
    ).fetchall()
    for schema, name in held:
        if schema in ("curated", "cohort") and (schema, name) not in research:
            yield f"{schema}.{name} is in the file but not in the project"
    for (zone, name), table in research.items():
        if (zone, name) not in held:
            yield f"{zone}.{name} is missing from the file"
            continue
        rows = con.execute(f"SELECT count(*) FROM {table.relation}").fetchone()
        if not rows or rows[0] != counts[f"{zone}.{name}"]:
            yield f"{zone}.{name} has a different number of rows from the warehouse"
        listed = con.execute(
            "SELECT column_name FROM main.dictionary WHERE table_schema = ? AND table_name = ?"
            " ORDER BY position",
            [zone, name],
        ).fetchall()
        columns = [c.name for c in table.columns]
        if [row[0] for row in listed] != columns or [
            row[0] for row in con.execute(f"DESCRIBE {table.relation}").fetchall()
        ] != columns:
            yield f"{zone}.{name}: file, dictionary and project name different columns"
    for kind in ("views", "sequences", "indexes"):
        found = con.execute(
            f"SELECT count(*) FROM duckdb_{kind}() WHERE database_name = current_database()"
            + (" AND NOT internal" if kind == "views" else "")
        ).fetchone()
        if found and found[0]:
            yield f"the file holds {kind}"


def _comments(con: duckdb.DuckDBPyConnection) -> Iterator[str]:
    rows = con.execute(
        """
        SELECT schema_name || '.' || table_name FROM duckdb_tables()
        WHERE NOT internal AND coalesce(trim(comment), '') = ''
        UNION ALL
        SELECT schema_name || '.' || table_name || '.' || column_name FROM duckdb_columns()
        WHERE NOT internal AND coalesce(trim(comment), '') = ''
        """
    ).fetchall()
    for (name,) in rows:
        yield f"{name} has no comment"


def _values(
    con: duckdb.DuckDBPyConnection, tables: Sequence[ReleaseTable], codes: Collection[str]
) -> Iterator[str]:
    """What columns hold and should not; each table is read once for all of them."""
    for table in tables:
        asked: list[tuple[str, str]] = []
        for column in table.columns:
            place = f"{table.zone}.{table.name}.{column.name}"
            if OPERATIONAL.fullmatch(column.name):
                yield f"{place} is the warehouse's own bookkeeping"
            asked += [(f"{place} holds {what}", sql) for what, sql in _suspicions(column)]
        if asked:
            found = con.execute(
                f"SELECT {', '.join(sql for _, sql in asked)} FROM {table.relation}"
            ).fetchall()[0]
            yield from (words for (words, _), held in zip(asked, found, strict=True) if held)
        for column in filter(_is_text, table.columns):
            place = f"{table.zone}.{table.name}.{column.name}"
            shapes = {
                what for text in _texts(con, table, column) for what in shapes_of(text, codes)
            }
            yield from (f"{place} holds {what}" for what in sorted(shapes))


def _suspicions(column: ReleaseColumn) -> Iterator[tuple[str, str]]:
    """What a column must not hold, and the SQL aggregate that finds it."""
    name = quoted(column.name)
    is_number = column.type in _WHOLE or column.type.startswith("DECIMAL")
    if column.is_id:
        yield (
            "something other than this project's ids",
            f"bool_or(NOT regexp_full_match({name}, '{ID_PATTERN}'))",
        )
        return
    if is_number:
        yield "numbers as large as tokens", f"bool_or(abs({name}) > {LARGEST_NUMBER})"
        yield "NHS numbers", f"bool_or({_nhs_check(name)})"


def _is_text(column: ReleaseColumn) -> bool:
    return not column.is_id and ("VARCHAR" in column.type or column.type.startswith("ENUM"))


def _texts(
    con: duckdb.DuckDBPyConnection, table: ReleaseTable, column: ReleaseColumn
) -> Iterator[str]:
    """The distinct texts of a column: codes and labels, so they are few."""
    name = quoted(column.name)
    cell = f"unnest({name})" if column.type.endswith("[]") else name
    found = con.execute(
        f"SELECT DISTINCT CAST({cell} AS VARCHAR) FROM {table.relation} WHERE {name} IS NOT NULL"
    )
    while rows := found.fetchmany(1_000):
        yield from (text for (text,) in rows if text is not None)


def _nhs_check(name: str) -> str:
    """SQL: the digits are ten and their check digit (modulus 11) is right."""
    digits = f"regexp_replace(CAST({name} AS VARCHAR), '[ -]', '', 'g')"
    total = " + ".join(
        f"({11 - i}) * CAST(substr({digits}, {i}, 1) AS INTEGER)" for i in range(1, 10)
    )
    return (
        f"CASE WHEN regexp_full_match({digits}, '[34679][0-9]{{9}}') THEN"
        f" (11 - ({total}) % 11) % 11 = CAST(substr({digits}, 10, 1) AS INTEGER) ELSE false END"
    )
