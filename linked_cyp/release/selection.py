"""Which rows a project may see: its cohort's persons, its period's events.

A cohort is the persons of one table, perhaps of some of its rows. A period keeps what happened, or
went on, between two days: the model of a table says when its rows happened, in ``meta.period``:

* ``admission_date``, or ``[start_date, end_date]``: columns of its own. Those named ``..._month``
  stand for the whole month, and :data:`YEARS` for a whole year;
* ``{of: curated.hospital_admission, by: [person_id, admission_number]}``: when the row of another
  table that it belongs to did;
* ``{none: "why"}``: it has no time, such as the children themselves, and follows the cohort alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp

from linked_cyp.core.sql import literal, quoted

PERSON = "person_id"
# Years are named by the year they end in; the month they begin in.
YEARS: Mapping[str, int] = {"academic_year": 9, "return_year": 4, "financial_year": 4}


@dataclass(frozen=True)
class Cohort:
    """The persons of ``table`` (``zone.table``) in rows that meet ``where`` (all of them)."""

    description: str
    table: str
    where: str = ""

    def persons(self, catalog: str) -> str:
        """SQL for their ids."""
        zone, name = self.table.split(".")
        condition = f" WHERE {self.where}" if self.where else ""
        return f"SELECT {PERSON} FROM {catalog}.{quoted(zone)}.{quoted(name)}{condition}"


@dataclass(frozen=True)
class Period:
    """From the first day to the last, both included."""

    start: dt.date
    end: dt.date


def condition_problem(text: str) -> str | None:
    """Why a cohort's condition is none: it may compare columns of its table, and nothing more."""
    try:
        trees = sqlglot.parse(text, dialect="duckdb")
    except sqlglot.errors.ParseError:
        return "is not a condition in SQL"
    tree = trees[0]
    if len(trees) != 1 or not isinstance(
        tree, exp.Predicate | exp.Connector | exp.Not | exp.Column
    ):
        return "is not a condition in SQL"
    if tree.find(exp.Query, exp.Table):
        return "reads another table"
    plain = (exp.Connector, exp.Cast)  # which sqlglot counts among functions
    if any(not isinstance(called, plain) for called in tree.find_all(exp.Func)):
        return "calls a function"
    return None


@dataclass(frozen=True)
class When:
    """When the rows of a table happened.

    Attributes:
        columns: one column, or first and last; of ``parent`` where there is one.
        parent: ``zone.table`` of the rows that they belong to.
        by: columns that the two have in common.
        because: why the rows have no time; then there are no columns.
    """

    columns: tuple[str, ...] = ()
    parent: str = ""
    by: tuple[str, ...] = ()
    because: str = ""

    def problem(self, held: Collection[str]) -> str | None:
        """What is wrong with it for a table with columns ``held``; None when nothing is."""
        if missing := [c for c in self.by or self.columns if c not in held]:
            return f"has no column {missing[0]}, which should say when its rows happened"
        if not (self.columns or self.because):
            return "does not say when its rows happened (meta.period)"
        return None


def when(manifest: Mapping[str, Any] | None, table: str) -> When:
    """What the model of ``zone.table`` says in ``meta.period``; nothing where it does not."""
    stated = _stated(manifest, table)
    if not isinstance(stated, Mapping):
        return When(_columns(stated))
    if "none" in stated:
        return When(because=" ".join(str(stated["none"]).split()))
    parent, by = str(stated.get("of")), tuple(stated.get("by") or ())
    above = _stated(manifest, parent)  # one step: it has columns of its own, or says nothing
    return When(_columns(above), parent, by) if by and not isinstance(above, Mapping) else When()


def _columns(stated: Any) -> tuple[str, ...]:
    return (stated,) if isinstance(stated, str) else tuple(stated or ())


def _stated(manifest: Mapping[str, Any] | None, table: str) -> Any:
    for node in ((manifest or {}).get("nodes") or {}).values():
        if f"{node.get('schema')}.{node.get('name')}" == table:
            return (node.get("config") or {}).get("meta", {}).get("period")
    return None


def conditions(
    columns: Collection[str],
    times: When,
    cohort: Cohort | None,
    period: Period | None,
    catalog: str,
) -> Iterator[str]:
    """SQL conditions over a table ``t`` with these columns, which its rows meet to be released.

    A row without the date that says when it happened is in no period.
    """
    if cohort and PERSON in columns:
        yield f"t.{PERSON} IN ({cohort.persons(catalog)})"
    if period and times.columns:
        if not times.parent:
            yield _within("t", times.columns, period)
            return
        zone, name = times.parent.split(".")
        same = " AND ".join(f"p.{quoted(c)} = t.{quoted(c)}" for c in times.by)
        yield (
            f"EXISTS (SELECT 1 FROM {catalog}.{quoted(zone)}.{quoted(name)} AS p"
            f" WHERE {same} AND {_within('p', times.columns, period)})"
        )


def _within(table: str, columns: Sequence[str], period: Period) -> str:
    start, end = literal(str(period.start)), literal(str(period.end))
    first, last = (f"{table}.{quoted(c)}" for c in (columns[0], columns[-1]))
    if begins := YEARS.get(columns[0]):
        first, last = f"make_date({first} - 1, {begins}, 1)", f"make_date({last}, {begins}, 1)"
        return f"{first} <= DATE {end} AND {last} > DATE {start}"
    if columns[-1].endswith("_month"):
        last = f"last_day({last})"
    # what has no end yet still goes on
    return f"{first} < DATE {end} + INTERVAL 1 DAY AND ({last} IS NULL OR {last} >= DATE {start})"
