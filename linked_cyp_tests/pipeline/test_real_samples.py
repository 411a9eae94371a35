"""The public samples as three deliveries: nothing crashes, and every row is accounted for.

The samples lie beside the project (``../shared/samples``), not in it.
"""

from __future__ import annotations

import csv
import shutil
from collections import Counter

import pytest
from lxml import etree

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.ingest.deliveries import ingest
from linked_cyp.ingest.landing import discover
from linked_cyp_tests.deliveries_support import memory_store, rows

SAMPLES = PROJECT_ROOT.parent / "shared" / "samples"
CENSUS = "school_census_2024_autumn"


@pytest.fixture(scope="module")
def contracts():
    return load_contracts(PROJECT_ROOT / "data_contracts")


@pytest.fixture(scope="module")
def taken(tmp_path_factory, contracts):
    """The store and the outcomes by feed."""
    if not SAMPLES.is_dir():
        pytest.skip("../shared is not beside the project")
    root = tmp_path_factory.mktemp("samples")
    deliveries = {
        ("ssda903", "2018"): [SAMPLES / "ssda903" / n for n in ("header.csv", "episodes.csv")],
        ("cin_census", "2024"): [SAMPLES / "cin_census" / "CIN_Census_2024.xml"],
        ("school_census", "2024-autumn"): sorted((SAMPLES / CENSUS).glob("*.csv")),
    }
    for (feed, period), paths in deliveries.items():
        folder = root / "landing" / "sample" / feed / period
        folder.mkdir(parents=True)
        for path in paths:
            shutil.copy(path, folder)
        for path in folder.glob("*.xml"):  # the sample contradicts itself: Year 2023, day in 2024
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace("<Year>2023</Year>", "<Year>2024</Year>"), "utf-8")
    with memory_store() as con:
        outcomes = {}
        for landed in discover(root / "landing", contracts):
            contract, work = contracts[landed.feed], root / "work"
            outcomes[landed.feed] = ingest(con, contract, landed, work)
        yield con, outcomes


def data_rows(path) -> int:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def test_every_sample_is_accepted_and_reconciles(taken):
    con, outcomes = taken
    assert {feed: o.status for feed, o in outcomes.items()} == dict.fromkeys(outcomes, "accepted")
    assert len(outcomes) == 3
    for outcome in outcomes.values():
        for counts in outcome.tables.values():
            assert counts.accepted + counts.quarantined == counts.received
        stored = con.execute(
            "SELECT coalesce(sum(rows), 0) FROM identifiable.quarantine.rejected "
            "WHERE delivery_id = ?",
            [outcome.delivery_id],
        ).fetchone()
        assert stored == (outcome.quarantined,)


def test_looked_after_children_rows_are_those_of_the_files(taken):
    _, outcomes = taken
    tables = outcomes["ssda903"].tables
    for name in ("header", "episodes"):
        assert tables[name].received == data_rows(SAMPLES / "ssda903" / f"{name}.csv")
    # 2,676 and 5,051 lines, of which one is the header.
    assert (tables["header"].accepted, tables["episodes"].accepted) == (2675, 5050)


def test_school_census_rows_are_those_of_the_files(taken):
    con, outcomes = taken
    outcome = outcomes["school_census"]
    in_files = sum(data_rows(path) for path in (SAMPLES / CENSUS).glob("*.csv"))
    assert outcome.received == in_files == 129_342
    assert len(outcome.tables) == 10
    # A pupil who left two schools is there twice under one id: 308 rows, 297 ids, all kept.
    leavers = outcome.table("pupil_no_longer_on_roll")
    assert (leavers.received, leavers.accepted, leavers.quarantined) == (308, 308, 0)
    rules = con.execute(
        "SELECT DISTINCT rule FROM identifiable.quarantine.rejected WHERE delivery_id = ?",
        [outcome.delivery_id],
    ).fetchall()
    assert rules == []
    # Values that are wrong but readable stay: absence beyond what was possible.
    assert outcome.table("termly_sessions_on_roll").quarantined == 0


def test_children_in_need_rows_are_the_elements_of_the_file(taken):
    con, outcomes = taken
    tree = etree.parse(str(SAMPLES / "cin_census" / "CIN_Census_2024.xml"))
    elements = Counter(e.tag for e in tree.iter() if isinstance(e.tag, str))
    tables = outcomes["cin_census"].tables
    of_element = {
        "header": "Header",
        "child_identifiers": "ChildIdentifiers",
        "child_characteristics": "ChildCharacteristics",
        "disabilities": "Disability",
        "cin_details": "CINdetails",
        "assessments": "Assessments",
        "assessment_factors": "AssessmentFactors",
        "cin_plan_dates": "CINPlanDates",
        "section_47": "Section47",
        "child_protection_plans": "ChildProtectionPlans",
        "reviews": "CPPreviewDate",
    }
    assert {name: counts.accepted for name, counts in tables.items()} == {
        name: elements[element] for name, element in of_element.items()
    }
    assert len(rows(con, "cin_census__child_identifiers")) == 2


def test_a_value_goes_where_its_column_is(taken):
    con, _ = taken
    with (SAMPLES / "ssda903" / "episodes.csv").open(newline="") as file:
        expected = [
            (n, r["CHILD"], r["LS"], "-".join(reversed(r["DECOM"].split("/"))))
            for n, r in enumerate(csv.DictReader(file), start=1)
        ]
    columns = "row_number, child_id, legal_status_code, episode_start_date::VARCHAR"
    held = rows(con, "ssda903__episodes", columns)
    assert held == expected
