"""Repair of looked-after episodes: every rule on hand-worked cases, and the public sample."""

from __future__ import annotations

import pytest

from linked_cyp.core.disclosure import rounded
from linked_cyp_tests.pipeline.episode_world import CASES, SAMPLE, Case, fields, optional_day
from linked_cyp_tests.pipeline.world import Ask, day

EPISODES = """SELECT episode_start_date, episode_end_date, episode_end_reason_code, repair_rule
              FROM curated.looked_after_episode
              WHERE person_id = $child ORDER BY episode_number"""
REMOVED = """SELECT return_year, delivered_start_date, repair_rule, episode_number
             FROM curated.looked_after_episode_removed WHERE person_id = $child ORDER BY ALL"""
DELIVERED = """SELECT return_year, delivered_start_date, delivered_end_date,
                      new_episode_reason_code, delivered_end_reason_code
               FROM curated.looked_after_episode_removed WHERE person_id = $child
               UNION ALL
               SELECT last_return_year, episode_start_date, delivered_end_date,
                      new_episode_reason_code, delivered_end_reason_code
               FROM curated.looked_after_episode WHERE person_id = $child"""
every_case = pytest.mark.parametrize("case", CASES, ids=[case.child for case in CASES])


@every_case
def test_case_is_repaired(ask: Ask, case: Case) -> None:
    assert ask(EPISODES, case.child) == [
        (optional_day(start), optional_day(end), reason, rules and rules.replace(",", ", "))
        for start, end, reason, rules in fields(case.episodes)
    ]
    assert ask(REMOVED, case.child) == sorted(
        (int(year or 0), optional_day(start), rule, int(number) if number else None)
        for year, start, rule, number in fields(case.removed)
    )
    periods = """SELECT count(*) FROM curated.looked_after_period_of_care
                 WHERE person_id = $child"""
    assert ask(periods, case.child) == [(case.periods,)]


@every_case
def test_what_was_delivered_can_be_had_back(ask: Ask, case: Case) -> None:
    delivered = [
        (int(year or 0), optional_day(start), optional_day(end), began, ended)
        for year, start, end, began, ended in fields(case.delivered)
    ]
    assert sorted(ask(DELIVERED, case.child), key=str) == sorted(delivered, key=str)


def test_every_rule_has_a_case(ask: Ask) -> None:
    named = {
        rule
        for case in CASES
        for row in (*fields(case.episodes), *fields(case.removed))
        for word in row
        for rule in (word or "").split(",")
    }
    rules = {rule for (rule,) in ask("SELECT repair_rule FROM reference.episode_repair_rule")}
    assert len(rules) == 13
    assert rules - named == set()


def test_counts_by_rule_are_for_showing(ask: Ask) -> None:
    exact: dict[str, int] = {}
    for case in CASES:
        rules = [row[3] for row in fields(case.episodes)] + [row[2] for row in fields(case.removed)]
        for rule in ",".join(rule for rule in rules if rule).split(","):
            exact[rule] = exact.get(rule, 0) + 1
    delivered = sum(len(fields(case.delivered)) for case in CASES)
    shown = ask(
        """SELECT repair_rule, repaired_episodes, delivered_episodes
           FROM curated.looked_after_episode_repair WHERE local_authority = 'camden'"""
    )
    assert {rule: count for rule, count, _ in shown} == {
        rule: rounded(exact.get(rule, 0)) for rule, _, _ in shown
    }
    assert {total for _, _, total in shown} == {rounded(delivered)}
    # An authority whose return needed one rule shows the others as zero.
    lone = """SELECT count(*) FILTER (repaired_episodes = 0), count(*)
              FROM curated.looked_after_episode_repair WHERE local_authority = 'brent'"""
    assert ask(lone) == [(13, 13)]


@pytest.mark.parametrize(
    ("child", "start", "end", "rule"),
    [
        ("RULE1_BAD", "2016-01-13", "2017-08-20", "missing_end_next_start"),
        ("RULE1A_BAD", "2016-10-24", "2017-03-31", "missing_end_not_returned"),
        ("RULE2_BAD", "2019-05-10", "2020-03-31", "missing_end_not_returned"),
        ("RULE4_BAD", "2018-11-23", "2018-12-20", "overlap"),
        ("RULE5_BAD", "2019-11-06", "2020-04-02", "gap_in_care"),
    ],
)
def test_sample_ends_are_repaired(ask: Ask, child: str, start: str, end: str, rule: str) -> None:
    _sample_is_here()
    changed = [row for row in ask(EPISODES, child) if row[3]]
    assert [(began, ended, named) for began, ended, _, named in changed] == [
        (day(start), day(end), rule)
    ]


def test_sample_rows_a_later_return_put_right_are_removed(ask: Ask) -> None:
    _sample_is_here()
    removed = {
        child: ask(REMOVED, child)
        for child in ("RULE3_BAD", "RULE3A_BAD", "RULE4_BAD", "RULE1_BAD", "NORULE_BAD")
    }
    assert removed == {
        "RULE3_BAD": [(2017, day("2016-09-27"), "restated", 1)],
        "RULE3A_BAD": [(2018, day("2018-03-22"), "restated", 2)],
        "RULE4_BAD": [(2019, day("2018-12-24"), "restated", 2)],
        "RULE1_BAD": [],
        "NORULE_BAD": [],
    }


def test_sample_rows_without_a_fault_are_as_delivered(ask: Ask) -> None:
    _sample_is_here()
    assert [row[:2] for row in ask(EPISODES, "NORULE_BAD")] == [
        (day("2015-06-19"), day("2016-07-26")),
        (day("2016-07-26"), day("2021-12-12")),
    ]
    assert [row[:2] for row in ask(EPISODES, "NORULE_SUT")] == [(day("2017-12-15"), None)]
    for child in ("NORULE_BAD", "NORULE_NEW", "NORULE_SUT"):
        assert [row[3] for row in ask(EPISODES, child)] == [None] * len(ask(EPISODES, child))


def _sample_is_here() -> None:
    if not SAMPLE.exists():
        pytest.skip("../shared is not beside the project")
