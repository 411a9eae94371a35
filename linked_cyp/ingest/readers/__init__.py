"""Readers: bytes of a delivery to staged, typed rows with every problem recorded.

``stage_delivery`` is the one way in. A reader is chosen by the contract (``reader``); all share
the typing in :mod:`linked_cyp.ingest.readers.conform` and the judgement in
:mod:`linked_cyp.ingest.readers.staging`, so a rule means the same for every feed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import duckdb

from linked_cyp.contracts.model import Contract
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.ingest.readers import cin_xml, delimited, number_list, ssda903
from linked_cyp.ingest.readers.refine import refine
from linked_cyp.ingest.readers.staging import (
    REPEATED,
    FileResult,
    SourceFile,
    Staged,
    StagedTable,
    create_problems,
)

__all__ = [
    "READERS",
    "FileResult",
    "SourceFile",
    "Staged",
    "StagedTable",
    "likeliest_feed",
    "stage_delivery",
]


class Reader(NamedTuple):
    """How files of one kind are staged, and how many columns of one file it recognises without
    reading its rows."""

    stage: Callable[[duckdb.DuckDBPyConnection, Staged, Sequence[SourceFile], Path], None]
    recognised_columns: Callable[[Contract, SourceFile], int]


READERS: Mapping[str, Reader] = {
    "delimited": Reader(delimited.stage, delimited.recognised_columns),
    "cin_xml": Reader(cin_xml.stage, cin_xml.recognised_columns),
    "ssda903": Reader(ssda903.stage, ssda903.recognised_columns),
    "number_list": Reader(number_list.stage, number_list.recognised_columns),
}


def likeliest_feed(contracts: Iterable[Contract], files: Sequence[SourceFile]) -> Contract | None:
    """The contract that recognises most of the files (then most columns), None if none does."""
    best: tuple[int, int] = (0, 0)
    found = None
    for contract in contracts:
        with value_free("recognising files"):
            reader = READERS[contract.reader]
            columns = [reader.recognised_columns(contract, file) for file in files]
        score = (sum(1 for n in columns if n), sum(columns))
        if score > best:
            best, found = score, contract
    return found


@contextmanager
def stage_delivery(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    files: Sequence[SourceFile],
    work: Path,
    year: int | None = None,
) -> Iterator[Staged]:
    """Read the files of one delivery into temporary tables and judge every row.

    Args:
        con: must not be inside a transaction (a broken file fails a statement on the way).
        contract: the feed's contract, all years.
        files: the delivery's files.
        work: a folder in which a private one is made for copies, and removed again.
        year: collection year, which decides what is required; None requires everything.

    Raises:
        LinkedCypError: the contract names an unknown reader, or reading failed for a reason that
            is not the data's.
    """
    reader = READERS.get(contract.reader)
    if reader is None:
        raise LinkedCypError(f"{contract.feed}: there is no reader {contract.reader}")
    staged = Staged(contract, contract.at(year) if year else contract)
    work.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-read-", dir=work))
    try:
        with value_free(f"{contract.feed}: reading the files"):
            create_problems(con)
            repeated = _repeated(files)
            reader.stage(con, staged, [f for f in files if f.index not in repeated], folder)
            staged.files += [FileResult(index, rule=REPEATED) for index in repeated]
            staged.files.sort(key=lambda result: result.index)
            refine(con, staged, year)
        yield staged
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with value_free(f"{contract.feed}: dropping the staged rows"):
            staged.drop(con)


def _repeated(files: Sequence[SourceFile]) -> list[int]:
    """The files whose content is that of one before them: a folder that somebody copied into."""
    seen: dict[tuple[int, bytes], int] = {}
    found = []
    for file in files:
        with file.path.open("rb") as content:
            what = file.path.stat().st_size, hashlib.file_digest(content, "sha256").digest()
        if seen.setdefault(what, file.index) != file.index and what[0]:
            found.append(file.index)
    return found
