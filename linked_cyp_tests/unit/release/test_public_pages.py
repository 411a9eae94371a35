"""The public pages say what the contracts and the release say, so that everybody can read it."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from lxml import html

from linked_cyp.contracts.house import is_about_persons
from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.release import publish
from linked_cyp.release.companions import COMPANIONS, Setting, setting_of
from linked_cyp.release.companions.public import CHILDREN, FAMILIES, treatments
from linked_cyp.research import open_release
from linked_cyp_tests.browser_support import DESKTOP, browser, opened, overflows, violations
from linked_cyp_tests.reading_age import ages, sentences
from linked_cyp_tests.small_warehouse import make_warehouse

PAGES = (CHILDREN, FAMILIES)
CONTRACTS = load_contracts(PROJECT_ROOT / "data_contracts")
ABOUT_PEOPLE = {feed: c for feed, c in CONTRACTS.items() if is_about_persons(c)}
PERIODS = {
    "financial_year": "2025",
    "academic_year": "2025",
    "calendar_year": "2025",
    "academic_term": "2024-autumn",
    "month": "2025-03",
    "snapshot": "2025-03-31",
}
# The narrowest screen that WCAG asks for (1.4.10 Reflow).
NARROW = 320


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release whose record tells of every feed: each delivered, and its children counted."""
    settings, keys = make_warehouse(tmp_path_factory.mktemp("public"))
    made = publish(settings, "alpha", keys=keys, now=dt.datetime(2026, 1, 2))
    path = made.path.with_name("full.duckdb")
    shutil.copy(made.path, path)
    with duckdb.connect(str(path)) as con:
        con.execute("DELETE FROM provenance.delivery; DELETE FROM link_quality")
        for number, contract in enumerate(ABOUT_PEOPLE.values()):
            supplier = "north_moor" if contract.supplier_kind == "local_authority" else "icb"
            period = PERIODS[contract.period_kind]
            _deliver(con, contract.feed, supplier, period)
            counted = None if contract.feed == "ncmp" else 100 + 5 * number
            con.execute(
                "INSERT INTO link_quality (feed, breakdown, category, persons)"
                " VALUES (?, 'all', 'all', ?)",
                [contract.feed, counted],
            )
        con.execute(
            "INSERT INTO provenance.opt_out (opt_out, is_applied, because, list_date,"
            " records_left_out) VALUES ('local_objection', true, NULL, DATE '2025-12-20', 35),"
            " ('national_data_opt_out', false, 'Approved as an exception.', NULL, NULL),"
            " ('type1_opt_out', true, NULL, DATE '2025-12-21', NULL)"
        )
    return path


@pytest.fixture(scope="module")
def setting() -> Setting:
    return setting_of(Settings.from_environment(), CONTRACTS)


@pytest.fixture(scope="module")
def pages(released: Path, setting: Setting) -> dict[str, str]:
    return _pages(released, setting)


