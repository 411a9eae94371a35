"""The cohorts' pages: each has its table, and its query and chart run on a release."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from linked_cyp import research
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.research import cohort_pages
from linked_cyp.research.cohort_pages import CHILDREN, CohortPage
from linked_cyp_tests.pipeline.world import Ask

PAGES = cohort_pages.pages()


@pytest.fixture(scope="module")
def release(released: Path) -> Iterator[research.Release]:
    with research.open(released / "releases" / "demo" / "current.duckdb") as opened:
        yield opened


def fields(encoding: Any) -> set[str]:
    """Every ``field`` in a chart's encoding."""
    if not isinstance(encoding, dict):
        return set()
    own = {encoding["field"]} if isinstance(encoding.get("field"), str) else set()
    return own.union(*(fields(part) for part in encoding.values()))


def test_every_cohort_has_a_page_and_the_index_names_it(ask: Ask) -> None:
    tables = {
        name
        for (name,) in ask("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'cohort'")
    }
    assert {page.name for page in PAGES} == tables
    index = (cohort_pages.FOLDER / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if f"({page.name}.md)" not in index] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_query_runs_and_the_chart_is_drawn(page: CohortPage, release: research.Release) -> None:
    rows = release.query(page.sql)
    assert rows.height > 0
    assert rows[CHILDREN].min() > 0
    assert f"cohort.{page.name}" in page.sql
    shown = fields(page.chart["encoding"])
    assert shown
    assert shown <= set(rows.columns)
    drawn = cohort_pages.draw(release, page, smallest=0)
    assert drawn.startswith("<svg")
    assert page.title in drawn
    # the hand-worked cases are few: nothing of a group under ten is left to draw
    protected = cohort_pages.draw(release, page)
    assert drawn.count("<path") > protected.count("<path")


def test_pictures_of_a_release(released: Path, tmp_path: Path) -> None:
    file = released / "releases" / "demo" / "current.duckdb"
    assert cohort_pages.main([str(file), str(tmp_path)]) == 0
    assert {p.stem for p in tmp_path.iterdir()} == {page.name for page in PAGES}
    assert cohort_pages.main([str(tmp_path / "none.duckdb"), str(tmp_path)]) == 2


def test_a_page_that_is_not_there_or_not_whole_says_so(tmp_path: Path) -> None:
    with pytest.raises(LinkedCypError, match="no page of a cohort obese; there are avoid"):
        cohort_pages.page("obese")
    whole = (cohort_pages.FOLDER / "obesity.md").read_text(encoding="utf-8")
    (tmp_path / "obesity.md").write_text(whole, encoding="utf-8")
    assert cohort_pages.page("obesity", tmp_path) == cohort_pages.page("obesity")
    (tmp_path / "obesity.md").write_text(whole.replace("```json", "```"), encoding="utf-8")
    with pytest.raises(LinkedCypError, match="lacks its heading, its query or its chart"):
        cohort_pages.pages(tmp_path)


def test_charts_hold_no_data_of_their_own() -> None:
    assert [page.name for page in PAGES if "data" in json.dumps(page.chart)] == []
