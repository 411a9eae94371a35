"""Results of the attacks as tables for people: an attack a row, what it was to read a column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

FEWEST = 50  # records; one name more or less would be two per cent
FIELDS = {
    "forename": "forename",
    "surname": "surname",
    "names": "both names",
    "birth_date": "year and month of birth",
}
GROUPS = {
    "plain": (
        "Control: plain encodings",
        "The same people, encoded without a salt: what must never leave an enclave.",
    ),
    "birth_date_salt": (
        "Control: salted by birth date alone",
        "The same people as if born on few dates, with some 1,600 children each as in England and"
        " Wales.",
    ),
    "hardened": (
        "Hardened, in a large population",
        "The same people, born on the same few dates, encoded as the store does.",
    ),
    "stored": (
        "This store's records, as they stand",
        "The records of the store itself, which are hardened.",
    ),
    "stored_plain": (
        "This store's records, as they stand",
        "The records of the store itself, which are plain.",
    ),
}
_WORDS = {
    "bits": "bits",
    "rank": "frequency",
    "missing values and lengths": "missing values and number of bits",
    "counts and lengths": "frequency and number of bits",
    "known plaintext, tokens": "tokens of known children",
    "known plaintext, ": "",
}
GUESS = "guess without any record"


@dataclass(frozen=True)
class AttackRow:
    """An attack; ``cells`` are its rates in per cent, None where there is none to show."""

    attack: str
    known: int
    cells: tuple[str | None, ...]


@dataclass(frozen=True)
class Group:
    """Attacks on one kind of records; ``fields`` head the cells."""

    title: str
    about: str
    fields: tuple[str, ...]
    rows: tuple[AttackRow, ...]


def groups(summary: pl.DataFrame) -> list[Group]:
    """The summary by kind of records, controls first.

    Args:
        summary: from :func:`linked_cyp.linkage.attacks.summarise`.
    """
    return [
        _group(title, about, part)
        for encoding, (title, about) in GROUPS.items()
        if (part := summary.filter(pl.col("encoding") == encoding)).height
    ]


def _group(title: str, about: str, part: pl.DataFrame) -> Group:
    fields = [field for field in FIELDS if field in part["field"]]
    return Group(title, about, tuple(FIELDS[f] for f in fields), tuple(_rows(part, fields)))


def _rows(part: pl.DataFrame, fields: list[str]) -> Iterator[AttackRow]:
    found = {
        (row["attack"], row["known"], row["field"]): row
        for row in part.sort("known", "attack").iter_rows(named=True)
        if row["attacked"] >= FEWEST and row["field"] in fields
    }
    # The widest attack of each field tells how often its commonest value occurs.
    widest = (
        max((r for r in found.values() if r["field"] == f), key=_width, default=None)
        for f in fields
    )
    yield AttackRow(GUESS, 0, tuple(_percent(r["baseline"]) if r else None for r in widest))
    for attack, known in dict.fromkeys((attack, known) for attack, known, _ in found):
        rows = (found.get((attack, known, field)) for field in fields)
        yield AttackRow(_in_words(attack), known, tuple(_cell(row) for row in rows))


def _width(row: dict) -> tuple[int, int]:
    return row["attacked"], -row["known"]


def _in_words(attack: str) -> str:
    for start, words in _WORDS.items():
        if attack.startswith(start):
            attack = words + attack.removeprefix(start)
    return attack


def _cell(row: dict | None) -> str | None:
    if row is None:
        return None
    if row["low"] is None:
        return _percent(row["rate"])
    return f"{_percent(row['rate'])} ({_percent(row['low'])} to {_percent(row['high'])})"


def _percent(rate: float | None) -> str | None:
    return None if rate is None else f"{100 * rate:.1f}"
