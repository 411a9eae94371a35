"""The pages of a release that holds every table: the hand-worked cases."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import html

from linked_cyp.release.companions.catalogue import sheets
from linked_cyp.release.companions.completeness import columns_of
from linked_cyp.release.companions.examples import documented
from linked_cyp.research import open_release
from linked_cyp_tests.browser_support import PHONE, browser, opened, overflows

PAGES = ("catalogue.html", "data_quality.html")
LARGEST = 5_000_000


@pytest.fixture(scope="session")
def folder(released: Path) -> Path:
    return released / "releases" / "demo" / "current"


def test_the_catalogue_has_every_table_and_variable(folder: Path) -> None:
    ids = set(html.parse(folder / PAGES[0]).xpath("//@id"))
    with open_release(folder.with_name("current.duckdb")) as release:
        for table, columns in columns_of(release).items():
            assert {table, *(f"{table}.{column}" for column in columns)} <= ids


def test_every_example_runs_and_every_cohort_has_its_own(folder: Path) -> None:
    with open_release(folder.with_name("current.duckdb")) as release:
        for sheet in sheets(release, documented()):
            assert sheet.examples
            if sheet.domain == "cohort":
                assert any(example in documented() for example in sheet.examples), sheet.name
            for example in sheet.examples:
                release.query(example.sql)


def test_most_tables_have_a_picture_back_to_the_supplier(folder: Path) -> None:
    with open_release(folder.with_name("current.duckdb")) as release:
        found = sheets(release, [])
    assert [sheet.name for sheet in found if sheet.picture is None] == []
    domains = {sheet.name: sheet.domain for sheet in found}
    assert domains["curated.child"] == "several"
    assert domains["curated.cin_referral"] == "social_care"
    assert domains["curated.immunisation"] == "health"
    assert domains["curated.school_enrolment"] == "education"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_names_no_child(folder: Path, name: str) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST
    with open_release(folder.with_name("current.duckdb")) as release:
        ids = {
            value
            for table, columns in columns_of(release).items()
            for column in columns
            if column.endswith("_id")
            for value in release.query(f"SELECT DISTINCT {column} FROM {table}").to_series()
            if value is not None
        }
    assert len(ids) > 10
    assert not {value for value in ids if value in text}


def test_the_pages_fit_a_phone(folder: Path) -> None:
    with browser() as started:
        for name in PAGES:
            with opened(started, folder / name, PHONE) as tab:
                assert not overflows(tab)
