"""Run the rules over a return, as a few set-wise statements in DuckDB."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import duckdb

from linked_cyp.core.errors import value_free
from linked_cyp.core.sql import literal, quoted
from linked_cyp.dfe_rules.rules import (
    Definitions,
    Layout,
    Rule,
    definitions,
    load_rules,
    tables_read,
)

RESULT = "dfe_failures"
_SOURCE = "dfe_source"
Tables = Mapping[str, duckdb.DuckDBPyRelation]

# Dates as the return writes them, and as XML, spreadsheets and typed columns give them.
_DATE_MACRO = """
CREATE OR REPLACE TEMP MACRO as_date(x) AS coalesce(
    CASE WHEN regexp_full_match(x, '[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}')
         THEN try_strptime(x, '%d/%m/%Y') END,
    CASE WHEN regexp_full_match(x, '[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]00:00:00(\\.0*)?)?')
         THEN try_strptime(left(x, 10), '%Y-%m-%d') END)::DATE
"""


def run_rules(
    con: duckdb.DuckDBPyConnection,
    feed: str,
    year: int,
    tables: Tables,
    last: Tables | None = None,
    metadata: Mapping[str, Any] | None = None,
    codes: Iterable[str] | None = None,
) -> duckdb.DuckDBPyRelation:
    """The rows that fail the rules of one return.

    Args:
        con: where the relations live; the run leaves one temporary table, ``dfe_failures``.
        feed: ``ssda903`` or ``cin_census``.
        year: the year in which the collection ends.
        tables: the return's tables by the rules' names, as text or typed columns. ``row_id``, if
            there is such a column, numbers the rows from 0; otherwise their order does. Unknown
            columns are ignored, missing ones are blank.
        last: last year's tables, under the same names.
        metadata: ``collection_start`` and ``collection_end`` (dates; otherwise the financial year
            that ends in ``year``), ``localAuthority`` (its code), ``provider_info`` (a relation of
            Ofsted's providers: URN, POSTCODE, PLACE_CODES, PROVIDER_CODES, REG_END,
            LA_CODE_INFERRED), ``postcode_directory`` (a relation of postcode, without a blank, and
            la_code; makes the area of placements). Rules that need what is not given do not run.
        codes: only these rules.

    Returns:
        code, table, row_id (0-based), one row for each failing row of each rule. A rule about the
        whole return has a null ``row_id``.

    Raises:
        LinkedCypError: no rules for the feed, or a rule cannot run.
    """
    known = definitions(feed)
    given = _given(known, tables, last or {}, metadata or {})
    run = _Run(con, known, given)
    with value_free("preparing the return for the rules"):
        run.prepare(year, metadata or {})
    wanted = None if codes is None else frozenset(codes)
    rules = [
        rule
        for rule in runnable_rules(feed, year, tables, last, metadata)
        if wanted is None or rule.code in wanted
    ]
    try:
        for table, of_table in _by_table(rules).items():
            with value_free(f"rules of {table}"):
                run.rows(table, of_table)
        for rule in rules:
            if rule.flags is not None:
                with value_free(f"rule {rule.code}"):
                    run.flagged(rule)
    finally:
        run.drop()
    return con.table(RESULT)


def runnable_rules(
    feed: str,
    year: int,
    tables: Tables,
    last: Tables | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> tuple[Rule, ...]:
    """The rules in force that have all they need: tables, derived columns, last year, metadata.

    Raises:
        LinkedCypError: there are no rules for the feed or the year.
    """
    waiting = waiting_rules(feed, year, tables, last, metadata)
    return tuple(rule for rule in load_rules(feed, year) if rule.code not in waiting)


def waiting_rules(
    feed: str,
    year: int,
    tables: Tables,
    last: Tables | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """The rules in force that cannot run, by code, each with what it lacks in words.

    Raises:
        LinkedCypError: there are no rules for the feed or the year.
    """
    known = definitions(feed)
    given = _given(known, tables, last or {}, metadata or {})
    names = set(given)
    if known.one_file and tables:  # an element that no child has is a table without rows
        names |= known.tables.keys()
    present = {
        f"{name}.{column}"
        for name, relation in given.items()
        for column in (
            *_columns(known.tables[name.removesuffix("_last")], relation),
            *_makes(known, name, given),
        )
    }
    has_area = (metadata or {}).get("localAuthority") is not None
    reasons = {}
    for rule in load_rules(feed, year):
        lacks = _lacks(known, rule, names)
        absent = [d.split(".") for d in sorted(rule.derived - present)]
        lacks += [known.tables[t].derived[column].lacking for t, column in absent if t in given]
        if rule.needs_authority and not has_area:
            lacks.append("the authority's own code")
        if lacks:
            reasons[rule.code] = "needs " + " and ".join(lacks)
    return reasons


def _makes(known: Definitions, name: str, given: Iterable[str]) -> dict[str, str]:
    """The columns that SQL makes in a table where they are not given, with that SQL."""
    layout, names = known.tables[name.removesuffix("_last")], set(given)
    derived = {
        column: of.sql
        for column, of in layout.derived.items()
        if of.sql and tables_read(known, of.sql) <= names
    }
    return {**layout.computed, **derived}


def _lacks(known: Definitions, rule: Rule, names: set[str]) -> list[str]:
    """The tables that a rule lacks, as people call them."""
    said = []
    for name in sorted(rule.needs - names):
        if name in known.outside:
            said.append(known.outside[name])
        elif name.endswith("_last"):
            said.append(f"{name.removesuffix('_last')} of last year's return")
        else:
            said.append(name)
    return said


def _given(
    known: Definitions, tables: Tables, last: Tables, metadata: Mapping[str, Any]
) -> dict[str, duckdb.DuckDBPyRelation]:
    """The relations by the rules' names for them."""
    names = {name.lower(): name for name in known.tables}
    for name, layout in known.tables.items():
        if other := layout.aliases.get("table"):
            names[other.lower()] = name
    found = {names[n.lower()]: r for n, r in tables.items() if n.lower() in names}
    found |= {f"{names[n.lower()]}_last": r for n, r in last.items() if n.lower() in names}
    found |= {n: r for n, r in metadata.items() if n in known.tables and r is not None}
    return found


