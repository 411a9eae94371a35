"""The children in need census: one XML return, one pass, a header and ten flattened tables.

Elements below the child carry no keys of their own, so surrogates are counted in document order
over the delivery. Real files break the order of the schema and leave stray text between elements:
both are tolerated. Entities and document types are not: a file with a DOCTYPE is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from lxml import etree

from linked_cyp.contracts import Contract, Table
from linked_cyp.readers.cin_layout import CHILD, CHILD_KEY, Branch, Group
from linked_cyp.readers.conform import stage_query
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
from linked_cyp.sql import quoted

# Children whose rows are kept as Python text before they are staged: about 20 MB.
BATCH_CHILDREN = 5_000


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
            walk.flush()
            result.undeclared = tuple(sorted(walk.undeclared))
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
        # Rows of the file being read that are not staged yet: one list of texts each.
        self.batch: list[list[str | None]] = []

    def key_places(self, keys: Sequence[str]) -> tuple[tuple[int, int], ...]:
        """(place in the row, place in the keys) of each key this table has."""
        places = ((self.places.get(normalise(key)), n) for n, key in enumerate(keys))
        return tuple((place, n) for place, n in places if place is not None)

    def end_file(self) -> None:
        self.file_rows = 0

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


class _Plan:
    """What to do with each element inside a branch, looked up by tag.

    ``places`` gives the place in the row of the leaves met so far, ``others`` the plan of an inner
    branch, the rows of a group (by its wrapper or its bare leaf), or None for what is undeclared.
    """

    def __init__(self, branch: Branch, writers: Mapping[str, _Writer], keys: tuple[str, ...]):
        self.writer = writers.get(normalise(branch.element))
        self.surrogate = branch.surrogate
        keys = (*keys, branch.surrogate) if branch.surrogate else keys
        self.key_places = self.writer.key_places(keys) if self.writer else ()
        self.blank: list[str | None] = [None] * (
            len(self.writer.table.columns) if self.writer else 0
        )
        self.known: dict[str, _Plan | _Rows] = {
            inner.element: _Plan(inner, writers, keys) for inner in branch.branches
        }
        for group in branch.groups:
            rows = _Rows(group, writers, keys)
            # Older returns list the leaves without the element that wraps them.
            self.known |= {group.table: rows, group.leaf: rows}
        self.places: dict[Any, int] = {}
        self.others: dict[Any, _Plan | _Rows | None] = {}

    def learn(self, element: Any, undeclared: set[str]) -> None:
        """Find out what a tag stands for, with or without a namespace."""
        name = _local(element)
        if name not in self.known and self.writer is not None:
            place = self.writer.places.get(normalise(name))
            if place is not None:
                self.places[element.tag] = place
                return
        self.others[element.tag] = self.known.get(name)
        if name and name not in self.known:
            undeclared.add(name)


class _Rows:
    """Leaf elements of which each is a row."""

    def __init__(self, group: Group, writers: Mapping[str, _Writer], keys: tuple[str, ...]):
        self.leaf = group.leaf
        self.writer = writers.get(normalise(group.table))
        self.key_places = self.writer.key_places(keys) if self.writer else ()
        self.place = self.writer.places.get(normalise(group.leaf)) if self.writer else None
        self.blank: list[str | None] = [None] * (
            len(self.writer.table.columns) if self.writer else 0
        )

    def add(self, element: Any, keys: Sequence[str | None]) -> None:
        """Keep the leaf, or the leaves inside the wrapper."""
        if self.writer is None or self.place is None:
            return
        for leaf in (element,) if _local(element) == self.leaf else element:
            if _local(leaf) == self.leaf:
                values = self.blank.copy()
                for place, key in self.key_places:
                    values[place] = keys[key]
                values[self.place] = _text(leaf)
                self.writer.batch.append(values)


class _Walk:
    """One file's walk. Surrogates are counted on from file to file of a delivery."""

    def __init__(self, writers: Mapping[str, _Writer], counters: dict[str, int], file: int) -> None:
        self.writers = writers
        self.counters = counters
        self.file = file
        self.children = 0
        self.undeclared: set[str] = set()
        self.plans = {branch.element: _Plan(branch, writers, (CHILD_KEY,)) for branch in CHILD}

    def header(self, element: Any) -> bool:
        """Stage the header; False when it belongs to another collection."""
        leaves = {
            normalise(_local(leaf)): _text(leaf)
            for leaf in element.iter()
            if isinstance(leaf.tag, str) and not len(leaf)
        }
        if leaves.get("collection") not in (None, "CIN"):
            return False
        writer = self.writers.get("header")
        if writer is not None:
            values: list[str | None] = [None] * len(writer.table.columns)
            for name, value in leaves.items():
                if name in writer.places:
                    values[writer.places[name]] = value
                else:
                    self.undeclared.add(name)
            writer.batch.append(values)
        return True

    def child(self, element: Any) -> None:
        keys = (_find_key(element),)
        for part in element:
            plan = self.plans.get(_local(part))
            if plan is None:
                self.undeclared.add(_local(part))
            else:
                self._branch(part, plan, keys)
        self.children += 1
        if self.children % BATCH_CHILDREN == 0:
            self.flush()

    def flush(self) -> None:
        for writer in self.writers.values():
            writer.flush(self.file)

    def _branch(self, element: Any, plan: _Plan, keys: tuple[str | None, ...]) -> None:
        if plan.surrogate:
            number = self.counters.get(plan.surrogate, 0) + 1
            self.counters[plan.surrogate] = number
            keys = (*keys, str(number))
        values = plan.blank.copy()
        places, others = plan.places, plan.others
        for part in element:
            tag = part.tag
            if tag not in places and tag not in others:
                plan.learn(part, self.undeclared)
            place = places.get(tag)
            if place is not None:
                text = part.text
                if text and values[place] is None:
                    values[place] = text.strip() or None
                continue
            other = others[tag]
            if isinstance(other, _Plan):
                self._branch(part, other, keys)
            elif other is not None:
                other.add(part, keys)
        if plan.writer is not None:
            for place, key in plan.key_places:
                values[place] = keys[key]
            plan.writer.batch.append(values)


def _find_key(child: Any) -> str | None:
    for identifiers in child:
        if _local(identifiers) == "ChildIdentifiers":
            for leaf in identifiers:
                if _local(leaf) == CHILD_KEY:
                    return _text(leaf)
    return None


def _local(element: Any) -> str:
    return _local_name(element.tag)


@lru_cache(maxsize=1024)
def _local_name(tag: Any) -> str:
    """A tag without its namespace; empty for what is not an element."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _text(element: Any) -> str | None:
    """The element's own text; text that strayed between elements is not read."""
    return element.text.strip() or None if element.text else None


def _forget(element: Any) -> None:
    """Free the element and what precedes it, so memory does not grow with the file."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]
