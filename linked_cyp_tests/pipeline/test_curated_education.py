"""Attainment, special needs and daily attendance on hand-worked cases.

The cases and their working are in ``curated_education_world``.
"""

from __future__ import annotations

import pytest

from linked_cyp_tests.pipeline.world import Ask, day


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        ("goals", [(2024, 70, 17, 12, True, False)]),
        ("one short", [(2024, 70, 17, 16, False, False)]),
        ("old goals", [(2019, 70, 17, 17, True, True)]),
        ("wrong goals", [(2024, 70, 0, 0, None, None)]),
        ("not assessed", [(2024, 70, 0, 0, None, None)]),
        ("flag only", [(2024, 70, 0, 0, True, None)]),
        ("no year", []),
    ],
)
def test_good_level_of_development(ask: Ask, child: str, expected: list) -> None:
    sql = """SELECT academic_year, school_id, goals_assessed, goals_expected,
                    is_good_level_of_development, is_expected_in_all_goals
             FROM curated.attainment_eyfsp WHERE person_id = $child"""
    assert ask(sql, child) == expected


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        ("threshold", [(2023, False, 31, False), (2024, True, 32, True)]),
        ("absent", [(2024, False, None, None)]),
        ("no mark", [(2024, False, None, True)]),
    ],
)
def test_phonics_threshold_is_32(ask: Ask, child: str, expected: list) -> None:
    sql = """SELECT academic_year, is_second_check, phonics_mark, is_standard_met
             FROM curated.attainment_phonics WHERE person_id = $child ORDER BY 1"""
    assert ask(sql, child) == expected


def test_key_stage_1_is_optional_from_2024(ask: Ask) -> None:
    sql = """SELECT academic_year, is_statutory, is_reading_expected, is_writing_expected,
                    is_maths_expected, is_science_expected
             FROM curated.attainment_ks1 WHERE person_id = $child"""
    # maladministration (Q) is no judgement
    assert ask(sql, "key stages") == [(2023, True, True, False, True, None)]
    assert ask(sql, "optional") == [(2024, False, True, None, None, None)]


def test_multiplication_check(ask: Ask) -> None:
    sql = """SELECT check_mark, is_full_mark, not_taken_reason_code
             FROM curated.attainment_mtc WHERE person_id = $child"""
    assert ask(sql, "key stages") == [(25, True, None)]
    assert ask(sql, "optional") == [(None, None, "A")]


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        ("just", (100, True, True, True, True, False)),
        ("higher", (110, True, True, True, True, True)),
        ("below", (None, False, False, True, False, False)),
        ("left", (None, None, True, True, None, False)),
    ],
)
def test_expected_and_higher_standard_at_key_stage_2(ask: Ask, child: str, expected: tuple) -> None:
    sql = """SELECT reading_scaled_score, is_reading_expected, is_maths_expected,
                    is_writing_expected, is_combined_expected, is_combined_higher
             FROM curated.attainment_ks2 WHERE person_id = $child"""
    assert ask(sql, child) == [expected]


def test_how_grades_came_about(ask: Ask) -> None:
    sql = """SELECT academic_year, grading, attainment_8_score
             FROM curated.attainment_ks4 WHERE person_id = $child"""
    assert ask(sql, "centre") == [(2020, "centre assessed", 61.5)]
    assert ask(sql, "exam") == [(2023, "examined", 40.0)]


