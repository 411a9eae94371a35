"""Every definition of the curated and cohort tables on small hand-worked cases (one dbt build).

The cases and their working are in ``curated_world``.
"""

from __future__ import annotations

import datetime
import json
from graphlib import TopologicalSorter
from pathlib import Path

import duckdb
import pytest

from linked_cyp.contracts.model import Contract
from linked_cyp_tests.pipeline.world import Ask, World, day


def test_best_known_sex_and_ethnicity(ask: Ask) -> None:
    sql = "SELECT sex, ethnicity_code, ethnicity_group, ethnicity_source FROM curated.child"
    who = f"{sql} WHERE person_id = $child"
    assert ask(who, "Ada") == [("M", "MWBC", "Mixed", "ssda903")]
    assert ask(who, "Ben") == [("M", None, "Unknown", None)]
    assert ask(who, "Cal") == [("U", None, "Unknown", None)]
    assert ask(who, "Dee") == [("F", "WOTH", "White", "school_census")]


def test_best_known_birth_and_death_month(ask: Ask) -> None:
    sql = "SELECT birth_month, death_month FROM curated.child WHERE person_id = $child"
    assert ask(sql, "Ada") == [(day("2012-05-01"), None)]
    assert ask(sql, "Dee") == [(day("2012-09-01"), day("2025-02-01"))]


def test_first_and_last_seen_by_source(ask: Ask) -> None:
    sql = """SELECT feed, first_seen_month, last_seen_month, record_count
             FROM curated.child_source WHERE person_id = $child ORDER BY feed"""
    assert ask(sql, "Ada") == [
        ("ssda903", day("2024-03-01"), day("2025-03-01"), 2),
        ("sus_apc", day("2024-06-01"), day("2024-06-01"), 1),
    ]


def test_the_weakest_link_gives_the_tier(ask: Ask) -> None:
    sql = "SELECT link_tier FROM curated.child WHERE person_id = $child"
    assert ask(sql, "Ada") == [("probable",)]
    by_feed = "SELECT feed, link_tier FROM curated.child_source WHERE person_id = $child"
    assert dict(ask(by_feed, "Ada")) == {"ssda903": "identifier", "sus_apc": "probable"}


def test_sensitive_and_withheld_people_are_in_no_table(ask: Ask, world: World) -> None:
    hidden = [world.persons[name] for name in ("Eve", "Nobody")]
    for schema, table in ask(
        """SELECT schema_name, table_name FROM duckdb_columns()
           WHERE schema_name IN ('curated', 'cohort') AND column_name = 'person_id'"""
    ):
        people = {row[0] for row in ask(f"SELECT person_id FROM {schema}.{table}")}
        assert people.isdisjoint(hidden), table


def test_addresses_become_stays_with_deprivation(ask: Ask) -> None:
    sql = """SELECT from_month, to_month, lsoa21_code, imd_2019_decile, imd_2019_quintile,
                    imd_2025_decile, imd_2025_quintile
             FROM curated.address_history WHERE person_id = $child ORDER BY from_month"""
    assert ask(sql, "Dee") == [
        (day("2012-09-01"), day("2018-07-01"), "E01000001", 9, 5, 8, 4),
        (day("2018-07-01"), None, "E01000002", 10, 5, 10, 5),
    ]


def test_a_referral_returned_twice_is_one_and_closes_no_earlier_than_it_opens(ask: Ask) -> None:
    sql = """SELECT referral_number, referral_date, closure_date, is_no_further_action,
                    last_return_year
             FROM curated.cin_referral WHERE person_id = $child"""
    assert ask(sql, "Fay") == [(1, day("2024-02-10"), day("2024-02-10"), False, 2025)]


def test_referrals_before_birth(ask: Ask) -> None:
    sql = """SELECT referral_number, referral_date, is_before_birth, is_no_further_action
             FROM curated.cin_referral WHERE person_id = $child ORDER BY 1"""
    assert ask(sql, "Gus") == [
        (1, day("2022-11-15"), True, True),
        (2, day("2023-06-01"), False, False),
    ]
    # fifteen working days after it, an exact target would tell the day of the enquiry
    enquiry = """SELECT section_47_start_date, initial_conference_target_date, referral_number
                 FROM curated.section_47 WHERE person_id = $child"""
    assert ask(enquiry, "Gus") == [(day("2023-06-01"), day("2023-07-01"), 2)]
    plan = """SELECT plan_start_date, plan_end_date FROM curated.child_protection_plan
              WHERE person_id = $child"""
    assert ask(plan, "Gus") == [(day("2023-06-01"), day("2025-03-31"))]


