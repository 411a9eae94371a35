"""Whether a delivery holds what its folder says: term, year, month and authority.

A return in the folder of another period is counted as that period's, and takes the place of what
was there. Three things are held against the folder: what the contract says a column of the return
says of itself (``periodRole``: year, term, day; ``authority``) or of what it reports on
(``within``: the calendar year in which it happened), the day on which things happened, and the
names of the files.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

import duckdb

from linked_cyp.contracts.model import Column, Contract
from linked_cyp.core.sql import exists, quoted
from linked_cyp.ingest.landing import LandedDelivery
from linked_cyp.ingest.ledger import CURRENT, UNLESS_TOLD, is_allowed
from linked_cyp.ingest.readers import Staged, StagedTable
from linked_cyp.ingest.readers.conform import TEXT_PREFIX

TERMS = {"aut": "autumn", "spr": "spring", "sum": "summer"}
_CALLED = {"within": "year"}
# Share of the rows that may say another period than the folder: one school's old header, say.
MOST_OTHERS = 0.05
# Days after the period's end on which a return may still be closed, and what is dated with it.
CLOSED_AFTER = 62
# Share of the days that may lie beyond that: reviews and plans are dated ahead.
MOST_AHEAD = 0.2
FEWEST_DAYS = 20


def span(contract: Contract, period: str) -> tuple[dt.date, dt.date]:
    """First and last day of what a delivery of that period reports on.

    A snapshot reports on the day and on everything before it; a year at least belongs to it.
    """
    year = int(period[:4])
    match contract.period_kind:
        case "financial_year":
            return dt.date(year - 1, 4, 1), dt.date(year, 3, 31)
        case "academic_year":
            return dt.date(year - 1, 9, 1), dt.date(year, 8, 31)
        case "calendar_year":
            return dt.date(year, 1, 1), dt.date(year, 12, 31)
        case "academic_term":  # a census reports on the term before it as well
            return {
                "autumn": (dt.date(year, 4, 1), dt.date(year, 12, 31)),
                "spring": (dt.date(year - 1, 9, 1), dt.date(year, 4, 30)),
                "summer": (dt.date(year, 1, 1), dt.date(year, 8, 31)),
            }[period[5:]]
        case "month":
            month = int(period[5:7])
            return dt.date(year, month, 1), _month_end(year, month)
        case _:
            day = dt.date.fromisoformat(period)
            return day - dt.timedelta(days=366), day


def refusals(
    con: duckdb.DuckDBPyConnection, staged: Staged, landed: LandedDelivery
) -> Iterator[str]:
    """Why a delivery is not of the period of its folder, one sentence for each column or file."""
    contract = staged.contract
    for table in staged.tables.values():
        for name in table.present:
            column = table.table.column(name)
            if column.period_role == "authority":
                yield from _sent_by(con, table, column, landed)
            elif column.period_role:
                yield from _said(con, contract, column, table.relation, landed, table.table.name)
    yield from _happened(con, staged, landed)
    yield from _named(contract, landed)


def _said(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    column: Column,
    relation: str,
    landed: LandedDelivery,
    table: str,
) -> Iterator[str]:
    """A column in which the return says what it is of."""
    values = con.execute(
        f"SELECT {quoted(column.name)}::VARCHAR, count(*) FROM {relation}"
        f" WHERE {quoted(column.name)} IS NOT NULL GROUP BY 1"
    ).fetchall()
    rows = sum(n for _, n in values)
    other = sum(n for value, n in values if not _agrees(contract, column, value, landed))
    if rows and other / rows > MOST_OTHERS:
        yield (
            f"{table}.{column.name} ({column.physical_name}): {other} of {rows} rows are of another"
            f" {_CALLED.get(column.period_role or '', column.period_role)} than the folder"
            f" {landed.period}"
        )


def _sent_by(
    con: duckdb.DuckDBPyConnection, item: StagedTable, column: Column, landed: LandedDelivery
) -> Iterator[str]:
    """A column in which the return names its authority: one, and the one of this supplier.

    Folders have names and returns have codes, so what a supplier's code is its own earlier
    deliveries say; of a first one, that no other supplier's have it.
    """
    name = quoted(column.name)
    found = con.execute(
        f"SELECT {name}::VARCHAR, count(*) FROM {item.relation} WHERE {name} IS NOT NULL"
        " GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    if not found or is_allowed(con, landed.delivery_id):
        return
    rows, (own, most) = sum(n for _, n in found), found[0]
    says = f"{item.table.name}.{column.name} ({column.physical_name})"
    if (rows - most) / rows > MOST_OTHERS:
        yield f"{says}: {rows - most} of {rows} rows name another authority, {UNLESS_TOLD}"
    known = _authorities(con, item, name, landed)
    others = any(code == own for supplier, code in known.items() if supplier != landed.supplier)
    if known.get(landed.supplier, own) != own:
        yield f"{says} names another authority than this supplier's other deliveries, {UNLESS_TOLD}"
    elif others and landed.supplier not in known:
        yield f"{says} names the authority of another supplier, {UNLESS_TOLD}"


def _authorities(
    con: duckdb.DuckDBPyConnection, item: StagedTable, name: str, landed: LandedDelivery
) -> dict[str, str]:
    """What each supplier's accepted deliveries call their authority, most often."""
    raw = f"identifiable.raw.{item.table.table_name}"
    if not exists(con, raw):
        return {}
    rows = con.execute(
        f"SELECT c.supplier, mode(r.{name}::VARCHAR) FROM {raw} AS r JOIN {CURRENT} AS c"
        " USING (delivery_id) WHERE c.status = 'accepted' AND c.delivery_id <> ?"
        f" AND r.{name} IS NOT NULL GROUP BY 1",
        [landed.delivery_id],
    ).fetchall()
    return dict(rows)


