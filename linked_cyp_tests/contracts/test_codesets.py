"""Codes: unique within a year, labelled, used, and changing in the years they really changed."""

from __future__ import annotations

import csv

import pytest

from linked_cyp.contracts.model import in_force
from linked_cyp_tests.contracts.common import FOLDER, codesets, contracts, every_column

YEARS = range(2010, 2032)


def codes(name: str, year: int) -> set[str]:
    return set(codesets()[name].at(year).values)


@pytest.mark.parametrize("name", sorted(codesets()))
def test_no_code_is_twice_in_force(name: str) -> None:
    for year in YEARS:
        values = [code.code for code in codesets()[name].codes if in_force(code, year)]
        assert len(values) == len(set(values)), year


@pytest.mark.parametrize("name", sorted(codesets()))
def test_codes_are_labelled_and_years_in_order(name: str) -> None:
    for code in codesets()[name].codes:
        assert code.code == code.code.strip() != ""
        assert code.label == code.label.strip() != ""
        assert code.since is None or code.until is None or code.since <= code.until


@pytest.mark.parametrize("path", sorted((FOLDER / "codesets").glob("*.csv")), ids=lambda p: p.stem)
def test_codeset_files_have_one_layout(path: object) -> None:
    with open(str(path), encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    more = ("harmonised", "nhs", "note")
    assert rows[0][:4] == ["code", "label", "since", "until"]
    assert rows[0][4:] == [name for name in more if name in rows[0][4:]]
    assert {len(row) for row in rows} == {len(rows[0])}


def test_every_codeset_is_used() -> None:
    used = {c.codeset.name for _, c in every_column() if c.codeset}
    used |= {c.withheld.name for _, c in every_column() if c.withheld}
    used |= {said.ethnicity for c in contracts().values() for said in c.person_facts}
    assert used - {None} == set(codesets())


def test_codes_fit_their_columns() -> None:
    for table, column in every_column():
        if column.codeset:
            assert column.type == "string", f"{table.table_name}.{column.name}"
            assert column.pattern is None, f"{table.table_name}.{column.name}"


@pytest.mark.parametrize(
    ("name", "year", "there", "not_there"),
    [
        ("sex_ssda903", 2024, {"1", "2"}, {"M", "F", "U"}),
        ("sex_ssda903", 2025, {"M", "F", "U"}, {"1", "2"}),
        ("sex_cin_census", 2024, {"1", "2", "0", "9"}, {"M"}),
        ("sex_cin_census", 2025, {"M", "F", "U"}, {"0", "9"}),
        ("placement_type", 2024, {"H5", "P2"}, {"K3", "Z11"}),
        ("placement_type", 2025, {"K3"}, {"H5", "P2", "Z11"}),
        ("placement_type", 2026, {"K3", "Z11", "Z12", "Z13", "Z14"}, {"H5"}),
        ("episode_end_reason", 2018, {"E43", "E44"}, {"E45", "E46", "E47", "E48"}),
        ("episode_end_reason", 2019, {"E45", "E46", "E47", "E48"}, {"E43", "E44"}),
        ("placement_change_reason", 2018, {"OTHER"}, {"CUSTOD"}),
        ("placement_change_reason", 2019, {"CUSTOD"}, set()),
        ("care_leaver_activity", 2021, {"F3", "P3"}, {"F4", "P5"}),
        ("care_leaver_activity", 2022, {"F4", "P4", "F5", "P5"}, {"F3"}),
        ("assessment_factor", 2020, {"18A", "19A"}, {"18B", "24A"}),
        ("assessment_factor", 2021, {"18B", "18C", "19B", "19C"}, {"18A", "19A", "24A"}),
        ("assessment_factor", 2022, {"24A"}, {"18A"}),
        ("referral_source", 2022, {"5C"}, {"5D"}),
        ("referral_source", 2023, {"5D"}, set()),
        ("closure_reason", 2022, {"RC8"}, {"RC9"}),
        ("closure_reason", 2023, {"RC9"}, set()),
        ("attendance", 2024, {"Y", "H", "J"}, {"Y1", "J1", "C2", "K", "Q"}),
        ("attendance", 2025, {"Y", "H", "J", "Y1", "Y7", "J1", "C1", "C2", "K", "Q"}, set()),
        ("attendance", 2026, {"Y1", "J1"}, {"Y", "H", "J"}),
        ("sen_type", 2024, {"ASD"}, {"DS"}),
        ("sen_type", 2025, {"DS"}, set()),
    ],
)
def test_codes_change_when_the_return_changed(
    name: str, year: int, there: set[str], not_there: set[str]
) -> None:
    assert there <= codes(name, year)
    assert not (not_there & codes(name, year))


def test_a_label_may_change_while_the_code_stays() -> None:
    need = codesets()["primary_need"]
    assert [c.label for c in need.at(2025).codes if c.code == "N1"] == ["Abuse or neglect"]
    assert [c.label for c in need.at(2026).codes if c.code == "N1"] == [
        "Abuse, neglect and exploitation"
    ]


def test_extended_ethnicity_holds_the_main_categories() -> None:
    assert codes("ethnicity_dfe_main", 2025) < codes("ethnicity_dfe_extended", 2025)
    assert len(codes("ethnicity_dfe_main", 2025)) == 20
    assert len(codes("ethnicity_dfe_extended", 2025)) == 108


def test_emergency_admissions_start_with_two() -> None:
    for code in codesets()["admission_method"].codes:
        emergency = code.label.startswith("Emergency")
        assert emergency == (code.code.startswith("2") and code.code != "2C"), code.code


def test_contract_at_a_year_carries_that_years_codes() -> None:
    episodes = contracts()["ssda903"].at(2024).tables["episodes"]
    placement = episodes.column("placement_type_code").codeset
    assert placement is not None
    assert "H5" in placement.values
    assert "K3" not in placement.values
