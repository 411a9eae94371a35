"""Which values a coded or worded column of a release can hold, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from linked_cyp.contracts.model import Code, Codeset
from linked_cyp.core.disclosure import SMALLEST
from linked_cyp.core.sql import quoted
from linked_cyp.release.companions.completeness import columns_of
from linked_cyp.release.selection import PERSON
from linked_cyp.research.release import Release

# A column with more values than these, or longer ones, is not one of a few words.
WORDS = 30
LONGEST = 60


@dataclass(frozen=True)
class Values:
    """``lists`` are the code lists of a column; ``words`` the values it has for at least ten
    children, where no list is known and there are few of them."""

    lists: tuple[Codeset, ...] = ()
    words: tuple[str, ...] = ()


def values(release: Release) -> dict[tuple[str, str], Values]:
    """(``schema.table``, column) → its values, where something is known of them."""
    found = {place: Values(lists=lists) for place, lists in _lists(release).items()}
    for table, columns in columns_of(release).items():
        texts = [
            column
            for column, kind in columns.items()
            if kind == "VARCHAR" and not column.endswith("_id") and (table, column) not in found
        ]
        for column, words in _words(release, table, texts, PERSON in columns).items():
            found[(table, column)] = Values(words=words)
    return found


def _lists(release: Release) -> dict[tuple[str, str], tuple[Codeset, ...]]:
    """The code lists that the release keeps of its columns."""
    codes: dict[tuple[str, str], dict[str, list[Code]]] = {}
    for schema, table, column, name, *code in release.query(
        "SELECT table_schema, table_name, column_name, code_list, code, meaning, first_year,"
        " last_year FROM main.code"
    ).rows():
        codes.setdefault((f"{schema}.{table}", column), {}).setdefault(name, []).append(Code(*code))
    return {
        place: tuple(Codeset(name, tuple(held)) for name, held in lists.items())
        for place, lists in codes.items()
    }


def _words(
    release: Release, table: str, columns: list[str], of_children: bool
) -> Mapping[str, tuple[str, ...]]:
    """Columns of few short values → those that ten children or more have, in order.

    Where a table is not about children (it has no ``person_id``), every value counts.
    """
    if not columns:
        return {}
    relation = ".".join(quoted(part) for part in table.split("."))
    sizes = release.query(
        f"SELECT {', '.join(f'approx_count_distinct({quoted(c)})' for c in columns)}"
        f" FROM {relation}"
    ).row(0)
    enough = f"HAVING count(DISTINCT {PERSON}) >= {SMALLEST}" if of_children else ""
    found = {}
    for column, size in zip(columns, sizes, strict=True):
        if size > 2 * WORDS:  # a count that is approximate
            continue
        words = release.query(
            f"SELECT {quoted(column)} FROM {relation} WHERE {quoted(column)} IS NOT NULL"
            f" GROUP BY 1 {enough} ORDER BY 1"
        ).to_series()
        if 0 < len(words) <= WORDS and max(map(len, words)) <= LONGEST:
            found[column] = tuple(words)
    return found
