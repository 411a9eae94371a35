"""Two steps for every contract: a delivery becomes raw tables, raw tables become pseudonymised.

A new feed needs nothing here: its contract file is enough.
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from linked_cyp import deliveries, provenance, pseudonymise
from linked_cyp.contracts import Contract, Table, load_contracts
from linked_cyp.defs import metadata
from linked_cyp.errors import LinkedCypError
from linked_cyp.expectations import (
    CheckOutcome,
    Rule,
    contract_rules,
    ledger_rules,
    pseudonymised_rules,
    run_rules,
)
from linked_cyp.expectations.rules import delivery_filter
from linked_cyp.reference import load_postcodes
from linked_cyp.settings import Settings
from linked_cyp.stores import Stores


def partitions(feed: str) -> dg.DynamicPartitionsDefinition:
    """The deliveries of one feed: one partition each."""
    return dg.DynamicPartitionsDefinition(name=f"{feed}_delivery")


def raw_key(feed: str, table: str) -> list[str]:
    return ["raw", feed, table]


def pseudonymised_key(feed: str, table: str) -> list[str]:
    return ["pseudonymised", feed, table]


@dg.definitions
def feeds() -> dg.Definitions:
    contracts = load_contracts(Settings.from_environment().contracts)
    return dg.Definitions(
        assets=[step(contract) for contract in contracts.values() for step in (raw, pseudonymised)],
        jobs=[ingest_job(contract) for contract in contracts.values()],
    )


def ingest_job(contract: Contract) -> dg.UnresolvedAssetJobDefinition:
    keys = [
        dg.AssetKey(key(contract.feed, table))
        for table in contract.tables
        for key in (raw_key, pseudonymised_key)
    ]
    return dg.define_asset_job(
        f"ingest_{contract.feed}",
        selection=dg.AssetSelection.assets(*keys),
        partitions_def=partitions(contract.feed),
        description=f"Take one delivery of {contract.title} from landing to pseudonymised tables.",
    )


YEARS = range(2017, 2031)


def raw_rules(
    contract: Contract, table: Table, delivery_id: str, year: int, accepted: int
) -> list[Rule]:
    """What must hold for one table of one delivery."""
    return [
        *ledger_rules(delivery_id, table.name, contract.max_quarantined_share),
        *contract_rules(table, year, rows=accepted),
    ]


def every_raw_rule(contract: Contract, table: Table) -> list[Rule]:
    """The rules of every collection year, once each: an asset's checks are named before a year is
    known."""
    rules = {rule.name: rule for year in YEARS for rule in raw_rules(contract, table, "", year, 0)}
    return list(rules.values())


def not_in_force(
    key: list[str], rules: list[Rule], outcomes: list[CheckOutcome]
) -> Iterator[dg.AssetCheckResult]:
    """Rules that this delivery's collection year does not have: passed, and said so."""
    ran = {outcome.name for outcome in outcomes}
    for rule in rules:
        if rule.name not in ran:
            yield dg.AssetCheckResult(
                asset_key=dg.AssetKey(key),
                check_name=rule.name,
                passed=True,
                metadata={"in force in this collection year": False},
            )


