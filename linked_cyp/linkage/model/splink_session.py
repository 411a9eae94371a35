"""Running Splink without leaving anything behind.

Splink writes its working tables where the connection points to and leaves them there. Here they
go into a schema of the connection's own in-memory database (which spills, encrypted, inside the
store's folder), never into a store, and the schema is dropped at the end, also after an error.
Its log messages are silenced: warnings quote column values in places.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb

from linked_cyp.core.errors import value_free

SCHEMA = "splink_work"


@contextmanager
def linker(
    con: duckdb.DuckDBPyConnection, relation: str, settings: dict[str, Any], *, doing: str
) -> Iterator[Any]:
    """A Splink linker over a relation of person records, cleaned away afterwards.

    Args:
        con: connection with the in-memory database that :mod:`linked_cyp.stores.door` opens.
        relation: catalog-qualified table, or a SELECT in parentheses.
        settings: Splink settings (see :func:`linked_cyp.linkage.model.settings.settings`).
        doing: what to say when Splink fails; its own message may quote values.

    Raises:
        LinkedCypError: whatever Splink or DuckDB raise, without their message.
    """
    before = con.execute("SELECT current_catalog(), current_schema()").fetchall()[0]
    with value_free(doing):
        from splink import Linker
        from splink.backends.duckdb import DuckDBAPI

        con.execute(f"CREATE SCHEMA IF NOT EXISTS memory.{SCHEMA}")
        con.execute(f"USE memory.{SCHEMA}")
        try:
            con.execute(f"CREATE OR REPLACE VIEW person_input AS FROM {relation}")
            with _quiet():
                api = DuckDBAPI(con)
                source = api.register("person_input")
                yield Linker(source, settings, log_level=None, validate_settings=False)
        finally:
            con.execute(f'USE "{before[0]}"."{before[1]}"')
            con.execute(f"DROP SCHEMA memory.{SCHEMA} CASCADE")


def database(splink: Any) -> Any:
    """The database that a linker speaks to; a name of Splink's own."""
    return splink._db_api


def unlinkables_chart(records: list[dict[str, float]]) -> dict[str, Any]:
    """Splink's chart of the share of records that reach no weight; a class of Splink's own.

    Args:
        records: ``match_weight``, ``match_probability``, ``prop``, ``cum_prop``.
    """
    from splink.internals.charts import UnlinkablesChart

    return UnlinkablesChart(records, "match_weight", None).chart_dict


@contextmanager
def _quiet() -> Iterator[None]:
    log = logging.getLogger("splink")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)  # the attribute alone leaves loggers below as they were
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
