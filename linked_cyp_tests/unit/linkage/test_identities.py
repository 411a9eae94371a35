"""From raw tables, as the contracts describe them, to person records in the encrypted store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import duckdb
import polars as pl
import pytest

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.identity.exclusions import exclusions
from linked_cyp.identity.keys import Keys, create_master_key
from linked_cyp.identity.roles import ROLES
from linked_cyp.identity.tokenise import record_key_table
from linked_cyp.ingest.ledger import DELIVERY, prepare
from linked_cyp.linkage import build_person_records, predict, resolve, train
from linked_cyp.linkage.records.identities import tells_children_apart
from linked_cyp.stores.door import Stores
from linked_cyp_tests.support import NOT_ASKED

CONTRACTS = load_contracts(PROJECT_ROOT / "data_contracts")
ADA, BEN, OLD = "9990000018", "9990000026", "9990000034"
UPN, FORMER_UPN = "B801200005001", "M801200005000"


@contextmanager
def opened(folder) -> Iterator[tuple[duckdb.DuckDBPyConnection, Keys]]:
    settings = Settings(folder, folder / "keys" / "master.key", folder, folder)
    if not settings.key_file.exists():
        create_master_key(settings.key_file)
    keys = Keys.load(settings.key_file)
    with Stores(settings).connect(identifiable="rw", linkage="rw") as con:
        prepare(con)
        yield con, keys


def put(con, delivery: str, feed: str, table: str, rows: list[dict[str, Any]]) -> None:
    """Rows of a raw table, and their delivery in the ledger as accepted."""
    contract: Contract = CONTRACTS[feed]
    columns = contract.tables[table].columns
    con.execute(
        f"CREATE TABLE IF NOT EXISTS identifiable.raw.{feed}__{table} (delivery_id VARCHAR,"
        " row_number BIGINT, source_file INTEGER,"
        + ", ".join(f"{c.name} {c.sql_type}" for c in columns)
        + ")"
    )
    for number, row in enumerate(rows, 1):
        held = {"delivery_id": delivery, "row_number": number, "source_file": 0} | row
        con.execute(
            f"INSERT INTO identifiable.raw.{feed}__{table} ({', '.join(held)})"
            f" VALUES ({', '.join('?' * len(held))})",
            list(held.values()),
        )
    supplier, period, _ = delivery.split(".")
    known = con.execute(f"SELECT 1 FROM {DELIVERY} WHERE delivery_id = ?", [delivery]).fetchall()
    if not known:
        con.execute(
            f"INSERT INTO {DELIVERY} (delivery_id, supplier, feed, period, collection_year,"
            " version_order, content_sha256, outcome) VALUES (?, ?, ?, ?, ?, '1', ?, 'accepted')",
            [delivery, supplier, feed, period, contract.collection_year(period), delivery],
        )


def put_children(con) -> None:
    born = {"birth_date": date(2012, 3, 4), "sex_code": "2"}
    put(
        con,
        "nwl_icb.2025-03-31.aa",
        "pds_demographics",
        "person",
        [
            {
                "nhs_number": ADA,
                "forename": "Ada (known as Addie)",
                "middle_names": "Grace May",
                "surname": "O'Neill",
                "is_superseded": False,
            }
            | born,
            {"nhs_number": BEN, "forename": "Ben", "surname": "Shah", "sensitivity_code": "S"}
            | born,
            {"nhs_number": OLD, "forename": "Ada", "surname": "Neal", "is_superseded": True} | born,
        ],
    )
    put(
        con,
        "nwl_icb.2025-03-31.aa",
        "pds_demographics",
        "former_name",
        [{"nhs_number": ADA, "surname": "Neal"}],
    )
    put(
        con,
        "nwl_icb.2025-03-31.aa",
        "pds_demographics",
        "address",
        [{"nhs_number": ADA, "postcode": p} for p in ("NW10 5AB", "ZZ99 3VZ", "HA1 1AB")],
    )
    put(
        con,
        "nwl_icb.2025-03-31.aa",
        "pds_demographics",
        "person_merger",
        [{"nhs_number": ADA, "superseded_nhs_number": OLD}],
    )
    pupil = {
        "upn": UPN,
        "former_upn": FORMER_UPN,
        "surname": "ONEILL",
        "forename": "Ada",
        "birth_date": date(2012, 3, 4),
        "sex_code": "F",
        "pupil_on_roll_id": "7",
    }
    put(con, "brent.2024-autumn.bb", "school_census", "pupil_on_roll", [pupil])
    put(
        con,
        "brent.2024-autumn.bb",
        "school_census",
        "addresses_on_roll",
        [{"pupil_on_roll_id": "7", "postcode": "ha11ab"}],
    )
    child = {"child_id": "C1", "upn": FORMER_UPN, "birth_date": date(2012, 3, 4), "sex_code": "2"}
    put(
        con, "brent.2025.cc", "ssda903", "header", [child, child | {"child_id": "C2", "upn": "UN1"}]
    )
    put(
        con,
        "brent.2025.cc",
        "ssda903",
        "episodes",
        [
            {"child_id": "C1", "home_postcode": "NW10 5AB", "episode_end_reason_code": "X1"},
            {"child_id": "C2", "home_postcode": "NW10 5AB", "episode_end_reason_code": "E11"},
        ],
    )
    put(
        con,
        "nwl_icb.2025-03.dd",
        "sus_apc",
        "spell",
        [
            {"nhs_number": OLD, "birth_date": date(2012, 3, 4), "spell_id": "1"},
            {"nhs_number": BEN, "spell_id": "2", "withheld_identity_reason_code": "01"},
        ],
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("identities")
    with opened(folder) as (con, keys):
        put_children(con)
        counts = build_person_records(con, CONTRACTS, keys, opt_outs=NOT_ASKED)
        temporary = con.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall()
        train(con)
        predict(con)
        resolve(con)
        deliveries = [
            row[0] for row in con.execute(f"SELECT delivery_id FROM {DELIVERY}").fetchall()
        ]
        keyed = {}
        for feed, table, column in (
            ("pds_demographics", "person", "nhs_number"),
            ("school_census", "pupil_on_roll", "upn"),
            ("ssda903", "header", "child_id"),
            ("sus_apc", "spell", "nhs_number"),
        ):
            contract = CONTRACTS[feed]
            record_key_table(con, contract, contract.tables[table], keys, deliveries, "k")
            keyed |= {
                (feed, value): key
                for value, key in con.execute(
                    f"SELECT {column}, record_key FROM identifiable.raw.{feed}__{table}"
                    " JOIN k USING (delivery_id, source_file, row_number)"
                ).fetchall()
            }
        tables = {
            name: con.execute(f"FROM linkage.main.{name}").pl()
            for name in ("person_record", "person", "pairs", "source", "identifier_alias")
        }
    return counts, keyed, tables, temporary


def test_one_source_person_per_key_and_supplier(store):
    counts, keyed, tables, _ = store
    assert counts["sources"] == 4
    assert counts["persons"] == len(keyed) == 8
    current = tables["person_record"].filter(pl.col("alternative") == 0)
    assert set(current["record_key"]) == set(keyed.values())
    assert dict(tables["source"].select("feed", "tells_apart").iter_rows()) == {
        "pds_demographics": False,
        "school_census": False,
        "ssda903": True,
        "sus_apc": False,
    }


def test_rows_are_numbered_by_source_person_and_alternative(store):
    rows = store[2]["person_record"].sort("source", "record_key", "alternative")
    assert rows["record_id"].to_list() == list(range(1, rows.height + 1))


def test_former_names_places_and_numbers_are_alternatives(store):
    _, keyed, tables, _ = store
    rows = tables["person_record"].filter(pl.col("record_key") == keyed["pds_demographics", ADA])
    assert rows["surname_birth_date"].n_unique() == 2
    assert rows["postcode"].drop_nulls().n_unique() == 2  # the pseudo-postcode is none
    assert rows["nhs"].n_unique() == 2
    assert rows["forename_birth_date"].n_unique() == 2  # known by another name
    assert rows["forename_second"].null_count() == 0  # a middle name
    current = rows.filter(pl.col("alternative") == 0)
    pupil = tables["person_record"].filter(
        pl.col("record_key") == keyed["school_census", UPN], alternative=0
    )
    for token in ("forename_birth_date", "surname_birth_date", "postcode", "sex"):
        assert current[token].to_list() == pupil[token].to_list() != [None]
    assert tables["identifier_alias"].height == 2


def test_one_child_is_found_in_all_four_sources(store):
    _, keyed, tables, _ = store
    clusters = dict(tables["person"].iter_rows())
    ada = [
        keyed[key]
        for key in (
            ("pds_demographics", ADA),
            ("school_census", UPN),
            ("ssda903", "C1"),
            ("sus_apc", OLD),
        )
    ]
    assert len({clusters[key] for key in ada}) == 1


def test_marked_records_have_no_edge(store):
    counts, keyed, tables, _ = store
    marked = {
        keyed["pds_demographics", BEN]: "sensitive",
        keyed["pds_demographics", OLD]: "superseded",
        keyed["ssda903", "C2"]: "adoption",
        keyed["sus_apc", BEN]: "withheld",
    }
    current = tables["person_record"].filter(pl.col("alternative") == 0)
    found = current.filter(pl.col("exclusion").is_not_null()).select("record_key", "exclusion")
    assert dict(found.iter_rows()) == marked
    assert counts["excluded"] == 4
    touched = {*tables["pairs"]["record_key_l"], *tables["pairs"]["record_key_r"]}
    assert touched
    assert not touched & set(marked)


def test_identities_do_not_stay_in_temporary_tables(store):
    assert store[3] == []


def test_withdrawn_deliveries_are_left_out(tmp_path):
    with opened(tmp_path) as (con, keys):
        put_children(con)
        con.execute(f"UPDATE {DELIVERY} SET outcome = 'rejected' WHERE feed = 'ssda903'")
        assert build_person_records(con, CONTRACTS, keys, opt_outs=NOT_ASKED)["persons"] == 6
        assert "ssda903" not in con.execute("FROM linkage.main.source").pl()["feed"].to_list()


def test_nothing_accepted_gives_empty_tables(tmp_path):
    with opened(tmp_path) as (con, keys):
        counts = build_person_records(con, CONTRACTS, keys, opt_outs=NOT_ASKED)
        assert set(counts.values()) == {0}


def test_exclusions_name_what_the_contracts_hold():
    for rule in exclusions(CONTRACTS.values()):
        column = CONTRACTS[rule.feed].tables[rule.table].column(rule.column)
        if rule.values and column.codeset:
            assert set(rule.values) <= set(column.codeset.values)


def test_every_identifying_role_of_the_contracts_is_known():
    roles = {
        column.linkage_role
        for contract in CONTRACTS.values()
        for table in contract.tables.values()
        for column in table.columns
        if column.linkage_role
    }
    # those of general practice find the record's NHS number before identities are read
    by_pseudonym = {"nhs_number_hash", "birth_year", "birth_month"}
    assert roles - set(ROLES) == {"ethnicity", "death_date"} | by_pseudonym


def test_only_local_ids_tell_children_apart():
    assert {feed for feed, c in CONTRACTS.items() if tells_children_apart(c)} == {
        "ssda903",
        "cin_census",
        "ssd",
    }


@pytest.mark.parametrize(("term_of_the_other", "aliases"), [("2025-spring", 0), ("2024-autumn", 1)])
def test_a_number_somebody_else_still_has_was_not_replaced(tmp_path, term_of_the_other, aliases):
    """A twin's UPN in the field of the former one; or the same child, as it was known before."""
    born = {"surname": "ONEILL", "birth_date": date(2012, 3, 4)}
    with opened(tmp_path) as (con, keys):
        for delivery, pupil in (
            (f"brent.{term_of_the_other}.aa", {"upn": FORMER_UPN, "forename": "Ben"}),
            ("brent.2025-spring.aa", {"upn": UPN, "former_upn": FORMER_UPN, "forename": "Ada"}),
        ):
            put(con, delivery, "school_census", "pupil_on_roll", [born | pupil])
            con.execute(
                "UPDATE identifiable.raw.school_census__pupil_on_roll SET row_number = 2"
                " WHERE forename = 'Ada'"
            )
        build_person_records(con, CONTRACTS, keys, opt_outs=NOT_ASKED)
        found = con.execute("SELECT count(*) FROM linkage.main.identifier_alias").fetchall()
    assert found == [(aliases,)]