def _by_table(rules: Sequence[Rule]) -> dict[str, list[Rule]]:
    tables: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.table is not None:
            tables.setdefault(rule.table, []).append(rule)
    return tables


class _Run:
    """One run: temporary tables made as the rules ask for them."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        known: Definitions,
        given: Mapping[str, duckdb.DuckDBPyRelation],
    ) -> None:
        self.con = con
        self.known = known
        self.given = given
        self.made: dict[str, None] = {}

    def prepare(self, year: int, metadata: Mapping[str, Any]) -> None:
        self.con.execute(_DATE_MACRO)
        self.con.execute(
            f'CREATE OR REPLACE TEMP TABLE {RESULT} (code VARCHAR, "table" VARCHAR, row_id BIGINT)'
        )
        start, end = self._year(year, metadata)
        area = metadata.get("localAuthority")
        macros = {
            "year_start()": f"DATE '{start}'",
            "year_end()": f"DATE '{end}'",
            "collection_year()": str(year),
            "local_authority()": "NULL::VARCHAR" if area is None else literal(str(area)),
            **self.known.macros,
        }
        for signature, body in macros.items():
            self.con.execute(f"CREATE OR REPLACE TEMP MACRO {signature} AS ({body})")

    def _year(self, year: int, metadata: Mapping[str, Any]) -> tuple[date, date]:
        end = _date(self.con, metadata.get("collection_end")) or date(year, 3, 31)
        start = _date(self.con, metadata.get("collection_start"))
        if self.known.reference_date is not None:
            for table in tables_read(self.known, self.known.reference_date):
                self.table(table)
            row = self.con.execute(self.known.reference_date).fetchone()
            end = row[0] if row and row[0] is not None else end
        return start or date(end.year - 1, 4, 1), end

    def table(self, name: str) -> None:
        """A table of the return (empty where it was not given), with parsed dates."""
        if name in self.made:
            return
        self.made[name] = None
        layout = self.known.tables[name.removesuffix("_last")]
        relation = self.given.get(name)
        last = "_last" if name.endswith("_last") else ""
        computed = {}
        if relation is not None:
            for column, sql in _makes(self.known, name, self.given).items():
                if column not in _columns(layout, relation):
                    for inner in tables_read(self.known, sql):
                        if inner in self.known.outside:  # the same for both years
                            self.table(inner)
                            continue
                        self.table(inner + last)
                        sql = sql.replace(f"FROM {inner}", f"FROM {inner}{last}")
                    computed[column] = sql
        if relation is not None:
            self.con.register(_SOURCE, relation)
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE {quoted(name)} AS {_select(layout, relation, computed)}"
        )
        if relation is not None:
            self.con.unregister(_SOURCE)

    def view(self, name: str) -> None:
        if name in self.made:
            return
        for table in tables_read(self.known, self.known.views[name].sql):
            self.table(table)
        self.made[name] = None
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {self.known.views[name].sql}")

    def _ready(self, rule: Rule) -> None:
        for table in rule.needs | rule.optional:
            self.table(table)
        for view in rule.views:
            self.view(view)

    def rows(self, table: str, rules: Sequence[Rule]) -> None:
        """Every rule over one row of a table, in one scan."""
        for rule in rules:
            self._ready(rule)
        cases = ",\n".join(
            f"CASE WHEN {rule.where} THEN {literal(rule.code)} END" for rule in rules
        )
        self.con.execute(
            f"INSERT INTO {RESULT} SELECT code, {literal(table)}, row_id FROM "
            f"(SELECT row_id, unnest([{cases}]) AS code FROM {quoted(table)} t) WHERE code NOTNULL"
        )

    def flagged(self, rule: Rule) -> None:
        """One rule over several rows or tables."""
        self._ready(rule)
        assert rule.flags is not None
        aliases = rule.flags.aliases
        pairs = ", ".join(
            f"{{'t': {literal(table)}, 'r': {alias}.row_id}}" for alias, table in aliases.items()
        )
        self.con.execute(
            f"INSERT INTO {RESULT} SELECT DISTINCT {literal(rule.code)}, f.t, nullif(f.r, -1) FROM "
            f"(SELECT unnest([{pairs}]) AS f FROM {rule.flags.query}) WHERE f.r NOTNULL"
        )

    def drop(self) -> None:
        for name in self.made:
            self.con.execute(f"DROP TABLE IF EXISTS temp.{quoted(name)}")
        self.con.execute(f"DROP VIEW IF EXISTS temp.{_SOURCE}")


def _select(
    layout: Layout, relation: duckdb.DuckDBPyRelation | None, computed: Mapping[str, str]
) -> str:
    """SQL that reads a delivered table as the rules want it."""
    columns = {} if relation is None else _columns(layout, relation)
    row_id = columns.get("row_id", "row_number() OVER () - 1")
    outputs = [f"({row_id})::BIGINT AS row_id"]
    for column in layout.columns:
        if column in computed:
            continue
        text = columns.get(column, "NULL::VARCHAR")
        if column in layout.dates:
            outputs.append(f"as_date({text}) AS {quoted(column)}")
            outputs.append(f"{text} AS {quoted(column + '_text')}")
        else:
            outputs.append(f"{text} AS {quoted(column)}")
    if relation is None:
        return f"SELECT {', '.join(outputs)} WHERE false"
    made = "".join(f", {sql} AS {quoted(column)}" for column, sql in computed.items())
    return f"SELECT s.*{made} FROM (SELECT {', '.join(outputs)} FROM {_SOURCE}) s"


def _columns(layout: Layout, relation: duckdb.DuckDBPyRelation) -> dict[str, str]:
    """SQL for the text of each column, by the rules' name for it."""
    known = {column.lower(): column for column in (*layout.columns, "row_id")}
    known |= {other.lower(): name for other, name in layout.aliases.items() if other != "table"}
    found: dict[str, str] = {}
    for column, kind in zip(relation.columns, relation.types, strict=True):
        name = known.get(column.lower())
        if name is None or (name in found and column != name):
            continue
        found[name] = quoted(column) if name == "row_id" else _text(quoted(column), str(kind))
    return found


def _text(column: str, kind: str) -> str:
    """A value as the return would write it."""
    if kind.startswith(("DATE", "TIMESTAMP")):
        return f"strftime({column}, '%d/%m/%Y')"
    if kind == "BOOLEAN":
        return f"CASE {column} WHEN true THEN '1' WHEN false THEN '0' END"
    if kind.endswith("[]"):
        return f"array_to_string({column}, ',')"
    text = f"{column}::VARCHAR"
    return f"regexp_replace({text}, '^(-?[0-9]+)[.]0+$', '\\1')"


def _date(con: duckdb.DuckDBPyConnection, value: Any) -> date | None:
    if value is None or isinstance(value, date):
        return getattr(value, "date", lambda: value)() if value is not None else None
    row = con.execute("SELECT as_date($1)", [str(value)]).fetchone()
    return row[0] if row else None
