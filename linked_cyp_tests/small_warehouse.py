"""A warehouse small enough to read: two curated tables, a bridge, deliveries and checks."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from linked_cyp.contracts import organisation, plain_words
from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.curated import built_from
from linked_cyp.identity.keys import Keys, create_master_key
from linked_cyp.ingest import ledger
from linked_cyp.linkage.records.opt_outs import OPT_OUT_DDL
from linked_cyp.stores.door import Stores

CHILDREN = 40
SQL = f"""
CREATE SCHEMA warehouse.pseudonymised;
CREATE SCHEMA warehouse.linkage;
CREATE SCHEMA warehouse.curated;
CREATE SCHEMA warehouse.cohort;
CREATE SCHEMA IF NOT EXISTS warehouse.provenance;
CREATE TABLE warehouse.pseudonymised.delivery (
    delivery_id VARCHAR, supplier VARCHAR, feed VARCHAR, period VARCHAR, collection_year INTEGER,
    status VARCHAR, rows_received BIGINT, rows_accepted BIGINT, rows_quarantined BIGINT);
INSERT INTO warehouse.pseudonymised.delivery VALUES
    ('brent.2024.aaa', 'brent', 'ssda903', '2024', 2024, 'accepted', 43, 40, 3),
    ('brent.2023.bbb', 'brent', 'ssda903', '2023', 2023, 'rejected', 7, 0, 7);
CREATE TABLE warehouse.linkage.bridge AS
    SELECT i AS record_key, 'ssda903' AS feed,
           (i * 7919 + 4611686018427387904)::BIGINT AS person_id,
           CASE WHEN i < 4 THEN 'probable' ELSE 'identifier' END AS tier
    FROM range({CHILDREN}) r(i)
    UNION ALL SELECT i + 1000, 'sus_apc', (i * 7919 + 4611686018427387904)::BIGINT,
           'identifier'
    FROM range({CHILDREN} - 15) r(i);
CREATE TABLE warehouse.linkage.opt_out ({OPT_OUT_DDL});
CREATE TABLE warehouse.curated.child AS
    SELECT person_id, CASE WHEN record_key % 2 = 0 THEN 'F' ELSE 'M' END AS sex_code,
           DATE '2010-01-01' + INTERVAL (record_key) MONTH AS birth_month,
           'E0100' || (1000 + record_key) AS lsoa21_code, record_key
    FROM warehouse.linkage.bridge WHERE feed = 'ssda903';
ALTER TABLE warehouse.curated.child ALTER birth_month TYPE DATE;
CREATE TABLE warehouse.cohort.admission AS
    SELECT person_id, record_key % 5 AS nights, 0.1 * record_key AS score
    FROM warehouse.linkage.bridge WHERE feed = 'sus_apc';
CREATE TABLE warehouse.provenance.check_result (
    asset VARCHAR, delivery_id VARCHAR, check_name VARCHAR, severity VARCHAR, passed BOOLEAN,
    metrics VARCHAR, run_id VARCHAR, checked_at TIMESTAMP);
INSERT INTO warehouse.provenance.check_result VALUES
    ('curated/child', NULL, 'person_id__unique', 'error', true, '{{"failing": 0, "rows": 43}}',
     'r1', TIMESTAMP '2026-01-01'),
    ('raw/ssda903/header', 'brent.2024.aaa', 'upn__valid', 'warn', false, '{{"failing": 3}}',
     'r1', TIMESTAMP '2026-01-01'),
    ('raw/ssda903/header', 'brent.2023.bbb', 'child_id__required', 'error', false, '{{}}', 'r1',
     TIMESTAMP '2026-01-01');
COMMENT ON TABLE warehouse.curated.child IS 'A child. One row per child. Source: this project.';
COMMENT ON COLUMN warehouse.curated.child.person_id IS 'The linked child. Source: linkage.';
COMMENT ON COLUMN warehouse.curated.child.sex_code IS 'Sex, F or M. Source: SSDA903 SEX.';
COMMENT ON COLUMN warehouse.curated.child.birth_month IS 'Month of birth. Source: SSDA903 DOB.';
COMMENT ON COLUMN warehouse.curated.child.lsoa21_code IS 'Small area. Source: ONS.';
COMMENT ON TABLE warehouse.cohort.admission IS 'Admissions. One row per admission.';
COMMENT ON COLUMN warehouse.cohort.admission.person_id IS 'The linked child.';
COMMENT ON COLUMN warehouse.cohort.admission.nights IS 'Nights in hospital.';
COMMENT ON COLUMN warehouse.cohort.admission.score IS 'A fraction.';
"""
PROJECT = """\
project: {name}
title: Admissions of looked-after children
purpose: Test the release.
legal_basis: Synthetic data only.
approver: Data access committee
expiry: 2035-03-31
tables:
  curated.child: all
  cohort.admission: [person_id, nights, score]
