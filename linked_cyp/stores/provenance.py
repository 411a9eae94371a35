"""What was checked, when and with what verdict: kept in the warehouse, carried by releases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

import duckdb
import polars as pl

from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import transaction


class Outcome(Protocol):
    """The verdict of one named check: names and counts, never values."""

    @property
    def name(self) -> str: ...

    @property
    def passed(self) -> bool: ...

    @property
    def severity(self) -> str: ...

    @property
    def metrics(self) -> Mapping[str, int | float]: ...


CHECK_RESULT = """
    CREATE TABLE IF NOT EXISTS {catalog}.provenance.check_result (
        asset VARCHAR, delivery_id VARCHAR, check_name VARCHAR, severity VARCHAR,
        passed BOOLEAN, metrics VARCHAR, run_id VARCHAR, checked_at TIMESTAMP)
"""


def ensure(connection: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Create ``<catalog>.provenance.check_result`` if it is not there."""
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {catalog}.provenance")
    connection.execute(CHECK_RESULT.format(catalog=catalog))


def record_checks(
    connection: duckdb.DuckDBPyConnection,
    catalog: str,
    verdicts: Mapping[tuple[str, ...], Sequence[Outcome]],
    *,
    run_id: str,
    delivery_id: str | None = None,
    only: Sequence[str] | None = None,
) -> None:
    """Replace the verdicts on some assets (of one delivery) by the newest ones.

    Args:
        verdicts: outcomes by asset key, ``(zone, feed, table)`` or the like.
        only: the checks whose older verdicts are replaced; by default all of those assets.
    """
    ensure(connection, catalog)
    names = {"/".join(asset): outcomes for asset, outcomes in verdicts.items()}
    rows = [
        (name, delivery_id, o.name, o.severity, o.passed, json.dumps(dict(o.metrics)), run_id)
        for name, outcomes in names.items()
        for o in outcomes
    ]
    columns = ["asset", "delivery_id", "check_name", "severity", "passed", "metrics", "run_id"]
    kinds = {c: pl.Boolean if c == "passed" else pl.String for c in columns}
    frame = pl.DataFrame(rows, schema=kinds, orient="row")
    now = datetime.now(UTC).replace(tzinfo=None)
    with value_free("recording checks"), transaction(connection):
        connection.execute(
            f"""DELETE FROM {catalog}.provenance.check_result
                WHERE list_contains($assets, asset)
                AND delivery_id IS NOT DISTINCT FROM $delivery
                AND ($only IS NULL OR list_contains($only::VARCHAR[], check_name))""",
            {
                "assets": list(names),
                "delivery": delivery_id,
                "only": None if only is None else list(only),
            },
        )
        connection.register("verdicts_now", frame.to_arrow())
        connection.execute(
            f"""INSERT INTO {catalog}.provenance.check_result BY NAME
                SELECT *, $now::TIMESTAMP AS checked_at FROM verdicts_now""",
            {"now": now},
        )
        connection.unregister("verdicts_now")


def copy_checks(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    target: str,
    prefix: str = "raw/",
    but: Sequence[str] = (),
) -> None:
    """Bring the verdicts on a zone's assets from one catalog to another, replacing them there.

    Args:
        but: assets of the zone that the target judges itself; their verdicts stay.
    """
    ensure(connection, source)
    ensure(connection, target)
    chosen = "WHERE starts_with(asset, $prefix) AND NOT list_contains($but, asset)"
    given = {"prefix": prefix, "but": list(but)}
    with transaction(connection):
        connection.execute(f"DELETE FROM {target}.provenance.check_result {chosen}", given)
        connection.execute(
            f"""INSERT INTO {target}.provenance.check_result
                SELECT * FROM {source}.provenance.check_result {chosen}""",
            given,
        )


def forget(connection: duckdb.DuckDBPyConnection, catalog: str, delivery_id: str) -> None:
    """Remove the verdicts on a delivery that was withdrawn."""
    ensure(connection, catalog)
    connection.execute(
        f"DELETE FROM {catalog}.provenance.check_result WHERE delivery_id = ?", [delivery_id]
    )


def is_kept(connection: duckdb.DuckDBPyConnection, catalog: str) -> bool:
    """Whether any verdict was ever recorded in a catalog."""
    found = connection.execute(
        """SELECT 1 FROM duckdb_tables() WHERE database_name = ?
           AND schema_name = 'provenance' AND table_name = 'check_result'""",
        [catalog],
    ).fetchone()
    return found is not None


def failed(
    connection: duckdb.DuckDBPyConnection, catalog: str, delivery_id: str | None = None
) -> list[str]:
    """Names of failed error-severity checks, ``asset: check``, of one delivery or of everything.

    Raises:
        LinkedCypError: no check was ever recorded there, or none of the delivery: nothing
            unchecked goes further.
    """
    if not is_kept(connection, catalog):
        raise LinkedCypError(f"no check has been recorded in the {catalog} store")
    if delivery_id is not None:
        known = connection.execute(
            f"SELECT count(*) FROM {catalog}.provenance.check_result WHERE delivery_id = ?",
            [delivery_id],
        ).fetchall()
        if not known[0][0]:
            raise LinkedCypError(f"no check of {delivery_id} has been recorded")
    condition = "" if delivery_id is None else "AND delivery_id = ?"
    rows = connection.execute(
        f"""SELECT DISTINCT asset || ': ' || check_name FROM {catalog}.provenance.check_result
            WHERE severity = 'error' AND NOT passed {condition} ORDER BY 1""",
        [] if delivery_id is None else [delivery_id],
    ).fetchall()
    return [name for (name,) in rows]


def refuse_failed(
    connection: duckdb.DuckDBPyConnection, catalog: str, delivery_id: str | None = None
) -> None:
    """The gate: what has a failed error-severity check goes no further.

    Raises:
        LinkedCypError: names the checks; or as :func:`failed`.
    """
    names = failed(connection, catalog, delivery_id)
    if names:
        raise LinkedCypError("checks failed: " + "; ".join(names))
