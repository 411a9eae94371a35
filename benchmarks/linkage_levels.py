"""The three levels of dirt of the benchmark's population: ``linkage_levels.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Level:
    """Rates and factors of one level; the file says what each means and where it comes from."""

    names: float
    surnames: float
    second_forename: float
    surname_taken: float
    surname_added: float
    numbers: float
    hanging_together: float
    no_number: float
    first_of_january: float
    hostels: float
    boarding: float
    second_upn: float
    elsewhere: dict[str, float]


def levels() -> dict[str, Level]:
    document = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {name: Level(**values) for name, values in document.items()}


LEVELS = tuple(levels())
