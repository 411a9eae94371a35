"""The attacks on the linkage store as an asset: made by hand, never in a refresh."""

from collections.abc import Iterator

import dagster as dg

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import door
from linked_cyp.core.settings import Settings
from linked_cyp.defs import checks, metadata
from linked_cyp.expectations import run_rules
from linked_cyp.linkage.attacks.rules import attack_rules
from linked_cyp.linkage.attacks.store import CHILDREN, SEEDS, TABLE, attack_store
from linked_cyp.stores.door import Stores

ATTACK = ["linkage", "attack"]
RULES = attack_rules()


class Attack(dg.Config):
    """At most how many children's records are attacked, and with how many seeds."""

    children: int = CHILDREN
    seeds: int = SEEDS


@dg.definitions
def linkage_attack() -> dg.Definitions:
    return dg.Definitions(assets=[attack()])


def attack() -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="linkage_attack",
        specs=[
            dg.AssetSpec(
                ATTACK,
                deps=[["linkage", "person_record"], ["linkage", "person"]],
                description="How many names can be read from the person records without the key: "
                "rates of attacks on them and on controls, for the linkage report. Takes some two "
                "minutes and is made by hand only; no release waits for it.",
                group_name="linkage",
                owners=[metadata.owner("Linkage")],
                kinds={"duckdb", "polars"},
                tags={"zone": "linkage"},
            )
        ],
        check_specs=checks.specs(ATTACK, RULES),
        pool="linkage",
    )
    @door("attacking the store's person records")
    def attacked(
        context: dg.AssetExecutionContext, config: Attack, stores: dg.ResourceParam[Stores]
    ) -> Iterator:
        contracts = load_contracts(Settings.from_environment().contracts)
        attacks = attack_store(stores, contracts, children=config.children, seeds=config.seeds)
        with stores.connect(linkage="ro") as connection:
            yield dg.MaterializeResult(
                asset_key=dg.AssetKey(ATTACK),
                metadata={
                    "children": attacks["children"][0],
                    "seeds": config.seeds,
                    **metadata.stored(connection, TABLE),
                },
            )
            # Not recorded: the bridge and the gate refuse whatever failed in the stores.
            yield from checks.results(ATTACK, run_rules(connection, TABLE, RULES))

    return attacked
