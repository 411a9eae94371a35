"""Mental health and community care on hand-worked cases (see ``curated_mental_health_world``)."""

from __future__ import annotations

from linked_cyp_tests.pipeline.world import Ask, day

CONTACTS = """SELECT contact_number, referral_number, contact_date, attendance_code, is_attended,
                     is_access_contact
              FROM curated.mental_health_contact WHERE person_id = $child ORDER BY 1"""


def test_a_referral_sent_every_month_is_one_as_last_sent(ask: Ask) -> None:
    sql = """SELECT referral_number, referral_date, referral_age_years, discharge_date,
                    last_reported_month, is_rejected
             FROM curated.mental_health_referral WHERE person_id = $child"""
    assert ask(sql, "Moa") == [
        (1, day("2025-01-10"), 14, day("2025-04-20"), day("2025-04-01"), False)
    ]


def test_only_attended_contacts_count_and_rows_sent_twice_are_one(ask: Ask) -> None:
    assert ask(CONTACTS, "Moa") == [
        (1, 1, day("2025-01-30"), "5", True, True),
        (2, 1, day("2025-02-10"), "3", False, False),
        (3, 1, day("2025-02-24"), "6", True, True),
    ]
    sql = """SELECT attended_contact_count, first_contact_date, wait_days, is_access_under_18,
                    access_date
             FROM curated.mental_health_referral WHERE person_id = $child"""
    assert ask(sql, "Moa") == [(2, day("2025-01-30"), 20, True, day("2025-02-24"))]


def test_a_submission_that_was_replaced_no_longer_counts(ask: Ask) -> None:
    march = f"SELECT * FROM ({CONTACTS}) WHERE month(contact_date) = 3"
    assert ask(march, "Nat") == [(2, 1, day("2025-03-05"), "5", True, True)]


def test_the_latest_effective_row_counts(ask: Ask) -> None:
    january = f"SELECT * FROM ({CONTACTS}) WHERE month(contact_date) = 1"
    assert ask(january, "Nat") == [(1, 1, day("2025-01-09"), "5", True, True)]


def test_a_contact_before_its_referral_gives_no_wait(ask: Ask) -> None:
    sql = "SELECT wait_days FROM curated.mental_health_referral WHERE person_id = $child"
    assert ask(sql, "Nat") == [(None,)]


def test_a_wait_that_ends_in_the_month_of_death_is_not_told(ask: Ask) -> None:
    sql = """SELECT referral_date, first_contact_date, wait_days
             FROM curated.mental_health_referral WHERE person_id = $child"""
    assert ask(sql, "Milo") == [(day("2025-02-03"), day("2025-03-01"), None)]


def test_access_is_the_second_contact_under_18_that_is_not_in_writing(ask: Ask) -> None:
    sql = """SELECT contact_age_years, is_in_writing, is_attended, is_access_contact
             FROM curated.mental_health_contact WHERE person_id = $child ORDER BY contact_number"""
    assert ask(sql, "Oda") == [
        (17, False, True, True),
        (17, True, True, False),
        (17, True, True, False),
        (18, False, True, False),
    ]
    sql = """SELECT attended_contact_count, is_access_under_18, access_date
             FROM curated.mental_health_referral WHERE person_id = $child"""
    assert ask(sql, "Oda") == [(4, False, None)]


def test_refused_referrals_and_referrals_without_a_date(ask: Ask) -> None:
    sql = """SELECT referral_number, is_rejected, rejection_date, attended_contact_count, wait_days
             FROM curated.mental_health_referral WHERE person_id = $child"""
    assert ask(sql, "Pia") == [(1, True, day("2025-01-12"), 0, None)]
    assert ask(CONTACTS, "Pia") == [(1, None, day("2025-02-07"), "7", False, False)]


def test_community_contacts_of_an_infant(ask: Ask) -> None:
    sql = """SELECT contact_number, contact_date, is_date_coarsened, is_before_birth,
                    contact_age_years, is_attended, mandated_review, service_team_type_code
             FROM curated.community_contact WHERE person_id = $child ORDER BY 1"""
    assert ask(sql, "Quita") == [
        (1, day("2024-10-15"), False, True, None, True, "antenatal", "17"),
        (2, day("2024-12-01"), True, False, 0, True, None, "17"),
        (3, day("2025-01-01"), True, False, 0, True, "new birth", "17"),
        (4, day("2025-02-10"), False, False, 0, False, "6 to 8 weeks", "17"),
    ]


def test_patients_are_children_with_what_the_providers_say_of_them(ask: Ask) -> None:
    sql = """SELECT sex, birth_month, ethnicity_code FROM curated.child WHERE person_id = $child"""
    assert ask(sql, "Moa") == [("F", day("2010-05-01"), "WBRI")]
    assert ask(sql, "Quita") == [("M", day("2024-12-01"), None)]
