"""When things run: as deliveries land, every night, and after a withdrawal."""

import json
import time
from collections.abc import Iterator
from datetime import UTC
from typing import Any

import dagster as dg

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.settings import Settings
from linked_cyp.defs import dfe_rules
from linked_cyp.defs.dead_runs import fail_dead_runs
from linked_cyp.defs.feeds import delivery_tags, partitions
from linked_cyp.defs.linkage_attack import ATTACK
from linked_cyp.ingest.new import Delivery, settled, to_take
from linked_cyp.ingest.step import raw_key
from linked_cyp.pseudonymise.step import pseudonymised_key
from linked_cyp.stores.door import Held, Stores

STORE_SECONDS = 5.0  # a tick waits so long for a store that a step holds
START_SECONDS = 600.0  # a run whose step has not begun after that was killed
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


def run_requests(
    context: dg.SensorEvaluationContext, delivery: Delivery
) -> Iterator[dg.RunRequest]:
    """The run of a delivery that is to be taken, unless one is on its way or failed just now."""
    tags = delivery_tags(delivery)
    job = f"ingest_{delivery.feed}"
    records = context.instance.get_run_records(
        dg.RunsFilter(job_name=job, tags={"dagster/partition": delivery.delivery_id, **tags})
    )
    now = time.time()
    if any(is_on_its_way(record, now) for record in records):
        return
    if records and now - max(map(last_change, records)) < pause(len(records)):
        return
    yield dg.RunRequest(
        run_key=f"{delivery.delivery_id} {tags['version']} {len(records)}",
        job_name=job,
        partition_key=delivery.delivery_id,
        tags=tags,
    )


def is_on_its_way(record: dg.RunRecord, now: float) -> bool:
    """Whether a run may yet take its delivery. One that began long ago and is not taking it now
    (:func:`linked_cyp.ingest.new.being_taken`) was killed, whatever Dagster still says of it."""
    run = record.dagster_run
    if run.status == dg.DagsterRunStatus.QUEUED:
        return True
    return not run.is_finished and now - last_change(record) < START_SECONDS


def last_change(record: dg.RunRecord) -> float:
    return record.update_timestamp.replace(tzinfo=UTC).timestamp()


def pause(attempts: int) -> float:
    """Seconds between an attempt and the next: one minute, four, sixteen, at most a day."""
    return min(60.0 * 4 ** (attempts - 1), 86_400.0)


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
        "folder and is not yet taken, and again of one whose run was killed or failed.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        settings = Settings.from_environment()
        landed, cursor = settled(
            settings.landing,
            contracts,
            json.loads(context.cursor or "{}"),
            lambda problem: context.log.warning(
                f"landing: a folder or file was passed over: {problem}"
            ),
        )
        try:
            new = to_take(Stores(settings), landed, contracts, wait_seconds=STORE_SECONDS)
        except Held:
            return dg.SkipReason("A step holds the stores; the next tick looks again.")
        requests = [request for delivery in new for request in run_requests(context, delivery)]
        return dg.SensorResult(
            run_requests=requests,
            dynamic_partitions_requests=[
                partitions(delivery.feed).build_add_request([delivery.delivery_id])
                for delivery in new
            ],
            cursor=json.dumps(cursor, sort_keys=True),
        )

    @dg.sensor(
        name="dead_runs",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails every run whose process was killed and frees what it held, so that "
        "nothing waits for it.",
    )
    def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        failed = fail_dead_runs(context.instance)
        return dg.SkipReason(f"Runs failed because their process was killed: {len(failed)}.")

    nightly = dg.ScheduleDefinition(
        name="nightly",
        job=refresh,
        cron_schedule="0 2 * * *",
        execution_timezone="Europe/London",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Refresh everything at two in the morning.",
    )
    return dg.Definitions(
        jobs=[*ingest, refresh, rebuild], sensors=[sensor, dead_runs], schedules=[nightly]
    )
