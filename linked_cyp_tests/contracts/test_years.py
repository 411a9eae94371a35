"""A year is data: periods, collection years, and what is in force when."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linked_cyp.core.errors import LinkedCypError
from linked_cyp_tests.contracts.common import FEEDS, contracts


@pytest.mark.parametrize(
    ("feed", "period", "year"),
    [
        ("ssda903", "2025", 2025),
        ("cin_census", "2017", 2017),
        ("school_census", "2024-autumn", 2025),
        ("school_census", "2025-spring", 2025),
        ("school_census", "2025-summer", 2025),
        ("sus_apc", "2024-03", 2024),
        ("sus_apc", "2024-04", 2025),
        ("sus_apc", "2024-12", 2025),
        ("sus_apc", "2025-03", 2025),
        ("pds_demographics", "2025-03-31", 2025),
        ("pds_demographics", "2025-04-01", 2026),
    ],
)
def test_collection_year_is_the_year_in_which_the_record_ends(
    feed: str, period: str, year: int
) -> None:
    assert contracts()[feed].collection_year(period) == year


@pytest.mark.parametrize(
    ("feed", "period"),
    [
        ("ssda903", "2024-25"),
        ("school_census", "2024"),
        ("school_census", "2024-winter"),
        ("sus_apc", "2025-13"),
        ("sus_apc", "2025"),
        ("pds_demographics", "2025-03"),
    ],
)
def test_a_period_of_another_kind_is_refused(feed: str, period: str) -> None:
    with pytest.raises(LinkedCypError):
        contracts()[feed].collection_year(period)


@settings(deadline=None)  # reads every contract the first time
@given(st.sampled_from(FEEDS), st.integers(2000, 2040))
def test_a_year_only_takes_away(feed: str, year: int) -> None:
    whole = contracts()[feed]
    then = whole.at(year)
    assert then.at(year) == then
    for name, table in then.tables.items():
        assert {c.name for c in table.columns} <= {c.name for c in whole.tables[name].columns}
        # keys, person keys and relationships never lose their columns
        assert table.primary_key == whole.tables[name].primary_key
        for alternative in table.person_key:
            assert {table.column(c).name for c in alternative} == set(alternative)
        for link in table.relationships:
            assert link.to_table in then.tables


@pytest.mark.parametrize(
    ("feed", "table", "first"),
    [
        ("ssda903", "social_worker", 2024),
        ("ssda903", "deprivation_of_liberty", 2027),
        ("cin_census", "cin_plan_dates", 2022),
    ],
)
def test_tables_begin_in_their_year(feed: str, table: str, first: int) -> None:
    assert table not in contracts()[feed].at(first - 1).tables
    assert table in contracts()[feed].at(first).tables


def test_columns_begin_and_end_in_their_year() -> None:
    def columns(year: int) -> set[str]:
        table = contracts()["school_census"].at(year).tables["pupil_on_roll"]
        return {c.name for c in table.columns}

    assert "authorised_absence_sessions" in columns(2025)
    assert "authorised_absence_sessions" not in columns(2026)
    assert "young_carer_code" not in columns(2022)
    assert "young_carer_code" in columns(2023)
