"""What no cell of a release may look like, and how one such cell in a million is found.

Columns of text hold codes and their labels. Each distinct text is held against shapes that only an
identity has; a run of nine digits or more is a number of somebody, or of a home, unless all of the
cell is a SNOMED CT identifier with the right check digit; a cell that is a forename is a name.

Sources: NHS Data Dictionary (NHS NUMBER), SNOMED CT Release File Specification (partition and
Verhoeff check digit), Royal Mail postcode formats, Ofcom numbering plan.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

from linked_cyp.contracts.formats import REGISTERED
from linked_cyp.contracts.model import Contract
from linked_cyp.identity.names import familiar_names

# Shapes that only an identity has; codes in use (LSOA, URN, ICD-10, SNOMED, BNF) have others.
SHAPES: Mapping[str, str] = {
    "a UPN": r"(?i)\b[A-HJ-NP-RT-Z][0-9]{11}[0-9A-Z]\b",
    "a postcode": r"(?i)\b[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][ABD-HJLNP-UW-Z]{2}\b",
    "a hash": r"(?i)\b([0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})\b",
    "an e-mail address": r"(?i)[a-z0-9._%+'-]+@[a-z0-9-]+(\.[a-z0-9-]+)+",
    "a telephone number": (
        r"(^|[^0-9])(\+ ?44|0044|0)[ ()-]{0,3}[1-37-9]([ ()-]{0,2}[0-9]){8,9}([^0-9]|$)"
    ),
    "a date": r"\b(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\b"
    r"|\b[0-3]?[0-9][/.][01]?[0-9][/.](19|20)?[0-9]{2}\b",
    "a number of ten digits": r"(^|[^0-9])[0-9]{3}[ -][0-9]{3}[ -][0-9]{4}([^0-9]|$)",
}
_COMPILED = {what: re.compile(pattern) for what, pattern in SHAPES.items()}
_LONG_NUMBER = re.compile("[0-9]{9}")


def shapes_of(text: str, codes: Collection[str] = ()) -> Iterator[str]:
    """What of an identity a cell looks like.

    Args:
        codes: declared codes, some of which are forenames too (the languages DAN and SAM).
    """
    yield from (what for what, pattern in _COMPILED.items() if pattern.search(text))
    if _LONG_NUMBER.search(text) and not is_snomed(text):
        yield "a long number"
    if text.strip().upper() in familiar_names() and text not in codes:
        yield "a name"


def declared_codes(contracts: Mapping[str, Contract], seeds: Path) -> frozenset[str]:
    """Every code that a contract or a seed of the models declares."""
    found = {
        code
        for contract in contracts.values()
        for table in contract.tables.values()
        for column in table.columns
        if column.codeset
        for code in column.codeset.values
    }
    for path in sorted(seeds.rglob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found |= {cell for row in csv.reader(file) for cell in row}
    return frozenset(found) | REGISTERED


def is_snomed(text: str) -> bool:
    """Whether the whole text is a SNOMED CT identifier: 6 to 18 digits, a partition, Verhoeff."""
    whole = text.strip()
    if not (whole.isascii() and whole.isdigit() and 6 <= len(whole) <= 18):
        return False
    return whole[-3:-1] in _PARTITIONS and _verhoeff(whole) == 0


# Concepts, descriptions and relationships, of the international release and of extensions.
_PARTITIONS = ("00", "01", "02", "10", "11", "12")


def _verhoeff(digits: str) -> int:
    """The checksum of Verhoeff (1969) over the dihedral group of the pentagon: 0 when right."""
    multiply, permute = _tables()
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = multiply[check][permute[place % 8][int(digit)]]
    return check


@cache
def _tables() -> tuple[list[list[int]], list[list[int]]]:
    def product(a: int, b: int) -> int:
        turn, flip = a % 5, a // 5
        other, mirrored = b % 5, b // 5
        return (turn + (-other if flip else other)) % 5 + 5 * (flip ^ mirrored)

    multiply = [[product(a, b) for b in range(10)] for a in range(10)]
    permute = [list(range(10)), [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
    for _ in range(6):
        permute.append([permute[-1][permute[1][n]] for n in range(10)])
    return multiply, permute
