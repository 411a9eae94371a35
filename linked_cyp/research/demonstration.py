"""Three results that only linked data can give, read from a release as a researcher would.

Counts are suppressed and rounded as everywhere people look; shares come from rounded counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
from rich.table import Table

from linked_cyp.core.disclosure import share, shown

WIDTH = 30


@dataclass(frozen=True)
class Question:
    """``sql`` gives one row per group: its name, children in it, and for how many it holds."""

    title: str
    group: str
    holds: str
    sql: str


QUESTIONS = (
    Question(
        "School and social care: persistent absence in 2024/25",
        "on 31 March 2025",
        "persistently absent",
        """
        SELECT CASE social_care_group WHEN 'CLA' THEN 'looked after' WHEN 'CIN' THEN 'in need'
                WHEN 'CPP' THEN 'on a child protection plan' ELSE 'not known to social care' END,
            count(*), count(*) FILTER (is_persistently_absent)
        FROM cohort.persistent_absence_cin_status
        WHERE academic_year = 2025 AND social_care_group <> 'not known'
        GROUP BY ALL ORDER BY 2 DESC
        """,
    ),
    Question(
        "Social care and hospital: children with an emergency admission",
        "ever looked after",
        "admitted as an emergency",
        """
        SELECT CASE WHEN care.person_id IS NULL THEN 'no' ELSE 'yes' END, count(*),
            count(*) FILTER (child.person_id IN (
                SELECT person_id FROM curated.hospital_admission WHERE is_emergency))
        FROM curated.child
        LEFT JOIN (SELECT DISTINCT person_id FROM curated.looked_after_period_of_care) AS care
            USING (person_id)
        GROUP BY ALL ORDER BY 1
        """,
    ),
    Question(
        "How far the linkage reaches: people of each feed found in another kind of service",
        "feed",
        "found",
        """
        SELECT feed, persons, round(persons * share_in_another_domain)::BIGINT
        FROM link_quality WHERE breakdown = 'all' AND share_in_another_domain IS NOT NULL
        ORDER BY 2 DESC
        """,
    ),
)


def findings(release: Path) -> Iterator[Table]:
    """One table for each question, for the terminal."""
    with duckdb.connect(str(release), read_only=True) as connection:
        for question in QUESTIONS:
            rows = connection.execute(question.sql).fetchall()
            yield _table(question, rows)


def _table(question: Question, rows: list[tuple[str, int, int]]) -> Table:
    table = Table(title=question.title, title_justify="left", title_style="bold")
    table.add_column(question.group)
    table.add_column("people", justify="right")
    table.add_column(question.holds, justify="right")
    table.add_column("")
    for name, children, held in rows:
        part = share(held, children)
        text = f"{part:.0%}" if part is not None else "too few to show"
        bar = "█" * round(part * WIDTH) if part is not None else ""
        table.add_row(name, shown(children), text, bar)
    return table
