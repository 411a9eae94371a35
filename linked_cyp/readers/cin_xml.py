"""The children in need census: one XML return, one pass, a header and ten flattened tables.

Elements below the child carry no keys of their own, so surrogates are counted in document order
over the delivery. Real files break the order of the schema and leave stray text between elements:
both are tolerated. Entities and document types are not: a file with a DOCTYPE is refused.

Layout: DfE children in need census schemas 2017-2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from lxml import etree

from linked_cyp.contracts import Contract, Table
from linked_cyp.readers.conform import quoted, stage_columns
from linked_cyp.readers.files import FileFacts, inspect
from linked_cyp.readers.headers import normalise
from linked_cyp.readers.staging import (
    FileResult,
    SourceFile,
    Staged,
    StagedTable,
    create_relation,
    refuse_file,
)

BATCH_ROWS = 20_000
CHILD_KEY = "LAchildID"


@dataclass(frozen=True)
class Branch:
    """An element that becomes a row, and the elements inside it that become rows of their own.

    ``surrogate`` is the key counted for it; ``repeats`` are leaf elements of which each occurrence
    is a row of the table of that element's group.
    """

    element: str
    surrogate: str | None = None
    branches: tuple[Branch, ...] = ()
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True)
class Group:
    """A list of leaf elements: each is one row. ``table`` is the element that wraps them."""

    table: str
    leaf: str


CHILD = (
    Branch("ChildIdentifiers"),
    Branch("ChildCharacteristics", groups=(Group("Disabilities", "Disability"),)),
    Branch(
        "CINdetails",
        "CINdetailsID",
        branches=(
            Branch(
                "Assessments",
                "AssessmentID",
                groups=(Group("FactorsIdentifiedAtAssessment", "AssessmentFactors"),),
            ),
            Branch("CINPlanDates", "CINPlanID"),
            Branch("Section47", "Section47ID"),
            Branch("ChildProtectionPlans", "CPPID", groups=(Group("Reviews", "CPPreviewDate"),)),
        ),
    ),
)


def stage(
    con: duckdb.DuckDBPyConnection, staged: Staged, files: Sequence[SourceFile], work: Path
) -> None:
    """Stage XML returns. ``work`` is not used: lxml reads the files where they are."""
    writers = {
        normalise(table.physical_name): _Writer(con, staged.contract, table)
        for table in staged.contract.tables.values()
    }
    counters: dict[str, int] = {}
    for source in files:
        facts = inspect(source.path)
        result = FileResult(source.index, facts.encoding)
        staged.files.append(result)
        rule = _refusal(source.path, facts)
        if rule is None:
            walk = _Walk(writers, counters, source.index)
            rule = _read(source.path, facts, walk)
            result.undeclared = tuple(sorted(walk.undeclared))
        for writer in writers.values():
            writer.flush()
        if rule is not None:
            _refuse(con, writers, result, rule, facts)
        else:
            result.tables = tuple(w.table.name for w in writers.values() if w.file_rows)
            result.rows = sum(w.file_rows for w in writers.values())
        for writer in writers.values():
            writer.end_file()
    for writer in writers.values():
        if writer.target is not None:
            writer.target.received = writer.rows
            staged.tables[writer.table.name] = writer.target


def recognised_columns(contract: Contract, source: SourceFile) -> int:
    """The leaf elements the return may have, if the file is one; else 0. Reads only its start."""
    if _refusal(source.path, FileFacts("utf-8", "", source.path.stat().st_size, 0)) is not None:
        return 0
    return sum(len(table.columns) for table in contract.tables.values())


def _read(path: Path, facts: FileFacts, walk: _Walk) -> str | None:
    """Walk one file; the rule it breaks, None when it was read to its end."""
    try:
        with path.open("rb") as file:
            for _, element in etree.iterparse(
                file, events=("end",), tag=("{*}Child", "{*}Header"), **_parsing(path, facts)
            ):
                if _local(element) == "Child":
                    walk.child(element)
                elif not walk.header(element):
                    return "file__unrecognised"
                _forget(element)
    except etree.XMLSyntaxError:
        return "file__malformed"
    return None


def _refusal(path: Path, facts: FileFacts) -> str | None:
    """Why a file is not read at all: not XML, another document, or one with a DOCTYPE."""
    if not facts.size:
        return "file__empty"
    with path.open("rb") as file:
        start = file.read(256)
    if b"<" not in start:
        return "file__unrecognised"
    try:
        with path.open("rb") as file:
            for _, root in etree.iterparse(file, events=("start",), **_parsing(path, facts)):
                if root.getroottree().docinfo.internalDTD is not None:
                    return "file__doctype"
                return None if _local(root) == "Message" else "file__unrecognised"
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
    writers: Mapping[str, _Writer],
    result: FileResult,
    rule: str,
    facts: FileFacts,
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


class _Writer:
    """Rows of one table, kept as text in small batches and staged through the common typing."""

    def __init__(self, con: duckdb.DuckDBPyConnection, contract: Contract, table: Table) -> None:
        self.con = con
        self.contract = contract
        self.table = table
        self.target: StagedTable | None = None
        self.places: dict[str, int] = {}
        for place, column in enumerate(table.columns):
            for known in (column.physical_name, *column.aliases):
                self.places.setdefault(normalise(known), place)
        self.rows = self.file_rows = 0
        self._file = 0
        self._batch: list[list[str | None]] = []

    def add(self, file: int, values: list[str | None]) -> None:
        self._file = file
        self.rows += 1
        self.file_rows += 1
        self._batch.append(values)
        if len(self._batch) >= BATCH_ROWS:
            self.flush()

    def end_file(self) -> None:
        self.file_rows = 0

    def flush(self) -> None:
        if not self._batch:
            return
        names = [c.name for c in self.table.columns]
        if self.target is None:
            self.target = create_relation(self.con, self.table, names)
        batch = pa.table(
            [pa.array(column, pa.string()) for column in zip(*self._batch, strict=True)],
            names=names,
        )
        first = self.file_rows - len(self._batch)
        sources = {name: f"b.{quoted(name)}" for name in names}
        selected = stage_columns(self.contract, self.table, sources, names)
        self.con.register("xml_batch", batch)
        try:
            self.con.execute(
                f"INSERT INTO {self.target.relation} SELECT {self._file}, "
                f"{first} + row_number() OVER (), {', '.join(selected)} FROM xml_batch AS b"
            )
        finally:
            self.con.unregister("xml_batch")
        self._batch.clear()


@dataclass
class _Walk:
    """The state of one file's walk: which child we are in, and what has been counted."""

    writers: Mapping[str, _Writer]
    counters: dict[str, int]
    file: int
    undeclared: set[str] = field(default_factory=set)

    def header(self, element: Any) -> bool:
        """Stage the header; False when it belongs to another collection."""
        leaves = {
            normalise(_local(leaf)): _text(leaf)
            for leaf in element.iter()
            if isinstance(leaf.tag, str) and not len(leaf)
        }
        if leaves.get("collection") not in (None, "CIN"):
            return False
        self._add("Header", leaves, {})
        return True

    def child(self, element: Any) -> None:
        key = _find_key(element)
        for branch in CHILD:
            self._branch(element, branch, {normalise(CHILD_KEY): key})

    def _branch(self, parent: Any, branch: Branch, keys: Mapping[str, str | None]) -> None:
        for element in _children(parent, branch.element):
            own = dict(keys)
            if branch.surrogate:
                number = self.counters.get(branch.surrogate, 0) + 1
                self.counters[branch.surrogate] = number
                own[normalise(branch.surrogate)] = str(number)
            leaves: dict[str, str | None] = {}
            grouped = {g.leaf: g for g in branch.groups}
            for leaf in element:
                if not isinstance(leaf.tag, str) or len(leaf):
                    continue
                name = _local(leaf)
                if name in grouped:
                    # Older returns list the codes without the element that wraps them.
                    self._add(grouped[name].table, {normalise(name): _text(leaf)}, own)
                else:
                    leaves.setdefault(normalise(name), _text(leaf))
            self._add(branch.element, leaves, own, {g.table for g in branch.groups})
            for group in branch.groups:
                for wrapper in _children(element, group.table):
                    for leaf in _children(wrapper, group.leaf):
                        self._add(group.table, {normalise(group.leaf): _text(leaf)}, own)
            for inner in branch.branches:
                self._branch(element, inner, own)

    def _add(
        self,
        table: str,
        leaves: Mapping[str, str | None],
        keys: Mapping[str, str | None],
        wrappers: frozenset[str] | set[str] = frozenset(),
    ) -> None:
        writer = self.writers.get(normalise(table))
        if writer is None:
            self.undeclared.add(table)
            return
        values: list[str | None] = [None] * len(writer.table.columns)
        for name, value in keys.items():
            if name in writer.places:
                values[writer.places[name]] = value
        for name, value in leaves.items():
            if name in writer.places:
                values[writer.places[name]] = value
            elif name not in {normalise(w) for w in wrappers}:
                self.undeclared.add(name)
        writer.add(self.file, values)


def _find_key(child: Any) -> str | None:
    for identifiers in _children(child, "ChildIdentifiers"):
        for key in _children(identifiers, CHILD_KEY):
            return _text(key)
    return None


def _children(parent: Any, name: str) -> Iterator[Any]:
    return (c for c in parent if isinstance(c.tag, str) and _local(c) == name)


def _local(element: Any) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: Any) -> str | None:
    """The element's own text; text that strayed between elements is not read."""
    return element.text.strip() or None if element.text else None


def _forget(element: Any) -> None:
    """Free the element and what precedes it, so memory does not grow with the file."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]
