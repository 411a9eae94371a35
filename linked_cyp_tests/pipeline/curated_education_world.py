"""Hand-worked cases for attainment, special needs and daily attendance.

Each child is one story; the comment beside it is the working, the tests hold the answer.
"""

from __future__ import annotations

from typing import Any

from linked_cyp_tests.pipeline.world import World, day

AUTHORITY, OTHER = "denham", "eltham"


def add_education_cases(world: World) -> None:
    _foundation_stage(world)
    _phonics(world)
    _key_stages(world)
    _provision(world)
    _plans(world)
    _registers(world)
    _deaths(world)


def _result(world: World, delivery: str, table: str, child: str, year: str, **row: Any) -> None:
    world.add(f"npd_attainment__{table}", delivery, child, academic_year_text=year, **row)


def goals(letter: str, codes: str) -> dict[str, str]:
    """Goals 1 to 17 as ``goal_e01_code`` and so on; a blank leaves a goal out."""
    return {
        f"goal_{letter}{number:02d}_code": code
        for number, code in enumerate(codes, start=1)
        if code != " "
    }


def _foundation_stage(world: World) -> None:
    download = world.deliver("npd_attainment", AUTHORITY, "2025", 2025)
    later = world.deliver("npd_attainment", OTHER, "2025", 2025)
    gone = world.deliver("npd_attainment", OTHER, "2024", 2024, status="superseded")
    for child, year, row in (
        # the goals of the arts and the world do not count for a good level of development
        ("goals", "2023/2024", goals("e", "222222222222" + "11111")),
        ("one short", "2023/24", goals("e", "222222222221" + "22222")),
        # to 2020/21: other goals, and 3 is above the expected level
        ("old goals", "2018/2019", goals("g", "232322322222" + "22222")),
        # new goals say nothing of an old year
        ("wrong goals", "202324", goals("g", "222222222222" + "22222")),
        # one A makes the child not assessed, whatever the department's flag says
        ("not assessed", "2024", goals("e", "A" * 17) | {"is_good_level_of_development": True}),
        # only the flag was sent
        ("flag only", "20232024", {"is_good_level_of_development": True}),
        # years that do not follow each other are no academic year
        ("no year", "2023/2025", goals("e", "2" * 17)),
    ):
        _result(world, download, "eyfsp", child, year, school_id=70, birth_month=None, **row)
    # returned by two authorities: the row with a result counts, though it is the older delivery's
    _result(world, later, "eyfsp", "goals", "2023/2024", school_id=71)
    _result(world, gone, "eyfsp", "goals", "2023/2024", school_id=72, **goals("e", "1" * 17))


def _phonics(world: World) -> None:
    download = world.deliver("npd_attainment", AUTHORITY, "2024", 2024)
    for child, year, group, mark, outcome in (
        ("threshold", "2022/2023", "1", 31, "WT"),
        ("threshold", "2023/2024", "2", 32, "WA"),
        ("absent", "2023/2024", "1", None, "A"),
        ("no mark", "2023/2024", "1", None, "WA"),
    ):
        _result(
            world,
            download,
            "phonics",
            child,
            year,
            national_curriculum_year_code=group,
            phonics_mark=mark,
            phonics_outcome_code=outcome,
        )


