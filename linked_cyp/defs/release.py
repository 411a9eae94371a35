"""One asset per project: its newest release."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import door
from linked_cyp.core.settings import Settings
from linked_cyp.defs import metadata
from linked_cyp.defs.curated import models
from linked_cyp.defs.deliveries import ERASURE
from linked_cyp.defs.linkage_report import REPORT
from linked_cyp.opt_outs.policy import load_policy
from linked_cyp.release import Project, load_project, publish, refusals, truth
from linked_cyp.release.project import projects
from linked_cyp.stores.door import Stores

GATES = "gates__passed"


@dg.definitions
def release() -> dg.Definitions:
    folder = Settings.from_environment().contracts / "projects"
    return dg.Definitions(
        assets=[project_release(load_project(folder, n)) for n in projects(folder)]
    )


def project_release(project: Project) -> dg.AssetsDefinition:
    key = dg.AssetKey(["release", project.name])

    @dg.multi_asset(
        name=f"release_{project.name}",
        specs=[
            dg.AssetSpec(
                key,
                deps=[*models(project.tables), ERASURE, REPORT],
                description=f"{project.title}\n\n{project.purpose}\n\nOne immutable DuckDB file "
                "with this project's own person ids, dictionary and provenance.",
                group_name="release",
                owners=[metadata.owner("Research data")],
                kinds={"duckdb"},
                metadata={
                    "legal basis": dg.MetadataValue.md(project.legal_basis),
                    "approver": project.approver,
                    "expires": str(project.expiry),
                },
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(
                GATES,
                asset=key,
                description="Every check that must hold for a release to be published held.",
                blocking=True,
            )
        ],
        pool="warehouse",
    )
    @door(f"releasing {project.name}")
    def step(stores: dg.ResourceParam[Stores]) -> Iterator:
        policy = load_policy(stores.settings.opt_outs)
        contracts = load_contracts(stores.settings.contracts)
        told = truth.ask(stores, contracts, policy)
        today = dt.datetime.now(dt.UTC).date()
        with stores.connect(warehouse="ro") as connection:
            reasons = refusals(connection, told, policy, today, contracts)
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=GATES,
            passed=not reasons,
            metadata={"reasons": len(reasons)},
        )
        published = publish(stores.settings, project.name, keys=stores.keys())
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={
                "release": published.release_id,
                "file": dg.MetadataValue.path(str(published.path)),
                "content hash": published.content_hash,
                "published anew": published.created,
                "tables with small differences": ", ".join(published.small_differences) or "none",
                "older releases with small differences": ", ".join(published.small_beside)
                or "none",
            },
        )

    return step
