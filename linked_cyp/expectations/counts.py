"""One statement a table: what every rule counts, in one row.

A rule is computed from counts alone: the rows, the breaches (under the rule's own name) and, where
it is about one column's values, the nulls. All of them are asked of the database at once, because
a statement costs more than what it counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import duckdb

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.sql import literal, quoted
from linked_cyp.expectations.dialect import quote_relation
from linked_cyp.expectations.rules import Rule

ROWS = "rows of it"  # no rule is called so: a rule's name has no space
NULLS = "{} nulls"
UNDECLARED = "{} undeclared"


@dataclass(frozen=True)
class Target:
    """What is checked: a relation, and the temporary view of the rows of it that are."""

    con: duckdb.DuckDBPyConnection
    relation: str
    batch: str  # a temporary view, so that Great Expectations needs to know one plain name


def statement(target: Target, rules: Sequence[Rule]) -> str:
    """SQL for one row of counts: `ROWS`, and of each rule its breaches and what goes with them.

    Raises:
        LinkedCypError: there is no such kind of rule.
    """
    counts = {ROWS: "count(*)"}
    for rule in rules:
        counts |= _counts(rule, target)
    listed = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in counts.items())
    return f"SELECT {listed} FROM {quoted(target.batch)}"


def _counts(rule: Rule, target: Target) -> dict[str, str]:
    if rule.kind == "row_count":
        return {}
    if rule.kind == "columns_equal":
        return _columns(rule, target)
    broken = _broken_value(rule)
    if broken is None:
        return {rule.name: f"coalesce(({_breaches(rule, target)}), 0)"}
    column = quoted(rule.columns[0])
    filled = "" if rule.kind == "not_null" else f"{column} IS NOT NULL AND "
    return {
        rule.name: f"count(*) FILTER (WHERE {filled}{broken})",
        NULLS.format(rule.name): f"count(*) - count({column})",
    }


def _columns(rule: Rule, target: Target) -> dict[str, str]:
    found = f"SELECT lower(column_name) FROM (DESCRIBE {quoted(target.batch)})"
    declared = f"VALUES {', '.join(f'({literal(c.lower())})' for c in rule.columns)}"
    return {
        rule.name: f"(SELECT count(*) FROM ({declared} EXCEPT {found}))",
        UNDECLARED.format(rule.name): f"(SELECT count(*) FROM ({found} EXCEPT {declared}))",
    }


def _broken_value(rule: Rule) -> str | None:
    """The condition under which one column's value breaks a rule; None if it is not about one."""
    given = rule.arguments
    if rule.kind not in ("not_null", "in_set", "between", "matches", "satisfies"):
        return None
    if len(rule.columns) != 1:
        return None
    column = quoted(rule.columns[0])
    match rule.kind:
        case "not_null":
            return f"{column} IS NULL"
        case "in_set":
            values = ", ".join(map(constant, given["values"]))
            return f"{column} NOT IN ({values})" if values else "true"
        case "between":
            return _outside(column, given["minimum"], given["maximum"])
        case "matches":
            return f"NOT regexp_matches({column}, {literal(given['pattern'])})"
    return f"NOT {given['predicate']}({column})"


def _outside(column: str, minimum: Any, maximum: Any) -> str:
    sides = []
    if minimum is not None:
        sides.append(f"{column} < {constant(minimum)}")
    if maximum is not None:
        sides.append(f"{column} > {constant(maximum)}")
    return f"({' OR '.join(sides)})"


def constant(value: Any) -> str:
    """A contract's value in SQL, of its own type: a bare text would take the column's.

    Raises:
        LinkedCypError: of a type that contracts do not have.
    """
    match value:
        case str():
            return f"{literal(value)}::VARCHAR"
        case datetime():
            return f"TIMESTAMP '{value}'"
        case date():
            return f"DATE '{value}'"
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            return f"'{value}'::DOUBLE"
    raise LinkedCypError(f"a rule compares with a {type(value).__name__}")


def _breaches(rule: Rule, target: Target) -> str:
    """SQL for the number of breaches of a rule that is not about one column's values."""
    batch = quoted(target.batch)
    given = rule.arguments
    match rule.kind:
        case "unique":
            keys = ", ".join(map(quoted, rule.columns))
            filled = " AND ".join(f"{quoted(c)} IS NOT NULL" for c in rule.columns)
            repeated = (
                f"SELECT count(*) AS n FROM {batch} WHERE {filled} GROUP BY {keys} HAVING n > 1"
            )
            if given.get("filled"):
                repeated += f" UNION ALL SELECT count(*) AS n FROM {batch} WHERE NOT ({filled})"
            return f"SELECT sum(n) FROM ({repeated})"
        case "types_equal":
            declared = ", ".join(
                f"({literal(c)}, {literal(t)})"
                for c, t in zip(rule.columns, given["types"], strict=True)
            )
            return (
                f"SELECT count(*) FROM (DESCRIBE {batch}) AS found "
                f"JOIN (VALUES {declared}) AS declared(name, type) ON found.column_name = name "
                "WHERE found.column_type <> type"
            )
        case "exists_in":
            return _dangling(rule, target)
        case "satisfies":
            broken = (f"NOT {given['predicate']}({quoted(c)})" for c in rule.columns)
            return f"SELECT count(*) FROM {batch} WHERE {' OR '.join(broken)}"
        case "zero_rows":
            schema = quote_relation(target.relation.rpartition(".")[0] or "temp.main")
            sql = given["sql"].replace("{batch}", batch).replace("{schema}", schema)
            return f"SELECT count(*) FROM ({sql})"
    raise LinkedCypError(f"{rule.name}: there is no kind of rule called {rule.kind}")


def _dangling(rule: Rule, target: Target) -> str:
    """SQL for the number of rows whose foreign key refers to nothing in the same delivery.

    A table that has never been delivered does not exist yet; then every filled key dangles.
    """
    batch = quoted(target.batch)
    schema, _, _ = target.relation.rpartition(".")
    other = quote_relation(
        f"{schema}.{rule.arguments['table']}" if schema else rule.arguments["table"]
    )
    filled = " AND ".join(f"b.{quoted(c)} IS NOT NULL" for c in rule.columns)
    join = ""
    if _exists(target.con, other):
        pairs = zip(rule.columns, rule.arguments["to_columns"], strict=True)
        keys = " AND ".join(f"b.{quoted(a)} = o.{quoted(z)}" for a, z in pairs)
        join = f" ANTI JOIN {other} AS o ON b.delivery_id = o.delivery_id AND {keys}"
    return f"SELECT count(*) FROM {batch} AS b{join} WHERE {filled}"


def _exists(con: duckdb.DuckDBPyConnection, quoted: str) -> bool:
    try:
        con.execute(f"DESCRIBE {quoted}").fetchall()
    except duckdb.CatalogException:
        return False
    return True
