"""All rules of a table are counted by one statement, and come to what each comes to by itself."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from linked_cyp.contracts.model import Table
from linked_cyp.expectations import CheckOutcome, Rule, contract_rules, run_rules
from linked_cyp.expectations.rules import ROW_KEYS, pseudonymised_rules, unique, zero_rows
from linked_cyp.expectations.suite import SAFE_METRICS
from linked_cyp_tests.contracts.common import every_table
from linked_cyp_tests.unit.expectations.common import stock_results

TABLES = {f"{table.feed}.{table.name}": table for table in every_table()}
# each example runs some forty statements: shrinking one would take minutes
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
TEXTS = ("", "x", "1", "B801200005001", "9434765919", "SW1A 1AA", "E01000001", "it's", "a:b?", '"')


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA raw")
    yield connection
    connection.close()


def values(column: Any) -> st.SearchStrategy[Any]:
    """What a spoilt column may hold: nulls, codes of its own, bounds, and what is wrong."""
    kind = column.sql_type if hasattr(column, "sql_type") else column
    codes = tuple(getattr(getattr(column, "codeset", None), "values", ())[:4])
    texts = st.sampled_from((*codes, *TEXTS)) | st.text(string.printable, max_size=4)
    whole = st.sampled_from((-1, 0, 1, 2, 9, 2025)) | st.integers(-200, 200)
    days = st.integers(0, 20_000).map(lambda n: date(1985, 1, 1) + timedelta(n))
    found = {
        "VARCHAR": texts,
        "BIGINT": whole,
        "INTEGER": whole,
        "DOUBLE": st.floats(-100, 100) | st.just(float("nan")),
        "DATE": days,
        "TIMESTAMP": days,
        "BOOLEAN": st.booleans(),
    }[kind]
    return st.none() | found


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[dict[str, str], list[tuple], list[Rule]]:
    """Columns, up to eight rows, and every rule that a contract makes for a table."""
    table: Table = TABLES[draw(st.sampled_from(sorted(TABLES)))]
    year, rows = draw(st.sampled_from((2019, 2025, 2030))), draw(st.integers(0, 8))
    if draw(st.booleans()):
        columns: dict[str, Any] = ROW_KEYS | {c.name: c for c in table.columns}
        rules = contract_rules(table, year, rows=draw(st.integers(0, 8)))
    else:
        columns = ROW_KEYS | ({"record_key": "BIGINT"} if table.person_key else {})
        columns |= {o.name: o.sql_type for o in table.pseudonymised()}
        rules = pseudonymised_rules(table, rows=draw(st.integers(0, 8)))
    typed = {name: getattr(kind, "sql_type", kind) for name, kind in columns.items()}
    if draw(st.booleans()):
        typed["not_declared"] = columns["not_declared"] = "VARCHAR"
    if draw(st.booleans()):
        typed.popitem()
    held = [tuple(draw(values(columns[name])) for name in typed) for _ in range(rows)]
    further = [
        zero_rows("rule_1", "SELECT * FROM {batch} WHERE row_number > 1 AND 'a:b?' <> ''", "x"),
        unique(("delivery_id", "row_number"), name="both__unique", filled=True),
        unique(("delivery_id",), name="any__unique"),
    ]
    return typed, held, [*rules, *further]


def fill(con: duckdb.DuckDBPyConnection, columns: dict[str, str], rows: list[tuple]) -> None:
    declared = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    con.execute(f"CREATE OR REPLACE TABLE raw.t ({declared})")
    if rows:
        con.executemany(f"INSERT INTO raw.t VALUES ({', '.join('?' * len(columns))})", rows)


@given(spoilt())
@settings(max_examples=12, deadline=None, phases=NO_SHRINKING)
def test_rules_together_come_to_what_each_comes_to_alone(con, given_) -> None:
    columns, rows, rules = given_
    fill(con, columns, rows)
    together = run_rules(con, "raw.t", rules)
    assert [o.name for o in together] == [r.name for r in rules]
    for rule, outcome in list(zip(rules, together, strict=True))[:: max(1, len(rules) // 6)]:
        assert run_rules(con, "raw.t", [rule]) == [outcome]
    assert together[::-1] == run_rules(con, "raw.t", rules[::-1])


def stock(rule: Rule) -> tuple[str, dict[str, Any]] | None:
    """Great Expectations' own expectation of a rule; None for those it has none for."""
    column = {"column": rule.columns[0]} if rule.columns else {}
    match rule.kind:
        case "not_null":
            return "expect_column_values_to_not_be_null", column
        case "in_set":
            codes = {"value_set": list(rule.arguments["values"])}
            return "expect_column_values_to_be_in_set", column | codes
        case "between":
            bounds = {
                "min_value": rule.arguments["minimum"],
                "max_value": rule.arguments["maximum"],
            }
            return "expect_column_values_to_be_between", column | bounds
        case "matches":
            pattern = {"regex": rule.arguments["pattern"]}
            return "expect_column_values_to_match_regex", column | pattern
        case "unique" if len(rule.columns) == 1 and not rule.arguments["filled"]:
            return "expect_column_values_to_be_unique", column
        case "row_count":
            return "expect_table_row_count_to_equal", {"value": rule.arguments["rows"]}
        case "columns_equal":
            columns = {"column_set": list(rule.columns)}
            return "expect_table_columns_to_match_set", columns
    return None


