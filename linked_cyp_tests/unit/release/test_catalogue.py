"""The research catalogue: complete, searchable, and silent about few children."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from lxml import html

from linked_cyp.metadata.lineage import ColumnRef, Edge
from linked_cyp.release import publish
from linked_cyp.release.companions.catalogue import parts, research_catalogue, sheets
from linked_cyp.release.companions.codes import values
from linked_cyp.release.companions.completeness import columns_of, completeness, when
from linked_cyp.release.companions.examples import Example, documented, examples
from linked_cyp.release.companions.pictures import LINES, pictures, sources_of
from linked_cyp.research import Release, open_release
from linked_cyp_tests.browser_support import DESKTOP, PHONE, browser, opened, overflows, violations
from linked_cyp_tests.small_warehouse import make_warehouse

# 60 children of the north, 20 of the south, 4 of the west; the plans of 2021 are of 6 children.
PLANS = """
CREATE TABLE curated.care_plan AS
    SELECT format('s{:012d}', i) AS person_id,
        CASE WHEN i < 60 THEN 'north' WHEN i < 80 THEN 'south' ELSE 'west' END AS local_authority,
        make_date(CASE WHEN i < 30 THEN 2024 WHEN i BETWEEN 60 AND 65 THEN 2021 ELSE 2025 END, 5, 1)
            AS plan_start_date,
        CASE WHEN i < 40 THEN DATE '2025-12-01' WHEN i = 60 THEN DATE '2025-12-02' END
            AS plan_end_date,
        CASE WHEN i % 2 = 0 THEN 'C2' ELSE 'V2' END AS legal_status_code,
        CASE WHEN i % 7 = 0 THEN 'review' WHEN i = 1 THEN 'rarely' ELSE 'start' END AS stage
    FROM range(84) r(i);
COMMENT ON TABLE curated.care_plan IS
    'A plan for a child in care. Never shared. Grain: one row per child and plan. Source: a guide,'
    ' curated.a_table_with_a_name_that_is_longer_than_a_phone_is_wide.';
INSERT INTO main.dictionary
    SELECT 'curated', 'care_plan', c.column_name, c.column_index, c.data_type,
        'What ' || c.column_name || ' means, and curated.another_table_with_a_name_like_a_sentence.'
            ' Source: a guide.', 'a guide',
        CASE c.column_name WHEN 'legal_status_code' THEN 'ssda903__episodes.LS; delivery.supplier'
            WHEN 'plan_start_date' THEN 'ssda903__episodes.DECOM' END
    FROM duckdb_columns() c WHERE table_name = 'care_plan';
INSERT INTO main.code SELECT 'curated', 'care_plan', 'legal_status_code', 'legal_status', c.*
    FROM (VALUES ('C2', 'Full care order', NULL, NULL), ('V2', 'Section 20', 2016, NULL)) AS c;
INSERT INTO provenance.column_lineage VALUES
    ('supplier', 'ssda903__episodes', 'LS',
     'raw', 'ssda903__episodes', 'legal_status_code', 'read'),
    ('raw', 'ssda903__episodes', 'legal_status_code',
     'pseudonymised', 'ssda903__episodes', 'legal_status_code', 'keep'),
    ('pseudonymised', 'ssda903__episodes', 'legal_status_code',
     'curated', 'care_plan', 'legal_status_code', 'care_plan'),
    ('curated', 'child', 'birth_month', 'curated', 'care_plan', 'stage', 'care_plan'),
    ('supplier', 'ssda903__header', 'DOB', 'curated', 'child', 'birth_month', 'child');
