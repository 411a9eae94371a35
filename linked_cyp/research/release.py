"""A release as its researchers use it."""

from __future__ import annotations

import datetime as dt
import re
import warnings
from collections.abc import Sequence
from html import escape
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import polars as pl
from polars.testing import assert_frame_equal

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.sql import quoted
from linked_cyp.research.names import near, unknown
from linked_cyp.research.session import locked_session, only_asks
from linked_cyp.research.variable import Variable

RESEARCH = "table_schema IN ('curated', 'cohort')"
CODES = {
    "code": pl.String,
    "meaning": pl.String,
    "first_year": pl.Int32,
    "last_year": pl.Int32,
    "code_list": pl.String,
}
NO_TABLE = re.compile(r"Table with name (\S+) does not exist")


def open_release(path: Path | str, *, memory_limit: str = "4GB") -> Release:
    """Open a release's file (``releases/<project>/current.duckdb``).

    Warns when the project's permission to use the data has expired.

    Args:
        path: the release's file.
        memory_limit: what a query may take, as DuckDB writes it; one that needs more fails.

    Raises:
        LinkedCypError: there is no such file, or it is no release.
    """
    con = locked_session(Path(path), memory_limit)
    try:
        release = Release(con)
    except duckdb.Error:
        con.close()
        raise LinkedCypError(f"{path} is a database, but no release of linked_cyp") from None
    expiry = release.about["expiry"]
    if expiry < dt.datetime.now(dt.UTC).date():
        warnings.warn(f"{release}: to be used until {expiry:%d %B %Y} only", stacklevel=2)
    return release


