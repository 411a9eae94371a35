"""Outpatient, emergency and admitted care of the Secondary Uses Service: written, read, linked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import duckdb
import polars as pl
import pytest

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.ingest.ledger import DeliveryOutcome
from linked_cyp.synthetic.hospital_contacts import HospitalContacts, build_hospital_contacts
from linked_cyp.synthetic.parameters import Streams, load_parameters
from linked_cyp.synthetic.world import World, build_world
from linked_cyp.synthetic.writers import sus_apc, sus_ecds, sus_op
from linked_cyp.synthetic.writers.delivery import Sent, with_faults, write_delivery
from linked_cyp_tests.deliveries_support import memory_store, take

FEEDS = {"sus_apc": sus_apc, "sus_op": sus_op, "sus_ecds": sus_ecds}
RECORD = {"sus_apc": "spell", "sus_op": "appointment", "sus_ecds": "attendance"}

OWN_COLUMNS = {"delivery_id", "source_file", "row_number"}


@pytest.fixture(scope="module")
def contracts() -> dict[str, Contract]:
    return load_contracts(PROJECT_ROOT / "data_contracts")


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(
        load_parameters(), Streams(7), children=1500, authorities=2, years=range(2024, 2026)
    )


@pytest.fixture(scope="module")
def contacts(world: World) -> HospitalContacts:
    return world.part(build_hospital_contacts)


@pytest.fixture(scope="module")
def sent(world: World) -> dict[str, list[Sent]]:
    return {
        feed: [
            with_faults(make(), world.parameters.deliveries) for make in module.deliveries(world)
        ]
        for feed, module in FEEDS.items()
    }


Taken = tuple[duckdb.DuckDBPyConnection, dict[str, list[DeliveryOutcome]], Mapping[str, int]]


@pytest.fixture(scope="module")
def taken(
    tmp_path_factory: pytest.TempPathFactory,
    contracts: dict[str, Contract],
    sent: dict[str, list[Sent]],
) -> Iterator[Taken]:
    """Every delivery read back, and the faults that were planted in each feed."""
    landing = tmp_path_factory.mktemp("sus") / "landing"
    con = memory_store()
    outcomes: dict[str, list[DeliveryOutcome]] = {}
    planted: dict[str, int] = {}
    for feed, deliveries in sent.items():
        for delivery in deliveries:
            rng = Streams(1)(feed + delivery.period)
            written = write_delivery(landing, contracts[feed], delivery, rng)
            folder = landing / delivery.supplier / feed / delivery.folder
            outcomes.setdefault(feed, []).append(take(con, contracts[feed], folder))
            refused = written.faults.filter(pl.col("fault") != "duplicate_row").height
            planted[feed] = planted.get(feed, 0) + refused
    yield con, outcomes, planted
    con.close()


@pytest.mark.parametrize("feed", FEEDS)
def test_what_is_sent_is_accepted_or_set_aside_as_planted(taken: Taken, feed: str) -> None:
    con, outcomes, planted = taken
    for outcome in outcomes[feed]:
        assert outcome.status == "accepted"
        assert outcome.accepted + outcome.quarantined == outcome.received
    assert sum(o.quarantined for o in outcomes[feed]) == planted[feed] > 0
    reasons = con.execute(
        "SELECT DISTINCT table_name FROM identifiable.quarantine.rejected WHERE feed = ?",
        [feed],
    ).fetchall()
    assert reasons == [(RECORD[feed],)]


@pytest.mark.parametrize("feed", FEEDS)
def test_every_table_that_a_child_has_is_sent_and_read(
    taken: Taken, contracts: dict[str, Contract], sent: dict[str, list[Sent]], feed: str
) -> None:
    con = taken[0]
    assert {n for s in sent[feed] for n in s.tables} == set(contracts[feed].tables)
    for name in contracts[feed].tables:
        rows = con.execute(f"SELECT count(*) FROM identifiable.raw.{feed}__{name}").fetchone()
        expected = sum(s.tables[name].height for s in sent[feed])
        if name == RECORD[feed]:
            assert rows is not None
            assert rows[0] >= expected * 0.99
        else:
            assert rows == (expected,), name
        assert expected > 0, name


def test_columns_that_are_not_taken_are_in_the_file_and_go_no_further(
    taken: Taken, contracts: dict[str, Contract]
) -> None:
    con, outcomes, _ = taken
    for feed, name in RECORD.items():
        table = contracts[feed].tables[name]
        assert len(table.not_taken) > 50
        described = con.execute(f"DESCRIBE identifiable.raw.{feed}__{name}").fetchall()
        declared = {c.name for c in table.columns}
        assert {row[0] for row in described} - declared == OWN_COLUMNS
        assert not any(file.undeclared for o in outcomes[feed] for file in o.files)


def test_what_would_tell_who_a_child_or_professional_is_is_left_behind(
    contracts: dict[str, Contract],
) -> None:
    emergency = contracts["sus_ecds"].tables["attendance"]
    # with the date of arrival, a fraction of a year is a date of birth
    assert "patient.fractional_age_at_arrival" not in {
        o.source.physical_name for o in emergency.pseudonymised()
    }
    assert "clinical.injury.place.latitude" in emergency.not_taken
    outpatient = contracts["sus_op"].tables
    assert "appointment.care_professional.consultant" in outpatient["appointment"].not_taken
    assert "professional_registration_identifier" in outpatient["care_professional"].not_taken
    baby = {o.name for o in contracts["sus_apc"].tables["birth"].pseudonymised()}
    assert {"baby_birth_month", "birth_weight_grams", "gestation_weeks"} <= baby
    assert not baby & {"baby_nhs_number", "baby_birth_date", "baby_local_patient_id"}


@pytest.mark.parametrize("feed", ["sus_op", "sus_ecds"])
def test_what_is_written_of_a_patient_leads_to_the_person(
    sent: dict[str, list[Sent]], world: World, contracts: dict[str, Contract], feed: str
) -> None:
    table = contracts[feed].tables[RECORD[feed]]
    named = {c.linkage_role: c.physical_name for c in table.columns if c.linkage_role}
    rows = pl.concat([s.tables[RECORD[feed]] for s in sent[feed]])
    both = rows.select(
        "_person_id",
        number=named["nhs_number"],
        born=named["birth_date"],
        postcode=named["postcode"],
    ).join(
        world.population.persons.select("person_id", "nhs_number", "birth"),
        left_on="_person_id",
        right_on="person_id",
    )
    assert both.height == rows.height > 500
    assert 0.9 < both["number"].is_not_null().mean() < 1
    right = both.filter(pl.col("number").is_not_null())
    assert 0.97 < (right["number"] == right["nhs_number"]).mean() < 1
    assert (both["born"] == both["birth"].cast(pl.Int32).cast(pl.Date)).mean() > 0.97
    assert both["postcode"].is_not_null().mean() > 0.97


def test_a_patient_has_one_number_at_a_hospital(contacts: HospitalContacts, world: World) -> None:
    columns = ("person_id", "provider", "local_patient_id")
    numbers = pl.concat(
        [
            contacts.attendances.select(columns),
            contacts.appointments.select(columns),
            world.registrations.hospital.select(columns),
        ]
    ).unique()
    assert numbers.select("person_id", "provider").is_duplicated().sum() == 0
    assert numbers["local_patient_id"].is_duplicated().sum() == 0
    assert numbers["local_patient_id"].null_count() == 0


@pytest.mark.parametrize("feed", FEEDS)
def test_a_record_struck_out_was_sent_and_comes_again(
    sent: dict[str, list[Sent]], feed: str
) -> None:
    seen: set[str] = set()
    struck: list[str] = []
    for delivery in sent[feed]:
        log = delivery.tables["insert_delete_log"]
        inserted = log.filter(~pl.col("dmicIsDeleted"))["PRIMARYKEY_ID"].to_list()
        assert sorted(inserted) == sorted(delivery.tables[RECORD[feed]]["PRIMARYKEY_ID"])
        assert not seen & set(inserted)
        seen |= set(inserted)
        struck += log.filter(pl.col("dmicIsDeleted"))["PRIMARYKEY_ID"].to_list()
    assert struck
    assert set(struck) <= seen
    assert {str(int(key) + 500_000_000) for key in struck} <= seen


def test_emergency_admissions_came_through_the_department(
    contacts: HospitalContacts, world: World
) -> None:
    spells = world.hospital.spells.filter(pl.col("method") == "21")
    admitted = contacts.attendances.filter("is_admitted")
    keys = ("person_id", "provider")
    met = spells.join(admitted, left_on=[*keys, "admitted"], right_on=[*keys, "day"], how="semi")
    assert met.height >= 0.99 * spells.height > 50
    assert (admitted["department"] == "01").all()


def test_contacts_happen_in_a_life_and_in_order(contacts: HospitalContacts, world: World) -> None:
    lives = world.population.persons.select("person_id", "birth", "to_day")
    for frame in (contacts.attendances, contacts.appointments):
        both = frame.join(lives, on="person_id")
        assert ((both["day"] >= both["birth"]) & (both["day"] < both["to_day"])).all()
        assert (both["area"] != world.places.outside).all()
    assert (contacts.appointments["referred"] <= contacts.appointments["day"]).all()
    assert (contacts.attendances["stay_minutes"] > contacts.attendances["seen_minutes"]).all()


def test_rates_differ_as_they_do(contacts: HospitalContacts) -> None:
    attendances, appointments = contacts.attendances, contacts.appointments
    harmed = attendances.filter(pl.col("name") == "self_harm")
    assert harmed["in_need"].mean() > 2 * attendances["in_need"].mean()
    infants = attendances.filter(pl.col("age") == 0).height
    school = attendances.filter(pl.col("age").is_between(5, 9)).height
    assert infants > school / 5
    away = appointments.filter(pl.col("status") == "3").height / appointments.height
    assert 0.05 < away < 0.13
    assert 0.2 < appointments["is_first"].mean() < 0.6
