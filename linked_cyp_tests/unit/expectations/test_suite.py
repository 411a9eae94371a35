"""Rules run by Great Expectations in DuckDB: they pass, fail, count, and never show a value."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.expectations import CheckOutcome, Rule, run_rules
from linked_cyp.expectations.counts import Target, statement
from linked_cyp.expectations.dialect import engine_over
from linked_cyp.expectations.rules import (
    ROW_KEYS,
    between,
    contract_rules,
    in_set,
    ledger_rules,
    matches,
    not_null,
    pseudonymised_rules,
    row_count,
    unique,
    zero_rows,
)
from linked_cyp.expectations.suite import _expectation, failures
from linked_cyp_tests.unit.expectations.common import stock_results
from linked_cyp_tests.unit.expectations.test_rules import TOY

PROJECT = Path(__file__).parents[3]
PLANTED = "9434765919"  # a valid NHS number of the NHS Data Dictionary's own examples


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine with two attached catalogs, as the stores give it."""
    connection = duckdb.connect()
    for catalog in ("identifiable", "warehouse"):
        connection.execute(f"ATTACH ':memory:' AS {catalog}; CREATE SCHEMA {catalog}.raw")
    yield connection
    connection.close()


def one(con: duckdb.DuckDBPyConnection, rule: Rule, rows: str, where: str | None = None):
    """The outcome of one rule over `SELECT * FROM (VALUES ...)` in an attached catalog."""
    con.execute(f"CREATE OR REPLACE TABLE identifiable.raw.t AS {rows}")
    (outcome,) = run_rules(con, "identifiable.raw.t", [rule], where)
    return outcome


V = "SELECT * FROM (VALUES {}) AS t(v)"
UPN = Rule("v__format", "satisfies", ("v",), {"predicate": "linked_cyp_accepted_upn"})
TYPED = Rule("columns__typed", "types_equal", ("v",), {"types": ("BIGINT",)})
CASES = [
    # rule, rows that pass, rows that fail, failing count
    (not_null("v"), "('a'), ('')", "('a'), (NULL), (NULL)", 2),
    (in_set("v", ["a", "b"]), "('a'), ('b'), (NULL)", "('a'), ('c'), ('A'), (NULL)", 2),
    (in_set("v", [1, 2]), "(1), (NULL)", "(1), (3)", 1),
    (in_set("v", []), "(NULL::VARCHAR)", "('a'), (NULL)", 1),
    (between("v", 1, 3), "(1), (3), (NULL)", "(0), (4), (2)", 2),
    (between("v", None, 3), "(-9), (3)", "(4)", 1),
    (between("v", 0.5, None), "(0.5::DOUBLE), (9)", "(0.4::DOUBLE)", 1),
    (
        between("v", date(1990, 1, 1), date(2025, 3, 31)),
        "(DATE '1990-01-01'), (NULL), (DATE '2025-03-31')",
        "(DATE '1989-12-31'), (DATE '2025-04-01'), (DATE '2000-01-01')",
        2,
    ),
    (
        between("v", datetime(2020, 1, 1), None),
        "(TIMESTAMP '2020-01-01 00:00:00')",
        "(TIMESTAMP '2019-12-31 23:59:59')",
        1,
    ),
    (matches("v", "^[0-9]{3}$"), "('123'), (NULL)", "('12'), ('a123'), ('')", 3),
    (matches("v", "[0-9]"), "('a1b'), ('9')", "('ab')", 1),  # a search, not a full match
    (UPN, "('B801200005001'), ('UN1'), (NULL)", "('A801200005001'), ('x')", 2),
    (unique(["v"]), "('a'), ('b'), (NULL), (NULL)", "('a'), ('a'), ('a'), ('b'), (NULL)", 3),
    (Rule("columns__declared", "columns_equal", ("v",)), "(1)", None, None),
    (TYPED, "(1::BIGINT)", "(1)", 1),
    (row_count(2, "Two."), "(1), (1)", "(1)", None),
    (zero_rows("rule_1", "SELECT 1 FROM {batch} WHERE v > 3", "x"), "(3)", "(4), (5)", 2),
    (zero_rows("rule_2", "SELECT v FROM {batch} WHERE v = 'a:b?'", "x"), "('a')", "('a:b?')", 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "good", "bad", "count"), CASES, ids=lambda v: getattr(v, "kind", "")
)
def test_each_kind_of_rule_passes_and_fails(con, rule, good, bad, count):
    assert one(con, rule, V.format(good)).passed
    if bad is not None:
        outcome = one(con, rule, V.format(bad))
        assert not outcome.passed
        if count is not None:
            assert outcome.metrics["unexpected_count"] == count