class Release:
    """One release, open for reading; use it in a ``with`` block or close it."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._about = self.query("FROM provenance.release").row(0, named=True)

    def __enter__(self) -> Release:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<release {self._about['release_id']} of project {self._about['project']}>"

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        about = self._about
        period = f"{about['period_start'] or 'any time'} to {about['period_end'] or 'any time'}"
        rows = {
            "Release": about["release_id"],
            "Project": about["project"],
            "Purpose": about["purpose"],
            "Whose data": about["cohort"],
            "Period": period if about["period_start"] or about["period_end"] else "any time",
            "To be used until": about["expiry"],
            "Made": f"{about['published_at']:%d %B %Y}",
        }
        told = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
            for name, value in rows.items()
        )
        return f"<p><strong>{escape(about['title'])}</strong></p><table>{told}</table>"

    def close(self) -> None:
        self._con.close()

    def query(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> pl.DataFrame:
        """What a query returns, as a Polars frame.

        Args:
            sql: one query, or some that make temporary tables and one that asks.
            parameters: values for ``?`` in order, or for ``$name`` by name.

        Raises:
            LinkedCypError: it is no query: a release is asked and never changed.
            duckdb.Error: the query is wrong, or asks for more than the release.
        """
        try:
            only_asks(self._con, sql)
            return self._con.execute(sql, parameters).pl()
        except duckdb.CatalogException as error:
            missing = NO_TABLE.search(str(error))
            found = near(missing.group(1), self._known()) if missing else []
            if found:
                error.add_note(f"tables of this release named like it: {', '.join(found)}")
            raise

    @property
    def about(self) -> dict[str, Any]:
        """Project, purpose, legal basis, approver, expiry, hashes, versions, date."""
        return dict(self._about)

    def cite(self) -> str:
        """How to name exactly this data in a publication."""
        about = self._about
        return (
            f"{about['title']}. linked_cyp release {about['release_id']} (project"
            f" {about['project']}), {about['published_at']:%d %B %Y}; code"
            f" {about['code_version']}, content SHA-256 {about['content_hash']}."
        )

    def tables(self) -> pl.DataFrame:
        """Every research table: name, what a row is, columns, rows."""
        found = self.query(
            """
            SELECT schema_name || '.' || t.table_name AS "table", comment AS description,
                t.column_count AS columns, estimated_size AS rows
            FROM duckdb_tables() t WHERE schema_name IN ('curated', 'cohort') ORDER BY ALL
            """
        )
        rows = [self._count(name) for name in found["table"]]
        return found.with_columns(rows=pl.Series(rows, dtype=pl.Int64))

    def variables(self, table: str) -> pl.DataFrame:
        """Columns of a table: name, type, description, who defines it, suppliers' fields.

        Raises:
            LinkedCypError: there is no such table; names the nearest.
        """
        schema, name = self._table(table)
        return self.query(
            """
            SELECT column_name AS variable, data_type AS type, description, definition_source,
                source_fields
            FROM dictionary WHERE table_schema = ? AND table_name = ? ORDER BY position
            """,
            [schema, name],
        )

    def find(self, words: str) -> pl.DataFrame:
        """Variables whose name, table or description holds every one of these words."""
        text = "lower(concat_ws(' ', table_schema, table_name, column_name, description))"
        holds = " AND ".join(f"contains({text}, ?)" for _ in words.split())
        return self.query(
            f"""
            SELECT table_schema || '.' || table_name || '.' || column_name AS variable, description
            FROM dictionary WHERE {RESEARCH} AND {holds or "false"}
            ORDER BY table_schema, table_name, position
            """,
            words.lower().split(),
        )

    def describe(self, variable: str) -> Variable:
        """One variable, named ``schema.table.column`` (or ``table.column``).

        Raises:
            LinkedCypError: there is no such table or column; names the nearest.
        """
        schema, name, column = self._variable(variable)
        row = (
            self.variables(f"{schema}.{name}")
            .filter(pl.col("variable") == column)
            .row(0, named=True)
        )
        counts = self.query(
            f"SELECT count(*) AS n, count({quoted(column)}) AS k"
            f" FROM {quoted(schema)}.{quoted(name)}"
        ).row(0)
        return Variable(
            name=f"{schema}.{name}.{column}",
            type=row["type"],
            description=row["description"],
            definition_source=row["definition_source"] or "",
            source_fields=tuple(f.strip() for f in (row["source_fields"] or "").split(";") if f),
            lineage=self.lineage(f"{schema}.{name}.{column}"),
            codes=self.codes(f"{schema}.{name}.{column}"),
            rows=counts[0],
            filled=counts[1],
        )

    def codes(self, variable: str) -> pl.DataFrame:
        """What a variable's codes mean, in the order of their list.

        Columns: ``code``, ``meaning``, ``first_year`` and ``last_year`` (collection years in which
        it is in force, both inclusive) and ``code_list``. Empty where no list is known, as for
        ICD-10 and SNOMED CT.

        Raises:
            LinkedCypError: there is no such table or column; names the nearest.
        """
        named = self._variable(variable)
        try:
            return self.query(
                """
                SELECT code, meaning, first_year, last_year, code_list FROM main.code
                WHERE table_schema = ? AND table_name = ? AND column_name = ?
                """,
                list(named),
            )
        except duckdb.CatalogException:  # a release made before they kept their code lists
            return pl.DataFrame(schema=CODES)

    def lineage(self, variable: str) -> pl.DataFrame:
        """Every step between a variable and the suppliers' fields, nearest first.

        Columns: ``distance`` (1 is the last step), ``used`` and ``made`` as
        ``zone.table.column``, and the ``step`` between them (a treatment or a model). A field as a
        supplier sent it is in zone ``supplier``.

        Raises:
            LinkedCypError: there is no such table or column; names the nearest.
        """
        schema, name, column = self._variable(variable)
        return self.query(
            """
            WITH RECURSIVE back AS (
                SELECT 1 AS distance, l.* FROM provenance.column_lineage l
                WHERE to_zone = $zone AND to_table = $table AND to_column = $column
                UNION
                SELECT back.distance + 1, l.* FROM provenance.column_lineage l JOIN back
                    ON (l.to_zone, l.to_table, l.to_column)
                     = (back.from_zone, back.from_table, back.from_column)
                WHERE back.distance < 50)
            SELECT min(distance) AS distance,
                concat_ws('.', from_zone, from_table, from_column) AS used, step,
                concat_ws('.', to_zone, to_table, to_column) AS made
            FROM back GROUP BY ALL ORDER BY ALL
            """,
            {"zone": schema, "table": name, "column": column},
        )

    def definition(self, table: str) -> str:
        """The query that made a table.

        Raises:
            LinkedCypError: there is no such table, or the release does not say how it was made.
        """
        return str(self._definition(table)["sql"])

    def reproduce(self, table: str) -> pl.DataFrame:
        """Make a table again from the release's other tables, and hold it to the released one.

        Returns:
            the rows made, the same as those released whatever their order.

        Raises:
            LinkedCypError: the query reads what this release does not hold (names it), or what it
                makes differs from what was released.
        """
        schema, name = self._table(table)
        made_by = self._definition(table)
        held = {
            name
            for (name,) in self.query(
                "SELECT schema_name || '.' || table_name FROM duckdb_tables()"
            ).rows()
        }
        lacking = [t for t in made_by["reads"].split(", ") if t and t not in held]
        if lacking:
            raise LinkedCypError(
                f"{schema}.{name} cannot be made from this release alone: it reads "
                + ", ".join(lacking)
            )
        columns = ", ".join(quoted(c) for c in self.variables(f"{schema}.{name}")["variable"])
        try:
            made = self.query(f"SELECT {columns} FROM ({made_by['sql']}) ORDER BY ALL")
        except duckdb.BinderException as error:
            raise LinkedCypError(
                f"{schema}.{name} cannot be made from this release alone: it reads a column that"
                f" was not released ({str(error).splitlines()[0]})"
            ) from None
        kept = self.query(f"SELECT {columns} FROM {quoted(schema)}.{quoted(name)} ORDER BY ALL")
        try:
            assert_frame_equal(made, kept, check_dtypes=False)
        except AssertionError:
            about = self._about
            narrowed = (
                about["cohort"] != "everybody" or about["period_start"] or about["period_end"]
            )
            why = ": this release was cut to a cohort or a period after it was made"
            raise LinkedCypError(
                f"{schema}.{name} made again differs from what was released"
                + (why if narrowed else "")
            ) from None
        return made

    def link_quality(self) -> pl.DataFrame:
        """How far the linkage reaches, to be read before any conclusion."""
        return self.query("FROM main.link_quality")

    def known_problems(self) -> pl.DataFrame:
        return self.query("FROM main.known_problem")

    def _definition(self, table: str) -> dict[str, Any]:
        schema, name = self._table(table)
        found = self.query(
            "SELECT sql, reads FROM provenance.definition WHERE table_schema = ?"
            " AND table_name = ?",
            [schema, name],
        )
        if found.is_empty():
            raise LinkedCypError(f"this release does not say how {schema}.{name} was made")
        return found.row(0, named=True)

    def _known(self) -> list[str]:
        """Full names of the research tables."""
        found = self._con.execute(
            "SELECT DISTINCT table_schema || '.' || table_name FROM dictionary"
            f" WHERE {RESEARCH} ORDER BY 1"
        ).fetchall()
        return [name for (name,) in found]

    def _table(self, name: str) -> tuple[str, str]:
        known = self._known()
        for full in known:
            schema, table = full.split(".")
            if name in (table, full):
                return schema, table
        raise LinkedCypError(unknown("table", name, known))

    def _variable(self, name: str) -> tuple[str, str, str]:
        """Schema, table and column of a variable named in full or without its schema."""
        if name in self._known():
            raise LinkedCypError(f"{name} is a table; variables({name!r}) lists what is in it")
        table, _, column = name.rpartition(".")
        if not table:
            raise LinkedCypError(f"name the table too, as in table.{name}; find() looks everywhere")
        schema, table = self._table(table)
        known = self.variables(f"{schema}.{table}")["variable"].to_list()
        if column not in known:
            raise LinkedCypError(unknown("variable", column, known))
        return schema, table, column

    def _count(self, table: str) -> int:
        schema, name = table.split(".")
        return int(self.query(f"SELECT count(*) FROM {quoted(schema)}.{quoted(name)}").item())
