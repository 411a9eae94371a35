"""Candidates are counted before they are paired; what would explode is left out and shown."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import duckdb
import polars as pl
import pytest

from linked_cyp.expectations.suite import run_rules
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys
from linked_cyp.linkage import predict, train
from linked_cyp.linkage.model import settings as model
from linked_cyp.linkage.model.parameters import parameters
from linked_cyp.linkage.model.settings import CHEAP_ONLY
from linked_cyp.linkage.pairs.blocking import CHEAP, ELIGIBLE, count_candidates
from linked_cyp.linkage.pairs.checks import pairs_rules
from linked_cyp.linkage.records.writing import write_person_records
from linked_cyp_tests.unit.linkage.linkage_population import NO_ALIASES, SOURCES, population

PEOPLE = population(150, seed=9).identities
# Records of one institution: one postcode for children who are not related.
HOME = (pl.col("record_key") % 10 == 2) & (pl.col("record_key") < 400)
EDGES = "SELECT * FROM linkage.main.pairs ORDER BY record_key_l, record_key_r"


def write(con: duckdb.DuckDBPyConnection, people: pl.DataFrame) -> None:
    encoder = Encoder(Keys(random.Random(5).randbytes(32)), hardened=True)
    write_person_records(con, [people], SOURCES, NO_ALIASES, encoder)


@pytest.fixture(scope="module")
def con(few_samples: None) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("ATTACH ':memory:' AS linkage")
    people = PEOPLE.with_columns(
        pl.when(HOME).then(pl.lit("NW1 1AA")).otherwise("postcode").alias("postcode"),
        # One first name for all of them, as if BABY had slipped through.
        pl.when(HOME).then(pl.lit("BARO")).otherwise("forename").alias("forename"),
    )
    write(connection, people)
    train(connection)
    yield connection
    connection.close()


def joined(con: duckdb.DuckDBPyConnection, rule: str) -> list[tuple[int, int]]:
    """The rule's pairs of rows, by the join itself."""
    return con.execute(
        f"SELECT l.record_key, r.record_key FROM {ELIGIBLE} l JOIN {ELIGIBLE} r"
        f" ON {model.rule_sql(rule)} WHERE l.record_id < r.record_id"
    ).fetchall()


def used_rules(con: duckdb.DuckDBPyConnection) -> list[str]:
    return [count.rule for count in count_candidates(con, parameters()) if count.is_used]


def failed_checks(con: duckdb.DuckDBPyConnection) -> set[str]:
    outcomes = run_rules(con, "linkage.main.pairs", pairs_rules())
    return {outcome.name for outcome in outcomes if not outcome.passed}


def test_counts_are_those_of_the_joins(con):
    counts = count_candidates(con, parameters())
    assert [c.rule for c in counts] == list(model.BLOCKING_RULES)
    assert {c.rule: c.pairs for c in counts} == {
        rule: len(joined(con, rule)) for rule in model.BLOCKING_RULES
    }
    assert sum(c.pairs > 0 for c in counts) >= 7
    assert all(c.is_used and not c.oversize_groups for c in counts if c.rule not in CHEAP_ONLY)


def test_some_rules_are_used_only_where_they_are_cheap(con):
    counts = {c.rule: c for c in count_candidates(con, parameters())}
    assert set(CHEAP_ONLY) <= set(counts)
    for rule in CHEAP_ONLY:
        assert counts[rule].is_used == (counts[rule].pairs <= CHEAP * counts[rule].rows)
    assert {counts[rule].is_used for rule in CHEAP_ONLY} == {True, False}
    predict(con)
    assert failed_checks(con) == set()


def test_the_first_rule_that_finds_a_pair_is_named(con):
    predict(con, given=replace(parameters(), lowest_weight=-100.0), use_state=False)
    first: dict[tuple[int, int], str] = {}
    for rule in used_rules(con):
        for left, right in joined(con, rule):
            if left != right:
                first.setdefault((min(left, right), max(left, right)), rule)
    found = con.execute("SELECT record_key_l, record_key_r, rule FROM linkage.main.pairs")
    assert {(left, right): rule for left, right, rule in found.fetchall()} == first


def test_a_group_too_large_is_not_paired_by_that_rule(con):
    everything = predict(con, given=replace(parameters(), lowest_weight=-100.0))
    limited = replace(parameters(), lowest_weight=-100.0, largest_group=20)
    assert predict(con, given=limited)["pairs"] < everything["pairs"] - 400
    rows = con.execute("FROM linkage.main.blocking").pl()
    (row,) = rows.filter(pl.col("oversize_groups") > 0).to_dicts()
    home = PEOPLE.filter(HOME).height
    assert row["rule"] == "postcode_forename"
    assert (row["oversize_groups"], row["oversize_pairs"]) == (1, home * (home - 1) // 2)
    assert row["is_used"]
    assert failed_checks(con) == {"match_weight__range", "blocking__groups_paired"}
    # What another rule finds is still there.
    kept = con.execute(EDGES).pl()
    others = {
        (min(pair), max(pair))
        for rule in used_rules(con)
        if rule != "postcode_forename"
        for pair in joined(con, rule)
        if pair[0] != pair[1]
    }
    assert others <= set(kept.select("record_key_l", "record_key_r").iter_rows())


def test_a_rule_that_explodes_is_not_used(con):
    few = replace(parameters(), most_pairs_per_record=1.5)
    predict(con, given=few)
    rows = dict(con.execute("SELECT rule, is_used FROM linkage.main.blocking").fetchall())
    unused = {rule for rule, used in rows.items() if not used}
    assert unused - set(CHEAP_ONLY) == {"postcode_forename"}
    assert failed_checks(con) == {"blocking__rules_used"}
    used = con.execute("SELECT DISTINCT rule FROM linkage.main.pairs").fetchall()
    assert ("postcode_forename",) not in used
    predict(con)
    assert failed_checks(con) == set()


def test_no_rule_at_all_finds_nothing(con):
    counts = predict(con, given=replace(parameters(), most_pairs_per_record=-1.0))
    assert (counts["pairs"], counts["candidates"]) == (0, 0)


def test_a_group_that_grows_too_large_is_scored_again():
    limited = replace(parameters(), largest_group=12, rescore_share=1.0)
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS linkage")
        people = PEOPLE.with_columns(
            pl.when(HOME).then(pl.lit("NW1 1AA")).otherwise("postcode").alias("postcode"),
            pl.when(HOME).then(pl.lit("BARO")).otherwise("forename").alias("forename"),
        )
        write(con, people)
        train(con)
        found: dict[bool, list[pl.DataFrame]] = {True: [], False: []}
        for use_state, edges in found.items():
            for rows in (9, 15, 10):  # below the limit, above, and below again
                write(con, pl.concat([people.filter(~HOME), people.filter(HOME).head(rows)]))
                predict(con, given=limited, use_state=use_state)
                edges.append(con.execute(EDGES).pl())
        assert all(a.equals(b) for a, b in zip(*found.values(), strict=True))
