"""Rules projected from contracts: which there are, how severe, and what they are called."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from linked_cyp.contracts.model import Code, Codeset, Relationship, Table, load_contracts
from linked_cyp.expectations.rules import (
    EARLIEST_BIRTH,
    KINDS,
    ROW_KEYS,
    Rule,
    contract_rules,
    delivery_filter,
    ledger_rules,
    pseudonymised_rules,
)
from linked_cyp_tests import deliveries_support as toy
from linked_cyp_tests.deliveries_support import column

CONTRACTS = Path(__file__).parents[3] / "data_contracts"


SEX = Codeset("sex", (Code("1", "Male", until=2024), Code("M", "Male", since=2025), Code("9", "?")))
TOY = replace(
    toy.table(
        "visit",
        column("child_id", required=True, primary_key_position=1, pseudonymisation="token"),
        column("visit_number", "integer", required=True, primary_key_position=2, minimum=1,
               pseudonymisation="keep"),
        column("upn", identifier_type="upn"),
        column("birth_date", "date", linkage_role="birth_date", pseudonymisation="coarsen_month"),
        column("sex_code", codeset=SEX, pseudonymisation="keep"),
        column("team_code", pattern="^T[0-9]+$", since=2026, pseudonymisation="keep"),
        column("seen_date", "date", minimum="2000-01-01", pseudonymisation="coarsen_year"),
        column("home_postcode", identifier_type="postcode", pseudonymisation="coarsen_lsoa"),
        column("ticket_id", unique=True),
        required=True,
    ),
    person_key=(("child_id",),),
    relationships=(Relationship(("child_id",), "child", ("child_id",)),),
)  # fmt: skip


def summary(rules: list[Rule]) -> list[tuple[str, str, str]]:
    return [(r.name, r.kind, r.severity) for r in rules]


def by_name(rules: list[Rule]) -> dict[str, Rule]:
    return {rule.name: rule for rule in rules}


def test_rules_of_a_raw_table():
    assert summary(contract_rules(TOY, 2025, rows=3)) == [
        ("columns__declared", "columns_equal", "error"),
        ("columns__typed", "types_equal", "error"),
        ("child_id__required", "not_null", "error"),
        ("visit_number__required", "not_null", "error"),
        ("visit_number__range", "between", "warn"),
        ("upn__format", "satisfies", "warn"),
        ("birth_date__range", "between", "warn"),
        ("sex_code__codes", "in_set", "warn"),
        ("seen_date__range", "between", "warn"),
        ("home_postcode__format", "satisfies", "warn"),
        ("ticket_id__unique", "unique", "warn"),
        ("key__unique", "unique", "error"),
        ("child_id__exists_in_child", "exists_in", "warn"),
        ("rows__reconcile", "row_count", "error"),
    ]


def test_rules_of_a_pseudonymised_table():
    assert summary(pseudonymised_rules(TOY, rows=3)) == [
        ("columns__declared", "columns_equal", "error"),
        ("columns__typed", "types_equal", "error"),
        ("row__unique", "unique", "error"),
        ("record_key__required", "not_null", "warn"),
        ("text__no_identifier", "satisfies", "error"),
        ("months__first_of_month", "satisfies", "error"),
        ("seen_year__range", "between", "warn"),
        ("home_lsoa21_code__format", "matches", "warn"),
        ("home_lsoa11_code__format", "matches", "warn"),
        ("child_id__exists_in_child", "exists_in", "warn"),
        ("rows__reconcile", "row_count", "error"),
    ]


def test_a_raw_table_has_the_columns_of_every_year_but_rules_of_its_own_year():
    for year, codes, has_team in ((2024, ("1", "9"), False), (2026, ("M", "9"), True)):
        rules = by_name(contract_rules(TOY, year))
        assert rules["columns__declared"].columns == (*ROW_KEYS, *(c.name for c in TOY.columns))
        assert rules["sex_code__codes"].arguments["values"] == codes
        assert ("team_code__format" in rules) is has_team


def test_dates_of_birth_lie_between_1990_and_the_end_of_the_period():
    ends = date(2025, 3, 31)
    bounds = by_name(contract_rules(TOY, 2025, ends))["birth_date__range"].arguments
    assert bounds == {"minimum": EARLIEST_BIRTH, "maximum": ends}
    by_default = by_name(contract_rules(TOY, 2025))["birth_date__range"].arguments
    assert by_default["maximum"] == date(2025, 8, 31)


def test_bounds_and_codes_take_the_type_of_their_column():
    rules = by_name(contract_rules(TOY, 2025))
    assert rules["seen_date__range"].arguments == {"minimum": date(2000, 1, 1), "maximum": None}
    codes = Codeset("n", (Code("1", "one"), Code("x", "not a number")))
    table = Table("toy", "t", "T", "", "", False, (), (column("n_code", "integer", codeset=codes),))
    assert by_name(contract_rules(table, 2025))["n_code__codes"].arguments["values"] == (1,)


def test_the_ledger_rules_name_no_value_but_the_delivery():
    rules = ledger_rules("brent.2025.ab'c", "header", 0.1)
    assert [r.name for r in rules] == ["ledger__reconciles", "quarantine__share"]
    assert all("'brent.2025.ab''c'" in r.arguments["sql"] for r in rules)
    assert delivery_filter("a'b") == "\"delivery_id\" = 'a''b'"


@pytest.mark.parametrize("feed", sorted(load_contracts(CONTRACTS)))
def test_names_law(feed: str):
    """`<column>__<rule>`: a check's name says what it is about, and is unique on its asset."""
    for table in load_contracts(CONTRACTS)[feed].tables.values():
        for rules in (contract_rules(table, 2025, rows=0), pseudonymised_rules(table, rows=0)):
            names = [rule.name for rule in rules]
            assert len(set(names)) == len(names)
            for rule in rules:
                assert re.fullmatch(r"[a-z][a-z0-9_]*", rule.name)
                subjects = {*rule.columns, "columns", "key", "months", "row", "rows", "text"}
                assert rule.name.split("__")[0] in subjects
                assert rule.kind in KINDS
                assert rule.description
