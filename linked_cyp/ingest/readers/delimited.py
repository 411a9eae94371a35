"""Delimited text: CSV and its relatives, as real systems export them.

DuckDB parses; this module decides the encoding, finds the header, recognises the table, and
hands a file that DuckDB refuses to the record-by-record scanner. The members of a zip file are read
like files.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from linked_cyp.contracts.model import Contract, normalise
from linked_cyp.core.errors import value_free
from linked_cyp.core.sql import literal
from linked_cyp.ingest.readers import kinds, workbooks, zipped
from linked_cyp.ingest.readers.conform import stage_query
from linked_cyp.ingest.readers.files import FileFacts, inspect, to_utf8
from linked_cyp.ingest.readers.headers import Recognition, recognise
from linked_cyp.ingest.readers.repair import Lines, first_record, first_records, records
from linked_cyp.ingest.readers.staging import (
    PROBLEMS,
    FileResult,
    SourceFile,
    Staged,
    StagedTable,
    create_relation,
    note_lines,
    refuse_file,
)

# How far down a header is looked for.
MOST_LINES_ABOVE = 20
OTHER_DELIMITERS = (",", "\t", ";", "|")


@dataclass(frozen=True)
class _Opened:
    """A file whose table is known, in UTF-8, ready to be parsed."""

    source: SourceFile
    result: FileResult
    path: Path
    facts: FileFacts
    delimiter: str
    line_end: str
    header: tuple[str, ...]
    recognition: Recognition


def stage(
    con: duckdb.DuckDBPyConnection, staged: Staged, files: Sequence[SourceFile], work: Path
) -> None:
    """Stage delimited files: rows into the tables they were recognised as.

    Args:
        con: temporary tables are made here.
        staged: receives the tables and file results.
        files: what to read.
        work: a private folder for links and transcoded copies; the caller removes it.
    """
    earlier = len(staged.files)
    opened = [
        _open(con, staged, part, work)
        for source in files
        for part in _parts(con, staged, source, work)
    ]
    by_table: dict[str, list[_Opened]] = {}
    for item in opened:
        if item is not None:
            by_table.setdefault(item.recognition.table or "", []).append(item)
    for name, items in by_table.items():
        table = staged.contract.tables[name]
        had = {column for item in items for column in item.recognition.positions}
        present = [c.name for c in table.columns if c.name in had]
        # Another reader may have rows of the table already, with every column.
        target = staged.tables.get(name) or create_relation(con, table, present)
        staged.tables[name] = target
        for item in items:
            # Rows of a zip file's members are numbered through.
            before = sum(i.result.rows for i in items if i.source.index == item.source.index)
            _load(con, staged.contract, target, item, before)
            if item.result.rows:
                target.partial |= set(target.present) - set(item.recognition.positions)
    _count_refused(con, staged, staged.files[earlier:])
    staged.files[earlier:] = zipped.together(staged.files[earlier:])


def _parts(
    con: duckdb.DuckDBPyConnection, staged: Staged, source: SourceFile, work: Path
) -> list[SourceFile]:
    """The file, the members of a zip file, the sheets of a workbook."""
    rule = "file__malformed"
    match kinds.kind(source.path):
        case None if not source.name.casefold().endswith(".zip"):
            return [source]
        case None:
            pass  # called a zip file, and none
        case kinds.ZIP:
            members = zipped.unpack(source, work)
            if members is not None:
                return [part for m in members for part in _parts(con, staged, m, work)]
        case kinds.WORKBOOK:
            try:
                return workbooks.sheets(source, work)
            except workbooks.NotRead as problem:
                rule = problem.rule
        case other:
            rule = other
    result = FileResult(source.index)
    staged.files.append(result)
    _refuse(con, result, Recognition(rule=rule), 0)
    return []


def _open(
    con: duckdb.DuckDBPyConnection, staged: Staged, source: SourceFile, work: Path
) -> _Opened | None:
    """Recognise one file; a file that cannot be used is recorded with its rows."""
    facts = inspect(source.path)
    result = FileResult(source.index, facts.encoding)
    staged.files.append(result)
    rows = max(0, facts.lines - 1)
    if facts.encoding is None:
        _refuse(con, result, Recognition(rule="file__encoding"), rows)
        return None
    path = work / f"{len(staged.files)}.csv"
    if facts.encoding in ("utf-8", "utf-8-sig"):
        # A link with a plain name: names with * or [ are patterns to DuckDB.
        path.symlink_to(source.path.resolve())
    else:
        to_utf8(source.path, facts.encoding, path)
    header = _header(staged, path, source.name)
    if header is None:
        rule = "file__empty" if facts.size <= 3 or not rows else "file__unrecognised"
        _refuse(con, result, Recognition(rule=rule), rows)
        return None
    recognition = header.recognition
    path = _without_lines_above(con, header, path, result)
    rows = max(0, rows - header.before)
    result.tables = (recognition.table,) if recognition.table else ()
    result.undeclared, result.out_of_force = recognition.undeclared, recognition.out_of_force
    if recognition.rule:
        _refuse(con, result, recognition, rows)
        return None
    result.is_cut = not rows and _is_cut(staged, recognition, header.names, path)
    return _Opened(
        *(source, result, path, facts, header.delimiter, header.line_end),
        *(header.names, recognition),
    )


def _is_cut(staged: Staged, header: Recognition, names: Sequence[str], path: Path) -> bool:
    """Whether a file ends in the middle of its header: unended, short of columns, and its last
    name is none that we know."""
    if len(names) - 1 in header.positions.values():
        return False
    table = staged.in_force.tables.get(header.table or "")
    lacks = table is not None and any(c.name not in header.positions for c in table.columns)
    return lacks and not path.read_bytes().endswith((b"\n", b"\r"))


def _without_lines_above(
    con: duckdb.DuckDBPyConnection, header: _Header, path: Path, result: FileResult
) -> Path:
    """A copy that begins with the header, where lines stand above it; they are counted."""
    if not header.before or not header.recognition.table:
        return path
    copy = path.with_suffix(".headed")
    with (
        path.open(encoding="utf-8-sig", newline=header.line_end) as file,
        copy.open("w", encoding="utf-8", newline="") as target,
    ):
        titles = sum(bool(file.readline().strip()) for _ in range(header.before))
        while text := file.read(1 << 22):
            target.write(text)
    note_lines(con, header.recognition.table, result.index, "line__title", titles)
    return copy


def _refuse(
    con: duckdb.DuckDBPyConnection, result: FileResult, why: Recognition, rows: int
) -> None:
    result.rule, result.column, result.rows = why.rule, why.column, rows
    refuse_file(con, why.table, result.index, why.rule or "", rows, why.column)


def _count_refused(
    con: duckdb.DuckDBPyConnection, staged: Staged, results: Sequence[FileResult]
) -> None:
    """Rows of refused files count as received by the table the file was meant for."""
    for result in results:
        if result.rule and result.tables:
            table = staged.contract.tables[result.tables[0]]
            if table.name not in staged.tables:
                staged.tables[table.name] = create_relation(con, table, ())
            staged.tables[table.name].received += result.rows


def recognised_columns(contract: Contract, source: SourceFile) -> int:
    """How many columns of a file's header the contract knows; 0 when no table fits.

    Of a zip file's members, the one of which most columns are known counts.
    """
    kind = kinds.kind(source.path)
    if kind == kinds.ZIP:
        parts = zipped.starts(source, 1 << 16)
        return max((_recognised(contract, name, start) for name, start in parts), default=0)
    if kind == kinds.WORKBOOK:
        return _recognised_sheets(contract, source)
    if kind is not None:
        return 0
    with source.path.open("rb") as file:
        return _recognised(contract, source.name, file.read(1 << 16))


def _recognised_sheets(contract: Contract, source: SourceFile) -> int:
    """As :func:`recognised_columns`, of the sheet of which most is known."""
    with tempfile.TemporaryDirectory(prefix="linked-cyp-") as folder:
        try:
            found = workbooks.sheets(source, Path(folder))
        except workbooks.NotRead:
            return 0
        return max((recognised_columns(contract, sheet) for sheet in found), default=0)


def _recognised(contract: Contract, name: str, start: bytes) -> int:
    if not start.strip() or b"\0" in start[:1] or start.lstrip().startswith(b"<"):
        return 0
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = start.decode(encoding, errors="replace")
    for delimiter in _delimiters(contract):
        lines = Lines(io.StringIO(text, newline=_line_end(text)))
        for _, header in first_records(lines, delimiter, MOST_LINES_ABOVE):
            found = recognise(contract, contract, header, name)
            if found.table:
                return max(1, len(found.positions))
    return 0


def _delimiters(contract: Contract) -> list[str]:
    first = contract.delimiter
    return [first, *(d for d in OTHER_DELIMITERS if d != first)]


@dataclass(frozen=True)
class _Header:
    """A header and how it is to be read. ``before`` is how many lines stand above it."""

    names: tuple[str, ...]
    delimiter: str
    line_end: str
    before: int
    recognition: Recognition


def _header(staged: Staged, path: Path, name: str) -> _Header | None:
    """The line of the first few that is most of all the header of a table, None without any.

    Above it may stand blank lines, titles and the ``sep=;`` of spreadsheets.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        line_end = _line_end(file.read(1 << 16))
    found: list[_Header] = []
    for most in (1, MOST_LINES_ABOVE):
        for delimiter in _delimiters(staged.contract):
            with path.open(encoding="utf-8-sig", newline=line_end) as file:
                for before, names in first_records(Lines(file), delimiter, most):
                    if any(normalise(n) for n in names):
                        known = recognise(staged.contract, staged.in_force, names, name)
                        found.append(_Header(tuple(names), delimiter, line_end, before, known))
        # the first of those that fit best: max keeps the first of equals
        best = max(found, key=lambda h: _fit(h.recognition), default=None)
        if best is not None and best.recognition.table and not best.recognition.rule:
            break
    return best