@pytest.fixture(scope="module")
def folder(pages: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    for name, page in pages.items():
        (place / name).write_text(page, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


def test_they_tell_of_every_feed_about_people_and_of_no_other(
    pages: dict[str, str], setting: Setting
) -> None:
    for page in pages.values():
        text = _text(page)
        for contract in ABOUT_PEOPLE.values():
            assert setting.words.feed(contract).name in text
    for feed in set(CONTRACTS) - set(ABOUT_PEOPLE):
        assert CONTRACTS[feed].title not in _text(pages[FAMILIES])


def test_families_read_what_every_table_holds(pages: dict[str, str], setting: Setting) -> None:
    text = _text(pages[FAMILIES])
    phrases = [p for c in ABOUT_PEOPLE.values() for p in setting.words.feed(c).held(c.tables)]
    assert len(phrases) > 80
    assert [phrase for phrase in phrases if phrase not in text] == []


def test_what_never_came_is_not_said_to_be_held(released: Path, setting: Setting) -> None:
    pages = _pages(
        _changed(released, "DELETE FROM provenance.delivery WHERE feed = 'gp_olids'"), setting
    )
    assert "but we do not have them now: GP records." in _text(pages[FAMILIES])
    assert "We may get these too: GP records." in _text(pages[CHILDREN])
    assert "which practices you were a patient of" not in _text(pages[FAMILIES])


def test_without_any_delivery_they_hold_nothing(released: Path, setting: Setting) -> None:
    pages = _pages(_changed(released, "DELETE FROM provenance.delivery"), setting)
    assert "We do not hold any records yet." in _text(pages[FAMILIES])
    assert "We do not hold any lists yet." in _text(pages[CHILDREN])


def test_counts_are_rounded_and_small_ones_are_not_shown(pages: dict[str, str]) -> None:
    text = _text(pages[FAMILIES])
    counts = re.findall(r"There are ([\w ,]+) children in it", text)
    assert len(counts) == len(ABOUT_PEOPLE)
    assert counts.count("fewer than 10") == 1
    shown = [int(c.replace(",", "")) for c in counts if c != "fewer than 10"]
    assert all(c % 5 == 0 and c >= 10 for c in shown)
    assert "It took out 35 records." in text
    assert "It took out fewer than 10 records." in text


def test_how_many_children_is_told_of_a_release_of_everybody_only(
    released: Path, pages: dict[str, str], setting: Setting
) -> None:
    assert "There are 40 children in our newest lists." in _text(pages[CHILDREN])
    narrow = _changed(released, "UPDATE provenance.release SET cohort = 'Children in care.'")
    assert "children in our newest lists" not in _text(_pages(narrow, setting)[CHILDREN])


def test_the_newest_period_is_the_last_in_time(released: Path, setting: Setting) -> None:
    con_sql = "INSERT INTO provenance.delivery (feed, supplier, period, status) VALUES "
    later = _changed(
        released,
        con_sql + "('school_census', 'x', '2025-summer', 'accepted'),"
        "('school_census', 'x', '2025-spring', 'accepted'),"
        "('school_census', 'x', '2025-autumn', 'rejected')",
    )
    text = _text(_pages(later, setting)[FAMILIES])
    assert "The newest is from the summer term of 2025." in text
    assert "The newest is from March 2025." in text
    assert "The newest is from 31 March 2025." in text
    assert "The newest is from the year to March 2025." in text


def test_what_becomes_of_identifiers_is_read_off_the_contracts() -> None:
    told = dict(treatments(ABOUT_PEOPLE))
    assert told["Your name"] == "Taken out"
    assert told["Your date of birth"] == "Only the month and the year are kept"
    assert told["Your postcode"].startswith("Swapped for a small area")
    assert told["Your sex and your ethnic group"] == "Kept"
    # one contract that takes less away is enough to change what the page says
    changed = _with_treatment(ABOUT_PEOPLE["school_census"], "postcode", "keep")
    assert dict(treatments({**ABOUT_PEOPLE, "school_census": changed}))["Your postcode"] == "Kept"


def test_an_opt_out_that_was_not_used_is_owned_up_to(pages: dict[str, str]) -> None:
    text = _text(pages[FAMILIES])
    assert "This list was not used for the newest records." in text
    assert "Approved as an exception." in text
    assert text.count("This list was not used") == 1
    assert "We did not use this list last time." in _text(pages[CHILDREN])


def test_what_a_way_to_say_no_covers_comes_from_the_contracts(
    released: Path, setting: Setting
) -> None:
    census = replace(CONTRACTS["school_census"], opt_outs=("national_data_opt_out",))
    everywhere = {
        feed: replace(c, opt_outs=("local_objection",)) for feed, c in CONTRACTS.items()
    } | {"school_census": census}
    text = _text(_pages(released, replace(setting, contracts=everywhere))[FAMILIES])
    assert "It takes you out of all but this: School records" in text
    assert "It takes you out of this: School records" in text
    assert "Tell your GP" not in text


def test_the_register_lists_every_project_and_says_when_it_ended(
    released: Path, setting: Setting
) -> None:
    demo = setting.projects["demo"]
    old = replace(
        demo, name="old", title="Teeth", purpose="Why teeth fall out.", expiry=dt.date(2025, 3, 31)
    )
    register = replace(setting, projects={"demo": demo, "old": old})
    pages = _pages(released, register)
    text = _text(pages[FAMILIES])
    for project in (demo, old):
        assert project.title in text
        assert project.approver in text
    assert "Ended on 31 March 2025." in text
    assert "May use the records until 31 March 2035." in text
    assert "Why teeth fall out." in _text(pages[CHILDREN])
    assert "Records for it were last made" not in text  # this release is of another project


def test_the_releases_own_project_says_when_it_got_records(
    released: Path, setting: Setting
) -> None:
    alpha = replace(setting.projects["demo"], name="alpha")
    text = _text(_pages(released, replace(setting, projects={"alpha": alpha}))[FAMILIES])
    assert "Records for it were last made on 2 January 2026." in text


@pytest.mark.parametrize("name", PAGES)
def test_they_say_who_is_responsible_and_how_to_object_and_complain(
    name: str, pages: dict[str, str], setting: Setting
) -> None:
    text = _text(pages[name])
    organisation = setting.organisation
    assert organisation.contact in text
    assert organisation.objection["contact"] in text
    assert "ico.org.uk" in text
    said = organisation.for_children if name == CHILDREN else vars(organisation)
    assert said["retention"] in text


@pytest.mark.parametrize("name", PAGES)
def test_they_load_nothing_and_need_no_script(name: str, pages: dict[str, str]) -> None:
    tree = html.fromstring(pages[name])
    assert not tree.xpath("//script | //img | //link | //iframe | //@onclick")
    links = {str(link) for link in tree.xpath("//a/@href")}
    assert {link for link in links if not link.startswith(("#", "mailto:", "https://"))} <= set(
        COMPANIONS
    )
    targets = {str(target) for target in tree.xpath("//@id")}
    assert {link[1:] for link in links if link.startswith("#")} <= targets


def test_the_same_release_gives_the_same_pages(
    released: Path, pages: dict[str, str], setting: Setting
) -> None:
    assert _pages(released, setting) == pages


def test_a_child_of_nine_can_read_the_childrens_page(pages: dict[str, str]) -> None:
    found = sentences(pages[CHILDREN])
    read = ages(found)
    assert read["Flesch-Kincaid"] <= 9, read
    assert read["Spache"] <= 9, read
    assert max(found, key=lambda s: len(s.split())).count(" ") < 16


def test_a_child_of_eleven_can_read_the_families_page(pages: dict[str, str]) -> None:
    found = sentences(pages[FAMILIES])
    read = ages(found)
    assert read["Flesch-Kincaid"] <= 11, read
    assert read["fog"] <= 12, read
    assert max(found, key=lambda s: len(s.split())).count(" ") < 25


def test_the_measure_knows_official_language() -> None:
    official = ABOUT_PEOPLE["pds_demographics"].legal_basis
    assert ages([official])["Flesch-Kincaid"] > 16


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_on_a_phone(chromium: Any, folder: Path, name: str) -> None:
    with opened(chromium, folder / name, NARROW) as page:
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert violations(page) == []
        assert not overflows(page)


def test_axe_finds_nothing_on_a_desktop(chromium: Any, folder: Path) -> None:
    with opened(chromium, folder / FAMILIES, DESKTOP) as page:
        assert violations(page) == []
        assert not overflows(page)


def test_axe_would_find_what_is_wrong(chromium: Any, folder: Path, tmp_path: Path) -> None:
    page = (folder / CHILDREN).read_text()
    worse = page.replace("--ink: #1a1a1a", "--ink: #bbb").replace("<html lang", "<html class")
    (tmp_path / "worse.html").write_text(worse)
    with opened(chromium, tmp_path / "worse.html") as tab:
        found = {line.split(":")[0] for line in violations(tab)}
    assert {"color-contrast", "html-has-lang"} <= found


def test_by_keyboard_the_content_is_one_step_away(chromium: Any, folder: Path) -> None:
    with opened(chromium, folder / CHILDREN, NARROW) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('href')") == "#content"
        assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0


def test_print_shows_all_of_it(chromium: Any, folder: Path) -> None:
    with opened(chromium, folder / FAMILIES) as page:
        exact = page.locator("details dd").first
        assert not exact.is_visible()
        page.emulate_media(media="print")
        assert exact.is_visible()
        assert not page.locator("nav").is_visible()
        assert page.evaluate("getComputedStyle(document.querySelector('header')).color") == (
            page.evaluate("getComputedStyle(document.body).color")
        )


def _pages(path: Path, setting: Setting) -> dict[str, str]:
    with open_release(path) as release:
        return {name: COMPANIONS[name](release, setting) for name in PAGES}


def _changed(path: Path, sql: str) -> Path:
    """A copy of the release with its record changed."""
    copy = path.with_name("changed.duckdb")
    shutil.copy(path, copy)
    with duckdb.connect(str(copy)) as con:
        con.execute(sql)
    return copy


def _deliver(con: duckdb.DuckDBPyConnection, feed: str, supplier: str, period: str) -> None:
    con.execute(
        "INSERT INTO provenance.delivery (feed, supplier, period, status)"
        " VALUES (?, ?, ?, 'accepted')",
        [feed, supplier, period],
    )


def _text(page: str) -> str:
    return " ".join(html.fromstring(page).text_content().split())


def _with_treatment(contract: Contract, role: str, treatment: str) -> Contract:
    """The contract, with every column of a linkage role treated otherwise."""
    return replace(
        contract,
        tables={
            name: replace(
                table,
                columns=tuple(
                    replace(c, pseudonymisation=treatment) if c.linkage_role == role else c
                    for c in table.columns
                ),
            )
            for name, table in contract.tables.items()
        },
    )
