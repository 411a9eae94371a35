"""The NHS numbers to ask about: what the national service needs to say who has opted out.

The Check for National Data Opt-outs service takes a list of NHS numbers and returns those that
remain. Here the list is made: the usable numbers of every accepted delivery that the national data
opt-out takes rows out of, former numbers among them, as linkage asks for both. They are written in
clear, so into one file of mode 0600, in a folder that is the operator's alone, and nowhere else.

The form (one number on a line, no header) is that of the reply; it is unverified.
"""

from __future__ import annotations

import datetime as dt
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import polars as pl

from linked_cyp.contracts.model import Contract, Table
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.core.sql import quoted
from linked_cyp.identity.identifiers import IDENTIFIERS
from linked_cyp.identity.tokenise import raw
from linked_cyp.opt_outs.policy import NATIONAL

ROLES = ("nhs_number", "former_nhs_number")


def numbers_to_ask_about(
    con: duckdb.DuckDBPyConnection, contracts: Mapping[str, Contract]
) -> pl.Series:
    """Distinct usable NHS numbers, sorted.

    Args:
        con: connection with ``identifiable``.
        contracts: feeds by name; those whose ``opt_outs`` name the national data opt-out count.

    Raises:
        LinkedCypError: no accepted delivery holds one, so there is nobody to ask about.
    """
    with value_free("collecting the numbers to ask about"):
        found = [pl.Series("number", [], dtype=pl.String)]
        for contract in contracts.values():
            if NATIONAL in contract.opt_outs:
                for table in contract.tables.values():
                    found += _held(con, contract.feed, table)
        numbers = pl.concat(found).unique().sort()
    if numbers.is_empty():
        raise LinkedCypError("no accepted delivery holds an NHS number to ask about")
    return numbers


def write_numbers(
    numbers: pl.Series, folder: Path, day: dt.date, *, forbidden: tuple[Path, ...] = ()
) -> Path:
    """Write the list into an existing folder that nobody else can open. Never overwrites.

    Args:
        day: on which it was made; it is in the file's name.
        forbidden: folders in which the file must not lie, such as those of the platform's data.

    Raises:
        LinkedCypError: the folder is not the caller's own with mode 0700, is one of the
            platform's, or has such a file already.
    """
    _refuse_folder(folder, (PROJECT_ROOT, *forbidden))
    path = folder / f"{NATIONAL}_check_{day:%Y-%m-%d}.csv"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise LinkedCypError(f"{path} exists already and is never overwritten") from None
    try:
        with value_free("writing the numbers"), os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(("\n".join(numbers) + "\n").encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()  # half a list would opt the other half out
        raise
    return path


def _held(con: duckdb.DuckDBPyConnection, feed: str, table: Table) -> Iterator[pl.Series]:
    columns = [
        c.name for c in table.columns if c.linkage_role in ROLES or c.linkage_role_by is not None
    ]
    stored = con.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = 'identifiable'"
        " AND schema_name = 'raw' AND table_name = ?",
        [table.table_name],
    ).fetchall()
    for column in columns:
        if (column,) in stored:
            values = con.execute(
                f"SELECT DISTINCT CAST({quoted(column)} AS VARCHAR) AS number"
                f" FROM {raw(table.table_name)} WHERE delivery_id IN"
                " (SELECT delivery_id FROM identifiable.ledger.current"
                " WHERE status = 'accepted' AND feed = ?)",
                [feed],
            ).pl()
            usable = IDENTIFIERS["nhs_number"].usable(pl.col("number"))
            yield values.select(usable.alias("number")).drop_nulls()["number"].cast(pl.String)


def _refuse_folder(folder: Path, forbidden: tuple[Path, ...]) -> None:
    try:
        found = folder.lstat()
    except OSError:
        raise LinkedCypError(f"there is no folder {folder}: make one of mode 0700") from None
    if not stat.S_ISDIR(found.st_mode):
        raise LinkedCypError(f"{folder} is not a folder")
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise LinkedCypError(f"{folder} can be opened by others: it must be yours, of mode 0700")
    real = folder.resolve()
    for place in forbidden:
        if real.is_relative_to(place.resolve()):
            raise LinkedCypError(f"{folder} lies in {place}: name a folder outside the platform")
