"""The maps of sex and ethnicity cover what the contracts permit, in every year."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pytest

from linked_cyp.contracts.house import ETHNICITIES
from linked_cyp.contracts.model import Column, Table
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp_tests.contracts.common import contracts, every_column

SEEDS = PROJECT_ROOT / "dbt_project" / "seeds"
YEARS = range(2018, 2031)


def seed(name: str) -> list[dict[str, str]]:
    with (SEEDS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def holds(row: dict[str, str], year: int) -> bool:
    return int(row["since"] or 0) <= year <= int(row["until"] or 9999)


def columns(role: str) -> Iterator[tuple[Table, Column]]:
    for contract in contracts().values():
        for table in contract.tables.values():
            for column in table.columns:
                if column.linkage_role == role and table.person_key:
                    yield table, column


@pytest.mark.parametrize("year", YEARS)
def test_every_code_of_sex_in_force_means_one_thing(year: int) -> None:
    rows = [row for row in seed("sex") if holds(row, year)]
    for table, column in columns("sex"):
        assert column.codeset is not None, table.table_name
        mapped = [row["source_code"] for row in rows if row["feed"] == table.feed]
        assert len(mapped) == len(set(mapped)), table.feed
        assert set(column.codeset.at(year).values) <= set(mapped), table.table_name


@pytest.mark.parametrize("year", YEARS)
def test_every_code_of_ethnicity_in_force_means_one_thing(year: int) -> None:
    rows = [row for row in seed("ethnicity") if holds(row, year)]
    for table, column in columns("ethnicity"):
        assert column.codeset is not None, table.table_name
        mapped = [row["source_code"] for row in rows if row["feed"] == table.feed]
        assert len(mapped) == len(set(mapped)), table.feed
        assert set(column.codeset.at(year).values) <= set(mapped), table.table_name


def test_every_meaning_is_on_the_scale_that_all_feeds_share() -> None:
    assert {row["sex"] for row in seed("sex")} == {"M", "F", "U"}
    groups = {row["ethnicity_code"] for row in seed("ethnicity_group")}
    assert {row["ethnicity_code"] for row in seed("ethnicity")} <= groups == set(ETHNICITIES)


def test_every_source_of_persons_has_a_rank() -> None:
    ranked = {row["feed"] for row in seed("source_feed")}
    assert {table.feed for table, _ in columns("sex")} <= ranked
    assert ranked <= set(contracts())


def test_gender_identity_is_never_sex() -> None:
    for table, column in columns("sex"):
        assert "identity" not in column.name + column.description.lower(), table.table_name
    kept = [c.name for _, c in every_column() if c.linkage_role == "sex"]
    assert not {"gender_identity_code", "gender_code"} & set(kept)
    assert "gender_identity_code" not in (
        PROJECT_ROOT / "dbt_project/models/staging/stg_person_observation.sql"
    ).read_text(encoding="utf-8")


def test_the_same_code_may_mean_another_sex_elsewhere_or_nothing_in_another_year() -> None:
    rows = seed("sex")

    def sex(feed: str, code: str, year: int) -> list[str]:
        return [
            row["sex"]
            for row in rows
            if (row["feed"], row["source_code"]) == (feed, code) and holds(row, year)
        ]

    assert sex("sus_apc", "9", 2025) == ["U"]
    assert sex("ssda903", "1", 2024) == ["M"]
    assert sex("ssda903", "1", 2025) == []
    assert sex("cin_census", "M", 2024) == []
    assert sex("cin_census", "0", 2024) == ["U"]
