"""Two steps for every contract: a delivery becomes raw tables, raw tables become pseudonymised.

A new feed needs nothing here: its contract file is enough.
"""

import hashlib
from collections.abc import Iterator

import dagster as dg

from linked_cyp.contracts.model import Contract, Table, load_contracts
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.settings import Settings
from linked_cyp.defs import checks, dfe_rules, metadata
from linked_cyp.defs.dfe_rules import raw_key
from linked_cyp.dfe_rules import checks as dfe_checks
from linked_cyp.expectations import (
    CheckOutcome,
    Rule,
    contract_rules,
    ledger_rules,
    pseudonymised_rules,
    run_rules,
)
from linked_cyp.expectations.rules import delivery_filter
from linked_cyp.ingest import deliveries, landing
from linked_cyp.ingest.encoded import received
from linked_cyp.pseudonymise import deliveries as pseudonymise
from linked_cyp.pseudonymise.reference import postcode_directory
from linked_cyp.stores import provenance
from linked_cyp.stores.door import Stores

YEARS = range(2017, 2031)
Verdicts = dict[tuple[str, ...], list[CheckOutcome]]


def partitions(feed: str) -> dg.DynamicPartitionsDefinition:
    """The deliveries of one feed: one partition each."""
    return dg.DynamicPartitionsDefinition(name=f"{feed}_delivery")


def delivery_tags(landed: landing.LandedDelivery) -> dict[str, str]:
    """What the run that ingests a delivery is labelled with, whoever starts it."""
    # not the version as written: Dagster keeps it, and it may hold anything
    version = hashlib.sha256(landed.version_order.encode()).hexdigest()[:12]
    return {"supplier": landed.supplier, "period": landed.period, "version": version}


def started(instance: dg.DagsterInstance, landed: landing.LandedDelivery) -> bool:
    """Whether some run has taken this content at this version, however it ended."""
    tags = {"dagster/partition": landed.delivery_id, **delivery_tags(landed)}
    return instance.get_runs_count(dg.RunsFilter(job_name=f"ingest_{landed.feed}", tags=tags)) > 0


def pseudonymised_key(feed: str, table: str) -> list[str]:
    return ["pseudonymised", feed, table]


@dg.definitions
def feeds() -> dg.Definitions:
    contracts = load_contracts(Settings.from_environment().contracts)
    return dg.Definitions(
        assets=[step(contract) for contract in contracts.values() for step in (raw, pseudonymised)],
    )


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
    def step(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        with value_free(f"ingesting a delivery of {contract.feed}"):
            outcome, verdicts, by_department = ingest(
                stores, contract, context.partition_key, context.run.run_id
            )
        for table in contract.tables.values():
            yield raw_result(table, outcome)
        if outcome.status not in pseudonymise.PROCESSABLE:
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
    def step(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        with value_free(f"pseudonymising a delivery of {contract.feed}"):
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


def ingest(
    stores: Stores, contract: Contract, delivery_id: str, run_id: str
) -> tuple[deliveries.DeliveryOutcome, Verdicts, dfe_checks.Verdicts]:
    """Read a delivery, from landing or the archive, and check what was accepted of it.

    Returns:
        What became of it, the verdicts by asset, and those of the Department's rules by table.
    """
    settings = stores.settings
    with stores.connect(identifiable="rw") as connection:
        outcome = deliveries.ingest_landed(
            connection, contract, delivery_id, settings.landing, settings.work, stores.keys()
        )
        if outcome.status not in pseudonymise.PROCESSABLE:
            return outcome, {}, {}
        year = contract.collection_year(delivery_id.split(".")[1])
        verdicts: Verdicts = {}
        is_encoded = received.is_held(connection, delivery_id)
        for table in contract.tables.values():
            counts = outcome.tables.get(table.name, deliveries.TableCounts())
            rules = raw_rules(contract, table, delivery_id, year, counts.accepted)
            verdicts[tuple(raw_key(contract.feed, table.name))] = (
                received.verdicts(connection, contract, table, delivery_id, rules)
                if is_encoded
                else run_rules(
                    connection,
                    f"identifiable.raw.{table.table_name}",
                    rules,
                    delivery_filter(delivery_id),
                )
            )
        by_department = dfe_checks.judged(connection, contract, delivery_id, is_encoded=is_encoded)
        every = {
            key: [*outcomes, *by_department.get(key[-1], ())] for key, outcomes in verdicts.items()
        }
        provenance.record_checks(
            connection, "identifiable", every, run_id=run_id, delivery_id=delivery_id
        )
    return outcome, verdicts, by_department


def pseudonymise_accepted(
    stores: Stores, contract: Contract, delivery_id: str, run_id: str
) -> tuple[dict[str, int], Verdicts]:
    """Pseudonymise a delivery that was accepted and whose checks passed; check the result."""
    postcodes = postcode_directory(stores.settings)
    with stores.connect(identifiable="ro", warehouse="rw") as connection:
        pseudonymise.refuse_unaccepted(connection, delivery_id)
        refuse_failed(provenance.failed(connection, "identifiable", delivery_id))
        written = pseudonymise.pseudonymise_delivery(
            connection, contract, delivery_id, stores.keys(), postcodes
        )
        verdicts: Verdicts = {
            tuple(pseudonymised_key(contract.feed, table.name)): run_rules(
                connection,
                f"warehouse.pseudonymised.{table.table_name}",
                pseudonymised_rules(table, rows=written[table.name]),
                delivery_filter(delivery_id),
            )
            for table in contract.tables.values()
        }
        provenance.record_checks(
            connection, "warehouse", verdicts, run_id=run_id, delivery_id=delivery_id
        )
    return written, verdicts


def raw_result(table: Table, outcome: deliveries.DeliveryOutcome) -> dg.MaterializeResult:
    """What the UI shows of one table of one delivery: whose, when, and how many rows went where."""
    counts = outcome.tables.get(table.name, deliveries.TableCounts())
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
