"""The Department for Education's validation rules as data: ``data_contracts/rules/<feed>``.

``definitions.yaml`` has the return's tables as the rules name them, SQL macros and shared views;
every other file has rules of one area. An entry gives ``code``, ``message``, affected ``fields``,
the collection years it is in force (``since``/``until``, years in which a collection ends, both
inclusive), ``severity`` and one mechanism (:mod:`linked_cyp.dfe_rules.mechanisms`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import yaml

from linked_cyp.contracts.model import load_codesets
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.dfe_rules.mechanisms import MECHANISMS, Flags, condition

RULES = PROJECT_ROOT / "data_contracts" / "rules"
_KNOWN = {
    *("code", "message", "fields", "since", "until", "severity"),
    *("table", "when", "flag", "optional"),
} | MECHANISMS
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Derived:
    """A column that no supplier writes: what is ``lacking`` without it, in words, and the SQL that
    makes it where the tables that it reads are given; "" where nothing makes it."""

    lacking: str
    sql: str = ""


@dataclass(frozen=True)
class Layout:
    """One table as the rules see it.

    ``dates`` are parsed; the text stays beside them as ``<column>_text``. ``derived`` columns are
    not part of what a supplier writes: rules that use one do not run where it is neither given nor
    made.
    ``computed`` columns are made by SQL where they are not given. ``aliases`` are other names
    under which a table or a column is accepted.
    """

    name: str
    columns: tuple[str, ...]
    dates: frozenset[str]
    derived: Mapping[str, Derived]
    computed: Mapping[str, str]
    aliases: Mapping[str, str]


@dataclass(frozen=True)
class View:
    """A relation that several rules share, made once in a run."""

    sql: str
    optional: frozenset[str]


@dataclass(frozen=True)
class Definitions:
    """``years`` are the first and last collection year whose rules are known.

    ``short`` is what people call the return; the names of its checks hold it. A return of
    ``one_file`` has all its tables in it, those without rows too. ``outside`` says in words what
    a table is that no return holds.
    """

    short: str
    key: str
    years: tuple[int, int]
    tables: Mapping[str, Layout]
    codes: Mapping[str, Sequence[str]]
    macros: Mapping[str, str]
    views: Mapping[str, View]
    reference_date: str | None
    one_file: bool
    outside: Mapping[str, str]


@dataclass(frozen=True)
class Rule:
    """One rule in force in one collection year.

    ``table`` is the table whose row fails, for a condition over one row; otherwise ``flags`` tells
    the rows. ``needs`` are the tables without which the rule does not run (``_last`` is last
    year's), ``derived`` the columns, as table.column; ``views`` are the shared relations it reads.
    ``needs_authority`` says that it compares with the local authority's own code.
    """

    code: str
    message: str
    fields: tuple[str, ...]
    severity: Severity
    table: str | None
    where: str | None
    flags: Flags | None
    needs: frozenset[str]
    optional: frozenset[str]
    views: tuple[str, ...]
    derived: frozenset[str]
    needs_authority: bool

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables in which this rule flags rows."""
        return (self.table,) if self.table else tuple(dict.fromkeys(self.flags.aliases.values()))  # type: ignore[union-attr]


@cache
def definitions(feed: str) -> Definitions:
    """The tables, macros and views of a return.

    Raises:
        LinkedCypError: the feed has no rules.
    """
    file = RULES / feed / "definitions.yaml"
    if not file.is_file():
        raise LinkedCypError(f"there are no validation rules for {feed}")
    document = yaml.load(file.read_text(encoding="utf-8"), Loader=_YAML)
    return Definitions(
        short=str(document["short"]),
        key=document["key"],
        years=(document["years"]["since"], document["years"]["until"]),
        tables={name: _layout(name, spec) for name, spec in document["tables"].items()},
        codes=document.get("codes", {}),
        macros=document.get("macros", {}),
        views={
            name: View(spec["sql"], frozenset(spec.get("optional", ())))
            for name, spec in document.get("views", {}).items()
        },
        reference_date=document.get("reference_date"),
        one_file=document.get("one_file", False),
        outside=document.get("outside", {}),
    )


def _layout(name: str, spec: Mapping[str, Any]) -> Layout:
    return Layout(
        name=name,
        columns=(
            *spec.get("columns", ()),
            *spec.get("dates", ()),
            *spec.get("derived", ()),
            *spec.get("computed", ()),
        ),
        dates=frozenset(spec.get("dates", ())),
        derived={column: Derived(**of) for column, of in spec.get("derived", {}).items()},
        computed=spec.get("computed", {}),
        aliases=spec.get("aliases", {}),
    )


@cache
def feeds_with_rules() -> frozenset[str]:
    """The returns whose rules are known for some years."""
    return frozenset(file.parent.name for file in RULES.glob("*/definitions.yaml"))


def has_rules(feed: str, year: int) -> bool:
    """Whether the rules of a return are known for the collection that ends in ``year``."""
    if feed not in feeds_with_rules():
        return False
    first, last = definitions(feed).years
    return first <= year <= last


@cache
def load_rules(feed: str, year: int) -> tuple[Rule, ...]:
    """The rules of a return in force in the collection that ends in ``year``, by code.

    Raises:
        LinkedCypError: no rules for the feed or the year, an unknown key or mechanism, or a code
            twice.
    """
    if definitions(feed) and not has_rules(feed, year):
        raise LinkedCypError(f"there are no validation rules of {feed} for {year}")
    found: dict[str, Rule] = {}
    for entry in _entries(feed):
        if not entry.get("since", 0) <= year <= entry.get("until", 9999):
            continue
        code = str(entry["code"])
        if code in found:
            raise LinkedCypError(f"{feed}: rule {code} has two entries for {year}")
        found[code] = _rule(feed, year, entry)
    return tuple(found[code] for code in sorted(found))


@cache
def _entries(feed: str) -> tuple[Mapping[str, Any], ...]:
    entries: list[Mapping[str, Any]] = []
    for file in sorted((RULES / feed).glob("*.yaml")):
        if file.name != "definitions.yaml":
            entries += yaml.load(file.read_text(encoding="utf-8"), Loader=_YAML)
    for entry in entries:
        if unknown := set(entry) - _KNOWN:
            raise LinkedCypError(f"rule {entry.get('code')}: unknown keys {sorted(unknown)}")
    return tuple(entries)


@cache
def codes_expected(feed: str, year: int) -> Mapping[str, tuple[tuple[str, str], ...]]:
    """By rule code, the codes that its field may hold in a year, with their labels where known.

    Only rules that are about codes: ``allowed`` and ``required_code``.
    """
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for entry in _entries(feed):
        about = entry.get("allowed") or entry.get("required_code")
        if about and entry.get("since", 0) <= year <= entry.get("until", 9999):
            whole = [spec for field, spec in about.items() if field in entry["fields"]]
            codes = [pair for spec in whole for pair in _labelled(feed, year, spec)]
            if codes:  # not where they are only a part of the field
                found[str(entry["code"])] = tuple(dict.fromkeys(codes))
    return found


def _labelled(feed: str, year: int, spec: str | Sequence[Any]) -> list[tuple[str, str]]:
    if isinstance(spec, str):
        if spec not in definitions(feed).codes:
            return [(c.code, c.label) for c in _codesets()[spec].at(year).codes]
        spec = definitions(feed).codes[spec]
    return [(str(code), "") for code in spec]


@cache
def _codesets() -> Mapping[str, Any]:
    return load_codesets(PROJECT_ROOT / "data_contracts" / "codesets")


def _rule(feed: str, year: int, entry: Mapping[str, Any]) -> Rule:
    known = definitions(feed)
    table = entry.get("table")

    def codes(name: str) -> Sequence[str]:
        return known.codes.get(name) or _codesets()[name].at(year).values

    made = condition(entry, table, known.key, codes)
    sql = made if isinstance(made, str) else made.query
    views = _views(known, sql)
    optional = frozenset(entry.get("optional", ()))
    reads = tables_read(known, sql if isinstance(made, str) else f"FROM {sql}")
    reads |= {table} if table else set(entry["flag"].values())
    for view in views:
        reads |= tables_read(known, known.views[view].sql) - known.views[view].optional
    words = _words(sql).union(*(_words(known.views[v].sql) for v in views))
    return Rule(
        code=str(entry["code"]),
        message=entry["message"].strip(),
        fields=tuple(entry["fields"]),
        severity=entry.get("severity", "error"),
        table=table if isinstance(made, str) else None,
        where=made if isinstance(made, str) else None,
        flags=made if isinstance(made, Flags) else None,
        needs=frozenset(reads) - optional,
        optional=optional,
        views=views,
        derived=frozenset(
            f"{name}.{column}"
            for name, layout in known.tables.items()
            if name in reads
            for column in layout.derived.keys() & words
        ),
        needs_authority="local_authority" in words,
    )


@cache
def _words(sql: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", re.sub(r"'[^']*'", "", sql)))


def tables_read(known: Definitions, sql: str) -> set[str]:
    """The return's tables that SQL names after FROM or JOIN."""
    named = set(re.findall(r"\b(?:FROM|JOIN)\s+\(*(?=(\w+))", sql))
    return {name + last for name in known.tables for last in ("", "_last")} & named


def _views(known: Definitions, sql: str) -> tuple[str, ...]:
    """The views that SQL reads, those they read first."""
    found: dict[str, None] = {}
    words = _words(sql)
    for name in known.views:
        if name in words:
            for inner in _views(known, known.views[name].sql):
                found[inner] = None
            found[name] = None
    return tuple(found)
