"""Mental health and community services: what is sent comes in, and their traps."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from linked_cyp.contracts.model import Table
from linked_cyp.ingest.readers.headers import recognise
from linked_cyp.linkage.records.identities import read_identities
from linked_cyp.synthetic.community import build_community
from linked_cyp.synthetic.mental_health import build_mental_health
from linked_cyp.synthetic.submissions import month_number, month_of, monthly_submissions
from linked_cyp.synthetic.writers import csds, mhsds
from linked_cyp_tests.contracts.common import contracts
from linked_cyp_tests.feed_support import KEYS, Received, receive, small_world

FEEDS = ("mhsds", "csds")
TABLES = [table for feed in FEEDS for table in contracts()[feed].tables.values()]


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Received]:
    makers = {"mhsds": mhsds.deliveries, "csds": csds.deliveries}
    return {
        feed: receive(tmp_path_factory.mktemp(feed), small_world(), [make], feed)
        for feed, make in makers.items()
    }


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.table_name)
def test_every_file_is_known_by_its_header(table: Table) -> None:
    """Tables of these sets share most columns; the supplier's whole header tells them apart."""
    contract = contracts()[table.feed]
    header = [c.physical_name for c in table.columns] + list(table.not_taken)
    header += [alias for c in table.columns for alias in c.aliases]
    found = recognise(contract, contract.at(2025), header, "export.csv")
    assert (found.table, found.rule, found.undeclared) == (table.name, None, ())


@pytest.mark.parametrize("feed", FEEDS)
def test_what_is_sent_is_accepted_or_set_aside(received: dict[str, Received], feed: str) -> None:
    got = received[feed]
    assert [o.status for o in got.outcomes] == ["accepted"] * len(got.sent)
    for written, outcome in zip(got.written, got.outcomes, strict=True):
        assert written.rows == sum(t.received for t in outcome.tables.values())
        assert all(t.accepted + t.quarantined == t.received for t in outcome.tables.values())
        assert all(f.rule is None and not f.undeclared for f in outcome.files)
    planted = pl.concat([w.faults for w in got.written])["fault"].value_counts()
    planted = dict(planted.iter_rows())
    assert got.quarantined() == planted["missing_key"] > 0
    blanked = sum(t.cells_blanked for o in got.outcomes for t in o.tables.values())
    assert blanked == planted["unparseable_date"] > 0


def test_months_are_counted_from_april_1900() -> None:
    assert [month_number(m) for m in ("2019-04", "2021-10")] == [1429, 1459]
    days = [date(2019, 4, 30).toordinal() - date(1970, 1, 1).toordinal()]
    assert month_of(pl.Series(days).to_numpy()).tolist() == [1429]


def test_the_list_of_active_submissions_changes_when_a_month_is_sent_again() -> None:
    made = monthly_submissions({"providers": ["a", "b"], "refreshed": [0, 2]}, 10, 14)
    # provider 0 sends month 12 again in month 13
    before, after = made.active(12), made.active(14)
    month = pl.col("month") == 12
    assert before.filter(month)["submission_id"].to_list() == ["12001", "12011"]
    assert after.filter(month)["submission_id"].to_list() == ["12002", "12011"]
    assert after.height == 10


def test_the_second_delivery_replaces_a_submission(received: dict[str, Received]) -> None:
    raw = received["mhsds"].rows("raw", "mhsds__active_submission")
    newest = received["mhsds"].outcomes[-1].delivery_id
    active = set(raw.filter(pl.col("delivery_id") == newest)["submission_id"])
    sent = received["mhsds"].rows("raw", "mhsds__care_contact")
    gone = set(sent["submission_id"]) - active
    assert len(gone) == 1
    assert gone <= set(raw["submission_id"])  # it was active when it came
    assert set(sent.filter(pl.col("submission_id").is_in(gone))["attendance_code"]) == {"0"}


@pytest.mark.parametrize("feed", FEEDS)
def test_older_and_newer_columns_become_one(received: dict[str, Received], feed: str) -> None:
    raw = received[feed].rows("raw", f"{feed}__care_contact")
    # some rows came under the older header, some under the newer; none is lost
    assert raw["attendance_code"].null_count() == 0
    assert raw["consultation_mechanism_code"].null_count() == 0
    assert raw["provider_code"].null_count() == 0
    sent = received[feed].sent[-1].tables["care_contact"]
    older = {"mhsds": "AttendOrDNACode", "csds": "ATTENDED OR DID NOT ATTEND CODE"}[feed]
    assert 0 < sent[older].is_not_null().sum() < sent.height


