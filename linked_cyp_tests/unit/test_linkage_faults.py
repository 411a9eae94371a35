"""Linkage that stops in the middle: nothing half done is linked, published or released."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import dagster as dg
import duckdb
import polars as pl
import pytest

from linked_cyp import provenance
from linked_cyp.contracts import load_contracts
from linked_cyp.defs.linkage import BRIDGE, PERSON, bridge, person
from linked_cyp.expectations import CheckOutcome
from linked_cyp.linkage import build_person_records, identities, resolution
from linked_cyp.linkage.report import rules
from linked_cyp.linkage.splink_session import _quiet
from linked_cyp.settings import PROJECT_ROOT
from linked_cyp_tests.unit.test_linkage_run import Run

HELD = CheckOutcome("record_key__unique", True, "error")


def record(con: duckdb.DuckDBPyConnection, catalog: str, key: tuple[str, ...]) -> None:
    provenance.record_checks(con, catalog, {key: [HELD]}, run_id="earlier")


def materialize(asset: dg.AssetsDefinition, run: Run) -> bool:
    resources = {"stores": run.stores}
    return dg.materialize([asset], resources=resources, raise_on_error=False).success


def test_a_step_that_fails_leaves_no_earlier_verdict_standing(tmp_path):
    run = Run(tmp_path)
    with run.open() as con:
        record(con, "linkage", tuple(PERSON))
    assert not materialize(person(), run)  # there is nothing to resolve
    with run.open() as con:
        assert "linkage/person: decision__respected" in provenance.failed(con, "linkage")


def test_a_bridge_that_fails_to_be_published_owes_its_checks_and_a_report(tmp_path):
    run = Run(tmp_path)
    with run.open() as con:
        record(con, "linkage", tuple(PERSON))
        for key in (tuple(BRIDGE), rules.KEY):
            record(con, "warehouse", key)
    assert not materialize(bridge(), run)  # there is no registry
    with run.open() as con:
        failed = provenance.failed(con, "warehouse")
    assert f"linkage/report: {rules.WRITTEN}" in failed
    assert "linkage/bridge: person_id__required" in failed


def test_verdicts_are_copied_all_or_none_and_those_of_the_target_stay():
    con = duckdb.connect()
    con.execute("ATTACH ':memory:' AS linkage; ATTACH ':memory:' AS warehouse")
    record(con, "linkage", ("linkage", "pairs"))
    record(con, "warehouse", ("linkage", "gone"))
    rules.owe(con, run_id="now")
    provenance.copy_checks(con, "linkage", "warehouse", "linkage/", but=["linkage/report"])
    found = con.execute("SELECT asset FROM warehouse.provenance.check_result ORDER BY 1").fetchall()
    assert found == [("linkage/pairs",), ("linkage/report",)]


def test_records_are_not_there_before_the_adopted_are_marked(monkeypatch):
    con = duckdb.connect()
    con.execute("ATTACH ':memory:' AS identifiable; ATTACH ':memory:' AS linkage")
    con.execute(
        "CREATE SCHEMA identifiable.ledger; CREATE TABLE identifiable.ledger.current"
        " (delivery_id VARCHAR, supplier VARCHAR, feed VARCHAR, collection_year INTEGER,"
        " period VARCHAR, status VARCHAR);"
        "CREATE TABLE linkage.main.person_record AS SELECT 'as it was' AS state"
    )
    contracts = load_contracts(PROJECT_ROOT / "data_contracts")
    keys = SimpleNamespace(derive=lambda purpose: bytes(32))

    def stopped(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(identities, "spread", stopped)
        build_person_records(con, contracts, keys)
    assert con.execute("FROM linkage.main.person_record").fetchall() == [("as it was",)]
    build_person_records(con, contracts, keys)
    assert con.execute("FROM linkage.main.person_record").fetchall() == []


def test_persons_and_what_was_refused_are_of_one_run(monkeypatch):
    con = duckdb.connect()
    con.execute(
        "ATTACH ':memory:' AS linkage; CREATE TABLE linkage.main.person AS SELECT 1 AS before;"
        "CREATE VIEW linkage.main.refused AS SELECT 1 AS before"  # which no table can replace
    )
    alone = resolution.resolve_pairs(
        2,
        pl.DataFrame(
            schema={
                "a": pl.Int32,
                "b": pl.Int32,
                "weight": pl.Float64,
                "edge_class": pl.String,
                "is_twin": pl.Boolean,
                "is_enough": pl.Boolean,
            }
        ),
        {},
        pl.Series([True, True]).to_numpy(),
        5.0,
    )
    with pytest.raises(duckdb.Error):
        resolution._write(con, pl.Series([7, 8]).to_numpy(), alone)
    assert con.execute("FROM linkage.main.person").fetchall() == [(1,)]


def test_splink_is_silent_also_after_it_has_spoken(caplog):
    spoken = logging.getLogger("splink.internals.anything")
    spoken.warning("before")
    with _quiet():
        spoken.warning("a value")
    spoken.warning("after")
    assert caplog.messages == ["before", "after"]
