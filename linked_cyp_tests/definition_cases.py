"""What the tests of the curated and cohort tables ask of the hand-worked cases, and what they get.

The tests are the specification: each is run again here with an ``ask`` that takes down every
question about one child, and the child's story is the comment beside its rows.
"""

from __future__ import annotations

import inspect
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from types import ModuleType
from typing import Any

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from linked_cyp.contracts.model import Contract
from linked_cyp_tests.pipeline import (
    test_cohorts,
    test_curated,
    test_curated_births,
    test_curated_care,
    test_curated_education,
    test_curated_hospital,
    test_curated_identity,
    test_curated_mental_health,
    test_curated_primary_care,
    test_episode_repair,
)
from linked_cyp_tests.pipeline.world import World
from linked_cyp_tests.pipeline.worlds import MODULES

SPECIFICATIONS = (
    test_curated,
    test_curated_identity,
    test_curated_education,
    test_curated_care,
    test_episode_repair,
    test_curated_hospital,
    test_curated_primary_care,
    test_curated_mental_health,
    test_curated_births,
    test_cohorts,
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One question about one child: the tables it reads, its own first, and the rows that came."""

    module: ModuleType
    title: str
    tables: tuple[str, ...]
    child: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def cases(con: duckdb.DuckDBPyConnection, world: World) -> list[Case]:
    """Every question about a child of ``world`` in the tests, in their order.

    Raises:
        AssertionError: a test fails.
    """
    found: list[Case] = []
    for module in SPECIFICATIONS:
        for name, test in vars(module).items():
            if name.startswith("test_") and inspect.isfunction(test):
                found += _asked(con, world, module, name, test)
    return found


def _asked(
    con: duckdb.DuckDBPyConnection,
    world: World,
    module: ModuleType,
    name: str,
    test: Callable[..., None],
) -> list[Case]:
    taken: list[Case] = []
    title = name.removeprefix("test_").replace("_", " ")

    def ask(sql: str, child: str | None = None) -> list[tuple[Any, ...]]:
        if child is not None and child not in world.persons:
            pytest.skip("a child of the public sample")
        cursor = con.execute(sql, {"child": world.persons[child]} if child else {})
        columns = tuple(column[0] for column in cursor.description or ())
        rows = cursor.fetchall()
        if child and (tables := _read(sql)):
            # where the query gives no order, neither does the document
            shown = rows if "ORDER BY" in sql else sorted(rows, key=str)
            taken.append(Case(module, title, tables, child, columns, tuple(shown)))
        return rows

    for arguments in _parameters(test):
        if set(inspect.signature(test).parameters) - set(arguments) == {"ask"}:
            try:
                test(ask=ask, **arguments)
            except pytest.skip.Exception:
                continue
    return taken


def _parameters(test: Callable[..., None]) -> Iterator[dict[str, Any]]:
    """What ``pytest.mark.parametrize`` gives the test, one set of arguments after the other."""
    marks = [m for m in getattr(test, "pytestmark", ()) if m.name == "parametrize"]
    choices = []
    for mark in marks:
        names, values = mark.args[:2]
        names = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)
        choices.append(
            [dict(zip(names, v if len(names) > 1 else (v,), strict=True)) for v in values]
        )
    for chosen in product(*choices):
        yield {name: value for part in chosen for name, value in part.items()}


def _read(sql: str) -> tuple[str, ...]:
    """The curated and cohort tables of a query, the one it is about first."""
    found = sqlglot.parse_one(sql, dialect="duckdb").find_all(exp.Table)
    names = [f"{t.db}.{t.name}" for t in found if t.db in ("curated", "cohort")]
    return tuple(dict.fromkeys(names))


def given(child: str, world: World, contracts: Mapping[str, Contract]) -> dict[str, list[Row]]:
    """The child's rows as delivered, by table.

    A row without a child of its own belongs to the child whose row it refers to. Technical columns
    (keys, places in a file) are left out; ``delivery`` says whose and of when.
    """
    found: dict[str, dict[int, Row]] = {}
    keys: set[tuple[str, str, Any]] = set()
    count = -1
    while count < (count := len(keys) + sum(map(len, found.values()))):
        for table, rows in world.rows.items():
            feed, _, name = table.partition("__")
            own = world.bridge.get((feed, child))
            if own is None or not name:
                continue
            key = contracts[feed].tables[name].primary_key
            for row in rows:
                mine = row["record_key"] == own if "record_key" in row else _refers(row, keys)
                if mine:
                    found.setdefault(table, {})[row["row_number"]] = row
                    if len(key) == 1 and key[0] in row:
                        keys.add((row["delivery_id"], key[0], row[key[0]]))
    return {
        table: [_plain(row, world, contracts) for row in sorted(rows.values(), key=_place)]
        for table, rows in sorted(found.items())
    }


def _refers(row: Row, keys: set[tuple[str, str, Any]]) -> bool:
    at = row["delivery_id"]
    return any((at, name, value) in keys for name, value in row.items() if name.endswith("_id"))


def _place(row: Row) -> tuple[str, int]:
    return row["delivery_id"], row["row_number"]


def _plain(row: Row, world: World, contracts: Mapping[str, Contract]) -> Row:
    (delivery,) = [d for d in world.rows["delivery"] if d["delivery_id"] == row["delivery_id"]][:1]
    status = "" if delivery["status"] == "accepted" else f" ({delivery['status']})"
    tables = contracts[delivery["feed"]].tables.values()
    keys = {t.primary_key[0] for t in tables if len(t.primary_key) == 1}
    technical = keys | {"delivery_id", "row_number", "record_key", "submission_id"}
    return {"delivery": f"{delivery['supplier']} {delivery['period']}{status}"} | {
        name: value for name, value in row.items() if name not in technical and value is not None
    }


def stories(names: Iterable[str]) -> dict[tuple[str, str], str]:
    """(module, child) → what the comments of that world say of the child."""
    known = sorted(names)
    found = {}
    for module in MODULES:
        source = inspect.getsource(module)
        blocks = list(_comments(source))
        lines = source.splitlines()
        for name in known:
            text = _named(name, known, blocks) if name[0].isupper() else _above(name, lines, blocks)
            if text:
                found[module.__name__.rpartition(".")[2], name] = text
    return found


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """(number of the last line, text) of every block of comments and every docstring of a line."""
    block: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line = token.start[0]
        if token.type == tokenize.COMMENT and token.line.strip().startswith("#"):
            if block and line != last + 1:
                yield last, " ".join(block)
                block = []
            block.append(token.string.lstrip("# "))
            last = line
        elif token.type == tokenize.STRING and token.string.startswith('"""') and line > 10:
            yield token.end[0], " ".join(token.string.strip('"').split())
    if block:
        yield last, " ".join(block)


def _named(name: str, known: list[str], blocks: list[tuple[int, str]]) -> str:
    """The sentences about a child: from one that names it to one that names another."""
    kept = []
    for _, text in blocks:
        about = False
        for sentence in re.split(r"(?<=[.;]) (?=[A-Z])", text):
            others = [n for n in known if n != name and re.search(rf"\b{re.escape(n)}\b", sentence)]
            about = bool(re.search(rf"\b{re.escape(name)}\b", sentence)) or (about and not others)
            if about:
                kept.append(sentence)
    return " ".join(kept)


def _above(name: str, lines: list[str], blocks: list[tuple[int, str]]) -> str:
    """The comment right above the first line that names the child."""
    ends = dict(blocks)
    for number, line in enumerate(lines, 1):
        if f'"{name}"' in line and not line.lstrip().startswith("#"):
            for distance in (1, 2):
                if text := ends.get(number - distance):
                    return text
            return ""
    return ""
