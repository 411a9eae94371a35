"""The data-quality report: what the release's records say, and no more."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from lxml import html

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.expectations import contract_rules, ledger_rules, pseudonymised_rules
from linked_cyp.expectations.rules import SUBJECTS, subject
from linked_cyp.release import publish
from linked_cyp.release.companions.data_quality import data_quality_report
from linked_cyp.release.companions.quality import Sum, changes, deliveries, subject_of, verdicts
from linked_cyp.research import Release, open_release
from linked_cyp_tests.browser_support import DESKTOP, PHONE, browser, opened, overflows, violations
from linked_cyp_tests.small_warehouse import change, make_warehouse

CONTRACTS = load_contracts(PROJECT_ROOT / "data_contracts")
RECORDS = """
DELETE FROM provenance.delivery; DELETE FROM provenance.check_result;
INSERT INTO provenance.delivery VALUES
    ('b.2024.a', 'brent', 'ssda903', '2024', 2024, 'accepted', 400, 395, NULL),
    ('h.2024.a', 'harrow', 'ssda903', '2024', 2024, 'accepted', 200, 150, 50),
    ('b.2023.a', 'brent', 'ssda903', '2023', 2023, 'superseded', 300, 300, 0),
    ('b.2025.a', 'brent', 'cin_census', '2025', 2025, 'rejected', 90, 0, 90);
INSERT INTO provenance.check_result VALUES
    ('raw/ssda903/header', 'b.2024.a', 'upn__format', 'warn', false, '{"unexpected_count": 15}',
     NULL),
    ('raw/ssda903/header', 'h.2024.a', 'upn__format', 'warn', false, '{"unexpected_count": null}',
     NULL),
    ('raw/ssda903/header', 'b.2024.a', 'child_id__required', 'error', true, '{}', NULL),
    ('pseudonymised/ssda903/header', 'b.2024.a', 'child_id__required', 'error', true, '{}', NULL),
    ('raw/ssda903/episodes', 'b.2024.a', 'rule_903_101', 'warn', false, '{"unexpected_count": 20}',
     NULL),
    ('raw/ssda903/episodes', 'h.2024.a', 'rule_903_101', 'warn', true, '{"unexpected_count": 0}',
     NULL),
    ('raw/ssda903/header', 'b.2023.a', 'upn__format', 'warn', false, '{"unexpected_count": 300}',
     NULL),
    ('linkage/bridge', NULL, 'record_key__unique', 'error', true, '{}', NULL),
    ('dbt', NULL, 'periods_do_not_overlap', 'warn', false, '{"failures": 10}', NULL);
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quality")


@pytest.fixture(scope="module")
def release(home: Path) -> Iterator[Release]:
    """A second release, with a few records of deliveries and checks that are easily added up."""
    settings, keys = make_warehouse(home)
    publish(settings, "alpha", keys=keys, now=dt.datetime(2026, 1, 2))
    change(settings, "DELETE FROM warehouse.cohort.admission WHERE nights = 1")
    made = publish(settings, "alpha", keys=keys, now=dt.datetime(2026, 2, 2))
    path = made.path.with_name("with_records.duckdb")
    shutil.copy(made.path, path)
    path.chmod(0o600)
    with duckdb.connect(str(path)) as con:
        con.execute(RECORDS)
        con.execute(
            "INSERT INTO provenance.contract (feed, title)"
            " VALUES ('ssda903', 'Looked-after children return')"
        )
    with open_release(path) as opened_release:
        yield opened_release


@pytest.fixture(scope="module")
def page(release: Release) -> str:
    return data_quality_report(release, CONTRACTS)


@pytest.fixture(scope="module")
def tree(page: str) -> html.HtmlElement:
    return html.fromstring(page)


def test_a_checks_name_tells_its_subject() -> None:
    """Names are all that a release keeps; they tell what the rules themselves say."""
    rules = [
        rule
        for contract in CONTRACTS.values()
        for table in contract.tables.values()
        for rule in (
            *ledger_rules("", table.name, 0.1),
            *contract_rules(table, 2025, rows=0),
            *pseudonymised_rules(table, rows=0),
        )
    ]
    assert {rule.name for rule in rules if subject_of(rule.name) != subject(rule)} == set()
    assert {subject_of(rule.name) for rule in rules} == set(SUBJECTS)
    assert subject_of("rule_903_101") == "dfe"
    assert subject_of("something else") == "other"


