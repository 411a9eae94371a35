"""A list of numbers, one on a line, as the national opt-out service returns it.

Where the file has no header it is given one; from there on it is delimited text like any other. A
line may end in a comma.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from linked_cyp.contracts.model import Contract
from linked_cyp.ingest.readers import delimited, kinds
from linked_cyp.ingest.readers.files import inspect, to_utf8
from linked_cyp.ingest.readers.staging import SourceFile, Staged

# Ten digits however they are grouped, and nothing else but an empty second field.
_NUMBER = re.compile(r"^\ufeff?\s*\"?\d{3}[ -]?\d{3}[ -]?\d{4}\"?\s*(,?)\s*$")


def stage(
    con: duckdb.DuckDBPyConnection, staged: Staged, files: Sequence[SourceFile], work: Path
) -> None:
    """Stage lists of numbers as the contract's one table of one column.

    Args: as :func:`linked_cyp.ingest.readers.delimited.stage`.
    """
    headed = [_with_header(staged.contract, source, work) for source in files]
    delimited.stage(con, staged, headed, work)


def recognised_columns(contract: Contract, source: SourceFile) -> int:
    """1 for a list of numbers, with or without a header; 0 for anything else."""
    if _headless(source.path):
        return 1
    return delimited.recognised_columns(contract, source)


def _headless(path: Path) -> re.Match[str] | None:
    """The first line that is not blank, when it is a number already; else left to be refused."""
    with path.open("rb") as file:
        start = file.read(4096)
    lines = start.decode("utf-8", errors="replace").splitlines()
    first = next((line for line in lines if line.strip("\ufeff \t")), "")
    return _NUMBER.match(first)


def _with_header(contract: Contract, source: SourceFile, work: Path) -> SourceFile:
    """The file, or a private copy of it under the header that it lacks."""
    first = _headless(source.path) if kinds.kind(source.path) is None else None
    encoding = inspect(source.path).encoding
    if not first or encoding is None:
        return source
    (table,) = contract.tables.values()
    text, copy = work / f"{source.index}.text", work / f"{source.index}.headed"
    to_utf8(source.path, encoding, text)
    with text.open("rb") as numbers, copy.open("wb") as target:
        target.write(f"{table.columns[0].physical_name}{first[1]}\n".encode())
        while chunk := numbers.read(1 << 22):
            target.write(chunk)
    text.unlink()
    return replace(source, path=copy)
