"""Copying what a project may see into a new file, under ids that are the project's own.

Every column named ``…_id`` holds a pseudonym and is re-keyed: HMAC-SHA-256 under the key of purpose
``project:<name>``, written as 13 letters and digits. Equal ids stay equal inside a release, so its
tables join; ids of two projects share nothing. Text, because 63-bit integers lose their last digits
in R, JavaScript and spreadsheets, and a leading letter, so that none of them reads it as a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import duckdb
import polars as pl

from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import literal, quoted, transaction
from linked_cyp.metadata.dictionary import Entry
from linked_cyp.metadata.lineage import ColumnRef
from linked_cyp.release.project import Project
from linked_cyp.release.selection import PERSON, conditions, when

WAREHOUSE = "warehouse"
FRESH = "fresh"
ID_TYPE = "VARCHAR"
REKEYED = "Pseudonym made for this project only; it cannot be joined to another project's."
# First three bits as a letter s-z, then twelve base-32 digits without i, l, o and u: 63 bits.
ID_PATTERN = "[s-z][0-9abcdefghjkmnpqrstvwxyz]{12}"
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
# The warehouse's own bookkeeping: left out of "all", refused when asked for by name.
OPERATIONAL = re.compile(r"record_key|delivery_id|row_number|source_file|.*_key|.*_hash|.*_token")
_TYPES = re.compile(
    r"(VARCHAR|DATE|TIMESTAMP|BOOLEAN|DOUBLE|FLOAT|(U?(TINY|SMALL|BIG))?INT(EGER)?|UINTEGER"
    r"|HUGEINT|DECIMAL\(\d+,\d+\)|ENUM\(.*\)|(VARCHAR|DATE|INTEGER|BOOLEAN|DOUBLE)\[\])"
)


class Tokeniser(Protocol):
    """What a release needs of the keys (see :class:`linked_cyp.identity.keys.Keys`)."""

    def tokens(self, purpose: str, values: pl.Series) -> pl.Series: ...


@dataclass(frozen=True)
class ReleaseColumn:
    name: str
    type: str
    comment: str

    @property
    def is_id(self) -> bool:
        return self.name.endswith("_id")


@dataclass(frozen=True)
class ReleaseTable:
    """A table to be released: its columns, and its comment."""

    zone: str
    name: str
    comment: str
    columns: tuple[ReleaseColumn, ...]
    where: tuple[str, ...] = ()  # SQL over ``t``: which rows

    @property
    def relation(self) -> str:
        return f"{quoted(self.zone)}.{quoted(self.name)}"

    @property
    def rows(self) -> str:
        """SQL for what is released of it in the warehouse: a table ``t`` and which of its rows."""
        condition = f" WHERE {' AND '.join(self.where)}" if self.where else ""
        return f"FROM {WAREHOUSE}.{self.relation} AS t{condition}"


def plan(
    con: duckdb.DuckDBPyConnection,
    project: Project,
    documented: Mapping[ColumnRef, Entry],
    identifiers: frozenset[str],
    manifest: Mapping[str, Any] | None = None,
) -> list[ReleaseTable]:
    """What the project's declaration comes to in this warehouse, in the declaration's order.

    Comments are the warehouse's own (written with the tables), or else dbt's descriptions.

    Args:
        identifiers: names of columns that hold direct identifiers in some contract.
        manifest: dbt's, which says when the rows of each table happened.

    Raises:
        LinkedCypError: names every table or column that is missing, undocumented or not releasable.
    """
    problems: list[str] = _cohort_problems(con, project, documented)
    tables = []
    for name, wanted in project.tables.items():
        zone, table = name.split(".", 1)
        available = _columns(con, zone, table, documented)
        if not available:
            problems.append(f"there is no table {name} in the warehouse")
            continue
        chosen = wanted or tuple(c for c in available if not OPERATIONAL.fullmatch(c))
        problems += [f"{name} has no column {c}" for c in chosen if c not in available]
        columns = tuple(available[c] for c in chosen if c in available)
        comment = _table_comment(con, zone, table, documented)
        times = when(manifest, name)
        if project.period and (problem := times.problem(available)):
            problems.append(f"{name} {problem}, so no period can be cut from it")
        rows = conditions(tuple(available), times, project.cohort, project.period, WAREHOUSE)
        made = ReleaseTable(zone, table, comment, columns, tuple(rows))
        problems += _unreleasable(made, identifiers)
        tables.append(made)
    if problems:
        raise LinkedCypError("release refused: " + "; ".join(problems))
    return tables


def copy_tables(
    con: duckdb.DuckDBPyConnection,
    project: Project,
    tables: Iterable[ReleaseTable],
    keys: Tokeniser,
) -> dict[str, int]:
    """Write the tables into the attached catalog ``fresh`` and return their row counts.

    Rows are ordered by all their released columns, so their order says nothing about the warehouse.
    """
    tables = list(tables)
    with value_free(f"re-keying the ids of project {project.name}"):
        _make_ids(con, project, tables, keys)
    counts = {}
    for table in tables:
        with value_free(f"copying {table.zone}.{table.name}"):
            counts[f"{table.zone}.{table.name}"] = _copy(con, table)
    return counts


def ids_that_leaked(con: duckdb.DuckDBPyConnection, tables: Iterable[ReleaseTable]) -> list[str]:
    """Columns that still hold an id of the warehouse (call while its ids are still at hand)."""
    return [
        f"{table.zone}.{table.name}.{column.name}"
        for table in tables
        for column in table.columns
        if column.is_id
        and _one(
            con,
            f"SELECT count(*) FROM {FRESH}.{table.relation} JOIN temp.project_id"
            f" ON was = {quoted(column.name)}",
        )
    ]


def comment_on(con: duckdb.DuckDBPyConnection, kind: str, target: str, text: str) -> None:
    """COMMENT ON, which takes no parameters."""
    con.execute(f"COMMENT ON {kind} {target} IS {literal(text)}")


def _columns(
    con: duckdb.DuckDBPyConnection, zone: str, table: str, documented: Mapping[ColumnRef, Entry]
) -> dict[str, ReleaseColumn]:
    rows = con.execute(
        "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE database_name = ?"
        " AND schema_name = ? AND table_name = ? ORDER BY column_index",
        [WAREHOUSE, zone, table],
    ).fetchall()
    columns = {}
    for name, kind, comment in rows:
        entry = documented.get(ColumnRef(zone, table, name))
        text = " ".join((comment or (entry.description if entry else "")).split())
        column = ReleaseColumn(name, kind, text)
        if column.is_id and text:
            column = ReleaseColumn(name, ID_TYPE, f"{text} {REKEYED}")
        columns[name] = column
    return columns


def _cohort_problems(
    con: duckdb.DuckDBPyConnection, project: Project, documented: Mapping[ColumnRef, Entry]
) -> list[str]:
    """Why the project's cohort cannot be found in this warehouse."""
    if project.cohort is None:
        return []
    zone, table = project.cohort.table.split(".")
    if PERSON not in _columns(con, zone, table, documented):
        return [f"the cohort's table {project.cohort.table} is missing, or holds no persons"]
    try:
        con.execute(f"EXPLAIN {project.cohort.persons(WAREHOUSE)}")
    except duckdb.Error:
        return ["the cohort's condition names a column that its table does not have"]
    return []


