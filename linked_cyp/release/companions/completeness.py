"""How far the columns of a release are filled, by year and by local authority.

Shares are of rows, worked out from counts rounded to 5. A year or an authority with the rows of
fewer than ten children is left out, and a share of one to nine filled (or empty) rows is not told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from linked_cyp.core.disclosure import SMALLEST, hidden, rounded, share
from linked_cyp.core.sql import quoted
from linked_cyp.release.selection import PERSON
from linked_cyp.research.release import Release

# A page is read from left to right: no more columns than these.
YEARS = 15
AUTHORITIES = 40
_TERMS = ("academic_year", "financial_year")  # named by the year in which they end
_YEARS = (*_TERMS, "return_year", "collection_year")
_HOME = "curated.address_history"


@dataclass(frozen=True)
class Group:
    """Rows that belong together: how many (rounded), of how many children, and the share of them
    that have a value, by column. None is what is too small to show, or counts no children."""

    rows: int | None
    children: int | None
    filled: Mapping[str, float | None]


@dataclass(frozen=True)
class Completeness:
    """One table (``schema.table``).

    ``when`` is the column by whose year rows are grouped, ``where`` says in words whose local
    authority is meant; both are empty where the table has none.
    """

    table: str
    everything: Group
    when: str
    years: Mapping[str, Group]
    where: str
    authorities: Mapping[str, Group]
    authorities_left_out: int = 0


@lru_cache(maxsize=1)  # two pages show it, and it reads every row of the release
def completeness(release: Release) -> Mapping[str, Completeness]:
    """Every research table of a release, in the order of its names."""
    columns = columns_of(release)
    return {table: _of(release, table, columns) for table in sorted(columns)}


def columns_of(release: Release) -> dict[str, dict[str, str]]:
    """Table (``schema.table``) → column → type, as the dictionary has them."""
    found: dict[str, dict[str, str]] = {}
    for schema, table, column, kind in release.query(
        "SELECT table_schema, table_name, column_name, data_type FROM dictionary"
        " ORDER BY table_schema, table_name, position"
    ).rows():
        found.setdefault(f"{schema}.{table}", {})[column] = kind
    return found


def when(columns: Mapping[str, str]) -> str:
    """The column that says in which year a row belongs: a year of its own, or its first date."""
    named = [name for name in _YEARS if name in columns]
    dated = [name for name, kind in columns.items() if kind in ("DATE", "TIMESTAMP")]
    return next(iter([*named, *dated]), "")


def _of(release: Release, table: str, columns: Mapping[str, Mapping[str, str]]) -> Completeness:
    held = columns[table]
    time = when(held)
    authority, where, join = _authority(table, columns)
    year, first = _year(release, table, time, held)
    child = f"t.{quoted(PERSON)}" if PERSON in held else "NULL"
    counts = ", ".join(f"count({quoted(name)})" for name in held)
    rows = release.query(
        f"""
        SELECT grouping(_year), grouping(_place), _year, _place, count(*),
            count(DISTINCT _child), {counts}
        FROM (SELECT t.*, {year} AS _year, {authority} AS _place, {child} AS _child
              FROM {_relation(table)} AS t {join})
        GROUP BY GROUPING SETS ((), (_year), (_place))
        """
    ).rows()
    names = list(held)
    total, of_year, of_place = (
        {row[place]: row for row in rows if (row[0], row[1]) == grouped}
        for grouped, place in (((1, 1), 3), ((0, 1), 2), ((1, 0), 3))
    )
    whole = total.get(None)
    everything = _group(names, whole, PERSON in held) if whole else Group(0, None, {})
    years = _shown(names, of_year, PERSON in held) if time else {}
    places = _shown(names, of_place, PERSON in held) if where else {}
    largest = sorted(places, key=lambda a: (-(places[a].rows or 0), a or ""))[:AUTHORITIES]
    return Completeness(
        table=table,
        everything=everything,
        when=time,
        years={
            "no date" if y is None else _label(time, y, first): years[y]
            for y in sorted(years, key=lambda y: (y is None, y))
        },
        where=where,
        authorities={
            a or "not known": places[a] for a in sorted(largest, key=lambda a: (a is None, a))
        },
        authorities_left_out=len(places) - len(largest),
    )


def _shown(
    names: Sequence[str], groups: Mapping[Any, Sequence[Any]], of_children: bool
) -> dict[Any, Group]:
    """The groups that may be shown: not the small ones, nor one that would give them away."""
    keys = list(groups)
    counts = [groups[key][4] for key in keys]
    without = hidden(sum(counts), counts)
    found = {key: _group(names, groups[key], of_children) for key in keys}
    return {k: g for i, (k, g) in enumerate(found.items()) if g.rows and i not in without}


def _authority(table: str, columns: Mapping[str, Mapping[str, str]]) -> tuple[str, str, str]:
    """SQL for the local authority of a row ``t``, what is meant by it, and what to join for it."""
    held = columns[table]
    if "local_authority" in held:
        return "t.local_authority", "the local authority that sent the record", ""
    if "la_code" in held:
        return "t.la_code", "the local authority of the row", ""
    home = columns.get(_HOME, {})
    if PERSON in held and {PERSON, "la_code", "from_month"} <= set(home):
        last = (
            f"LEFT JOIN (SELECT {PERSON}, max_by(la_code, from_month) AS la_code"
            f" FROM {_relation(_HOME)} WHERE la_code IS NOT NULL GROUP BY ALL) AS home"
            f" USING ({PERSON})"
        )
        return "home.la_code", f"where the child last lived ({_HOME})", last
    return "NULL", "", ""


def _year(release: Release, table: str, time: str, held: Mapping[str, str]) -> tuple[str, int]:
    """SQL for the year of a row ``t``, and the first one shown, which stands for all before too."""
    if not time:
        return "NULL", 0
    year = (
        f"t.{quoted(time)}"
        if held[time] not in ("DATE", "TIMESTAMP")
        else (f"year(t.{quoted(time)})")
    )
    now = release.about["published_at"].year + (time in _TERMS)
    newest = release.query(
        f"SELECT max({year}) FILTER ({year} <= {now}) FROM {_relation(table)} AS t"
    ).item()
    last = int(newest or now)
    return f"least(greatest({year}, {last - YEARS + 1}), {last})", last - YEARS + 1


def _label(time: str, year: int, first: int) -> str:
    name = f"{year - 1}/{year % 100:02d}" if time in _TERMS else str(year)
    return f"{name} or before" if year == first else name


def _group(names: Sequence[str], row: Sequence[Any], of_children: bool) -> Group:
    """From a row of counts: four of grouping, then rows, children, filled rows by column."""
    rows, children, *filled = row[4:]
    unit = children if of_children else rows
    if 0 < unit < SMALLEST:
        return Group(None, None, dict.fromkeys(names))
    shares = (share(number, rows) for number in filled)
    shown = rounded(children) if of_children else None
    return Group(rounded(rows), shown, dict(zip(names, shares, strict=True)))


def _relation(table: str) -> str:
    return ".".join(quoted(part) for part in table.split("."))
