"""Hand-worked cases of mental health and community care: what was submitted, what comes out.

One provider, submissions of January to April 2025 in two deliveries. Submission 3 (March) was sent
again as 33: the second delivery's list of active submissions names 33 and no longer 3.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from linked_cyp_tests.pipeline.world import World, day

ICB = "icb"
FIRST, SECOND = (1, 2, 3), (1, 2, 33, 4)  # active submissions by delivery


def add_mental_health_cases(world: World) -> None:
    _mental_health(world)
    _community(world)


def _deliver(world: World, feed: str) -> tuple[str, str]:
    """Two deliveries, each with the list of submissions that were active then."""
    first, second = (world.deliver(feed, ICB, month, 2025) for month in ("2025-03", "2025-04"))
    for delivery, active in ((first, FIRST), (second, SECOND)):
        for submission in active:
            world.add(f"{feed}__active_submission", delivery, submission_id=submission)
    return first, second


def _row(submission: int, **columns: Any) -> dict[str, Any]:
    """What a row of a submission has: when it took effect, and the month it reports."""
    month = {33: 3}.get(submission, submission)
    sent = month + (2 if submission == 33 else 1)
    return {
        "submission_id": submission,
        "provider_code": "R9M",
        "effective_from_at": datetime(2025, sent, 21, 3, 15),
        "period_start_date": day(f"2025-{month:02d}-01"),
        **columns,
    }


def _mental_health(world: World) -> None:
    first, second = _deliver(world, "mhsds")

    def referral(child: str, delivery: str, submission: int, request: int, **columns: Any) -> None:
        row = _row(submission, service_request_id=request, **columns)
        world.add("mhsds__referral", delivery, child, **row)

    def contact(
        child: str, delivery: str, submission: int, request: int, number: int, **columns: Any
    ) -> None:
        row = _row(submission, service_request_id=request, care_contact_id=number, **columns)
        world.add("mhsds__care_contact", delivery, child, **row)

    def patient(child: str, **columns: Any) -> None:
        world.add("mhsds__patient", second, child, **_row(4, **columns))

    # Moa: referred in January, the row sent again each month; discharged in April. Three contacts:
    # one attended (5), one not (3), one attended late (6): access on the second attended one.
    patient("Moa", sex_code="2", birth_month=day("2010-05-01"), ethnicity_code="A")
    for delivery, submission in ((first, 1), (first, 2), (second, 33), (second, 4)):
        referral(
            "Moa",
            delivery,
            submission,
            701,
            referral_date=day("2025-01-10"),
            referral_source_code="A1",
            discharge_date=day("2025-04-20") if submission == 4 else None,
        )
    contact("Moa", first, 1, 701, 1, contact_date=day("2025-01-30"), attendance_code="5")
    contact("Moa", first, 2, 701, 2, contact_date=day("2025-02-10"), attendance_code="3")
    contact("Moa", first, 2, 701, 3, contact_date=day("2025-02-24"), attendance_code="6")
    # the same row twice in one submission is one contact
    contact("Moa", first, 2, 701, 3, contact_date=day("2025-02-24"), attendance_code="6")

    # Nat: March was sent again. The first sending said a contact was still to come (0), and had a
    # second contact that the provider took back: it is gone with its submission.
    patient("Nat", sex_code="1", birth_month=day("2011-01-01"))
    referral("Nat", first, 2, 702, referral_date=day("2025-02-01"))
    contact("Nat", first, 3, 702, 1, contact_date=day("2025-03-05"), attendance_code="0")
    contact("Nat", first, 3, 702, 2, contact_date=day("2025-03-19"), attendance_code="5")
    contact("Nat", second, 33, 702, 1, contact_date=day("2025-03-05"), attendance_code="5")
    # a later submission corrects what an earlier one said: the latest effective row counts
    contact("Nat", first, 1, 702, 3, contact_date=day("2025-01-09"), attendance_code="3")
    contact("Nat", second, 4, 702, 3, contact_date=day("2025-01-09"), attendance_code="5")

    # Oda turned 18 in March 2025: her second contact is too late for access; emails do not count.
    patient("Oda", sex_code="2", birth_month=day("2007-03-01"))
    referral("Oda", first, 1, 703, referral_date=day("2025-01-02"))
    for number, (submission, date, mechanism) in enumerate(
        [
            (1, "2025-01-20", "01"),
            (2, "2025-02-03", "05"),
            (2, "2025-02-10", "09"),
            (4, "2025-04-02", "11"),
        ],
        start=1,
    ):
        contact(
            "Oda",
            second if submission == 4 else first,
            submission,
            703,
            number,
            contact_date=day(date),
            attendance_code="5",
            consultation_mechanism_code=mechanism,
        )

    # Milo waited from 3 February for his first contact, in the month in which he died.
    spine = "icb.2025-03-31.pds_demographics.accepted"
    life = {"birth_month": day("2012-05-01"), "death_month": day("2025-03-01")}
    world.add("pds_demographics__person", spine, "Milo", **life)
    patient("Milo", sex_code="1", birth_month=day("2012-05-01"))
    referral("Milo", first, 2, 706, referral_date=day("2025-02-03"))
    contact("Milo", second, 33, 706, 1, contact_date=day("2025-03-12"), attendance_code="5")

    # Pia was refused; a referral without a date is left out, and its contact has no referral.
    patient("Pia", sex_code="2", birth_month=day("2012-02-01"))
    referral(
        "Pia", first, 1, 704, referral_date=day("2025-01-05"), rejection_date=day("2025-01-12")
    )
    referral("Pia", first, 2, 705, referral_date=None)
    contact("Pia", first, 2, 705, 1, contact_date=day("2025-02-07"), attendance_code="7")


def _community(world: World) -> None:
    first, second = _deliver(world, "csds")

    def contact(child: str | None, delivery: str, submission: int, number: int, **own: Any) -> None:
        row = _row(submission, service_request_id=801, care_contact_id=number, **own)
        world.add("csds__care_contact", delivery, child, **row)

    def review(delivery: str, submission: int, number: int, code: str) -> None:
        row = _row(submission, care_contact_id=number, care_activity_id=number * 10 + int(code) % 9)
        world.add("csds__care_activity", delivery, **row, activity_type_code=code)

    # Quita was born in December 2024. The new birth visit and that month's contact show
    # the month only; the antenatal contact is before birth; one of 2023 cannot be Quita's.
    world.add(
        "csds__patient", second, "Quita", **_row(4, sex_code="M", birth_month=day("2024-12-01"))
    )
    world.add("csds__referral", first, "Quita", **_row(1, service_request_id=801))
    for submission, code in ((1, "16"), (2, "17")):
        world.add(
            "csds__service_referred_to",
            first,
            **_row(submission, service_request_id=801, service_team_type_code=code),
        )
    contact("Quita", first, 1, 1, contact_date=day("2024-10-15"), attendance_code="5")
    review(first, 1, 1, "08")
    contact("Quita", first, 1, 2, contact_date=day("2024-12-29"), attendance_code="5")
    contact("Quita", first, 1, 3, contact_date=day("2025-01-08"), attendance_code="5")
    review(first, 1, 3, "09")
    review(first, 1, 3, "13")
    # no person identifier: the patient of the referral
    contact(None, first, 2, 4, contact_date=day("2025-02-10"), attendance_code="4")
    review(first, 2, 4, "10")
    contact("Quita", first, 2, 5, contact_date=day("2023-02-10"), attendance_code="5")
    # a patient of their own, who opted out: nobody's, and not the referral's either
    out = {"contact_date": day("2025-02-12"), "attendance_code": "5", "record_key": 99_001}
    contact(None, first, 2, 7, **out)
    # only in the submission that was replaced
    contact("Quita", first, 3, 6, contact_date=day("2025-03-10"), attendance_code="5")
