"""Outpatient and emergency care, readmission and avoidable admissions on hand-worked cases.

The cases and their working are in ``curated_hospital_world``.
"""

from __future__ import annotations

import pytest

from linked_cyp_tests.pipeline.world import Ask, day

APPOINTMENTS = """SELECT appointment_date, attendance_status_code, is_attended, is_missed,
                         cancelled_by
                  FROM curated.outpatient_appointment
                  WHERE person_id = $child ORDER BY appointment_number"""


def test_appointments_that_count_and_whether_they_were_kept(ask: Ask) -> None:
    assert ask(APPOINTMENTS, "Opal") == [
        (day("2024-06-03"), "5", True, False, None),
        (day("2024-06-05"), "6", True, False, None),
        (day("2024-06-07"), "3", False, True, None),
        (day("2024-06-10"), "2", False, False, "patient"),
        (day("2024-06-14"), "7", False, False, None),
        (day("2024-06-15"), "4", False, False, "provider"),
    ]


def test_first_appointment_and_how_it_was_held(ask: Ask) -> None:
    sql = """SELECT is_first_appointment, is_face_to_face, appointment_age_years
             FROM curated.outpatient_appointment
             WHERE person_id = $child AND appointment_number <= 2 ORDER BY appointment_number"""
    assert ask(sql, "Opal") == [(True, False, 9), (False, True, 9)]


def test_outpatient_codes_come_from_the_submission_that_counts(ask: Ask) -> None:
    diagnoses = """SELECT appointment_number, diagnosis_position, icd10_code, source_icd10_code
                   FROM curated.outpatient_diagnosis WHERE person_id = $child"""
    assert ask(diagnoses, "Opal") == [(1, 1, "J459", "J45.9")]
    procedures = """SELECT appointment_number, procedure_position, opcs4_code
                    FROM curated.outpatient_procedure WHERE person_id = $child"""
    assert ask(procedures, "Opal") == [(1, 1, "X623")]


def test_the_month_of_birth_shows_no_days(ask: Ask) -> None:
    sql = """SELECT appointment_date, is_date_coarsened, referral_received_date
             FROM curated.outpatient_appointment WHERE person_id = $child
             ORDER BY appointment_number"""
    june = day("2024-06-01")
    assert ask(sql, "Ida") == [(june, True, june), (day("2024-07-20"), False, june)]
    sql = """SELECT arrival_date, is_date_coarsened FROM curated.emergency_attendance
             WHERE person_id = $child"""
    assert ask(sql, "Ida") == [(june, True)]


def test_the_month_of_death_shows_no_days(ask: Ask) -> None:
    sql = """SELECT admission_date, discharge_date, length_of_stay_days, episode_start_date
             FROM curated.hospital_admission
             JOIN curated.hospital_episode USING (person_id, admission_number)
             WHERE person_id = $child ORDER BY admission_number"""
    may, june = day("2024-05-01"), day("2024-06-01")
    assert ask(sql, "Odo") == [
        (day("2024-05-10"), day("2024-05-12"), 2, day("2024-05-10")),
        (may, june, None, may),  # of one night, it would have been the last of May to the first
    ]
    # 16 days later, but with that, and the length of stay, the day of death would be known
    assert [row[2:] for row in ask(READMITTED, "Odo")] == [(True, 2, None), (False, None, None)]
    sql = """SELECT appointment_date, is_date_coarsened FROM curated.outpatient_appointment
             WHERE person_id = $child ORDER BY appointment_number"""
    assert ask(sql, "Odo") == [(day("2024-05-20"), False), (june, True)]


def test_a_death_in_hospital_shows_no_days_where_no_source_has_its_month(ask: Ask) -> None:
    sql = """SELECT admission_date, discharge_date FROM curated.hospital_admission
             WHERE person_id = $child"""
    assert ask(sql, "Dot") == [(day("2024-03-01"), day("2024-03-01"))]


@pytest.mark.parametrize(
    "table", ["hospital_admission", "emergency_attendance", "outpatient_appointment"]
)
def test_a_record_that_was_corrected_to_somebody_else_is_not_the_first_ones(
    ask: Ask, table: str
) -> None:
    assert ask("SELECT count(*) FROM curated.child WHERE person_id = $child", "Wim") == [(1,)]
    assert ask(f"SELECT * FROM curated.{table} WHERE person_id = $child", "Wim") == []


def test_attendances_and_what_followed(ask: Ask) -> None:
    sql = """SELECT attendance.arrival_date, is_major_department, attendance.is_unplanned,
                    is_over_four_hours, is_decision_to_admit, is_injury_related,
                    is_safeguarding_concern_recorded, admission.admission_date
             FROM curated.emergency_attendance AS attendance
             LEFT JOIN curated.hospital_admission AS admission
                 USING (person_id, admission_number)
             WHERE attendance.person_id = $child ORDER BY attendance_number"""
    assert ask(sql, "Edie") == [
        (day("2024-06-10"), True, True, True, True, False, False, day("2024-06-11")),
        (day("2024-06-20"), False, True, False, False, True, True, None),
        (day("2024-06-22"), True, False, None, False, False, False, None),
    ]


def test_the_primary_diagnosis_leads_and_unapproved_codes_stay(ask: Ask) -> None:
    sql = """SELECT first_diagnosis_snomed_code FROM curated.emergency_attendance
             WHERE person_id = $child AND attendance_number = 1"""
    assert ask(sql, "Edie") == [("195967001",)]
    sql = """SELECT diagnosis_position, diagnosis_snomed_code, is_primary, is_approved_code
             FROM curated.emergency_diagnosis
             WHERE person_id = $child AND attendance_number = 1 ORDER BY diagnosis_position"""
    assert ask(sql, "Edie") == [(1, "271807003", False, False), (2, "195967001", True, True)]


