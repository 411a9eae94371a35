"""Two steps for every contract: a delivery becomes raw tables, raw tables become pseudonymised.

A new feed needs nothing here: its contract file is enough.
"""

from collections.abc import Iterator

import dagster as dg

from linked_cyp import deliveries, landing, provenance, pseudonymise
from linked_cyp.contracts import Contract, Table, load_contracts
from linked_cyp.defs import checks, metadata
from linked_cyp.errors import LinkedCypError, value_free
from linked_cyp.expectations import (
    Rule,
    contract_rules,
    ledger_rules,
    pseudonymised_rules,
)
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


def refuse_failed(failed: list[str]) -> None:
    """The gate: a delivery with a failed error-severity check goes no further.

    Raises:
        LinkedCypError: names the checks.
    """
    if failed:
        raise LinkedCypError("checks failed: " + "; ".join(failed))


def not_in_force(
    key: list[str], rules: list[Rule], results: list[dg.AssetCheckResult]
) -> Iterator[dg.AssetCheckResult]:
    """Rules that this delivery's collection year does not have: passed, and said so."""
    ran = {result.check_name for result in results}
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
    specs, named = [], []
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
        named += checks.specs(key, every_raw_rule(contract, table))

    @dg.multi_asset(
        name=f"raw_{contract.feed}",
        specs=specs,
        check_specs=named,
        partitions_def=partitions(contract.feed),
        pool="identifiable",
        description=f"Read one delivery of {contract.title}: every row into a raw table, or into "
        "quarantine with a reason.",
    )
    def step(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        delivery_id, settings = context.partition_key, stores.settings
        with (
            value_free(f"ingesting a delivery of {contract.feed}"),
            stores.connect(identifiable="rw") as connection,
        ):
            landed = landing.find(settings.landing, {contract.feed: contract}, delivery_id)
            outcome = deliveries.ingest(connection, contract, landed or delivery_id, settings.work)
            facts = {
                "status": outcome.status,
                "reason": outcome.reason or "",
                "supplier": delivery_id.split(".")[0],
                "period": delivery_id.split(".")[1],
            }
            for table in contract.tables.values():
                key = raw_key(contract.feed, table.name)
                counts = outcome.tables.get(table.name, deliveries.TableCounts())
                yield dg.MaterializeResult(
                    asset_key=dg.AssetKey(key),
                    metadata={
                        "dagster/partition_row_count": counts.accepted,
                        **facts,
                        "rows received": counts.received,
                        "rows accepted": counts.accepted,
                        "rows quarantined": counts.quarantined,
                        "cells blanked": counts.cells_blanked,
                    },
                )
            if outcome.status not in pseudonymise.PROCESSABLE:
                raise LinkedCypError(f"{delivery_id} is {outcome.status}: {outcome.reason}")
            year = contract.collection_year(facts["period"])
            for table in contract.tables.values():
                key = raw_key(contract.feed, table.name)
                counts = outcome.tables.get(table.name, deliveries.TableCounts())
                results = list(
                    checks.checked(
                        connection,
                        key,
                        f"identifiable.raw.{table.table_name}",
                        raw_rules(contract, table, delivery_id, year, counts.accepted),
                        context,
                        delivery_id=delivery_id,
                    )
                )
                yield from results
                yield from not_in_force(key, every_raw_rule(contract, table), results)

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
        named += checks.specs(key, pseudonymised_rules(table, rows=0))

    @dg.multi_asset(
        name=f"pseudonymised_{contract.feed}",
        specs=specs,
        check_specs=named,
        partitions_def=partitions(contract.feed),
        pool="warehouse",
        description=f"Pseudonymise one accepted delivery of {contract.title}.",
    )
    def step(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        delivery_id = context.partition_key
        with value_free(f"pseudonymising a delivery of {contract.feed}"):
            postcodes = load_postcodes(stores.settings.postcodes)
            with stores.connect(identifiable="ro", warehouse="rw") as connection:
                pseudonymise.refuse_unaccepted(connection, delivery_id)
                refuse_failed(provenance.failed(connection, "identifiable", delivery_id))
                written = pseudonymise.pseudonymise_delivery(
                    connection, contract, delivery_id, stores.keys(), postcodes
                )
                for table in contract.tables.values():
                    key, rows = pseudonymised_key(contract.feed, table.name), written[table.name]
                    yield dg.MaterializeResult(
                        asset_key=dg.AssetKey(key),
                        metadata={"dagster/partition_row_count": rows},
                    )
                    yield from checks.checked(
                        connection,
                        key,
                        f"warehouse.pseudonymised.{table.table_name}",
                        pseudonymised_rules(table, rows=rows),
                        context,
                        delivery_id=delivery_id,
                    )

    return step