def raw(contract: Contract) -> dg.AssetsDefinition:
    """One step per feed and delivery: files → typed rows in the identifiable store."""
    specs, checks = [], []
    for table in contract.tables.values():
        key = raw_key(contract.feed, table.name)
        specs.append(
            dg.AssetSpec(
                key,
                description=f"{table.description}\n\nOne row per {table.grain}. As the supplier "
                "sent it, typed. Holds identifiers: encrypted, for the ingest step only.",
                group_name=metadata.group(contract),
                owners=[metadata.owner(contract.owner)],
                kinds={"duckdb"},
                tags={"zone": "raw", "identifiable": "yes"},
                metadata=metadata.described(contract, table, metadata.raw_schema(table)),
            )
        )
        checks += metadata.check_specs(key, every_raw_rule(contract, table))

    @dg.multi_asset(
        name=f"raw_{contract.feed}",
        specs=specs,
        check_specs=checks,
        partitions_def=partitions(contract.feed),
        pool="identifiable",
        description=f"Read one delivery of {contract.title}: every row into a raw table, or into "
        "quarantine with a reason.",
    )
    def step(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        delivery_id = context.partition_key
        with stores.connect(identifiable="rw") as connection:
            outcome = deliveries.ingest_landed(
                connection, contract, delivery_id, stores.settings.landing, stores.settings.work
            )
            year = contract.collection_year(outcome.period)
            for table in contract.tables.values():
                key = raw_key(contract.feed, table.name)
                counts = outcome.table(table.name)
                yield dg.MaterializeResult(
                    asset_key=dg.AssetKey(key),
                    metadata={
                        "dagster/partition_row_count": counts.accepted,
                        "status": outcome.status,
                        "reason": outcome.reason or "",
                        "supplier": outcome.supplier,
                        "period": outcome.period,
                        "rows received": counts.received,
                        "rows accepted": counts.accepted,
                        "rows quarantined": counts.quarantined,
                        "cells blanked": counts.cells_blanked,
                    },
                )
                outcomes = run_rules(
                    connection,
                    f"identifiable.raw.{table.table_name}",
                    raw_rules(contract, table, delivery_id, year, counts.accepted),
                    delivery_filter(delivery_id),
                )
                provenance.record_checks(
                    connection,
                    "identifiable",
                    key,
                    outcomes,
                    run_id=context.run_id,
                    delivery_id=delivery_id,
                )
                yield from metadata.check_results(key, outcomes)
                yield from not_in_force(key, every_raw_rule(contract, table), outcomes)
        if outcome.status == "rejected":
            raise LinkedCypError(f"delivery {delivery_id} is rejected: {outcome.reason}")

    return step


def pseudonymised(contract: Contract) -> dg.AssetsDefinition:
    """One step per feed and delivery: identifiers out, tokens in, dates and places coarsened."""
    specs, checks = [], []
    for table in contract.tables.values():
        key = pseudonymised_key(contract.feed, table.name)
        specs.append(
            dg.AssetSpec(
                key,
                deps=[dg.AssetKey(raw_key(contract.feed, table.name))],
                description=f"{table.description}\n\nOne row per {table.grain}. Without "
                "identifiers: names gone, ids as keyed tokens, birth dates as months, postcodes "
                "as small areas.",
                group_name=metadata.group(contract),
                owners=[metadata.owner(contract.owner)],
                kinds={"duckdb"},
                tags={"zone": "pseudonymised"},
                metadata=metadata.described(
                    contract,
                    table,
                    metadata.pseudonymised_schema(table),
                    **{"dagster/column_lineage": metadata.pseudonymised_lineage(table)},
                ),
            )
        )
        checks += metadata.check_specs(key, pseudonymised_rules(table, rows=0))

    @dg.multi_asset(
        name=f"pseudonymised_{contract.feed}",
        specs=specs,
        check_specs=checks,
        partitions_def=partitions(contract.feed),
        pool="warehouse",
        description=f"Pseudonymise one accepted delivery of {contract.title}.",
    )
    def step(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        delivery_id = context.partition_key
        postcodes = load_postcodes(stores.settings.postcodes)
        with stores.connect(identifiable="ro", warehouse="rw") as connection:
            pseudonymise.refuse_unaccepted(connection, delivery_id)
            counts = pseudonymise.pseudonymise_delivery(
                connection, contract, delivery_id, stores.keys(), postcodes
            )
            for table in contract.tables.values():
                key = pseudonymised_key(contract.feed, table.name)
                yield dg.MaterializeResult(
                    asset_key=dg.AssetKey(key),
                    metadata={"dagster/partition_row_count": counts.get(table.name, 0)},
                )
                outcomes = run_rules(
                    connection,
                    f"warehouse.pseudonymised.{table.table_name}",
                    pseudonymised_rules(table, rows=counts.get(table.name, 0)),
                    delivery_filter(delivery_id),
                )
                provenance.record_checks(
                    connection,
                    "warehouse",
                    key,
                    outcomes,
                    run_id=context.run_id,
                    delivery_id=delivery_id,
                )
                yield from metadata.check_results(key, outcomes)

    return step
