"""Small numbers: no exact count of children under 10 anywhere people look.

Counts from 1 to 9 are suppressed and the rest rounded to the nearest 5; a true zero is shown.
Shares are worked out from the rounded counts, so that they cannot give the exact ones back.
"""

from __future__ import annotations

SMALLEST = 10
BASE = 5


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
    """``part / whole`` from rounded counts to two decimals; None where either is suppressed."""
    top, bottom = rounded(part), rounded(whole)
    if top is None or not bottom:
        return None
    return round(min(top / bottom, 1.0), 2)