def _key_stages(world: World) -> None:
    download = world.deliver("npd_attainment", AUTHORITY, "2023", 2023)
    _result(
        world,
        download,
        "ks1",
        "key stages",
        "2022/2023",
        reading_outcome_code="EXS",
        writing_outcome_code="WTS",
        maths_outcome_code="GDS",
        science_outcome_code="Q",
    )
    _result(world, download, "ks1", "optional", "2023/2024", reading_outcome_code="EXS")
    _result(world, download, "mtc", "key stages", "2024/2025", check_mark=25)
    _result(world, download, "mtc", "optional", "2024/2025", not_taken_reason_code="A")
    for child, reading, maths, writing in (
        # outcome and score in reading and in maths; 100 and 110 are just enough
        ("just", ("AS", 100), ("AS", 110), "GDS"),
        ("higher", ("AS", 110), ("AS", 110), "GDS"),
        # below the standard of the test: no score, and not reached
        ("below", ("B", None), ("NS", 99), "EXS"),
        # who left may have reached it elsewhere
        ("left", ("L", None), ("AS", 104), "EXS"),
    ):
        _result(
            world,
            download,
            "ks2",
            child,
            "2022/2023",
            is_end_of_key_stage=True,
            reading_test_outcome_code=reading[0],
            reading_scaled_score=reading[1],
            maths_test_outcome_code=maths[0],
            maths_scaled_score=maths[1],
            writing_assessment_code=writing,
        )
    # not at the end of the key stage at this school: the other row counts
    _result(
        world,
        download,
        "ks2",
        "just",
        "2022/2023",
        is_end_of_key_stage=False,
        reading_scaled_score=81,
        reading_test_outcome_code="NS",
    )
    for child, year, score in (("centre", "2019/2020", 61.5), ("exam", "2022/2023", 40.0)):
        _result(world, download, "ks4", child, year, attainment_8_score=score)
    for start, amount in (("2022-04-01", 1385.0), ("2023-04-01", 1455.0)):
        world.add(
            "npd_attainment__pupil_premium",
            download,
            "exam",
            premium_year_start_date=day(start),
            deprivation_premium_count=1,
            looked_after_premium_count=0,
            pupil_premium_amount=amount,
        )


def _provision(world: World) -> None:
    """Censuses of autumn 2023 to spring 2025."""
    terms = [
        (f"{year}-{term}", ends, reference)
        for year, term, ends, reference in (
            (2023, "autumn", 2024, "2023-10-05"),
            (2024, "spring", 2024, "2024-01-18"),
            (2024, "summer", 2024, "2024-05-16"),
            (2024, "autumn", 2025, "2024-10-03"),
            (2025, "spring", 2025, "2025-01-16"),
        )
    ]
    stories = {
        # none, support, away for one census, support again, then a plan: one run of support
        "support then plan": "NK-KE",
        # every year a plan, and a subsidiary registration with none
        "always": "EEEEE",
        # better, and worse again: two runs
        "twice": "KNKKK",
        "never": "NNNNN",
    }
    for number, (period, year, reference) in enumerate(terms):
        census = world.deliver("school_census", AUTHORITY, period, year)
        world.add(
            "school_census__school_census",
            census,
            school_census_id=1,
            reference_date=day(reference),
        )
        for child, story in stories.items():
            if story[number] == "-":
                continue
            key = next(world.keys)
            world.add(
                "school_census__pupil_on_roll",
                census,
                child,
                pupil_on_roll_id=key,
                school_census_id=1,
                school_id=80,
                enrolment_status_code="C",
                sen_provision_code=story[number],
                birth_month=day("2013-01-01"),
            )
            if period.endswith("spring") and story[number] != "N":
                for rank, need in ((1, "SEMH" if year == 2024 else "ASD"), (2, "SLCN")):
                    world.add(
                        "school_census__sen_needs",
                        census,
                        pupil_on_roll_id=key,
                        sen_type_rank=rank,
                        sen_type_code=need,
                    )
            # also registered elsewhere with less provision: the main registration speaks
            if child == "always":
                world.add(
                    "school_census__pupil_on_roll",
                    census,
                    child,
                    pupil_on_roll_id=next(world.keys),
                    school_census_id=1,
                    school_id=81,
                    enrolment_status_code="S",
                    sen_provision_code="N",
                    birth_month=day("2013-01-01"),
                )
    # The premium from April 2024 rests on the census of spring 2024; that of 2025 is not here yet.
    world.add(
        "npd_attainment__pupil_premium",
        f"{AUTHORITY}.2025.npd_attainment.accepted",
        "always",
        premium_year_start_date=day("2024-04-01"),
        deprivation_premium_count=1,
        pupil_premium_amount=1480.0,
    )