@pytest.mark.parametrize("feed", FEEDS)
def test_bridging_gives_the_nhs_number_of_a_person_identifier(
    received: dict[str, Received], feed: str
) -> None:
    got = received[feed]
    with read_identities(got.con, contracts(), KEYS) as found:
        people = pl.concat(list(found.batches()), how="vertical_relaxed")
    assert people["nhs_number"].is_not_null().mean() > 0.95  # type: ignore[operator]
    assert people["birth_date"].is_not_null().mean() > 0.98  # type: ignore[operator]
    care = small_world().part(build_mental_health if feed == "mhsds" else build_community)
    persons = care.patients["person_id"].n_unique()
    # a few have two person identifiers: two records of one person, with one NHS number
    assert persons <= people.height < 1.1 * persons
    assert people["nhs_number"].drop_nulls().n_unique() <= persons
    assert people["record_key"].is_unique().all()


def test_a_patient_without_person_identifier_is_known_by_the_local_number(
    received: dict[str, Received],
) -> None:
    got = received["csds"]
    raw = got.rows("raw", "csds__referral")
    none = raw.filter(pl.col("source_person_id").is_null())
    assert 0 < none.height < 0.1 * raw.height
    keyed = got.rows("pseudonymised", "csds__referral")
    assert keyed["record_key"].null_count() == 0
    contacts = got.rows("pseudonymised", "csds__care_contact")
    assert 0 < contacts["record_key"].null_count() < 0.1 * contacts.height


@pytest.mark.parametrize("feed", FEEDS)
def test_what_identifies_stays_behind(received: dict[str, Received], feed: str) -> None:
    for table in contracts()[feed].tables.values():
        kept = {o.name for o in table.pseudonymised()}
        assert not kept & {"source_person_id", "nhs_number", "local_patient_id", "birth_date"}
        # with the day of the event an age in days is the date of birth
        assert not [name for name in kept if "days" in name]
    patients = received[feed].rows("pseudonymised", f"{feed}__patient")
    assert patients["birth_month"].dt.day().unique().to_list() == [1]
    assert patients["lsoa21_code"].null_count() < 0.05 * patients.height


def test_gender_identity_is_not_sex() -> None:
    patient = contracts()["mhsds"].tables["patient"]
    assert patient.column("gender_identity_code").linkage_role is None
    assert patient.column("sex_code").physical_name == "Gender"


def test_care_hangs_together_with_the_rest_of_the_world() -> None:
    world = small_world()
    care = world.part(build_mental_health)
    deaths = world.population.persons.select("person_id", "birth", "death_day")
    for events in (care.referrals, care.contacts, world.part(build_community).contacts):
        known = events.drop("birth", strict=False).join(deaths, on="person_id")
        assert (known["day"] >= known["birth"]).all()
        assert (known["day"] <= known["death_day"]).drop_nulls().all()
    in_need = world.need.referrals.filter(pl.col("path") != "nfa")["person_id"].implode()
    referred = care.referrals["person_id"].is_in(in_need).mean()
    everybody = world.population.persons["person_id"].is_in(in_need).mean()
    assert referred > 1.3 * everybody  # type: ignore[operator]
    starts = care.referrals.select("referral_id", start="day", last="end")
    met = care.contacts.join(starts, on="referral_id")
    assert (met["day"] >= met["start"]).all()
    assert met.filter(pl.col("day") > pl.col("last")).is_empty()


def test_health_visitors_see_children_at_the_mandated_ages(received: dict[str, Received]) -> None:
    world = small_world()
    seen = world.part(build_community).contacts.filter(pl.col("review").is_not_null())
    age = (
        seen.select("review", age=pl.col("day") - pl.col("birth"))
        .group_by("review")
        .agg(pl.col("age").median())
    )
    ages = dict(age.iter_rows())
    assert ages["09"] < 21 < ages["10"] < 70 < 330 < ages["11"] < 420 < 700 < ages["12"] < 920
    weights = received["csds"].rows("raw", "csds__observation")["weight_kilograms"].drop_nulls()
    assert weights.is_between(2, 60).all()


def test_an_extract_of_pseudonyms_is_taken_but_does_not_link(tmp_path: Path) -> None:
    """Headers that end in Pseudo: the number fails its check, the date of birth is not taken."""
    contract = contracts()["mhsds"]
    header = ["Person_ID", "NHSNumber Pseudo"]
    found = recognise(contract, contract.at(2025), header, "bridging.csv")
    assert dict(found.positions) == {"source_person_id": 0, "nhs_number": 1}
    patient = contract.tables["patient"]
    assert "PersonBirthDate Pseudo" in patient.not_taken
