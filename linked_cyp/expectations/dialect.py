"""A SQLAlchemy dialect for a DuckDB connection that is already open.

Great Expectations 1.24 reaches databases through SQLAlchemy only, and no published DuckDB dialect
works with this stack. The dialect knows just enough for Great Expectations to push its checks
down: run a query, list the columns of a relation, quote names.

Privacy: DuckDB's error messages quote cell values, and Great Expectations logs what it catches.
Every error is therefore replaced here, at the source, by one that holds the exception's type only.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import duckdb
import sqlalchemy as sa
from sqlalchemy.engine import default
from sqlalchemy.pool import StaticPool
from sqlalchemy.sql import compiler

_TYPES: dict[str, Any] = {
    "VARCHAR": sa.String,
    "BIGINT": sa.BigInteger,
    "HUGEINT": sa.BigInteger,
    "UBIGINT": sa.BigInteger,
    "INTEGER": sa.Integer,
    "UINTEGER": sa.Integer,
    "SMALLINT": sa.SmallInteger,
    "TINYINT": sa.SmallInteger,
    "DOUBLE": sa.Double,
    "FLOAT": sa.Float,
    "BOOLEAN": sa.Boolean,
    "DATE": sa.Date,
    "TIMESTAMP": sa.DateTime,
    "BLOB": sa.LargeBinary,
}


class DatabaseError(Exception):
    """What the DBAPI layer raises: the type of DuckDB's error, never its text."""


class _Cursor:
    """The part of a DBAPI cursor SQLAlchemy uses, over a shared DuckDB connection.

    Results are fetched at once: they are counts and column lists, and a later statement on the
    same connection would close a result left open.
    """

    arraysize = 1
    rowcount = -1
    lastrowid = None

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._rows: list[tuple[Any, ...]] = []
        self.description: list[tuple[Any, ...]] | None = None

    def execute(self, statement: str, parameters: Any = ()) -> None:
        failure = None
        try:
            result = self._con.execute(statement, list(parameters or ()))
            self.description = result.description
            self._rows = result.fetchall()
        except duckdb.Error as error:
            failure = type(error).__name__
        if failure is not None:  # outside the handler, so that no context is chained
            raise DatabaseError(failure)

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        count = size or self.arraysize
        taken, self._rows = self._rows[:count], self._rows[count:]
        return taken

    def fetchall(self) -> list[tuple[Any, ...]]:
        taken, self._rows = self._rows, []
        return taken

    def close(self) -> None:
        self._rows = []


class _Connection:
    """A DBAPI connection that leaves transactions and closing to the owner of the real one."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con

    def cursor(self) -> _Cursor:
        return _Cursor(self._con)

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...


class _AlwaysQuote(compiler.IdentifierPreparer):
    """DuckDB reserves words ANSI does not; quoting every name needs no list of them."""

    def _requires_quotes(self, value: str) -> bool:
        return True


class DuckDBDialect(default.DefaultDialect):
    """Read-only use of one DuckDB connection; names resolve in its search path and temp schema."""

    name = "duckdb"
    driver = "open_connection"
    preparer = _AlwaysQuote
    default_paramstyle = "qmark"
    supports_statement_cache = True
    supports_native_boolean = True
    supports_sane_rowcount = False
    postfetch_lastrowid = False

    @classmethod
    def import_dbapi(cls) -> Any:
        return SimpleNamespace(
            paramstyle="qmark",
            apilevel="2.0",
            threadsafety=1,
            Error=DatabaseError,
            DatabaseError=DatabaseError,
        )

    def initialize(self, connection: Any) -> None:
        """Nothing to ask the server: no version, encoding or isolation level matters here."""

    def do_ping(self, dbapi_connection: Any) -> bool:
        return True

    def get_columns(
        self, connection: Any, table_name: str, schema: str | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """The columns of a table or view; only relations of the search path are looked up."""
        name = self.identifier_preparer.quote_identifier(str(table_name))
        rows = connection.exec_driver_sql(f"DESCRIBE {name}").fetchall()
        return [
            {
                "name": row[0],
                "type": _TYPES.get(row[1].split("(")[0], sa.types.NullType)(),
                "nullable": True,
                "default": None,
            }
            for row in rows
        ]

    def get_pk_constraint(
        self, connection: Any, table_name: str, schema: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        return {"constrained_columns": [], "name": None}

    def has_table(
        self, connection: Any, table_name: str, schema: str | None = None, **kwargs: Any
    ) -> bool:
        found = connection.exec_driver_sql(
            "SELECT count(*) FROM (SHOW ALL TABLES) WHERE name = ?", (str(table_name),)
        )
        return bool(found.scalar())


def quote_relation(relation: str) -> str:
    """`catalog.schema.table` with every part quoted; a part may not itself hold a full stop."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in relation.split("."))


def engine_over(con: duckdb.DuckDBPyConnection) -> sa.Engine:
    """A SQLAlchemy engine whose every statement runs on `con`, inside its transaction.

    `con` is never closed, committed or rolled back. Temporary views and macros made on `con` are
    visible, which they would not be on `con.cursor()` (in DuckDB a connection of its own).
    """
    connection = _Connection(con)
    return sa.create_engine(
        sa.URL.create("duckdb+open_connection"),
        creator=lambda: connection,
        poolclass=StaticPool,
        pool_reset_on_return=None,
        hide_parameters=True,
    )


sa.dialects.registry.register("duckdb.open_connection", __name__, "DuckDBDialect")