def test_rows_are_those_of_accepted_deliveries(release: Release) -> None:
    cin, ssda = deliveries(release, {"ssda903": "Looked-after children return"})
    assert (cin.statuses, str(cin.received)) == ({"rejected": 1}, "0")
    assert ssda.statuses == {"accepted": 2, "superseded": 1}
    assert ssda.suppliers == {"brent", "harrow"}
    assert ssda.years == {2024: 2}
    assert (str(ssda.received), str(ssda.accepted), str(ssda.quarantined)) == ("600", "545", "50+")


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ([], "0"),
        ([10, 1200], "1,210"),
        ([10, None], "10+"),
        ([None], "under 10"),
        ([None, None], "<10 each"),
    ],
)
def test_a_sum_never_hides_that_something_was_too_small(
    counts: list[int | None], shown: str
) -> None:
    total = Sum()
    for count in counts:
        total.add(count)
    assert str(total) == shown


def test_checks_count_once_and_only_those_of_what_is_in_the_release(release: Release) -> None:
    judged = verdicts(release, CONTRACTS)
    tallies = {name: (t.checks, t.failed) for name, t in judged.by_subject["ssda903"].items()}
    # the same rule on the raw and on the pseudonymised table is one; 2023 was superseded
    assert tallies == {"formats": (2, 2), "required": (1, 0), "dfe": (2, 1)}
    assert {name: (t.checks, t.failed) for name, t in judged.by_step.items()} == {
        "dbt": (1, 1),
        "linkage": (1, 0),
    }
    assert (judged.total.checks, judged.total.failed) == (7, 4)
    (broken,) = judged.breaches
    assert (broken.check, broken.deliveries, broken.checked) == ("upn__format", 2, 2)
    assert str(broken.rows) == "15+"


def test_a_published_rule_is_told_in_its_own_words(
    release: Release, tree: html.HtmlElement
) -> None:
    (rule,) = verdicts(release, CONTRACTS).dfe_rules
    assert (rule.code, rule.deliveries, rule.checked, rule.rows.count) == ("101", 1, 2, 20)
    assert rule.text
    (row,) = [r for r in tree.xpath("//tr") if r.xpath("./th[text()='101']")]
    assert row.xpath("./td/text()") == [rule.text, "20", "1", "2"]


def test_what_came_and_went_is_told(release: Release, tree: html.HtmlElement) -> None:
    (row,) = changes(release).to_dicts()
    assert row["table"] == "cohort.admission"
    # five children with one night went, which is too few to tell
    assert (row["persons_removed"], row["is_small"]) == (None, True)
    (cells,) = tree.xpath("//h2[@id='changes']/following-sibling::div//tr[td]")
    assert [cell.text for cell in cells] == [
        *("cohort.admission", "0", "under 10", "0", "under 10", "0", "0")
    ]


def test_a_first_release_has_no_changes(release: Release, home: Path) -> None:
    (path,) = home.glob(f"releases/alpha/{release.about['previous_release_id']}/data_quality.html")
    assert "This is the project's first release." in path.read_text(encoding="utf-8")


def test_known_problems_and_linkage_are_those_of_the_release(
    release: Release, tree: html.HtmlElement
) -> None:
    text = tree.text_content()
    for problem in release.known_problems()["problem"]:
        assert problem in text
    cells = tree.xpath("//div[@aria-label='Linkage, all children']//tr[td]")
    assert len(cells) == release.link_quality().filter(breakdown="all").height == 2


def test_refused_deliveries_stand_out(tree: html.HtmlElement) -> None:
    (cell,) = tree.xpath("//div[@aria-label='Each delivery']//td[@class='failed']")
    assert cell.text == "rejected"
    assert cell.getparent().getparent()[0] is cell.getparent()


def test_the_page_loads_and_runs_nothing(page: str, tree: html.HtmlElement) -> None:
    assert "script-src 'none'" in page
    assert not tree.xpath("//script | //link | //img | //iframe")
    ids = tree.xpath("//@id")
    assert len(ids) == len(set(ids))
    assert {a[1:] for a in tree.xpath("//a/@href") if a.startswith("#")} <= set(ids)


def test_nobody_is_shut_out(page: str, tmp_path: Path) -> None:
    path = tmp_path / "data_quality.html"
    path.write_text(page, encoding="utf-8")
    with browser() as started:
        for width in (PHONE, DESKTOP):
            with opened(started, path, width) as tab:
                tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
                assert violations(tab) == []
                assert not overflows(tab)
