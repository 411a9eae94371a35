"""One accepted delivery from raw to pseudonymised tables, checked: a step of the graph."""

from __future__ import annotations

from linked_cyp.contracts.model import Contract
from linked_cyp.expectations import pseudonymised_rules, run_rules
from linked_cyp.expectations.rules import delivery_filter
from linked_cyp.ingest.new import taking
from linked_cyp.ingest.step import Verdicts
from linked_cyp.pseudonymise.deliveries import pseudonymise_delivery, refuse_unaccepted
from linked_cyp.pseudonymise.reference import postcode_directory
from linked_cyp.stores import provenance
from linked_cyp.stores.door import Stores


def pseudonymised_key(feed: str, table: str) -> list[str]:
    """What checks of a pseudonymised table are recorded under."""
    return ["pseudonymised", feed, table]


def pseudonymise_accepted(
    stores: Stores, contract: Contract, delivery_id: str, run_id: str
) -> tuple[dict[str, int], Verdicts]:
    """Pseudonymise a delivery that was accepted and whose checks passed; check the result."""
    postcodes = postcode_directory(stores.settings)
    with (
        taking(stores.settings.work, delivery_id),
        stores.connect(identifiable="ro", warehouse="rw") as connection,
    ):
        refuse_unaccepted(connection, delivery_id)
        provenance.refuse_failed(connection, "identifiable", delivery_id)
        written = pseudonymise_delivery(connection, contract, delivery_id, stores.keys(), postcodes)
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
