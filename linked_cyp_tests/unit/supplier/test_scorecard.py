"""A supplier's scorecard: what is on it, what it is held against, and what is never on it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.expectations.suite import CheckOutcome
from linked_cyp.identity.keys import create_master_key
from linked_cyp.stores import provenance
from linked_cyp.stores.door import Stores
from linked_cyp.supplier.scorecard import cards, mends, page, write_scorecards
from linked_cyp.supplier.scorecard_facts import Delivered, deliveries, refusals
from linked_cyp_tests.browser_support import DESKTOP, PHONE, browser, opened, overflows, violations
from linked_cyp_tests.deliveries_support import PUPIL, column, contract, land, take
from linked_cyp_tests.small_warehouse import settings_of

UPN = column("upn", linkage_role="upn")
NEEDED = column("need_code", critical=True)
SCHOOL = column("school_urn")
TOY = contract(replace(PUPIL, columns=(*PUPIL.columns, UPN, NEEDED, SCHOOL)), share=0.9)
CONTRACTS = {"toy": TOY}
HEADER = "PUPIL_ID,SURNAME,BIRTH_DATE,SESSIONS,UPN,NEED_CODE,SCHOOL_URN"


def pupils(rows: int, *, upns: int, needs: int, broken: int = 0) -> str:
    """A file of so many rows, of which so many have a UPN and a need; the last have no date."""
    lines = [
        f"CHILD{n:05},Secretname{n},{'' if n >= rows - broken else '02/03/2011'},7,"
        f"{f'U{n:012}' if n < upns else ''},{'SEMH' if n < needs else ''},{100001 + n % 2}"
        for n in range(rows)
    ]
    return "\n".join([HEADER, *lines]) + "\n"


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Four suppliers of two years; brent fell behind in 2025, has seven rows set aside and one
    version refused; camden sent nothing that could be taken."""
    home = tmp_path_factory.mktemp("home")
    settings = settings_of(home)
    create_master_key(settings.key_file)
    made = Stores(settings)
    with made.connect(identifiable="rw") as con:
        for supplier in ("brent", "barnet", "ealing", "harrow"):
            before = pupils(400, upns=380, needs=390)
            take(
                con,
                TOY,
                land(home / "landing", {"pupil.csv": before}, supplier=supplier, name="2024"),
            )
            now = pupils(400, upns=380, needs=390)
            if supplier == "brent":
                now = pupils(400, upns=300, needs=387, broken=7)
            outcome = take(
                con, TOY, land(home / "landing", {"pupil.csv": now}, supplier=supplier, name="2025")
            )
            verdict = CheckOutcome(
                "sessions__range",
                supplier != "brent",
                "warn",
                "",
                {"element_count": 400, "unexpected_count": 3},
            )
            provenance.record_checks(
                con,
                "identifiable",
                {("raw", "toy", "pupil"): [verdict]},
                run_id="r",
                delivery_id=outcome.delivery_id,
            )
        take(con, TOY, land(home / "landing", {"x.csv": "nothing,known\n1,2\n"}, supplier="camden"))
    return made


@pytest.fixture(scope="module")
def everything(stores):
    with stores.connect(identifiable="ro") as con:
        return deliveries(con, CONTRACTS), refusals(con)


@pytest.fixture(scope="module")
def brent(everything):
    (card,) = cards("brent", CONTRACTS, everything[0])
    return card


def test_every_fact_is_a_part_of_a_whole_of_the_ledger(brent):
    facts = {name: (parts[()].good, parts[()].whole) for name, parts in brent.newest.facts.items()}
    assert facts["taken"] == (393, 400)
    assert facts["link_keys"] == (300, 400)
    assert facts["critical"] == (387, 400)
    assert facts["schools"] == (300, 393)  # of the rows that were taken


def test_a_share_is_held_against_the_period_before_and_the_median_of_the_others(brent):
    line = brent.line("link_keys", ("upn",))
    assert (line.share, line.before, line.others) == (0.75, 0.95, 0.95)
    assert line.is_low
    assert not brent.line("critical", ("pupil", "need_code")).is_low


def test_what_nobody_delivers_this_time_is_nothing_to_mend():
    made = [Delivered("brent", "toy", "2024", 0, 400, 0)]
    made[0].add("critical", ("pupil", "need_code"), 400, 400)
    for supplier in ("brent", "barnet", "ealing", "harrow"):
        made.insert(0, Delivered(supplier, "toy", "2025", 0, 400, 0))
        made[0].add("critical", ("pupil", "need_code"), 0, 400)
    (card,) = cards("brent", CONTRACTS, made)
    line = card.line("critical", ("pupil", "need_code"))
    assert (line.share, line.before, line.others) == (0.0, 1.0, 0.0)
    assert mends([card]) == []


def test_fewer_than_three_others_are_not_told(everything):
    two = [d for d in everything[0] if d.supplier in ("brent", "barnet", "ealing")]
    (card,) = cards("brent", CONTRACTS, two)
    assert card.line("link_keys").others is None
    assert card.others_days is None


def test_what_weighs_most_is_to_be_mended_first(brent):
    told = [line.told for _, line in mends([brent])]
    assert told[0].startswith("Unique pupil number: 75 % filled, 95 % in the period before")
    assert told[1].startswith("under 10 rows: BIRTH_DATE is blank")


def test_no_small_number_and_no_value_of_a_record_is_on_the_page(everything):
    text = page("brent", CONTRACTS, *everything)
    words = re.sub(r"<style>.*?</style>|<[^>]*>", " ", text, flags=re.S)
    assert not re.search(r"CHILD0|Secretname|SEMH|U0000", words)
    # seven rows set aside and thirteen blank needs: the one is suppressed, the other is rounded
    assert not re.search(r"\b(7|13|393|387)\b", words)
    assert "under 10" in words


def test_what_would_give_a_small_number_away_beside_the_whole_is_hidden():
    made = Delivered("brent", "toy", "2025", 0, 400, 0)
    for column_name, bad in (("pupil_id", 100), ("surname", 1), ("need_code", 1)):
        made.add("critical", ("pupil", column_name), 400 - bad, 400)
    (card,) = cards("brent", CONTRACTS, [made])
    lines = card.lines("critical")  # 102 in all, shown as 100
    assert [line.rows for line in lines] == ["some", "under 10", "under 10"]
    assert lines[0].share is None


def test_a_period_of_which_nothing_counts_is_told_first(everything):
    text = page("camden", CONTRACTS, *everything)
    assert text.index("Of these periods nothing counts") < text.index("How to read this")
    assert "Toy return, 2025: refused 1 time" in text


def test_a_page_for_each_supplier_or_for_the_one_asked_for(stores):
    written = write_scorecards(stores, CONTRACTS)
    assert sorted(written) == ["barnet", "brent", "camden", "ealing", "harrow"]
    assert written["brent"].stat().st_mode & 0o077 == 0
    assert list(write_scorecards(stores, CONTRACTS, "ealing")) == ["ealing"]
    with pytest.raises(LinkedCypError, match="nowhere delivered nothing"):
        write_scorecards(stores, CONTRACTS, "nowhere")


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_page_fits_and_stands_in_nobodys_way(stores, width):
    path = write_scorecards(stores, CONTRACTS, "brent")["brent"]
    with browser() as started, opened(started, path, width) as shown:
        shown.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert not overflows(shown)
        assert violations(shown) == []