READMITTED = """SELECT admission_number, excluded_because, is_readmitted, readmission_number,
                       days_to_readmission
                FROM curated.emergency_readmission
                WHERE person_id = $child ORDER BY admission_number"""


@pytest.mark.parametrize(
    ("child", "rows"),
    [
        (
            "Rae",
            [(1, None, True, 2, 15), (2, None, False, None, None), (3, None, False, None, None)],
        ),
        (
            "Roy",
            [
                (1, None, False, None, None),
                (2, "day_or_regular", True, 3, 5),
                (3, None, False, None, None),
            ],
        ),
        ("Cass", [(1, "cancer", False, None, None), (2, "cancer", False, None, None)]),
        ("Dot", [(1, "died", False, None, None)]),
        ("Tia", [(2, None, False, None, None)]),
        ("Uma", [(2, None, False, None, None)]),
        ("Hew", [(1, None, True, 2, 1), (2, None, False, None, None)]),
        ("Gil", [(1, None, False, None, None), (2, None, False, None, None)]),
        ("Ida", [(1, None, True, 2, None), (2, None, False, None, None)]),
    ],
)
def test_readmission_within_30_days_of_the_last_discharge(
    ask: Ask, child: str, rows: list[tuple]
) -> None:
    assert ask(READMITTED, child) == rows


STAYS = """SELECT stay_number, first_admission_number, last_admission_number, admission_date,
                  discharge_date, length_of_stay_days, spell_count, provider_count
           FROM curated.hospital_continuous_stay WHERE person_id = $child ORDER BY stay_number"""


@pytest.mark.parametrize(
    ("child", "rows"),
    [
        ("Uma", [(1, 1, 2, "2024-03-01", "2024-03-10", 9, 2, 2)]),
        (
            "Hew",
            [
                (1, 1, 1, "2024-03-01", "2024-03-05", 4, 1, 1),
                (2, 2, 2, "2024-03-06", "2024-03-10", 4, 1, 1),
            ],
        ),
        (
            "Nan",
            [
                (1, 1, 3, "2024-03-01", "2024-03-07", 6, 2, 1),
                (2, 2, 2, "2024-03-05", "2024-03-05", 0, 1, 1),
            ],
        ),
    ],
)
def test_a_move_to_another_hospital_continues_the_stay(
    ask: Ask, child: str, rows: list[tuple]
) -> None:
    assert ask(STAYS, child) == [(*row[:3], day(row[3]), day(row[4]), *row[5:]) for row in rows]


METHODS = """SELECT admission_method_code, admission_type, is_emergency, is_transfer, is_birth,
                    is_unplanned
             FROM curated.hospital_admission WHERE person_id = $child ORDER BY admission_number"""


def test_a_transfer_and_a_birth_at_home_are_no_unplanned_admissions(ask: Ask) -> None:
    assert ask(METHODS, "Gil") == [
        ("21", "emergency", True, False, False, True),
        ("2B", "transfer", True, True, False, False),
    ]
    assert ask(METHODS, "Ida")[0] == ("82", "birth", False, False, True, False)


def test_a_birth_that_came_back_is_known_as_one(ask: Ask) -> None:
    sql = """SELECT admission_number, is_birth FROM curated.emergency_readmission
             WHERE person_id = $child ORDER BY admission_number"""
    assert ask(sql, "Ida") == [(1, True), (2, False)]


def test_procedures_are_coded_without_dots(ask: Ask) -> None:
    sql = """SELECT admission_number, episode_number, procedure_position, opcs4_code
             FROM curated.hospital_procedure WHERE person_id = $child"""
    assert ask(sql, "Edie") == [(1, 1, 1, "F344")]


def test_critical_care_is_as_coarse_as_its_admission(ask: Ask) -> None:
    sql = """SELECT admission_number, critical_care_start_date, critical_care_end_date,
                    basic_respiratory_days
             FROM curated.hospital_critical_care WHERE person_id = $child
             ORDER BY admission_number"""
    june = day("2024-06-01")
    assert ask(sql, "Ida") == [
        (1, june, june, 1),
        (2, day("2024-07-05"), day("2024-07-06"), 1),
    ]


def test_discharges_too_new_to_be_followed_say_so(ask: Ask) -> None:
    sql = """SELECT bool_and(is_follow_up_complete) FROM curated.emergency_readmission
             WHERE person_id = $child"""
    assert ask(sql, "Rae") == [(True,)]
    newest = """SELECT count(*) FILTER (is_follow_up_complete),
                       count(*) FILTER (NOT is_follow_up_complete)
                FROM curated.emergency_readmission
                JOIN curated.hospital_admission USING (person_id, admission_number)
                WHERE discharge_date > (
                    SELECT last_day(max(period_month)) - 29 FROM staging.stg_delivery
                    WHERE feed = 'sus_apc')"""
    assert ask(newest)[0][0] == 0


def test_avoidable_admission_and_the_year_before(ask: Ask) -> None:
    sql = """SELECT admission_date, diagnosis_group, condition_kind, admission_age_years,
                    is_zero_night_stay, is_through_emergency_department,
                    emergency_admissions_year_before, emergency_attendances_year_before,
                    outpatient_attendances_year_before, missed_appointments_year_before
             FROM curated.avoidable_admission WHERE person_id = $child"""
    assert ask(sql, "Ash") == [(day("2024-06-11"), "asthma", "chronic", 9, True, True, 1, 2, 1, 1)]
    assert ask(sql, "Rae") == []