def test_pupil_premium_by_financial_year(ask: Ask) -> None:
    sql = """SELECT financial_year, is_deprivation_premium, is_looked_after_premium,
                    pupil_premium_amount
             FROM curated.pupil_premium WHERE person_id = $child ORDER BY 1"""
    assert ask(sql, "exam") == [(2023, True, False, 1385.0), (2024, True, False, 1455.0)]


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        (
            "support then plan",
            [
                ("SEN support", "2024-01-18", "2024-10-03", "2025-01-16", 2, "SEMH", "SLCN"),
                ("EHC plan or statement", "2025-01-16", "2025-01-16", None, 1, "ASD", "SLCN"),
            ],
        ),
        (
            "always",
            [("EHC plan or statement", "2023-10-05", "2025-01-16", None, 5, "ASD", "SLCN")],
        ),
        (
            "twice",
            [
                ("SEN support", "2023-10-05", "2023-10-05", "2024-01-18", 1, None, None),
                ("SEN support", "2024-05-16", "2025-01-16", None, 3, "ASD", "SLCN"),
            ],
        ),
        ("never", []),
    ],
)
def test_runs_of_provision(ask: Ask, child: str, expected: list) -> None:
    sql = """SELECT sen_level, first_census_date::VARCHAR, last_census_date::VARCHAR,
                    next_census_date::VARCHAR, census_count, primary_sen_type_code,
                    secondary_sen_type_code
             FROM curated.sen_episode WHERE person_id = $child ORDER BY episode_number"""
    assert ask(sql, child) == expected


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        ("on time", ("Y", "Y", 140, True, 2025)),
        ("late", ("Y", "Y", 141, False, 2025)),
        ("excepted", ("Y", "Y", 486, None, 2025)),
        ("refused", ("N", None, None, None, 2024)),
        ("old plan", ("H", None, None, None, 2025)),
    ],
)
def test_requests_and_the_twenty_weeks(ask: Ask, child: str, expected: tuple) -> None:
    sql = """SELECT request_outcome_code, assessment_outcome_code, days_to_plan,
                    is_within_20_weeks, last_return_year
             FROM curated.ehc_request WHERE person_id = $child"""
    assert ask(sql, child) == [expected]


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        ("on time", (day("2024-01-22"), None, True, 2025, 2025, 90, None)),
        ("old plan", (None, None, True, 2024, 2025, None, "EHE")),
        ("ended", (day("2018-10-01"), day("2024-07-31"), False, 2024, 2024, 91, None)),
    ],
)
def test_plans_over_the_years(ask: Ask, child: str, expected: tuple) -> None:
    sql = """SELECT plan_start_date, plan_cease_date, is_active, first_active_year,
                    last_active_year, school_id, setting_type_code
             FROM curated.ehc_plan WHERE person_id = $child"""
    assert ask(sql, child) == [expected]


def test_a_refused_request_is_no_plan(ask: Ask) -> None:
    assert ask("FROM curated.ehc_plan WHERE person_id = $child", "refused") == []


def test_needs_are_those_of_the_newest_return(ask: Ask) -> None:
    sql = """SELECT need_rank, sen_type_code FROM curated.ehc_plan_need
             WHERE person_id = $child ORDER BY 1"""
    assert ask(sql, "old plan") == [(1, "ASD"), (2, "MLD")]
    assert ask(sql, "ended") == [(1, "MLD")]


def test_the_last_code_of_a_session_counts(ask: Ask) -> None:
    sql = """SELECT session_date::VARCHAR, session_code, school_id, attendance_code,
                    attendance_group, is_provisional, is_code_in_force
             FROM curated.attendance_session WHERE person_id = $child
             ORDER BY session_date, session_code, school_id"""
    assert ask(sql, "register") == [
        ("2025-02-03", "AM", 95, "H", "authorised_absence", False, False),
        ("2025-02-03", "PM", 95, None, None, None, None),
        ("2025-03-03", "AM", 95, "I", "authorised_absence", False, True),
        ("2025-03-03", "PM", 95, "N", "unauthorised_absence", True, True),
        ("2025-03-04", "AM", 95, "/", "attending", False, True),
        ("2025-03-04", "PM", 95, "L", "attending", False, True),
        ("2025-03-05", "AM", 95, "Y2", "not_possible", False, True),
        ("2025-03-05", "PM", 95, "Y2", "not_possible", False, True),
        ("2025-03-06", "PM", 95, "D", "not_possible", False, True),
        ("2025-03-06", "PM", 96, "\\", "attending", False, True),
    ]


