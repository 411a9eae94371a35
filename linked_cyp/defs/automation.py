"""When things run: as deliveries land, every night, and after a withdrawal."""

import json
import time
from typing import Any

import dagster as dg

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.settings import Settings
from linked_cyp.defs import dfe_rules
from linked_cyp.defs.feeds import delivery_tags, partitions, pseudonymised_key, raw_key, started
from linked_cyp.defs.linkage_attack import ATTACK
from linked_cyp.ingest import landing

SETTLED_SECONDS = 30.0
BY_HAND = dg.AssetSelection.assets(ATTACK)  # minutes of two stores, and nothing is made from it
EVERYTHING = dg.AssetSelection.groups("deliveries", "reference").downstream() - BY_HAND


def ingest_job(contract: Contract) -> Any:
    keys = [
        dg.AssetKey(key(contract.feed, table))
        for table in contract.tables
        for key in (raw_key, pseudonymised_key)
    ]
    return dg.define_asset_job(
        f"ingest_{contract.feed}",
        # its step reports the Department's rules as well; alone, they judge a delivery again
        selection=dg.AssetSelection.assets(*keys) - dfe_rules.selection(contract),
        partitions_def=partitions(contract.feed),
        description=f"Take one delivery of {contract.title} from landing to pseudonymised tables.",
    )


@dg.definitions
def automation() -> dg.Definitions:
    contracts = load_contracts(Settings.from_environment().contracts)
    ingest = [ingest_job(contract) for contract in contracts.values()]
    refresh = dg.define_asset_job(
        "refresh",
        selection=EVERYTHING,
        description="Link, curate and release again from every accepted delivery.",
    )
    rebuild = dg.define_asset_job(
        "rebuild_after_withdrawal",
        selection=EVERYTHING,
        config={"ops": {"ledger": {"config": {"rebuild": True}}}},
        description="Erase what was withdrawn, by writing the stores anew, and refresh everything "
        "that was made from it.",
    )

    @dg.sensor(
        name="landing",
        jobs=ingest,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts the ingest of every delivery that has come to rest in the landing "
        "folder. The same content never starts a second run.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        settings = Settings.from_environment()
        seen: dict[str, str] = json.loads(context.cursor or "{}")
        present: dict[str, str] = {}
        found: dict[tuple[str, str], landing.LandedDelivery] = {}
        for folder in landing.folders(settings.landing):
            # not the folder's name: Dagster keeps it, and it may hold anything
            place = landing.place_signature(folder, settings.landing)
            if time.time() - landing.newest(folder) < SETTLED_SECONDS:
                continue  # still being copied
            present[place] = landing.folder_signature(folder)
            if seen.get(place) == present[place]:
                continue
            try:
                landed = landing.identify(folder, settings.landing, contracts)
            except landing.Unidentified as problem:
                context.log.warning(f"landing: a folder was passed over: {problem}")
                continue
            key = (landed.feed, landed.delivery_id)
            if key not in found or found[key].version_order < landed.version_order:
                found[key] = landed  # the same content in two folders is one delivery
        new = [landed for landed in found.values() if not started(context.instance, landed)]
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=f"{landed.delivery_id} {delivery_tags(landed)['version']}",
                    job_name=f"ingest_{landed.feed}",
                    partition_key=landed.delivery_id,
                    tags=delivery_tags(landed),
                )
                for landed in new
            ],
            dynamic_partitions_requests=[
                partitions(landed.feed).build_add_request([landed.delivery_id]) for landed in new
            ],
            cursor=json.dumps(present, sort_keys=True),
        )

    nightly = dg.ScheduleDefinition(
        name="nightly",
        job=refresh,
        cron_schedule="0 2 * * *",
        execution_timezone="Europe/London",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Refresh everything at two in the morning.",
    )
    return dg.Definitions(jobs=[*ingest, refresh, rebuild], sensors=[sensor], schedules=[nightly])
