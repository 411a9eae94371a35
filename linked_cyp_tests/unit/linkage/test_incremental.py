"""Scoring what changed gives what scoring everything gives: edges, weights, persons."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import duckdb
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys
from linked_cyp.linkage import predict, resolve, train
from linked_cyp.linkage.model.parameters import parameters
from linked_cyp.linkage.pairs.prediction import parts_for
from linked_cyp.linkage.records.writing import write_person_records
from linked_cyp_tests.unit.linkage.linkage_population import NO_ALIASES, SOURCES, population

KEYS = Keys(random.Random(5).randbytes(32))
PEOPLE = population(60, seed=11, twins=0.2).identities.with_columns(
    # Some had another surname or postcode: several rows, of which the best counts.
    pl.when(pl.col("record_key") % 4 == 0)
    .then(pl.concat_list(pl.col("surname").str.reverse()))
    .alias("other_surnames"),
    pl.when(pl.col("record_key") % 5 < 2)
    .then(pl.concat_list(pl.col("postcode").shift(), pl.col("postcode").shift(7)))
    .alias("other_postcodes"),
)
RECORDS = PEOPLE["record_key"].to_list()
LATE = set(RECORDS[::6])
# However much changed, only that is scored.
PATIENT = replace(parameters(), rescore_share=1.0)
QUICK = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking would take minutes
EDGES = "SELECT * FROM linkage.main.pairs ORDER BY record_key_l, record_key_r"
PERSONS = "SELECT * FROM linkage.main.person ORDER BY record_key"
CHANGES = {
    "nhs_number": pl.lit("9990000018"),
    "surname": pl.col("surname") + "SON",
    "birth_date": pl.col("birth_date").dt.offset_by("1d"),
    "postcode": pl.lit("NW1 1AA"),
    "exclusion": pl.lit("adoption"),
    "other_surnames": pl.lit(["PELHO"]),
}


def write(con: duckdb.DuckDBPyConnection, people: pl.DataFrame, shift: int = 0) -> None:
    ranks = [(pl.col(c) + shift).cast(pl.Int16) for c in ("source", "supplier")]
    sources = SOURCES.with_columns(ranks)
    write_person_records(
        con, [people.with_columns(ranks)], sources, NO_ALIASES, Encoder(KEYS, hardened=True)
    )


@pytest.fixture(scope="module")
def con(few_samples: None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store with a model; the state after all but the late records is kept beside it."""
    connection = duckdb.connect()
    connection.execute("ATTACH ':memory:' AS linkage; ATTACH ':memory:' AS kept")
    write(connection, PEOPLE)
    train(connection)
    write(connection, PEOPLE.filter(~pl.col("record_key").is_in(LATE)))
    predict(connection)
    for table in ("pairs", "scored"):
        connection.execute(f"CREATE TABLE kept.{table} AS FROM linkage.main.{table}")
    yield connection
    connection.close()


def both(con: duckdb.DuckDBPyConnection) -> tuple[dict, list[pl.DataFrame], list[pl.DataFrame]]:
    """Edges and persons of an incremental run, and of a full one on the same records."""
    counts = predict(con, given=PATIENT)
    resolve(con)
    some = [con.execute(query).pl() for query in (EDGES, PERSONS)]
    full = predict(con, use_state=False)
    resolve(con)
    assert full["mode"] == "full"
    return counts, some, [con.execute(query).pl() for query in (EDGES, PERSONS)]


@settings(max_examples=5, deadline=None, phases=QUICK)
@given(
    arrived=st.sets(st.sampled_from(sorted(LATE))),
    withdrawn=st.sets(st.sampled_from(RECORDS), max_size=12),
    changed=st.dictionaries(
        st.sampled_from(RECORDS), st.sampled_from(sorted(CHANGES)), max_size=15
    ),
    shift=st.sampled_from([0, 3]),
)
def test_any_change_equals_a_full_run(con, arrived, withdrawn, changed, shift):
    for table in ("pairs", "scored"):
        con.execute(f"CREATE OR REPLACE TABLE linkage.main.{table} AS FROM kept.{table}")
    present = set(RECORDS) - (LATE - arrived) - withdrawn
    people = PEOPLE.filter(pl.col("record_key").is_in(present)).with_columns(
        pl.when(pl.col("record_key").is_in([k for k, f in changed.items() if f == field]))
        .then(value)
        .otherwise(pl.col(field))
        .alias(field)
        for field, value in CHANGES.items()
    )
    write(con, people, shift)
    counts, some, full = both(con)
    assert counts["mode"] == "incremental"
    excluded = {k for k, field in changed.items() if field == "exclusion"}
    new = (arrived & present) - excluded
    # A change may be none: the surname of somebody who has none.
    assert len(new) <= counts["scored_records"] <= len(new | (set(changed) & present - excluded))
    assert some[0].equals(full[0])
    assert some[1].equals(full[1])


