"""Births, deaths and growth: definitions on hand-worked cases (``curated_birth_world``)."""

from __future__ import annotations

import json
from math import erf, log, sqrt
from pathlib import Path

import duckdb
import pytest

from linked_cyp_tests.pipeline.world import Ask, day


def test_a_birth_is_put_together_from_its_sources(ask: Ask) -> None:
    sql = """SELECT birth_month, is_registered, is_notified, has_maternity_record, gestation_weeks,
                    is_preterm, birth_weight_grams, is_low_birth_weight, confinement_birth_count,
                    birth_order_number, mother_age_years
             FROM curated.birth WHERE person_id = $child"""
    assert ask(sql, "Winnie") == [
        (day("2024-05-01"), True, True, False, 35, True, 2310, True, 1, 1, 31)
    ]
    # cancelled, so not registered; 9,500 grams is no birth weight
    assert ask(sql, "Xavi") == [
        (day("2024-05-01"), False, True, False, 40, False, None, None, None, None, None)
    ]
    assert ask(sql, "Yara") == [
        (day("2018-07-01"), True, False, True, 35, True, 2100, True, 2, None, None)
    ]


def test_the_last_of_several_values_counts_and_lists_end_there(ask: Ask) -> None:
    sql = "SELECT mother_smoking_at_delivery FROM curated.birth WHERE person_id = $child"
    assert ask(sql, "Yara") == [("04",)]


def test_a_stillborn_baby_is_in_no_table(ask: Ask) -> None:
    assert ask("SELECT count(*) FROM curated.birth WHERE mother_age_years = 33") == [(0,)]


def test_a_death_is_as_its_newest_current_entry_says(ask: Ask) -> None:
    sql = """SELECT death_month, registration_lag_months, is_neonatal, death_age_years,
                    underlying_cause_icd10_code, is_external_cause
             FROM curated.death WHERE person_id = $child"""
    assert ask(sql, "Zeno") == [(day("2023-11-01"), 9, False, 15, "X70", True)]
    assert ask(sql, "Abel") == [(day("2024-09-01"), 0, True, 0, None, None)]
    assert ask(sql, "Cyra") == []
    registered = "SELECT registration_month FROM curated.death WHERE person_id = $child"
    assert ask(registered, "Zeno") == [(day("2024-08-01"),)]  # not the 20th
    assert ask("SELECT death_month FROM curated.child WHERE person_id = $child", "Cyra") == [
        (None,)
    ]
    mentions = """SELECT mention_number, icd10_code FROM curated.death_mention
                  WHERE person_id = $child ORDER BY 1"""
    assert ask(mentions, "Zeno") == [(1, "X70"), (2, "T71")]
    assert ask(mentions, "Abel") == [(1, "P072")]


def test_a_category_counts_once_the_review_is_complete(ask: Ask) -> None:
    sql = """SELECT is_review_complete, category_code, modifiable_factors_code,
                    is_known_to_social_care, is_looked_after
             FROM curated.child_death_review WHERE person_id = $child"""
    assert ask(sql, "Zeno") == [(True, "2", "1", True, False)]


def test_child_deaths_by_register_panel_or_spine(ask: Ask) -> None:
    sql = """SELECT death_month, death_age_group, is_registered, is_reviewed, gestation_weeks
             FROM cohort.child_death WHERE person_id = $child"""
    assert ask(sql, "Zeno") == [(day("2023-11-01"), "15 to 17", True, True, None)]
    assert ask(sql, "Abel") == [(day("2024-09-01"), "neonatal", True, False, 24)]
    assert ask(sql, "Bruno") == [(day("2025-01-01"), "10 to 14", False, False, None)]
    assert ask(sql, "Cyra") == []


GROWTH = """SELECT measurement_number, measurement_date, source, height_cm, weight_kg, is_exchanged,
                   bmi, bmi_z_score, bmi_centile, score_basis, bmi_category_population,
                   bmi_category_clinical
            FROM curated.growth WHERE person_id = $child ORDER BY 1"""


def test_a_measurement_counts_once_and_exchanged_values_are_put_right(ask: Ask) -> None:
    # 17.5 kg at 1.05 m is 15.87; 40.1 kg at 1.462 m is 18.76. No table: the supplier's score.
    assert ask(GROWTH, "Dora") == [
        (
            *(1, day("2018-11-16"), "ncmp_upload", 105.0, 17.5, True),
            *(15.87, None, None, None, None, None),
        ),
        (
            *(2, day("2025-03-10"), "ncmp", 146.2, 40.1, False),
            *(18.76, 0.5, 0.6915, "supplier", "healthy weight", "healthy weight"),
        ),
    ]
    age = "SELECT age_months FROM curated.growth WHERE person_id = $child ORDER BY 1"
    # from the middle of March 2014 to 16 November 2018 are 4 years and 8 months
    assert ask(age, "Dora")[0][0] == pytest.approx(56, abs=0.1)


