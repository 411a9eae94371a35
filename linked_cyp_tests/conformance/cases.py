"""The known-answer cases of the public validators, as relations and sets of failing rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from linked_cyp.core.settings import PROJECT_ROOT

CONFORMANCE = PROJECT_ROOT.parent / "shared" / "conformance"
RETURNS = ("ssda903", "cin_census")
Failures = frozenset[tuple[str, int | None]]


@dataclass(frozen=True)
class Case:
    feed: str
    code: str
    year: int
    number: int
    inputs: Mapping[str, Any]
    expected: Failures

    @property
    def name(self) -> str:
        return f"{self.feed} {self.code} {self.year} {self.number}"


def folder(feed: str) -> Path:
    path = CONFORMANCE / feed
    if not path.is_dir():
        pytest.skip("../shared is not beside the project")
    return path


def cases(feed: str) -> Iterator[Case]:
    for rule in json.loads((folder(feed) / "develop.json").read_text(encoding="utf-8")):
        for number, case in enumerate(rule["cases"], start=1):
            yield Case(
                feed=feed,
                code=rule["code"],
                year=int(rule["ruleset"][:4]) + 1,
                number=number,
                inputs=case["input"],
                expected=_expected(rule.get("module", ""), case["expected"]),
            )


def in_force(feed: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Every rule of every year, with the year in which the collection ends."""
    for file in sorted(folder(feed).glob("effective_rules_*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                yield int(file.stem.split("_")[2]) + 1, row


def _expected(module: str, expected: Mapping[str, Any]) -> Failures:
    """Failing rows: of SSDA903 by table, of the census by its four kinds of issue."""
    if "la_level_issues" in expected:
        return frozenset({(module, None)})
    found: set[tuple[str, int | None]] = set()
    for table, rows in expected.items():
        if isinstance(rows, list):
            found |= {(table, int(row)) for row in rows}
            continue
        where = rows["columns"].index("tables_affected"), rows["columns"].index("ROW_ID")
        found |= {(row[where[0]], int(row[where[1]])) for row in rows["rows"]}
    return frozenset(found)


def relations(
    con: duckdb.DuckDBPyConnection, case: Case
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """This year's tables, last year's and the metadata of a case."""
    tables: dict[str, Any] = {}
    last: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    for name, given in case.inputs.items():
        if name == "metadata":
            metadata = {k: _metadata(con, v) for k, v in given.items()}
        elif name.endswith("_last"):
            last[name.removesuffix("_last")] = relation(con, given)
        else:
            tables[name] = relation(con, given)
    return tables, last, metadata


def relation(con: duckdb.DuckDBPyConnection, given: Mapping[str, Any]) -> duckdb.DuckDBPyRelation:
    columns = [*given["columns"], "row_id"]
    ids = given.get("index", range(len(given["rows"])))
    rows = [
        [*(text(v) for v in row), row_id] for row, row_id in zip(given["rows"], ids, strict=True)
    ]
    schema = {c: pl.Int64 if c == "row_id" else pl.String for c in columns}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return con.from_arrow(frame.to_arrow())


def text(value: Any) -> str | None:
    """A cell as the return would write it."""
    match value:
        case None:
            return None
        case {"$date": day}:
            year, month, day = day[:10].split("-")
            return f"{day}/{month}/{year}"
        case list():
            return ",".join(value)
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)


def _metadata(con: duckdb.DuckDBPyConnection, value: Any) -> Any:
    if isinstance(value, dict) and "columns" in value:
        return relation(con, value)
    return text(value)
