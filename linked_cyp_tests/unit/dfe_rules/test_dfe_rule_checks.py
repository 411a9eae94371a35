"""The DfE's rules as checks: named once, judged on what the store holds, never blocking."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.dfe_rules.checks import NOT_CLEAR, NOT_RUN, judged, published
from linked_cyp.expectations import CheckOutcome
from linked_cyp.ingest.ledger import withdraw
from linked_cyp.stores import provenance
from linked_cyp_tests.deliveries_support import land, memory_store, take

CONTRACTS = load_contracts(PROJECT_ROOT / "data_contracts")
RETURN = CONTRACTS["ssda903"]
HEADER = "CHILD,SEX,DOB,ETHNIC,UPN,MOTHER,MC_DOB\n"
EPISODES = (
    "CHILD,DECOM,RNE,LS,CIN,PLACE,PLACE_PROVIDER,DEC,REC,REASON_PLACE_CHANGE,HOME_POST,PL_POST,URN\n"
    "a,01/05/2023,S,C2,N1,U6,PR1,,,,,,\n"
)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory_store() as connection:
        yield connection


def taken(con: duckdb.DuckDBPyConnection, root: Path, period: str, rows: str) -> str:
    files = {"header.csv": HEADER + rows, "episodes.csv": EPISODES}
    folder = land(root, files, feed="ssda903", name=period)
    return take(con, RETURN, folder).delivery_id


def verdicts(
    con: duckdb.DuckDBPyConnection, delivery_id: str, *, is_encoded: bool = False
) -> dict[str, CheckOutcome]:
    found = judged(con, RETURN, delivery_id, is_encoded=is_encoded)
    return {outcome.name: outcome for outcomes in found.values() for outcome in outcomes}


def test_every_rule_of_any_year_is_one_check_on_a_table_of_the_contract() -> None:
    for feed, fewest in (("ssda903", 330), ("cin_census", 105)):
        rules = published(CONTRACTS[feed])
        names = [rule.name for rule in rules]
        assert len(set(names)) == len(names) >= fewest
        assert all(re.fullmatch(r"rule_(903|cin)_[a-z0-9]+", name) for name in names)
        assert {rule.table for rule in rules} <= set(CONTRACTS[feed].tables)
    assert published(CONTRACTS["school_census"]) == ()


def test_a_delivery_is_judged_by_the_rules_of_its_year(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rows = "a,1,01/05/2010,WBRI,,0,\nb,9,01/05/2010,WBRI,,0,\n"
    found = verdicts(con, taken(con, tmp_path, "2024", rows))
    assert found["rule_903_101"].metrics == {"element_count": 2, "unexpected_count": 1}
    assert not found["rule_903_101"].passed
    assert found["rule_903_103"].passed
    assert found["rule_903_141"].metrics == {"element_count": 1, "unexpected_count": 0}
    assert found["rule_903_120"].metrics == {NOT_RUN: 1}  # nobody placed for adoption came
    assert {outcome.severity for outcome in found.values()} == {"warn"}
    assert verdicts(con, taken(con, tmp_path / "later", "2030", rows)) == {}


def test_the_return_of_the_year_before_is_the_one_that_counts(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    this_year = taken(con, tmp_path, "2025", "a,1,01/05/2010,WBRI,,0,\n")
    assert verdicts(con, this_year)["rule_903_202"].metrics == {NOT_RUN: 1}
    last_year = taken(con, tmp_path, "2024", "a,2,01/05/2010,WBRI,,0,\n")
    assert verdicts(con, this_year)["rule_903_202"].metrics["unexpected_count"] == 1
    assert verdicts(con, this_year)["rule_903_203"].passed
    withdraw(con, last_year, "sent in error")
    assert verdicts(con, this_year)["rule_903_202"].metrics == {NOT_RUN: 1}


def test_what_came_encoded_is_not_said_to_be_right(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    found = verdicts(con, taken(con, tmp_path, "2025", "a,9,,,,,\n"), is_encoded=True)
    assert len(found) > 290
    assert {tuple(outcome.metrics) for outcome in found.values()} == {(NOT_CLEAR,)}


def test_judging_again_replaces_only_the_rules(con: duckdb.DuckDBPyConnection) -> None:
    def record(run: str, *names: str, only: list[str] | None = None) -> None:
        outcomes = [CheckOutcome(name, True, "warn") for name in names]
        key = ("raw", "ssda903", "header")
        provenance.record_checks(
            con, "identifiable", {key: outcomes}, run_id=run, delivery_id="d", only=only
        )

    record("first", "key__unique", "rule_903_101", "rule_903_102")
    record("again", "rule_903_101", only=["rule_903_101", "rule_903_102"])
    kept = con.execute(
        "SELECT check_name, run_id FROM identifiable.provenance.check_result ORDER BY 1"
    ).fetchall()
    assert kept == [("key__unique", "first"), ("rule_903_101", "again")]
