"""Two steps for every contract: a delivery becomes raw tables, raw tables become pseudonymised.

A new feed needs nothing here: its contract file is enough.
"""

import hashlib
from collections.abc import Iterator

import dagster as dg

from linked_cyp.contracts.model import Contract, Table, load_contracts
from linked_cyp.core.errors import LinkedCypError, door
from linked_cyp.core.settings import Settings
from linked_cyp.defs import checks, dfe_rules, metadata
from linked_cyp.dfe_rules.checks import judged
from linked_cyp.expectations import pseudonymised_rules
from linked_cyp.ingest.ledger import PROCESSABLE, DeliveryOutcome
from linked_cyp.ingest.new import Delivery
from linked_cyp.ingest.step import every_raw_rule, ingest, raw_key
from linked_cyp.pseudonymise.step import pseudonymise_accepted, pseudonymised_key
from linked_cyp.stores.door import Stores


def partitions(feed: str) -> dg.DynamicPartitionsDefinition:
    """The deliveries of one feed: one partition each."""
    return dg.DynamicPartitionsDefinition(name=f"{feed}_delivery")


def delivery_tags(delivery: Delivery) -> dict[str, str]:
    """What the run that ingests a delivery is labelled with, whoever starts it."""
    # not the version as written: Dagster keeps it, and it may hold anything
    version = hashlib.sha256(delivery.version_order.encode()).hexdigest()[:12]
    return {"supplier": delivery.supplier, "period": delivery.period, "version": version}


@dg.definitions
def feeds() -> dg.Definitions:
    contracts = load_contracts(Settings.from_environment().contracts)
    return dg.Definitions(
        assets=[step(contract) for contract in contracts.values() for step in (raw, pseudonymised)],
    )


def raw(contract: Contract) -> dg.AssetsDefinition:
    """One step per feed and delivery: files → typed rows in the identifiable store."""
    specs, named = [], []
    for table in contract.tables.values():
        key = raw_key(contract.feed, table.name)
        specs.append(
            dg.AssetSpec(
                key,
                description=f"{table.description}\n\nGrain: {table.grain}. As the supplier "
                "sent it, typed. Holds identifiers: encrypted, for the ingest step only.",
                group_name=metadata.group(contract),
                owners=[metadata.owner(contract.owner)],
                kinds={"duckdb"},
                tags={"zone": "raw", "identifiable": "yes"},
                metadata=metadata.raw(contract, table),
            )
        )
        named += checks.by_subject_specs(key, every_raw_rule(contract, table))

    @dg.multi_asset(
        name=f"raw_{contract.feed}",
        specs=specs,
        check_specs=named,
        partitions_def=partitions(contract.feed),
        description=f"Read one delivery of {contract.title}: every row into a raw table, or into "
        "quarantine with a reason.",
    )
    @door(f"ingesting a delivery of {contract.feed}")
    def step(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        outcome, verdicts, by_department = ingest(
            stores,
            contract,
            context.partition_key,
            context.run.run_id,
            lambda con, is_encoded: judged(
                con, contract, context.partition_key, is_encoded=is_encoded
            ),
        )
        for table in contract.tables.values():
            yield raw_result(table, outcome)
        if outcome.status not in PROCESSABLE:
            raise LinkedCypError(f"{outcome.delivery_id} is {outcome.status}: {outcome.reason}")
        for table in contract.tables.values():
            key = raw_key(contract.feed, table.name)
            yield from checks.by_subject(key, every_raw_rule(contract, table), verdicts[tuple(key)])
        yield from dfe_rules.evaluations(contract, by_department)

    return step


def pseudonymised(contract: Contract) -> dg.AssetsDefinition:
    """One step per feed and delivery: identifiers out, tokens in, dates and places coarsened."""
    specs, named = [], []
    for table in contract.tables.values():
        key = pseudonymised_key(contract.feed, table.name)
        specs.append(
            dg.AssetSpec(
                key,
                deps=[dg.AssetKey(raw_key(contract.feed, table.name))],
                description=f"{table.description}\n\nGrain: {table.grain}. Without "
                "identifiers: names gone, ids as keyed tokens, birth dates as months, postcodes "
                "as small areas.",
                group_name=metadata.group(contract),
                owners=[metadata.owner(contract.owner)],
                kinds={"duckdb"},
                tags={"zone": "pseudonymised"},
                metadata=metadata.pseudonymised(contract, table),
            )
        )
        named += checks.by_subject_specs(key, pseudonymised_rules(table, rows=0))

    @dg.multi_asset(
        name=f"pseudonymised_{contract.feed}",
        specs=specs,
        check_specs=named,
        partitions_def=partitions(contract.feed),
        description=f"Pseudonymise one accepted delivery of {contract.title}.",
    )
    @door(f"pseudonymising a delivery of {contract.feed}")
    def step(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        written, verdicts = pseudonymise_accepted(
            stores, contract, context.partition_key, context.run.run_id
        )
        for table in contract.tables.values():
            key = pseudonymised_key(contract.feed, table.name)
            yield dg.MaterializeResult(
                asset_key=dg.AssetKey(key),
                metadata={"dagster/partition_row_count": written[table.name]},
            )
            yield from checks.by_subject(
                key, pseudonymised_rules(table, rows=0), verdicts[tuple(key)]
            )

    return step


def raw_result(table: Table, outcome: DeliveryOutcome) -> dg.MaterializeResult:
    """What the UI shows of one table of one delivery: whose, when, and how many rows went where."""
    counts = outcome.table(table.name)
    supplier, period, _ = outcome.delivery_id.split(".")
    return dg.MaterializeResult(
        asset_key=dg.AssetKey(raw_key(table.feed, table.name)),
        metadata={
            "dagster/partition_row_count": counts.accepted,
            "supplier": supplier,
            "period": period,
            "status": outcome.status,
            "encoded by the supplier": outcome.is_encoded,
            "reason": outcome.reason or "none",
            "rows received": counts.received,
            "rows accepted": counts.accepted,
            "rows quarantined": counts.quarantined,
            "cells blanked": counts.cells_blanked,
        },
    )