def _fit(known: Recognition) -> tuple[bool, int]:
    return known.rule is None, len(known.positions) if known.table else -1


def _line_end(start: str) -> str:
    """How lines end: old spreadsheets on a Mac still write a bare carriage return."""
    return "\r" if "\r" in start and "\n" not in start else "\n"


def _load(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    target: StagedTable,
    item: _Opened,
    before: int,
) -> None:
    width = len(item.header)
    if not item.facts.has_nul and item.facts.lines:
        try:
            rows = _insert(con, contract, target, item, item.path, width, before, numbered=False)
        except duckdb.Error:
            rows = None
        if rows is not None:
            item.result.rows = rows
            target.received += rows
            return
    item.result.repaired = True
    with value_free(f"reading file {item.source.index} record by record"):
        _load_repaired(con, contract, target, item, before)


def _load_repaired(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    target: StagedTable,
    item: _Opened,
    before: int,
) -> None:
    """Read a file that is not well formed: sound records to one copy, broken ones to another."""
    sound, broken = item.path.with_suffix(".sound"), item.path.with_suffix(".broken")
    named = [i for i, name in enumerate(item.header) if name.strip()]
    width = named[-1] + 1
    unsplit = short = 0
    with (
        item.path.open(encoding="utf-8-sig", newline=item.line_end) as file,
        sound.open("w", encoding="utf-8", newline="") as good,
        broken.open("w", encoding="utf-8", newline="") as bad,
    ):
        good_rows = csv.writer(good, quoting=csv.QUOTE_ALL, lineterminator="\n")
        bad_rows = csv.writer(bad, quoting=csv.QUOTE_ALL, lineterminator="\n")
        good_rows.writerow(["number", *range(width)])
        bad_rows.writerow(["number", "text"])
        lines = Lines(file)
        first_record(lines, item.delimiter)
        for record in records(lines, item.delimiter, width):
            item.result.is_cut = record.is_open and not short
            short += record.is_padded
            if record.fields is None:
                unsplit += 1
                bad_rows.writerow([record.number, record.text.replace("\0", "\u2400")])
            else:
                good_rows.writerow([record.number, *record.fields])
                if record.is_padded:
                    target.padded.append((item.source.index, before + record.number))
    rows = _insert(con, contract, target, item, sound, width, before, numbered=True)
    con.execute(
        f"INSERT INTO {PROBLEMS} SELECT ?, ?, {before} + number::BIGINT, 'row', NULL, "
        f"'row__structure', 0, 1, text FROM {_read_csv(broken, ['number', 'text'], ',')}",
        [target.table.name, item.source.index],
    )
    item.result.rows = rows + unsplit
    target.received += rows + unsplit
    target.unsplit += unsplit


