"""Hand-worked cases of the cohorts: who could have been admitted, weight, learning, minds.

Each child is one story of one authority; the comment beside it is the working, the tests hold the
answer.
"""

from __future__ import annotations

from typing import Any

from linked_cyp_tests.pipeline.curated_hospital_world import admit
from linked_cyp_tests.pipeline.world import World, day

AUTHORITY = "fulmer"
BOARD = "fulmer_icb"
POOR, RICH = "E01000008", "E01000002"  # deciles 2 and 10 of 2019


def _key(world: World) -> int:
    """A key that no row has yet, the same whenever the same world is made."""
    return 800_000 + sum(map(len, world.rows.values()))


def add_cohort_cases(world: World) -> None:
    _could_be_admitted(world)
    _weighed(world)
    census = _at_school(world)
    _learned(world, census)
    _mental_health(world, census)


def _could_be_admitted(world: World) -> None:
    spine = world.deliver("pds_demographics", BOARD, "2025-03-31", 2025)

    def lives(
        child: str, born: str, since: str | None, until: str | None = None, died: str | None = None
    ) -> None:
        world.add(
            "pds_demographics__person",
            spine,
            child,
            sex_code="2",
            birth_month=day(born),
            death_month=day(died) if died else None,
        )
        if since:
            world.add(
                "pds_demographics__address",
                spine,
                child,
                address_from_date=day(since),
                address_to_date=day(until) if until else None,
                lsoa11_code=POOR,
                lsoa21_code=POOR,
            )

    # At home here all year. Asthma as an emergency and, in and out on one day, gastroenteritis;
    # a planned admission for asthma and an emergency for a broken arm are not avoidable.
    lives("asthmatic", "2015-03-01", "2015-03-20")
    admit(world, "asthmatic", 8001, "21", "2024-06-11", "2024-06-13", "J45.9")
    admit(world, "asthmatic", 8002, "21", "2024-10-01", "2024-10-01", "A09.0")
    admit(world, "asthmatic", 8003, "11", "2024-11-01", "2024-11-01", "J45.9")
    admit(world, "asthmatic", 8004, "21", "2025-01-01", "2025-01-02", "S52.5", "W01X")
    # Born in September: seven months to March, and an infection of the lungs.
    lives("newborn", "2024-09-01", "2024-09-10")
    admit(world, "newborn", 8005, "21", "2024-12-05", "2024-12-08", "J21.0")
    # Moved away in June, 19 in July, died in May: three, three and two months from April.
    lives("moved", "2012-01-01", "2012-01-05", until="2024-06-15")
    lives("nineteen", "2005-07-01", "2005-07-05")
    lives("died", "2012-01-01", "2012-01-05", died="2024-05-01")
    # Nobody knows where these live, or this one came after the year.
    lives("no home", "2012-01-01", None)
    lives("not yet here", "2012-01-01", "2025-04-02")


def _weighed(world: World) -> None:
    first, last = (world.deliver("ncmp", AUTHORITY, str(year), year) for year in (2019, 2025))
    practice = world.deliver("gp_olids", BOARD, "2025-03-31", 2025)
    born = {"birth_month": day("2014-03-01"), "sex_code": "F"}

    def weighed(child: str, delivery: str, on: str, group: str, z_score: float) -> None:
        world.add(
            "ncmp__enhanced",
            delivery,
            child,
            ncmp_system_id=_key(world),
            measurement_date=day(on),
            height_cm=146.0,
            weight_kg=40.0,
            school_year_group=group,
            supplier_bmi_z_score=z_score,
            **born,
        )

    # Obese at five, severely obese at eleven; the practice recorded it in between.
    weighed("grew", first, "2018-11-16", "R", 1.75)
    weighed("grew", last, "2025-03-10", "6", 2.80)
    world.add(
        "gp_olids__patient",
        practice,
        "grew",
        sex_code="female",
        birth_year=2014,
        birth_month_number=3,
        is_spine_sensitive=False,
        is_confidential=False,
        is_dummy_patient=False,
        practice_code="A1",
    )
    world.add(
        "gp_olids__observation",
        practice,
        "grew",
        effective_date=day("2024-06-03"),
        snomed_code="414916001",
        practice_code="A1",
    )
    # The 85th centile is 1.036 standard deviations, the 95th 1.645 and the 99.6th 2.652.
    for child, z_score in (
        ("84.8th", 1.03),
        ("85.1st", 1.04),
        ("94.9th", 1.64),
        ("95.1st", 1.65),
        ("99.5th", 2.60),
        ("99.7th", 2.70),
        ("2nd", -2.06),
    ):
        weighed(child, last, "2025-03-10", "6", z_score)
    # Twice in Year 6: the later one counts.
    weighed("twice", last, "2024-10-10", "6", 1.70)
    weighed("twice", last, "2025-05-10", "6", 1.20)
    # The school's upload has neither year group nor score: 131 months old, so Year 6.
    world.add(
        "ncmp__upload",
        last,
        "upload only",
        measurement_date=day("2025-03-10"),
        height_cm=146.0,
        weight_kg=40.0,
        **born,
    )


