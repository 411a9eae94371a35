"""One delivery from landing to raw tables, with what was checked of it: a step of the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import duckdb

from linked_cyp.contracts.model import Contract, Table
from linked_cyp.expectations import CheckOutcome, Rule, contract_rules, ledger_rules, run_rules
from linked_cyp.expectations.rules import delivery_filter
from linked_cyp.ingest.deliveries import ingest_landed
from linked_cyp.ingest.encoded import received
from linked_cyp.ingest.ledger import PROCESSABLE, DeliveryOutcome
from linked_cyp.ingest.new import taking
from linked_cyp.stores import provenance
from linked_cyp.stores.door import Stores

Verdicts = dict[tuple[str, ...], list[CheckOutcome]]
ByTable = Mapping[str, list[CheckOutcome]]


def raw_key(feed: str, table: str) -> list[str]:
    """What checks of a raw table are recorded under."""
    return ["raw", feed, table]


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
    years = sorted(_turning_years(table))
    rules = {rule.name: rule for year in years for rule in raw_rules(contract, table, "", year, 0)}
    return list(rules.values())


def _turning_years(table: Table) -> set[int]:
    """Years that between them show every rule of a table: rules differ only where the table, a
    column or a code begins or ends."""
    parts: list[Any] = [
        table,
        *table.columns,
        *(c for x in table.columns if x.codeset for c in x.codeset.codes),
    ]
    starts = {part.since for part in parts if part.since is not None}
    ends = {part.until for part in parts if part.until is not None}
    turning = starts | ends | {year + 1 for year in ends}
    return turning | {min(turning, default=2000) - 1}


def ingest(
    stores: Stores,
    contract: Contract,
    delivery_id: str,
    run_id: str,
    further: Callable[[duckdb.DuckDBPyConnection, bool], ByTable] = lambda _, __: {},
) -> tuple[DeliveryOutcome, Verdicts, ByTable]:
    """Read a delivery, from landing or the archive, and check what was accepted of it.

    Args:
        further: what later rooms check of the raw rows, told whether the delivery came encoded.

    Returns:
        What became of it, the verdicts by asset, and the further ones by table.
    """
    settings = stores.settings
    with taking(settings.work, delivery_id), stores.connect(identifiable="rw") as connection:
        outcome = ingest_landed(
            connection, contract, delivery_id, settings.landing, settings.work, stores.keys()
        )
        if outcome.status not in PROCESSABLE:
            return outcome, {}, {}
        verdicts = _verdicts(connection, contract, outcome)
        by_table = further(connection, outcome.is_encoded)
        every = {key: [*found, *by_table.get(key[-1], ())] for key, found in verdicts.items()}
        provenance.record_checks(
            connection, "identifiable", every, run_id=run_id, delivery_id=delivery_id
        )
    return outcome, verdicts, by_table


def _verdicts(
    connection: duckdb.DuckDBPyConnection, contract: Contract, outcome: DeliveryOutcome
) -> Verdicts:
    year = contract.collection_year(outcome.period)
    verdicts: Verdicts = {}
    for table in contract.tables.values():
        accepted = outcome.table(table.name).accepted
        rules = raw_rules(contract, table, outcome.delivery_id, year, accepted)
        verdicts[tuple(raw_key(contract.feed, table.name))] = (
            received.verdicts(connection, contract, table, outcome.delivery_id, rules)
            if outcome.is_encoded
            else run_rules(
                connection,
                f"identifiable.raw.{table.table_name}",
                rules,
                delivery_filter(outcome.delivery_id),
            )
        )
    return verdicts
