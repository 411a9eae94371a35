"""Two ways of going on with half the work done, and how the release gate stops both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import duckdb
import pytest

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.curated.build import DBT
from linked_cyp.defs.deliveries import LEDGER, LEDGER_RULES
from linked_cyp.defs.linkage import owe_curated, settle_curated
from linked_cyp.expectations import CheckOutcome, run_rules
from linked_cyp.linkage.records.opt_outs import OPT_OUT_DDL
from linked_cyp.release import gate
from linked_cyp.stores.provenance import record_checks

DELIVERY = "ashmere.2025.1"
GOOD = CheckOutcome("rows__reconcile", True, "error", metrics={"observed_value": 1})
LEDGER_TABLE = "warehouse.pseudonymised.delivery"


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A warehouse whose ledger knows one accepted delivery."""
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS warehouse")
        connection.execute("CREATE SCHEMA warehouse.pseudonymised")
        connection.execute(
            f"""CREATE TABLE {LEDGER_TABLE} AS SELECT '{DELIVERY}' AS delivery_id,
                'ashmere' AS supplier, 'ssda903' AS feed, '2025' AS period, 'accepted' AS status,
                1 AS rows_received, 1 AS rows_accepted, 0 AS rows_quarantined"""
        )
        raw = ("raw", "ssda903", "header")
        record_checks(connection, "warehouse", {raw: [GOOD]}, run_id="r", delivery_id=DELIVERY)
        yield connection


def judge_the_ledger(con: duckdb.DuckDBPyConnection) -> None:
    outcomes = run_rules(con, LEDGER_TABLE, LEDGER_RULES)
    record_checks(con, "warehouse", {tuple(LEDGER): outcomes}, run_id="r")


def test_a_delivery_that_was_accepted_and_never_pseudonymised_stops_a_release(
    con: duckdb.DuckDBPyConnection,
) -> None:
    judge_the_ledger(con)
    assert gate(con) == ["check failed: deliveries/ledger: accepted__pseudonymised"]
    table = ("pseudonymised", "ssda903", "header")
    record_checks(con, "warehouse", {table: [GOOD]}, run_id="r", delivery_id=DELIVERY)
    judge_the_ledger(con)
    assert gate(con) == []


def test_a_part_of_the_dbt_project_stops_a_release_until_the_whole_is_built(
    con: duckdb.DuckDBPyConnection,
) -> None:
    for whole, reasons in ((False, ["check failed: dbt: dbt__whole_project"]), (True, [])):
        outcome = CheckOutcome("dbt__whole_project", whole, "error")
        record_checks(con, "warehouse", {DBT: [outcome]}, run_id="r")
        assert gate(con) == reasons


def test_tables_made_before_the_links_stop_a_release(con: duckdb.DuckDBPyConnection) -> None:
    """They may hold somebody who has opted out since."""
    built = CheckOutcome("dbt__whole_project", True, "error")
    record_checks(con, "warehouse", {DBT: [built]}, run_id="r")
    assert gate(con) == []
    owe_curated(con, run_id="r")
    assert gate(con) == ["check failed: dbt: dbt__built_after_linkage"]
    record_checks(con, "warehouse", {DBT: [built]}, run_id="r")  # as a dbt build does
    assert gate(con) == []
    owe_curated(con, run_id="r")
    settle_curated(con, run_id="r")  # as linkage does that changed nothing
    assert gate(con) == []


def test_opt_outs_that_a_contract_names_since_the_links_were_made_stop_a_release(
    con: duckdb.DuckDBPyConnection,
) -> None:
    contracts = load_contracts(PROJECT_ROOT / "data_contracts")
    record_checks(con, "warehouse", {DBT: [GOOD]}, run_id="r")
    con.execute("CREATE SCHEMA warehouse.linkage")
    con.execute("CREATE TABLE warehouse.linkage.bridge AS SELECT 7 AS record_key")
    con.execute(f"CREATE TABLE warehouse.linkage.delivery AS SELECT '{DELIVERY}' AS delivery_id")
    con.execute(f"CREATE TABLE warehouse.linkage.opt_out ({OPT_OUT_DDL})")
    con.execute(
        "INSERT INTO warehouse.linkage.opt_out BY NAME SELECT 'local_objection' AS opt_out,"
        " true AS is_applied, 'ssda903, ssd' AS feeds, current_date AS list_date,"
        " 45 AS max_age_days"
    )

    def reasons(*named: str) -> list[str]:
        changed = replace(contracts["ssda903"], opt_outs=named)
        return gate(con, contracts={**contracts, "ssda903": changed})

    assert contracts["ssda903"].opt_outs == ("local_objection",)
    assert reasons("local_objection") == []  # no delivery of ssd counts, so it is not asked
    assert reasons("local_objection", "national_data_opt_out") == [
        "national_data_opt_out is to be applied to ssda903, and was not: link again"
    ]
    assert reasons() == [
        "local_objection was applied to ssda903, and is no longer asked: link again"
    ]
    assert gate(con) == []
