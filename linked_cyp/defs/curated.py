"""The dbt models as assets, and dbt's tests as their checks."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliResource,
    dbt_assets,
)

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.files import prepare_folder
from linked_cyp.core.settings import Settings
from linked_cyp.core.sql import quoted
from linked_cyp.curated import built_from
from linked_cyp.curated import manifest as dbt_manifest
from linked_cyp.defs import metadata
from linked_cyp.expectations import CheckOutcome
from linked_cyp.metadata.lineage import dagster_column_deps, lineage
from linked_cyp.pseudonymise.deliveries import ensure_tables
from linked_cyp.stores import provenance
from linked_cyp.stores.door import Stores

DBT = ("dbt",)
ZONES = ("curated", "cohort")
OWNER = metadata.owner("Research data")


class Dbt(DbtCliResource):
    """dbt as a command, without an adapter in this process.

    dagster-dbt makes one to fetch row counts and columns, which are counted here after the build;
    making it parses every macro, a third of this process's time (8 of 33 s at 687 nodes).
    """

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:
        return None


class Translator(DagsterDbtTranslator):
    """dbt's names → asset keys ``[zone, model]``, grouped by zone, with column lineage."""

    def __init__(self, column_deps: Mapping[tuple[str, ...], Any]) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_asset_checks=True))
        self._column_deps = column_deps

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        declared = _dagster_meta(dbt_resource_props).get("asset_key")
        zone_and_name = [dbt_resource_props["schema"], dbt_resource_props["name"]]
        return dg.AssetKey(declared or zone_and_name)

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        if dbt_resource_props["name"].startswith("int_"):
            return "curated"  # steps between curated tables
        return dbt_resource_props["schema"]

    def get_asset_check_spec(
        self, asset_spec: dg.AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: Any
    ) -> dg.AssetCheckSpec | None:
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        if spec is None:
            return None
        test = manifest["nodes"][unique_id]
        return spec._replace(description=test.get("description") or metadata.described_test(test))

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        return [OWNER]

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return dbt_resource_props.get("description", "")

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, Any]:
        shown = dict(super().get_metadata(dbt_resource_props))
        made_from = self._column_deps.get(
            (dbt_resource_props["schema"], dbt_resource_props["name"])
        )
        if made_from:
            shown["dagster/column_lineage"] = dg.TableColumnLineage(
                {
                    column: [
                        dg.TableColumnDep(asset_key=dg.AssetKey(list(key)), column_name=name)
                        for key, name in sources
                    ]
                    for column, sources in made_from.items()
                }
            )
        return shown


def models(named: Iterable[str] | None = None) -> list[dg.AssetKey]:
    """Keys of the curated and cohort models, or of those named as ``schema.table``."""
    manifest = json.loads(
        dbt_manifest.ensure_manifest(Settings.from_environment()).read_text(encoding="utf-8")
    )
    keys = [
        (node["schema"], node["name"])
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] in ZONES
    ]
    wanted = set(named) if named is not None else None
    return [
        dg.AssetKey(list(key)) for key in sorted(keys) if wanted is None or ".".join(key) in wanted
    ]


@dg.definitions
def curated() -> dg.Definitions:
    settings = Settings.from_environment()
    manifest_path = dbt_manifest.ensure_manifest(settings)
    manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    contracts = load_contracts(settings.contracts)
    translator = Translator(dagster_column_deps(lineage(contracts, manifest).edges))

    @dbt_assets(
        manifest=manifest,
        dagster_dbt_translator=translator,
        name="dbt",
        pool="warehouse",
    )
    def dbt(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        with value_free("building the curated tables"):
            yield from build(context, stores)

    return dg.Definitions(assets=[dbt])


def build(context: dg.AssetExecutionContext, stores: Stores) -> Iterator:
    """Run ``dbt build`` on the warehouse; then record its tests and count what it made.

    What needs the warehouse comes after dbt has closed it: DuckDB has one writer. The verdicts are
    recorded whatever happened, so that a release never passes its gate on an earlier run's.

    Raises:
        LinkedCypError: a model could not be built or a test of error severity failed.
    """
    settings = stores.settings
    # named after this process, so that what a killed run leaves is swept
    work = settings.work / f"{os.getpid()}-dbt-{context.run.run_id}"
    with stores.connect(warehouse="rw") as connection:
        ensure_tables(connection, load_contracts(settings.contracts).values())
        built_from.note(connection)
        started = [CheckOutcome("dbt__finished", False, "error")]
        provenance.record_checks(connection, "warehouse", {DBT: started}, run_id=context.run.run_id)
    os.environ.update(dbt_manifest.dbt_environment(stores.path("warehouse"), work))
    dbt = Dbt(
        project_dir=str(settings.dbt_project),
        profiles_dir=str(settings.dbt_project),
        dbt_executable=str(dbt_manifest.dbt_program()),
    )
    prepare_folder(work)
    try:
        dbt_manifest.seed_partial_parse(settings, work / "target")
        invocation = dbt.cli(
            ["build"], context=context, target_path=work / "target", raise_on_error=False
        )
        events = list(invocation.stream())
        dbt_manifest.keep_partial_parse(settings, work / "target")
        # a part of the project, started from the UI, says nothing about the rest of it
        whole = CheckOutcome("dbt__whole_project", not context.is_subset, "error")
        outcomes = [*build_outcomes(work / "target"), whole]
        with stores.connect(warehouse="rw") as connection:
            rows = row_counts(connection)
            provenance.record_checks(
                connection, "warehouse", {DBT: outcomes}, run_id=context.run.run_id
            )
        for event in events:
            yield _with_rows(event, rows)
        failed = [
            o.name for o in outcomes if not o.passed and o.severity == "error" and o is not whole
        ]
        if failed:
            raise LinkedCypError("the curated tables did not pass: " + "; ".join(failed))
    finally:
        shutil.rmtree(work, ignore_errors=True)


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


def _with_rows(event: Any, rows: Mapping[str, int]) -> Any:
    """A dbt event with the row count of the table it made."""
    if not isinstance(event, dg.MaterializeResult | dg.Output):
        return event
    key = event.asset_key if isinstance(event, dg.MaterializeResult) else None
    name = ".".join(key.path) if key else event.output_name.replace("__", ".", 1)
    if name not in rows:
        return event
    count = {"dagster/row_count": rows[name]}
    if isinstance(event, dg.Output):
        return event.with_metadata({**event.metadata, **count})
    return event._replace(metadata={**(event.metadata or {}), **count})


def _dagster_meta(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = properties.get("meta") or properties.get("config", {}).get("meta") or {}
    return meta.get("dagster") or {}