def test_a_default_date_is_no_date(ask: Ask) -> None:
    sql = "SELECT closure_date FROM curated.cin_referral WHERE person_id = $child"
    assert ask(sql, "Hal") == [(None,)]


def test_factors_are_those_of_the_return_the_assessment_is_kept_from(ask: Ask) -> None:
    sql = """SELECT assessment_number, referral_number, authorisation_date,
                    list_sort(list(factor_code))
             FROM curated.cin_assessment JOIN curated.cin_assessment_factor
             USING (person_id, assessment_number) WHERE person_id = $child GROUP BY ALL"""
    assert ask(sql, "Fay") == [(1, 1, day("2024-03-20"), ["16A", "4B"])]


PERIODS = """SELECT period_start_date, period_end_date, episode_count, is_short_break, end_basis,
                    period_end_reason_code, days_looked_after
             FROM curated.looked_after_period_of_care
             WHERE person_id = $child ORDER BY period_of_care_number"""


def test_episodes_without_a_gap_are_one_period_of_care(ask: Ask) -> None:
    assert ask(PERIODS, "Jon") == [
        (day("2023-05-01"), day("2024-09-01"), 2, False, "reported", "E4A", 489),
        (day("2025-01-10"), None, 1, False, "open", None, 80),
    ]


def test_starting_again_on_the_same_day_and_short_breaks_are_periods_of_their_own(ask: Ask) -> None:
    assert [row[:5] for row in ask(PERIODS, "Kim")] == [
        (day("2024-04-10"), day("2024-05-01"), 1, False, "reported"),
        (day("2024-05-01"), day("2024-06-01"), 1, False, "reported"),
        (day("2024-06-01"), None, 1, True, "open"),
    ]


def test_an_episode_left_open_and_not_returned_again_ends_at_the_year_end(ask: Ask) -> None:
    assert [row[:5] for row in ask(PERIODS, "Lee")] == [
        (day("2023-08-01"), day("2024-03-31"), 1, False, "not_returned")
    ]


def test_overlapping_episodes_are_made_to_follow_one_another(ask: Ask) -> None:
    sql = """SELECT episode_start_date, episode_end_date, end_basis
             FROM curated.looked_after_episode WHERE person_id = $child ORDER BY episode_number"""
    assert ask(sql, "Meg") == [
        (day("2024-07-01"), day("2024-10-01"), "next_episode"),
        (day("2024-10-01"), None, "open"),
    ]
    assert len(ask(PERIODS, "Meg")) == 1


def test_a_start_in_the_month_of_birth_shows_only_its_month(ask: Ask) -> None:
    [(start, end, *_, days)] = ask(PERIODS, "Ned")
    assert (start, end) == (day("2024-06-01"), day("2024-07-12"))
    assert end - datetime.timedelta(days=days) == start, "a duration must not give the date back"


def test_status_on_31_march_in_exclusive_groups(ask: Ask) -> None:
    sql = """SELECT year(year_end), is_looked_after, is_on_child_protection_plan, is_child_in_need,
                    social_care_group
             FROM curated.social_care_status WHERE person_id = $child ORDER BY year_end"""
    assert ask(sql, "Hal") == [(2025, True, True, True, "CLA")]
    assert ask(sql, "Ivy") == [(2024, False, False, True, "CIN")]
    # Gus's plan ends on 31 March 2025 itself; the referral that was no further action never counts.
    assert ask(sql, "Gus") == [
        (2024, False, True, True, "CPP"),
        (2025, False, False, True, "CIN"),
    ]
    assert ask(sql, "Rhys") == [(2025, False, False, True, "none")], "assessed as not in need"
    assert ask(sql, "Kim") == [], "a series of short breaks is not being looked after"
    assert ask(sql, "Jon") == [
        (2024, True, False, False, "CLA"),
        (2025, True, False, False, "CLA"),
    ]
    assert ask(sql, "Fay") == [], "closed by the newest return"
    # Open in the return of 2024, and no longer returned after it.
    assert ask(sql, "Lee") == [(2024, True, False, False, "CLA")]


