"""No exact small number can be read, nor worked out from a share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linked_cyp.core.disclosure import rounded, share, shown


@pytest.mark.parametrize(
    ("count", "number", "text"),
    [
        (0, 0, "0"),
        (1, None, "under 10"),
        (9, None, "under 10"),
        (10, 10, "10"),
        (12, 10, "10"),
        (13, 15, "15"),
        (1234, 1235, "1,235"),
    ],
)
def test_counts(count: int, number: int | None, text: str) -> None:
    assert rounded(count) == number
    assert shown(count) == text


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (3, 50, None),
        (0, 50, 0.0),
        (50, 50, 1.0),
        (5, 0, None),
        (26, 52, 0.5),
        (33, 100, 0.35),
        (41, 50, 0.9),  # nine left over, or one: the same
        (49, 50, 0.9),
        (48, 49, None),
        (112, 122, 0.92),
    ],
)
def test_shares_come_from_rounded_counts(part: int, whole: int, expected: float | None) -> None:
    assert share(part, whole) == expected


@given(st.integers(0, 10**9))
def test_a_shown_count_fits_several_true_ones(count: int) -> None:
    number = rounded(count)
    if number is None:
        assert 0 < count < 10
    else:
        assert number % 5 == 0
        assert abs(number - count) <= 2


@given(st.integers(10, 10_000), st.data())
def test_what_is_left_over_is_never_told_more_exactly_than_a_count(
    whole: int, data: st.DataObject
) -> None:
    left = data.draw(st.integers(1, min(9, whole - 10) or 1)) if whole > 10 else 0
    told = {share(whole - rest, whole) for rest in range(1, 10) if whole - rest >= 10}
    if left:
        assert share(whole - left, whole) in told
    assert len(told) <= 1
    assert told <= ({None} if whole < 50 else {round(1 - 5 / (rounded(whole) or 1), 2)})
