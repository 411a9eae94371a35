"""What the XML returns share: safe parsing, refusal of whole files, and rows staged in batches.

Entities and document types are not tolerated: a file with a DOCTYPE is refused. Nothing is
repaired by the parser.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa
from lxml import etree

from linked_cyp.contracts.model import Contract, Table, normalise
from linked_cyp.core.sql import quoted
from linked_cyp.ingest.readers import kinds
from linked_cyp.ingest.readers.conform import stage_query
from linked_cyp.ingest.readers.files import FileFacts, inspect
from linked_cyp.ingest.readers.staging import (
    Elements,
    FileResult,
    SourceFile,
    Staged,
    StagedTable,
    create_relation,
    refuse_file,
)


class Walk(Protocol):
    """One file's walk: takes the elements asked for, in document order."""

    undeclared: set[str]

    def take(self, element: Any) -> bool:
        """Keep the rows of an element; False when it belongs to another return."""
        ...

    def flush(self) -> None:
        """Stage the rows kept so far."""
        ...


def stage_returns(
    con: duckdb.DuckDBPyConnection,
    staged: Staged,
    files: Sequence[SourceFile],
    *,
    root: str,
    tags: Sequence[str],
    walk: Callable[[Mapping[str, Writer], int], Walk],
    elements: Mapping[str, str] | None = None,
) -> None:
    """Stage the XML returns of one delivery.

    Args:
        con: temporary tables are made here.
        staged: receives the tables and file results.
        files: what to read.
        root: name of the root element, without namespace.
        tags: elements that a walk takes, without namespace; the first is a child's.
        walk: makes a file's walk from the writers (by normalised table name) and the file's index.
        elements: what a row of a table is called in the file, where it is not as the table is.
    """
    named = elements or {}
    writers = {
        normalise(table.physical_name): Writer(
            con, staged.contract, table, named.get(table.physical_name, table.physical_name)
        )
        for table in staged.contract.tables.values()
    }
    for source in files:
        facts = inspect(source.path)
        result = FileResult(source.index, facts.encoding)
        staged.files.append(result)
        rule = _no_markup(source.path) or refusal(source.path, facts, root)
        if rule is None:
            walked = walk(writers, source.index)
            rule = _read(source.path, facts, tags, walked, writers.values())
            walked.flush()
            result.undeclared = tuple(sorted(walked.undeclared))
        if rule is not None:
            _refuse(con, writers, result, rule)
        else:
            result.tables = tuple(w.table.name for w in writers.values() if w.file_rows)
            result.rows = sum(w.file_rows for w in writers.values())
        for writer in writers.values():
            writer.end_file(source.index, tags[0])
    for writer in writers.values():
        if writer.target is not None:
            writer.target.received = writer.rows
            staged.tables[writer.table.name] = writer.target


def recognised(contract: Contract, source: SourceFile, root: str) -> int:
    """The leaf elements the return may have, if the file is one; else 0. Reads only its start."""
    facts = FileFacts("utf-8", "", source.path.stat().st_size, 0)
    if refusal(source.path, facts, root) is not None:
        return 0
    return sum(len(table.columns) for table in contract.tables.values())


def is_markup(path: Path) -> bool:
    """Whether a file begins like XML, whatever its name."""
    with path.open("rb") as file:
        start = file.read(64)
    return start.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0").startswith(b"<")


def _read(
    path: Path, facts: FileFacts, tags: Sequence[str], walk: Walk, writers: Iterable[Writer]
) -> str | None:
    """Walk one file; the rule it breaks, None when it was read to its end."""
    wanted = tuple(f"{{*}}{tag}" for tag in tags)
    try:
        with path.open("rb") as file:
            for _, element in etree.iterparse(
                file, events=("end",), tag=wanted, **_parsing(path, facts)
            ):
                if not walk.take(element):
                    return "file__unrecognised"
                if local(element) == tags[0]:
                    for writer in writers:
                        writer.end_child()
                _forget(element)
    except etree.XMLSyntaxError:
        return "file__malformed"
    return None


def _no_markup(path: Path) -> str | None:
    """What a file that is no text at all is called."""
    found = kinds.kind(path)
    return {kinds.ZIP: kinds.PACKED, kinds.WORKBOOK: kinds.WORKBOOK_HERE}.get(found or "", found)


