"""Dagster's event log in one SQLite file, on one engine.

Dagster's own SQLite storage builds an engine and opens a file for every event; a delivery that
carries 240 named checks spent 8 seconds on that alone, and 2.8 with this (see
``docs/decisions/0003-event-log.md``). A large installation uses PostgreSQL instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from linked_cyp.defs._dagster import ConsolidatedSqliteEventLogStorage


class PooledSqliteEventLog(ConsolidatedSqliteEventLogStorage):
    @cached_property
    def _engine(self) -> Engine:
        engine = create_engine(
            self._conn_string, connect_args={"timeout": 60, "check_same_thread": False}
        )

        @event.listens_for(engine, "connect")
        def _relax(connection: Any, _record: Any) -> None:
            # safe with write-ahead logging: a power cut may lose the last events, never the file
            connection.execute("PRAGMA synchronous = NORMAL")

        return engine

    def has_table(self, table_name: str) -> bool:
        """Asked for every check; a table that is there stays there."""
        if table_name not in self._tables_seen:
            if not super().has_table(table_name):
                return False
            self._tables_seen.add(table_name)
        return True

    @cached_property
    def _tables_seen(self) -> set[str]:
        return set()

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self._engine.connect() as connection, connection.begin():
            yield connection