def _plans(world: World) -> None:
    """Returns of January 2024 and 2025, with keys made afresh."""
    first = world.deliver("sen2", AUTHORITY, "2024", 2024)
    second = world.deliver("sen2", AUTHORITY, "2025", 2025)

    def person(delivery: str, child: str) -> int:
        key = next(world.keys)
        world.add(
            "sen2__person", delivery, child, sen2_person_id=key, birth_month=day("2016-01-01")
        )
        return key

    def request(delivery: str, of: int, received: str, outcome: str, decided: str | None) -> int:
        key = next(world.keys)
        world.add(
            "sen2__requests",
            delivery,
            sen2_person_id=of,
            request_id=key,
            request_received_date=day(received),
            request_outcome_code=outcome,
            request_outcome_date=day(decided) if decided else None,
        )
        return key

    def assessment(delivery: str, of: int, outcome: str, exception: bool = False) -> int:
        key = next(world.keys)
        world.add(
            "sen2__assessment",
            delivery,
            request_id=of,
            assessment_id=key,
            assessment_outcome_code=outcome,
            is_20_week_exception=exception,
        )
        return key

    def plan(delivery: str, of: int, start: str, cease: str | None = None) -> None:
        world.add(
            "sen2__named_plan",
            delivery,
            assessment_id=of,
            named_plan_id=next(world.keys),
            plan_start_date=day(start),
            plan_cease_date=day(cease) if cease else None,
            plan_cease_reason_code="4" if cease else None,
        )

    def active(delivery: str, of: int, school: int | None, *needs: str) -> None:
        key = next(world.keys)
        world.add("sen2__active_plans", delivery, request_id=of, active_plan_id=key)
        world.add(
            "sen2__placement_detail",
            delivery,
            active_plan_id=key,
            school_urn=school,
            setting_type_code=None if school else "EHE",
            placement_rank=1,
        )
        for rank, need in enumerate(needs, start=1):
            world.add(
                "sen2__sen_need",
                delivery,
                active_plan_id=key,
                sen_type_rank=rank,
                sen_type_code=need,
            )

    # on time: received 4 September 2023, open in the return of 2024; issued exactly 140 days later
    of = person(first, "on time")
    request(first, of, "2023-09-04", "A", None)
    of = person(second, "on time")
    asked = request(second, of, "2023-09-04", "Y", "2024-01-10")
    plan(second, assessment(second, asked, "Y"), "2024-01-22")
    active(second, asked, 90, "ASD", "SLCN")
    # late by a day; and late by a year with an exception, which does not count
    for child, start, exception in (
        ("late", "2024-01-23", False),
        ("excepted", "2025-01-02", True),
    ):
        of = person(second, child)
        asked = request(second, of, "2023-09-04", "Y", "2024-01-10")
        plan(second, assessment(second, asked, "Y", exception), start)
        active(second, asked, 90, "SEMH")
    # refused in 2023; in 2025 the same request would be historical: the decision is kept
    of = person(first, "refused")
    request(first, of, "2023-02-01", "N", "2023-03-10")
    of = person(second, "refused")
    request(second, of, "2023-02-01", "H", None)
    # an old plan: in force in both returns, moved from school 90 to education at home
    of = person(first, "old plan")
    active(first, request(first, of, "2019-05-01", "H", None), 90, "MLD")
    of = person(second, "old plan")
    active(second, request(second, of, "2019-05-01", "H", None), None, "ASD", "MLD")
    # ended in 2024: in force in the first return only
    of = person(first, "ended")
    active(first, request(first, of, "2018-05-01", "H", None), 91, "MLD")
    of = person(second, "ended")
    asked = request(second, of, "2018-05-01", "H", None)
    plan(second, assessment(second, asked, "H"), "2018-10-01", "2024-07-31")