def refusal(path: Path, facts: FileFacts, root: str) -> str | None:
    """Why a file is not read at all: not XML, another document, or one with a DOCTYPE."""
    if not facts.size:
        return "file__empty"
    with path.open("rb") as file:
        start = file.read(256)
    if b"<" not in start:
        return "file__unrecognised"
    try:
        with path.open("rb") as file:
            for _, top in etree.iterparse(file, events=("start",), **_parsing(path, facts)):
                if top.getroottree().docinfo.internalDTD is not None:
                    return "file__doctype"
                return None if local(top) == root else "file__unrecognised"
    except etree.XMLSyntaxError:
        return "file__malformed"
    return "file__empty"


def _parsing(path: Path, facts: FileFacts) -> dict[str, Any]:
    options: dict[str, Any] = {
        "load_dtd": False,
        "no_network": True,
        "resolve_entities": False,
        "recover": False,
        "huge_tree": False,
        "remove_comments": True,
        "remove_pis": True,
    }
    if facts.encoding == "cp1252":
        with path.open("rb") as file:
            declaration = file.read(200).partition(b"?>")[0].lower()
        # Written by a Windows system under a declaration of UTF-8, or under none.
        if b"encoding" not in declaration or b"utf-8" in declaration:
            options["encoding"] = "cp1252"
    return options


def _refuse(
    con: duckdb.DuckDBPyConnection,
    writers: Mapping[str, Writer],
    result: FileResult,
    rule: str,
) -> None:
    """Set a whole file aside, with the rows read from it before it broke."""
    result.rule = rule
    for writer in writers.values():
        if writer.file_rows and writer.target is not None:
            con.execute(f"DELETE FROM {writer.target.relation} WHERE source_file = {result.index}")
            refuse_file(con, writer.table.name, result.index, rule, writer.file_rows)
            result.rows += writer.file_rows
            result.tables = (*result.tables, writer.table.name)
    if not result.rows:
        refuse_file(con, None, result.index, rule, 0)


class Writer:
    """Rows of one table, kept as text in small batches and staged through the common typing."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, contract: Contract, table: Table, element: str
    ) -> None:
        self.con = con
        self.contract = contract
        self.table = table
        self.element = element
        self.target: StagedTable | None = None
        self.places: dict[str, int] = {}
        for place, column in enumerate(table.columns):
            for known in (column.physical_name, *column.aliases):
                self.places.setdefault(normalise(known), place)
        self.rows = self.file_rows = 0
        # Rows of the file being read that are not staged yet: one list of texts each.
        self.batch: list[list[str | None]] = []
        # The file's rows so far, after each of its children.
        self.ends = array("q")

    def key_places(self, keys: Sequence[str]) -> tuple[tuple[int, int], ...]:
        """(place in the row, place in the keys) of each key this table has."""
        places = ((self.places.get(normalise(key)), n) for n, key in enumerate(keys))
        return tuple((place, n) for place, n in places if place is not None)

    def end_child(self) -> None:
        self.ends.append(self.file_rows + len(self.batch))

    def end_file(self, file: int, child: str) -> None:
        if self.target is not None:
            self.target.elements[file] = Elements(child, self.element, self.ends)
        self.file_rows = 0
        self.ends = array("q")

    def flush(self, file: int) -> None:
        """Stage the rows kept so far."""
        if not self.batch:
            return
        names = [c.name for c in self.table.columns]
        if self.target is None:
            self.target = create_relation(self.con, self.table, names)
        batch = pa.table(
            [pa.array(column, pa.string()) for column in zip(*self.batch, strict=True)],
            names=names,
        )
        query = stage_query(
            self.contract,
            self.table,
            {name: quoted(name) for name in names},
            names,
            f"{self.file_rows} + row_number() OVER ()",
            "xml_batch",
            space="none",
        )
        self.con.register("xml_batch", batch)
        try:
            self.con.execute(f"INSERT INTO {self.target.relation} SELECT {file}, * FROM ({query})")
        finally:
            self.con.unregister("xml_batch")
        self.rows += len(self.batch)
        self.file_rows += len(self.batch)
        self.batch.clear()


def local(element: Any) -> str:
    return _local_name(element.tag)


@lru_cache(maxsize=1024)
def _local_name(tag: Any) -> str:
    """A tag without its namespace; empty for what is not an element."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def text_of(element: Any) -> str | None:
    """The element's own text; text that strayed between elements is not read."""
    return element.text.strip() or None if element.text else None


def _forget(element: Any) -> None:
    """Free the element and what precedes it, so memory does not grow with the file."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]
