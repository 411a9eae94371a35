"""Recording errors: each does what it says, and strikes about as often as its rate."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linked_cyp.synthetic import errors
from linked_cyp.synthetic.parameters import as_days, load_parameters

RNG = np.random.default_rng
NAMES = st.text(alphabet="abcdefghijklmnopqrstuvwxyz'- éüłß", min_size=1, max_size=20)


@settings(max_examples=60, deadline=None)
@given(name=NAMES, seed=st.integers(0, 1000))
def test_a_typing_error_changes_at_most_one_letter_in_length(name: str, seed: int) -> None:
    assert abs(len(errors.typing_error(name, RNG(seed))) - len(name)) <= 1


@settings(max_examples=60, deadline=None)
@given(name=NAMES)
def test_plain_letters_are_ascii(name: str) -> None:
    assert errors.plain_letters(name.replace("ß", "")).isascii()


@pytest.mark.parametrize(
    ("before", "after"),
    [("2012-03-07", "2012-07-03"), ("2012-03-13", None), ("2012-05-05", "2012-05-05")],
)
def test_day_and_month_are_exchanged_where_that_is_a_date(before: str, after: str | None) -> None:
    day = errors.transposed_day(as_days(before), RNG(1))
    assert day == (as_days(after) if after else None)


def test_a_wrong_digit_breaks_one_or_two_places() -> None:
    for seed in range(50):
        wrong = errors.wrong_digit("9990000018", RNG(seed))
        differing = [a != b for a, b in zip("9990000018", wrong, strict=True)]
        assert 1 <= sum(differing) <= 2


def test_part_only_and_punctuation() -> None:
    assert errors.part_only("Smith-Jones", RNG(1)) in ("Smith", "Jones")
    assert errors.part_only("Smith", RNG(1)) is None
    assert "'" not in (errors.punctuation("O'Brien", RNG(1)) or "'")


def _registrations(ethnicity: str, size: int = 60_000) -> pl.DataFrame:
    names = ["Thomas", "Aisha", "Katherine", "Mohammed"] * (size // 4)
    return pl.DataFrame(
        {
            "ethnicity": [ethnicity] * size,
            "decile": [5] * size,
            "forename": names,
            "surname": ["Thompson"] * size,
            "birth": np.full(size, as_days("2012-03-07")),
            "sex": ["F"] * size,
            "upn": ["B801200005001"] * size,
            "sibling_upn": ["Z801200005002"] * size,
            "twin_upn": pl.Series([None] * size, dtype=pl.String),
            "postcode": ["AY1 1AA"] * size,
        }
    )


def _share(frame: pl.DataFrame, error: str) -> float:
    return float(frame["errors"].fill_null("").str.contains(error, literal=True).mean())


@pytest.mark.parametrize("group", ["WBRI", "BAFR"])
def test_errors_strike_at_the_rates_of_the_parameters(group: str) -> None:
    parameters = load_parameters()
    model = parameters.errors["sources"]["school"]
    more = parameters.errors["multipliers"]["ethnicity"][group]
    observed = errors.observe(_registrations(group), parameters, "school", RNG(7))
    for error, rate in {
        "forename.typo": model["forename"]["typo"],
        "upn.sibling": model["upn"]["sibling"],
        "upn.digit": model["upn"]["digit"],
        "birth_date.transposed": model["birth_date"]["transposed"],
        "birth_date.first_of_january": model["birth_date"]["first_of_january"],
        "postcode.not_updated": model["postcode"]["stale"],
        "sex.wrong": model["sex"]["wrong"],
    }.items():
        expected = rate * more
        spread = 5 * (expected / observed.height) ** 0.5
        # an error that would change nothing is not counted, and names of two letters have no typo
        assert expected * 0.8 - spread < _share(observed, error) < expected + spread, error


def test_what_is_noted_is_what_changed() -> None:
    before = _registrations("WBRI", 4000)
    after = errors.observe(before, load_parameters(), "school", RNG(3))
    changed = (
        (before["forename"] != after["forename"])
        | (before["surname"] != after["surname"])
        | (before["birth"] != after["birth"])
        | (before["sex"] != after["sex"])
        | before["upn"].ne_missing(after["upn"])
        | before["postcode"].ne_missing(after["postcode"])
    )
    assert (after["errors"].is_not_null() | ~changed).all()
    assert changed.any()
