"""Delimited text: CSV and its relatives, as real systems export them.

DuckDB parses; this module decides the encoding, finds the header, recognises the table, and
hands a file that DuckDB refuses to the record-by-record scanner. The members of a zip file are read
like files.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from linked_cyp.contracts.model import Contract
from linked_cyp.core.errors import value_free
from linked_cyp.core.sql import literal
from linked_cyp.ingest.readers import zipped
from linked_cyp.ingest.readers.conform import stage_query
from linked_cyp.ingest.readers.files import FileFacts, inspect, to_utf8
from linked_cyp.ingest.readers.headers import Recognition, normalise, recognise
from linked_cyp.ingest.readers.repair import Lines, first_record, records
from linked_cyp.ingest.readers.staging import (
    PROBLEMS,
    FileResult,
    SourceFile,
    Staged,
    StagedTable,
    create_relation,
    refuse_file,
)

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
    _count_refused(con, staged, staged.files[earlier:])
    staged.files[earlier:] = zipped.together(staged.files[earlier:])


def _parts(
    con: duckdb.DuckDBPyConnection, staged: Staged, source: SourceFile, work: Path
) -> list[SourceFile]:
    """The file, or the members of a zip file; one that cannot be unpacked is refused."""
    if not zipped.is_zip(source):
        return [source]
    members = zipped.unpack(source, work)
    if members is None:
        result = FileResult(source.index)
        staged.files.append(result)
        _refuse(con, result, Recognition(rule="file__malformed"), 0)
    return members or []


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
    header, delimiter, line_end = _header(staged, path, source.name)
    if not header:
        empty = facts.size <= 3 or not rows
        rule = "file__empty" if empty and not header else "file__unrecognised"
        _refuse(con, result, Recognition(rule=rule), rows)
        return None
    recognition = recognise(staged.contract, staged.in_force, header, source.name)
    result.tables = (recognition.table,) if recognition.table else ()
    result.undeclared, result.out_of_force = recognition.undeclared, recognition.out_of_force
    if recognition.rule:
        _refuse(con, result, recognition, rows)
        return None
    return _Opened(source, result, path, facts, delimiter, line_end, tuple(header), recognition)


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
    if zipped.is_zip(source):
        parts = zipped.starts(source, 1 << 16)
        return max((_recognised(contract, name, start) for name, start in parts), default=0)
    with source.path.open("rb") as file:
        return _recognised(contract, source.name, file.read(1 << 16))


def _recognised(contract: Contract, name: str, start: bytes) -> int:
    if not start.strip() or b"\0" in start[:1] or start.lstrip().startswith(b"<"):
        return 0
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = start.decode(encoding, errors="replace")
    for delimiter in _delimiters(contract):
        header = first_record(Lines(io.StringIO(text, newline=_line_end(text))), delimiter)
        found = recognise(contract, contract, header, name)
        if found.table:
            return max(1, len(found.positions))
    return 0


def _delimiters(contract: Contract) -> list[str]:
    first = contract.delimiter
    return [first, *(d for d in OTHER_DELIMITERS if d != first)]


def _header(staged: Staged, path: Path, name: str) -> tuple[list[str], str, str]:
    """The header's names, the delimiter that makes most sense of it, and the line end."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        line_end = _line_end(file.read(1 << 16))
    fallback: list[str] = []
    for delimiter in _delimiters(staged.contract):
        with path.open(encoding="utf-8-sig", newline=line_end) as file:
            header = first_record(Lines(file), delimiter)
        if not any(normalise(n) for n in header):
            continue
        fallback = fallback or header
        if recognise(staged.contract, staged.in_force, header, name).table:
            return header, delimiter, line_end
    return fallback, staged.contract.delimiter, line_end


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
    unsplit = 0
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
            if record.fields is None:
                unsplit += 1
                bad_rows.writerow([record.number, record.text.replace("\0", "\u2400")])
            else:
                good_rows.writerow([record.number, *record.fields])
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
