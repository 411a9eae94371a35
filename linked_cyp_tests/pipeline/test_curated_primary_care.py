"""Definitions of the general practice tables; the cases are in ``curated_primary_care_world``."""

from __future__ import annotations

import pytest

from linked_cyp_tests.pipeline.curated_primary_care_world import (
    ASTHMA,
    HEIGHT,
    MMR,
    SALBUTAMOL,
    SECOND_MMR,
    SIX_IN_ONE,
    WEIGHT,
)
from linked_cyp_tests.pipeline.world import Ask, World, day

TABLES = ("gp_registration", "gp_event", "prescription")


def test_the_next_regular_registration_ends_the_one_before(ask: Ask) -> None:
    sql = """SELECT registration_number, practice_code, registration_type, registration_start_date,
                    registration_end_date, end_basis
             FROM curated.gp_registration WHERE person_id = $child ORDER BY registration_number"""
    assert ask(sql, "Pia") == [
        (1, "A1", "regular", day("2015-06-01"), day("2018-03-05"), "next registration"),
        (2, "A2", "regular", day("2018-03-05"), None, None),
        (3, "A3", "temporary", day("2019-07-01"), day("2019-07-14"), "recorded"),
    ]


def test_copies_of_an_entry_are_one_and_units_are_alike(ask: Ask) -> None:
    sql = """SELECT event_date, event_age_years, snomed_code, result_value, result_unit, is_problem
             FROM curated.gp_event WHERE person_id = $child ORDER BY event_number"""
    assert ask(sql, "Pia") == [
        (day("2015-06-01"), 0, SIX_IN_ONE, None, None, False),
        (day("2016-07-15"), 1, MMR, None, None, False),
        (day("2018-01-10"), 2, ASTHMA, None, None, True),
        (day("2018-01-10"), 2, WEIGHT, 16.2, "kg", False),
        (day("2018-01-10"), 2, WEIGHT, 16.5, "kg", False),
        (day("2018-01-10"), 2, HEIGHT, 104.0, "cm", False),
        (day("2018-11-02"), 3, SECOND_MMR, None, None, False),
        (day("2018-11-02"), 3, MMR, None, None, False),
        (day("2019-01-10"), 3, ASTHMA, None, None, False),
    ]


def test_entries_are_in_lists_by_name_and_version(ask: Ask) -> None:
    sql = """SELECT codelist, codelist_version, count(*), count(DISTINCT event_number)
             FROM curated.gp_event_codelist WHERE person_id = $child GROUP BY ALL ORDER BY ALL"""
    assert ask(sql, "Pia") == [
        ("asthma", "1.0", 2, 2),
        ("body_height", "1.0", 1, 1),
        ("body_weight", "1.0", 2, 2),
    ]


def test_two_prescriptions_of_a_day_are_two_and_their_copies_none(ask: Ask) -> None:
    sql = """SELECT prescription_date, bnf_code, medicine_code, quantity_value, duration_days
             FROM curated.prescription WHERE person_id = $child ORDER BY prescription_number"""
    inhaler = (day("2018-01-10"), "03010101", SALBUTAMOL, 1.0, None)
    assert ask(sql, "Pia") == [
        inhaler,
        inhaler,
        (day("2018-02-10"), "03020000", None, None, 28),
    ]
    lists = """SELECT prescription_number, codelist FROM curated.prescription_codelist
               WHERE person_id = $child ORDER BY ALL"""
    assert ask(lists, "Pia") == [
        (1, "asthma_reliever"),
        (2, "asthma_reliever"),
        (3, "asthma_preventer"),
    ]


def test_a_vaccine_given_on_one_day_is_one_dose(ask: Ask) -> None:
    sql = """SELECT vaccine, immunisation_date, age_months, recorded_dose_number, course_position
             FROM curated.immunisation WHERE person_id = $child ORDER BY immunisation_number"""
    assert ask(sql, "Pia") == [
        ("six_in_one", day("2015-06-01"), 0, 1, 1),
        ("mmr", day("2016-07-15"), 13, None, 1),
        ("mmr", day("2018-11-02"), 41, 2, 2),
    ]


def test_a_teenage_booster_is_no_infant_dose(ask: Ask) -> None:
    sql = """SELECT vaccine, recorded_dose_number, course_position FROM curated.immunisation
             WHERE person_id = $child ORDER BY immunisation_number"""
    assert ask(sql, "Pip") == [
        ("five_in_one", 1, 1),
        ("five_in_one", 2, 2),
        ("five_in_one", 3, 3),
        ("teenage_booster", None, 1),
    ]


@pytest.mark.parametrize("table", TABLES)
def test_patients_who_are_out_are_in_no_table(ask: Ask, world: World, table: str) -> None:
    """Sensitive, test and deleted patients, and whose latest Type 1 code is a dissent."""
    people = {row[0] for row in ask(f"SELECT person_id FROM curated.{table}")}
    assert people & {world.persons[name] for name in ("Quill", "Rex", "Tam", "Ulf")} == set()
    assert world.persons["Sol"] in people


def test_type_1_codes_are_no_events(ask: Ask) -> None:
    sql = "SELECT count(*), count(*) FILTER (snomed_code = '195967001') FROM curated.gp_event"
    assert ask(f"{sql} WHERE person_id = $child", "Sol") == [(1, 1)]


def test_appointments_kept_and_missed(ask: Ask) -> None:
    sql = """SELECT appointment_number, appointment_date, appointment_age_years, is_attended,
                    is_missed
             FROM curated.gp_appointment WHERE person_id = $child ORDER BY appointment_number"""
    assert ask(sql, "Pia") == [
        (1, day("2015-06-01"), 0, True, False),
        (2, day("2018-01-10"), 2, False, True),
        (3, day("2018-01-10"), 2, True, False),
        (4, day("2025-06-01"), 10, False, False),
    ]


def test_encounters_and_referrals_and_their_copies(ask: Ask) -> None:
    met = """SELECT encounter_number, encounter_date, encounter_type_snomed_code
             FROM curated.gp_encounter WHERE person_id = $child ORDER BY encounter_number"""
    assert ask(met, "Pia") == [
        (1, day("2018-01-10"), "11429006"),
        (2, day("2018-01-10"), "11429006"),
        (3, day("2019-02-01"), None),
    ]
    referred = """SELECT referral_date, specialty_snomed_code, is_outgoing
                  FROM curated.gp_referral WHERE person_id = $child ORDER BY referral_number"""
    assert ask(referred, "Pia") == [
        (day("2018-01-10"), "394537008", True),
        (day("2019-02-01"), None, False),
    ]
