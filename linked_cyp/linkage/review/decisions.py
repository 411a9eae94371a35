"""Clerical decisions: an append-only table, and how a reviewer's file gets into it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl

from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import exists
from linked_cyp.linkage.review.tables import DDL, ensure_tables

DECISIONS = ("same", "different", "unsure")
COLUMNS = ("sheet", "number", "decision", "note")
LONGEST_NOTE = 300
SHOWN_PROBLEMS = 10
_LONG_NUMBER = re.compile(r"\d[\d\s-]{4,}\d")


@dataclass(frozen=True)
class Recorded:
    """What :func:`record_decisions` took in."""

    sheet_id: str
    decisions: dict[str, int]  # by word
    left_blank: int
    repeated: int = 0  # answers that this reviewer gave before, word for word


def newest_sql(decisions: str, *, by_reviewer: bool = False) -> str:
    """Query of the decisions that count.

    Each reviewer's newest answer about a pair; of those of several reviewers one that says
    different, else one that says same: whoever is unsure, or did not see what another saw, joins
    nobody. What a reviewer said is taken back by the same reviewer.

    Args:
        decisions: the table.
        by_reviewer: leave it at the newest answer of each reviewer.
    """
    own = (
        f"SELECT * FROM {decisions} QUALIFY row_number() OVER (PARTITION BY record_key_l,"
        " record_key_r, reviewer ORDER BY decided DESC, decision_id DESC) = 1"
    )
    if by_reviewer:
        return own
    return (
        f"SELECT * FROM ({own}) QUALIFY row_number() OVER (PARTITION BY record_key_l, record_key_r"
        " ORDER BY decision = 'different' DESC, decision = 'same' DESC, decided DESC,"
        " decision_id DESC) = 1"
    )


def newest_decisions(con: duckdb.DuckDBPyConnection, *, by_reviewer: bool = False) -> pl.DataFrame:
    """The decision that counts about each pair, or the newest of each reviewer.

    Returns:
        The columns of ``linkage.main.decision``, by pair; empty before the first decision.
    """
    if not exists(con, "linkage.main.decision"):
        columns = (column.split() for column in DDL["decision"].split(", "))
        nothing = ", ".join(f"NULL::{kind} AS {name}" for name, kind in columns)
        return con.execute(f"SELECT {nothing} LIMIT 0").pl()
    newest = newest_sql("linkage.main.decision", by_reviewer=by_reviewer)
    return con.execute(f"FROM ({newest}) ORDER BY record_key_l, record_key_r, reviewer").pl()


def record_decisions(
    con: duckdb.DuckDBPyConnection, path: Path, *, reviewer: str, now: datetime | None = None
) -> Recorded:
    """Take in a reviewer's file: all of it, or, when anything in it is wrong, nothing.

    An answer that the reviewer gave before, with the same note, is not taken twice: an old file
    recorded again must not outdo what was decided since.

    Args:
        con: connection with a writable ``linkage`` catalog.
        path: CSV as the review sheet saves it: ``sheet``, ``number``, ``decision`` (same,
            different, unsure, or blank for a pair not looked at) and ``note``.
        reviewer: who decided.

    Raises:
        LinkedCypError: each problem with row and column; never with what stands there.
    """
    if not reviewer.strip():
        raise LinkedCypError("a decision needs the name of its reviewer")
    ensure_tables(con)
    with value_free("reading a reviewer's decisions"):
        numbers: dict[str, set[int]] = {}
        for sheet, number in con.execute(
            "SELECT sheet_id, number FROM linkage.main.review_pair"
        ).fetchall():
            numbers.setdefault(sheet, set()).add(number)
        rows, problems = _read(path, numbers)
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        shown = "; ".join(problems[:SHOWN_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
        raise LinkedCypError(f"nothing was recorded: {shown}")
    decided = [row for row in rows if row[2]]
    if not decided:
        raise LinkedCypError("nothing was recorded: no pair in the file has a decision")
    with value_free("recording decisions"):
        frame = pl.DataFrame(
            decided,
            schema={
                "sheet_id": pl.String,
                "number": pl.Int32,
                "decision": pl.String,
                "note": pl.String,
            },
            orient="row",
        )
        con.register("incoming", frame.to_arrow())
        taken = con.execute(
            "INSERT INTO linkage.main.decision SELECT (SELECT coalesce(max(decision_id), 0)"
            " FROM linkage.main.decision) + row_number() OVER (ORDER BY number),"
            " p.record_key_l, p.record_key_r, i.decision, $reviewer, i.note, $now, p.sheet_id,"
            " p.match_weight, p.model_id FROM (SELECT * REPLACE (nullif(note, '') AS note)"
            " FROM incoming) i JOIN linkage.main.review_pair p USING (sheet_id, number)"
            " WHERE NOT EXISTS (FROM linkage.main.decision d WHERE d.reviewer = $reviewer"
            "  AND (d.sheet_id, d.record_key_l, d.record_key_r, d.decision)"
            "  = (p.sheet_id, p.record_key_l, p.record_key_r, i.decision)"
            "  AND d.note IS NOT DISTINCT FROM i.note) RETURNING decision",
            {
                "reviewer": reviewer.strip(),
                "now": (now or datetime.now(UTC)).replace(tzinfo=None),
            },
        ).fetchall()
        con.unregister("incoming")
    counts = {word: sum(row[0] == word for row in taken) for word in DECISIONS}
    blank, repeated = len(rows) - len(decided), len(decided) - len(taken)
    return Recorded(decided[0][0], counts, blank, repeated)


Row = tuple[str, int, str, str]


def _read(path: Path, sheets: dict[str, set[int]]) -> tuple[list[Row], list[str]]:
    """Rows of the file, and everything that is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        table = list(csv.reader(text.splitlines(), strict=True))
    except OSError:
        return [], ["the file cannot be read"]
    except (UnicodeDecodeError, csv.Error):
        return [], ["the file is not CSV in UTF-8"]
    if not table or tuple(name.strip().lower() for name in table[0]) != COLUMNS:
        return [], [f"row 1: the columns must be {', '.join(COLUMNS)}"]
    rows: list[Row] = []
    problems: list[str] = []
    seen: set[int] = set()
    first = next((row[0].strip() for row in table[1:] if row), "")
    for place, row in enumerate(table[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(COLUMNS):
            problems.append(f"row {place}: {len(row)} columns instead of {len(COLUMNS)}")
            continue
        sheet, number, decision, note = (cell.strip() for cell in row)
        decision = decision.lower()
        found = [
            f"row {place}, column {c}: {p}"
            for c, p in _problems(sheet, number, decision, note, first, sheets, seen)
        ]
        problems += found
        if not found:
            seen.add(int(number))
            rows.append((sheet, int(number), decision, note))
    return rows, problems


def _problems(
    sheet: str,
    number: str,
    decision: str,
    note: str,
    first: str,
    sheets: dict[str, set[int]],
    seen: set[int],
) -> Iterator[tuple[str, str]]:
    if sheet not in sheets:
        yield "sheet", "no such sheet was drawn here"
    elif sheet != first:
        yield "sheet", "another sheet than the rows before"
    elif not (number.isascii() and number.isdigit()) or int(number) not in sheets[sheet]:
        yield "number", "no such pair on this sheet"
    elif int(number) in seen:
        yield "number", "this pair stands in the file already"
    if decision and decision not in DECISIONS:
        yield "decision", f"must be {', '.join(DECISIONS[:-1])} or {DECISIONS[-1]}"
    if len(note) > LONGEST_NOTE:
        yield "note", f"longer than {LONGEST_NOTE} characters"
    if _LONG_NUMBER.search(note):
        yield "note", "holds a long number; a note must name nobody"
