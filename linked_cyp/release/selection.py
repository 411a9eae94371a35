"""Which rows a project may see: its cohort's persons, its period's events.

A cohort is the persons of one table, perhaps of some of its rows. A period keeps what happened, or
went on, between two days: the model of a table says when its rows happened (``meta.period``: one
date column, a start and an end, or ``academic_year``). What has no time, such as the children
themselves, follows the cohort alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp

from linked_cyp.sql import literal, quoted

PERSON = "person_id"
ACADEMIC_YEAR = "academic_year"


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


def when(manifest: Mapping[str, Any] | None, table: str) -> tuple[str, ...]:
    """The columns that say when a table's rows happened, from its model's ``meta.period``."""
    for node in ((manifest or {}).get("nodes") or {}).values():
        if f"{node.get('schema')}.{node.get('name')}" == table:
            named = (node.get("config") or {}).get("meta", {}).get("period") or ()
            return (named,) if isinstance(named, str) else tuple(named)
    return ()


def conditions(
    columns: Sequence[str],
    times: Sequence[str],
    cohort: Cohort | None,
    period: Period | None,
    catalog: str,
) -> Iterator[str]:
    """SQL conditions over a table ``t`` with these columns, which its rows meet to be released."""
    if cohort and PERSON in columns:
        yield f"t.{PERSON} IN ({cohort.persons(catalog)})"
    if period and times:
        yield _within(times, period)


def _within(times: Sequence[str], period: Period) -> str:
    start, end = literal(str(period.start)), literal(str(period.end))
    if times == (ACADEMIC_YEAR,):
        year = f"t.{ACADEMIC_YEAR}"
        return (
            f"make_date({year}, 8, 31) >= DATE {start}"
            f" AND make_date({year} - 1, 9, 1) <= DATE {end}"
        )
    first, last = f"t.{quoted(times[0])}", f"t.{quoted(times[-1])}"
    if len(times) == 1:
        return f"{first} >= DATE {start} AND {first} < DATE {end} + INTERVAL 1 DAY"
    # what has no end yet still goes on
    return f"{first} < DATE {end} + INTERVAL 1 DAY AND ({last} IS NULL OR {last} >= DATE {start})"
