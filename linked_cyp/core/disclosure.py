"""Small numbers: no exact count of children under 10 anywhere people look.

Counts from 1 to 9 are suppressed and the rest rounded to the nearest 5; a true zero is shown.
Shares are worked out from the rounded counts, so that they cannot give the exact ones back, and
neither can what is left over of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence

SMALLEST = 10
BASE = 5
FEWEST = 50  # children of whom a share is told although under 10 are left over
FITTING = 4  # values that a suppressed count, or a sum of them, may have by all that is shown


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


def hidden(total: int, parts: Sequence[int]) -> set[int]:
    """Places of the parts of a shown total that are not to be shown.

    Those from 1 to 9, and the smallest of the others too where taking what is shown from the total
    would leave fewer than :data:`FITTING` values for them: rounded counts are off by two at most.
    """
    small = {i for i, n in enumerate(parts) if 0 < n < SMALLEST}
    shown = [i for i, n in enumerate(parts) if n and i not in small]
    if not (small and shown):
        return small
    left = (rounded(total) or 0) - sum(rounded(parts[i]) or 0 for i in shown)
    slack = BASE // 2 * (1 + len(shown))
    least, most = len(small), (SMALLEST - 1) * len(small)
    fitting = min(most, left + slack) - max(least, left - slack) + 1
    return small if fitting >= FITTING else small | {min(shown, key=lambda i: parts[i])}
