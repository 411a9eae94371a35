"""Further identifiers and places in a frame of records."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl
import pytest

from linked_cyp.linkage import link
from linked_cyp_tests.unit.linkage.test_adoption_wall import KEY, ordinary

CHILD = {"forename": "PERPETUA", "birth_date": "2011-05-02", "sex": "F"}


def people(*rows: dict) -> pl.DataFrame:
    """Some records, with others around them that have numbers of their own."""
    others = pl.concat(ordinary(np.random.default_rng(3)), how="diagonal_relaxed").drop("kind")
    others = others.with_columns(
        identifier_ward=pl.format("W{}", pl.col("record_id") % 100_000),
        place_house=pl.format("H{}", pl.col("record_id") % 100_000),
    )
    some = [CHILD | row | {"record_id": n, "source": f"s{n}"} for n, row in enumerate(rows)]
    return pl.concat([pl.DataFrame(some, infer_schema_length=None), others], how="diagonal_relaxed")


def together(frame: pl.DataFrame) -> bool:
    found = link(frame, KEY, households=True).persons.filter(pl.col("record_id") < 2)
    return found["person_id"].n_unique() == 1


MOVED = (
    {"surname": "QUARTERMAINE", "postcode": "DW61 1AB"},
    {"surname": "OGUNBANJO", "postcode": "HY61 1AB"},
)


def test_an_identifier_that_agrees_joins_what_nothing_else_may():
    same = [row | {"identifier_ward": "X 77"} for row in MOVED]
    assert together(people(*same))
    assert not together(people(*MOVED))


def test_one_that_differs_is_no_conflict():
    alike = {"surname": "QUARTERMAINE", "postcode": "DW61 1AB"}
    assert together(people(alike | {"identifier_ward": "X77"}, alike | {"identifier_ward": "X78"}))


def test_a_place_is_no_number_and_leads_to_no_other_surname():
    same = [row | {"place_house": "H-77"} for row in MOVED]
    assert not together(people(*same))


def test_columns_that_take_no_part_are_named_and_no_others():
    frame = people(*MOVED).with_columns(shoe_size=pl.lit("36"))
    with pytest.warns(UserWarning, match="^columns that linkage does not know: shoe_size$"):
        link(frame, KEY, households=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        link(frame.drop("shoe_size"), KEY, households=True)
