"""Run an asset's rules, keep their verdicts, and show them in Dagster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import dagster as dg
import duckdb

from linked_cyp.expectations import CheckOutcome, Rule, run_rules
from linked_cyp.expectations.rules import SUBJECTS, subject
from linked_cyp.stores import provenance


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


def by_subject_specs(key: Sequence[str], rules: Iterable[Rule]) -> list[dg.AssetCheckSpec]:
    """One check for each subject that the rules are about (``expectations.rules.SUBJECTS``).

    A wide table has dozens of rules, and a page of dozens of green lines is not read; every rule
    keeps its own verdict in ``provenance.check_result``.
    """
    return [
        dg.AssetCheckSpec(
            name,
            asset=dg.AssetKey(list(key)),
            description=f"{SUBJECTS[name]}: {', '.join(rule.name for rule in group)}.",
        )
        for name, group in _by_subject(rules).items()
    ]


def by_subject(
    key: Sequence[str], rules: Iterable[Rule], outcomes: Iterable[CheckOutcome]
) -> Iterator[dg.AssetCheckResult]:
    """One result for each subject: passed when all its rules are, with the counts of those broken.

    Rules without an outcome are those that the delivery's collection year does not have.
    """
    found = {outcome.name: outcome for outcome in outcomes}
    for name, group in _by_subject(rules).items():
        here = [found[rule.name] for rule in group if rule.name in found]
        broken = [outcome for outcome in here if not outcome.passed]
        blocks = any(outcome.severity == "error" for outcome in broken)
        yield dg.AssetCheckResult(
            asset_key=dg.AssetKey(list(key)),
            check_name=name,
            passed=not broken,
            severity=dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN,
            metadata={"rules in force": len(here), "rules broken": len(broken)}
            | ({"broken": _listed(broken)} if broken else {}),
        )


def _by_subject(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    groups: dict[str, list[Rule]] = {name: [] for name in SUBJECTS}
    for rule in rules:
        groups[subject(rule)].append(rule)
    return {name: group for name, group in groups.items() if group}


def _listed(outcomes: Sequence[CheckOutcome]) -> dg.TableMetadataValue:
    """The broken rules as a table: which, whether it blocks, rows checked, breaches, blanks."""
    columns = {
        "rows checked": "element_count",
        "breaches": "unexpected_count",
        "blank": "missing_count",
        "columns missing": "missing_columns",
        "columns undeclared": "undeclared_columns",
    }
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord(
                {"rule": outcome.name, "severity": outcome.severity}
                | {
                    shown: outcome.metrics[metric]
                    for shown, metric in columns.items()
                    if metric in outcome.metrics
                }
            )
            for outcome in outcomes
        ],
        schema=dg.TableSchema(
            [dg.TableColumn("rule"), dg.TableColumn("severity")]
            + [dg.TableColumn(shown, type="int") for shown in columns]
        ),
    )


def _severity(text: str) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if text == "error" else dg.AssetCheckSeverity.WARN