def test_practices_and_community_services_measure_children_too(ask: Ask) -> None:
    sql = """SELECT source, measurement_date, age_months, height_cm, weight_kg, bmi
             FROM curated.growth WHERE person_id = $child"""
    (finn,), (gwen,) = ask(sql, "Finn"), ask(sql, "Gwen")
    # 35 kg at 1.4 m; the weight of 350 kg is a slip
    assert (*finn[:2], *finn[3:]) == ("gp_olids", day("2024-06-03"), 140.0, 35.0, 17.86)
    assert gwen == ("csds", day("2024-12-01"), 0.0, 51.0, 3.6, 13.84)


def test_an_impossible_weight_has_no_index_and_nobody_is_measured_before_birth(ask: Ask) -> None:
    (row,) = ask(GROWTH, "Elin")
    assert row[6:12] == (None, None, None, None, None, None)


@pytest.fixture(scope="module")
def scored(built: Path, tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """The compiled model over an invented reference table and rows of measurements."""
    manifest = json.loads((built / "target" / "manifest.json").read_text(encoding="utf-8"))
    (model,) = (n for n in manifest["nodes"].values() if n["name"] == "growth")
    con = duckdb.connect()
    con.execute("ATTACH ':memory:' AS warehouse")
    for schema in ("staging", "curated", "reference"):
        con.execute(f"CREATE SCHEMA warehouse.{schema}")
    con.execute(
        """CREATE TABLE warehouse.reference.growth_reference AS
           SELECT * FROM (VALUES ('bmi', 'F', 120.0, -2.0, 16.0, 0.10),
                                 ('bmi', 'F', 132.0, -1.0, 18.0, 0.12),
                                 ('bmi', 'M', 120.0, 0.0, 16.0, 0.10),
                                 ('bmi', 'M', 132.0, 0.0, 16.0, 0.10))
                  AS r(measure, sex, age_months, l, m, s)"""
    )
    con.execute(
        """CREATE TABLE warehouse.curated.child AS
           SELECT *, NULL::DATE AS death_month
           FROM (VALUES (1, 'F', DATE '2014-03-01'), (2, 'M', DATE '2014-03-01'))
                  AS c(person_id, sex, birth_month)"""
    )
    con.execute(
        """CREATE TABLE warehouse.staging.int_growth_measurement AS
           SELECT person_id, source, measured AS measurement_date, '6' AS school_year_group,
                  100.0 AS height_cm, bmi::DOUBLE AS weight_kg, false AS is_exchanged,
                  supplier::DOUBLE AS supplier_bmi_z_score
           FROM (VALUES (1, 'gp_olids', DATE '2024-09-20', 20.0, NULL),
                        (1, 'ncmp', DATE '2024-10-20', 20.0, 1.5),
                        (1, 'gp_olids', DATE '2026-10-20', 20.0, NULL),
                        (2, 'gp_olids', DATE '2024-09-20', 19.2, NULL))
                AS m(person_id, source, measured, bmi, supplier)"""
    )
    con.execute(f"CREATE TABLE scored AS {model['compiled_code']}")
    return con


def z_score(value: float, l: float, m: float, s: float) -> float:  # noqa: E741
    return log(value / m) / s if l == 0 else ((value / m) ** l - 1) / (l * s)


def test_scores_follow_the_lms_method(scored: duckdb.DuckDBPyConnection) -> None:
    rows = scored.execute(
        """SELECT lms_bmi_z_score, bmi_z_score, bmi_centile, score_basis FROM scored
           ORDER BY person_id, measurement_number"""
    ).fetchall()
    days = (day("2024-09-20") - day("2014-03-16")).days
    share = (days / 30.4375 - 120) / 12  # of the way from one tabulated age to the next
    girl = z_score(20, -2 + share, 16 + 2 * share, 0.10 + 0.02 * share)
    boy = z_score(19.2, 0, 16, 0.10)  # without skewness: the logarithm
    assert rows[0][0] == pytest.approx(girl, abs=0.0006)
    assert rows[3][0] == pytest.approx(boy, abs=0.0006)
    assert rows[1][1:2] == (1.5,)  # the supplier knew the date of birth
    assert rows[1][0] == pytest.approx(girl, abs=0.2)
    assert rows[2] == (None, None, None, None)  # beyond the ages of the table
    assert [r[3] for r in rows] == ["reference table", "supplier", None, "reference table"]
    for _, score, centile, _ in rows:
        if score is not None:
            assert centile == pytest.approx(0.5 * (1 + erf(score / sqrt(2))), abs=0.0002)