@pytest.mark.parametrize(
    ("rule", "rows"),
    [(rule, good) for rule, good, *_ in CASES if rule.kind != "row_count"],
    ids=lambda v: getattr(v, "kind", ""),
)
def test_an_empty_table_breaks_no_rule_about_its_rows(con, rule, rows):
    outcome = one(con, rule, V.format(rows), where="false")
    assert outcome.passed
    assert outcome.metrics.get("element_count", 0) == 0
    assert all(isinstance(v, int | float) for v in outcome.metrics.values())


def test_counts_and_shares(con):
    outcome = one(con, in_set("v", ["a"]), V.format("('a'), ('b'), (NULL), ('a'), ('b')"))
    assert outcome == CheckOutcome(
        name="v__codes",
        passed=False,
        severity="warn",
        description="v holds only codes in force in the collection year.",
        metrics={
            "element_count": 5,
            "unexpected_count": 2,
            "unexpected_percent": 50.0,
            "missing_count": 1,
        },
    )
    assert failures([outcome]) == []


def test_undeclared_and_missing_columns_are_counted(con):
    rule = Rule("columns__declared", "columns_equal", ("delivery_id", "gone", "lost"))
    outcome = one(con, rule, "SELECT 'd' AS delivery_id, 1 AS extra")
    assert not outcome.passed
    assert outcome.metrics == {"missing_columns": 2, "undeclared_columns": 1}
    assert failures([outcome]) == ["columns__declared"]


def test_keys_of_several_columns(con):
    rule = unique(["a", "b"])
    assert rule.name == "key__unique"
    assert one(con, rule, "SELECT * FROM (VALUES (1, 1), (1, 2), (NULL, 1)) t(a, b)").passed
    assert not one(con, rule, "SELECT * FROM (VALUES (1, 1), (1, 1)) t(a, b)").passed


def test_a_key_that_must_be_filled_counts_its_nulls(con):
    rows = "SELECT * FROM (VALUES (1, 1), (1, 1), (2, NULL), (NULL, NULL), (3, 1)) t(a, b)"
    assert one(con, unique(["a", "b"]), rows).metrics["unexpected_count"] == 2
    assert one(con, unique(["a", "b"], filled=True), rows).metrics["unexpected_count"] == 4
    assert one(con, unique(["a"], filled=True), "SELECT 1 AS a").passed


def test_one_predicate_over_several_columns_counts_rows(con):
    given = {"predicate": "linked_cyp_holds_no_identifier"}
    rule = Rule("text__no_identifier", "satisfies", ("a", "b"), given)
    rows = "SELECT * FROM (VALUES ('x', NULL), (NULL, NULL), {}) t(a, b)"
    assert one(con, rule, rows.format("('C1', 'C2')")).passed
    broken = rows.format(f"('{PLANTED}', 'B801200005001'), (NULL, 'SW1A 1AA')")
    assert one(con, rule, broken).metrics["unexpected_count"] == 2


def test_only_the_selected_delivery_is_checked(con):
    rows = "SELECT * FROM (VALUES ('d1', 1), ('d2', NULL)) t(delivery_id, v)"
    assert one(con, not_null("v"), rows, "delivery_id = 'd1'").passed
    assert not one(con, not_null("v"), rows, "delivery_id = 'd2'").passed


