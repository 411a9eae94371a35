"""The groups by which linkage is told: ages and fifths of deprivation."""

from __future__ import annotations

AGES = (("0 to 4", 5), ("5 to 9", 10), ("10 to 14", 15), ("15 to 17", 18), ("18 and over", 200))


QUINTILES = {
    1: "1 (most deprived fifth)",
    2: "2",
    3: "3",
    4: "4",
    5: "5 (least deprived fifth)",
}
