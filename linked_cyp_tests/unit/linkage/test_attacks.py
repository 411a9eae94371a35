"""The attack suite in small: controls fall, hardened records do not."""

from __future__ import annotations

import datetime as dt

import duckdb
import numpy as np
import polars as pl
import pytest

from benchmarks.linkage_population import population
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys
from linked_cyp.linkage.attacks import run_attacks, summarise
from linked_cyp.linkage.attacks.cases import crowd, imitate, make_case, named, stored_case
from linked_cyp.linkage.attacks.tokens import align_ranks, by_rank
from linked_cyp.linkage.records.writing import write_person_records

CHILDREN = 600  # born on one date


@pytest.fixture(scope="module")
def people():
    return population(CHILDREN, seed=5)


@pytest.fixture(scope="module")
def attacks(people) -> pl.DataFrame:
    persons = people.truth.join(people.people.select("child", "household"), on="child")
    return run_attacks(people.identities, persons, [1])


@pytest.fixture(scope="module")
def stored(people) -> pl.DataFrame:
    """What a store holds: alternatives and nameless records, too."""
    con = duckdb.connect()
    con.execute("ATTACH ':memory:' AS linkage")
    encoder = Encoder(Keys(np.random.default_rng(1).bytes(32)))
    write_person_records(con, [people.identities], people.sources, people.aliases, encoder)
    return con.execute("FROM linkage.main.person_record").pl()


def rate(attacks: pl.DataFrame, attack: str, encoding: str, field: str, known: int = 0) -> float:
    found = summarise(attacks).filter(attack=attack, encoding=encoding, field=field, known=known)
    assert found.height == 1
    return found["rate"][0]


@pytest.mark.parametrize("field", ["forename", "surname"])
def test_plain_encodings_fall_without_a_known_child(attacks, field):
    assert rate(attacks, "bits", "plain", field) > 0.9
    assert rate(attacks, "known plaintext, bits", "plain", field, known=30) > 0.9


def test_a_salt_shared_by_a_birth_date_falls(attacks):
    """Else the attack inside a salt would prove nothing about the records as they are."""
    assert rate(attacks, "bits in a birth date", "birth_date_salt", "forename") > 0.6


@pytest.mark.parametrize("field", ["forename", "surname"])
@pytest.mark.parametrize("known", [0, 30, 100])
def test_hardened_encodings_do_not_fall(attacks, field, known):
    attack = "known plaintext, bits in a birth date" if known else "bits in a birth date"
    assert rate(attacks, attack, "hardened", field, known) < 0.05


def test_frequencies_name_plain_tokens_more_often_than_hardened_ones(people):
    present = named(people.identities, people.truth)
    keys, right = Keys(np.random.default_rng(1).bytes(32)), {}
    for encoding in ("plain", "hardened"):
        case = make_case(encoding, people.identities, present, keys)
        known = imitate(case.people, case.hardened, 1, one_salt=True)
        guess = by_rank(case, known, "forename_form_1", "forename", ["sex"], 1)
        right[encoding] = (guess == present["forename"]).mean()
    assert right["plain"] > 0.1
    assert right["hardened"] < 0.03


def test_rates_are_shares_and_guessing_is_beside_them(attacks):
    assert (attacks["correct"] <= attacks["attacked"]).all()
    assert attacks["rate"].drop_nulls().is_between(0, 1).all()
    assert attacks["baseline"].drop_nulls().is_between(0, 0.5).all()
    assert {"household pairs", "known plaintext, tokens"} <= set(attacks["attack"])


def test_ranks_are_aligned_within_groups():
    tokens = pl.DataFrame({"token": [7, 7, 8, None, 9, 9, 9, 7], "g": [1, 1, 1, 1, 2, 2, 2, 2]})
    known = pl.DataFrame({"token": [1, 1, 2], "value": ["A", "A", "B"], "sex": [1, 1, 1]})
    guess = align_ranks(tokens, known, ["g"], np.random.default_rng(0))
    assert guess.to_list() == ["A", "A", "B", None, "A", "A", "A", "B"]


def test_the_summary_shows_the_attacker_at_their_best():
    row = {"attack": "rank", "encoding": "plain", "field": "forename", "known": 0, "baseline": 0.1}
    frame = pl.DataFrame(
        [
            row | {"column": c, "seed": s, "attacked": 100, "correct": n, "rate": n / 100}
            for c, s, n in [("a", 1, 20), ("a", 2, 30), ("b", 1, 10), ("b", 2, 10)]
        ]
    )
    found = summarise(frame).row(0, named=True)
    assert (found["column"], found["seeds"], found["rate"]) == ("a", 2, 0.25)
    assert found["low"] == 0
    assert found["high"] == pytest.approx(0.25 + 12.706 * 0.05)


def test_a_crowd_shares_few_birth_dates(people):
    crowded = crowd(people.identities, 3)
    assert crowded["birth_date"].n_unique() == 3
    assert crowded["birth_date"].min() == dt.date(2010, 1, 1)


def test_stored_records_are_attacked_as_they_are(people, stored):
    attacks = run_attacks(people.identities, people.truth, [1], records=stored, encodings=[])
    assert set(attacks["encoding"]) == {"stored"}
    assert set(attacks["field"]) == {"forename", "surname", "birth_date"}
    assert rate(attacks, "missing values and lengths", "stored", "forename") < 0.15
    with pytest.raises(LinkedCypError, match="not those of the records"):
        stored_case(stored.head(10), named(people.identities, people.truth))
