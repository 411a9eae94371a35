"""The report on linkage: what it measures, what it says, and what it must not say."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from types import SimpleNamespace

import duckdb
import polars as pl
import pytest

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.expectations import CheckOutcome, run_rules
from linked_cyp.identity.comparisons import NULL_LEVEL, comparison_levels, level_number
from linked_cyp.identity.person_records import DDL
from linked_cyp.linkage.attacks.store import Attacked, write_attacks
from linked_cyp.linkage.attacks.suite import SCHEMA as ATTACKS
from linked_cyp.linkage.pairs.edges import classed_pairs_sql, prior_weight
from linked_cyp.linkage.persons.bridge import publish_bridge
from linked_cyp.linkage.persons.joining import REASONS
from linked_cyp.linkage.report import counts, estimates, quality, rates, rules
from linked_cyp.linkage.report.drift import stability
from linked_cyp.linkage.report.evaluate import pairwise
from linked_cyp.linkage.report.groups import panel
from linked_cyp.linkage.report.run import write_report
from linked_cyp.linkage.review.tables import ensure_tables
from linked_cyp.release.gate import gate
from linked_cyp.stores import provenance
from linked_cyp.stores.door import Stores
from linked_cyp_tests.browser_support import DESKTOP, PHONE, browser, opened, violations
from linked_cyp_tests.support import no_opt_outs
from linked_cyp_tests.unit.linkage.linkage_population import Population, population
from linked_cyp_tests.unit.linkage.test_run import Run

SEEDS = PROJECT_ROOT / "dbt_project" / "seeds"
DAY = dt.date(2025, 1, 31)


@pytest.fixture(scope="module")
def contracts():
    return load_contracts(PROJECT_ROOT / "data_contracts")


@pytest.fixture(scope="module")
def people() -> Population:
    """Children whose record keys are as long as real ones, so that a page cannot hold one."""
    found = population(300)
    key = pl.col("record_key") * 1_000_000_007 + 10**15
    return Population(found.identities.with_columns(key), found.truth.with_columns(key))


@pytest.fixture(scope="module")
def reported(tmp_path_factory, people, contracts) -> SimpleNamespace:
    """A linked population with pseudonymised tables and known truth, and its report."""
    run = Run(tmp_path_factory.mktemp("report"))
    run.stores = Stores(replace(run.stores.settings, dbt_project=PROJECT_ROOT / "dbt_project"))
    run.link(people.identities)
    run.register(DAY)
    with run.open() as con:
        pseudonymise(con, people)
        decide(con)
        attack(con)
    tell_truth(run.stores.settings.home / "truth", people)
    with pytest.MonkeyPatch.context() as patch:
        known = people.truth.join(
            people.identities.select("record_key", "source"), on="record_key"
        ).with_columns(pl.col("source").replace_strict(FEEDS, return_dtype=pl.String).alias("feed"))
        patch.setattr("linked_cyp.linkage.report.run.known_truth", lambda *_: known)
        written = write_report(run.stores, contracts)
    html = (run.stores.settings.home / written.path).read_text(encoding="utf-8")
    return SimpleNamespace(run=run, written=written, html=html, truth=known)


FEEDS = {0: "pds_demographics", 1: "school_census", 2: "ssda903", 3: "sus_apc"}


def pseudonymise(con: duckdb.DuckDBPyConnection, people: Population) -> None:
    """The tables of the warehouse that say which group a child belongs to."""
    con.execute(
        """CREATE SCHEMA warehouse.pseudonymised;
        CREATE TABLE warehouse.pseudonymised.delivery AS SELECT 'd1' AS delivery_id,
            'brent' AS supplier, 'pds_demographics' AS feed, '2024' AS period,
            2024 AS collection_year, 'accepted' AS status, 500 AS rows_received,
            480 AS rows_accepted, 20 AS rows_quarantined"""
    )
    spine = people.identities.filter(pl.col("source") == 0).select(
        pl.lit("d1").alias("delivery_id"),
        "record_key",
        pl.col("birth_date").dt.truncate("1mo").alias("birth_month"),
        pl.col("sex").cast(pl.String).alias("sex_code"),
        pl.when(pl.col("record_key") % 3 == 0).then(pl.lit("A")).otherwise(pl.lit("N"))
        .alias("ethnicity_code"),
    )  # fmt: skip
    con.register("spine", spine.to_arrow())
    con.execute("CREATE TABLE warehouse.pseudonymised.pds_demographics__person AS FROM spine")
    con.unregister("spine")


def decide(con: duckdb.DuckDBPyConnection) -> None:
    """A reviewer called some pairs of the strongest linked by names the same, and one not."""
    ensure_tables(con)
    con.execute(
        f"""CREATE TEMP TABLE drawn AS
        SELECT *, row_number() OVER (ORDER BY match_weight DESC, record_key_l) AS n
        FROM {classed_pairs_sql(prior_weight(con))} QUALIFY n <= 12;
        INSERT INTO linkage.main.review_pair
        SELECT 's', n, record_key_l, record_key_r, edge_class, NULL, edge_class, 12, 1, weight,
            match_weight, model_id FROM drawn;
        INSERT INTO linkage.main.decision
        SELECT n, record_key_l, record_key_r, CASE WHEN n = 1 THEN 'different' ELSE 'same' END,
            'r', '', TIMESTAMP '2025-02-01', 's', match_weight, model_id FROM drawn;
        DROP TABLE drawn"""
    )


def attack(con: duckdb.DuckDBPyConnection) -> None:
    """Results of two seeds, as the attack suite keeps them."""
    results = {"attack": "rank", "encoding": "hardened", "field": "forename", "column": "names",
               "known": 0, "attacked": 200, "baseline": 0.0625}  # fmt: skip
    rows = [
        results | {"seed": seed, "correct": n, "rate": n / 200} for seed, n in ((1, 20), (2, 30))
    ]
    about = Attacked(1, DAY, 1, 223, 223, dt.datetime(2025, 2, 3))
    write_attacks(con, pl.DataFrame(rows, schema=ATTACKS), about)


def tell_truth(folder, people: Population) -> None:
    folder.mkdir()
    child = people.truth["child"].unique().sort()
    first = people.identities.join(people.truth, on="record_key").unique("child", keep="first")
    origin = pl.when(pl.col("child") % 4 == 0).then(pl.lit("tamil")).otherwise(pl.lit("english"))
    first.sort("child").select(
        pl.col("child").alias("person_id"),
        pl.col("child").alias("child_id"),
        pl.col("child").alias("household_id"),
        pl.col("birth_date").alias("birth"),
        pl.col("sex").replace_strict({1: "M", 2: "F"}, return_dtype=pl.String),
        pl.lit("WBRI").alias("ethnicity"),
        origin.alias("origin"),
        pl.lit(None, dtype=pl.Int64).alias("twin_group"),
    ).write_parquet(folder / "person.parquet")
    pl.DataFrame(
        {"household_id": child, "from_day": dt.date(2010, 1, 1), "area": 0, "decile": 3}
    ).write_parquet(folder / "address.parquet")
    pl.DataFrame({"area": [0], "authority": [991]}).write_parquet(folder / "school.parquet")


def row(frame: pl.DataFrame, measure: str, **where: str) -> dict:
    found = quality.pick(frame, measure, **where)
    assert found.height == 1, (measure, where)
    return found.row(0, named=True)


def test_quality_against_truth_is_the_pairwise_one(reported):
    persons = reported.run.frame(
        "SELECT record_key, person_id AS person FROM warehouse.linkage.bridge"
    )
    expected = pairwise(persons, reported.truth)
    found = row(reported.written.measures, "recall", basis="truth", group_kind="")
    assert (found["numerator"], found["denominator"]) == (expected.correct, expected.true)
    assert found["low"] < expected.recall <= found["high"]
    by_origin = quality.pick(reported.written.measures, "recall", group_kind="name origin")
    assert set(by_origin["group_value"]) == {"tamil", "english"}
    assert by_origin["denominator"].sum() == expected.true
    pairs = quality.pick(reported.written.measures, "recall", group_kind="source pair")
    assert pairs["denominator"].sum() == expected.true


def test_the_measures_are_kept_and_a_second_report_replaces_them(reported, contracts):
    kept = reported.run.frame(f"FROM {quality.TABLE}")
    assert kept.schema == quality.SCHEMA
    assert kept.height == reported.written.measures.height
    assert kept["run_date"].unique().to_list() == [DAY]


def test_every_rule_holds(reported):
    with reported.run.open() as con:
        failed = [
            outcome.name
            for outcome in run_rules(con, quality.TABLE, rules.quality_rules())
            if not outcome.passed and outcome.severity == "error"
        ]
    assert failed == []


def test_the_page_holds_no_key_and_no_identifier(reported, people):
    with reported.run.open() as con:
        records = con.execute("FROM linkage.main.person_record").pl()
        ids = con.execute("SELECT person_id FROM warehouse.linkage.bridge").pl()
    numbers = {
        str(value)
        for frame in (records, ids)
        for column in frame.columns
        if frame[column].dtype == pl.Int64
        for value in frame[column].drop_nulls().to_list()
        if abs(value) > 10**9
    }
    clear = {
        str(value)
        for column in ("nhs_number", "upn", "la_child_id", "forename", "surname", "postcode")
        for value in people.identities[column].drop_nulls().to_list()
        if len(str(value)) > 4
    }
    assert len(numbers) > 5_000
    assert len(clear) > 1_000
    said = set(re.findall(r"-?\d{9,}", reported.html))
    assert not said & numbers
    assert not [value for value in clear if value in reported.html]


def test_the_page_is_one_file(reported):
    addresses = set(re.findall(r"https?://[^\"'\s)<]+", reported.html))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"<script|<link|<iframe|@import|url\((?!#)| src=", reported.html)
    assert reported.html.count("<svg") >= 5
    assert reported.html.count("<caption>") == reported.html.count("<table>")
    for found in (
        "GUILD",
        "12.5\u00a0(0.0\u00a0to",
        "3 February 2025",
        "225 children",
        "invented",
        "Match weights of the model",
    ):
        assert found in reported.html


def test_nothing_on_the_page_is_in_anyones_way(reported):
    page = reported.run.stores.settings.home / reported.written.path
    with browser() as started:
        for width in (PHONE, DESKTOP):
            with opened(started, page, width) as shown:
                assert violations(shown) == []


def test_only_its_owner_may_read_the_page(reported):
    home = reported.run.stores.settings.home
    for path in (home / reported.written.path, home / "reports" / "linkage" / "latest.html"):
        assert path.stat().st_mode & 0o077 == 0
    assert (home / "reports/linkage/latest.html").read_text(encoding="utf-8") == reported.html


def test_decisions_take_the_place_of_weights(reported):
    plain = row(reported.written.measures, "precision", basis="estimate", group_kind="")
    reviewed = row(reported.written.measures, "precision_reviewed", group_kind="")
    assert plain["low"] is None
    assert reviewed["low"] < reviewed["value"] < reviewed["high"] <= 1
    assert reviewed["value"] < plain["value"]  # one of twelve was not the same


def test_linkage_rates_are_those_of_the_source(reported, people):
    found = reported.written.measures
    spine = people.identities.filter(pl.col("source") == 0)
    whole = row(found, "linked_to_other", feed="pds_demographics", group_kind="")
    assert whole["denominator"] == spine.height
    sexes = quality.pick(found, "linked_to_other", feed="pds_demographics", group_kind="sex")
    assert dict(sexes.select("group_value", "denominator").iter_rows()) == {
        "male": spine.filter(pl.col("sex") == 1).height,
        "female": spine.filter(pl.col("sex") == 2).height,
    }
    ethnicity = quality.pick(found, "linked_to_other", group_kind="ethnicity")
    assert set(ethnicity["group_value"]) == {"White", "Black"}
    # A source that says nothing of its children's groups has none.
    assert not quality.pick(found, "linked_to_spine", feed="sus_apc", group_kind="sex").height
    assert row(found, "linked_to_spine", feed="sus_apc", group_kind="")["denominator"] > 50


def test_no_records_at_all_can_be_reported(tmp_path, people, contracts):
    run = Run(tmp_path)
    run.stores = Stores(replace(run.stores.settings, dbt_project=PROJECT_ROOT / "dbt_project"))
    run.link(people.identities.clear())
    run.register(DAY)
    written = write_report(run.stores, contracts)
    with run.open() as con:
        outcomes = run_rules(con, quality.TABLE, rules.quality_rules())
    assert [o.name for o in outcomes if not o.passed] == []
    page = (tmp_path / written.path).read_text(encoding="utf-8")
    assert "0 records" in page
    assert "The attack suite has not been run" in page


def test_nothing_to_report_on_is_said_without_values(tmp_path, contracts):
    run = Run(tmp_path)
    with run.open():
        pass
    with pytest.raises(LinkedCypError) as told:
        write_report(run.stores, contracts)
    assert told.value.__cause__ is None
    assert told.value.__context__ is None
    assert not (tmp_path / "reports").exists()


def frame_of(*rows: tuple) -> pl.DataFrame:
    """Measures from (measure, group_kind, group_value, numerator, denominator)."""
    names = ["measure", "group_kind", "group_value", "numerator", "denominator"]
    return quality.measures(pl.DataFrame(rows, schema=names, orient="row"), "rate")


def test_small_counts_are_not_shown_and_others_are_rounded():
    shown = quality.suppressed(
        frame_of(
            ("a", "sex", "male", 9.0, 200.0),
            ("b", "sex", "male", 993.0, 1001.0),
            ("c", "sex", "male", 40.0, 49.0),
            ("d", "sex", "male", 0.0, 500.0),
            ("e", "sex", "male", 7.0, None),
        )
    )
    texts = shown.select("shown_n", "shown_of").rows()
    assert texts == [("under 10", "200"), ("995", "1,000"), ("40", "50"), ("0", "500"),
                     ("under 10", "-")]  # fmt: skip
    a, b, c, d, e = shown.to_dicts()
    assert a["value"] == 0.05  # 10 of 200: not 4.5 %, which would give the 9 back
    assert b["value"] == 0.99
    assert b["low"] < 0.99 < b["high"]
    assert (c["value"], c["low"], e["value"]) == (None, None, None)
    assert d["value"] == 0.0


def test_measures_against_invented_children_are_exact():
    frame = frame_of(("merged_twins", "", "", 2.0, 132.0)).with_columns(
        pl.lit("truth").alias("basis")
    )
    shown = quality.suppressed(frame).row(0, named=True)
    assert (shown["shown_n"], shown["shown_of"], shown["value"]) == ("2", "132", 2 / 132)


def test_stability_index_by_hand():
    before = pl.DataFrame({"group_value": ["0", "2"], "numerator": [500, 500]})
    now = pl.DataFrame({"group_value": ["0", "2"], "numerator": [600, 400]})
    # 0.1 ln 1.2 - 0.1 ln 0.8
    assert stability(before, now) == pytest.approx(0.0405465, abs=1e-6)
    assert stability(before, before) == 0
    gone = pl.DataFrame({"group_value": ["8"], "numerator": [1000]})
    assert 1 < stability(before, gone) < float("inf")


def two_runs(con: duckdb.DuckDBPyConnection, before: pl.DataFrame, now: pl.DataFrame) -> None:
    con.execute("ATTACH ':memory:' AS warehouse")
    for run_id, frame in ((1, before), (2, now)):
        quality.persist(con, [frame], run_id, DAY + dt.timedelta(run_id))


def verdicts(before: pl.DataFrame, now: pl.DataFrame) -> dict[str, bool]:
    con = duckdb.connect()
    two_runs(con, before, now)
    return {o.name: o.passed for o in run_rules(con, quality.TABLE, rules.quality_rules())}


BASE = (
    ("step_records", "", "", 1000.0, 1000.0),
    ("precision", "", "", 999.0, 1000.0),
    ("linked_to_other", "", "", 900.0, 1000.0),
    ("linked_to_other", "ethnicity", "Black", 180.0, 200.0),
    ("contradiction_sex", "", "", 3.0, 1000.0),
)


def changed(*rows: tuple) -> pl.DataFrame:
    replaced = {row[:3] for row in rows}
    return frame_of(*(row for row in BASE if row[:3] not in replaced), *rows)


@pytest.mark.parametrize(
    ("now", "failing"),
    [
        (changed(), set()),
        (
            changed(("linked_to_other", "ethnicity", "Black", 140.0, 200.0)),
            {"group_linkage_rate__drift"},
        ),
        (changed(("linked_to_other", "ethnicity", "Black", 172.0, 200.0)), set()),  # by chance
        (changed(("linked_to_other", "", "", 800.0, 1000.0)), {"linkage_rate__drift"}),
        (changed(("weight_shift", "", "", 0.4, None)), {"match_weight__drift"}),
        (changed(("contradiction_sex", "", "", 40.0, 1000.0)), {"contradiction__share"}),
        (changed(("contradiction_sex", "", "", 20.0, 1000.0)), set()),
        (
            changed(("contradiction_sex", "", "", 90.0, 1000.0)),
            {"contradiction__share", "contradiction__limit"},
        ),
        (changed(("precision", "", "", 950.0, 1000.0)), {"precision__low"}),
        (changed(("merged_twins", "", "", 20.0, 1000.0)), {"twins__apart"}),
        (changed(("merged_twins", "", "", 7.0, 1000.0)), set()),
        (changed(("merged_siblings", "", "", 7.0, 1000.0)), {"twins__apart"}),
        (changed(("merged_adoption", "", "", 1.0, 9.0)), {"adoption__never_linked"}),
        (changed(("made_up", "", "", float("nan"), 9.0)), {"estimate__finite"}),
    ],
)
def test_a_change_for_the_worse_fails_its_check(now, failing):
    assert {name for name, passed in verdicts(frame_of(*BASE), now).items() if not passed} == (
        failing
    )


def test_a_run_that_measured_nothing_fails():
    now = frame_of(("step_records", "", "", 1000.0, 1000.0))
    assert not verdicts(frame_of(*BASE), now)["run__measured"]


def test_estimates_by_hand():
    strata = pl.DataFrame(
        {
            "kind": ["named", "named", "nameless", "named"],
            "band": [20, 0, 5, 5],
            "state": ["linked", "apart", "linked", "conflict"],
            "n": [100, 50, 40, 10],
            "expected": [99.0, 5.0, 36.0, 9.5],
            "decided": [None, 3, 20, None],  # three are too few
            "share": [None, 0.0, 0.75, None],
            "size": [None, 3.0, 20.0, None],
        }
    )
    found = estimates.estimated(strata)
    precision = row(found, "precision", group_kind="")
    assert (precision["numerator"], precision["denominator"]) == (135, 140)
    recall = row(found, "recall", group_kind="")
    assert (recall["numerator"], recall["denominator"]) == (135, 140)  # 5 apart, conflict left out
    # Three quarters of the nameless pairs reviewed were the same child: 30 of 40, not 36.
    reviewed = row(found, "precision_reviewed", group_kind="")
    assert reviewed["numerator"] == pytest.approx(129)
    assert reviewed["low"] < 129 / 140 < reviewed["high"]
    assert row(found, "precision", group_value="nameless")["value"] == pytest.approx(0.9)


def test_a_decision_that_was_applied_still_tells_of_its_kind():
    """Of 40 linked pairs 20 were reviewed and 5 of them found different, which parted those."""
    con = duckdb.connect()
    con.execute("ATTACH ':memory:' AS linkage; USE linkage")
    ensure_tables(con)
    agree = {f"gamma_{name}": level_number(name, "exact") for name in comparison_levels()}
    gammas = ", ".join(f"{value} AS {name}" for name, value in agree.items())
    con.execute(
        f"""CREATE TABLE pairs AS SELECT n AS record_key_l, n + 100 AS record_key_r,
            21.0 AS match_weight, 1 AS model_id, {gammas} FROM range(1, 41) r(n);
        CREATE TABLE number_holder (record_key BIGINT, holder BIGINT);
        CREATE TABLE person_record ({DDL});
        CREATE TABLE model AS SELECT 1 AS model_id,
            '{{"probability_two_random_records_match": 0.5}}' AS settings;
        CREATE TABLE person AS SELECT record_key_l AS record_key, record_key_l AS cluster FROM pairs
            UNION ALL SELECT record_key_r, CASE WHEN record_key_l <= 5 THEN record_key_r
                ELSE record_key_l END FROM pairs;
        CREATE TABLE refused AS SELECT record_key_l, record_key_r, match_weight,
            'identifier' AS edge_class, '{REASONS["decision"]}' AS reason FROM pairs
            WHERE record_key_l <= 5;
        INSERT INTO review_pair SELECT 's', record_key_l, record_key_l, record_key_r, 'identifier',
            NULL, 'identifier from 20.0', 40, 0.5, 21, 21, 1 FROM pairs WHERE record_key_l <= 20;
        INSERT INTO decision SELECT number, record_key_l, record_key_r,
            CASE WHEN number <= 5 THEN 'different' ELSE 'same' END, 'r', NULL,
            TIMESTAMP '2025-02-01', sheet_id, 21, 1 FROM review_pair"""
    )
    found = estimates.estimated(estimates.strata(con))
    reviewed = row(found, "precision_reviewed", group_kind="")
    assert (reviewed["value"], reviewed["denominator"]) == (pytest.approx(0.75), 35)
    assert reviewed["low"] < 0.65 < 0.85 < reviewed["high"]


def test_a_record_with_nothing_to_tell_cannot_link(reported):
    settings = {
        "probability_two_random_records_match": 2**-10 / (1 + 2**-10),
        "comparisons": [
            {
                "comparison_levels": [
                    {
                        "is_null_level": True,
                        "sql_condition": f"{name}_l IS NULL OR {name}_r IS NULL",
                    },
                    {"m_probability": 0.5, "u_probability": 0.5 / 2**bits, "sql_condition": ""},
                ]
            }
            for name, bits in (("sex", 1), ("birth_date", 12))
        ],
    }
    prior, gains = counts.self_weight(settings)
    assert prior == pytest.approx(-10)
    con = duckdb.connect()
    weigh = f"SELECT {prior} + {gains} FROM (SELECT {{}} AS sex, {{}} AS birth_date)"
    assert con.execute(weigh.format(1, 7)).fetchall()[0][0] == pytest.approx(3)
    assert con.execute(weigh.format(1, "NULL")).fetchall()[0][0] == pytest.approx(-9)


def test_a_panel_names_the_groups_below():
    frame = frame_of(
        ("linked_to_spine", "", "", 950.0, 1000.0),
        ("linked_to_spine", "sex", "male", 480.0, 500.0),
        ("linked_to_spine", "ethnicity", "Black", 160.0, 200.0),
        ("linked_to_spine", "ethnicity", "Other", 55.0, 60.0),
        ("linked_to_spine", "ethnicity", "Mixed", 5.0, 12.0),
    )
    found = panel(frame, "linked_to_spine", title="t", meaning="m", basis="rate")
    assert found.below == ("ethnic group Black, by 15 points",)
    assert found.maybe == ("ethnic group Other, by 3 points",)
    assert "Mixed" not in str(found.chart)  # twelve children: in the table, without a rate
    assert [r["group_value"] for r in found.rows] == ["male", "Black", "Mixed", "Other"]
    assert "more than chance" in found.verdict


def test_groups_are_what_codes_stand_for():
    labels = rates._labels(SEEDS)
    of = {(r["kind"], r["feed"], r["code"]): r["label"] for r in labels.iter_rows(named=True)}
    assert of[("ethnicity", "ssda903", "WBRI")] == "White"
    assert of[("deprivation", "", "E01000001")] == "5 (least deprived fifth)"  # decile 9
    assert of[("sex", "ssda903", "2")] == "female"


def test_no_release_while_a_report_is_owed():
    con = duckdb.connect()
    con.execute(
        "ATTACH ':memory:' AS warehouse; CREATE SCHEMA warehouse.pseudonymised;"
        "CREATE TABLE warehouse.pseudonymised.delivery AS"
        " SELECT 'd' AS delivery_id, 'accepted' AS status"
    )
    quality.persist(con, [frame_of(*BASE)], 1, DAY)
    rules.owe(con, run_id="first")
    assert gate(con) == ["check failed: linkage/report: report__written"]
    held = run_rules(con, quality.TABLE, [*rules.quality_rules(), rules.written_rule()])
    provenance.record_checks(con, "warehouse", {rules.KEY: held}, run_id="first")
    assert gate(con) == []
    rules.owe(con, run_id="second")  # a new bridge, and the report fails
    assert gate(con) == ["check failed: linkage/report: report__written"]


def test_a_siblings_number_is_no_identifier_tier():
    """Records 1 and 2 share a number and a birth date; 3 came in by name, and has 1's number too
    but another birth date and forename; of 6 nothing is known but 1's number, and of 7 nothing but
    that it was given 1's number for its year and month of birth."""
    con = duckdb.connect()
    con.execute(
        """ATTACH ':memory:' AS linkage; ATTACH ':memory:' AS warehouse; USE linkage;
        CREATE TABLE person AS SELECT unnest([1, 2, 3, 4, 5, 6, 7]) AS record_key,
            unnest([1, 1, 1, 4, 5, 1, 1]) AS cluster;
        CREATE TABLE number_holder AS SELECT 7 AS record_key, 1 AS holder;
        CREATE TABLE registry AS SELECT record_key, cluster + 100 AS person_id,
            true AS is_current FROM person;
        CREATE TABLE person_record AS SELECT record_key, 0 AS alternative, 1 AS source,
            CASE WHEN record_key = 5 THEN 'adoption' END AS exclusion FROM person;
        CREATE TABLE source AS SELECT 1 AS source, 'gp' AS feed;
        CREATE TABLE delivery AS SELECT 'd' AS delivery_id, NULL::TIMESTAMP AS received_at;
        CREATE TABLE refused AS SELECT 1 AS a WHERE false;
        CREATE TABLE event AS SELECT 1 AS run_id, 'created' AS event;
        CREATE TABLE run AS SELECT 1 AS run_id, DATE '2025-01-31' AS run_date, 1 AS model_id;
        CREATE TABLE model AS SELECT 1 AS model_id, TIMESTAMP '2025-01-31' AS created,
            '{}' AS settings, '5' AS splink_version, true AS is_hardened, 5 AS records"""
    )
    agree, differ, unknown = (
        {name: level_number(name, label) for name in comparison_levels()}
        for label in ("exact", "differ", NULL_LEVEL)
    )
    pairs = [
        {"record_key_l": 1, "record_key_r": 2, "match_weight": 30.0, **agree},
        {"record_key_l": 1, "record_key_r": 3, "match_weight": 20.0, **differ, "nhs": agree["nhs"]},
        *(
            {"record_key_l": 1, "record_key_r": other, "match_weight": 16.0}
            | {**unknown, "nhs": agree["nhs"]}
            for other in (6, 7)
        ),
    ]
    frame = pl.DataFrame(pairs).rename(lambda c: f"gamma_{c}" if c in agree else c)
    con.register("scored", frame.to_arrow())
    con.execute("CREATE TABLE pairs AS FROM scored")
    no_opt_outs(con)
    publish_bridge(con)
    tiers = con.execute("SELECT record_key, tier FROM warehouse.linkage.bridge").fetchall()
    assert dict(tiers) == {
        1: "identifier",
        2: "identifier",
        3: "strong",
        4: "unlinked",
        5: "excluded",
        6: "strong",
        7: "identifier",
    }


def test_a_report_that_fails_leaves_no_earlier_verdict(tmp_path):
    import dagster as dg

    from linked_cyp.defs.linkage_report import report

    run = Run(tmp_path)  # nothing was ever linked, so there is nothing to report on
    with run.open() as con:
        held = [CheckOutcome(rules.WRITTEN, True, "error")]
        provenance.record_checks(con, "warehouse", {rules.KEY: held}, run_id="earlier")
    ended = dg.materialize([report()], resources={"stores": run.stores}, raise_on_error=False)
    assert not ended.success
    verdicts = run.frame("SELECT check_name, passed FROM warehouse.provenance.check_result")
    assert verdicts.rows() == [(rules.WRITTEN, False)]
