"""The report on linkage as an asset: measured, checked and written after every linkage run."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import dagster as dg

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import door
from linked_cyp.core.settings import Settings
from linked_cyp.defs import checks, metadata
from linked_cyp.defs.deliveries import LEDGER
from linked_cyp.linkage.report import rules
from linked_cyp.linkage.report.quality import TABLE, first
from linked_cyp.stores.door import Stores

REPORT = list(rules.KEY)
RULES = [*rules.quality_rules(), rules.written_rule()]


@dg.definitions
def linkage_report() -> dg.Definitions:
    return dg.Definitions(assets=[report()])


def report() -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="linkage_report",
        specs=[
            dg.AssetSpec(
                REPORT,
                deps=[["linkage", "bridge"], LEDGER],
                description="How good the links are: precision, recall and linkage rates by source "
                "and group, what was refused, what changed, and what researchers should be told. "
                "An offline HTML page, and the measures run by run.",
                group_name="linkage",
                owners=[metadata.owner("Linkage")],
                kinds={"duckdb", "html"},
                tags={"zone": "warehouse"},
            )
        ],
        check_specs=checks.specs(REPORT, RULES),
        pool="warehouse",
    )
    @door("reporting on the linkage")
    def written(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        with stores.connect(warehouse="rw") as connection:
            rules.owe(connection, run_id=context.run.run_id)
        # altair, vl-convert and splink are slow to load
        run = import_module("linked_cyp.linkage.report.run")
        contracts = load_contracts(Settings.from_environment().contracts)
        done = run.write_report(stores, contracts)
        with stores.connect(warehouse="rw") as connection:
            yield dg.MaterializeResult(
                asset_key=dg.AssetKey(REPORT),
                metadata={
                    "report": str(done.path),
                    "run": done.run_id,
                    **headline(done.measures),
                    **metadata.stored(connection, TABLE),
                },
            )
            yield from checks.checked(connection, REPORT, TABLE, RULES, context)

    return written


def headline(measures: Any) -> dict[str, float]:
    """The numbers to see at a glance, by name; those that were measured."""
    wanted = {
        "precision": ("precision", "truth"),
        "recall": ("recall", "truth"),
        "estimated precision": ("precision", "estimate"),
        "estimated recall": ("recall", "estimate"),
        "records linked": ("step_linked", "rate"),
        "records that cannot be linked": ("unlinkable", "rate"),
    }
    found = {
        name: first(measures, measure, basis=basis, feed="", group_kind="").get("value")
        for name, (measure, basis) in wanted.items()
    }
    return {name: round(value, 4) for name, value in found.items() if value is not None}
