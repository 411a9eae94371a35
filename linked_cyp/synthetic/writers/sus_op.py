"""SUS outpatient care: appointments, their professionals, and the few diagnoses and procedures.

A delivery named for a month holds the appointments since the delivery before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import polars as pl

from linked_cyp.synthetic.hospital_contacts import build_hospital_contacts
from linked_cyp.synthetic.parameters import date_column
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import LOCAL_ID, PERSON, Sent
from linked_cyp.synthetic.writers.sus import (
    KEY,
    clock,
    icd10,
    key_column,
    monthly_deliveries,
    patient,
    provider,
    recorded,
    with_style,
)

SEEN = pl.col("status").is_in(["5", "6"])
SPECIALTIES = {"422": "420", "650": "420"}  # of the consultant, where not the function's own


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """A delivery for each month that the parameters name, each since the one before."""
    appointments = recorded(
        world.streams("sus outpatient"),
        world.part(build_hospital_contacts).appointments,
        day="day",
        first_key=700_000_001,
        deleted=world.parameters.part("hospital_contacts")["deleted"],
    )
    yield from monthly_deliveries(world, "sus_op", appointments, _tables)


def _tables(world: World, sent: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    return {
        "appointment": _appointments(world, sent),
        "diagnosis": _diagnoses(world, sent),
        "procedure": _procedures(sent),
        "care_professional": sent.select(
            key_column(),
            CARE_PROFESSIONALS_ID=pl.lit(1, dtype=pl.Int64),
            main_specialty=pl.col("clinic").replace(SPECIALTIES),
            treatment_function="clinic",
        ),
    }


def _appointments(world: World, sent: pl.DataFrame) -> pl.DataFrame:
    born = pl.col("written_birth").cast(pl.Int32).cast(pl.Date)
    first = pl.when("is_first").then(pl.lit("1")).otherwise(pl.lit("2"))
    distant = pl.when("is_first").then(pl.lit("3")).otherwise(pl.lit("4"))
    columns = {
        KEY: key_column(),
        "appointment.identifier": "OP" + (pl.col("contact_id") + 1).cast(pl.String),
        **patient(world, "appointment."),
        "appointment.patient.identity.birth_month": born.dt.month(),
        "appointment.patient.identity.birth_year": born.dt.year(),
        "appointment.date": date_column("d", sent["day"].to_numpy()),
        "appointment.time": clock(pl.col("minute")),
        "appointment.first_attendance": pl.when("by_telephone").then(distant).otherwise(first),
        "appointment.attended_or_dna": pl.col("status"),
        "appointment.outcome": pl.when(SEEN & pl.col("is_last"))
        .then(pl.lit("1"))
        .when(SEEN)
        .then(pl.lit("2"))
        .otherwise(pl.lit("3")),
        "appointment.consultation_medium": pl.when("by_telephone")
        .then(pl.lit("02"))
        .otherwise(pl.lit("01")),
        "appointment.referral.received_date": date_column("r", sent["referred"].to_numpy()),
        "appointment.referral.source_op": pl.col("source"),
        "appointment.referral.priority_type": pl.col("priority"),
        "appointment.care_professional.main_specialty": pl.col("clinic").replace(SPECIALTIES),
        "appointment.care_professional.treatment_function": pl.col("clinic"),
        "appointment.care_location.site_code_of_treatment": provider(world, "site"),
        PERSON: pl.col("person_id"),
        LOCAL_ID: pl.col("key").cast(pl.String),
    }
    return sent.select(**columns)


def _diagnoses(world: World, sent: pl.DataFrame) -> pl.DataFrame:
    frame = with_style(world, sent.filter(pl.col("diagnosis").is_not_null(), SEEN))
    return frame.select(
        key_column(),
        ICD_ID=pl.lit(1, dtype=pl.Int64),
        code=icd10(pl.col("diagnosis"), pl.col("icd_style")),
    )


def _procedures(sent: pl.DataFrame) -> pl.DataFrame:
    frame = sent.filter(pl.col("procedure").is_not_null(), SEEN)
    return frame.select(
        key_column(),
        OPCS_ID=pl.lit(1, dtype=pl.Int64),
        code="procedure",
        date=date_column("date", frame["day"].to_numpy()),
    )
