"""One check for each subject: it fails when one rule does, blocks when that rule blocks."""

from __future__ import annotations

import dagster as dg
import pytest

from linked_cyp.defs import checks
from linked_cyp.expectations import CheckOutcome, Rule
from linked_cyp.expectations.rules import (
    SUBJECTS,
    in_set,
    not_null,
    pseudonymised_rules,
    row_count,
    subject,
)
from linked_cyp_tests.contracts.common import every_table

KEY = ["raw", "toy", "visit"]
RULES = [not_null("visit_id"), in_set("sex_code", "12"), in_set("outcome_code", "AB")]


def shown(*outcomes: CheckOutcome) -> dict[str, dg.AssetCheckResult]:
    return {str(r.check_name): r for r in checks.by_subject(KEY, RULES, outcomes)}


def outcome(rule: Rule, breaches: int) -> CheckOutcome:
    return CheckOutcome(rule.name, not breaches, rule.severity, "", {"unexpected_count": breaches})


def test_every_rule_has_a_subject_and_every_subject_says_which_rules_it_holds() -> None:
    rules = [*RULES, row_count(3, "as many rows")]
    specs = {spec.name: spec for spec in checks.by_subject_specs(KEY, rules)}
    assert list(specs) == ["rows", "required", "codes"]
    assert "sex_code__codes, outcome_code__codes" in str(specs["codes"].description)


def test_what_identifies_is_a_subject_of_its_own() -> None:
    named = {
        subject(rule) for table in every_table() for rule in pseudonymised_rules(table, rows=0)
    }
    assert {"identifiers", "rows", "columns", "keys"} <= named <= set(SUBJECTS)


def test_a_broken_rule_is_named_with_its_counts() -> None:
    found = shown(outcome(RULES[0], 0), outcome(RULES[1], 0), outcome(RULES[2], 4))
    assert found["required"].passed
    assert not found["codes"].passed
    table = found["codes"].metadata["broken"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [r.data for r in table.records] == [
        {"rule": "outcome_code__codes", "severity": "warn", "breaches": 4}
    ]


@pytest.mark.parametrize(
    ("broken", "severity"),
    [(0, dg.AssetCheckSeverity.ERROR), (1, dg.AssetCheckSeverity.WARN)],
)
def test_it_blocks_when_a_broken_rule_blocks(broken: int, severity: dg.AssetCheckSeverity) -> None:
    found = shown(*(outcome(rule, int(i == broken)) for i, rule in enumerate(RULES)))
    failed = [r for r in found.values() if not r.passed]
    assert [r.severity for r in failed] == [severity]


def test_rules_of_other_years_are_not_counted() -> None:
    found = shown(outcome(RULES[0], 0), outcome(RULES[1], 0))
    assert found["codes"].passed
    assert found["codes"].metadata["rules in force"].value == 1