def test_a_child_found_not_to_be_in_need_is_in_need_by_one_of_two_definitions(ask: Ask) -> None:
    sql = """SELECT is_child_in_need, is_assessed_in_need FROM curated.social_care_status
             WHERE person_id = $child"""
    assert ask(sql, "Rhys") == [(True, False)]
    assert ask(sql, "Ivy") == [(True, True)]
    sql = """SELECT is_no_further_action, is_assessed_not_in_need FROM curated.cin_referral
             WHERE person_id = $child"""
    assert ask(sql, "Rhys") == [(False, True)]


ABSENCE = """SELECT academic_year, possible_sessions, authorised_absence_sessions,
                    unauthorised_absence_sessions, is_persistently_absent, is_severely_absent,
                    term_count, school_count
             FROM curated.absence_year WHERE person_id = $child ORDER BY academic_year"""


def test_absence_is_one_term_in_arrears_and_a_tenth_is_persistent(ask: Ask) -> None:
    assert ask(ABSENCE, "Ola") == [
        (2024, 100, 10, 0, None, None, 1, 1),
        (2025, 380, 18, 20, True, False, 3, 1),
    ]
    assert ask(ABSENCE, "Bea") == [(2025, 400, 39, 0, False, False, 2, 1)]


def test_one_term_gives_no_outcome_of_a_year(ask: Ask) -> None:
    assert ask(ABSENCE, "Quin") == [(2025, 400, 39, 0, None, None, 1, 1)]


@pytest.mark.parametrize(
    ("child", "sessions", "is_persistent", "threshold"),
    [
        ("Lou", 21, False, 22),
        ("Moe", 22, True, 22),
        ("Jude", 55, False, 56),
        ("Ingo", 38, True, 38),
    ],
)
def test_persistent_absence_was_a_number_of_sessions_before_2015_16(
    ask: Ask, child: str, sessions: int, is_persistent: bool, threshold: int
) -> None:
    sql = """SELECT absence_sessions, is_persistently_absent, persistent_absence_rule
             FROM curated.absence_year WHERE person_id = $child"""
    assert ask(sql, child) == [(sessions, is_persistent, f"threshold of {threshold} sessions")]


def test_absence_sums_dual_registration_and_half_is_severe(ask: Ask) -> None:
    assert ask(ABSENCE, "Pat") == [(2025, 120, 0, 60, None, None, 1, 2)]
    assert ask(ABSENCE, "Asa") == [(2025, 120, 0, 60, True, True, 2, 1)]


def test_the_suppliers_totals_count_when_there_are_no_codes(ask: Ask) -> None:
    assert ask(ABSENCE, "Tia") == [(2025, 100, 4, 1, None, None, 1, 1)]


@pytest.mark.parametrize(
    ("child", "because"),
    [
        ("Ros", "more than 420 possible sessions"),
        ("Sam", "absence exceeds possible sessions"),
        ("Una", "not of compulsory school age"),
        ("Wes", "not of compulsory school age"),
    ],
)
def test_child_years_left_out_of_absence(ask: Ask, child: str, because: str) -> None:
    assert ask(ABSENCE, child) == []
    sql = "SELECT left_out_because FROM staging.int_absence_year WHERE person_id = $child"
    assert ask(sql, child) == [(because,)]


def test_age_15_on_31_august_counts_and_year_11s_summer_does_not(ask: Ask) -> None:
    assert [row[:2] for row in ask(ABSENCE, "Vic")] == [(2025, 100)]
    assert [row[:3] for row in ask(ABSENCE, "Xia")] == [(2025, 100, 5)]


def test_sessions_of_a_row_key_that_occurs_twice_belong_to_nobody(ask: Ask) -> None:
    assert ask(ABSENCE, "Yan") == ask(ABSENCE, "Zoe") == []
    enrolled = "SELECT count(*) FROM curated.school_enrolment WHERE person_id = $child"
    assert ask(enrolled, "Yan") == [(1,)]


