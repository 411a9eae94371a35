"""The Department for Education's rules as checks on the raw assets, one for each rule.

The ingest judges a delivery by all of its rules at once and reports each verdict (``evaluations``);
the checks here declare the rules and judge one delivery again, by hand: after last year's return
came late, or after a rule changed. Why so: docs/decisions/0007-dfe-rules-as-checks.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.errors import door
from linked_cyp.core.settings import Settings
from linked_cyp.dfe_rules.checks import PublishedRule, judged, published
from linked_cyp.expectations import CheckOutcome
from linked_cyp.ingest.encoded import received
from linked_cyp.ingest.step import raw_key
from linked_cyp.pseudonymise import deliveries as pseudonymise
from linked_cyp.stores import provenance
from linked_cyp.stores.door import Stores

ABSENT: Mapping[str, int | float | bool] = {"in force in this collection year": False}


class Which(dg.Config):
    """A delivery that the ledger knows."""

    delivery_id: str


@dg.definitions
def dfe_rules() -> dg.Definitions:
    contracts = load_contracts(Settings.from_environment().contracts)
    returns = [contract for contract in contracts.values() if published(contract)]
    return dg.Definitions(
        asset_checks=[judge(contract) for contract in returns],
        jobs=[judge_job(contract) for contract in returns],
    )


def judge(contract: Contract) -> dg.AssetChecksDefinition:
    """Judge one stored delivery of a return by the Department's rules."""
    rules = published(contract)

    @dg.multi_asset_check(
        name=f"dfe_rules_{contract.feed}",
        specs=[
            dg.AssetCheckSpec(
                rule.name,
                asset=dg.AssetKey(raw_key(contract.feed, rule.table)),
                description=rule.description,
            )
            for rule in rules
        ],
        description=f"Judge one delivery of {contract.title} by the Department's rules. The ingest "
        "does so; do it again when last year's return came later. Warnings only.",
    )
    @door(f"judging a delivery of {contract.feed}")
    def step(
        context: dg.AssetCheckExecutionContext, config: Which, stores: dg.ResourceParam[Stores]
    ) -> Iterator:
        delivery_id = config.delivery_id
        with stores.connect(identifiable="rw") as con:
            pseudonymise.refuse_unaccepted(con, delivery_id)
            is_encoded = received.is_held(con, delivery_id)
            verdicts = judged(con, contract, delivery_id, is_encoded=is_encoded)
            provenance.record_checks(
                con,
                "identifiable",
                {tuple(raw_key(contract.feed, name)): found for name, found in verdicts.items()},
                run_id=context.run.run_id,
                delivery_id=delivery_id,
                only=[rule.name for rule in rules],
            )
        for rule, passed, metadata in _said(rules, verdicts):
            yield dg.AssetCheckResult(
                asset_key=dg.AssetKey(raw_key(contract.feed, rule.table)),
                check_name=rule.name,
                passed=passed,
                severity=dg.AssetCheckSeverity.WARN,
                metadata=dict(metadata),
            )

    return step


def judge_job(contract: Contract) -> Any:
    return dg.define_asset_job(
        f"judge_{contract.feed}",
        selection=selection(contract),
        description=f"Judge a delivery of {contract.title} by the Department's rules again.",
    )


def selection(contract: Contract) -> dg.AssetSelection:
    """The checks of the Department's rules on one feed."""
    return dg.AssetSelection.checks(
        *(
            dg.AssetCheckKey(dg.AssetKey(raw_key(contract.feed, rule.table)), rule.name)
            for rule in published(contract)
        )
    )


def evaluations(
    contract: Contract, verdicts: Mapping[str, Sequence[CheckOutcome]]
) -> Iterator[dg.AssetCheckEvaluation]:
    """The verdicts on a delivery as events of the step that ingests it: one for each rule."""
    for rule, passed, metadata in _said(published(contract), verdicts):
        yield dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(raw_key(contract.feed, rule.table)),
            check_name=rule.name,
            passed=passed,
            severity=dg.AssetCheckSeverity.WARN,
            metadata=dict(metadata),
        )


def _said(
    rules: Sequence[PublishedRule], verdicts: Mapping[str, Sequence[CheckOutcome]]
) -> Iterator[tuple[PublishedRule, bool, Mapping[str, int | float | bool]]]:
    """Every rule with its verdict and counts; one not in force passes and says so."""
    found = {outcome.name: outcome for outcomes in verdicts.values() for outcome in outcomes}
    for rule in rules:
        outcome = found.get(rule.name)
        yield (rule, True, ABSENT) if outcome is None else (rule, outcome.passed, outcome.metrics)