def _agrees(contract: Contract, column: Column, value: str, landed: LandedDelivery) -> bool:
    """Whether one value is of the folder's period; one that cannot be read is not judged here."""
    text, period = value.strip().lower(), landed.period
    if column.period_role == "term":
        term = TERMS.get(text[:3])
        return term is None or period.endswith(term)
    if column.period_role == "within":
        first, last = span(contract, period)
        found = re.match(r"(\d{4})(?:\.0)?$", text)
        return not found or first.year <= int(found[1]) <= last.year
    if column.period_role == "year":
        found = re.match(r"(\d{4})(?:\.0)?(?:\D+\d{2,4})?$", text)
        if not found:
            return True
        year = int(found[1])
        ends = year + 1 if re.search(r"\d{4}\D+\d", text) and "." not in text else year
        first, last = span(contract, period)
        return ends in (last.year, int(period[:4]), contract.collection_year(period))
    try:
        day = dt.date.fromisoformat(text[:10])
    except ValueError:
        return True
    first, last = span(contract, period)
    return first <= day <= last + dt.timedelta(days=CLOSED_AFTER)


def _happened(
    con: duckdb.DuckDBPyConnection, staged: Staged, landed: LandedDelivery
) -> Iterator[str]:
    """Something must have happened in the period, and little after it."""
    first, last = span(staged.contract, landed.period)
    if staged.contract.period_kind == "month":
        first -= dt.timedelta(days=366)  # in a small place nothing may have happened for months
    if staged.contract.period_kind in ("academic_year", "calendar_year"):
        first -= dt.timedelta(days=366)  # a census at its beginning reports on the year before
    if staged.contract.period_kind == "academic_year":
        last += dt.timedelta(days=366)  # results are corrected and dated long after it
    closed = last + dt.timedelta(days=CLOSED_AFTER)
    days = within = ahead = 0
    for item in staged.tables.values():
        for name in item.present:
            column = item.table.column(name)
            if column.type not in ("date", "timestamp") or not _is_event(column):
                continue
            text = quoted(name)
            found = con.execute(
                f"SELECT count({quoted(TEXT_PREFIX + name)}),"
                f" count(*) FILTER ({text}::DATE BETWEEN ? AND ?),"
                f" count(*) FILTER ({text}::DATE > ?) FROM {item.relation}",
                [first, closed, closed],
            ).fetchone() or (0, 0, 0)
            days, within, ahead = days + found[0], within + found[1], ahead + found[2]
    if days >= FEWEST_DAYS and not within:
        yield f"of {days} dates in the files none is in the period of the folder {landed.period}"
    elif days >= FEWEST_DAYS and ahead / days > MOST_AHEAD:
        yield (
            f"{ahead} of {days} dates in the files are after the period of the folder"
            f" {landed.period}"
        )


def _is_event(column: Column) -> bool:
    """Whether a date is of something that happened, not of a birth."""
    return column.linkage_role is None and "birth" not in column.name


def _named(contract: Contract, landed: LandedDelivery) -> Iterator[str]:
    """Files whose names say another term than the folder."""
    if contract.period_kind != "academic_term":
        return
    year, _, term = landed.period.partition("-")
    for file in landed.files:
        found = re.match(r"(20\d\d)[_\- ]?(autumn|spring|summer)", file.name.lower())
        if found and (found[1], found[2]) != (year, term):
            yield f"file {file.index} is named for another term than the folder {landed.period}"


def _month_end(year: int, month: int) -> dt.date:
    return dt.date(year + month // 12, month % 12 + 1, 1) - dt.timedelta(days=1)