@settings(max_examples=2, deadline=None, phases=QUICK)
@given(turn=st.lists(st.integers(0, 2), min_size=len(RECORDS), max_size=len(RECORDS)))
def test_any_split_into_deliveries_equals_a_full_run(con, turn):
    con.execute("DROP TABLE IF EXISTS linkage.main.scored")
    turns = pl.Series(turn)
    for number in range(3):
        write(con, PEOPLE.filter(turns <= number))
        predict(con, given=PATIENT)
    _, some, full = both(con)
    assert some[0].equals(full[0])
    assert some[1].equals(full[1])


def test_a_larger_delivery_equals_a_full_run():
    people = population(1500, seed=4).identities
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS linkage")
        late = pl.col("record_key") % 19 == 0
        write(con, people.filter(~late))
        train(con, given=replace(parameters(), fewest_pairs=10**9))  # nothing has to be learnt
        predict(con)
        write(con, people.filter(pl.col("record_key") % 23 > 0))
        counts, some, full = both(con)
        assert counts["mode"] == "incremental"
        assert 0 < counts["kept_pairs"] < counts["pairs"]
        new = people.filter(late & (pl.col("record_key") % 23 > 0))
        assert counts["scored_records"] == new.height
        assert some[0].equals(full[0])
        assert some[1].equals(full[1])


def test_nothing_new_scores_nothing_and_much_new_scores_everything(con):
    write(con, PEOPLE.filter(~pl.col("record_key").is_in(LATE)))
    predict(con)
    again = predict(con)
    assert (again["mode"], again["scored_records"]) == ("incremental", 0)
    assert again["pairs"] == again["kept_pairs"] > 0
    write(con, PEOPLE.with_columns(pl.col("birth_date").dt.offset_by("1d")))
    much = predict(con)
    assert (much["mode"], much["kept_pairs"]) == ("full", 0)


def test_another_model_or_threshold_scores_everything(con):
    write(con, PEOPLE)
    predict(con)
    assert predict(con)["mode"] == "incremental"
    assert predict(con, given=replace(parameters(), lowest_weight=-2.0))["mode"] == "full"
    assert con.execute("SELECT min(match_weight) >= -2 FROM linkage.main.pairs").fetchall()[0][0]
    predict(con)
    con.execute("UPDATE linkage.main.model SET model_id = model_id + 1")
    assert predict(con)["mode"] == "full"


def test_parts_give_the_same_pairs(con):
    write(con, PEOPLE)
    predict(con, use_state=False, chunks=1)
    whole = con.execute(EDGES).pl()
    assert predict(con, use_state=False, chunks=3)["chunks"] == 3
    assert con.execute(EDGES).pl().equals(whole)
    write(con, PEOPLE.head(PEOPLE.height * 2 // 3))
    predict(con)
    write(con, PEOPLE)  # whole children are new: pairs within a part and between parts
    counts = predict(con, chunks=2)
    assert (counts["mode"], counts["chunks"]) == ("incremental", 2)
    assert con.execute(EDGES).pl().equals(whole)


def test_parts_follow_the_memory():
    needed = {"records": 10_000_000, "pairs": 40_000_000, "given": parameters()}
    assert parts_for(200 * 2**30, **needed) == 1
    few, many = (parts_for(size * 2**30, **needed) for size in (8, 4))
    assert 1 < few < many <= 2 * few


def test_a_model_of_other_comparisons_is_refused(con):
    write(con, PEOPLE)
    con.execute(
        "CREATE TABLE kept.model AS FROM linkage.main.model;"
        "UPDATE linkage.main.model SET settings = replace(settings, 'twin', 'other')"
    )
    try:
        with pytest.raises(LinkedCypError, match="train it again"):
            predict(con)
    finally:
        con.execute("CREATE OR REPLACE TABLE linkage.main.model AS FROM kept.model")
