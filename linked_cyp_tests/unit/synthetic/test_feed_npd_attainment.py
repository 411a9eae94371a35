"""Pupil attainment: three forms of one download, and the traps of unquoted text."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from linked_cyp.linkage.records.identities import read_identities
from linked_cyp.synthetic.attainment import build_attainment
from linked_cyp.synthetic.writers import npd_attainment
from linked_cyp.synthetic.writers.delivery import write_delivery
from linked_cyp_tests.contracts.common import contracts
from linked_cyp_tests.deliveries_support import land, memory_store, quarantined, take
from linked_cyp_tests.feed_support import KEYS, Received, feed_contract, receive, small_world

FEED = "npd_attainment"
TABLES = {"eyfsp", "phonics", "ks1", "mtc", "ks2", "ks4", "pupil_premium"}


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> Received:
    return receive(tmp_path_factory.mktemp(FEED), small_world(), [npd_attainment.deliveries], FEED)


def test_every_form_of_the_download_is_read(received: Received) -> None:
    assert [o.status for o in received.outcomes] == ["accepted"] * 3
    assert [len(o.files) for o in received.outcomes] == [1, 7, 7]  # zip, tab, csv
    for sent, written, outcome in zip(
        received.sent, received.written, received.outcomes, strict=True
    ):
        assert set(outcome.tables) == set(sent.tables) == TABLES
        assert written.rows == sum(t.received for t in outcome.tables.values())
        for name, counts in outcome.tables.items():
            assert counts.accepted + counts.quarantined == counts.received, name
        assert all(f.rule is None and not f.undeclared for f in outcome.files)
    planted = dict(
        pl.concat([w.faults for w in received.written])["fault"].value_counts().iter_rows()
    )
    assert received.quarantined() == planted["missing_key"] > 0
    cells = sum(o.table("pupil_premium").cells_blanked for o in received.outcomes)
    assert cells == planted["unparseable_date"] > 0


def test_the_forms_are_those_the_department_offers(tmp_path: Path) -> None:
    world = small_world()
    for make in npd_attainment.deliveries(world):
        write_delivery(tmp_path, feed_contract(FEED), make(), np.random.default_rng(1))
    (packed,) = tmp_path.glob("ashmere/*/*/*.zip")
    assert packed.name == "npd_results.zip"
    names = set(zipfile.ZipFile(packed).namelist())
    assert names == {p.name for p in tmp_path.glob("carrowdale/*/*/*.csv")}
    (tab,) = tmp_path.glob("brackenford/*/*/KS2.tab")
    lines = tab.read_text("utf-8-sig").splitlines()
    assert all('"' not in line and line.count("\t") == lines[0].count("\t") for line in lines)


def test_a_comma_in_a_name_costs_its_own_row_only(tmp_path: Path) -> None:
    header = "ACADYR,UPN,Surname,Forename,Sex,DOB,FormMark"
    lines = (
        "2024/2025,B801200005001,Grün,Una,F,04/03/2016,25",
        "2024/2025,B801200005002,Rot,Ada, the second,F,05/03/2016,11",
        "2024/2025,B801200005003,Blau,Ida,F,06/03/2016,12",
    )
    folder = land(
        tmp_path / "landing",
        {"MTC.csv": "\r\n".join((header, *lines))},
        feed=FEED,
    )
    con = memory_store()
    contract = feed_contract(FEED)
    outcome = take(con, contract, folder)
    # one of three rows is more than a delivery may lose
    assert outcome.status == "rejected"
    assert ("mtc", 2, "row", None, "row__structure", 1) in quarantined(con)


def test_tab_keeps_the_comma(tmp_path: Path) -> None:
    rows = (
        ("ACADYR", "UPN", "Surname", "Forename", "Sex", "DOB", "FormMark"),
        ("2024/2025", "B801200005002", "Rot, the elder", "Ada", "F", "05/03/2016", "11"),
    )
    folder = land(
        tmp_path / "landing", {"MTC.tab": "\n".join("\t".join(r) for r in rows)}, feed=FEED
    )
    con = memory_store()
    assert take(con, feed_contract(FEED), folder).status == "accepted"
    found = con.execute(
        "SELECT surname, birth_date::VARCHAR, check_mark FROM identifiable.raw.npd_attainment__mtc"
    ).fetchall()
    assert found == [("Rot, the elder", "2016-03-05", 11)]


def test_results_hang_together(received: Received) -> None:
    made = small_world().part(build_attainment)
    taken = made.phonics.filter(pl.col("mark").is_not_null())
    assert ((taken["mark"] >= 32) == (taken["outcome"] == "WA")).all()
    assert made.phonics["mark"].drop_nulls().is_between(0, 40).all()
    good = made.eyfsp["goals"].str.slice(0, 12) == "2" * 12
    assert (good == made.eyfsp["good"]).all()
    assert 0.5 < made.eyfsp["good"].mean() < 0.85  # type: ignore[operator]
    both = made.ks2.filter(pl.col("reading").is_not_null(), pl.col("maths").is_not_null())
    assert both.select(pl.corr("reading", "maths")).item() > 0.4
    assert both["reading"].is_between(80, 120).all()
    premium = set(made.premium["person_id"])
    poorer = made.ks4.with_columns(poor=pl.col("person_id").is_in(list(premium)))
    means = dict(poorer.group_by("poor").agg(pl.col("attainment_8").mean()).iter_rows())
    assert means[True] < means[False]
    assert set(made.ks1["academic_year"]) == {2023}  # the last statutory year


def test_pupils_are_identities_of_the_linkage(received: Received) -> None:
    with read_identities(received.con, contracts(), KEYS) as found:
        people = pl.concat(list(found.batches()), how="vertical_relaxed")
    pupils = {
        person
        for sent in received.sent
        for frame in sent.tables.values()
        for person in frame["_person_id"].to_list()
    }
    # one person has one identity in each authority, unless a school got the number wrong
    assert 0.95 * len(pupils) < people.height < 1.2 * len(pupils)
    for column in ("upn", "surname", "forename", "birth_date", "sex"):
        assert people[column].null_count() < 0.05 * people.height, column


def test_no_sign_of_adoption_and_no_identifier_goes_on(received: Received) -> None:
    premium = received.rows("pseudonymised", "npd_attainment__pupil_premium")
    assert "looked_after_premium_count" in premium.columns
    assert not [c for c in premium.columns if "adopt" in c]
    for table in TABLES:
        columns = set(received.rows("pseudonymised", f"npd_attainment__{table}").columns)
        assert "birth_month" in columns
        gone = {"upn", "surname", "forename", "birth_date", "pupil_matching_reference", "pupil_id"}
        assert not columns & gone
