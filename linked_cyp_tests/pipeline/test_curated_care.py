"""Definitions of contacts, early help, placements, care leavers and health in care.

The cases are in ``curated_care_world``.
"""

from __future__ import annotations

import pytest

from linked_cyp_tests.pipeline.curated_care_world import AUTHORITY
from linked_cyp_tests.pipeline.world import Ask, day


def test_contacts_of_the_newest_extract_and_the_referral_they_led_to(ask: Ask) -> None:
    sql = """SELECT contact_number, contact_date, referral_number
             FROM curated.social_care_contact WHERE person_id = $child ORDER BY contact_number"""
    assert ask(sql, "Cora") == [
        (1, day("2023-01-15"), None),
        (2, day("2023-10-01"), None),
        (3, day("2024-03-01"), 1),
    ]
    assert ask(sql, "Fern") == [(1, day("2024-05-01"), None)]


def test_early_help_that_ends_before_it_starts_has_no_known_end(ask: Ask) -> None:
    sql = """SELECT early_help_start_date, early_help_end_date, is_open, extract_month
             FROM curated.early_help_episode WHERE person_id = $child ORDER BY early_help_number"""
    march = day("2025-03-01")
    assert ask(sql, "Cora") == [
        (day("2023-01-10"), day("2023-04-10"), False, march),
        (day("2024-09-01"), None, False, march),
        (day("2025-01-05"), None, True, march),
    ]


def test_a_placement_outlasts_a_change_of_legal_status(ask: Ask) -> None:
    sql = """SELECT placement_start_date, placement_end_date, placement_days, placement_type_code,
                    first_legal_status_code, change_reason_code, is_same_carer, episode_count,
                    distance_miles
             FROM curated.looked_after_placement WHERE person_id = $child
             ORDER BY placement_number"""
    assert ask(sql, "Dov") == [
        (day("2024-04-10"), day("2024-08-01"), 113, "U6", "V2", "CARPL", False, 2, 12.5),
        (day("2024-08-01"), day("2024-12-01"), 122, "K2", "C2", None, False, 1, None),
        (day("2024-12-01"), None, 120, "U4", "C2", None, True, 1, None),
    ]


def test_placements_are_all_of_the_episodes(ask: Ask) -> None:
    counted = """SELECT (SELECT sum(episode_count) FROM curated.looked_after_placement),
                        (SELECT count(*) FROM curated.looked_after_episode)"""
    ((of_placements, episodes),) = ask(counted)
    assert of_placements == episodes > 0


def test_care_leavers_by_year(ask: Ask) -> None:
    sql = """SELECT return_year, local_authority, age_at_year_end, is_in_touch, activity_code,
                    is_in_education_employment_or_training, accommodation_code,
                    is_accommodation_suitable
             FROM curated.care_leaver WHERE person_id = $child ORDER BY return_year"""
    assert ask(sql, "Eli") == [
        (2024, AUTHORITY, 19, False, None, None, None, None),
        (2025, AUTHORITY, 20, True, "F2", True, "U1", True),
    ]


@pytest.mark.parametrize("child", ["Eva", "Etta", "Ewan", "Emil"])
def test_who_died_or_went_home_is_not_out_of_touch(ask: Ask, child: str) -> None:
    sql = "SELECT is_in_touch FROM curated.care_leaver WHERE person_id = $child"
    assert ask(sql, child) == [(None,)]


def test_a_missing_episode_over_the_year_end_is_one(ask: Ask) -> None:
    sql = """SELECT missing_start_date, missing_end_date, last_return_year
             FROM curated.missing_episode WHERE person_id = $child"""
    assert ask(sql, "Dov") == [(day("2024-03-30"), day("2024-04-02"), 2025)]


def test_scores_have_bands(ask: Ask) -> None:
    sql = """SELECT return_year, sdq_score, sdq_band, is_immunised
             FROM curated.looked_after_outcome WHERE person_id = $child"""
    assert ask(sql, "Dov") == [(2025, 15, "borderline", True)]


def test_cohort_of_needs_before_the_first_referral(ask: Ask) -> None:
    sql = """SELECT local_authority, referral_date, referral_age_years, is_early_help_known,
                    contact_count, had_early_help, emergency_attendance_count, absence_rate
             FROM cohort.need_before_first_referral WHERE person_id = $child"""
    assert ask(sql, "Cora") == [(AUTHORITY, day("2024-03-10"), 9, True, 1, True, 1, None)]
    # without an extract of the authority nothing is known of contacts, which is not none
    assert ask(f"{sql} AND NOT is_early_help_known", "Fay")[0][4:6] == (None, None)
    assert ask(sql, "Fern") == []


def test_cohort_of_health_in_care(ask: Ask) -> None:
    """In care from 10 April 2024: 356 days to March 2025, and one attendance in them."""
    sql = """SELECT return_year, age_at_year_end, days_looked_after, is_looked_after_at_year_end,
                    has_outcomes, sdq_score, attendance_count, admission_count
             FROM cohort.looked_after_health WHERE person_id = $child"""
    assert ask(sql, "Dov") == [(2025, 13, 356, True, True, 15, 1, 0)]


def test_days_in_care_by_year_of_record_and_events_on_them(ask: Ask) -> None:
    """Jon: to 1 September 2024, and again from 10 January 2025. Kim: begun again on one day."""
    sql = """SELECT return_year, days_looked_after, is_looked_after_at_year_end, admission_count,
                    emergency_admission_count
             FROM cohort.looked_after_health WHERE person_id = $child ORDER BY return_year"""
    # 1 May to 31 March are 336 days; 1 April to 1 September 154, and 10 January to 31 March 81
    assert ask(sql, "Jon") == [(2024, 336, True, 0, 0), (2025, 154 + 81, True, 1, 1)]
    # 10 April to 1 June, with 1 May once; the short breaks after it are none
    assert [row[:3] for row in ask(sql, "Kim")] == [(2025, 53, False)]


def test_children_looked_after_at_the_year_end_are_those_of_the_status_table(ask: Ask) -> None:
    cohort = """SELECT person_id, return_year FROM cohort.looked_after_health
                WHERE is_looked_after_at_year_end"""
    status = """SELECT person_id, year(year_end) FROM curated.social_care_status
                WHERE is_looked_after"""
    assert ask(f"({cohort}) EXCEPT ({status})") == []
    assert ask(f"({status}) EXCEPT ({cohort})") == []


def test_a_child_in_need_plan_belongs_to_its_referral(ask: Ask) -> None:
    sql = """SELECT plan_number, referral_number, plan_start_date, plan_end_date, is_before_birth
             FROM curated.cin_plan WHERE person_id = $child ORDER BY plan_number"""
    assert ask(sql, "Cora") == [
        (1, 1, day("2024-04-01"), day("2024-08-01"), False),
        (2, 2, day("2024-11-20"), day("2024-11-20"), False),
    ]
    assert ask(sql, "Fern") == [(1, None, day("2024-05-01"), None, False)]
