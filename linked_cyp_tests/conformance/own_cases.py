"""Our own cases: small returns written as tables, the rows that must be flagged marked with ``!``.

A block names a table on a line of its own; the lines below it that start with ``|`` (``! |`` for a
row to flag) are its columns and its rows, blank cells are blank values. ``! Table`` asks for the
finding about the whole return that the rule makes on that table. Tables that end in ``_last`` are
last year's, ``provider_info`` is Ofsted's list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import yaml

from linked_cyp.dfe_rules.rules import Rule, definitions, load_rules

OWN = Path(__file__).with_name("own")
AUTHORITY = "E09000001"
Failures = frozenset[tuple[str, int | None]]


@dataclass(frozen=True)
class Block:
    """``tables`` have their columns and rows; ``marked`` are the rows to flag, from 0."""

    tables: Mapping[str, tuple[list[str], list[list[str | None]]]]
    marked: Failures


@dataclass(frozen=True)
class OwnCase:
    feed: str
    code: str
    year: int
    text: str
    kind: str
    block: Block

    @property
    def name(self) -> str:
        return f"{self.feed} {self.code} {self.year} {self.kind}"


def parsed(text: str) -> Block:
    tables: dict[str, tuple[list[str], list[list[str | None]]]] = {}
    marked: set[tuple[str, int | None]] = set()
    name = ""
    for line in text.splitlines():
        body = line.removeprefix("! ").strip()
        if not body or body.startswith("#"):
            continue
        if not body.startswith("|"):
            name, tables[body] = body, ([], [])
            marked |= {(body, None)} if line.startswith("! ") else set()
            continue
        cells = [cell.strip() for cell in body.removeprefix("|").split("|")]
        columns, rows = tables[name]
        if not columns:
            columns += cells
            continue
        marked |= {(name, len(rows))} if line.startswith("! ") else set()
        cells += [""] * (len(columns) - len(cells))
        rows.append([cell or None for cell in cells])
    return Block(tables, frozenset(marked))


@cache
def own_cases(feed: str) -> tuple[OwnCase, ...]:
    """Every case of a return: of each rule, the ones that fail and the ones that pass."""
    found = []
    files = sorted(OWN.glob(f"{feed}*.yaml"))
    for entry in (e for file in files for e in yaml.safe_load(file.read_text(encoding="utf-8"))):
        head = (feed, str(entry["code"]), int(entry["year"]), entry["text"])
        found += [
            OwnCase(*head, kind, parsed(block))
            for kind in ("fails", "passes")
            for block in _blocks(entry.get(kind, []))
        ]
    return tuple(found)


def _blocks(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given


def condition_of(rule: Rule) -> tuple[str, ...]:
    """What makes one rule of one year another: a rule often holds unchanged for many years."""
    asks = rule.where or (rule.flags.query if rule.flags else "")
    return rule.code, rule.message, asks, *rule.tables


def in_force(feed: str) -> Iterator[tuple[int, Rule]]:
    """Each rule of each year; the same rule in two years comes twice."""
    first, last = definitions(feed).years
    for year in range(first, last + 1):
        for rule in load_rules(feed, year):
            yield year, rule


def given(con: duckdb.DuckDBPyConnection, block: Block) -> tuple[Any, Any, Any]:
    """This year's tables, last year's and the metadata of a block."""
    tables = {n: _relation(con, *t) for n, t in block.tables.items()}
    last = {n.removesuffix("_last"): r for n, r in tables.items() if n.endswith("_last")}
    outside = {n: r for n, r in tables.items() if n == "provider_info"}
    now = {n: r for n, r in tables.items() if not n.endswith("_last") and n not in outside}
    return now, last, {"localAuthority": AUTHORITY, **outside}


def _relation(
    con: duckdb.DuckDBPyConnection, columns: list[str], rows: list[list[str | None]]
) -> duckdb.DuckDBPyRelation:
    schema = dict.fromkeys(columns or ["row_id"], pl.String)
    return con.from_arrow(pl.DataFrame(rows, schema=schema, orient="row").to_arrow())


def ordinary(feed: str, year: int) -> Block:
    """The ordinary year of a return, as the collection that ends in ``year`` would have it."""
    text = (OWN / f"ordinary_{feed}.txt").read_text(encoding="utf-8")
    sexes = {"girl": "F", "boy": "M", "none": "U"}
    if year < 2025:
        sexes = {"girl": "2", "boy": "1", "none": "0"}
    text = re.sub(r"\{(-?\d+)\}", lambda m: str(year + int(m[1])), text)
    text = re.sub(
        r"weekday (\d\d)/(\d\d)", lambda m: _weekday(year - 1, int(m[2]), int(m[1])), text
    )
    return parsed(re.sub(r"\b(girl|boy|none)\b", lambda m: sexes[m[1]], text))


def _weekday(year: int, month: int, day: int) -> str:
    """The first working day from a date on."""
    found = date(year, month, day)
    while found.isoweekday() > 5:
        found += timedelta(days=1)
    return f"{found:%d/%m/%Y}"