def test_enrolment_needs_meals_and_language(ask: Ask) -> None:
    sql = """SELECT school_id, is_main_enrolment, is_free_school_meal_eligible
             FROM curated.school_enrolment WHERE person_id = $child AND term_number = 2
             ORDER BY school_id"""
    free = dict(
        zip(("Pat", "Quin", "Ola"), (ask(sql, c) for c in ("Pat", "Quin", "Ola")), strict=True)
    )
    assert [row[:2] for row in free["Pat"]] == [(7, True), (8, False)]
    assert {row[2] for row in free["Pat"]} == {True, False}
    assert free["Quin"] == [(7, True, False)]
    sql = """SELECT sen_level, is_english_additional_language FROM curated.school_enrolment
             WHERE person_id = $child AND term_number = 2"""
    assert ask(sql, "Ola") == [("SEN support", False)]


def test_a_suspension_returned_twice_is_one(ask: Ask) -> None:
    sql = """SELECT exclusion_start_date, academic_year, exclusion_category_code, is_permanent,
                    excluded_sessions FROM curated.exclusion WHERE person_id = $child"""
    assert ask(sql, "Ola") == [(day("2024-11-05"), 2025, "SUSP", False, 4)]


ADMISSIONS = """SELECT admission_date, discharge_date, length_of_stay_days, is_emergency,
                       is_birth, admission_age_years
                FROM curated.hospital_admission
                WHERE person_id = $child ORDER BY admission_number"""


def test_admissions_by_method_and_age(ask: Ask) -> None:
    assert ask(ADMISSIONS, "Jon") == [
        (day("2024-06-11"), day("2024-06-13"), 2, True, False, 12),
        (day("2024-10-20"), day("2024-10-20"), 0, False, False, 12),
    ]


def test_newest_submission_and_deletions_of_spells(ask: Ask) -> None:
    assert [row[:4] for row in ask(ADMISSIONS, "Kim")] == [
        (day("2024-06-02"), day("2024-07-01"), 29, True),
        (day("2024-06-07"), day("2024-06-09"), 2, True),
    ]
    assert len(ask(ADMISSIONS, "Lee")) == 1


def test_birth_and_birth_month_admissions_show_only_months(ask: Ask) -> None:
    assert ask(ADMISSIONS, "Ned") == [
        (day("2024-06-01"), day("2024-06-01"), 2, False, True, 0),
        # twelve nights into July began in the last twelve days of June
        (day("2024-06-01"), day("2024-07-01"), None, True, False, 0),
    ]
    sql = "SELECT episode_start_date, episode_end_date FROM curated.hospital_episode"
    assert ask(f"{sql} WHERE person_id = $child", "Ned") == [(day("2024-06-01"), day("2024-06-01"))]


def test_icd10_codes_are_cleaned(ask: Ask) -> None:
    sql = """SELECT source_icd10_code, icd10_code FROM curated.hospital_diagnosis
             WHERE person_id = $child"""
    assert dict(ask(sql, "Jon")) == {
        "J45.9": "J459",
        "E10X": "E10",
        "S52.5": "S525",
        "W01X": "W01",
        "S52.50": "S5250",
        "K02-": "K02",
        "not a code": None,
    }


def test_diagnosis_groups(ask: Ask) -> None:
    sql = """SELECT admission_number, episode_number, diagnosis_position, diagnosis_group
             FROM curated.hospital_diagnosis_group WHERE person_id = $child ORDER BY ALL"""
    # E10 counts in any position; the second spell's S52 has no external cause and its K02 is not
    # primary, so it has no group.
    assert ask(sql, "Jon") == [
        (1, 1, 1, "asthma"),
        (1, 1, 2, "diabetes_type1"),
        (1, 2, 1, "injury"),
    ]
    primary = "SELECT primary_icd10_code FROM curated.hospital_admission WHERE person_id = $child"
    assert ask(f"{primary} ORDER BY admission_number", "Jon") == [("J459",), ("S5250",)]


def test_cohort_of_admissions_of_looked_after_children(ask: Ask) -> None:
    sql = """SELECT admission_number, is_during_period_of_care, period_of_care_number,
                    is_before_first_care
             FROM cohort.looked_after_hospital_admission WHERE person_id = $child ORDER BY 1"""
    assert ask(sql, "Jon") == [(1, True, 1, False), (2, False, None, False)]
    assert ask(sql, "Ned") == [(1, None, None, None), (2, None, None, None)]
    assert ask(sql, "Abe") == [(1, None, None, None), (2, True, 1, False)]
    assert ask(sql, "Ada") == [], "never looked after: a header without an episode"


