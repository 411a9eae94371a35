"""Small numbers: no exact count of children under 10 anywhere people look.

Counts from 1 to 9 are suppressed and the rest rounded to the nearest 5; a true zero is shown.
Shares are worked out from the rounded counts, so that they cannot give the exact ones back, and
neither can what is left over of the whole.
"""

from __future__ import annotations

SMALLEST = 10
BASE = 5
FEWEST = 50  # children of whom a share is told although under 10 are left over


def rounded(count: int) -> int | None:
    """The count to show: 0, a multiple of 5 from 10 up, or None where it is suppressed."""
    if count == 0:
        return 0
    if count < SMALLEST:
        return None
    return (count + BASE // 2) // BASE * BASE


def shown(count: int) -> str:
    """The count as people read it: ``"0"``, ``"under 10"`` or ``"1,235"``."""
    number = rounded(count)
    return f"under {SMALLEST}" if number is None else f"{number:,}"


def share(part: int, whole: int) -> float | None:
    """``part / whole`` from rounded counts to two decimals; None where either is suppressed.

    The rest of the whole is a count like any other: where it is from 1 to 9, the share is that of
    five left over, whichever it was, and None where five is too much of the whole to tell.
    """
    top, bottom, rest = rounded(part), rounded(whole), rounded(whole - part)
    if top is None or not bottom or (rest is None and whole < FEWEST):
        return None
    return round(1 - BASE / bottom if rest is None else top / bottom if rest else 1.0, 2)
