"""A delivery as mangling sees it: files in memory, and what the columns of a table mean."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from linked_cyp.contracts.model import Column, Contract, Table
from linked_cyp.ingest.readers.headers import recognise

DELIMITERS = (",", "\t", "|", ";")


@dataclass(frozen=True)
class File:
    """One file of a delivery of some feed."""

    name: str
    content: bytes
    contract: Contract

    @cached_property
    def sheet(self) -> Sheet | None:
        """The file as a table, if it is delimited text with a header that the contract knows."""
        if self.contract.reader not in ("delimited", "ssda903") or self.content[:2] == b"PK":
            return None
        try:
            text = self.content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return None
        if text.lstrip().startswith("<"):
            return None
        for delimiter in DELIMITERS:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
            if not rows:
                return None
            found = recognise(self.contract, self.contract, rows[0], self.name)
            if found.table:
                table = self.contract.tables[found.table]
                columns = {place: table.column(name) for name, place in found.positions.items()}
                end = "\r\n" if "\r\n" in text else "\n"
                return Sheet(
                    table, tuple(rows[0]), tuple(map(tuple, rows[1:])), columns, delimiter, end
                )
        return None

    def with_content(self, content: bytes) -> File:
        return replace(self, content=content)


Cells = tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """A table as text: ``columns`` says which places hold which columns of the contract."""

    table: Table
    header: Cells
    rows: tuple[Cells, ...]
    columns: Mapping[int, Column]
    delimiter: str
    end: str

    def places(self, wanted: Callable[[Column], bool]) -> list[int]:
        return [place for place, column in self.columns.items() if wanted(column)]

    def filled(self, place: int) -> list[str]:
        return [row[place] for row in self.rows if place < len(row) and row[place].strip()]

    def mapped(self, places: list[int], change: Callable[[str, Column], str]) -> Sheet:
        """The sheet with cells of some columns changed."""
        chosen = set(places)
        rows = tuple(
            tuple(
                change(cell, self.columns[place]) if place in chosen else cell
                for place, cell in enumerate(row)
            )
            for row in self.rows
        )
        return replace(self, rows=rows)

    def lines(self, quoting: int = csv.QUOTE_MINIMAL, delimiter: str | None = None) -> list[str]:
        """Header and rows as lines of text, without their ends."""
        return [
            line(row, delimiter or self.delimiter, quoting) for row in (self.header, *self.rows)
        ]

    def text(self, **how: object) -> str:
        return "".join(line + self.end for line in self.lines(**how))  # type: ignore[arg-type]

    def encoded(self, **how: object) -> bytes:
        return self.text(**how).encode()


def line(cells: Cells, delimiter: str, quoting: int = csv.QUOTE_MINIMAL) -> str:
    target = io.StringIO()
    csv.writer(target, delimiter=delimiter, quoting=quoting, lineterminator="").writerow(cells)  # type: ignore[arg-type]
    return target.getvalue()


@dataclass(frozen=True)
class Delivery:
    """Files of one delivery by name, and where they lie: ``supplier/feed/period``."""

    contract: Contract
    supplier: str
    period: str
    files: Mapping[str, bytes]

    def each(self) -> Iterator[File]:
        for name, content in self.files.items():
            yield File(name, content, self.contract)

    def with_files(self, files: Mapping[str, bytes]) -> Delivery:
        return replace(self, files=dict(files))
