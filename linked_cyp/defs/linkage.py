"""Linkage as assets: records, model, pairs, persons, and the bridge into the warehouse."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.errors import door
from linked_cyp.core.settings import Settings
from linked_cyp.curated.build import DBT
from linked_cyp.defs import checks, metadata
from linked_cyp.defs.deliveries import LEDGER
from linked_cyp.expectations import CheckOutcome
from linked_cyp.ingest.step import raw_key
from linked_cyp.linkage import (
    build_person_records,
    predict,
    publish_bridge,
    resolve,
    train,
    update_registry,
)
from linked_cyp.linkage.pairs.spark import Spark
from linked_cyp.linkage.persons.bridge import links_fingerprint
from linked_cyp.linkage.persons.checks import RULES
from linked_cyp.linkage.report import rules as report_rules
from linked_cyp.linkage.retraining import retrain
from linked_cyp.opt_outs.policy import load_policy
from linked_cyp.stores import provenance
from linked_cyp.stores.door import Stores

OWNER = metadata.owner("Linkage")
PERSON_RECORD = ["linkage", "person_record"]
MODEL = ["linkage", "model"]
PAIRS = ["linkage", "pairs"]
PERSON = ["linkage", "person"]
REGISTRY = ["linkage", "registry"]
BRIDGE = ["linkage", "bridge"]
STEPS = (PAIRS, PERSON, REGISTRY)  # each made from the one before, and all from the records


class Training(dg.Config):
    """Train the model anew although there is one, and put it in force with what it changes shown.

    To see that first, propose and accept it on the command line: ``linked-cyp linkage retrain``.
    """

    retrain: bool = False


@dg.definitions
def linkage() -> dg.Definitions:
    contracts = load_contracts(Settings.from_environment().contracts)
    identities = [
        dg.AssetKey(raw_key(contract.feed, table.name))
        for contract in contracts.values()
        for table in contract.tables.values()
        if contract.domain == "governance" or any(column.linkage_role for column in table.columns)
    ]
    return dg.Definitions(
        assets=[
            person_record(contracts, [*identities, dg.AssetKey(LEDGER)]),
            model(),
            pairs(),
            person(),
            registry(),
            bridge(),
        ]
    )


def step(
    key: Sequence[str],
    deps: Sequence[Any],
    description: str,
    *,
    kinds: set[str],
    identifiable: bool = True,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    return dg.multi_asset(
        name="_".join(key),
        specs=[
            dg.AssetSpec(
                key,
                deps=list(deps),
                description=description,
                group_name="linkage",
                owners=[OWNER],
                kinds={"duckdb", *kinds},
                tags={"zone": "linkage"} if identifiable else {"zone": "warehouse"},
            )
        ],
        check_specs=checks.specs(key, RULES[key[-1]]()),
        pool="linkage",
    )


def person_record(
    contracts: Mapping[str, Contract], deps: Sequence[dg.AssetKey]
) -> dg.AssetsDefinition:
    @step(
        PERSON_RECORD,
        deps,
        "What each source says about each person it knows, as keyed tokens and encodings: no name, "
        "number, date or postcode is readable. One row per source person and alternative. Persons "
        "marked as adopted, sensitive or withheld are kept out of linkage here, and opt-outs are "
        "applied: without the lists that the feeds need, nothing is built.",
        kinds={"polars"},
    )
    @door("building person records")
    def records(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        with stores.connect(identifiable="ro", linkage="rw") as connection:
            _owed(connection, PERSON_RECORD, context)
            counts = build_person_records(
                connection,
                contracts,
                stores.keys(),
                opt_outs=load_policy(stores.settings.opt_outs),
            )
            yield dg.MaterializeResult(
                asset_key=dg.AssetKey(PERSON_RECORD),
                metadata={**counts, **metadata.stored(connection, "linkage.main.person_record")},
            )
            yield from _checked(connection, PERSON_RECORD, context)

    return records


def model() -> dg.AssetsDefinition:
    @step(
        MODEL,
        [PERSON_RECORD],
        "The Splink model: how much each agreement or disagreement weighs. Trained once and kept; "
        "training again is a deliberate act (config `retrain`).",
        kinds={"splink"},
    )
    @door("training the linkage model")
    def trained(
        context: dg.AssetExecutionContext, config: Training, stores: dg.ResourceParam[Stores]
    ) -> Iterator:
        with stores.connect(linkage="rw") as connection:
            _owed(connection, MODEL, context)
            current = train(connection)
            changes: dict[str, float] = {}
            if config.retrain and not current.is_new:
                current, changes = retrain(connection)
            yield dg.MaterializeResult(
                asset_key=dg.AssetKey(MODEL),
                metadata={
                    "model": current.model_id,
                    "trained in this run": current.is_new or config.retrain,
                    **changes,
                    "training sessions": ", ".join(current.sessions) or "none: too little data",
                    "data fingerprint": current.data_fingerprint,
                    **metadata.stored(connection, "linkage.main.model"),
                },
            )
            yield from _checked(connection, MODEL, context)

    return trained


def pairs() -> dg.AssetsDefinition:
    @step(
        PAIRS,
        [MODEL, PERSON_RECORD],
        "Candidate pairs found by the blocking rules, scored by the model: match weight and the "
        "pattern of agreement.",
        kinds={"splink"},
    )
    @door("scoring candidate pairs")
    def scored(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        with stores.connect(linkage="rw") as connection:
            _owed(connection, PAIRS, context)
            counts = predict(connection, spark=Spark.chosen(stores.settings))
            yield dg.MaterializeResult(
                asset_key=dg.AssetKey(PAIRS),
                metadata={**counts, **metadata.stored(connection, "linkage.main.pairs")},
            )
            yield from _checked(connection, PAIRS, context)

    return scored


def person() -> dg.AssetsDefinition:
    @step(
        PERSON,
        [PAIRS],
        "Which records are the same child. Pairs are taken from the strongest down, and a merge is "
        "refused when it would join two NHS numbers, two permanent UPNs, or two ids one source "
        "keeps apart.",
        kinds={"polars"},
    )
    @door("resolving pairs to persons")
    def resolved(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        with stores.connect(linkage="rw") as connection:
            _owed(connection, PERSON, context)
            counts = resolve(connection)
            yield dg.MaterializeResult(
                asset_key=dg.AssetKey(PERSON),
                metadata={**counts, **metadata.stored(connection, "linkage.main.person")},
            )
            yield from _checked(connection, PERSON, context)

    return resolved


def registry() -> dg.AssetsDefinition:
    @step(
        REGISTRY,
        [PERSON],
        "The random id of every person, the same from run to run. Merges and splits are recorded "
        "as events with their date; nobody else's id changes.",
        kinds={"polars"},
    )
    @door("updating the registry of persons")
    def registered(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        with stores.connect(linkage="rw") as connection:
            _owed(connection, REGISTRY, context)
            events = update_registry(connection)
            yield dg.MaterializeResult(
                asset_key=dg.AssetKey(REGISTRY),
                metadata={**events, **metadata.stored(connection, "linkage.main.registry")},
            )
            yield from _checked(connection, REGISTRY, context)

    return registered


def bridge() -> dg.AssetsDefinition:
    @step(
        BRIDGE,
        [REGISTRY],
        "All of linkage that enters the warehouse: which record token belongs to which person. "
        "Published only when every check of the linkage held.",
        kinds=set(),
        identifiable=False,
    )
    @door("publishing the bridge")
    def published(context: dg.AssetExecutionContext, stores: dg.ResourceParam[Stores]) -> Iterator:
        with stores.connect(linkage="rw", warehouse="rw") as connection:
            provenance.refuse_failed(connection, "linkage")
            # From here on nothing is released until this bridge was checked and reported on.
            report_rules.owe(connection, run_id=context.run.run_id)
            before = None if _owes_curated(connection) else links_fingerprint(connection)
            owe_curated(connection, run_id=context.run.run_id)
            relation = "warehouse.linkage.bridge"
            checks.owed(connection, BRIDGE, relation, RULES["bridge"](), context)
            counts = publish_bridge(connection)
            if before is not None and links_fingerprint(connection) == before:
                settle_curated(connection, run_id=context.run.run_id)
            own = ["/".join(key) for key in (BRIDGE, report_rules.KEY)]
            provenance.copy_checks(connection, "linkage", "warehouse", "linkage/", but=own)
            yield dg.MaterializeResult(
                asset_key=dg.AssetKey(BRIDGE),
                metadata={**counts, **metadata.stored(connection, relation)},
            )
            yield from checks.checked(connection, BRIDGE, relation, RULES["bridge"](), context)

    return published


CURATED_OWED = "dbt__built_after_linkage"


def owe_curated(connection: Any, *, run_id: str) -> None:
    """No release until the curated tables are made again: with the bridge of before they may hold
    who has opted out since. A whole dbt build settles it, and so does a bridge that is the same."""
    outcome = CheckOutcome(CURATED_OWED, False, "error")
    provenance.record_checks(
        connection, "warehouse", {DBT: [outcome]}, run_id=run_id, only=[CURATED_OWED]
    )


def settle_curated(connection: Any, *, run_id: str) -> None:
    """The curated tables stand: nothing that they were made from has changed."""
    provenance.record_checks(connection, "warehouse", {DBT: []}, run_id=run_id, only=[CURATED_OWED])


def _owes_curated(connection: Any) -> bool:
    provenance.ensure(connection, "warehouse")
    return f"{'/'.join(DBT)}: {CURATED_OWED}" in provenance.failed(connection, "warehouse")


def _owed(connection: Any, key: Sequence[str], context: dg.AssetExecutionContext) -> None:
    """A step's own checks, and those of the steps after it: no bridge from records of now and
    persons of before."""
    after = STEPS[STEPS.index(key) + 1 :] if key in STEPS else STEPS
    for made in (key, *after):
        checks.owed(connection, made, f"linkage.main.{made[-1]}", RULES[made[-1]](), context)


def _checked(
    connection: Any, key: Sequence[str], context: dg.AssetExecutionContext
) -> Iterator[dg.AssetCheckResult]:
    relation = f"linkage.main.{key[-1]}"
    yield from checks.checked(connection, key, relation, RULES[key[-1]](), context)