known_problems: [Everything is made up.]
"""


def settings_of(home: Path) -> Settings:
    """Settings of an installation under ``home`` with no feeds and no dbt project."""
    return Settings(
        home=home,
        key_file=home / "keys" / "master.key",
        contracts=home / "contracts",
        dbt_project=home / "dbt",
    )


def declare(settings: Settings, name: str, text: str = PROJECT) -> None:
    path = settings.contracts / "projects" / f"{name}.yaml"
    path.write_text(text.replace("{name}", name), encoding="utf-8")


def make_warehouse(home: Path) -> tuple[Settings, Keys]:
    """The warehouse, a master key, and two projects, ``alpha`` and ``beta``, alike but in name."""
    settings = settings_of(home)
    (home / "contracts" / "projects").mkdir(parents=True)
    (home / "dbt").mkdir()
    for name in (organisation.FILE, plain_words.FILE):
        shutil.copy(PROJECT_ROOT / "data_contracts" / name, home / "contracts" / name)
    create_master_key(settings.key_file)
    change(settings, SQL)
    remember(settings)
    declare(settings, "alpha")
    declare(settings, "beta")
    return settings, Keys.load(settings.key_file)


def remember(settings: Settings) -> None:
    """Make the ledger one from which this warehouse could have been made, link and build."""
    with Stores(settings).connect(identifiable="rw", warehouse="rw") as con:
        ledger.prepare(con)
        for name in (ledger.DELIVERY, ledger.WITHDRAWAL):
            con.execute(f"DELETE FROM {name}")
        con.execute(
            f"INSERT INTO {ledger.DELIVERY} BY NAME SELECT delivery_id, supplier, feed, period,"
            " collection_year, delivery_id AS content_sha256, rows_received, rows_accepted,"
            " rows_quarantined, CASE status WHEN 'rejected' THEN status ELSE 'accepted' END AS"
            " outcome, CASE status WHEN 'accepted' THEN 'z' ELSE status END AS version_order,"
            " TIMESTAMP '2025-12-01' AS received_at FROM warehouse.pseudonymised.delivery AS d"
            # what superseded it must be there
            " WHERE status <> 'superseded' OR (supplier, feed, period) IN (SELECT (supplier, feed,"
            " period) FROM warehouse.pseudonymised.delivery WHERE status = 'accepted')"
        )
        con.execute(
            f"INSERT INTO {ledger.WITHDRAWAL} SELECT delivery_id, 'sent in error', now(), now()"
            " FROM warehouse.pseudonymised.delivery WHERE status = 'withdrawn'"
        )
        con.execute(
            "CREATE OR REPLACE TABLE warehouse.linkage.delivery AS SELECT delivery_id, received_at"
            f" FROM {ledger.CURRENT} WHERE status = 'accepted'"
        )
        con.execute(
            "INSERT INTO warehouse.provenance.check_result SELECT 'pseudonymised/' || feed,"
            " delivery_id, 'rows__there', 'error', true, '{}', 'r1', TIMESTAMP '2026-01-01'"
            f" FROM {ledger.CURRENT} WHERE status = 'accepted'"
        )
        built_from.note(con)


def copy_of(template: Path, home: Path) -> tuple[Settings, Keys]:
    """A copy of a warehouse made before (making one takes longer than using it)."""
    shutil.copytree(template, home, dirs_exist_ok=True, symlinks=True)
    settings = settings_of(home)
    return settings, Keys.load(settings.key_file)


def change(settings: Settings, sql: str) -> None:
    with Stores(settings).connect(warehouse="rw") as con:
        con.execute(sql)


def rows(path: Path, sql: str) -> list[tuple]:
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute(sql).fetchall()