@given(spoilt())
@settings(max_examples=15, deadline=None, phases=NO_SHRINKING)
def test_verdicts_and_counts_are_great_expectations_own(con, given_) -> None:
    columns, rows, rules = given_
    rules = [rule for rule in rules if stock(rule)]
    fill(con, columns, rows)
    ours = {o.name: o for o in run_rules(con, "raw.t", rules)}
    there = [r for r in rules if set(r.columns) <= set(columns) or r.kind == "columns_equal"]
    con.execute("CREATE OR REPLACE TEMP VIEW checked AS SELECT * FROM raw.t")
    theirs = stock_results(con, "checked", {r.name: stock(r) for r in there})
    for rule in there:
        assert ours[rule.name].passed == theirs[rule.name].success, rule
        if not rows and rule.kind not in ("row_count", "columns_equal"):
            continue  # where there are no rows we count none
        for key, number in _shown(theirs[rule.name].result or {}).items():
            if rule.kind != "unique" or key == "unexpected_count":
                assert ours[rule.name].metrics[key] == number, (rule, key)


def _shown(result: dict[str, Any]) -> dict[str, Any]:
    found = {key: result[key] for key in SAFE_METRICS if result.get(key) is not None}
    mismatched = (result.get("details") or {}).get("mismatched") or {}
    names = {"missing": "missing_columns", "unexpected": "undeclared_columns"}
    return {k: v for k, v in found.items() if not isinstance(v, list)} | {
        names[side]: len(which) for side, which in mismatched.items()
    }


def test_one_statement_counts_all_rules_of_a_table(con) -> None:
    """Beside it only the temporary view is made, described, looked into and dropped."""
    table = max(every_table(), key=lambda t: len(contract_rules(t, 2025)))
    rules = [r for r in contract_rules(table, 2025, rows=1) if r.kind != "exists_in"]
    typed = ROW_KEYS | {c.name: c.sql_type for c in table.columns}
    fill(con, typed, [tuple(None for _ in typed)])
    asked: list[str] = []

    class Spy:
        def execute(self, sql: str, parameters: object = ()) -> duckdb.DuckDBPyConnection:
            asked.append(sql)
            return con.execute(sql, parameters)

    run_rules(con, "raw.t", rules)  # macros are made once in a connection
    outcomes = run_rules(Spy(), "raw.t", rules)  # type: ignore[arg-type]
    assert len(outcomes) == len(rules) > 30
    beside = ("CREATE TEMP VIEW", "DESCRIBE", "SELECT 1 FROM", "DROP VIEW", "SELECT linked_cyp_")
    counting = [sql for sql in asked if not sql.startswith(beside)]
    assert len(counting) == 1
    assert len(asked) <= 6


def test_the_order_and_the_severity_are_the_rules_own(con) -> None:
    fill(con, {"v": "VARCHAR"}, [(None,)])
    rule = Rule("v__required", "not_null", ("v",), severity="warn", description="So.")
    outcomes = run_rules(con, "raw.t", [replace(rule, name="b__x"), rule])
    metrics = {"element_count": 1, "unexpected_count": 1, "unexpected_percent": 100.0}
    assert outcomes == [
        CheckOutcome(name, False, "warn", "So.", metrics) for name in ("b__x", "v__required")
    ]
