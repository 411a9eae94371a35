"""Synthetic identifiers: right check characters, distinct, in ranges of no real person."""

from __future__ import annotations

import numpy as np
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.synthetic import numbers

LETTERS = "ABCDEFGHJKLMNPQRTUVWXYZ"


def test_nhs_numbers_are_valid_distinct_and_in_the_test_range() -> None:
    drawn = numbers.nhs_numbers(np.random.default_rng(1), 5000)
    assert len(set(drawn)) == 5000
    for number in drawn:
        assert len(number) == 10
        assert number.startswith("999")
        total = sum(int(d) * w for d, w in zip(number[:9], range(10, 1, -1), strict=True))
        assert int(number[9]) == (11 - total % 11) % 11


def test_the_test_range_is_finite() -> None:
    with pytest.raises(LinkedCypError, match="only 9"):
        numbers.nhs_numbers(np.random.default_rng(1), 950_000)


def test_upns_have_the_check_letter_of_the_rule() -> None:
    # the example of the domain notes: a permanent UPN known to be valid
    drawn = numbers.upns(*(np.array([n]) for n in (801, 2000, 5, 1)))
    assert list(drawn) == ["B801200005001"]


@pytest.mark.parametrize("serial", [0, 22, 23, 500])
def test_temporary_upns_end_in_a_letter_that_counts(serial: int) -> None:
    (upn,) = numbers.temporary_upns(*(np.array([n]) for n in (991, 2001, 2024, serial)))
    assert len(upn) == 13
    values = [int(c) for c in upn[1:12]] + [LETTERS.index(upn[12])]
    total = sum(v * w for v, w in zip(values, range(2, 14), strict=True))
    assert upn[0] == LETTERS[total % 23]


def test_ulns_pass_their_check() -> None:
    for uln in numbers.ulns(np.random.default_rng(3), 500):
        total = sum(int(d) * w for d, w in zip(uln[:9], range(10, 1, -1), strict=True))
        assert len(uln) == 10
        assert int(uln[9]) == 10 - total % 11
