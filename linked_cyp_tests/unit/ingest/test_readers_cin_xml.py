"""The children in need return: order, stray text and old layouts pass; entities do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp_tests.deliveries_support import land, memory_store, quarantined, rows, take

CHILD = """
<Child>
  <ChildIdentifiers>stray<LAchildID>C{n}</LAchildID><UPN>A123</UPN>stray
    <PersonBirthDate>2015-03-2{n}</PersonBirthDate><Sex>M</Sex></ChildIdentifiers>
  <CINdetails>
    <ReferralNFA>{nfa}</ReferralNFA>
    <CINreferralDate>2023-10-0{n}</CINreferralDate>
    <Assessments><AssessmentActualStartDate>2023-10-05</AssessmentActualStartDate>
      <FactorsIdentifiedAtAssessment><AssessmentFactors>1C</AssessmentFactors>
        <AssessmentFactors>6B</AssessmentFactors></FactorsIdentifiedAtAssessment></Assessments>
    <Assessments><AssessmentFactors>2A</AssessmentFactors></Assessments>
    <ChildProtectionPlans><CPPstartDate>2024-01-0{n}</CPPstartDate>
      <Reviews><CPPreviewDate>2024-02-01</CPPreviewDate><CPPreviewDate>2024-03-01</CPPreviewDate>
      </Reviews></ChildProtectionPlans>
    <Invented>secret</Invented>
  </CINdetails>
  <ChildCharacteristics><Disabilities><Disability>HAND</Disability>
    <Disability>HEAR</Disability></Disabilities><Ethnicity>WBRI</Ethnicity></ChildCharacteristics>
</Child>"""
HEADER = """<Header><CollectionDetails><Collection>{collection}</Collection><Year>2024</Year>
</CollectionDetails><Source><LEA>304</LEA></Source></Header>"""


def message(*children: str, collection: str = "CIN", prolog: str = "") -> str:
    header = HEADER.format(collection=collection)
    return f"{prolog}<Message>{header}<Children>{''.join(children)}</Children></Message>"


TWO = (CHILD.format(n=1, nfa="true"), CHILD.format(n=2, nfa="0"))


@pytest.fixture(scope="module")
def contract():
    found = load_contracts(PROJECT_ROOT / "data_contracts")["cin_census"]
    return replace(found, max_lost_share=1.0)  # the pupil numbers here are none


@pytest.fixture
def con():
    connection = memory_store()
    yield connection
    connection.close()


def read(con, contract, tmp_path: Path, content: str | bytes):
    folder = land(tmp_path / "landing", {"cin.xml": content}, feed="cin_census", name="2024")
    return take(con, contract, folder)


def test_every_table_with_surrogates_in_document_order(con, contract, tmp_path):
    outcome = read(con, contract, tmp_path, message(*TWO))
    assert outcome.status == "accepted"
    assert {name: counts.accepted for name, counts in outcome.tables.items()} == {
        "header": 1,
        "child_identifiers": 2,
        "child_characteristics": 2,
        "disabilities": 4,
        "cin_details": 2,
        "assessments": 4,
        "assessment_factors": 6,
        "child_protection_plans": 2,
        "reviews": 4,
    }
    details = contract.tables["cin_details"]
    key, referred = details.primary_key[0], "referral_date"
    held = rows(con, "cin_census__cin_details", f"row_number, child_id, {key}")
    assert held == [(1, "C1", 1), (2, "C2", 2)]
    assert referred in {c.name for c in details.columns}
    factors = rows(con, "cin_census__assessment_factors", "child_id, assessment_id, factor_code")
    assert factors == [
        ("C1", 1, "1C"),
        ("C1", 1, "6B"),
        ("C1", 2, "2A"),
        ("C2", 3, "1C"),
        ("C2", 3, "6B"),
        ("C2", 4, "2A"),
    ]


def test_true_and_1_are_one_truth(con, contract, tmp_path):
    read(con, contract, tmp_path, message(*TWO))
    flag = next(c for c in contract.tables["cin_details"].columns if c.type == "boolean")
    assert rows(con, "cin_census__cin_details", flag.name) == [(True,), (False,)]


def test_undeclared_elements_are_dropped_and_named(con, contract, tmp_path):
    outcome = read(con, contract, tmp_path, message(*TWO))
    assert outcome.files[0].undeclared == ("Invented",)
    details = rows(con, "cin_census__cin_details")
    assert "secret" not in str(details)
    assert "stray" not in str(rows(con, "cin_census__child_identifiers"))


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (message(*TWO)[:-60], "file__malformed"),
        (message(*TWO, prolog='<!DOCTYPE Message [<!ENTITY e "x">]>'), "file__doctype"),
        (message(*TWO, prolog='<!DOCTYPE Message SYSTEM "file:///etc/hostname">'), "file__doctype"),
        (message(*TWO, collection="SCH"), "file__unrecognised"),
        ("<Other/>", "file__unrecognised"),
        ("a,b\n1,2\n", "file__unrecognised"),
        ("", "file__empty"),
    ],
    ids=["cut off", "entity", "external", "other return", "other root", "csv", "empty"],
)
def test_what_is_not_a_sound_return_rejects_the_delivery(con, contract, tmp_path, content, rule):
    outcome = read(con, contract, tmp_path, content)
    assert outcome.status == "rejected"
    assert outcome.files[0].rule == rule
    assert outcome.accepted == 0
    for table in contract.tables.values():
        assert rows(con, table.table_name) == []
    assert sum(q[5] for q in quarantined(con)) == outcome.received == outcome.quarantined


def test_windows_text_under_a_utf_8_declaration(con, contract, tmp_path):
    child = TWO[0].replace("C1", "Zoë1")
    content = message(child, prolog='<?xml version="1.0" encoding="utf-8"?>').encode("cp1252")
    assert read(con, contract, tmp_path, content).status == "accepted"
    assert rows(con, "cin_census__child_identifiers", "child_id") == [("Zoë1",)]


def test_batches_do_not_show(con, contract, tmp_path, monkeypatch):
    monkeypatch.setattr("linked_cyp.ingest.readers.cin_xml.BATCH_CHILDREN", 2)
    children = [CHILD.format(n=n, nfa="1") for n in range(1, 8)]
    outcome = read(con, contract, tmp_path, message(*children))
    assert outcome.table("assessment_factors").accepted == 21
    held = rows(con, "cin_census__assessments", "row_number, assessment_id")
    assert held == [(n, n) for n in range(1, 15)]
