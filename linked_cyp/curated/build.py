"""One ``dbt build`` on the warehouse: what comes before it, and what is recorded of it after."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.files import prepare_folder
from linked_cyp.core.sql import quoted
from linked_cyp.curated import built_from, left_out, manifest
from linked_cyp.expectations import CheckOutcome
from linked_cyp.pseudonymise.deliveries import ensure_tables
from linked_cyp.stores import provenance
from linked_cyp.stores.door import Stores

DBT = ("dbt",)
WHOLE = "dbt__whole_project"
ADDS_UP = "left_out__adds_up"


@contextmanager
def prepared(stores: Stores, run_id: str) -> Iterator[Path]:
    """The target folder for dbt, which is told where the warehouse is.

    Until :func:`finish`, the build counts as unfinished, so that a release never passes its gate
    on an earlier run's verdicts.
    """
    settings = stores.settings
    # named after this process, so that what a killed run leaves is swept
    work = settings.work / f"{os.getpid()}-dbt-{run_id}"
    with stores.connect(warehouse="rw") as connection:
        ensure_tables(connection, load_contracts(settings.contracts).values())
        built_from.note(connection)
        started = [CheckOutcome("dbt__finished", False, "error")]
        provenance.record_checks(connection, "warehouse", {DBT: started}, run_id=run_id)
    os.environ.update(manifest.dbt_environment(stores.path("warehouse"), work))
    prepare_folder(work)
    try:
        manifest.seed_partial_parse(settings, work / "target")
        yield work / "target"
    finally:
        shutil.rmtree(work, ignore_errors=True)


def finish(
    stores: Stores, target: Path, run_id: str, *, is_whole: bool
) -> tuple[dict[str, int], list[str]]:
    """Record dbt's verdicts and count what it made, once it has closed the warehouse: DuckDB has
    one writer.

    Args:
        is_whole: the whole project was built; a part of it says nothing about the rest.

    Returns:
        Rows by ``schema.table``, and the names of what failed with error severity.
    """
    manifest.keep_partial_parse(stores.settings, target)
    outcomes = list(build_outcomes(target))
    every = [*outcomes, CheckOutcome(WHOLE, is_whole, "error")]
    is_sound = all(outcome.passed for outcome in every if outcome.severity == "error")
    with stores.connect(warehouse="rw") as connection:
        if is_sound:
            every.append(_left_out(stores, connection, target))
        rows = row_counts(connection)
        provenance.record_checks(connection, "warehouse", {DBT: every}, run_id=run_id)
    return rows, [o.name for o in outcomes if not o.passed and o.severity == "error"]


def _left_out(stores: Stores, con: duckdb.DuckDBPyConnection, target: Path) -> CheckOutcome:
    """Count what the curated tables leave out, and whether that and what they hold is all."""
    contracts = load_contracts(stores.settings.contracts)
    made = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    with value_free("counting what the curated tables leave out"):
        wrong = left_out.count(con, contracts.values(), made)
    return CheckOutcome(ADDS_UP, not wrong, "warn", metrics={"tables": len(wrong)})


def refuse_failed(failed: list[str]) -> None:
    """Stop where a model could not be built or a test of error severity failed.

    Raises:
        LinkedCypError: names them.
    """
    if failed:
        raise LinkedCypError("the curated tables did not pass: " + "; ".join(failed))


def build_outcomes(target: Path) -> Iterator[CheckOutcome]:
    """What one ``dbt build`` found, as named outcomes: how many rows failed, never which.

    A model that could not be built and a test that was skipped have not passed.
    """
    results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))["results"]
    for result in results:
        kind, _, name = result["unique_id"].partition(".linked_cyp.")
        passed = result["status"] in ("pass", "success")
        if kind != "test" and passed:
            continue
        yield CheckOutcome(
            name=name.split(".")[0] if kind == "test" else f"{name}__built",
            passed=passed,
            severity="warn" if result["status"] == "warn" else "error",
            metrics={"failures": result.get("failures") or 0},
        )
    yield CheckOutcome("dbt__finished", True, "error")


def row_counts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rows of every table of the warehouse, by ``schema.table``."""
    names = connection.execute(
        """SELECT schema_name, table_name FROM duckdb_tables()
           WHERE database_name = 'warehouse'"""
    ).fetchall()
    return {
        f"{schema}.{name}": connection.execute(
            f"SELECT count(*) FROM warehouse.{quoted(schema)}.{quoted(name)}"
        ).fetchall()[0][0]
        for schema, name in names
    }
