"""A DuckDB session over one file and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb

from linked_cyp.core.errors import LinkedCypError

# What a query may be. The file is read-only, so CREATE and DROP reach temporary tables alone.
# The settings below deny the rest too; DuckDB 1.5 denies some of it by ending the process.
ASKING = frozenset(
    {
        duckdb.StatementType.SELECT,
        duckdb.StatementType.EXPLAIN,
        duckdb.StatementType.CREATE,
        duckdb.StatementType.DROP,
    }
)
# Set when the file is opened; `lock_configuration` comes last and holds for the session's life.
LOCKED: Mapping[str, str] = {
    "enable_external_access": "false",  # files, ATTACH, COPY, LOAD, httpfs
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",  # tables are the release's, not a notebook's variables
    "allow_persistent_secrets": "false",
    "temp_directory": "",  # no copy of the data is left on disk, and none can be read from there
    "lock_configuration": "true",
}


def locked_session(path: Path, memory_limit: str = "4GB") -> duckdb.DuckDBPyConnection:
    """Open a release read-only, with everything else out of reach.

    Args:
        path: the release's file.
        memory_limit: what a query may take; one that needs more fails, as nothing is spilled.

    Raises:
        LinkedCypError: there is no such file, or it is no DuckDB database.
    """
    if not path.is_file():
        raise LinkedCypError(f"there is no release at {path}")
    try:
        return duckdb.connect(
            str(path), read_only=True, config={"memory_limit": memory_limit, **LOCKED}
        )
    except duckdb.Error:
        raise LinkedCypError(f"{path} is not a release, or not one this version reads") from None


def only_asks(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuse whatever does more than ask.

    Raises:
        LinkedCypError: there is a statement other than a query or one of a temporary table.
        duckdb.Error: it cannot be read as SQL.
    """
    statements = con.extract_statements(sql)
    if not statements:
        raise LinkedCypError("there is no query: write one, such as FROM curated.child LIMIT 5")
    for statement in statements:
        if statement.type not in ASKING:
            raise LinkedCypError(
                f"a release answers queries and nothing else, not {statement.type.name}"
            )