def test_foreign_keys_hold_within_one_delivery(con):
    rule = Rule(
        "v__exists_in_child", "exists_in", ("v",), {"table": "toy__child", "to_columns": ("id",)}
    )
    rows = "SELECT * FROM (VALUES ('d1', 1), ('d1', 2), ('d1', NULL)) t(delivery_id, v)"
    assert one(con, rule, rows).metrics["unexpected_count"] == 2  # no such table yet
    con.execute(
        "CREATE TABLE identifiable.raw.toy__child AS "
        "SELECT * FROM (VALUES ('d1', 1), ('d2', 2)) t(delivery_id, id)"
    )
    assert one(con, rule, rows).metrics["unexpected_count"] == 1
    assert one(con, rule, rows, "v = 1").passed


def test_names_that_need_quoting(con):
    for name in ("select", 'a"b', "Weird Name", "a.b", "naïve"):
        quoted = '"' + name.replace('"', '""') + '"'
        rule = Rule("odd__codes", "in_set", (name,), {"values": ("x",)})
        assert not one(con, rule, f"SELECT 'y' AS {quoted}").passed
        assert one(con, rule, f"SELECT 'x' AS {quoted}").passed


def test_the_plan_of_a_pseudonymised_table(con):
    outputs = ", ".join(
        f"{value}::{o.sql_type} AS {o.name}"
        for o, value in zip(
            TOY.pseudonymised(),
            ("7", "1", "DATE '2010-05-01'", "'M'", "'T1'", "2024", "'E01000001'", "'E01000001'",
             "'E09000005'"),
            strict=True,
        )
    )  # fmt: skip
    con.execute(
        "CREATE TABLE warehouse.raw.toy__visit AS SELECT 'd' AS delivery_id, "
        f"0 AS source_file, 1::BIGINT AS row_number, 2::BIGINT AS record_key, {outputs}"
    )
    con.execute("CREATE TABLE warehouse.raw.toy__child AS SELECT 'd' AS delivery_id, 7 AS child_id")

    def broken(change: str) -> list[str]:
        changed = f"{change} FROM warehouse.raw.toy__visit"
        con.execute(f"CREATE OR REPLACE TABLE warehouse.raw.changed AS {changed}")
        outcomes = run_rules(con, "warehouse.raw.changed", pseudonymised_rules(TOY, rows=1))
        return [o.name for o in outcomes if not o.passed]

    assert broken("SELECT *") == []
    assert broken("SELECT *, 'B801200005001' AS upn") == ["columns__declared"]
    assert broken("SELECT * RENAME (seen_year AS seen_date)") == [
        "columns__declared",
        "seen_year__range",
    ]
    assert broken(f"SELECT * REPLACE ('{PLANTED}' AS team_code)") == ["text__no_identifier"]
    assert broken("SELECT * REPLACE ('E1 6AN' AS home_la_code)") == ["text__no_identifier"]
    assert broken("SELECT * REPLACE (DATE '2010-05-17' AS birth_month)") == [
        "months__first_of_month"
    ]
    assert broken("SELECT * REPLACE (NULL::BIGINT AS record_key)") == ["record_key__required"]
    assert broken("SELECT * REPLACE ('7' AS child_id)") == ["columns__typed"]


def test_rules_about_a_missing_column_fail_and_hide_no_other_finding(con):
    con.execute("CREATE TABLE warehouse.raw.toy__visit AS SELECT NULL::VARCHAR AS delivery_id")
    outcomes = {
        o.name: o for o in run_rules(con, "warehouse.raw.toy__visit", pseudonymised_rules(TOY))
    }
    assert outcomes["record_key__required"].metrics == {"missing_columns": 1}
    assert outcomes["columns__declared"].metrics == {"missing_columns": 12, "undeclared_columns": 0}
    assert outcomes["row__unique"].metrics == {"missing_columns": 2}
    assert [name for name, outcome in outcomes.items() if outcome.passed] == ["columns__typed"]


