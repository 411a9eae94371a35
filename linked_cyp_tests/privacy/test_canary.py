"""Identities planted in deliveries stay in the identifiable store, and can be found there."""

from __future__ import annotations

import logging
from pathlib import Path

import polars as pl
import pytest

from linked_cyp.contracts import load_contracts
from linked_cyp.deliveries import discover, ingest
from linked_cyp.errors import LinkedCypError
from linked_cyp.keys import Keys, create_master_key
from linked_cyp.pseudonymise import pseudonymise_delivery, sync_ledger
from linked_cyp.release import publish
from linked_cyp.settings import Settings
from linked_cyp.stores import Stores
from linked_cyp_tests.privacy.decode import scan, scan_catalog
from linked_cyp_tests.privacy.planted import plant
from linked_cyp_tests.small_warehouse import PROJECT, declare, settings_of

Needles = dict[str, list[str]]
RESEARCH = """
    CREATE SCHEMA warehouse.curated;
    CREATE SCHEMA warehouse.provenance;
    CREATE TABLE warehouse.curated.child AS
        SELECT record_key AS person_id, birth_month, sex_code
        FROM warehouse.pseudonymised.pds_demographics__person;
    COMMENT ON TABLE warehouse.curated.child IS 'A child.';
    COMMENT ON COLUMN warehouse.curated.child.person_id IS 'The child.';
    COMMENT ON COLUMN warehouse.curated.child.birth_month IS 'Month of birth.';
    COMMENT ON COLUMN warehouse.curated.child.sex_code IS 'Sex.';
    CREATE TABLE warehouse.provenance.check_result (asset VARCHAR, delivery_id VARCHAR,
        check_name VARCHAR, severity VARCHAR, passed BOOLEAN, metrics VARCHAR, run_id VARCHAR,
        checked_at TIMESTAMP);
    INSERT INTO warehouse.provenance.check_result VALUES
        ('curated/child', NULL, 'looked', 'error', true, '{}', 'r', TIMESTAMP '2026-01-01');
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Needles]:
    """Planted deliveries of every feed, taken as far as a release; what was logged is in a file."""
    home = tmp_path_factory.mktemp("canary")
    settings = settings_of(home)
    (home / "contracts" / "projects").mkdir(parents=True)
    (home / "dbt").mkdir()
    logged = logging.FileHandler(home / "everything.log")
    root = logging.getLogger()
    level = root.level
    root.addHandler(logged)
    root.setLevel(logging.DEBUG)
    try:
        return settings, run(settings)
    finally:
        root.setLevel(level)
        root.removeHandler(logged)
        logged.close()


def run(settings: Settings) -> Needles:
    create_master_key(settings.key_file)
    keys = Keys.load(settings.key_file)
    contracts = load_contracts(Settings.from_environment().contracts)
    needles = plant(settings.landing, contracts)
    nowhere = pl.DataFrame(
        schema=dict.fromkeys(("postcode", "lsoa11_code", "lsoa21_code", "la_code"), pl.String)
    )
    with Stores(settings).connect(identifiable="rw", warehouse="rw") as con:
        for landed in discover(settings.landing, contracts):
            contract = contracts[landed.feed]
            outcome = ingest(con, contract, landed, settings.work)
            assert outcome.status == "accepted", (landed.feed, outcome.reason)
            pseudonymise_delivery(con, contract, landed.delivery_id, keys, nowhere)
        sync_ledger(con)
        con.execute(RESEARCH)
    tables = "tables:\n  curated.child: all\n"
    declare(settings, "alpha", PROJECT[: PROJECT.index("tables:")] + tables)
    publish(settings, "alpha", keys=keys, contracts=contracts)
    return needles


def where_nobody_should_be(settings: Settings) -> list[Path]:
    """Everything but what the suppliers sent and the key."""
    return [p for p in settings.home.iterdir() if p.name not in ("landing", "keys", "contracts")]


def test_they_are_found_in_the_identifiable_store(planted: tuple[Settings, Needles]) -> None:
    settings, needles = planted
    with Stores(settings).connect(identifiable="ro") as con:
        hits = scan_catalog(con, "identifiable", needles)
    assert {hit.label for hit in hits} == set(needles)
    places = {hit.place.split(".")[0] for hit in hits}
    assert {"raw", "archive", "quarantine", "ledger"} <= places


def test_they_are_found_nowhere_else(planted: tuple[Settings, Needles]) -> None:
    settings, needles = planted
    looked = where_nobody_should_be(settings)
    assert {"stores", "releases", "everything.log"} <= {path.name for path in looked}
    assert scan(looked, needles, root=settings.home) == []


def test_the_warehouse_holds_the_planted_children_all_the_same(
    planted: tuple[Settings, Needles],
) -> None:
    settings, needles = planted
    with Stores(settings).connect(warehouse="ro") as con:
        children = con.execute(
            "SELECT count(DISTINCT record_key)"
            " FROM warehouse.pseudonymised.school_census__pupil_on_roll"
        ).fetchone()
    assert children == (len(needles["upn"]),)


def test_an_error_about_a_planted_child_does_not_name_them(
    planted: tuple[Settings, Needles], tmp_path: Path
) -> None:
    settings, needles = planted
    with (
        Stores(settings).connect(warehouse="rw") as con,
        pytest.raises(LinkedCypError) as refused,
    ):
        con.execute("ALTER TABLE warehouse.curated.child ADD COLUMN note VARCHAR")
        con.execute("COMMENT ON COLUMN warehouse.curated.child.note IS 'A note.'")
        con.execute("UPDATE warehouse.curated.child SET note = ?", [needles["postcode"][0]])
        con.execute("DETACH warehouse")
        publish(settings, "alpha", keys=Keys.load(settings.key_file), contracts={})
    (tmp_path / "error.txt").write_text(repr(refused.value))
    assert "note holds a postcode" in str(refused.value)
    assert scan([tmp_path / "error.txt"], needles) == []
