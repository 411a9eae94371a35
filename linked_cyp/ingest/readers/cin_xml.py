"""The children in need census: one XML return, one pass, a header and ten flattened tables.

Elements below the child carry no keys of their own, so surrogates are counted in document order
over the delivery. Real files break the order of the schema and leave stray text between elements:
both are tolerated. Entities and document types are not: a file with a DOCTYPE is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from linked_cyp.contracts.model import Contract, normalise
from linked_cyp.ingest.readers.cin_layout import CHILD, CHILD_KEY, Branch, Group
from linked_cyp.ingest.readers.staging import SourceFile, Staged
from linked_cyp.ingest.readers.xml_returns import Writer, local, recognised, stage_returns, text_of

ROOT = "Message"
# Children whose rows are kept as Python text before they are staged: about 20 MB.
BATCH_CHILDREN = 5_000


def stage(
    con: duckdb.DuckDBPyConnection, staged: Staged, files: Sequence[SourceFile], work: Path
) -> None:
    """Stage XML returns. ``work`` is not used: lxml reads the files where they are."""
    counters: dict[str, int] = {}
    stage_returns(
        con,
        staged,
        files,
        root=ROOT,
        tags=("Child", "Header"),
        walk=lambda writers, file: _Walk(writers, counters, file),
    )


def recognised_columns(contract: Contract, source: SourceFile) -> int:
    """The leaf elements the return may have, if the file is one; else 0. Reads only its start."""
    return recognised(contract, source, ROOT)


class _Plan:
    """What to do with each element inside a branch, looked up by tag.

    ``places`` gives the place in the row of the leaves met so far, ``others`` the plan of an inner
    branch, the rows of a group (by its wrapper or its bare leaf), or None for what is undeclared.
    """

    def __init__(self, branch: Branch, writers: Mapping[str, Writer], keys: tuple[str, ...]):
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
        name = local(element)
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

    def __init__(self, group: Group, writers: Mapping[str, Writer], keys: tuple[str, ...]):
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
        for leaf in (element,) if local(element) == self.leaf else element:
            if local(leaf) == self.leaf:
                values = self.blank.copy()
                for place, key in self.key_places:
                    values[place] = keys[key]
                values[self.place] = text_of(leaf)
                self.writer.batch.append(values)


class _Walk:
    """One file's walk. Surrogates are counted on from file to file of a delivery."""

    def __init__(self, writers: Mapping[str, Writer], counters: dict[str, int], file: int) -> None:
        self.writers = writers
        self.counters = counters
        self.file = file
        self.children = 0
        self.undeclared: set[str] = set()
        self.plans = {branch.element: _Plan(branch, writers, (CHILD_KEY,)) for branch in CHILD}

    def take(self, element: Any) -> bool:
        if local(element) != "Child":
            return self._header(element)
        self._child(element)
        return True

    def _header(self, element: Any) -> bool:
        """Stage the header; False when it belongs to another collection."""
        leaves = {
            normalise(local(leaf)): text_of(leaf)
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

    def _child(self, element: Any) -> None:
        keys = (_find_key(element),)
        for part in element:
            plan = self.plans.get(local(part))
            if plan is None:
                self.undeclared.add(local(part))
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
        if local(identifiers) == "ChildIdentifiers":
            for leaf in identifiers:
                if local(leaf) == CHILD_KEY:
                    return text_of(leaf)
    return None