def _insert(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    target: StagedTable,
    item: _Opened,
    path: Path,
    width: int,
    before: int,
    *,
    numbered: bool,
) -> int:
    """Parse, type and stage one file in one statement; how many rows there were."""
    columns = [f"c{i}" for i in range(width)]
    delimiter = item.delimiter
    number = f"{before} + row_number() OVER ()"
    if numbered:
        columns, delimiter, number = ["number", *columns], ",", f"{before} + number::BIGINT"
    older = item.recognition.older
    sources = {
        name: _first_filled([f"c{place}" for place in (position, *older.get(name, ()))])
        for name, position in item.recognition.positions.items()
    }
    query = stage_query(
        contract,
        target.table,
        sources,
        target.present,
        number,
        _read_csv(path, columns, delimiter),
        space="blanks" if item.facts.is_plain else "any",
    )
    counted = con.execute(
        f"INSERT INTO {target.relation} SELECT {item.source.index}, * FROM ({query})"
    ).fetchone()
    return int(counted[0]) if counted else 0


def _first_filled(texts: Sequence[str]) -> str:
    """SQL of the first text that is not blank: a column may stand under its older header too."""
    if len(texts) == 1:
        return texts[0]
    filled = ", ".join(f"nullif(trim({text}), '')" for text in texts)
    return f"coalesce({filled})"


def _read_csv(path: Path, columns: Sequence[str], delimiter: str) -> str:
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in columns)
    return (
        f"read_csv({literal(str(path))}, columns = {{{types}}}, auto_detect = false, "
        f"header = true, delim = {literal(delimiter)}, quote = '\"', escape = '\"', "
        "strict_mode = true, null_padding = false, ignore_errors = false, nullstr = '')"
    )
