"""Definitions of who a child is and where it lives (cases in ``curated_identity_world``)."""

from __future__ import annotations

from linked_cyp_tests.pipeline.world import Ask, day


def test_a_feed_counts_once_a_year(ask: Ask) -> None:
    sql = "SELECT sex, ethnicity_code, ethnicity_source FROM curated.child WHERE person_id = $child"
    assert ask(sql, "Una") == [("F", "WIRT", "ssda903")]


def test_the_sources_own_codes_are_kept_with_their_year(ask: Ask) -> None:
    sql = """SELECT feed, collection_year, sex, source_sex_code, ethnicity_code,
                    source_ethnicity_code, record_count
             FROM curated.child_characteristic WHERE person_id = $child ORDER BY 1, 2"""
    assert ask(sql, "Una") == [
        ("ssda903", 2024, "F", "2", "WIRT", " wirt ", 1),
        ("ssda903", 2025, "F", "F", "WIRT", " wirt ", 1),
        ("sus_apc", 2025, "M", "1", "WOTH", "C", 4),
    ]
    # code 1 is none of the return of 2025, and NOBT says that nobody knows
    assert ask(sql, "Cal") == [("ssda903", 2025, None, "1", None, "NOBT", 1)]


def test_each_index_of_deprivation_goes_by_the_areas_of_its_census(ask: Ask) -> None:
    sql = """SELECT from_month, lsoa11_code, imd_2019_decile, imd_2019_quintile, lsoa21_code,
                    imd_2025_decile, imd_2025_quintile
             FROM curated.address_history WHERE person_id = $child"""
    assert ask(sql, "Vic") == [
        (day("2014-03-01"), "E01000010", 3, 2, "E01033769", 4, 2),
    ]


def test_schools_are_known_by_phase_and_kind_only(ask: Ask) -> None:
    sql = """SELECT feed, local_authority, school_id, phase, is_special_school, lowest_age,
                    highest_age
             FROM curated.school ORDER BY school_id"""
    assert ask(sql) == [
        ("school_census", "acton", 7, "Primary", False, 4, None),
        ("school_census", "acton", 8, None, True, None, 19),
    ]
    enrolled = """SELECT DISTINCT phase FROM curated.school_enrolment
                  JOIN curated.school USING (local_authority, school_id)
                  WHERE person_id = $child"""
    assert ask(enrolled, "Dee") == [("Primary",)]


def test_the_register_of_deaths_knows_best(ask: Ask) -> None:
    sql = "SELECT death_month FROM curated.child WHERE person_id = $child"
    assert ask(sql, "Ilse") == [(day("2025-01-01"),)]


def test_gender_identity_is_not_sex(ask: Ask) -> None:
    assert ask("SELECT sex FROM curated.child WHERE person_id = $child", "Ines") == [("U",)]
    sql = "SELECT sex, source_sex_code FROM curated.child_characteristic WHERE person_id = $child"
    assert ask(sql, "Ines") == [(None, "X")]


def test_stays_in_a_home_do_not_overlap_and_say_with_how_many_children(ask: Ask) -> None:
    sql = """SELECT stay_number, from_month, to_month, other_child_count, imd_2019_decile,
                    imd_2025_decile
             FROM curated.household WHERE person_id = $child ORDER BY stay_number"""
    assert ask(sql, "Iona") == [
        (1, day("2016-02-01"), day("2018-05-01"), 1, 3, 4),
        (2, day("2018-05-01"), None, 0, 9, 8),
    ]
    assert ask(sql, "Ivor") == [(1, day("2018-05-01"), None, 1, 3, 4)]
    assert ask(sql, "Isla") == []
    shared = """SELECT count(DISTINCT person_id) FROM curated.household
                GROUP BY household_id HAVING bool_or(person_id = $child) ORDER BY 1"""
    assert ask(shared, "Iona") == [(1,), (2,)]


def test_general_practice_gives_sex_and_birth_month(ask: Ask) -> None:
    sql = "SELECT sex, birth_month FROM curated.child WHERE person_id = $child"
    assert ask(sql, "Ivor") == [("F", day("2015-06-01"))]
    stays = (
        "SELECT feed, la_code, lsoa21_code FROM curated.address_history WHERE person_id = $child"
    )
    assert ask(stays, "Isla") == [("gp_olids", None, "E01000001")]