def _table_comment(
    con: duckdb.DuckDBPyConnection, zone: str, table: str, documented: Mapping[ColumnRef, Entry]
) -> str:
    found = con.execute(
        "SELECT comment FROM duckdb_tables() WHERE (database_name, schema_name, table_name) ="
        " (?, ?, ?) UNION ALL SELECT comment FROM duckdb_views()"
        " WHERE (database_name, schema_name, view_name) = (?, ?, ?)",
        [WAREHOUSE, zone, table, WAREHOUSE, zone, table],
    ).fetchone()
    entry = documented.get(ColumnRef(zone, table, ""))
    comment = (found[0] if found else None) or (entry.description if entry else "")
    return " ".join(comment.split())


def _unreleasable(table: ReleaseTable, identifiers: frozenset[str]) -> list[str]:
    name = f"{table.zone}.{table.name}"
    problems = [] if table.comment else [f"{name} has no description"]
    for column in table.columns:
        place = f"{name}.{column.name}"
        if OPERATIONAL.fullmatch(column.name):
            problems.append(f"{place} is the warehouse's own bookkeeping")
        if column.name in identifiers:
            problems.append(f"{place} is named as a direct identifier")
        if not column.comment:
            problems.append(f"{place} has no description")
        if not _TYPES.fullmatch(column.type):
            problems.append(f"{place} has a type that cannot be checked: {column.type}")
    return problems


def _make_ids(
    con: duckdb.DuckDBPyConnection,
    project: Project,
    tables: list[ReleaseTable],
    keys: Tokeniser,
) -> None:
    """temp.project_id: each id of the warehouse (as text) and the project's own."""
    sources = [
        f"SELECT DISTINCT CAST(t.{quoted(c.name)} AS VARCHAR) {t.rows}"
        for t in tables
        for c in t.columns
        if c.is_id
    ]
    con.execute("CREATE OR REPLACE TEMP TABLE project_id (was VARCHAR, id VARCHAR)")
    if not sources:
        return
    union = " UNION ".join(sources)
    was = con.execute(f"SELECT was FROM ({union}) AS u(was) WHERE was IS NOT NULL").pl()["was"]
    made = pl.DataFrame({"was": was, "token": keys.tokens(f"project:{project.name}", was)})
    con.register("project_token", made)
    digits = " || ".join(
        f"substr('{_DIGITS}', 1 + ((token >> {shift}) & 31), 1)" for shift in range(55, -1, -5)
    )
    con.execute(
        "INSERT INTO temp.project_id SELECT was,"
        f" substr('stuvwxyz', 1 + ((token >> 60) & 7), 1) || {digits} FROM project_token"
    )
    con.unregister("project_token")
    if _one(con, "SELECT count(*) - count(DISTINCT id) FROM temp.project_id"):
        raise LinkedCypError("two ids of the warehouse became one in this project")


def _copy(con: duckdb.DuckDBPyConnection, table: ReleaseTable) -> int:
    con.execute(f"CREATE SCHEMA IF NOT EXISTS {FRESH}.{quoted(table.zone)}")
    selected, joins = [], []
    for position, column in enumerate(table.columns):
        name = quoted(column.name)
        if column.is_id:
            selected.append(f"i{position}.id AS {name}")
            joins.append(
                f"LEFT JOIN temp.project_id AS i{position}"
                f" ON i{position}.was = CAST(t.{name} AS VARCHAR)"
            )
        else:
            selected.append(f"t.{name}")
    con.execute(
        f"CREATE TABLE {FRESH}.{table.relation} AS SELECT {', '.join(selected)}"
        f" FROM (SELECT t.* {table.rows}) AS t {' '.join(joins)} ORDER BY ALL NULLS LAST"
    )
    with transaction(con):
        comment_on(con, "TABLE", f"{FRESH}.{table.relation}", table.comment)
        for column in table.columns:
            target = f"{FRESH}.{table.relation}.{quoted(column.name)}"
            comment_on(con, "COLUMN", target, column.comment)
    return _one(con, f"SELECT count(*) FROM {FRESH}.{table.relation}")


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = con.execute(sql).fetchone()
    return int(row[0]) if row else 0
