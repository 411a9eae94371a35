"""Which collection a return is for: what it says itself, else its newest dates, never the clock.

A return states its year in its header (a column ``collection_year``) or by the reference date
there. Most returns of delimited files state neither; then it is the newest collection year to
which at least one in a hundred of their dates belong, so that one mistyped year decides nothing.
Dates of birth and dates expected or still to come are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import duckdb

from linked_cyp.contracts.model import Column, Contract
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import quoted
from linked_cyp.ingest.readers import SourceFile, Staged, StagedTable, stage_delivery

# Below this share of a return's dates a year is a slip of the pen.
LEAST_SHARE = 0.01
EARLIEST = 2000
# The month with which a year of record begins; what is not named begins in April.
_FIRST_MONTH = {"academic_year": 9, "academic_term": 9, "calendar_year": 1}


@dataclass(frozen=True)
class CollectionYear:
    """A year, named by the year it ends in, and why.

    ``is_stated`` when the return itself says so; otherwise its dates suggest it, or nothing does
    (``is_guess``). ``others`` are years that it names as well, where it contradicts itself.
    """

    year: int
    reason: str
    is_stated: bool = False
    is_guess: bool = False
    others: frozenset[int] = frozenset()


def found_year(
    contract: Contract, files: Sequence[SourceFile], work: Path, today: date
) -> CollectionYear:
    """Read a return for its collection year.

    Args:
        work: a private folder for copies.
        today: dates after it do not count; its own collection year is the last resort.

    Raises:
        LinkedCypError: reading failed, or files of two years lie together.
    """
    with (
        duckdb.connect(config={"threads": 1}) as con,
        stage_delivery(con, _lenient(contract), files, work) as staged,
        value_free("looking for the collection year"),
    ):
        return (
            _stated(con, staged)
            or _newest(con, staged, today)
            or CollectionYear(
                _year_of(contract, today),
                "the files hold no dates of events, so today's collection is taken",
                is_guess=True,
            )
        )


def agreed_year(
    named: int | None,
    found: CollectionYear,
    whole: bool,
    what: str = "the return",
    instead: str = "leave --year out, or check that these are the right files",
) -> CollectionYear:
    """The year a return is checked for: the one that was named, unless the return contradicts it.

    Args:
        named: what the person said, if anything.
        found: what the return says.
        whole: the files are all there is. Of a part of a return, dates that are older than the
            named year contradict nothing.
        what: what is spoken of.
        instead: what the person can do about a contradiction.

    Raises:
        LinkedCypError: the named year is none, or the return contradicts it.
    """
    if named is None:
        return found
    if not EARLIEST <= named <= date.today().year + 2:
        raise LinkedCypError(
            f"{named} is not a collection year: it is named by the year it ends in, such as 2025"
        )
    agrees = found.is_guess or named in (found.year, *found.others)
    if not agrees and (found.is_stated or whole or named < found.year):
        raise LinkedCypError(
            f"{what} is not of {named} but of {found.year}: {found.reason}; {instead}"
        )
    own = named == found.year and not found.is_guess
    return found if own else CollectionYear(named, "named by you")


def _lenient(contract: Contract) -> Contract:
    """The contract with nothing required: which columns are depends on the year."""
    tables = {
        name: replace(table, columns=tuple(replace(c, required=False) for c in table.columns))
        for name, table in contract.tables.items()
    }
    return replace(contract, tables=tables)


def _year_of(contract: Contract, day: date) -> int:
    first = _FIRST_MONTH.get(contract.period_kind, 4)
    return day.year + (first > 1 and day.month >= first)


def _stated(con: duckdb.DuckDBPyConnection, staged: Staged) -> CollectionYear | None:
    """The year that the return names, and where another of its fields names another one."""
    found: dict[str, int] = {}
    for name in ("collection_year", "reference_date"):
        for item in staged.tables.values():
            if name in item.present:
                column = item.table.column(name)
                years = _years(con, staged.contract, item, column)
                if len(years) > 1:
                    raise LinkedCypError(
                        f"the files are not one return: their {column.physical_name} names "
                        f"{' and '.join(map(str, sorted(years)))}"
                    )
                found |= {f"{item.table.physical_name}, {column.physical_name}": y for y in years}
    if not found:
        return None
    where, year = next(iter(found.items()))
    others = {place: other for place, other in found.items() if other != year}
    said = "".join(f", though {place} names {other}" for place, other in others.items())
    reason = f"the return says so ({where}){said}"
    return CollectionYear(year, reason, is_stated=True, others=frozenset(others.values()))


def _years(
    con: duckdb.DuckDBPyConnection, contract: Contract, item: StagedTable, column: Column
) -> set[int]:
    name = quoted(column.name)
    rows = con.execute(
        f"SELECT DISTINCT {name} FROM {item.relation} WHERE {name} NOTNULL"
    ).fetchall()
    years = {v if column.type == "integer" else _year_of(contract, v) for (v,) in rows}
    return {year for year in years if EARLIEST <= year <= date.today().year + 2}


def _newest(con: duckdb.DuckDBPyConnection, staged: Staged, today: date) -> CollectionYear | None:
    first = _FIRST_MONTH.get(staged.contract.period_kind, 4)
    later = f"(month(d) >= {first})::INTEGER" if first > 1 else "0"
    parts = [
        f"SELECT {quoted(c.name)}::DATE AS d, "
        f"'{item.table.physical_name}, {c.physical_name}' AS place FROM {item.relation}"
        for item in staged.tables.values()
        for c in _of_events(item)
    ]
    if not parts:
        return None
    found = con.execute(
        f"WITH dates AS ({' UNION ALL '.join(parts)}), years AS (SELECT year(d) + {later} AS y, "
        "place FROM dates WHERE d <= $1), counted AS (SELECT y, count(*) AS n, mode(place) AS "
        "place FROM years GROUP BY y) SELECT y, n, place FROM counted "
        "WHERE n >= $2 * (SELECT sum(n) FROM counted) ORDER BY y DESC LIMIT 1",
        [today, LEAST_SHARE],
    ).fetchone()
    if found is None:
        return None
    return CollectionYear(
        int(found[0]), f"its newest dates are of that year ({found[1]:,}, most in {found[2]})"
    )


def _of_events(item: StagedTable) -> list[Column]:
    """The columns of a table that date what happened."""
    columns = (item.table.column(name) for name in item.present)
    return [
        c
        for c in columns
        if c.type in ("date", "timestamp")
        and c.linkage_role != "birth_date"
        and "birth" not in c.name
        and not c.name.startswith("expected")
    ]
