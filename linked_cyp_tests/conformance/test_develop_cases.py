"""The rules against the public validators' known answers, and against the rules in force."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from linked_cyp.dfe_rules import load_rules, run_rules
from linked_cyp_tests.conformance.cases import RETURNS, cases, folder, in_force, relations

KNOWN_FAILURES = Path(__file__).with_name("known_failures.csv")


def known_failures(feed: str) -> dict[str, str]:
    with KNOWN_FAILURES.open(encoding="utf-8", newline="") as lines:
        return {
            f"{row['feed']} {row['code']} {row['year']} {row['case']}": row["reason"]
            for row in csv.DictReader(lines)
            if row["feed"] == feed
        }


@pytest.mark.parametrize("feed", RETURNS)
def test_every_case_flags_exactly_the_rows_of_the_answer(
    feed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong: dict[str, tuple[object, object]] = {}
    counted = 0
    with duckdb.connect() as con:
        for case in cases(feed):
            tables, last, metadata = relations(con, case)
            result = run_rules(con, feed, case.year, tables, last, metadata, codes=[case.code])
            found = frozenset(result.select('"table"', "row_id").fetchall())
            counted += 1
            if found != case.expected:
                wrong[case.name] = (
                    sorted(found - case.expected, key=str),
                    sorted(case.expected - found, key=str),
                )
    known = known_failures(feed)
    with capsys.disabled():
        print(f"\n{feed}: {counted - len(wrong)} of {counted} cases, {len(known)} known failures")
    assert counted > 0
    assert {name: rows for name, rows in wrong.items() if name not in known} == {}
    assert known.keys() <= wrong.keys(), "a known failure passes now: take it off the list"
    assert all(known.values()), "every known failure has its reason"


@pytest.mark.parametrize("feed", RETURNS)
def test_every_rule_in_force_is_implemented_with_its_fields_and_message(feed: str) -> None:
    ours = {
        (year, rule.code): rule
        for year in {year for year, _ in in_force(feed)}
        for rule in load_rules(feed, year)
    }
    theirs = {(year, row["code"]): row for year, row in in_force(feed)}
    assert ours.keys() == theirs.keys()
    for key, row in theirs.items():
        assert Counter(ours[key].fields) == Counter(row["affected_fields"].split(";")), key
        assert _plain(ours[key].message) == _plain(row["message"]), key
        if "type" in row:
            assert ours[key].severity == ("warning" if row["type"] == "QUERY" else "error"), key


@pytest.mark.parametrize("feed", RETURNS)
def test_every_rule_in_force_runs_on_an_empty_return(feed: str) -> None:
    """A rule whose SQL is wrong fails here even if no case covers it."""
    from linked_cyp.dfe_rules.rules import definitions

    folder(feed)
    known = definitions(feed)
    with duckdb.connect() as con:
        empty = {
            name: con.sql("SELECT " + ", ".join(f"'' AS \"{c}\"" for c in t.columns) + " LIMIT 0")
            for name, t in known.tables.items()
        }
        for year in sorted({year for year, _ in in_force(feed)}):
            result = run_rules(con, feed, year, empty, empty, {"localAuthority": "301", **empty})
            assert {row_id for _, _, row_id in result.fetchall()} <= {None}


def _plain(text: str) -> str:
    return " ".join(text.split())
