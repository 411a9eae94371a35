"""SEN2: the chain from person to need holds; plans of the school census are plans of the return."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from linked_cyp.linkage.records.identities import read_identities
from linked_cyp.synthetic.parameters import as_days
from linked_cyp.synthetic.plans import build_plans
from linked_cyp.synthetic.writers import sen2
from linked_cyp_tests.contracts.common import contracts
from linked_cyp_tests.deliveries_support import land, memory_store, take
from linked_cyp_tests.feed_support import KEYS, Received, feed_contract, receive, small_world

# child table, its column, parent table
CHAIN = (
    ("requests", "sen2_person_id", "person"),
    ("assessment", "request_id", "requests"),
    ("named_plan", "assessment_id", "assessment"),
    ("plan_detail", "named_plan_id", "named_plan"),
    ("active_plans", "request_id", "requests"),
    ("placement_detail", "active_plan_id", "active_plans"),
    ("sen_need", "active_plan_id", "active_plans"),
)
KEY = {"person": "sen2_person_id", "active_plans": "active_plan_id", "requests": "request_id"}


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> Received:
    return receive(tmp_path_factory.mktemp("sen2"), small_world(), [sen2.deliveries], "sen2")


def test_what_is_sent_is_accepted_or_set_aside(received: Received) -> None:
    assert [o.status for o in received.outcomes] == ["accepted"] * 3
    for written, outcome in zip(received.written, received.outcomes, strict=True):
        assert written.rows == sum(t.received for t in outcome.tables.values())
        assert all(t.accepted + t.quarantined == t.received for t in outcome.tables.values())
        assert all(f.rule is None and not f.undeclared for f in outcome.files)
    planted = dict(
        pl.concat([w.faults for w in received.written])["fault"].value_counts().iter_rows()
    )
    assert received.quarantined() == planted["missing_key"] + planted["duplicate_row"] > 0
    cells = sum(o.table("person").cells_blanked for o in received.outcomes)
    assert cells == planted["unparseable_date"] > 0


@pytest.mark.parametrize(("table", "column", "parent"), CHAIN)
def test_every_row_has_its_parent(received: Received, table: str, column: str, parent: str) -> None:
    rows = received.rows("pseudonymised", f"sen2__{table}")
    parents = received.rows("pseudonymised", f"sen2__{parent}")
    found = rows[column].is_in(parents[KEY.get(parent, f"{parent}_id")].implode())
    # persons without a key were set aside on purpose
    assert rows.height > 0
    assert (~found).sum() <= (received.faults() if parent == "person" else 0)


def test_plans_and_requests_agree() -> None:
    made = small_world().part(build_plans)
    joined = made.plans.join(made.requests, on="request_id").join(
        made.assessments, on="request_id", suffix="_assessment"
    )
    assert joined.height == made.plans.height > 20
    assert (joined["received"] < joined["decided"]).all()
    assert (joined["decided"] <= joined["decided_assessment"]).all()
    assert (joined["decided_assessment"] < joined["start"]).all()
    assert (joined["start"] < joined["cease"]).all()
    refused = made.requests.filter(pl.col("outcome") == "N")
    assert refused.height > 0
    assert not refused["request_id"].is_in(made.plans["request_id"].implode()).any()


def test_an_earlier_decision_is_returned_as_historical(received: Received) -> None:
    raw = received.rows("raw", "sen2__requests")
    begin, end = pl.lit("2024-01-01").str.to_date(), pl.lit("2024-12-31").str.to_date()
    historical = raw.filter(pl.col("request_outcome_code") == "H")
    assert historical.height > 0
    assert historical.select((pl.col("request_outcome_date") < begin).all()).item()
    open_ = raw.filter(pl.col("request_outcome_code") == "A")
    assert open_["request_outcome_date"].is_null().all()
    assert raw.select((pl.col("request_received_date") <= end).all()).item()


def test_a_plan_in_the_census_is_in_the_return(received: Received) -> None:
    """Of pupils on roll with provision E in January, nearly all have an active plan."""
    world = small_world()
    day = as_days("2025-01-16")
    with_plan = world.education.pupils.filter(pl.col("sen") == "E")["person_id"]
    on_roll = world.education.enrolments.filter(
        pl.col("from_day") <= day, pl.col("to_day") > day, ~pl.col("subsidiary")
    )
    expected = set(on_roll["person_id"]) & set(with_plan)
    active = {
        person
        for sent in received.sent
        for person in sent.tables["person"]
        .join(
            sent.tables["requests"].join(sent.tables["active_plans"], on="requeststableid"),
            on="persontableid",
            how="semi",
        )["_person_id"]
        .to_list()
    }
    assert len(expected & active) > 0.9 * len(expected) > 20
    assert active <= set(with_plan)


def test_persons_are_identities_of_the_linkage(received: Received) -> None:
    with read_identities(received.con, contracts(), KEYS) as found:
        people = pl.concat(list(found.batches()), how="vertical_relaxed")
    persons = received.rows("raw", "sen2__person")
    assert people.height == persons["upn"].fill_null(persons["sen2_person_id"]).n_unique()
    for column in ("surname", "forename", "birth_date", "sex"):
        assert people[column].null_count() < 0.05 * people.height, column
    assert people["upn"].null_count() < 0.2 * people.height


def test_gender_of_the_first_years_is_read_as_sex(tmp_path: Path) -> None:
    header = "persontableid,surname,forename,personbirthdate,gendercurrent,upn\n"
    con = memory_store()
    outcome = take(
        con,
        feed_contract("sen2"),
        land(
            tmp_path / "landing",
            {"person.csv": header + "1,Grün,Una,2012-03-04,2,B801200005001\n"},
            feed="sen2",
            name="2023",
        ),
    )
    assert outcome.status == "accepted"
    assert con.execute("SELECT sex_code FROM identifiable.raw.sen2__person").fetchall() == [("2",)]
    sex = feed_contract("sen2").at(2023).tables["person"].column("sex_code").codeset
    assert sex is not None
    assert set(sex.values) == {"1", "2", "0", "9"}


def test_nobody_is_named_in_the_warehouse(received: Received) -> None:
    person = set(received.rows("pseudonymised", "sen2__person").columns)
    assert {"birth_month", "home_lsoa21_code", "sex_code", "record_key"} <= person
    assert not person & {"surname", "forename", "upn", "uln", "birth_date", "home_postcode"}
    placement = received.rows("pseudonymised", "sen2__placement_detail")
    assert "setting_other_text" not in placement.columns
    assert placement.schema["school_urn"] == pl.Int64
