"""Hand-worked cases: general practice registrations, entries, prescriptions and immunisations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from linked_cyp_tests.pipeline.world import World, day

ASTHMA, WEIGHT, HEIGHT = "195967001", "27113001", "50373000"
MMR, SECOND_MMR, SIX_IN_ONE = "38598009", "170433008", "1082441000000108"
FIVE_IN_ONE = ("414259000", "415507003", "415712004")  # first, second, third
TEENAGE_BOOSTER = "414619005"
DISSENT, WITHDRAWAL = "827241000000103", "827261000000102"
SALBUTAMOL = "39113611000001102"


def add_primary_care_cases(world: World) -> None:
    pds = "icb.2025-03-31.pds_demographics.accepted"
    older = world.deliver("gp_olids", "icb", "2024-12-31", 2025)
    newer = world.deliver("gp_olids", "icb", "2025-03-31", 2025)

    def patient(child: str, delivery: str = newer, **columns: Any) -> None:
        flags = dict.fromkeys(("is_spine_sensitive", "is_confidential", "is_dummy_patient"), False)
        world.add(
            "gp_olids__patient",
            delivery,
            child,
            **{"sex_code": "female", "birth_year": 2015, "birth_month_number": 6} | flags | columns,
        )

    def observed(child: str, date: str | None, code: str | None, **columns: Any) -> None:
        delivery = columns.pop("delivery", newer)
        said = {"effective_date": day(date) if date else None, "snomed_code": code}
        world.add(
            "gp_olids__observation", delivery, child, **said | {"practice_code": "A1"} | columns
        )

    def registered(child: str, practice: str, start: str, end: str | None, kind: str) -> None:
        world.add(
            "gp_olids__episode_of_care",
            newer,
            child,
            practice_code=practice,
            registration_type_code=kind,
            registration_start_date=day(start),
            registration_end_date=day(end) if end else None,
        )

    def prescribed(child: str, date: str, practice: str, bnf: str | None, **columns: Any) -> None:
        said = {"effective_date": day(date), "practice_code": practice, "bnf_code": bnf}
        world.add("gp_olids__medication_order", newer, child, **said | columns)

    # Pia, born June 2015. Registered at A1 on 20 June 2015 (shown as the month), twice in the data,
    # once with an end: the open one counts, until A2 takes over on 5 March 2018. A holiday practice
    # stands beside it.
    for child in ("Pia", "Pip", "Quill", "Rex", "Sol", "Tam", "Ulf"):
        sex_and_birth = {"sex_code": "2", "birth_month": day("2015-06-01")}
        world.add("pds_demographics__person", pds, child, **sex_and_birth)
    patient("Pia")
    patient("Pia", older)
    patient("Pip")
    registered("Pip", "A1", "2015-06-20", None, "Regular/GMS")
    registered("Pia", "A1", "2015-06-20", None, "Regular/GMS")
    registered("Pia", "A1", "2015-06-20", "2018-02-01", "Regular/GMS")
    registered("Pia", "A2", "2018-03-05", None, "Regular/GMS")
    registered("Pia", "A3", "2019-07-01", "2019-07-14", "Temporary")
    # Asthma at A1 on the problem list; its copy at A2 is not: one entry, a problem. In May 2016 the
    # older snapshot had an entry that the newer one does not have: it was taken back.
    observed("Pia", "2018-01-10", ASTHMA, is_problem=True)
    observed("Pia", "2018-01-10", ASTHMA, is_problem=False, practice_code="A2")
    observed("Pia", "2016-05-05", ASTHMA, delivery=older)
    # Taken off the problem list as an error.
    observed("Pia", "2019-01-10", ASTHMA, is_problem=True, is_problem_deleted=True)
    # 1.04 m is 104 cm; two weights on one day are two entries; one of them was copied.
    observed("Pia", "2018-01-10", HEIGHT, result_value=1.04, result_unit_code="m")
    observed("Pia", "2018-01-10", WEIGHT, result_value=16.2, result_unit_code="Kg")
    observed("Pia", "2018-01-10", WEIGHT, result_value=16.5, result_unit_code="kg")
    observed(
        "Pia", "2018-01-10", WEIGHT, result_value=16.2, result_unit_code="kg", practice_code="A2"
    )
    # Left out: before 1930 or birth, after the snapshot, undated, uncoded, deleted, confidential.
    for date in ("1900-01-01", "2015-05-31", "2025-04-01", None):
        observed("Pia", date, WEIGHT, result_value=1.0)
    observed("Pia", "2017-01-01", None)
    observed("Pia", "2017-01-01", WEIGHT, is_deleted=True)
    observed("Pia", "2017-01-01", WEIGHT, is_confidential=True)
    # Two coded vaccinations on one day are one, the dose from the code that names it. 22 June 2015
    # is in the month of birth.
    observed("Pia", "2015-06-22", SIX_IN_ONE)
    observed("Pia", "2016-07-15", MMR)
    observed("Pia", "2018-11-02", MMR)
    observed("Pia", "2018-11-02", SECOND_MMR, practice_code="A2")
    # Pip had three 5-in-1 as an infant and the teenage booster at 14, which is none of
    # them.
    for on, code in zip(("2015-08-03", "2015-09-04", "2015-10-05"), FIVE_IN_ONE, strict=True):
        observed("Pip", on, code)
    observed("Pip", "2024-11-05", TEENAGE_BOOSTER)
    # Two inhalers on one day, copied to A2: two. What was withheld as sensitive says nothing.
    for practice in ("A1", "A1", "A2", "A2"):
        prescribed(
            "Pia", "2018-01-10", practice, "03010101", medicine_code=SALBUTAMOL, quantity_value=1.0
        )
    prescribed("Pia", "2018-02-10", "A1", "03020000", duration_days=28)
    prescribed("Pia", "2018-03-10", "A1", None, quantity_value=3.0)
    _met(world, newer)
    # Quill is sensitive on the spine, Tam a test patient, Ulf deleted. Rex dissented again after a
    # withdrawal; Sol withdrew.
    patient("Quill", is_spine_sensitive=True)
    patient("Tam", is_dummy_patient=True)
    patient("Ulf", is_deleted=True)
    patient("Rex")
    patient("Sol")
    observed("Rex", "2020-01-01", DISSENT)
    observed("Rex", "2021-01-01", WITHDRAWAL)
    observed("Rex", "2022-01-01", DISSENT, practice_code="A2")
    observed("Sol", "2020-01-01", DISSENT)
    observed("Sol", "2020-01-02", WITHDRAWAL)
    for child in ("Quill", "Rex", "Sol", "Tam", "Ulf"):
        observed(child, "2020-05-05", ASTHMA)
        registered(child, "A1", "2016-01-01", None, "Regular/GMS")
        prescribed(child, "2020-05-05", "A1", "03010101")


def _met(world: World, delivery: str) -> None:
    """Concepts are named by number: 1 is a surgery consultation, 2 paediatrics, 3 has no code."""
    for number, code in ((1, "11429006"), (2, "394537008"), (3, None)):
        world.add("gp_olids__concept", delivery, concept_id=number, snomed_code=code)

    def booked(number: int, at: datetime | None, status: str, **columns: Any) -> None:
        world.add(
            "gp_olids__appointment",
            delivery,
            "Pia",
            appointment_id=number,
            start_at=at,
            appointment_status_code=status,
            practice_code="A1",
            **columns,
        )

    # Seen in the month of birth, seen, not there, still to come; a blocked slot, a deleted
    # one, one without a time and one before birth do not count.
    booked(1, datetime(2015, 6, 25, 9, 0), "fulfilled")
    booked(2, datetime(2018, 1, 10, 9, 0), "arrived")
    booked(3, datetime(2018, 1, 10, 8, 0), "noshow")
    booked(4, datetime(2025, 6, 1, 8, 0), "booked")
    booked(5, datetime(2018, 1, 11, 8, 0), "fulfilled", is_blocked=True)
    booked(6, datetime(2018, 1, 12, 8, 0), "fulfilled", is_deleted=True)
    booked(7, None, "fulfilled")
    booked(8, datetime(2015, 5, 31, 8, 0), "fulfilled")

    # Two surgery consultations on one day, both copied to A2; one of a kind that has no code; one
    # after the snapshot.
    for practice, kind, on in (
        ("A1", 1, "2018-01-10"),
        ("A1", 1, "2018-01-10"),
        ("A2", 1, "2018-01-10"),
        ("A2", 1, "2018-01-10"),
        ("A1", 3, "2019-02-01"),
        ("A1", 1, "2025-04-01"),
    ):
        world.add(
            "gp_olids__encounter",
            delivery,
            "Pia",
            encounter_id=next(world.keys),
            effective_date=day(on),
            encounter_type_id=kind,
            practice_code=practice,
        )
    # Referred to paediatrics, with a copy; and a letter that came in.
    for practice, on, specialty, outgoing in (
        ("A1", "2018-01-10", 2, True),
        ("A2", "2018-01-10", 2, True),
        ("A1", "2019-02-01", None, False),
    ):
        world.add(
            "gp_olids__referral_request",
            delivery,
            "Pia",
            referral_request_id=next(world.keys),
            effective_date=day(on),
            specialty_id=specialty,
            is_outgoing_referral=outgoing,
            practice_code=practice,
        )