def _at_school(world: World) -> dict[str, str]:
    """Deliveries of the three censuses of 2024/25, by term."""
    made = {}
    for term, reference in (
        ("autumn", "2024-10-03"),
        ("spring", "2025-01-16"),
        ("summer", "2025-05-15"),
    ):
        year = 2024 if term == "autumn" else 2025
        made[term] = world.deliver("school_census", AUTHORITY, f"{year}-{term}", 2025)
        world.add(
            "school_census__school_census",
            made[term],
            school_census_id=1,
            reference_date=day(reference),
        )
    return made


def _on_roll(
    world: World,
    delivery: str,
    child: str,
    possible: int = 0,
    year_group: str = "6",
    born: str = "2013-11-01",
    **sessions: int,
) -> int:
    """A pupil on roll, with the sessions missed by register code."""
    key = _key(world)
    world.add(
        "school_census__pupil_on_roll",
        delivery,
        child,
        pupil_on_roll_id=key,
        school_census_id=1,
        school_id=60,
        enrolment_status_code="C",
        national_curriculum_year_code=year_group,
        birth_month=day(born),
        possible_sessions=possible or None,
    )
    for code, missed in sessions.items():
        world.add(
            "school_census__termly_sessions_on_roll",
            delivery,
            pupil_on_roll_id=key,
            attendance_code=code,
            session_count=missed,
        )
    return key


def _learned(world: World, census: dict[str, str]) -> None:
    results = world.deliver("npd_attainment", AUTHORITY, "2025", 2025)

    def excluded(child: str, key: int, category: str, sessions: int | None) -> None:
        world.add(
            "school_census__termly_exclusions_on_roll",
            census["spring"],
            pupil_on_roll_id=key,
            exclusion_start_date=day("2024-11-05"),
            exclusion_category_code=category,
            excluded_session_count=sessions,
        )

    # On roll in every term of year 6. Ill for 10 sessions and suspended for 4 in autumn, 6 more in
    # spring: 20 of 260 sessions are lost, ten days, and the suspension is among them.
    _on_roll(world, census["autumn"], "every term")
    key = _on_roll(world, census["spring"], "every term", 140, I=10, E=4)
    _on_roll(world, census["summer"], "every term", 120, O=6)
    excluded("every term", key, "SUSP", 4)
    world.add(
        "npd_attainment__ks2",
        results,
        "every term",
        academic_year_text="2024/2025",
        is_end_of_key_stage=True,
        reading_test_outcome_code="AS",
        reading_scaled_score=104,
        maths_test_outcome_code="AS",
        maths_scaled_score=103,
        writing_assessment_code="EXS",
    )
    # In year 6 until spring and then on no roll: no result, though the authority delivered them.
    for term in ("autumn", "spring"):
        _on_roll(world, census[term], "gone by summer")
    # Came in spring: on a roll from then on.
    for term in ("spring", "summer"):
        _on_roll(world, census[term], "came in spring", year_group="8", born="2011-11-01")
    # Permanently excluded in year 9, where nothing is assessed.
    key = _on_roll(world, census["spring"], "excluded", 100, "9", "2010-11-01", U=20)
    excluded("excluded", key, "PERM", None)
    # In year 1 and absent from the phonics check: that is no attainment.
    for term in ("autumn", "spring", "summer"):
        _on_roll(world, census[term], "no check", year_group="1", born="2018-11-01")
    world.add(
        "npd_attainment__phonics",
        results,
        "no check",
        academic_year_text="2024/2025",
        national_curriculum_year_code="1",
        phonics_outcome_code="A",
    )


def _mental_health(world: World, census: dict[str, str]) -> None:
    service = world.deliver("mhsds", BOARD, "2025-03", 2025)
    world.add("mhsds__active_submission", service, submission_id=501)
    sent = {
        "submission_id": 501,
        "provider_code": "R9M",
        "period_start_date": day("2025-03-01"),
    }

    def referred(child: str, on: str, refused: str | None = None) -> int:
        key = _key(world)
        world.add(
            "mhsds__referral",
            service,
            child,
            service_request_id=key,
            referral_date=day(on),
            rejection_date=day(refused) if refused else None,
            **sent,
        )
        return key

    def met(child: str, referral: int, on: str, attendance: str) -> None:
        world.add(
            "mhsds__care_contact",
            service,
            child,
            service_request_id=referral,
            care_contact_id=_key(world),
            contact_date=day(on),
            attendance_code=attendance,
            **sent,
        )

    pupil: dict[str, Any] = {"year_group": "7", "born": "2012-11-01"}
    # Missed 60 of 200 sessions. Referred in October, seen once, and once not there; in hospital
    # after self-harm in January.
    for term in ("spring", "summer"):
        _on_roll(world, census[term], "seen", 100, I=30, **pupil)
    referral = referred("seen", "2024-10-10")
    met("seen", referral, "2024-11-01", "5")
    met("seen", referral, "2024-11-15", "3")
    admit(world, "seen", 8101, "21", "2025-01-20", "2025-01-21", "T39.1", "X60X")
    # Refused; referred and seen the year before; never referred.
    for term in ("spring", "summer"):
        _on_roll(world, census[term], "refused", 100, I=20, **pupil)
    referred("refused", "2024-10-10", refused="2024-10-20")
    for term in ("spring", "summer"):
        _on_roll(world, census[term], "earlier", 100, I=5, **pupil)
    met("earlier", referred("earlier", "2024-05-01"), "2024-06-01", "5")
    for term in ("spring", "summer"):
        _on_roll(world, census[term], "well", 100, **pupil)
