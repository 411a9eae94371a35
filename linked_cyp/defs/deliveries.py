"""The ledger as the warehouse knows it, and what has to be erased."""

from collections.abc import Iterator

import dagster as dg

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import door
from linked_cyp.core.settings import Settings
from linked_cyp.defs import checks, metadata
from linked_cyp.defs.curated import models
from linked_cyp.expectations.rules import Rule, not_null, unique, zero_rows
from linked_cyp.pseudonymise import erasure
from linked_cyp.pseudonymise.step import pseudonymised_key
from linked_cyp.stores.door import Stores

OWNER = metadata.owner("Platform")
LEDGER = ["deliveries", "ledger"]
ERASURE = ["deliveries", "erasure"]
LEDGER_RULES: list[Rule] = [
    not_null("delivery_id"),
    unique(("delivery_id",)),
    zero_rows(
        "rows__reconcile",
        "SELECT 1 FROM {batch} WHERE rows_accepted + rows_quarantined <> rows_received",
        "Of every delivery, accepted and quarantined rows add up to rows received.",
    ),
    zero_rows(
        "period__one_accepted",
        """SELECT 1 FROM {batch} WHERE status = 'accepted'
           GROUP BY supplier, feed, period HAVING count(*) > 1""",
        "At most one delivery of a supplier, feed and period counts.",
    ),
    zero_rows(
        "accepted__pseudonymised",
        """SELECT 1 FROM {batch} WHERE status = 'accepted' AND delivery_id NOT IN (
               SELECT delivery_id FROM warehouse.provenance.check_result
               WHERE starts_with(asset, 'pseudonymised/') AND delivery_id IS NOT NULL)""",
        "Every delivery that counts was pseudonymised and checked.",
    ),
]


class Rebuild(dg.Config):
    """Write the stores anew even if no withdrawal asks for it."""

    rebuild: bool = False


@dg.definitions
def deliveries() -> dg.Definitions:
    contracts = load_contracts(Settings.from_environment().contracts)
    everything = [
        dg.AssetKey(pseudonymised_key(contract.feed, table))
        for contract in contracts.values()
        for table in contract.tables
    ]

    @dg.multi_asset(
        name="ledger",
        specs=[
            dg.AssetSpec(
                LEDGER,
                deps=everything,
                description="Every delivery ever received and what became of it: accepted, "
                "rejected, superseded by a newer one, or withdrawn. Only accepted deliveries "
                "count from here on; rows of withdrawn ones are removed.",
                group_name="deliveries",
                owners=[OWNER],
                kinds={"duckdb"},
            )
        ],
        check_specs=checks.specs(LEDGER, LEDGER_RULES),
        pool="warehouse",
    )
    @door("bringing the ledger into the warehouse")
    def ledger(
        context: dg.AssetExecutionContext, config: Rebuild, stores: dg.ResourceParam[Stores]
    ) -> Iterator:
        counts = erasure.sync(stores)
        if config.rebuild:
            erasure.owe(stores)
        yield dg.MaterializeResult(
            asset_key=dg.AssetKey(LEDGER),
            metadata={
                "dagster/row_count": counts["deliveries"],
                "deliveries erased": counts["erased"],
            },
        )
        with stores.connect(warehouse="rw") as connection:
            yield from checks.checked(
                connection, LEDGER, "warehouse.pseudonymised.delivery", LEDGER_RULES, context
            )

    @dg.multi_asset(
        name="erasure",
        specs=[
            dg.AssetSpec(
                ERASURE,
                deps=[LEDGER, ["linkage", "bridge"], *models()],
                description="Once everything is made again without the withdrawn rows, the files "
                "of the stores are written anew, so that no byte of them is left.",
                group_name="erasure",
                owners=[OWNER],
                kinds={"duckdb"},
            )
        ],
        pool="warehouse",
    )
    @door("writing the stores anew")
    def erase(stores: dg.ResourceParam[Stores]) -> dg.MaterializeResult:
        return dg.MaterializeResult(
            asset_key=dg.AssetKey(ERASURE), metadata={"files rewritten": erasure.settle(stores)}
        )

    return dg.Definitions(assets=[ledger, erase])
