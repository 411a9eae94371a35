"""Which deliveries the curated tables were made from, as they stood when dbt began."""

from __future__ import annotations

import datetime as dt

import duckdb

from linked_cyp.contracts.pseudonymised import DELIVERIES
from linked_cyp.core.sql import exists, transaction
from linked_cyp.stores import provenance

BUILT_FROM = "warehouse.provenance.built_from"
CHECKS = "warehouse.provenance.check_result"


def note(con: duckdb.DuckDBPyConnection) -> None:
    """Write down what a build that begins now reads: accepted deliveries, as pseudonymised.

    Before dbt and not after it: what arrives during a build is not in it.

    Args:
        con: has the catalog ``warehouse``, for writing.
    """
    provenance.ensure(con, "warehouse")
    with transaction(con):
        con.execute(
            f"CREATE OR REPLACE TABLE {BUILT_FROM} AS SELECT delivery_id, made_at AS"
            f" pseudonymised_at FROM {DELIVERIES} LEFT JOIN ({_MADE_AT}) USING (delivery_id)"
            " WHERE status = 'accepted' ORDER BY ALL"
        )


def pseudonymised_at(con: duckdb.DuckDBPyConnection) -> dict[str, dt.datetime]:
    """When each delivery's rows were last pseudonymised and checked (UTC)."""
    return dict(con.execute(_MADE_AT).fetchall()) if exists(con, CHECKS) else {}


_MADE_AT = (
    f"SELECT delivery_id, max(checked_at) AS made_at FROM {CHECKS}"
    " WHERE starts_with(asset, 'pseudonymised/') AND delivery_id IS NOT NULL GROUP BY 1"
)
