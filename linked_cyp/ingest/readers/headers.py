"""Which table is this file? Decided by its header, because file names vary with the sender.

Names are compared without regard to case, surrounding or inner spaces, or a byte order mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from linked_cyp.contracts.model import Contract, Table, normalise

# A file whose name does not help must share at least this much of its header with the table.
LEAST_SHARED = 0.5


@dataclass(frozen=True)
class Recognition:
    """What a header turned out to be.

    ``positions`` gives the 0-based place of each of our columns in the file, ``older`` the places
    of its other headers where the file has several, as files that span two versions of a standard
    do: a row then has its value in one of them. ``rule`` says why the file is refused (None when it
    is not), ``column`` which column is to blame.
    """

    table: str | None = None
    positions: Mapping[str, int] = field(default_factory=dict)
    older: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    undeclared: tuple[str, ...] = ()
    out_of_force: tuple[str, ...] = ()
    rule: str | None = None
    column: str | None = None


def recognise(
    contract: Contract, in_force: Contract, header: Sequence[str], file_name: str
) -> Recognition:
    """Match a header to a table of the contract.

    The table that knows most of the columns wins, those not taken among them; between equals, the
    one that the file's name names.

    Args:
        contract: every table and column the feed ever had.
        in_force: the contract at the collection year: what it requires is required.
        header: the names in the file, in order.
        file_name: decides ties only.
    """
    names = [normalise(name) for name in header]
    candidates = []
    for table in contract.tables.values():
        positions, older = _positions(table, names)
        if not positions:
            continue
        missing = _missing(table, in_force, positions)
        named = _named(table, file_name)
        others = {normalise(name) for name in table.not_taken}
        shared = len(positions) / max(1, len([n for n in names if n and n not in others]))
        if not named and shared < LEAST_SHARED:
            continue
        known = len(positions) + len(others.intersection(names))
        candidates.append((not missing, known, named, table, positions, older, missing))
    if not candidates:
        return Recognition(rule="file__unrecognised")
    best = max(candidates, key=lambda c: (c[0], c[1], c[2]))
    table, positions, older, missing = best[3:]
    if missing:
        return Recognition(table=table.name, rule="file__column_missing", column=missing[0])
    repeated = _repeated(table, names, positions)
    if repeated:
        return Recognition(table=table.name, rule="file__column_repeated", column=repeated)
    used = {*positions.values(), *(place for places in older.values() for place in places)}
    year_table = in_force.tables.get(table.name)
    expected = {c.name for c in year_table.columns} if year_table else set()
    left = {normalise(name) for name in table.not_taken}
    return Recognition(
        table=table.name,
        positions=positions,
        older=older,
        undeclared=tuple(
            header[i].strip()
            for i, name in enumerate(names)
            if name and i not in used and name not in left
        ),
        out_of_force=tuple(name for name in positions if name not in expected),
    )


def _positions(
    table: Table, names: Sequence[str]
) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """Where each of our columns is, the present name preferred; and where its older names are."""
    there = table.header_names.intersection(names)
    if not there:
        return {}, {}
    known = {
        column: [names.index(name) for name in spellings if name in there]
        for column, spellings in table.spellings.items()
    }
    # Two of our columns may share an older name; the first declared keeps it.
    first: dict[int, str] = {}
    for name, places in known.items():
        if places:
            first.setdefault(places[0], name)
    older = {
        name: others
        for name in first.values()
        if (others := tuple(dict.fromkeys(p for p in known[name] if p not in first)))
    }
    return {name: place for place, name in first.items()}, older


def _missing(table: Table, in_force: Contract, positions: Mapping[str, int]) -> list[str]:
    year_table = in_force.tables.get(table.name)
    columns: Iterable = year_table.columns if year_table else table.columns
    return [c.name for c in columns if c.required and c.name not in positions]


def _repeated(table: Table, names: Sequence[str], positions: Mapping[str, int]) -> str | None:
    for column, position in positions.items():
        if names.count(names[position]) > 1:
            return column
    return None


def names_table(table: Table, file_name: str) -> bool:
    """Whether a file is called as a table is, whatever stands before or after its name."""
    words = re.split(r"[^a-z0-9]+", file_name.casefold().rsplit(".", 1)[0])
    whole = "".join(words)
    for known in (table.physical_name, table.name):
        compact = re.sub("[^a-z0-9]", "", known.casefold())
        if compact and (compact in words or (len(compact) > 5 and compact in whole)):
            return True
    return False


def _named(table: Table, file_name: str) -> int:
    """How well a file's name names the table: the length of the longest of its names inside it."""
    text = normalise(re.sub(r"[_\-.]", "", file_name))
    known = (re.sub(r"[_\-.]", "", normalise(n)) for n in (table.physical_name, table.name))
    return max((len(n) for n in known if n and n in text), default=0)
