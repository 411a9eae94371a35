"""Workbooks: each sheet is read as if it had come as a CSV file.

A cell's value is taken, not what the sheet shows of it: a date as a date, a number with every digit
it has. What a workbook itself has lost stays lost and is not made up: a number of more than fifteen
digits is written so that no id can be mistaken for it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook, PasswordError

from linked_cyp.ingest.readers import kinds
from linked_cyp.ingest.readers.staging import SourceFile

# Excel keeps fifteen digits of a number: of what is longer the last ones are zeros.
MOST_EXACT = 10**15


class NotRead(Exception):
    """A workbook that cannot be opened; ``rule`` says why."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


def sheets(source: SourceFile, work: Path) -> list[SourceFile]:
    """The sheets of a workbook as private CSV copies, in order; empty ones are left out.

    Args:
        source: the workbook; its sheets carry its index, and their own names where it has several.
        work: a private folder; the caller removes it.

    Raises:
        NotRead: it is locked or damaged.
    """
    try:
        with source.path.open("rb") as file:
            book = CalamineWorkbook.from_filelike(file)
            rows = {name: _rows(book, name) for name in book.sheet_names}
    except PasswordError:
        raise NotRead(kinds.LOCKED) from None
    except (CalamineError, OSError, ValueError):
        raise NotRead(kinds.DAMAGED) from None
    filled = {name: found for name, found in rows.items() if any(any(r) for r in found)}
    parts = []
    for number, (name, found) in enumerate(filled.items()):
        path = work / f"{source.index}.{source.path.name}.{number}.sheet"
        _write(path, found)
        parts.append(SourceFile(source.index, name if len(filled) > 1 else source.name, path))
    return parts


def _rows(book: CalamineWorkbook, name: str) -> list[list[str]]:
    try:
        cells = book.get_sheet_by_name(name).to_python(skip_empty_area=True)
    except CalamineError:  # a sheet that is a chart
        return []
    return [[text(value) for value in row] for row in cells]


def _write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as target:
        csv.writer(target, lineterminator="\n").writerows(rows)


def text(value: Any) -> str:
    """One cell as text: dates in ISO 8601, whole numbers without a fraction."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            if value == int(value):
                return str(int(value)) if abs(value) < MOST_EXACT else f"{value:.14E}"
            return repr(value)
        case datetime():
            midnight = value.time() == time()
            return value.date().isoformat() if midnight else value.isoformat(sep=" ")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return str(value)
        case _:
            return str(value)
