"""Every rule in force has a failing and a passing case of ours; ordinary years are silent."""

from __future__ import annotations

import duckdb
import pytest

from linked_cyp.dfe_rules import Rule, load_rules, run_rules, runnable_rules
from linked_cyp.dfe_rules.rules import definitions
from linked_cyp_tests.conformance.own_cases import (
    condition_of,
    given,
    in_force,
    ordinary,
    own_cases,
)

RETURNS = ("ssda903", "cin_census")
YEARS = [
    (feed, year)
    for feed in RETURNS
    for year in range(definitions(feed).years[0], definitions(feed).years[1] + 1)
]


@pytest.mark.parametrize("feed", RETURNS)
def test_every_case_flags_exactly_the_marked_rows(feed: str) -> None:
    wrong = {}
    with duckdb.connect() as con:
        for case in own_cases(feed):
            tables, last, metadata = given(con, case.block)
            runs = {r.code for r in runnable_rules(feed, case.year, tables, last, metadata)}
            result = run_rules(con, feed, case.year, tables, last, metadata, codes=[case.code])
            found = frozenset(result.select('"table"', "row_id").fetchall())
            if found != case.block.marked or case.code not in runs:
                wrong[case.name] = (case.code in runs, found, case.block.marked)
    assert wrong == {}


@pytest.mark.parametrize("feed", RETURNS)
def test_every_rule_in_force_has_a_failing_and_a_passing_case(
    feed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cased = {
        kind: {
            condition_of(of_year(feed, case.year)[case.code])
            for case in own_cases(feed)
            if case.kind == kind and bool(case.block.marked) == (kind == "fails")
        }
        for kind in ("fails", "passes")
    }
    rules = {condition_of(rule) for _, rule in in_force(feed)}
    with capsys.disabled():
        print(
            f"\n{feed}: {len(rules)} rules in force, {len(rules & cased['fails'])} with a failing "
            f"case, {len(rules & cased['passes'])} with a passing case"
        )
    assert {kind: sorted(c[:2] for c in rules - having) for kind, having in cased.items()} == {
        "fails": [],
        "passes": [],
    }


@pytest.mark.parametrize("feed", RETURNS)
def test_every_case_stands_beside_the_text_of_its_rule(feed: str) -> None:
    for case in own_cases(feed):
        rule = of_year(feed, case.year)[case.code]
        assert " ".join(case.text.split()) == " ".join(rule.message.split()), case.name


@pytest.mark.parametrize(("feed", "year"), YEARS)
def test_a_year_in_which_nothing_is_wrong_has_no_finding(feed: str, year: int) -> None:
    with duckdb.connect() as con:
        tables, last, metadata = given(con, ordinary(feed, year))
        ran = {rule.code for rule in runnable_rules(feed, year, tables, last, metadata)}
        found = sorted(set(run_rules(con, feed, year, tables, last, metadata).fetchall()), key=str)
        assert {rule.code for rule in load_rules(feed, year)} - ran == set(), "every rule has a say"
    assert found == []


def of_year(feed: str, year: int) -> dict[str, Rule]:
    return {rule.code: rule for rule in load_rules(feed, year)}
