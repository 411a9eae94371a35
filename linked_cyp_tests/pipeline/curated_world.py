"""Hand-worked cases for the curated tables: a few children, their records, and what must come out.

Each child is one story. The comment beside it is the working; the tests hold the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from linked_cyp_tests.pipeline.world import World, day


def make_world() -> World:
    world = World()
    _who_children_are(world)
    _children_in_need(world)
    _looked_after(world)
    _at_school(world)
    _in_hospital(world)
    return world


def _who_children_are(world: World) -> None:
    old = world.deliver("ssda903", "acton", "2024", 2024)
    new = world.deliver("ssda903", "acton", "2025", 2025)
    world.deliver("ssda903", "brent", "2025", 2025)
    gone = world.deliver("ssda903", "acton", "2025", 2025, status="superseded")
    pds = world.deliver("pds_demographics", "icb", "2025-03-31", 2025)
    sus = world.deliver("sus_apc", "icb", "2024-06", 2025)
    cin = world.deliver("cin_census", "acton", "2025", 2025)
    census = world.deliver("school_census", "acton", "2024-autumn", 2025)

    header = "ssda903__header"
    # Ada: F in 2023/24 (code 2), M in 2024/25 and in a hospital spell (1): M twice, F once.
    # Ethnicity: MWBC twice (social care), WBRI once (hospital A), REFU never counts.
    world.add(
        header, old, "Ada", sex_code="2", birth_month=day("2012-05-01"), ethnicity_code="MWBC"
    )
    world.add(
        header, new, "Ada", sex_code="M", birth_month=day("2012-05-01"), ethnicity_code="MWBC"
    )
    world.add(
        header, gone, "Ada", sex_code="F", birth_month=day("2011-01-01"), ethnicity_code="AIND"
    )
    world.add(
        "sus_apc__spell",
        sus,
        "Ada",
        spell_id=900,
        sex_code="1",
        ethnicity_code="A",
        admission_date=day("2024-06-10"),
        admission_method_code="21",
        birth_month=day("2012-05-01"),
    )
    # Ada's records agree in an identifier, but the hospital's is only probable.
    world.tiers["sus_apc", "Ada"] = "probable"
    # Ben: F and M once each; M is later. Code 9 in hospital is "not specified", not female.
    # Ethnicity ties one each on the same date: education's WIRI is preferred to the spine's B.
    world.add(
        header, old, "Ben", sex_code="2", birth_month=day("2013-01-01"), ethnicity_code="REFU"
    )
    world.add(
        "cin_census__child_identifiers",
        cin,
        "Ben",
        child_id=1,
        sex_code="M",
        birth_month=day("2013-01-01"),
    )
    world.add(
        "sus_apc__spell",
        sus,
        "Ben",
        spell_id=901,
        sex_code="9",
        admission_date=day("2024-06-10"),
        admission_method_code="11",
    )
    # Code 1 is not a 903 code after 2023/24: Cal's sex is not known, nor is ethnicity.
    world.add(
        header, new, "Cal", sex_code="1", birth_month=day("2014-01-01"), ethnicity_code="NOBT"
    )
    # Dee: one recording each of WIRI (education, October) and Z (not stated) in the spine.
    world.add(
        "school_census__pupil_on_roll",
        census,
        "Dee",
        pupil_on_roll_id=1,
        school_id=7,
        sex_code="F",
        ethnicity_code="WALB",
        birth_month=day("2012-09-01"),
    )
    world.add(
        "pds_demographics__person",
        pds,
        "Dee",
        sex_code="2",
        ethnicity_code="Z",
        birth_month=day("2012-09-01"),
        death_month=day("2025-02-01"),
    )
    # Eve is flagged sensitive on the spine and is in no curated table.
    world.add(
        "pds_demographics__person",
        pds,
        "Eve",
        sex_code="2",
        birth_month=day("2012-09-01"),
        sensitivity_code="S",
    )
    world.add(
        "school_census__pupil_on_roll",
        census,
        "Eve",
        pupil_on_roll_id=2,
        school_id=7,
        sex_code="F",
        birth_month=day("2012-09-01"),
    )
    address = "pds_demographics__address"
    # Dee's stays: two postcodes in one area are one stay; the current address has no end.
    # E01000001 has IMD 2019 decile 9 and IMD 2025 decile 8 (rank 26,525 of 33,755).
    for start, end, area in (
        ("2012-09-20", "2015-03-02", "E01000001"),
        ("2015-03-02", "2018-07-01", "E01000001"),
        ("2018-07-01", None, "E01000002"),
    ):
        world.add(
            address,
            pds,
            "Dee",
            address_from_date=day(start),
            address_to_date=day(end) if end else None,
            lsoa21_code=area,
            lsoa11_code=area,
        )


def _children_in_need(world: World) -> None:
    old = world.deliver("cin_census", "brent", "2024", 2024)
    new = world.deliver("cin_census", "brent", "2025", 2025)
    newborn = day("2023-06-01")
    identifiers, details = "cin_census__child_identifiers", "cin_census__cin_details"
    # Fay: a referral open in 2024 is returned again in 2025, closed before it opened.
    for delivery, closed, number in ((old, None, 1), (new, day("2024-01-01"), 5)):
        world.add(identifiers, delivery, "Fay", child_id=2, birth_month=day("2010-04-01"))
        world.add(
            details,
            delivery,
            "Fay",
            cin_details_id=number,
            referral_date=day("2024-02-10"),
            closure_date=closed,
            primary_need_code="N1",
        )
        world.add(
            "cin_census__assessments",
            delivery,
            "Fay",
            cin_details_id=number,
            assessment_id=number + 10,
            assessment_start_date=day("2024-02-12"),
            authorisation_date=day("2024-03-20"),
        )
    world.add(
        "cin_census__assessment_factors",
        old,
        "Fay",
        cin_details_id=1,
        assessment_id=11,
        factor_code="3A",
    )
    for factor in ("4B", "16A"):
        world.add(
            "cin_census__assessment_factors",
            new,
            "Fay",
            cin_details_id=5,
            assessment_id=15,
            factor_code=factor,
        )
    # Rhys: referred in January 2025, open on 31 March; the assessment then found no need.
    world.add(identifiers, new, "Rhys", child_id=9, birth_month=day("2010-04-01"))
    world.add(
        details,
        new,
        "Rhys",
        cin_details_id=90,
        referral_date=day("2025-01-10"),
        closure_date=day("2025-04-10"),
        closure_reason_code="RC8",
        primary_need_code="N1",
    )
    # Gus, born June 2023: 2022-10-01 is 243 days before, too early; 2022-11-15 is 198, unborn;
    # 2023-06-20 shows only its month, and so do the plan and enquiry of that month.
    world.add(identifiers, new, "Gus", child_id=3, birth_month=newborn)
    for number, referred, nfa in (
        (1, "2022-10-01", False),
        (2, "2022-11-15", True),
        (3, "2023-06-20", None),
    ):
        world.add(
            details,
            new,
            "Gus",
            cin_details_id=number,
            referral_date=day(referred),
            is_no_further_action=nfa,
        )
    world.add(
        "cin_census__section_47",
        new,
        "Gus",
        cin_details_id=3,
        section_47_id=1,
        section_47_start_date=day("2023-06-21"),
        initial_conference_target_date=day("2023-07-12"),
    )
    world.add(
        "cin_census__child_protection_plans",
        new,
        "Gus",
        cin_details_id=3,
        child_protection_plan_id=1,
        plan_start_date=day("2023-06-28"),
        plan_end_date=day("2025-03-31"),
    )
    # Hal: on a plan and in need on 31 March 2025; default date 1900-01-01 is no closure.
    world.add(identifiers, new, "Hal", child_id=4, birth_month=day("2015-01-01"))
    world.add(
        details,
        new,
        "Hal",
        cin_details_id=9,
        referral_date=day("2024-09-01"),
        closure_date=day("1900-01-01"),
    )
    world.add(
        "cin_census__child_protection_plans",
        new,
        "Hal",
        cin_details_id=9,
        child_protection_plan_id=2,
        plan_start_date=day("2024-10-01"),
    )
    # Ivy was open in 2024, and Brent's 2025 return no longer holds her: in need in 2024 only.
    world.add(identifiers, old, "Ivy", child_id=5, birth_month=day("2015-01-01"))
    world.add(details, old, "Ivy", cin_details_id=8, referral_date=day("2023-09-01"))


def _looked_after(world: World) -> None:
    old, new = "acton.2024.ssda903.accepted", "acton.2025.ssda903.accepted"

    def episode(child: str, delivery: str, start: str, end: str | None, **codes: str) -> None:
        world.add(
            "ssda903__episodes",
            delivery,
            child,
            episode_start_date=day(start),
            episode_end_date=day(end) if end else None,
            **{"legal_status_code": "C2", **codes},
        )

    reason, ceased = "new_episode_reason_code", "episode_end_reason_code"
    # Jon: a chain of two (the first open in 2024, closed in 2025), then a gap, then open.
    world.add("ssda903__header", new, "Jon", sex_code="M", birth_month=day("2012-01-01"))
    episode("Jon", old, "2023-05-01", None, **{reason: "S"})
    episode("Jon", new, "2023-05-01", "2024-06-01", **{reason: "S", ceased: "X1"})
    episode("Jon", new, "2024-06-01", "2024-09-01", **{reason: "P", ceased: "E4A"})
    episode("Jon", new, "2025-01-10", None, **{reason: "S"})
    # Kim: ends E4A and starts again S on the same day: two periods. Then a V4 series follows on
    # the day without a gap: a period of short breaks.
    episode("Kim", new, "2024-04-10", "2024-05-01", **{reason: "S", ceased: "E4A"})
    episode("Kim", new, "2024-05-01", "2024-06-01", **{reason: "S", ceased: "X1"})
    episode("Kim", new, "2024-06-01", None, **{reason: "L", "legal_status_code": "V4"})
    # Lee: open in 2024 and absent from 2025: ends at the year end of the last return.
    episode("Lee", old, "2023-08-01", None, **{reason: "S"})
    # Meg: overlap in the return: the first ends when the second starts.
    episode("Meg", new, "2024-07-01", "2024-12-31", **{reason: "S", ceased: "X1"})
    episode("Meg", new, "2024-10-01", None, **{reason: "P"})
    # Ned, born June 2024 and in care from 12 June: the start shows only its month.
    world.add("ssda903__header", new, "Ned", sex_code="M", birth_month=day("2024-06-01"))
    episode("Ned", new, "2024-06-12", "2024-07-12", **{reason: "S", ceased: "E4A"})
    # Abe's first episode is no start: the period began in a year that was not returned.
    world.add("ssda903__header", new, "Abe", sex_code="M", birth_month=day("2012-01-01"))
    episode("Abe", new, "2024-06-25", None, **{reason: "P"})
    # Hal is also looked after by another authority on 31 March 2025.
    episode("Hal", "brent.2025.ssda903.accepted", "2025-02-01", None, **{reason: "S"})
    for child in ("Kim", "Lee", "Meg"):
        world.add("ssda903__header", new, child, sex_code="F", birth_month=day("2012-01-01"))


def _at_school(world: World) -> None:
    autumn = "acton.2024-autumn.school_census.accepted"
    spring = world.deliver("school_census", "acton", "2025-spring", 2025)
    summer = world.deliver("school_census", "acton", "2025-summer", 2025)
    next_autumn = world.deliver("school_census", "acton", "2025-autumn", 2026)
    for number, delivery, census_day in (
        (1, autumn, "2024-10-03"),
        (2, spring, "2025-01-16"),
        (3, summer, "2025-05-15"),
        (4, next_autumn, "2025-10-02"),
    ):
        world.add(
            "school_census__school_census",
            delivery,
            school_census_id=number,
            reference_date=day(census_day),
        )
    census_of = {autumn: 1, spring: 2, summer: 3, next_autumn: 4}
    pupil_number = iter(range(100, 1000))

    def pupil(
        child: str,
        delivery: str,
        born: str,
        possible: int | None,
        absent: Mapping[str, int] | None = None,
        half_possible: int | None = None,
        half_absent: Mapping[str, int] | None = None,
        school: int = 7,
        **more: Any,
    ) -> int:
        number = next(pupil_number)
        world.add(
            "school_census__pupil_on_roll",
            delivery,
            child,
            pupil_on_roll_id=number,
            school_census_id=census_of[delivery],
            school_id=school,
            birth_month=day(born),
            possible_sessions=possible,
            summer_half_term_2_possible_sessions=half_possible,
            **more,
        )
        for table, sessions in (
            ("termly_sessions_on_roll", absent),
            ("summer_half_term_2_sessions_on_roll", half_absent),
        ):
            for code, count in (sessions or {}).items():
                world.add(
                    f"school_census__{table}",
                    delivery,
                    pupil_on_roll_id=number,
                    attendance_code=code,
                    session_count=count,
                )
        return number

    # Ola, aged 12: 2024/25 has autumn 140 possible (spring return), spring 120 (summer return) and
    # summer 60 + 60 (next autumn's). Absent 20 + 8 + 6 + 4 = 38 of 380, which is a tenth exactly.
    # L and / are attendance, Y1 is not a possible session: none is absence. The autumn 2024
    # return is of summer 2024, the year before: 10 of 100.
    born = "2012-05-01"
    pupil("Ola", autumn, born, 60, {"I": 10}, 40)
    pupil(
        "Ola",
        spring,
        born,
        140,
        {"I": 12, "O": 8, "L": 30, "/": 90, "Y1": 5},
        enrolment_status_code="C",
        first_language_code="ENG",
        sen_provision_code="K",
        national_curriculum_year_code="7",
    )
    pupil("Ola", summer, born, 120, {"G": 8})
    pupil("Ola", next_autumn, born, 60, {"C1": 6}, 60, {"U": 4})
    # Pat: dually registered, 100 + 20 possible and 30 + 30 absent in one term.
    pupil("Pat", spring, born, 100, {"N": 30}, enrolment_status_code="M")
    pupil("Pat", spring, born, 20, {"N": 30}, school=8, enrolment_status_code="S")
    # Quin: 39 of 400, just under a tenth, and of one term only: no outcome of a year. Bea has the
    # same in two terms; Asa misses half of two terms, severe. Ros: 421 possible is left out.
    pupil("Bea", spring, born, 200, {"I": 20})
    pupil("Bea", summer, born, 200, {"I": 19})
    pupil("Asa", spring, born, 60, {"N": 30})
    pupil("Asa", summer, born, 60, {"N": 30})
    pupil("Quin", spring, born, 400, {"I": 39})
    pupil("Ros", spring, born, 421, {"I": 100})
    # Sam: more absence than possible is left out. Tia: no codes, so the supplier's totals.
    pupil("Sam", spring, born, 10, {"I": 11})
    pupil(
        "Tia",
        spring,
        born,
        100,
        None,
        authorised_absence_sessions=4,
        unauthorised_absence_sessions=1,
    )
    # Una: born September 2019, so 4 on 31 August 2024; Vic: born August 2009, so 15; Wes: 16.
    pupil("Una", spring, "2019-09-01", 100)
    pupil("Vic", spring, "2009-08-01", 100)
    pupil("Wes", spring, "2008-08-01", 100)
    # Xia is in year 12 in autumn 2025: her summer term was year 11's and does not count.
    pupil("Xia", spring, "2009-02-01", 100, {"I": 5})
    pupil("Xia", next_autumn, "2009-02-01", 100, {"I": 90}, national_curriculum_year_code="12")
    # In 2014/15 the threshold was a number: 22 sessions for an autumn term alone. Jude, aged 9, has
    # all three terms (56) and Ingo two (38).
    long_ago = world.deliver("school_census", "acton", "2015-spring", 2015)
    census_of[long_ago] = 5
    pupil("Lou", long_ago, "2005-05-01", 100, {"I": 21})
    pupil("Moe", long_ago, "2005-05-01", 100, {"I": 22})
    long_summer = world.deliver("school_census", "acton", "2015-summer", 2015)
    long_autumn = world.deliver("school_census", "acton", "2016-autumn", 2016)
    census_of |= {long_summer: 6, long_autumn: 7}
    pupil("Jude", long_ago, "2005-05-01", 140, {"I": 20})
    pupil("Jude", long_summer, "2005-05-01", 120, {"I": 20})
    pupil("Jude", long_autumn, "2005-05-01", 60, {"I": 8}, 60, {"I": 7})
    pupil("Ingo", long_ago, "2005-05-01", 140, {"I": 20})
    pupil("Ingo", long_summer, "2005-05-01", 120, {"I": 18})
    # Yan and Zoe share a row key in one return: nobody knows whose sessions these are.
    for child in ("Yan", "Zoe"):
        world.add(
            "school_census__pupil_on_roll",
            spring,
            child,
            pupil_on_roll_id=99,
            school_id=7,
            school_census_id=2,
            birth_month=day(born),
            possible_sessions=100,
        )
    world.add(
        "school_census__termly_sessions_on_roll",
        spring,
        pupil_on_roll_id=99,
        attendance_code="I",
        session_count=50,
    )
    # Hal (looked after) and Fay (closed) at school, for the cohort.
    pupil("Hal", spring, "2015-01-01", 100, {"I": 20})
    pupil("Fay", spring, "2010-04-01", 100)
    # Free meals: Pat's period is open on census day; Quin's ended before it.
    meals = "school_census__fsm_periods"
    by_child = {
        (row.get("record_key"), row["delivery_id"]): row["pupil_on_roll_id"]
        for row in world.rows["school_census__pupil_on_roll"]
    }
    key = world.bridge
    world.add(
        meals,
        spring,
        pupil_on_roll_id=by_child[key["school_census", "Pat"], spring],
        fsm_start_date=day("2023-09-01"),
    )
    world.add(
        meals,
        spring,
        pupil_on_roll_id=by_child[key["school_census", "Quin"], spring],
        fsm_start_date=day("2023-09-01"),
        fsm_end_date=day("2024-12-20"),
    )
    # Ola's suspension is returned twice, under the old name first.
    for delivery, category in ((spring, "FIXD"), (summer, "SUSP")):
        world.add(
            "school_census__termly_exclusions_on_roll",
            delivery,
            pupil_on_roll_id=by_child[key["school_census", "Ola"], delivery],
            exclusion_start_date=day("2024-11-05"),
            exclusion_category_code=category,
            excluded_session_count=4,
            exclusion_reason_1_code="PP",
        )


def _in_hospital(world: World) -> None:
    june = "icb.2024-06.sus_apc.accepted"
    july = world.deliver("sus_apc", "icb", "2024-07", 2025)
    spell, episode, diagnosis = "sus_apc__spell", "sus_apc__episode", "sus_apc__diagnosis"

    def admit(
        child: str,
        delivery: str,
        spell_id: int,
        method: str,
        start: str,
        end: str | None,
        **more: Any,
    ) -> None:
        world.add(
            spell,
            delivery,
            child,
            spell_id=spell_id,
            admission_method_code=method,
            admission_date=day(start),
            discharge_date=day(end) if end else None,
            **more,
        )

    def code(delivery: str, spell_id: int, *codes: str, episode_id: int = 1) -> None:
        world.add(
            episode,
            delivery,
            "Jon",
            spell_id=spell_id,
            episode_id=episode_id,
            episode_number=episode_id,
            episode_start_date=day("2024-06-11"),
        )
        for position, written in enumerate(codes, 1):
            world.add(
                diagnosis,
                delivery,
                spell_id=spell_id,
                episode_id=episode_id,
                diagnosis_number=position,
                diagnosis_icd10_code=written,
            )

    # Jon, in care from January 2025 and May 2023 to September 2024; born January 2012, so 12.
    # Two nights for asthma; an injury needs its external cause, which the second spell lacks.
    admit("Jon", june, 1, "21", "2024-06-11", "2024-06-13", birth_month=day("2012-01-01"))
    code(june, 1, "J45.9", "E10X")
    code(june, 1, "S52.5", "W01X", episode_id=2)
    admit("Jon", june, 2, "12", "2024-10-20", "2024-10-20")
    code(june, 2, "S52.50", "K02-", "not a code")
    # Sent again a month later with another method and discharge; then a spell deleted in July, and
    # one deleted in June and sent again in July.
    admit("Kim", june, 3, "11", "2024-06-02", None)
    admit("Kim", july, 3, "28", "2024-06-02", "2024-07-01")
    admit("Kim", june, 4, "21", "2024-06-05", "2024-06-06")
    admit("Kim", june, 5, "21", "2024-06-07", "2024-06-08")
    admit("Kim", july, 5, "21", "2024-06-07", "2024-06-09")
    log = "sus_apc__insert_delete_log"
    world.add(log, june, spell_id=4, import_log_id=1, is_deleted=False)
    world.add(log, july, spell_id=4, import_log_id=2, is_deleted=True)
    world.add(log, june, spell_id=5, import_log_id=1, is_deleted=True)
    # The same spell under two record keys is one admission.
    for spell_id in (6, 7):
        admit(
            "Lee",
            june,
            spell_id,
            "24",
            "2024-06-20",
            "2024-06-21",
            provider_code="RXX",
            provider_spell_number=55,
        )
    # Abe is in hospital before and after the first day of care that was returned.
    admit("Abe", june, 11, "21", "2024-06-10", "2024-06-11")
    admit("Abe", july, 12, "21", "2024-07-05", "2024-07-06")
    # Withheld identity belongs to nobody.
    admit("Nobody", june, 8, "21", "2024-06-20", None, withheld_identity_reason_code="01")
    # Ned is born on 9 June 2024 and stays two nights, and is back on 20 June: months only.
    admit("Ned", june, 9, "82", "2024-06-09", "2024-06-11", birth_month=day("2024-06-01"))
    admit("Ned", june, 10, "21", "2024-06-20", "2024-07-02")
    world.add(
        episode,
        june,
        "Ned",
        spell_id=9,
        episode_id=1,
        episode_number=1,
        episode_start_date=day("2024-06-09"),
        episode_end_date=day("2024-06-11"),
    )