"""
TABLE = "curated.care_plan"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    settings, keys = make_warehouse(tmp_path_factory.mktemp("catalogue"))
    made = publish(settings, "alpha", keys=keys, now=dt.datetime(2026, 1, 2))
    path = made.path.with_name("with_plans.duckdb")
    shutil.copy(made.path, path)
    path.chmod(0o600)
    with duckdb.connect(str(path)) as con:
        con.execute(PLANS)
    with open_release(path) as opened_release:
        yield opened_release


@pytest.fixture(scope="module")
def page(release: Release) -> str:
    return research_catalogue(release)


@pytest.fixture(scope="module")
def tree(page: str) -> html.HtmlElement:
    return html.fromstring(page)


def test_every_table_and_variable_is_there_with_meaning_source_and_type(
    release: Release, tree: html.HtmlElement
) -> None:
    for table, columns in columns_of(release).items():
        section = tree.get_element_by_id(table)
        assert table in section.text_content()
        for column, kind in columns.items():
            entry = tree.get_element_by_id(f"{table}.{column}").text_content()
            assert column in entry
            assert kind in entry
    entry = tree.get_element_by_id(f"{TABLE}.legal_status_code").text_content()
    assert "What legal_status_code means," in entry
    assert "Defined by: a guide" in entry
    assert "ssda903__episodes.LS" in entry


def test_a_description_is_taken_apart() -> None:
    assert parts("A plan. Never shared. Grain: one row per plan. Source: a guide.") == (
        "A plan. Never shared.",
        "one row per plan",
        "a guide",
    )
    assert parts("Nothing else.") == ("Nothing else.", "", "")


def test_how_far_a_column_is_filled_by_year_and_authority(release: Release) -> None:
    found = completeness(release)[TABLE]
    # of 84 rows (85), 41 have an end (40)
    assert (found.everything.rows, found.everything.children) == (85, 85)
    assert found.everything.filled["plan_end_date"] == round(40 / 85, 2)
    assert found.when == "plan_start_date"
    assert found.years["2024"].filled["plan_end_date"] == 1.0
    assert found.years["2025"].filled["plan_end_date"] == round(10 / 50, 2)
    assert found.where == "the local authority that sent the record"
    assert found.authorities["north"].filled["plan_end_date"] == round(40 / 60, 2)


def test_a_share_of_few_is_not_told(release: Release) -> None:
    """One plan of the south has ended: that is one child."""
    assert completeness(release)[TABLE].authorities["south"].filled["plan_end_date"] is None


def test_few_children_are_a_group_nowhere(release: Release, page: str) -> None:
    found = completeness(release)[TABLE]
    assert not any(year.startswith("2021") for year in found.years)
    assert "west" not in found.authorities
    assert "west" not in page


def test_years_long_ago_are_one_group(release: Release) -> None:
    found = completeness(release)["curated.child"]
    assert found.when == "birth_month"
    # 40 children born in the months from January 2010 on: 12 in each year, 4 in the last
    assert set(found.years) <= {"2010", "2011", "2012", "2013"}
    assert "2013" not in found.years


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            {"person_id": "VARCHAR", "start_date": "DATE", "academic_year": "INTEGER"},
            "academic_year",
        ),
        ({"person_id": "VARCHAR", "start_date": "DATE", "end_date": "DATE"}, "start_date"),
        ({"person_id": "VARCHAR", "age": "INTEGER"}, ""),
    ],
)
def test_the_year_of_a_row(columns: dict[str, str], expected: str) -> None:
    assert when(columns) == expected


def test_a_code_links_to_what_it_means(tree: html.HtmlElement) -> None:
    entry = tree.get_element_by_id(f"{TABLE}.legal_status_code")
    assert "#codes-legal_status" in entry.xpath(".//a/@href")
    rows = tree.get_element_by_id("codes-legal_status").xpath(".//tbody/tr")
    assert [[cell.text for cell in row] for row in rows] == [
        ["C2", "Full care order", "all"],
        ["V2", "Section 20", "2016 to now"],
    ]


def test_a_word_that_few_children_have_is_not_listed(release: Release, page: str) -> None:
    assert values(release)[(TABLE, "stage")].words == ("review", "start")
    assert "rarely" not in page


def test_the_way_back_ends_at_the_supplier_or_at_another_table_of_the_release() -> None:
    def edge(upstream: str, downstream: str) -> Edge:
        return Edge(ColumnRef(*upstream.split(".")), ColumnRef(*downstream.split(".")), "how")

    edges = [
        edge("supplier.f__t.A", "raw.f__t.a"),
        edge("raw.f__t.a", "staging.s.a"),
        edge("staging.s.a", "curated.one.a"),
        edge("curated.one.a", "curated.two.b"),
        edge("reference.map.x", "curated.two.b"),
    ]
    both = ["curated.one", "curated.two"]
    assert sources_of(edges, "curated.one", ["a"], both) == {
        "a": [ColumnRef("supplier", "f__t", "A")]
    }
    assert sources_of(edges, "curated.two", ["b"], both) == {
        "b": [ColumnRef("curated", "one", "a"), ColumnRef("reference", "map", "x")]
    }
    # what is not released has no picture: the way goes on through it
    assert sources_of(edges, "curated.two", ["b"], ["curated.two"]) == {
        "b": [ColumnRef("reference", "map", "x"), ColumnRef("supplier", "f__t", "A")]
    }


def test_the_picture_names_fields_and_variables(release: Release) -> None:
    picture = pictures(release)[TABLE]
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", picture.svg)
    assert {"ssda903 · episodes", "LS", "curated.child", "birth_month"} <= set(texts)
    assert {"legal_status_code", "stage"} <= set(texts)
    assert picture.svg.count("<path") == 2
    assert picture.reads == ("curated.child",)


def test_a_picture_of_many_fields_shows_their_tables(release: Release, tmp_path: Path) -> None:
    path = tmp_path / "wide.duckdb"
    shutil.copy(str(release.query("FROM duckdb_databases()")["path"].drop_nulls()[0]), path)
    with duckdb.connect(str(path)) as con:
        con.execute(
            "INSERT INTO provenance.column_lineage SELECT 'supplier', 'ssda903__episodes',"
            f" 'FIELD_' || i, 'curated', 'care_plan', 'stage', 'm' FROM range({LINES}) r(i)"
        )
    with open_release(path) as wide:
        picture = pictures(wide)[TABLE]
    assert "FIELD_1" not in picture.svg
    assert ">episodes</text>" in picture.svg


def test_example_queries_are_those_of_the_pages_that_the_release_can_answer() -> None:
    tables = {"cohort.a": {"person_id": "VARCHAR"}, "curated.b": {"academic_year": "INTEGER"}}
    one = Example("One.", "SELECT 1 FROM cohort.a")
    other = Example("Other.", "SELECT 1 FROM cohort.a JOIN curated.absent USING (person_id)")
    found = examples(tables, [one, other])
    assert found["cohort.a"] == [one]
    assert "academic_year AS year" in found["curated.b"][0].sql


def test_the_cohorts_pages_are_examples() -> None:
    assert {"cohort.obesity", "cohort.child_death"} <= {t for e in documented() for t in e.tables}


def test_every_example_runs(release: Release) -> None:
    for sheet in sheets(release, []):
        for example in sheet.examples:
            assert release.query(example.sql).height > 0


def test_the_page_stands_alone_and_its_links_lead_somewhere(
    page: str, tree: html.HtmlElement
) -> None:
    ids = tree.xpath("//@id")
    assert len(ids) == len(set(ids))
    for link in tree.xpath("//a/@href"):
        if link.startswith("#"):
            assert link[1:] in ids
        else:
            assert re.fullmatch(
                r"\w+\.(html|hdruk\.json|openlineage\.json)|\.\./[\w-]+\.duckdb", link
            )
    assert not tree.xpath("//link | //img | //script[@src] | //iframe")


def test_only_its_own_script_may_run(page: str, tree: html.HtmlElement) -> None:
    (script,) = tree.xpath("//script/text()")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


@pytest.fixture(scope="module")
def started() -> Iterator[object]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def stored(page: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "catalogue.html"
    path.write_text(page, encoding="utf-8")
    return path


def test_search_finds_variables_by_name_and_meaning(started: object, stored: Path) -> None:
    with opened(started, stored) as tab:
        visible = ".variable:visible"
        everything = tab.locator(visible).count()
        tab.get_by_label("Search").fill("LEGAL status")
        tab.wait_for_function("document.getElementById('found').textContent")
        assert tab.locator(visible).count() == 1
        assert tab.locator("#found").inner_text() == "1 variable in 1 table"
        tab.get_by_label("Search").fill("zebra")
        tab.wait_for_function("document.getElementById('found').textContent.includes('Nothing')")
        assert tab.locator(visible).count() == 0
        tab.get_by_role("button", name="Clear").click()
        tab.wait_for_function("!document.getElementById('found').textContent")
        assert tab.locator(visible).count() == everything


def test_without_scripts_everything_is_there_but_the_search(started: object, stored: Path) -> None:
    with opened(started, stored, java_script_enabled=False) as tab:
        assert tab.locator(".variable:visible").count() == tab.locator(".variable").count() > 10
        assert not tab.get_by_label("Search").is_visible()


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_nobody_is_shut_out(started: object, stored: Path, width: int) -> None:
    with opened(started, stored, width) as tab:
        assert not overflows(tab)
        tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert violations(tab) == []
        assert not overflows(tab)
