"""SUS emergency care: attendances at emergency departments with their codes in SNOMED CT.

A delivery named for a month holds the attendances since the delivery before it.
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
    ethnic_category,
    key_column,
    moment,
    monthly_deliveries,
    number_status,
    provider,
    recorded,
    sex_code,
    small_area,
)

# Child tables with one code of an attendance: the column of the truth and of the position.
CODED = {
    "comorbidity": ("comorbidity", "COMORBIDITIES_ID"),
    "investigation": ("investigation", "SNOMED_ID"),
    "treatment": ("treatment", "SNOMED_ID"),
    "safeguarding_concern": ("safeguarding", "SAFEGUARDING_CONCERNS_ID"),
}


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """A delivery for each month that the parameters name, each since the one before."""
    settings = world.parameters.part("hospital_contacts")
    rng = world.streams("sus emergency")
    attendances = recorded(
        rng,
        world.part(build_hospital_contacts).attendances,
        day="day",
        first_key=800_000_001,
        deleted=settings["deleted"],
    )
    unapproved = rng.random(attendances.height) < settings["emergency"]["uncoded"]["unapproved"]
    attendances = attendances.with_columns(is_approved=~pl.Series(unapproved))
    yield from monthly_deliveries(world, "sus_ecds", attendances, _tables)


def _tables(world: World, sent: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    coded = {
        table: sent.filter(pl.col(column).is_not_null()).select(
            key_column(),
            pl.lit(1, dtype=pl.Int64).alias(position),
            code=column,
            is_code_approved=pl.lit(True),
        )
        for table, (column, position) in CODED.items()
    }
    noted = sent.filter(pl.col("circumstance").is_not_null())
    found = sent.filter(pl.col("finding").is_not_null())
    return {
        "attendance": _attendances(world, sent),
        "diagnosis": _diagnoses(sent),
        **coded,
        "social_circumstance": noted.select(
            key_column(),
            SOCIAL_AND_PERSONAL_CIRCUMSTANCES_ID=pl.lit(1, dtype=pl.Int64),
            code="circumstance",
        ),
        "coded_finding": found.select(
            key_column(),
            CODED_FINDINGS_ID=pl.lit(1, dtype=pl.Int64),
            code="finding",
            is_code_approved=pl.lit(True),
            timestamp=moment(pl.col("minute") + pl.col("seen_minutes")),
        ),
        "alcohol_drug_involvement": _involvements(sent),
        "referral": _referrals(world, sent),
        "derived_area": sent.select(
            key_column(), dmicLSOA2021=small_area(world, "written_postcode")
        ),
    }


def _attendances(world: World, sent: pl.DataFrame) -> pl.DataFrame:
    rules = world.parameters.part("hospital_contacts")["emergency"]

    def after(minutes: pl.Expr, path: str) -> dict[str, pl.Expr]:
        """Date, time and minutes of something that happened after arrival."""
        minute = pl.col("minute") + minutes
        day = (pl.col("day") + minute // 1440).cast(pl.Int32).cast(pl.Date)
        return {
            f"attendance.{path}.date": day,
            f"attendance.{path}.time": clock(minute),
            f"attendance.{path}.time_since_arrival": minutes,
        }

    def code(path: str, value: pl.Expr) -> dict[str, pl.Expr]:
        approved = pl.when(value.is_not_null()).then("is_approved")
        return {f"{path}.code": value, f"{path}.is_code_approved": approved}

    def either(column: str, yes: str, no: str) -> pl.Expr:
        return pl.when(column).then(pl.lit(yes)).otherwise(pl.lit(no))

    modes, places, ended = rules["modes"], rules["destinations"], rules["status"]
    arrived = after(pl.lit(0), "arrival")
    del arrived["attendance.arrival.time_since_arrival"]
    arrived["attendance.arrival.timestamp"] = moment(pl.col("minute"))
    columns = {
        KEY: key_column(),
        "attendance.unique_identifier": "EC" + (pl.col("contact_id") + 1).cast(pl.String),
        "patient.nhs_number.value": pl.col("nhs_number"),
        "patient.nhs_number.status": number_status(),
        "patient.local_patient_identifier.value": pl.col("local_patient_id"),
        "patient.birth_date": pl.col("written_birth").cast(pl.Int32).cast(pl.Date),
        "patient.stated_gender": sex_code(),
        "patient.ethnic_category": ethnic_category(world),
        "patient.usual_address.postcode": pl.col("written_postcode"),
        "patient.age_at_arrival": pl.col("age"),
        "system.record.provider": provider(world, "code"),
        "attendance.location.site": provider(world, "site"),
        "attendance.location.department_type": pl.col("department"),
        **arrived,
        **code(
            "attendance.arrival.arrival_mode",
            either("by_ambulance", modes["ambulance"], modes["own"]),
        ),
        "attendance.arrival.attendance_category": pl.col("category"),
        **after(pl.col("seen_minutes"), "initial_assessment"),
        **after(pl.col("stay_minutes"), "conclusion"),
        **after(pl.col("stay_minutes"), "departure"),
        "attendance.decision_to_admit.date": pl.when("is_admitted").then(
            date_column("d", sent["day"].to_numpy())
        ),
        **code(
            "attendance.discharge.status",
            either("has_left_early", ended["left_early"], ended["completed"]),
        ),
        **code(
            "attendance.discharge.destination",
            either("is_admitted", places["ward"], places["home"]),
        ),
        **code("clinical.chief_complaint", pl.col("complaint")),
        **code("clinical.acuity", pl.col("acuity")),
        "clinical.injury.date": pl.when("is_injury").then(date_column("i", sent["day"].to_numpy())),
        PERSON: pl.col("person_id"),
        LOCAL_ID: pl.col("key").cast(pl.String),
    }
    return sent.select(**columns)


def _diagnoses(sent: pl.DataFrame) -> pl.DataFrame:
    return sent.filter(pl.col("diagnosis").is_not_null()).select(
        key_column(),
        SNOMED_ID=pl.lit(1, dtype=pl.Int64),
        code="diagnosis",
        is_code_approved="is_approved",
        is_injury_related="is_injury",
        sequence_number=pl.lit(1, dtype=pl.Int64),
        is_primary=pl.lit(True),
    )


def _involvements(sent: pl.DataFrame) -> pl.DataFrame:
    return sent.filter(pl.col("name") == "intoxication").select(
        key_column(),
        ALCOHOL_DRUG_INVOLVEMENTS_ID=pl.lit(1, dtype=pl.Int64),
        code="complaint",
        is_code_approved=pl.lit(True),
    )


def _referrals(world: World, sent: pl.DataFrame) -> pl.DataFrame:
    """Those who harmed themselves, or came for their mental health, see liaison psychiatry."""
    service = world.parameters.part("hospital_contacts")["emergency"]["liaison_psychiatry"]
    return sent.filter(pl.col("name").is_in(["self_harm", "mental_health"])).select(
        key_column(),
        REFERRED_TO_ID=pl.lit(1, dtype=pl.Int64),
        service=pl.lit(service),
        is_code_approved=pl.lit(True),
    )
