"""The stores and their one door.

Four stores, one direction: identifiable and linkage are encrypted, the warehouse holds only
pseudonymised data, a release is a file of its own. A step names the stores it needs and how; no
connection outlives the step.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.files import _alive, _private_umask, fsync, prepare_folder, sweep
from linked_cyp.core.settings import Settings
from linked_cyp.core.sql import exists
from linked_cyp.identity.keys import Keys

Mode = Literal["ro", "rw"]
ENCRYPTED = ("identifiable", "linkage")
STORES = (*ENCRYPTED, "warehouse")
MADE_WITH = "warehouse.provenance.master_key"
WAIT_SECONDS = 300.0  # for a holder that cannot be seen: of another host, or of no number
LONGEST_SECONDS = 43_200.0  # for one that lives: as long as run monitoring lets a run last


class Held(LinkedCypError):
    """Another process holds a store, and held it for as long as we would wait."""


@dataclass(frozen=True)
class Stores:
    """Opens the stores of one installation."""

    settings: Settings

    def path(self, store: str) -> Path:
        return self.settings.stores / f"{store}.duckdb"

    def keys(self) -> Keys:
        """The keys, from the master key file.

        Raises:
            LinkedCypError: the key file is missing, short, readable by others or an example.
        """
        return Keys.load(self.settings.key_file)

    @contextmanager
    def connect(
        self,
        *,
        memory_limit: str | None = None,
        wait_seconds: float | None = None,
        **modes: Mode,
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """One connection with the named stores attached as catalogs of the same names.

        DuckDB lets one process write at a time, so this waits as long as the process that holds a
        store lives. Stores are attached in one order, so that no two wait for each other.

        Args:
            memory_limit: DuckDB's own limit, for example ``"2GB"``; by default the settings'.
            wait_seconds: how long to wait for a store; by default as long as its holder lives, or
                five minutes for one that cannot be seen from here.
            modes: ``identifiable``, ``linkage`` or ``warehouse``, each ``"ro"`` or ``"rw"``.

        Raises:
            LinkedCypError: an unknown store or a wrong key (the warehouse, which no key closes,
                knows the one that its tokens were made with); or, without its message, what DuckDB
                raised inside.
            Held: a store is still held after the wait.
        """
        unknown = set(modes) - set(STORES)
        if unknown:
            raise LinkedCypError(f"there is no store {', '.join(sorted(unknown))}")
        prepare_folder(self.settings.stores)
        prepare_folder(self.settings.work)
        spill = prepare_folder(self.settings.work / f"{os.getpid()}-{time.monotonic_ns()}")
        sweep(self.settings.work)
        connection = open_engine(spill, memory_limit or self.settings.memory_limit)
        try:
            for store in sorted(modes, key=STORES.index):
                self._attach(connection, store, modes[store], wait_seconds)
            if "warehouse" in modes and self.settings.key_file.exists():
                _refuse_other_key(connection, self.keys().fingerprint(), modes["warehouse"])
            # an error of DuckDB may hold a value; no statement on a store needs a guard of its own
            with value_free(f"using {' and '.join(modes) or 'no store'}", only=duckdb.Error):
                yield connection
        finally:
            connection.close()
            shutil.rmtree(spill, ignore_errors=True)

    def _attach(
        self,
        connection: duckdb.DuckDBPyConnection,
        store: str,
        mode: Mode,
        wait_seconds: float | None,
    ) -> None:
        path = self.path(store)
        if mode == "ro" and not path.exists():
            raise LinkedCypError(f"the {store} store does not exist yet: nothing has been ingested")
        options = ["READ_ONLY"] if mode == "ro" else []
        if store in ENCRYPTED:
            options.append(f"ENCRYPTION_KEY '{self.keys().store_key(store)}'")
        clause = f" ({', '.join(options)})" if options else ""
        began = time.monotonic()
        while True:
            try:
                with _private_umask():
                    connection.execute(f"ATTACH '{_quoted(path)}' AS {store}{clause}")
                return
            except duckdb.IOException as error:
                problem = str(error)
            except duckdb.Error:
                problem = ""
            if "lock" not in problem.lower():
                raise LinkedCypError(f"the {store} store cannot be opened with this key")
            patience = _patience(problem) if wait_seconds is None else wait_seconds
            if time.monotonic() - began > patience:
                raise Held(f"another process has held the {store} store for too long")
            time.sleep(0.02)  # most steps hold a store for less than a second

    def rebuild(self, store: str) -> None:
        """Copy a store into a new file and swap it in, so that deleted rows leave no bytes behind.

        DuckDB's ``DELETE`` leaves old blocks in the file; erasure means a new file.
        """
        path = self.path(store)
        if not path.exists():
            return
        fresh = path.with_name(f"{path.name}.rebuild")
        fresh.unlink(missing_ok=True)
        key = f" (ENCRYPTION_KEY '{self.keys().store_key(store)}')" if store in ENCRYPTED else ""
        only: dict[str, Mode] = {store: "ro"}
        with (
            value_free(f"rebuilding {store}"),
            self.connect(wait_seconds=None, **only) as connection,
        ):
            with _private_umask():
                connection.execute(f"ATTACH '{_quoted(fresh)}' AS fresh{key}")
            connection.execute(f"COPY FROM DATABASE {store} TO fresh")
            connection.execute("CHECKPOINT fresh")
            connection.execute("DETACH fresh")
        os.chmod(fresh, 0o600)
        fsync(fresh)
        os.replace(fresh, path)
        fsync(path.parent)


def _patience(problem: str) -> float:
    """How long to wait, in seconds, for the process that DuckDB says holds a store."""
    holder = re.search(r"\(PID (\d+)\)", problem)
    return LONGEST_SECONDS if holder and _alive(int(holder[1])) else WAIT_SECONDS


def _refuse_other_key(con: duckdb.DuckDBPyConnection, key: str, mode: Mode) -> None:
    """Hold the warehouse to the key that its tokens were made with, which the first writer notes.

    Raises:
        LinkedCypError: it was another: no id made now would meet one made before.
    """
    if mode == "rw" and not exists(con, MADE_WITH):
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {MADE_WITH.rsplit('.', 1)[0]}")
        con.execute(f"CREATE TABLE {MADE_WITH} AS SELECT ? AS fingerprint", [key])
    made = con.execute(f"FROM {MADE_WITH}").fetchall() if exists(con, MADE_WITH) else []
    if any(other != key for (other,) in made):
        raise LinkedCypError(
            f"the warehouse was made with the master key of fingerprint {made[0][0]}, and this is"
            f" {key}: put that key back"
        )


def open_engine(spill: Path, memory_limit: str | None = None) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that downloads nothing and encrypts what it spills.

    Raises:
        LinkedCypError: the installed extension does not match the installed DuckDB.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": str(spill),
    }
    if memory_limit:
        config["memory_limit"] = memory_limit
    connection = duckdb.connect(":memory:", config=config)
    # DuckDB writes encrypted files only through OpenSSL, which its signed httpfs extension brings.
    connection.execute(f"LOAD '{_quoted(encryption_extension())}'")
    connection.execute("SET temp_file_encryption = true")
    # DuckDB draws bars by itself in worker processes, which it takes for interactive sessions.
    connection.execute("SET enable_progress_bar = false")
    return connection


def encryption_extension() -> Path:
    """The signed extension inside the ``duckdb-extension-httpfs`` wheel (nothing is downloaded)."""
    spec = importlib.util.find_spec("duckdb_extension_httpfs")
    version = f"v{duckdb.__version__}"
    if spec and spec.origin:
        path = Path(spec.origin).parent / "extensions" / version / "httpfs.duckdb_extension"
        if path.exists():
            return path
    raise LinkedCypError(f"duckdb-extension-httpfs does not match DuckDB {version}")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
