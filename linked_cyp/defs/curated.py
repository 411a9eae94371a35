"""The dbt models as assets, and dbt's tests as their checks."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    dbt_assets,
)

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import door
from linked_cyp.core.settings import Settings
from linked_cyp.curated import manifest as dbt_manifest
from linked_cyp.curated.build import finish, prepared, refuse_failed
from linked_cyp.defs import metadata
from linked_cyp.defs._dagster import Dbt, described
from linked_cyp.metadata.lineage import dagster_column_deps, lineage
from linked_cyp.stores.door import Stores

ZONES = ("curated", "cohort")
OWNER = metadata.owner("Research data")


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
        return described(spec, test.get("description") or metadata.described_test(test))

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
    @door("building the curated tables")
    def dbt(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        yield from build(context, stores)

    return dg.Definitions(assets=[dbt])


def build(context: dg.AssetExecutionContext, stores: Stores) -> Iterator:
    """``dbt build`` on the warehouse: its events as they come, then the rows of what it made.

    Raises:
        LinkedCypError: a model could not be built or a test of error severity failed.
    """
    settings, run_id = stores.settings, context.run.run_id
    with prepared(stores, run_id) as target:
        dbt = Dbt(
            project_dir=str(settings.dbt_project),
            profiles_dir=str(settings.dbt_project),
            dbt_executable=str(dbt_manifest.dbt_of_this_process(target.parent)),
        )
        yield from dbt.cli(
            ["build"], context=context, target_path=target, raise_on_error=False
        ).stream()
        rows, failed = finish(stores, target, run_id, is_whole=not context.is_subset)
    for key in sorted(context.selected_asset_keys):
        count = rows.get(".".join(key.path))
        if count is not None:
            yield dg.AssetObservation(key, metadata={"dagster/row_count": count})
    refuse_failed(failed)


def _dagster_meta(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = properties.get("meta") or properties.get("config", {}).get("meta") or {}
    return meta.get("dagster") or {}
