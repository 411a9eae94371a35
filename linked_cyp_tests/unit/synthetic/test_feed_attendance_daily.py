"""Daily attendance: the registers add up to what the census reports of the same term."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from linked_cyp.linkage.records.identities import read_identities
from linked_cyp.synthetic.registers import registers, school_days
from linked_cyp.synthetic.writers import attendance_daily
from linked_cyp_tests.contracts.common import contracts
from linked_cyp_tests.feed_support import KEYS, Received, receive, small_world

FEED = "attendance_daily"
PRESENT = ("/", "\\", "L", "B")


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> Received:
    return receive(
        tmp_path_factory.mktemp(FEED), small_world(), [attendance_daily.deliveries], FEED
    )


def spring() -> int:
    """The number of the spring term of 2024/25."""
    terms = enumerate(small_world().terms)
    return next(i for i, t in terms if (t.name, t.academic_year) == ("spring", 2025))


def test_what_is_sent_is_accepted_or_set_aside(received: Received) -> None:
    (outcome,) = received.outcomes
    counts = outcome.table("sessions")
    assert outcome.status == "accepted"
    assert counts.accepted + counts.quarantined == counts.received == received.written[0].rows
    assert counts.quarantined == received.faults() > 0


def test_school_days_are_weekdays_without_the_half_term_week() -> None:
    days = school_days(small_world().terms[spring()]).astype("datetime64[D]")
    assert len(days) == 60
    assert np.is_busday(days).all()
    week = np.arange("2025-02-17", "2025-02-22", dtype="datetime64[D]")
    assert not np.isin(week, days).any()
    assert np.isin(np.array(["2025-02-14", "2025-02-24"], dtype="datetime64[D]"), days).all()


def test_registers_add_up_to_the_census() -> None:
    world, term = small_world(), spring()
    made = registers(world, 0, term)
    assert made.select("enrolment_id", "day", "session").is_duplicated().sum() == 0
    whole = world.education.enrolments.filter(
        pl.col("area") == 0,
        ~pl.col("subsidiary"),
        pl.col("from_day") <= world.terms[term].from_day,
        pl.col("to_day") >= world.terms[term].to_day,
    )
    missed = made.filter(~pl.col("code").is_in(PRESENT)).join(whole, on="enrolment_id", how="semi")
    counted = missed.group_by("enrolment_id", "code").agg(sessions=pl.len().cast(pl.Int64))
    reported = (
        world.absence.reasons.filter(pl.col("term") == term)
        .join(whole, on="enrolment_id", how="semi")
        .select("enrolment_id", "code", pl.col("sessions").cast(pl.Int64))
    )
    assert counted.height > 200
    assert counted.sort("enrolment_id", "code").equals(reported.sort("enrolment_id", "code"))


def test_absence_comes_in_days() -> None:
    ill = registers(small_world(), 0, spring()).filter(pl.col("code") == "I")
    days = ill.group_by("enrolment_id", "day").len()["len"]
    assert (days == 2).mean() > 0.7  # type: ignore[operator]


def test_codes_and_flags(received: Received) -> None:
    raw = received.rows("raw", "attendance_daily__sessions")
    contract = contracts()[FEED].at(2025).tables["sessions"]
    codes = contract.column("attendance_code").codeset
    assert codes is not None
    assert set(raw["attendance_code"].drop_nulls()) <= set(codes.values)
    assert set(raw["session_code"]) == {"AM", "PM"}
    assert raw["session_date"].dt.month().unique().to_list() == [3]
    assert 0.01 < raw["is_education_health_care_plan"].mean() < 0.12  # type: ignore[operator]
    assert (raw["is_sen_support"] & raw["is_education_health_care_plan"]).sum() == 0


def test_pupils_are_identities_of_the_linkage(received: Received) -> None:
    with read_identities(received.con, contracts(), KEYS) as found:
        people = pl.concat(list(found.batches()), how="vertical_relaxed")
    pupils = received.sent[0].tables["sessions"]["_person_id"].n_unique()
    assert 0.97 * pupils < people.height < 1.1 * pupils
    for column in ("upn", "surname", "birth_date", "sex"):
        assert people[column].null_count() < 0.05 * people.height, column


def test_what_the_school_may_know_of_adoption_stays_behind(received: Received) -> None:
    kept = set(received.rows("pseudonymised", "attendance_daily__sessions").columns)
    assert {"is_looked_after", "attendance_code", "birth_month", "record_key"} <= kept
    assert not kept & {"is_previously_looked_after", "upn", "surname", "forename", "birth_date"}
