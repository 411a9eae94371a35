"""Which values a coded or worded column of a release can hold, and what they mean.

A code list is known to belong to a column when a supplier's field that the column is made from has
it in its contract, and the column's values are on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from linked_cyp.contracts import Codeset, Contract
from linked_cyp.release.companions.completeness import columns_of
from linked_cyp.release.disclosure import SMALLEST
from linked_cyp.release.selection import PERSON
from linked_cyp.research.release import Release
from linked_cyp.sql import quoted

# A column with more values than these holds no list of words; its code lists are looked for still.
WORDS = 30
CODES = 2_000
LONGEST = 60
# More lists than these fit a value that was harmonised: they are the suppliers', not the column's.
LISTS = 2
# Share of a column's values that have to be on a list.
ENOUGH = 0.8


@dataclass(frozen=True)
class Values:
    """``lists`` are the code lists of a column; ``words`` the values it has for at least ten
    children, where no list is known and there are few of them."""

    lists: tuple[Codeset, ...] = ()
    words: tuple[str, ...] = ()


def values(release: Release, contracts: Mapping[str, Contract]) -> dict[tuple[str, str], Values]:
    """(``schema.table``, column) → its values, where something is known of them."""
    of_field = field_codesets(contracts.values())
    candidates = {
        (f"{schema}.{table}", column): _candidates(fields or "", of_field)
        for schema, table, column, fields in release.query(
            "SELECT table_schema, table_name, column_name, source_fields FROM dictionary"
        ).rows()
    }
    found = {}
    for table, columns in columns_of(release).items():
        for column, held in _held(release, table, columns).items():
            lists = _fitting(candidates[(table, column)], held)
            if not lists and not held and column.endswith("_code"):
                lists = candidates[(table, column)] if len(candidates[(table, column)]) == 1 else ()
            is_worded = len(held) <= WORDS and max(map(len, held), default=0) <= LONGEST
            words = tuple(held) if is_worded and not lists else ()
            if lists or words:
                found[(table, column)] = Values(lists, words)
    return found


def field_codesets(contracts: Iterable[Contract]) -> dict[str, Codeset]:
    """Supplier's field as the dictionary writes it (``feed__table.FIELD``) → its code list."""
    return {
        f"{table.table_name}.{name}": column.codeset
        for contract in contracts
        for table in contract.tables.values()
        for column in table.columns
        if column.codeset
        for name in (column.physical_name, *column.aliases)
    }


def _candidates(fields: str, of_field: Mapping[str, Codeset]) -> tuple[Codeset, ...]:
    lists = (of_field.get(field.strip()) for field in fields.split(";"))
    return tuple({found.name: found for found in lists if found}.values())


def _fitting(candidates: Iterable[Codeset], held: Iterable[str]) -> tuple[Codeset, ...]:
    """The lists on which most of the values are; several where they do equally well."""
    values = set(held)
    if not values:
        return ()
    fit = [(len(values & set(c.values)) / len(values), c) for c in candidates]
    best = max((share for share, _ in fit), default=0.0)
    fitting = tuple(c for share, c in fit if share == best >= ENOUGH)
    return fitting if len(fitting) <= LISTS else ()


def _held(release: Release, table: str, columns: Mapping[str, str]) -> dict[str, list[str]]:
    """Text columns that are no ids → the values that ten children or more have, in order.

    Where a table is not about children (it has no ``person_id``), every value counts.
    """
    texts = [c for c, kind in columns.items() if kind == "VARCHAR" and not c.endswith("_id")]
    if not texts:
        return {}
    relation = ".".join(quoted(part) for part in table.split("."))
    sizes = release.query(
        f"SELECT {', '.join(f'approx_count_distinct({quoted(c)})' for c in texts)} FROM {relation}"
    ).row(0)
    enough = f"HAVING count(DISTINCT {PERSON}) >= {SMALLEST}" if PERSON in columns else ""
    found: dict[str, list[str]] = {}
    for column, size in zip(texts, sizes, strict=True):
        if size <= CODES:
            found[column] = (
                release.query(
                    f"SELECT {quoted(column)} FROM {relation} WHERE {quoted(column)} IS NOT NULL"
                    f" GROUP BY 1 {enough} ORDER BY 1"
                )
                .to_series()
                .to_list()
            )
    return found
