"""The suppliers' scorecards as an asset: written anew whenever the ledger was."""

import dagster as dg

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import door
from linked_cyp.core.settings import Settings
from linked_cyp.defs.deliveries import LEDGER, OWNER
from linked_cyp.stores.door import Stores
from linked_cyp.supplier import scorecard as cards

SCORECARDS = ["deliveries", "scorecards"]


@dg.definitions
def scorecard() -> dg.Definitions:
    @dg.asset(
        key=SCORECARDS,
        deps=[LEDGER],
        description="One page for each supplier: how good what it delivers is, by feed and period, "
        "against its own past and the median of the others, and what to mend first. No value of a "
        "record and no small number is on it. The pages lie in reports/scorecards of the home.",
        group_name="deliveries",
        owners=[OWNER],
        kinds={"html"},
        pool="warehouse",
    )
    @door("writing the scorecards")
    def scorecards(stores: dg.ResourceParam[Stores]) -> dg.MaterializeResult:
        contracts = load_contracts(Settings.from_environment().contracts)
        written = cards.write_scorecards(stores, contracts)
        return dg.MaterializeResult(metadata={"suppliers": len(written)})

    return dg.Definitions(assets=[scorecards])