def test_the_ledger_accounts_for_every_row(con):
    con.execute(
        "CREATE SCHEMA identifiable.ledger; CREATE TABLE identifiable.ledger.delivery_table AS "
        "SELECT * FROM (VALUES ('d1', 't', 10, 9, 1), ('d2', 't', 10, 9, 0), ('d3', 't', 10, 8, 2))"
        " AS t(delivery_id, table_name, received, accepted, quarantined)"
    )
    con.execute("CREATE TABLE identifiable.raw.t AS SELECT 1 AS v")

    def passed(delivery: str) -> list[bool]:
        rules = ledger_rules(delivery, "t", 0.1)
        return [o.passed for o in run_rules(con, "identifiable.raw.t", rules)]

    assert passed("d1") == [True, True]
    assert passed("d2") == [False, True]
    assert passed("d3") == [True, False]


def test_rules_of_every_contract_can_be_computed(con):
    """On empty tables as the contracts declare them, whatever the year."""
    for contract in load_contracts(PROJECT / "data_contracts").values():
        for year, table in zip((2019, 2025, 2030) * 99, contract.tables.values(), strict=False):
            raw = ROW_KEYS | {c.name: c.sql_type for c in table.columns}
            columns = ", ".join(f'"{name}" {kind}' for name, kind in raw.items())
            con.execute(f"CREATE TABLE identifiable.raw.{table.table_name} ({columns})")
            rules = contract_rules(table, year, rows=0)
            outcomes = run_rules(con, f"identifiable.raw.{table.table_name}", rules)
            assert [o.name for o in outcomes if not o.passed] == []


def texts(thing: object) -> str:
    """Everything that can be read out of an object, its attributes included, to any depth."""
    if isinstance(thing, dict):
        return " ".join(texts(x) for pair in thing.items() for x in pair)
    if isinstance(thing, list | tuple | set):
        return " ".join(map(texts, thing))
    if isinstance(thing, str | int | float | type(None) | date):
        return str(thing)
    return repr(thing) + texts(getattr(thing, "__dict__", {}))


