"""Hand-worked cases: births, deaths and measurements, as registers and schools tell of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from linked_cyp_tests.pipeline.world import World, day


def add_birth_cases(world: World) -> None:
    _born(world)
    _died(world)
    _measured(world)


def _born(world: World) -> None:
    register = world.deliver("births_registration", "icb", "2025-02", 2025)
    later = world.deliver("births_registration", "icb", "2025-03", 2025)
    notified = world.deliver("birth_notification", "icb", "2025-03", 2025)
    maternity = world.deliver("msds", "icb", "2019", 2019)
    birth, notice = "births_registration__birth", "birth_notification__notification"
    spring = {"birth_month": day("2024-05-01"), "sex_code": "2"}

    def entry(row_id: int, child: str | None, delivery: str = register, **columns: Any) -> None:
        world.add(birth, delivery, child, row_id=row_id, **({"is_latest": True} | spring | columns))

    # Winnie: an earlier version says the mother was 20, the current one 31; a re-registration of
    # the next month repeats her. Notified with gestation 99 (not known), corrected to 35 weeks.
    entry(1, "Winnie", is_latest=False, mother_age_years=20)
    entry(2, "Winnie", mother_age_years=31, live_birth_count=1, stillbirth_count=0)
    entry(3, "Winnie", later, mother_age_years=31, reregistration_code="1", live_birth_count=1)
    for weeks, grams in ((99, 2300), (35, 2310)):
        world.add(
            notice,
            notified,
            "Winnie",
            **spring,
            birth_outcome_code="1",
            gestation_weeks=weeks,
            birth_weight_grams=grams,
            birth_order_number=1,
            confinement_birth_count=1,
        )
    # Xavi: the register of February has him, that of March says the entry was cancelled.
    entry(4, "Xavi", mother_age_years=25, mother_la_code="E08000001")
    entry(4, "Xavi", later, cancelled_code="Y")
    world.add(notice, notified, "Xavi", **spring, gestation_weeks=40, birth_weight_grams=9500)
    # A stillborn baby has no NHS number: its rows belong to nobody.
    entry(5, None, stillbirth_icd10_code="P95X", mother_age_years=33)
    # Yara: only in a pseudonymised extract of the register, with her month as text, and as the
    # second of twins in a maternity record: 251 days are 35 completed weeks.
    entry(6, "Yara", birth_month=None, supplier_birth_month="2018-07", live_birth_count=2)
    world.add(
        "msds__maternity_record",
        maternity,
        "Yara",
        baby_record_id=1,
        birth_year=2018,
        birth_month_number=7,
        sex_code="2",
        gestation_days=251,
        birth_weight_grams=2100,
        mother_smoking_at_delivery="01|04",
    )


def _died(world: World) -> None:
    register = world.deliver("deaths_registration", "icb", "2025-03", 2025)
    panel = world.deliver("child_death_review", "icb", "2024-12-31", 2025)
    newer = world.deliver("child_death_review", "icb", "2025-03-31", 2025)
    spine = "icb.2025-03-31.pds_demographics.accepted"
    entry, case = "deaths_registration__death", "child_death_review__child_death"
    # Zeno: 15 when he died; an earlier version of the entry has no cause yet. The panel's case is
    # open in December and closed in March.
    teen = {"birth_month": day("2008-03-01"), "death_month": day("2023-11-01"), "sex_code": "1"}
    registered = {"registration_date": day("2024-08-20"), **teen}
    world.add(
        entry,
        register,
        "Zeno",
        row_id=1,
        is_latest=False,
        underlying_cause_icd10_code="R99X",
        **registered,
    )
    world.add(
        entry,
        register,
        "Zeno",
        row_id=2,
        is_latest=True,
        underlying_cause_icd10_code="X70.X",
        injury_icd10_code="T71X",
        mention_1_icd10_code="X70X",
        mention_2_icd10_code="T71X",
        **registered,
    )
    opened = {"case_id": 1, "known_to_social_care_code": "Y", "is_looked_after": False} | teen
    world.add(case, panel, "Zeno", primary_category_code="10", **opened | {"sex_code": "M"})
    world.add(
        case,
        newer,
        "Zeno",
        primary_category_code="2",
        modifiable_factors_code="1",
        review_completed_date=day("2025-02-10"),
        **opened | {"sex_code": "M"},
    )
    # Abel: dead within 28 days of birth; mentions, no underlying cause. His birth was notified.
    infant = {"birth_month": day("2024-09-01"), "death_month": day("2024-09-01"), "sex_code": "1"}
    world.add(
        entry,
        register,
        "Abel",
        row_id=3,
        neonatal_code="Y",
        mention_1_icd10_code="P07.2",
        registration_date=day("2024-09-30"),
        **infant,
    )
    world.add(
        "birth_notification__notification",
        "icb.2025-03.birth_notification.accepted",
        "Abel",
        gestation_weeks=24,
        birth_weight_grams=640,
        **infant,
    )
    # Bruno: dead by the spine, not in the register: an inquest may be open. Looked after once.
    world.add(
        "pds_demographics__person",
        spine,
        "Bruno",
        sex_code="1",
        birth_month=day("2014-02-01"),
        death_month=day("2025-01-01"),
    )
    # Cyra: her entry was a mistake and is cancelled: nobody died.
    world.add(
        "pds_demographics__person", spine, "Cyra", sex_code="2", birth_month=day("2015-01-01")
    )
    world.add(
        entry,
        register,
        "Cyra",
        row_id=4,
        is_latest=True,
        cancelled_code="Y",
        registration_date=day("2024-05-05"),
        birth_month=day("2015-01-01"),
        death_month=day("2024-05-01"),
        sex_code="2",
    )


def _measured(world: World) -> None:
    year = world.deliver("ncmp", "acton", "2025", 2025)
    before = world.deliver("ncmp", "acton", "2019", 2019)
    born = {"birth_month": day("2014-03-01"), "sex_code": "F"}
    # Dora: Reception from the upload alone, heights and weights exchanged; Year 6 in both files.
    world.add(
        "ncmp__upload",
        before,
        "Dora",
        measurement_date=day("2018-11-16"),
        height_cm=17.5,
        weight_kg=105.0,
        **born,
    )
    world.add(
        "ncmp__upload",
        year,
        "Dora",
        measurement_date=day("2025-03-10"),
        height_cm=146.0,
        weight_kg=40.0,
        **born,
    )
    world.add(
        "ncmp__enhanced",
        year,
        "Dora",
        ncmp_system_id=1,
        measurement_date=day("2025-03-10"),
        height_cm=146.2,
        weight_kg=40.1,
        school_year_group="6",
        supplier_bmi_z_score=0.5,
        supplier_bmi_centile=0.6915,
        **born,
    )
    # Elin: a weight nobody has; and a measurement from before she was born belongs to another.
    for place, (when, weight) in enumerate((("2025-03-10", 410.0), ("2013-03-10", 18.0))):
        world.add(
            "ncmp__enhanced",
            year,
            "Elin",
            ncmp_system_id=2 + place,
            measurement_date=day(when),
            height_cm=146.2,
            weight_kg=weight,
            supplier_bmi_z_score=9.9,
            **born,
        )
    # Finn, in practice: two weights of one day of which one is a slip of units, and a height.
    practice = "icb.2025-03-31.gp_olids.accepted"
    world.add(
        "gp_olids__patient",
        practice,
        "Finn",
        sex_code="male",
        birth_year=2014,
        birth_month_number=3,
        is_spine_sensitive=False,
        is_confidential=False,
        is_dummy_patient=False,
        practice_code="A1",
    )
    for code, value, unit in (
        ("50373000", 1.4, "m"),
        ("27113001", 35.0, "kg"),
        ("27113001", 350.0, "kg"),
    ):
        world.add(
            "gp_olids__observation",
            practice,
            "Finn",
            effective_date=day("2024-06-03"),
            snomed_code=code,
            result_value=value,
            result_unit_code=unit,
            practice_code="A1",
        )
    # Gwen, in the community: length and weight of the month of birth, which show the month only.
    community = world.deliver("csds", "other_icb", "2025-03", 2025)
    world.add("csds__active_submission", community, submission_id=90)
    sent = {"submission_id": 90, "provider_code": "R9M", "effective_from_at": datetime(2025, 4, 21)}
    world.add(
        "csds__patient", community, "Gwen", **sent, sex_code="F", birth_month=day("2024-12-01")
    )
    world.add("csds__referral", community, "Gwen", **sent, service_request_id=1)
    world.add(
        "csds__care_contact",
        community,
        "Gwen",
        **sent,
        service_request_id=1,
        care_contact_id=2,
        contact_date=day("2024-12-20"),
        attendance_code="5",
    )
    world.add("csds__care_activity", community, **sent, care_contact_id=2, care_activity_id=3)
    world.add(
        "csds__observation",
        community,
        "Gwen",
        **sent,
        care_activity_id=3,
        length_centimetres=51.0,
        weight_kilograms=3.6,
    )