def _registers(world: World) -> None:
    february = world.deliver("attendance_daily", AUTHORITY, "2025-02", 2025)
    march = world.deliver("attendance_daily", AUTHORITY, "2025-03", 2025)
    sessions = "attendance_daily__sessions"

    def mark(
        delivery: str, child: str, date: str, half: str, code: str | None, school: int = 95
    ) -> None:
        world.add(
            sessions,
            delivery,
            child,
            school_urn=school,
            session_date=day(date),
            session_code=half,
            attendance_code=code,
            birth_month=day("2012-02-01"),
        )

    # 3 March: no reason yet, then ill; 4 March: present and late; 5 March: a strike day (Y2)
    mark(march, "register", "2025-03-03", "AM", "N")
    mark(march, "register", "2025-03-03", "PM", "N")
    mark(march, "register", "2025-03-03", "AM", "I")
    mark(march, "register", "2025-03-04", "AM", "/")
    mark(march, "register", "2025-03-04", "PM", "L")
    mark(march, "register", "2025-03-05", "AM", "Y2")
    mark(march, "register", "2025-03-05", "PM", "Y2")
    # at the unit that afternoon; at the school the same session is D, which is not possible
    mark(march, "register", "2025-03-06", "PM", "D")
    mark(march, "register", "2025-03-06", "PM", "\\", school=96)
    # H is no code any more, yet it is an absence with leave; a code that is none counts for nothing
    mark(february, "register", "2025-02-03", "AM", "H")
    mark(february, "register", "2025-02-03", "PM", None)


def _deaths(world: World) -> None:
    spine = "icb.2025-03-31.pds_demographics.accepted"
    born = {"birth_month": day("2013-05-01")}
    # died at school age: on the 18th of March 2025, when registers, roll, suspension and plan end
    child, key = "died at school age", next(world.keys)
    world.add("pds_demographics__person", spine, child, death_month=day("2025-03-01"), **born)
    for date, code in (("2025-02-27", "/"), ("2025-03-14", "/"), ("2025-03-17", "I")):
        world.add(
            "attendance_daily__sessions",
            f"{AUTHORITY}.{date[:7]}.attendance_daily.accepted",
            child,
            school_urn=95,
            session_date=day(date),
            session_code="AM",
            attendance_code=code,
            **born,
        )
    census = world.deliver("school_census", "fulham", "2025-summer", 2025)
    world.add(
        "school_census__pupil_no_longer_on_roll",
        census,
        child,
        pupil_no_longer_on_roll_id=key,
        school_id=95,
        entry_date=day("2024-09-04"),
        leaving_date=day("2025-03-18"),
        **born,
    )
    for start in ("2025-02-11", "2025-03-13"):
        world.add(
            "school_census__termly_exclusions_off_roll",
            census,
            pupil_no_longer_on_roll_id=key,
            exclusion_start_date=day(start),
            exclusion_category_code="SUSP",
            excluded_session_count=2,
        )
    plans = world.deliver("sen2", "fulham", "2025", 2025)
    world.add("sen2__person", plans, child, sen2_person_id=key, **born)
    # one plan from before the return of persons, and a request decided and planned in that month
    for number, (received, decided, start, cease) in enumerate(
        (
            ("2020-10-01", None, "2021-02-03", "2025-03-18"),
            ("2024-11-04", "2025-03-06", "2025-03-11", None),
            ("2025-03-05", None, None, None),
        ),
        start=key,
    ):
        world.add(
            "sen2__requests",
            plans,
            sen2_person_id=key,
            request_id=number,
            request_received_date=day(received),
            request_outcome_code="Y",
            request_outcome_date=day(decided) if decided else None,
        )
        if not start:
            continue
        world.add(
            "sen2__assessment",
            plans,
            request_id=number,
            assessment_id=number,
            assessment_outcome_code="Y",
            assessment_outcome_date=day(decided) if decided else None,
        )
        world.add(
            "sen2__named_plan",
            plans,
            assessment_id=number,
            named_plan_id=number,
            plan_start_date=day(start),
            plan_cease_date=day(cease) if cease else None,
            plan_cease_reason_code="5" if cease else None,
        )
    world.add(
        "sen2__active_plans",
        plans,
        request_id=key + 1,
        active_plan_id=key,
        last_review_date=day("2025-03-12"),
    )
    world.add(
        "sen2__placement_detail",
        plans,
        active_plan_id=key,
        school_urn=95,
        placement_rank=1,
        entry_date=day("2025-03-11"),
    )
