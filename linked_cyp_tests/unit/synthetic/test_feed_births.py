"""Births: the register, the notification and maternity records, and nothing of the mother."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from linked_cyp.ingest import ledger
from linked_cyp.synthetic.births import build_births
from linked_cyp.synthetic.writers import births
from linked_cyp_tests.deliveries_support import land, memory_store, quarantined, rows, take
from linked_cyp_tests.feed_support import Received, feed_contract, receive, small_world

FEEDS = ("births_registration", "birth_notification", "msds")


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Received]:
    world = small_world()
    return {
        feed: receive(tmp_path_factory.mktemp(feed), world, [births.deliveries], feed)
        for feed in FEEDS
    }


@pytest.mark.parametrize("feed", FEEDS)
def test_what_is_sent_is_accepted_or_set_aside(received: dict[str, Received], feed: str) -> None:
    got = received[feed]
    assert [o.status for o in got.outcomes] == ["accepted"]
    for sent, written, outcome in zip(got.sent, got.written, got.outcomes, strict=True):
        assert set(outcome.tables) == set(sent.tables)
        assert written.rows == sum(t.received for t in outcome.tables.values())
        assert all(t.accepted + t.quarantined == t.received for t in outcome.tables.values())
        assert all(f.rule is None and not f.undeclared for f in outcome.files)


def test_spoiled_rows_are_set_aside(received: dict[str, Received]) -> None:
    register = received["births_registration"]
    planted = register.written[0].faults["fault"].value_counts()
    planted = dict(planted.iter_rows())
    assert register.quarantined() == planted["missing_key"] + planted["duplicate_row"] > 0
    assert register.outcomes[0].table("birth").cells_blanked == planted["unparseable_date"] > 0
    notified = received["birth_notification"]
    assert notified.quarantined() == notified.faults() > 0


def test_babies_of_one_confinement_and_their_gestation_agree() -> None:
    babies = small_world().part(build_births).babies
    shared = babies.group_by("household_id", "birth").agg(
        pl.col("gestation_days").n_unique(), pl.len(), pl.col("confinement").first()
    )
    assert (shared["gestation_days"] == 1).all()
    assert (shared["len"] <= shared["confinement"]).all()
    preterm = babies["gestation_days"] < 259
    assert 0.04 < preterm.mean() < 0.16
    heavy = babies.filter(~preterm)["weight"].mean()
    assert 3100 < heavy < 3600
    assert babies.filter(preterm)["weight"].mean() < 2700
    assert babies["mother_age"].is_between(13, 52).all()


def test_what_the_hospital_diagnosed_as_preterm_is_preterm() -> None:
    world = small_world()
    early = world.hospital.diagnoses.filter(pl.col("code") == "P073").join(
        world.hospital.spells.select("spell_id", "person_id"), on="spell_id"
    )
    babies = world.part(build_births).babies.filter(pl.col("confinement") == 1)
    found = babies.join(early.select("person_id").unique(), on="person_id", how="semi")
    assert found.height > 0
    assert (found["gestation_days"] < 259).all()


def test_the_register_holds_what_must_not_count(received: dict[str, Received]) -> None:
    raw = received["births_registration"].rows("raw", "births_registration__birth")
    still = raw.filter(pl.col("stillbirth_icd10_code").is_not_null())
    assert still.height > 0
    assert still["nhs_number"].null_count() == still.height
    assert raw.filter(~pl.col("is_latest")).height > 0
    assert raw.filter(pl.col("cancelled_code") == "Y").height > 0
    again = raw.filter(pl.col("reregistration_code").is_not_null())
    assert (
        again["nhs_number"]
        .is_in(raw.filter(pl.col("reregistration_code").is_null())["nhs_number"].implode())
        .all()
    )


@pytest.mark.parametrize(
    ("feed", "table"), [("births_registration", "birth"), ("birth_notification", "notification")]
)
def test_a_stillborn_baby_is_nobodys_record(
    received: dict[str, Received], feed: str, table: str
) -> None:
    rows_ = received[feed].rows("pseudonymised", f"{feed}__{table}")
    still = (
        pl.col("stillbirth_icd10_code").is_not_null()
        if feed == "births_registration"
        else pl.col("birth_outcome_code") != "1"
    )
    assert rows_.filter(still)["record_key"].null_count() == rows_.filter(still).height > 0
    live = rows_.filter(~still)
    assert live["record_key"].null_count() < 0.02 * live.height


def test_the_bridge_reaches_the_baby_of_the_maternity_record(
    received: dict[str, Received],
) -> None:
    got = received["msds"]
    records = got.rows("pseudonymised", "msds__maternity_record")
    bridge = got.rows("pseudonymised", "msds__bridge")
    assert 0.85 < bridge.height / records.height < 1
    assert bridge["record_key"].is_in(records["record_key"].implode()).all()
    assert set(bridge.columns) >= {"record_id", "record_key"}
    assert not {c for c in bridge.columns if "number" in c} - {"row_number"}
    assert records["birth_year"].is_between(2018, 2019).all()
    assert "birth_day_number" not in records.columns
    lists = records["mother_smoking_at_delivery"].drop_nulls()
    assert lists.str.contains("|", literal=True).any()


def test_nothing_of_the_mother_or_the_midwife_is_read(tmp_path: Path) -> None:
    contract = feed_contract("birth_notification")
    assert not [c for c in contract.tables["notification"].columns if "mother" in c.name]
    header = (
        "BabyNHSNumber,BabySex,BabyDateTimeOfBirth,GestationWeeks,MotherNHSNumber,MotherName,"
        "MotherDateOfBirth,MotherUsualAddress,NotifierName,Unforeseen\r\n"
    )
    line = "9990000018,2,2024-05-01 03:10:00,39,9990000026,Una Secret,1990-01-01,1 Hid Lane,Mid,x"
    folder = land(
        tmp_path / "landing",
        {"bna_extract.csv": header + line},
        feed="birth_notification",
        name="2024-05",
    )
    con = memory_store()
    outcome = take(con, contract, folder)
    assert outcome.status == "accepted"
    assert outcome.files[0].undeclared == ("Unforeseen",)
    columns = "nhs_number, sex_code, birth_date::VARCHAR, gestation_weeks"
    assert rows(con, "birth_notification__notification", columns) == [
        ("9990000018", "2", "2024-05-01", 39)
    ]
    held = con.execute("FROM identifiable.raw.birth_notification__notification").fetchall()
    assert not {"9990000026", "Una Secret", "1 Hid Lane", "Mid"} & {str(v) for v in held[0]}
    assert quarantined(con) == []


def test_the_pseudonymised_extract_of_the_register_is_read_but_cannot_link(tmp_path: Path) -> None:
    header = "DMIC_ROW_ID,Pseudo NHS Number,DMIC_BABY_MONTH_OF_BIRTH,BABY_SEX,MOTHER_AGEATBIRTH"
    folder = land(
        tmp_path / "landing",
        {"Births.csv": f"{header}\r\n1,A1B2C3D4,202405,1,31\r\n"},
        feed="births_registration",
        name="2024-05",
    )
    con, births = memory_store(), feed_contract("births_registration")
    refused = take(con, births, folder)
    assert refused.status == "rejected", "without dates of birth it needs somebody's word"
    ledger.allow_worse(con, refused.delivery_id, "the pseudonymised extract has months only")
    assert take(con, births, folder).status == "accepted"
    found = rows(con, "births_registration__birth", "supplier_birth_month, birth_date")
    assert found == [("202405", None)]
