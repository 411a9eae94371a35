"""Run an asset's rules, keep their verdicts, and show them in Dagster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import dagster as dg
import duckdb

from linked_cyp import provenance
from linked_cyp.expectations import CheckOutcome, Rule, run_rules


def checked(
    connection: duckdb.DuckDBPyConnection,
    key: Sequence[str],
    relation: str,
    rules: Sequence[Rule],
    context: dg.AssetExecutionContext,
) -> Iterator[dg.AssetCheckResult]:
    """Run rules on a relation; record the verdicts in the store it is in."""
    outcomes = run_rules(connection, relation, rules)
    catalog = relation.split(".", 1)[0]
    provenance.record_checks(connection, catalog, {tuple(key): outcomes}, run_id=context.run.run_id)
    yield from results(key, outcomes)


def owed(
    connection: duckdb.DuckDBPyConnection,
    key: Sequence[str],
    relation: str,
    rules: Sequence[Rule],
    context: dg.AssetExecutionContext,
) -> None:
    """Record every rule as not held, before the relation is made anew.

    A step that fails or is killed before :func:`checked` leaves no earlier verdict standing for
    rows that nobody has looked at.
    """
    outcomes = [CheckOutcome(rule.name, False, rule.severity, rule.description) for rule in rules]
    catalog = relation.split(".", 1)[0]
    provenance.record_checks(connection, catalog, {tuple(key): outcomes}, run_id=context.run.run_id)


def results(key: Sequence[str], outcomes: Iterable[CheckOutcome]) -> Iterator[dg.AssetCheckResult]:
    """Outcomes as Dagster shows them: names, verdicts and counts."""
    for outcome in outcomes:
        yield dg.AssetCheckResult(
            asset_key=dg.AssetKey(list(key)),
            check_name=outcome.name,
            passed=outcome.passed,
            severity=_severity(outcome.severity),
            metadata=dict(outcome.metrics),
        )


def specs(key: Sequence[str], rules: Iterable[Rule]) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(rule.name, asset=dg.AssetKey(list(key)), description=rule.description)
        for rule in rules
    ]


def _severity(text: str) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if text == "error" else dg.AssetCheckSeverity.WARN