def test_cohort_of_absence_by_social_care_status(ask: Ask) -> None:
    sql = """SELECT academic_year, social_care_group FROM cohort.persistent_absence_cin_status
             WHERE person_id = $child ORDER BY 1"""
    assert ask(sql, "Hal") == [(2025, "CLA")]
    # Acton's return of 2025 was accepted; it made none of 2024.
    assert ask(sql, "Ola") == [(2024, "not known"), (2025, "none")]


def test_no_supplier_key_reaches_curated_or_cohort(ask: Ask) -> None:
    columns = ask(
        """SELECT table_name, column_name, data_type FROM duckdb_columns()
           WHERE schema_name IN ('curated', 'cohort')"""
    )
    assert len(columns) > 100
    unwanted = ("record_key", "delivery_id", "row_number", "child_id", "pupil_id", "spell_id")
    assert [c for c in columns if c[1] in unwanted or "postcode" in c[1]] == []
    # The school, under either of its numbers, and the home are the only tokens left.
    tokens = {c[1] for c in columns if c[2] == "BIGINT"}
    assert tokens == {"person_id", "school_id", "household_id"}


def test_every_table_and_column_says_what_it_is_and_by_whose_definition(ask: Ask) -> None:
    tables = ask(
        "SELECT table_name, comment FROM duckdb_tables() WHERE schema_name IN ('curated', 'cohort')"
    )
    assert [t for t, text in tables if not text or "Grain:" not in text] == []
    columns = ask(
        """SELECT table_name || '.' || column_name, comment FROM duckdb_columns()
           WHERE schema_name IN ('curated', 'cohort')"""
    )
    assert [c for c, text in columns if not text or "Source:" not in text] == []


def test_every_model_states_and_tests_its_grain(built: Path) -> None:
    manifest = json.loads((built / "target" / "manifest.json").read_text(encoding="utf-8"))
    tested = {
        (node["attached_node"], tuple(kwargs.get("columns", [kwargs.get("column_name")])))
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test"
        and (meta := node.get("test_metadata"))
        and meta["name"] in ("unique_together", "unique")
        for kwargs in [meta["kwargs"]]
    }
    models = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] in ("curated", "cohort")
    ]
    assert models
    untested = [
        node["name"]
        for node in models
        if (node["unique_id"], tuple(node["config"]["meta"].get("grain", ()))) not in tested
    ]
    assert untested == []


def test_a_feed_that_never_delivered_gives_empty_tables(
    tmp_path: Path, contracts: dict[str, Contract], built: Path
) -> None:
    """The SQL dbt compiled, run in dbt's order on a warehouse without a single row."""
    warehouse = tmp_path / "warehouse.duckdb"
    World().write(warehouse, contracts)
    manifest = json.loads((built / "target" / "manifest.json").read_text(encoding="utf-8"))
    models = {k: n for k, n in manifest["nodes"].items() if n["resource_type"] == "model"}
    needs = {k: [d for d in n["depends_on"]["nodes"] if d in models] for k, n in models.items()}
    with duckdb.connect(":memory:") as con:
        con.execute(f"ATTACH '{built / 'warehouse.duckdb'}' AS other (READ_ONLY)")
        con.execute(f"ATTACH '{warehouse}' AS warehouse")
        for schema in ("staging", "curated", "cohort"):
            con.execute(f"CREATE SCHEMA warehouse.{schema}")
        for node in manifest["nodes"].values():
            if node["resource_type"] == "seed":
                name = f"reference.{node['name']}"
                con.execute(f"CREATE TABLE warehouse.{name} AS FROM other.{name}")
        counts = {}
        for key in TopologicalSorter(needs).static_order():
            node = models[key]
            name = f"warehouse.{node['schema']}.{node['name']}"
            kind = "VIEW" if node["schema"] == "staging" else "TABLE"
            con.execute(f"CREATE {kind} {name} AS {node['compiled_code']}")
            counts[node["name"]] = con.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
    assert len(counts) > 40
    assert {name for name, count in counts.items() if count} == set()
