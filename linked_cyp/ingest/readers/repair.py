"""Records of a delimited file that is not well formed, one by one.

DuckDB reads a sound file many times faster, but one unclosed quote makes it give up or swallow
the rest. This scanner is for such files only: it keeps exact row numbers, sets aside each record
that cannot be split into the header's columns, and goes on with the next line.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

# The longest record that quotes may spread over several lines; beyond it a quote was left open.
LONGEST_RECORD = 1 << 17
# The longest line that is kept in memory. What is longer is cut, and no record.
LONGEST_LINE = 1 << 21
_CUT = "\0"  # never in a record


@dataclass(frozen=True)
class Record:
    """``fields`` is None when the record could not be split; ``text`` is then its first line.

    ``is_padded`` tells that the line ended before its last fields: spreadsheets leave out empty
    ones. Whether those were empty is for the typed row to show. ``is_open``: the file ended
    before the line did.
    """

    number: int
    fields: list[str] | None
    text: str = ""
    is_padded: bool = False
    is_open: bool = False


class Lines:
    """The lines of a file, with the possibility to put lines back.

    The file is text opened with ``newline`` set to the file's own line end, so that a carriage
    return inside a field is not taken for one.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._waiting: deque[str] = deque()

    def next(self) -> str | None:
        if self._waiting:
            return self._waiting.popleft()
        line = part = self._file.readline(LONGEST_LINE)
        while len(part) == LONGEST_LINE and not part.endswith(("\n", "\r")):
            part = self._file.readline(LONGEST_LINE)
        return (line if part is line else line[:LONGEST_RECORD] + _CUT) or None

    def put_back(self, lines: list[str]) -> None:
        self._waiting.extendleft(reversed(lines))


def first_record(lines: Lines, delimiter: str) -> list[str]:
    """The fields of the first line that is not blank, empty when there is none to be read."""
    while (line := lines.next()) is not None:
        if line.strip():
            return fields_of(line, lines, delimiter) or []
    return []


def first_records(lines: Lines, delimiter: str, most: int) -> Iterator[tuple[int, list[str]]]:
    """The first records that are not blank, each with the number of lines before it."""
    number = 0
    while most and (line := lines.next()) is not None:
        if line.strip():
            most -= 1
            yield number, fields_of(line, lines, delimiter) or []
        number += 1


def records(lines: Lines, delimiter: str, width: int) -> Iterator[Record]:
    """Split what follows the header into records of ``width`` fields.

    Blank lines are not records, except in a file of one column, where they are empty values.
    Empty fields beyond the header's last column are cut off, missing ones at the end are empty.

    Args:
        lines: the file's lines, the header already taken.
        delimiter: one character.
        width: how many columns the header has.
    """
    number = 0
    while (line := lines.next()) is not None:
        if not line.strip("\r\n") and width > 1:
            continue
        number += 1
        fields = fields_of(line, lines, delimiter)
        if fields is not None and len(fields) > width and not any(fields[width:]):
            fields = fields[:width]
        is_open = _is_open(line, delimiter)
        if fields is not None and len(fields) < width:
            padded = [*fields, *[""] * (width - len(fields))]
            yield Record(number, padded, is_padded=True, is_open=is_open)
        elif fields is None or len(fields) != width:
            text = line[:LONGEST_RECORD].rstrip("\r\n")
            yield Record(number, None, text, is_open=is_open)
        else:
            yield Record(number, fields)


def _is_open(line: str, delimiter: str) -> bool:
    """Whether the file ended within a row: words alone are a footer, which nobody ends."""
    is_footer = delimiter not in line and (" " in line or not any(map(str.isalnum, line)))
    return not line.endswith(("\n", "\r")) and not is_footer


def fields_of(line: str, lines: Lines, delimiter: str) -> list[str] | None:
    if "\0" in line:
        return None
    bare = line.rstrip("\r\n")
    if '"' not in bare:
        return None if "\r" in bare else bare.split(delimiter)
    fields = _parse([bare], delimiter)
    if fields is not None:
        return fields
    return _spread(line, lines, delimiter)


def _spread(line: str, lines: Lines, delimiter: str) -> list[str] | None:
    """A record whose quotes span lines; puts the lines back when it is not one."""
    taken = [line]
    length, quotes = len(line), line.count('"')
    while quotes % 2 and length <= LONGEST_RECORD:
        following = lines.next()
        if following is None or "\0" in following:
            lines.put_back([following] if following else [])
            break
        taken.append(following)
        length += len(following)
        quotes += following.count('"')
    fields = _parse(taken, delimiter) if len(taken) > 1 and not quotes % 2 else None
    if fields is None:
        lines.put_back(taken[1:])
    return fields


def _parse(parts: list[str], delimiter: str) -> list[str] | None:
    """One record from its lines, None when they are not exactly one."""
    parts = [*parts[:-1], parts[-1].rstrip("\r\n")]
    reader = csv.reader(parts, delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        rows = list(reader)
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None
