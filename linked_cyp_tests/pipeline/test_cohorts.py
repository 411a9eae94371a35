"""Definitions of the cohorts on hand-worked cases (``curated_cohort_world``)."""

from __future__ import annotations

import pytest

from linked_cyp_tests.pipeline.world import Ask, day


def test_admissions_that_might_have_been_avoided_of_children_at_risk(ask: Ask) -> None:
    sql = """SELECT financial_year, age_years, months_at_risk, avoidable_admission_count,
                    chronic_admission_count, acute_admission_count, zero_night_admission_count,
                    emergency_admission_count, imd_2019_quintile
             FROM cohort.avoidable_admission_year WHERE person_id = $child"""
    assert ask(sql, "asthmatic") == [(2025, 9, 12, 2, 1, 1, 1, 3, 1)]
    assert ask(sql, "newborn") == [(2025, 0, 7, 1, 0, 1, 0, 1, 1)]


@pytest.mark.parametrize(
    ("child", "months"),
    [("moved", [(3,)]), ("nineteen", [(3,)]), ("died", [(2,)])],
)
def test_months_at_risk_end_with_a_move_the_19th_birthday_and_death(
    ask: Ask, child: str, months: list[tuple[int]]
) -> None:
    sql = "SELECT months_at_risk FROM cohort.avoidable_admission_year WHERE person_id = $child"
    assert ask(sql, child) == months


@pytest.mark.parametrize("child", ["no home", "not yet here"])
def test_who_is_not_known_to_live_here_is_not_at_risk(ask: Ask, child: str) -> None:
    sql = "SELECT months_at_risk FROM cohort.avoidable_admission_year WHERE person_id = $child"
    assert ask(sql, child) == []


def test_every_avoidable_admission_of_a_year_at_risk_counts_once(ask: Ask) -> None:
    counted = """SELECT sum(avoidable_admission_count) FROM cohort.avoidable_admission_year
                 WHERE person_id = $child"""
    listed = """SELECT count(DISTINCT admission_number) FROM curated.avoidable_admission
                WHERE person_id = $child"""
    assert ask(counted, "asthmatic") == ask(listed, "asthmatic") == [(2,)]


def test_weight_in_reception_and_year_6(ask: Ask) -> None:
    sql = """SELECT stage, academic_year, weight_category, is_obese, reception_weight_category,
                    is_obesity_recorded_by_practice
             FROM cohort.obesity WHERE person_id = $child ORDER BY academic_year"""
    assert ask(sql, "grew") == [
        ("Reception", 2019, "obese", True, None, False),
        ("Year 6", 2025, "severely obese", True, "obese", True),
    ]
    assert ask(sql, "upload only") == [("Year 6", 2025, None, None, None, False)]


@pytest.mark.parametrize(
    ("child", "category"),
    [
        ("2nd", "underweight"),
        ("84.8th", "healthy weight"),
        ("85.1st", "overweight"),
        ("94.9th", "overweight"),
        ("95.1st", "obese"),
        ("99.5th", "obese"),
        ("99.7th", "severely obese"),
    ],
)
def test_weight_categories_by_centile(ask: Ask, child: str, category: str) -> None:
    sql = "SELECT weight_category FROM cohort.obesity WHERE person_id = $child"
    assert ask(sql, child) == [(category,)]


def test_the_latest_of_two_measurements_of_a_stage_counts(ask: Ask) -> None:
    sql = """SELECT measurement_date, weight_category FROM cohort.obesity
             WHERE person_id = $child"""
    assert ask(sql, "twice") == [(day("2025-05-10"), "overweight")]


LOST = """SELECT academic_year, term_count, off_roll_term_count, absence_sessions,
                 lost_school_days, suspension_count, suspended_sessions, is_permanently_excluded
          FROM cohort.learning_lost WHERE person_id = $child"""


def test_a_suspension_is_part_of_the_absence(ask: Ask) -> None:
    assert ask(LOST, "every term") == [(2025, 3, 0, 20, 10.0, 1, 4, False)]


def test_terms_on_no_roll(ask: Ask) -> None:
    assert ask(LOST, "gone by summer") == [(2025, 2, 1, None, None, 0, 0, False)]
    assert ask(LOST, "came in spring") == [(2025, 2, 0, None, None, 0, 0, False)]
    assert ask(LOST, "excluded") == [(2025, 1, 1, 20, 10.0, 0, 0, True)]


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        ("every term", ("KS2", True, True)),
        ("gone by summer", ("KS2", False, None)),
        ("no check", ("phonics", False, None)),
        ("excluded", (None, None, None)),
    ],
)
def test_no_attainment_in_a_year_that_ends_with_an_assessment(
    ask: Ask, child: str, expected: tuple
) -> None:
    sql = """SELECT assessment_stage, has_result, is_expected_standard
             FROM cohort.learning_lost WHERE person_id = $child"""
    assert ask(sql, child) == [expected]


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        ("seen", (True, False, 1, False, 1, 1, 1, "seen")),
        ("refused", (True, False, 1, True, 0, 0, 0, "referred, not seen")),
        ("earlier", (False, True, 0, None, 0, 0, 0, "referred earlier")),
        ("well", (False, False, 0, None, 0, 0, 0, "none")),
    ],
)
def test_persistent_absence_and_mental_health(ask: Ask, child: str, expected: tuple) -> None:
    sql = """SELECT is_persistently_absent, was_referred_before_year, referral_count,
                    is_every_referral_rejected, attended_contact_count, missed_contact_count,
                    self_harm_admission_count, mental_health_group
             FROM cohort.persistent_absence_mental_health WHERE person_id = $child"""
    assert ask(sql, child) == [expected]


def test_a_year_without_mental_health_records_is_not_known(ask: Ask) -> None:
    sql = """SELECT is_mental_health_known, referral_count, mental_health_group
             FROM cohort.persistent_absence_mental_health WHERE person_id = $child"""
    assert ask(sql, "Moe") == [(False, None, "not known")]
