"""The looked-after children return: CSV files, one XML file, or both in one delivery.

Layout of the XML: the CLA schema 3.3.0 (expanded SSDA903 return 2021). Each ``CHILD`` has one
``HEADER``, in which what the CSV files give in tables of their own stands beside the header's
fields or in elements, and any number of ``EPISODE``. The schema has no social worker episodes and
no deprivation of liberty orders: those come as CSV files beside it. Namespaces are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from linked_cyp.contracts.model import Contract, normalise
from linked_cyp.ingest.readers import delimited
from linked_cyp.ingest.readers.conform import TRUE_WORDS
from linked_cyp.ingest.readers.staging import SourceFile, Staged
from linked_cyp.ingest.readers.xml_returns import (
    Writer,
    is_markup,
    local,
    recognised,
    stage_returns,
    text_of,
)

ROOT = "EXPSSDA903"
# Element that is a row -> table.
ELEMENTS = {
    "EPISODE": "Episodes",
    "AMISSING": "Missing",
    "AREVIEW": "Reviews",
    "PERMANENCE": "PrevPerm",
    "OC2": "OC2",
    "AD_PLACED": "PlacedAdoption",
}
# Tables whose fields stand directly in HEADER: there is a row where one of these says something.
IN_HEADER = {
    "UASC": ("UASC", "DUC"),
    "AD1": ("DATE_INT", "DATE_MATCH", "FOSTER_CARE", "NB_ADOPTR", "SEX_ADOPTR", "LS_ADOPTR"),
    "OC3": ("IN_TOUCH", "ACTIV", "ACCOM"),
}
# Facts about the child that other tables repeat, and the header's name of the child's id.
OF_THE_CHILD = ("CHILD", "DOB", "SEX")
CHILD_KEY = "CHILDID"
# Children whose rows are kept as Python text before they are staged: about 20 MB.
BATCH_CHILDREN = 5_000


def stage(
    con: duckdb.DuckDBPyConnection, staged: Staged, files: Sequence[SourceFile], work: Path
) -> None:
    """Stage XML files and CSV files; a table may have rows from both."""
    markup = {source.index for source in files if is_markup(source.path)}
    stage_returns(
        con,
        staged,
        [source for source in files if source.index in markup],
        root=ROOT,
        tags=("CHILD",),
        walk=_Walk,
        elements={table: element for element, table in ELEMENTS.items()}
        | dict.fromkeys(("Header", *IN_HEADER), "HEADER"),
    )
    delimited.stage(con, staged, [s for s in files if s.index not in markup], work)
    staged.files.sort(key=lambda result: result.index)


def recognised_columns(contract: Contract, source: SourceFile) -> int:
    """How many columns of a file the contract knows; 0 when it is no part of the return."""
    if is_markup(source.path):
        return recognised(contract, source, ROOT)
    return delimited.recognised_columns(contract, source)


class _Walk:
    """One file's walk, child by child."""

    def __init__(self, writers: Mapping[str, Writer], file: int) -> None:
        self.writers = writers
        self.file = file
        self.children = 0
        self.undeclared: set[str] = set()

    def take(self, element: Any) -> bool:
        """Keep the rows of one child."""
        header = next((part for part in element if local(part) == "HEADER"), None)
        facts = self._leaves(header) if header is not None else {}
        facts["CHILD"] = facts.pop(CHILD_KEY, None)
        child = {name: facts.get(name) for name in OF_THE_CHILD}
        if header is not None:
            self._header(facts, child)
            self._rows(header, child)
        self._rows(element, child)
        self.children += 1
        if self.children % BATCH_CHILDREN == 0:
            self.flush()
        return True

    def flush(self) -> None:
        for writer in self.writers.values():
            writer.flush(self.file)

    def _header(self, facts: Mapping[str, str | None], child: Mapping[str, str | None]) -> None:
        moved = {name for names in IN_HEADER.values() for name in names}
        self._row("Header", {n: v for n, v in facts.items() if n not in moved})
        for table, names in IN_HEADER.items():
            told = {name: facts[name] for name in names if facts.get(name)}
            # UASC is a flag of its own: 0 says that the child is none.
            flag = told.pop("UASC", None)
            if told or (flag or "").lower() in TRUE_WORDS:
                self._row(table, {**child, **told})

    def _rows(self, parent: Any, child: Mapping[str, str | None]) -> None:
        """A row for each element of ``parent`` that is one; an empty element says nothing."""
        for part in parent:
            table = ELEMENTS.get(local(part))
            if table is not None:
                told = self._leaves(part)
                if any(told.values()):
                    self._row(table, {**child, **told})
            elif len(part) and local(part) != "HEADER":
                self.undeclared.add(local(part))

    def _row(self, table: str, values: Mapping[str, str | None]) -> None:
        writer = self.writers[normalise(table)]
        row: list[str | None] = [None] * len(writer.table.columns)
        for name, value in values.items():
            place = writer.places.get(normalise(name))
            if place is not None:
                row[place] = value
            elif name not in OF_THE_CHILD:
                self.undeclared.add(name)
        writer.batch.append(row)

    @staticmethod
    def _leaves(element: Any) -> dict[str, str | None]:
        """Text by name of the leaves of an element; the first of a repeated one counts."""
        leaves: dict[str, str | None] = {}
        for part in element:
            if not len(part) and local(part) and local(part) not in ELEMENTS:
                leaves.setdefault(local(part), text_of(part))
        return leaves
