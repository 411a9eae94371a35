"""The contracts of this repository, read once, and where the public samples may lie."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from linked_cyp.contracts.model import (
    Codeset,
    Column,
    Contract,
    Table,
    load_codesets,
    load_contracts,
)

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "data_contracts"
SAMPLES = ROOT.parent / "shared" / "samples"
FEEDS = tuple(sorted(path.name.split(".")[0] for path in FOLDER.glob("*.odcs.yaml")))


@cache
def contracts() -> dict[str, Contract]:
    return load_contracts(FOLDER)


@cache
def codesets() -> dict[str, Codeset]:
    return load_codesets(FOLDER / "codesets")


def every_table() -> Iterator[Table]:
    for contract in contracts().values():
        yield from contract.tables.values()


def every_column() -> Iterator[tuple[Table, Column]]:
    for table in every_table():
        for column in table.columns:
            yield table, column


def place(table: Table, column: Column) -> str:
    return f"{table.table_name}.{column.name}"


def sample(*parts: str) -> Path:
    """A file of the public samples; skips the test where they are not beside the project."""
    path = SAMPLES.joinpath(*parts)
    if not path.exists():
        pytest.skip("../shared is not beside the project")
    return path