def test_a_month_sums_schools_and_possible_sessions(ask: Ask) -> None:
    sql = """SELECT attendance_month::VARCHAR, academic_year, possible_sessions,
                    authorised_absence_sessions, unauthorised_absence_sessions, absence_sessions,
                    provisional_sessions, absence_rate, school_count
             FROM curated.attendance_month WHERE person_id = $child ORDER BY 1"""
    assert ask(sql, "register") == [
        ("2025-02-01", 2025, 1, 1, 0, 1, 0, 1.0, 1),
        # possible: two on the 3rd, two on the 4th, one on the 6th
        ("2025-03-01", 2025, 5, 1, 1, 2, 1, 0.4, 2),
    ]


def test_a_year_is_as_its_spring_census_finds_it(ask: Ask) -> None:
    sql = """SELECT academic_year, census_term_number, sen_level, primary_sen_type_code,
                    is_pupil_premium, term_count, school_count
             FROM curated.education_year WHERE person_id = $child ORDER BY academic_year"""
    plan = "EHC plan or statement"
    assert ask(sql, "support then plan") == [
        (2024, 2, "SEN support", "SEMH", False, 2, 1),
        (2025, 2, plan, "ASD", None, 2, 1),
    ]
    # the main registration speaks, and both schools count
    assert ask(sql, "always") == [
        (2024, 2, plan, "ASD", True, 3, 2),
        (2025, 2, plan, "ASD", None, 2, 2),
    ]


def test_a_child_in_no_spring_census_is_as_another_finds_it(ask: Ask) -> None:
    sql = """SELECT academic_year, census_term_number, term_count FROM curated.education_year
             WHERE person_id = $child AND census_term_number <> 2"""
    assert ask(sql, "Ola") == [(2026, 1, 1)]


DIED = "died at school age"


def test_the_registers_of_the_month_of_death_are_left_out(ask: Ask) -> None:
    sql = """SELECT session_date::VARCHAR, attendance_code FROM curated.attendance_session
             WHERE person_id = $child"""
    assert ask(sql, DIED) == [("2025-02-27", "/")]
    sql = """SELECT attendance_month::VARCHAR, possible_sessions FROM curated.attendance_month
             WHERE person_id = $child"""
    assert ask(sql, DIED) == [("2025-02-01", 1)]


def test_leaving_school_in_the_month_of_death_shows_only_the_month(ask: Ask) -> None:
    sql = """SELECT entry_date::VARCHAR, leaving_date::VARCHAR, is_on_roll
             FROM curated.school_enrolment WHERE person_id = $child"""
    assert ask(sql, DIED) == [("2024-09-04", "2025-03-01", False)]


def test_a_suspension_in_the_month_of_death_shows_only_the_month(ask: Ask) -> None:
    sql = """SELECT exclusion_number, exclusion_start_date::VARCHAR, excluded_sessions
             FROM curated.exclusion WHERE person_id = $child ORDER BY 1"""
    assert ask(sql, DIED) == [(1, "2025-02-11", 2), (2, "2025-03-01", 2)]


def test_a_plan_in_the_month_of_death_shows_only_the_month(ask: Ask) -> None:
    sql = """SELECT request_received_date::VARCHAR, plan_start_date::VARCHAR,
                    plan_cease_date::VARCHAR, last_review_date::VARCHAR,
                    placement_entry_date::VARCHAR
             FROM curated.ehc_plan WHERE person_id = $child ORDER BY 1"""
    assert ask(sql, DIED) == [
        ("2020-10-01", "2021-02-03", "2025-03-01", None, None),
        ("2024-11-04", "2025-03-01", None, "2025-03-01", "2025-03-01"),
    ]


def test_days_to_a_plan_in_the_month_of_death_are_not_told(ask: Ask) -> None:
    sql = """SELECT request_received_date::VARCHAR, request_outcome_date::VARCHAR,
                    assessment_outcome_date::VARCHAR, plan_start_date::VARCHAR, days_to_plan,
                    is_within_20_weeks
             FROM curated.ehc_request WHERE person_id = $child ORDER BY 1"""
    assert ask(sql, DIED) == [
        ("2020-10-01", None, None, "2021-02-03", 125, True),
        ("2024-11-04", "2025-03-01", "2025-03-01", "2025-03-01", None, None),
        ("2025-03-01", None, None, None, None, None),
    ]
