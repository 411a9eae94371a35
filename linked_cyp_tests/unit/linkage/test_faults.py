"""Linkage that stops in the middle: nothing half done is linked, published or released."""

from __future__ import annotations

import logging
from datetime import date
from types import SimpleNamespace

import dagster as dg
import duckdb
import polars as pl
import pytest

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.defs.linkage import BRIDGE, PAIRS, PERSON, REGISTRY, bridge, person, person_record
from linked_cyp.expectations import CheckOutcome, run_rules
from linked_cyp.identity.exclusions import Exclusion, exclusions
from linked_cyp.identity.keys import Keys
from linked_cyp.ingest import ledger
from linked_cyp.linkage import (
    build_person_records,
    predict,
    publish_bridge,
    resolve,
    train,
    update_registry,
)
from linked_cyp.linkage.model.splink_session import _quiet
from linked_cyp.linkage.persons import resolution
from linked_cyp.linkage.persons.checks import bridge_rules
from linked_cyp.linkage.records import identities
from linked_cyp.linkage.report import rules
from linked_cyp.release import truth
from linked_cyp.stores import provenance
from linked_cyp_tests.encoded_support import MASTER
from linked_cyp_tests.support import NOT_ASKED, no_opt_outs
from linked_cyp_tests.unit.identity.test_exclusions import CONTRACTS
from linked_cyp_tests.unit.identity.test_exclusions import deliver as deliver_child
from linked_cyp_tests.unit.linkage.test_run import Run

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


def test_records_are_not_there_before_the_adopted_are_marked(monkeypatch, tmp_path):
    con = duckdb.connect()
    con.execute("ATTACH ':memory:' AS identifiable; ATTACH ':memory:' AS linkage")
    ledger.prepare(con)
    con.execute("CREATE TABLE linkage.main.person_record AS SELECT 'as it was' AS state")
    contracts = load_contracts(PROJECT_ROOT / "data_contracts")
    keys = SimpleNamespace(derive=lambda purpose: bytes(32), folder=tmp_path)

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


def test_a_later_delivery_stops_releases_until_it_is_linked():
    con = duckdb.connect()
    con.execute(
        "ATTACH ':memory:' AS identifiable; ATTACH ':memory:' AS linkage;"
        "ATTACH ':memory:' AS warehouse"
    )
    ledger.prepare(con)
    record(con, "warehouse", ("raw", "any"))
    keys = Keys(MASTER.digest())

    contracts = load_contracts(PROJECT_ROOT / "data_contracts")

    def reasons() -> list[str]:
        told = truth.read(con, contracts, NOT_ASKED)
        return [r for r in truth.disagreements(con, told, date(2026, 1, 2)) if "linked" in r]

    def deliver(feed: str, marked: Exclusion | None = None) -> list[str]:
        deliver_child(con, "brent", feed, 0, marked)
        return reasons()

    def link() -> list[str]:
        build_person_records(con, contracts, keys, opt_outs=NOT_ASKED)
        train(con)
        predict(con)
        resolve(con)
        update_registry(con)
        no_opt_outs(con)
        publish_bridge(con)
        return reasons()

    deliver("ssda903")
    deliver("pds_demographics")
    assert link() == []
    adopted = exclusions([CONTRACTS["cin_census"]])[0]
    (stopped,) = deliver("cin_census", adopted)
    assert stopped.startswith("deliveries accepted that are not linked: 1 (brent.")
    assert link() == []
    held = run_rules(con, "warehouse.linkage.bridge", bridge_rules())
    assert all(outcome.passed for outcome in held)
    # Links of before, with what is known now, would not have held.
    con.execute("UPDATE warehouse.linkage.bridge SET person_id = 1")
    held = run_rules(con, "warehouse.linkage.bridge", bridge_rules())
    assert [o.name for o in held if not o.passed] == ["excluded__alone"]


def test_records_made_anew_owe_the_persons_too(tmp_path):
    run = Run(tmp_path)
    with run.open() as con:
        for key in (PAIRS, PERSON, REGISTRY):
            record(con, "linkage", tuple(key))
    with run.stores.connect(identifiable="rw") as con:
        ledger.prepare(con)
    contracts = load_contracts(PROJECT_ROOT / "data_contracts")
    assert materialize(person_record(contracts, []), run)
    with run.open() as con:
        failed = {name.split(":")[0] for name in provenance.failed(con, "linkage")}
    assert failed == {"linkage/pairs", "linkage/person", "linkage/registry"}
    assert not materialize(bridge(), run)