def planted_table(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(f"CREATE TABLE identifiable.raw.t AS SELECT 'd' AS delivery_id, '{PLANTED}' AS v")


SEEKING = [
    (in_set("v", ["x"]), "expect_column_values_to_be_in_set", {"value_set": ["x"]}),
    (matches("v", "^x$"), "expect_column_values_to_match_regex", {"regex": "^x$"}),
]


@pytest.mark.parametrize(("rule", "stock", "arguments"), SEEKING)
def test_results_hold_no_value(con, rule, stock, arguments, caplog, monkeypatch):
    """Great Expectations' own result objects hold the planted value; ours do not."""
    import linked_cyp.expectations.counted as module

    planted_table(con)
    con.execute("CREATE TEMP VIEW planted AS SELECT * FROM identifiable.raw.t")
    target = Target(con, "identifiable.raw.t", "planted")
    kind, given = _expectation(rule)
    with caplog.at_level(logging.DEBUG):
        ours = module.validate(
            engine_over(con), "planted", {rule.name: (kind, given)}, statement(target, [rule])
        )
    assert ours[rule.name].result["unexpected_count"] == 1
    assert PLANTED not in texts(ours[rule.name])
    assert PLANTED not in caplog.text

    monkeypatch.setattr(module, "RESULT_FORMAT", {"result_format": "SUMMARY"})
    leaky = {"rule": (stock, {"column": "v", **arguments, "result_format": "SUMMARY"})}
    assert PLANTED in texts(stock_results(con, "planted", leaky)["rule"])


def test_a_rule_that_was_not_counted_does_not_pass(con):
    """Where a count is missing Great Expectations itself would call the rule vacuously true."""
    from linked_cyp.expectations.counted import validate

    con.execute("CREATE TEMP VIEW empty AS SELECT 'x' AS v")
    target = Target(con, "identifiable.raw.t", "empty")
    for rule in (in_set("v", ["x"]), not_null("v"), unique(["v"])):
        with pytest.raises(KeyError):
            validate(
                engine_over(con), "empty", {rule.name: _expectation(rule)}, statement(target, [])
            )


def test_no_query_selects_a_value(con):
    """What keeps values out is that none is ever fetched."""
    planted_table(con)
    fetched: list[object] = []

    class Spy:
        def execute(self, sql: str, parameters: object = ()) -> Spy:
            self.result = con.execute(sql, parameters)
            self.description = self.result.description
            return self

        def fetchall(self) -> list[tuple[object, ...]]:
            rows = self.result.fetchall()
            fetched.extend(rows)
            return rows

    rules = [in_set("v", ["x"]), matches("v", "^x$"), unique(["v"]), not_null("v")]
    rules += [replace(UPN, name="v__upn"), zero_rows("rule_1", "SELECT v FROM {batch}", "x")]
    outcomes = run_rules(Spy(), "identifiable.raw.t", rules)  # type: ignore[arg-type]
    assert sum(not o.passed for o in outcomes) == 4
    assert len(fetched) > 3
    assert PLANTED not in texts(fetched)
    assert PLANTED not in texts([asdict(o) for o in outcomes])


def test_a_rule_that_cannot_be_computed_is_our_error_and_shows_no_value(con, caplog):
    planted_table(con)
    broken = zero_rows("rule_9", "SELECT 1 FROM {batch} WHERE v::INTEGER = 1", "Overflows.")
    with pytest.raises(duckdb.ConversionException, match=PLANTED):  # the positive control
        con.execute("SELECT v::INTEGER FROM identifiable.raw.t").fetchall()
    with caplog.at_level(logging.DEBUG), pytest.raises(LinkedCypError) as caught:
        run_rules(con, "identifiable.raw.t", [not_null("v"), broken])
    assert str(caught.value) == "checking identifiable.raw.t: could not compute rule_9"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert PLANTED not in caplog.text


@pytest.mark.parametrize("name", ["Bad name", "", "9__x", "x__a"])
def test_rule_names_are_plain_and_unique(con, name):
    con.execute("CREATE TABLE identifiable.raw.t AS SELECT 1 AS v")
    rules = [Rule(name, "not_null", ("v",))]
    with pytest.raises(LinkedCypError, match="names"):
        run_rules(con, "identifiable.raw.t", [*rules, Rule("x__a", "not_null", ("v",))])


def test_the_transaction_of_the_caller_is_left_alone(con):
    con.execute("CREATE TABLE warehouse.raw.t (v INTEGER)")
    con.execute("BEGIN")
    con.execute("INSERT INTO warehouse.raw.t VALUES (1)")
    assert run_rules(con, "warehouse.raw.t", [row_count(1, "One.")])[0].passed
    con.execute("ROLLBACK")
    assert con.execute("SELECT count(*) FROM warehouse.raw.t").fetchall() == [(0,)]
    views = "SELECT count(*) FROM duckdb_views() WHERE view_name LIKE 'linked_cyp%'"
    assert con.execute(views).fetchall() == [(0,)]


SILENT = """
import socket, sys
def refuse(*args, **kwargs):
    print("network"); raise OSError
socket.socket.connect = socket.getaddrinfo = refuse
import duckdb
from linked_cyp.expectations import Rule, run_rules
assert "great_expectations" not in sys.modules, "imported before the first check"
con = duckdb.connect()
con.execute("CREATE TABLE t AS SELECT 1 AS v")
rules = [Rule("v__required", "not_null", ("v",)), Rule("rows", "row_count", (), {"rows": 2})]
assert [o.passed for o in run_rules(con, "t", rules)] == [True, False]
import os
assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
"""


def test_checking_is_silent(tmp_path):
    """No file, no telemetry, no progress bar, no output; and no import before it is needed."""
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)}
    environment.pop("GX_ANALYTICS_ENABLED", None)
    done = subprocess.run(
        [sys.executable, "-c", SILENT],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.rglob("*")) == []
