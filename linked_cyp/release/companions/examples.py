"""Example queries: those of the cohorts' pages, and a first one for every other table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from linked_cyp.release.companions.completeness import when
from linked_cyp.release.selection import PERSON
from linked_cyp.research import cohort_pages

_TABLE = re.compile(r"\b(?:curated|cohort)\.[a-z_0-9]+")


@dataclass(frozen=True)
class Example:
    """A query, and what it asks."""

    asks: str
    sql: str

    @property
    def tables(self) -> frozenset[str]:
        """The tables (``schema.table``) that a release must hold for it to run."""
        return frozenset(_TABLE.findall(self.sql))


def documented() -> list[Example]:
    """The queries of the cohorts' pages (``docs/cohorts``)."""
    return [Example(f"{page.title}. {page.asks}", page.sql) for page in cohort_pages.pages()]


def examples(
    tables: Mapping[str, Mapping[str, str]], known: Sequence[Example]
) -> dict[str, list[Example]]:
    """Each table (with its columns and their types) → queries that run in this release."""
    running = [example for example in known if example.tables <= set(tables)]
    return {
        table: [e for e in running if table in e.tables] or [counting(table, columns)]
        for table, columns in tables.items()
    }


def counting(table: str, columns: Mapping[str, str]) -> Example:
    """A first query on a table: children and rows by year, or its first rows."""
    time = when(columns)
    if not time:
        return Example("The first rows.", f"FROM {table} LIMIT 10")
    year = time if columns[time] not in ("DATE", "TIMESTAMP") else f"year({time})"
    children = f"count(DISTINCT {PERSON}) AS children, " if PERSON in columns else ""
    return Example(
        "Children and rows by year." if children else "Rows by year.",
        f"SELECT {year} AS year, {children}count(*) AS rows\nFROM {table}\n"
        "GROUP BY ALL ORDER BY year",
    )
