"""Running rules: one Great Expectations validation per table, inside DuckDB, counts only."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import duckdb

from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import quoted
from linked_cyp.expectations.counts import Target, statement
from linked_cyp.expectations.dialect import engine_over, quote_relation
from linked_cyp.expectations.rules import Rule, Severity
from linked_cyp.identity.macros import create_macros

# The only keys that leave a result, and only when they hold numbers.
SAFE_METRICS = (
    "element_count",
    "unexpected_count",
    "unexpected_percent",
    "missing_count",
    "observed_value",
    "missing_columns",
    "undeclared_columns",
)
# Kinds of rule that can only be broken by a row.
OF_ROWS = ("not_null", "in_set", "between", "matches", "satisfies", "unique", "exists_in")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_batches = itertools.count()


@dataclass(frozen=True)
class CheckOutcome:
    """What came of one rule: counts and shares, never a value.

    Attributes:
        metrics: `element_count` (rows checked), `unexpected_count` (rows or breaches),
            `unexpected_percent` (0 to 100, of the rows that are not null), `missing_count` (nulls),
            `observed_value` (a row count), `missing_columns` and `undeclared_columns`.
    """

    name: str
    passed: bool
    severity: Severity
    description: str = ""
    metrics: Mapping[str, int | float] = field(default_factory=dict)


def run_rules(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    rules: Sequence[Rule],
    where: str | None = None,
) -> list[CheckOutcome]:
    """Check a relation against rules, in order.

    A rule about a column the relation does not have fails, with `missing_columns` as its metric.

    Args:
        con: an open connection with the relation's catalog attached; nothing is written to it
            but temporary objects, and its transaction is left alone.
        relation: `catalog.schema.table`, or `schema.table`, or a temporary table's name.
        rules: each name once.
        where: SQL condition that selects the rows to check (one delivery).

    Raises:
        LinkedCypError: a rule could not be computed at all, which is our mistake and no finding
            about the data; or a rule has a bad name.
    """
    names = [rule.name for rule in rules]
    bad = sorted({n for n in names if names.count(n) > 1 or not _NAME.fullmatch(n)})
    if bad:
        raise LinkedCypError(f"checking {relation}: bad or repeated rule names: {', '.join(bad)}")
    if not rules:
        return []
    doing = f"checking {relation}"
    with value_free(doing), _batch(con, relation, where) as batch:
        target = Target(con, relation, batch)
        known = _missing_columns(target, rules)
        if not _holds_rows(target):
            known |= {r.name: _vacuous(r) for r in rules if r.kind in OF_ROWS} | known
        rules_left = [rule for rule in rules if rule.name not in known]
        try:
            found = known | _validate(target, rules_left)
            return [found[rule.name] for rule in rules]
        except LinkedCypError:
            raise
        except Exception:  # any type may quote a value: find out whose fault it is below
            broken = [rule.name for rule in rules_left if _breaks(target, rule)]
    raise LinkedCypError(f"{doing}: could not compute {', '.join(broken) or 'the rules together'}")


def failures(outcomes: Sequence[CheckOutcome]) -> list[str]:
    """Names of the checks that failed and block."""
    return [o.name for o in outcomes if not o.passed and o.severity == "error"]


@contextmanager
def _batch(con: duckdb.DuckDBPyConnection, relation: str, where: str | None) -> Iterator[str]:
    """A temporary view of the rows to check."""
    name = f"linked_cyp_batch_{next(_batches)}"
    rows = f"SELECT * FROM {quote_relation(relation)}" + (f" WHERE {where}" if where else "")
    con.execute(f"CREATE TEMP VIEW {quoted(name)} AS {rows}")
    try:
        yield name
    finally:
        with suppress(duckdb.Error):  # in a transaction that failed, rolling back drops it
            con.execute(f"DROP VIEW IF EXISTS temp.{quoted(name)}")


def _holds_rows(target: Target) -> bool:
    found = target.con.execute(f"SELECT 1 FROM {quoted(target.batch)} LIMIT 1").fetchall()
    return bool(found)


def _vacuous(rule: Rule) -> CheckOutcome:
    """A rule about rows holds where there are none: most tables of a return may be empty."""
    return CheckOutcome(rule.name, True, rule.severity, rule.description, {"element_count": 0})


def _missing_columns(target: Target, rules: Sequence[Rule]) -> dict[str, CheckOutcome]:
    """The rules, by name, that fail because columns they are about are not there."""
    described = target.con.execute(f"DESCRIBE {quoted(target.batch)}").fetchall()
    present = {row[0].lower() for row in described}
    found = {}
    for rule in rules:
        absent = sum(column.lower() not in present for column in rule.columns)
        if absent and rule.kind not in ("columns_equal", "types_equal"):
            metrics = {"missing_columns": absent}
            found[rule.name] = CheckOutcome(
                rule.name, False, rule.severity, rule.description, metrics
            )
    return found


def _validate(target: Target, rules: Sequence[Rule]) -> dict[str, CheckOutcome]:
    # Great Expectations takes seconds to import.
    from linked_cyp.expectations.counted import validate

    if any(rule.kind == "satisfies" for rule in rules):
        create_macros(target.con)
    expectations = {rule.name: _expectation(rule) for rule in rules}
    results = validate(
        engine_over(target.con), target.batch, expectations, statement(target, rules)
    )
    return {rule.name: _outcome(rule, results[rule.name]) for rule in rules}


def _breaks(target: Target, rule: Rule) -> bool:
    try:
        _validate(target, [rule])
    except Exception:  # the type does not matter: the rule is named, the message dropped
        return True
    return False


def _outcome(rule: Rule, result: Any) -> CheckOutcome:
    """Copy whitelisted numbers out of a result; everything else in it stays behind."""
    found = result.result or {}
    metrics = {key: found[key] for key in SAFE_METRICS if _is_number(found.get(key))}
    return CheckOutcome(rule.name, bool(result.success), rule.severity, rule.description, metrics)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _expectation(rule: Rule) -> tuple[str, dict[str, Any]]:
    """The type and arguments of the Great Expectations expectation that checks a rule."""
    given = rule.arguments
    column = {"column": rule.columns[0]} if rule.columns else {}
    match rule.kind:
        case "not_null":
            return "expect_counted_no_nulls", column
        case "in_set":
            return "expect_counted_in_set", column | {"value_set": list(given["values"])}
        case "between":
            bounds = {"min_value": given["minimum"], "max_value": given["maximum"]}
            return "expect_counted_between", column | bounds
        case "matches":
            return "expect_counted_regex", column | {"regex": given["pattern"]}
        case "satisfies" if len(rule.columns) == 1:
            return "expect_counted_satisfy", column | {"predicate": given["predicate"]}
        case "columns_equal":
            return "expect_declared_columns", {}
        case "row_count":
            return "expect_counted_rows", {"value": given["rows"]}
    return "expect_no_breaches", {}
