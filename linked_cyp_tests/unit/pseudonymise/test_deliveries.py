"""Pseudonymisation: the plan is carried out exactly, once, and fails closed."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from linked_cyp.contracts.model import (
    Column,
    OutputColumn,
    Table,
    contract_problems,
    load_contracts,
)
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.identity import tokenise
from linked_cyp.identity.keys import Keys
from linked_cyp.identity.tokenise import record_key_table
from linked_cyp.pseudonymise import deliveries as pseudonymise
from linked_cyp.pseudonymise.deliveries import (
    ensure_tables,
    pseudonymise_delivery,
    refuse_unaccepted,
    refuse_unsafe,
    remove_delivery,
    sync_ledger,
)
from linked_cyp_tests import deliveries_support as toy
from linked_cyp_tests.deliveries_support import column

MASTER = hashlib.sha256(b"a master key for tests").digest()
DELIVERY = "brent.2025.0123456789ab"
OTHER = "harrow.2025.ba9876543210"
POSTCODES = pl.DataFrame(
    {
        "postcode": ["NW10 5AB", "HA1 2CD"],
        "lsoa11_code": ["E01000001", "E01000002"],
        "lsoa21_code": ["E01030001", None],
        "la_code": ["E09000005", "E09000015"],
    }
)


def kept(name: str, type_: str = "string", **more: Any) -> Column:
    return column(name, type_, **({"pseudonymisation": "keep"} | more))


CHILD = replace(
    toy.table(
        "child",
        column("child_id", pseudonymisation="token", linkage_role="la_child_id"),
        column("upn", pseudonymisation="drop", linkage_role="upn", identifier_type="upn"),
        column("surname", pseudonymisation="drop", linkage_role="surname"),
        column("birth_date", "date", pseudonymisation="coarsen_month", linkage_role="birth_date"),
        column("death_at", "timestamp", pseudonymisation="coarsen_year"),
        column("home_postcode", pseudonymisation="coarsen_lsoa", linkage_role="postcode"),
        kept("ethnicity_code", pattern="^[A-Z]{4}$"),
        kept("sessions", "integer"),
        column("school_urn", "integer", pseudonymisation="token"),
        required=True,
    ),
    person_key=(("upn",), ("child_id", "birth_date")),
)
VISIT = toy.table(
    "visit",
    column("visited_child", pseudonymisation="token", token_scope="child_id"),
    kept("visit_date", "date"),
)
CONTRACT = replace(
    toy.contract(CHILD, VISIT, share=0.1),
    domain="social_care",
    date_formats=("%d/%m/%Y",),
    opt_outs=("national_data_opt_out",),
    max_lost_share=None,
)


@pytest.fixture
def keys() -> Keys:
    return Keys(MASTER)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("ATTACH ':memory:' AS identifiable")
    connection.execute("ATTACH ':memory:' AS warehouse")
    connection.execute("CREATE SCHEMA identifiable.raw")
    connection.execute("CREATE SCHEMA identifiable.ledger")
    for table in CONTRACT.tables.values():
        columns = ", ".join(f"{c.name} {c.sql_type}" for c in table.columns)
        connection.execute(
            f"CREATE TABLE identifiable.raw.{table.table_name} "
            f"(delivery_id VARCHAR, source_file INTEGER, row_number BIGINT, {columns})"
        )
    add_children(connection, DELIVERY)
    add_children(connection, OTHER)
    connection.execute(
        f"INSERT INTO identifiable.raw.toy__visit VALUES ('{DELIVERY}', 0, 1, ' c1', '2025-01-09'),"
        f"('{DELIVERY}', 0, 2, 'C3', NULL)"
    )
    yield connection
    connection.close()


def add_children(connection: duckdb.DuckDBPyConnection, delivery: str) -> None:
    rows = [
        ("C1", "B801200005001", "O'Brien", "2012-03-09", "nw105ab", "WBRI", 380, 100001),
        ("c1 ", "b801200005001", "OBRIEN", "2012-03-09", "NW10 5AB", "WBRI", 380, 100001),
        ("C2", "UN3", "Khan", "2015-12-31", "ZZ99 3VZ", None, None, None),
        ("C3", None, "Khan", None, "HA1 2CD", "APKN", 0, 100001),
        (None, None, None, "2015-12-31", "XY9 9ZZ", "APKN", 1, 100002),
    ]
    for number, row in enumerate(rows, start=1):
        child, upn, surname, born, postcode, *rest = row
        connection.execute(
            "INSERT INTO identifiable.raw.toy__child VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [delivery, number, child, upn, surname, born, "2024-05-06 07:08:09", postcode, *rest],
        )


def token(keys: Keys, purpose: str, message: str) -> int:
    digest = hmac.digest(keys.derive(purpose), message.encode(), "sha256")
    return int.from_bytes(digest[:8], "big") >> 1


def rows_of(con: duckdb.DuckDBPyConnection, table: str, delivery: str = DELIVERY) -> list[dict]:
    return con.execute(
        f"SELECT * FROM warehouse.pseudonymised.{table} WHERE delivery_id = ? ORDER BY row_number",
        [delivery],
    ).pl().to_dicts()  # fmt: skip


def test_each_treatment_does_what_it_says(con: duckdb.DuckDBPyConnection, keys: Keys) -> None:
    counts = pseudonymise_delivery(con, CONTRACT, DELIVERY, keys, POSTCODES)
    assert counts == {"child": 5, "visit": 2}
    first, second, third, fourth, fifth = rows_of(con, "toy__child")
    assert first == {
        "delivery_id": DELIVERY,
        "source_file": 0,
        "row_number": 1,
        "record_key": token(keys, "supplier_person:toy.brent", "toy|brent|0|B801200005001"),
        "child_id": token(keys, "local_id:toy.brent", "toy|brent|child_id|C1"),
        "birth_month": pl.Series(["2012-03-01"]).str.to_date().item(),
        "death_year": 2024,
        "home_lsoa21_code": "E01030001",
        "home_lsoa11_code": "E01000001",
        "home_la_code": "E09000005",
        "ethnicity_code": "WBRI",
        "sessions": 380,
        "school_urn": token(keys, "local_id:toy.brent", "toy|brent|school_urn|100001"),
    }
    assert second == first | {"row_number": 2}  # spelling makes no difference
    assert third["record_key"] == token(
        keys, "supplier_person:toy.brent", "toy|brent|1|C2|2015-12-31"
    )
    assert (third["home_la_code"], third["school_urn"]) == (None, None)
    assert fourth["record_key"] is None  # no UPN, and half of the second alternative
    assert (fourth["home_lsoa11_code"], fourth["home_lsoa21_code"]) == ("E01000002", None)
    assert (fifth["child_id"], fifth["record_key"], fifth["home_la_code"]) == (None, None, None)


def test_text_that_no_code_list_declares_stays_behind(con, keys) -> None:
    con.execute(
        "UPDATE identifiable.raw.toy__child SET ethnicity_code = 'Mary Smith' WHERE child_id = 'C3'"
    )
    pseudonymise_delivery(con, CONTRACT, DELIVERY, keys, POSTCODES)
    kept = con.execute(
        "SELECT DISTINCT ethnicity_code FROM warehouse.pseudonymised.toy__child ORDER BY 1"
    ).fetchall()
    assert kept == [("APKN",), ("WBRI",), (None,)]


def test_text_without_a_code_list_or_pattern_is_refused() -> None:
    loose = replace(CHILD, columns=(*CHILD.columns, kept("note")))
    problems = list(contract_problems(replace(CONTRACT, tables={"child": loose}), "toy"))
    assert (
        "child.note: text is kept only with a codeset or a pattern, as it may hold a name"
        in problems
    )


def test_tokens_join_tables_of_a_feed_but_not_suppliers(
    con: duckdb.DuckDBPyConnection, keys: Keys
) -> None:
    for delivery in (DELIVERY, OTHER):
        pseudonymise_delivery(con, CONTRACT, delivery, keys, POSTCODES)
    ours, theirs = rows_of(con, "toy__child"), rows_of(con, "toy__child", OTHER)
    visits = rows_of(con, "toy__visit")
    assert [visit["visited_child"] for visit in visits] == [
        ours[0]["child_id"],
        ours[3]["child_id"],
    ]
    assert ours[0]["child_id"] != theirs[0]["child_id"]
    assert ours[0]["record_key"] != theirs[0]["record_key"]


def test_doing_it_again_changes_nothing(con: duckdb.DuckDBPyConnection, keys: Keys) -> None:
    pseudonymise_delivery(con, CONTRACT, OTHER, keys, POSTCODES)
    pseudonymise_delivery(con, CONTRACT, DELIVERY, keys, POSTCODES)
    before = rows_of(con, "toy__child"), rows_of(con, "toy__child", OTHER)
    pseudonymise_delivery(con, CONTRACT, DELIVERY, keys, POSTCODES)
    assert (rows_of(con, "toy__child"), rows_of(con, "toy__child", OTHER)) == before


def test_small_chunks_give_the_same_rows(
    con: duckdb.DuckDBPyConnection, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    pseudonymise_delivery(con, CONTRACT, DELIVERY, keys, POSTCODES)
    whole = rows_of(con, "toy__child")
    monkeypatch.setattr(tokenise, "CHUNK", 1)
    pseudonymise_delivery(con, CONTRACT, DELIVERY, keys, POSTCODES)
    assert rows_of(con, "toy__child") == whole


def test_nothing_identifiable_is_left_in_the_connection_or_the_warehouse(
    con: duckdb.DuckDBPyConnection, keys: Keys
) -> None:
    pseudonymise_delivery(con, CONTRACT, DELIVERY, keys, POSTCODES)
    left = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name NOT IN "
        "('identifiable', 'warehouse') UNION ALL SELECT view_name FROM duckdb_views() "
        "WHERE NOT internal"
    ).fetchall()
    assert left == []
    text = str([rows_of(con, name) for name in ("toy__child", "toy__visit")])
    for secret in ("B801200005001", "Brien", "Khan", "NW10", "nw105ab", "'C1'", "2012, 3, 9"):
        assert secret not in text


def test_linkage_gets_the_same_record_keys(con: duckdb.DuckDBPyConnection, keys: Keys) -> None:
    record_key_table(con, CONTRACT, CHILD, keys, [DELIVERY, OTHER], "person_rows")
    for delivery in (DELIVERY, OTHER):
        pseudonymise_delivery(con, CONTRACT, delivery, keys, POSTCODES)
    assert con.execute(
        "SELECT count(*), count(a.record_key), count(*) FILTER (a.record_key IS DISTINCT FROM "
        "b.record_key) FROM person_rows a JOIN warehouse.pseudonymised.toy__child b "
        "USING (delivery_id, row_number)"
    ).fetchone() == (10, 6, 0)
    with pytest.raises(LinkedCypError, match="no person key"):
        record_key_table(con, CONTRACT, VISIT, keys, [DELIVERY])


def test_a_value_cannot_imitate_two_values(con: duckdb.DuckDBPyConnection, keys: Keys) -> None:
    con.execute("DELETE FROM identifiable.raw.toy__child")
    table = replace(CHILD, person_key=(("child_id", "surname"),))
    for number, (child, surname) in enumerate(
        [("A|B", "C"), ("A", "B|C"), ("A\\", "B"), ("A", "B")]
    ):
        con.execute(
            "INSERT INTO identifiable.raw.toy__child (delivery_id, source_file, row_number, "
            "child_id, surname) VALUES (?, 0, ?, ?, ?)",
            [DELIVERY, number, child, surname],
        )
    plain = replace(
        table,
        columns=tuple(replace(c, linkage_role=None, identifier_type=None) for c in table.columns),
    )
    record_key_table(con, CONTRACT, plain, keys, [DELIVERY], "person_rows")
    assert con.execute("SELECT count(DISTINCT record_key) FROM person_rows").fetchone() == (4,)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"pseudonymisation": "scramble"}, "unknown treatment"),
        ({"pseudonymisation": "keep"}, "an identifier cannot be kept"),
        ({"pseudonymisation": "keep", "linkage_role": None, "classification": "direct_identifier"},
         "an identifier cannot be kept"),
        ({"pseudonymisation": "keep", "identifier_type": "upn", "linkage_role": None},
         "linkage alone"),
        ({"pseudonymisation": "token", "linkage_role": "surname"}, "linkage alone"),
        ({"pseudonymisation": "token", "identifier_type": "nhs_number"}, "linkage alone"),
    ],
)  # fmt: skip
def test_an_unsafe_plan_stops_before_a_row_is_written(
    con: duckdb.DuckDBPyConnection, keys: Keys, changes: dict, why: str
) -> None:
    unsafe = replace(CHILD, columns=(replace(CHILD.columns[0], **changes), *CHILD.columns[1:]))
    contract = replace(CONTRACT, tables={"visit": VISIT, "child": unsafe})
    with pytest.raises(LinkedCypError, match=why):
        pseudonymise_delivery(con, contract, DELIVERY, keys, POSTCODES)
    assert con.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'warehouse'"
    ).fetchone() == (0,)


def test_an_output_that_the_contract_does_not_declare_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    smuggled = OutputColumn("surname", "VARCHAR", "", CHILD.column("surname"), "keep")
    monkeypatch.setattr(Table, "pseudonymised", lambda self: (smuggled,))
    with pytest.raises(LinkedCypError, match="not made as its column's contract says"):
        refuse_unsafe(CHILD)


def test_raw_columns_must_be_the_contracts(con: duckdb.DuckDBPyConnection, keys: Keys) -> None:
    con.execute("ALTER TABLE identifiable.raw.toy__child ADD COLUMN mothers_name VARCHAR")
    with pytest.raises(LinkedCypError, match="1 columns the contract does not declare"):
        pseudonymise_delivery(con, CONTRACT, DELIVERY, keys, POSTCODES)
    con.execute("ALTER TABLE identifiable.raw.toy__child DROP COLUMN mothers_name")
    con.execute("ALTER TABLE identifiable.raw.toy__child DROP COLUMN sessions")
    with pytest.raises(LinkedCypError, match="lacks sessions"):
        pseudonymise_delivery(con, CONTRACT, DELIVERY, keys, POSTCODES)


def test_rows_that_do_not_reconcile_change_nothing(
    con: duckdb.DuckDBPyConnection, keys: Keys
) -> None:
    pseudonymise_delivery(con, CONTRACT, DELIVERY, keys, POSTCODES)
    before = rows_of(con, "toy__child")
    twice = pl.concat([POSTCODES, POSTCODES])  # a directory that lists a postcode twice
    with pytest.raises(LinkedCypError, match="5 raw rows became 8 pseudonymised rows"):
        pseudonymise_delivery(con, CONTRACT, DELIVERY, keys, twice)
    assert rows_of(con, "toy__child") == before


def test_errors_say_no_value(con: duckdb.DuckDBPyConnection, keys: Keys) -> None:
    con.execute("ALTER TABLE identifiable.raw.toy__child ALTER birth_date TYPE VARCHAR")
    con.execute("UPDATE identifiable.raw.toy__child SET birth_date = 'Jane Bloggs'")
    with pytest.raises(LinkedCypError) as caught:
        pseudonymise_delivery(con, CONTRACT, DELIVERY, keys, POSTCODES)
    error: BaseException | None = caught.value
    while error is not None:
        assert "Bloggs" not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("delivery", ["Brent.2025.ab", "brent", "brent|x.2025.ab", "", "a.b'.c"])
def test_a_delivery_id_must_name_its_supplier(
    con: duckdb.DuckDBPyConnection, keys: Keys, delivery: str
) -> None:
    with pytest.raises(LinkedCypError, match="supplier.period.hash"):
        pseudonymise_delivery(con, CONTRACT, delivery, keys, POSTCODES)


def test_empty_tables_exist_for_every_contract_with_comments(
    con: duckdb.DuckDBPyConnection,
) -> None:
    contracts = load_contracts(PROJECT_ROOT / "data_contracts")
    ensure_tables(con, contracts.values())
    found = con.execute(
        "SELECT table_name, list({n: column_name, t: data_type, c: comment} ORDER BY column_index) "
        "FROM duckdb_columns() WHERE database_name = 'warehouse' GROUP BY ALL"
    ).fetchall()
    columns = {name: {c["n"]: (c["t"], c["c"]) for c in rows} for name, rows in found}
    assert set(columns) - {"delivery"} == {
        table.table_name for contract in contracts.values() for table in contract.tables.values()
    }
    for contract in contracts.values():
        for table in contract.tables.values():
            expected = {o.name: (o.sql_type, o.description) for o in table.pseudonymised()}
            assert expected.items() <= columns[table.table_name].items()
            assert ("record_key" in columns[table.table_name]) == bool(table.person_key)


def test_a_table_follows_its_contract(con: duckdb.DuckDBPyConnection, keys: Keys) -> None:
    pseudonymise_delivery(con, CONTRACT, DELIVERY, keys, POSTCODES)

    def ensure(columns: tuple[Column, ...]) -> None:
        ensure_tables(con, [replace(CONTRACT, tables={"child": replace(CHILD, columns=columns)})])

    ensure((*CHILD.columns[:-1], kept("note_code")))
    (row, *_) = rows_of(con, "toy__child")
    assert "school_urn" not in row
    assert row["note_code"] is None
    assert row["ethnicity_code"] == "WBRI"
    with pytest.raises(LinkedCypError, match="note_code is VARCHAR"):
        ensure((*CHILD.columns[:-1], kept("note_code", "date")))


def make_ledger(con: duckdb.DuckDBPyConnection) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in pseudonymise.LEDGER.items())
    con.execute(f"CREATE TABLE identifiable.ledger.current ({columns}, file_names VARCHAR)")
    for status in ("accepted", "superseded", "rejected", "withdrawn"):
        con.execute(
            "INSERT INTO identifiable.ledger.current (delivery_id, status, file_names) "
            "VALUES (?, ?, 'Jane Bloggs.csv')",
            [f"brent.2025.{status[:2]}", status],
        )


def test_the_gate_lets_only_accepted_deliveries_through(con: duckdb.DuckDBPyConnection) -> None:
    make_ledger(con)
    refuse_unaccepted(con, "brent.2025.ac")
    refuse_unaccepted(con, "brent.2025.su")
    for delivery, why in (("re", "rejected"), ("wi", "withdrawn"), ("no", "not in the ledger")):
        with pytest.raises(LinkedCypError, match=why):
            refuse_unaccepted(con, f"brent.2025.{delivery}")


def test_the_ledger_is_copied_without_file_names(con: duckdb.DuckDBPyConnection) -> None:
    make_ledger(con)
    assert sync_ledger(con) == 4
    con.execute("DELETE FROM identifiable.ledger.current WHERE status = 'rejected'")
    assert sync_ledger(con) == 3
    copied = con.execute("SELECT * FROM warehouse.pseudonymised.delivery").pl()
    assert tuple(copied.columns) == tuple(pseudonymise.LEDGER)
    assert "Bloggs" not in str(copied.rows())


def test_a_removed_delivery_is_gone_and_others_stay(
    con: duckdb.DuckDBPyConnection, keys: Keys
) -> None:
    for delivery in (DELIVERY, OTHER):
        pseudonymise_delivery(con, CONTRACT, delivery, keys, POSTCODES)
    assert remove_delivery(con, DELIVERY) == {"toy__child": 5, "toy__visit": 2}
    assert rows_of(con, "toy__child") == []
    assert len(rows_of(con, "toy__child", OTHER)) == 5


def test_rows_of_a_withdrawn_delivery_leave_with_the_ledger(
    con: duckdb.DuckDBPyConnection, keys: Keys
) -> None:
    make_ledger(con)
    for delivery in (DELIVERY, OTHER):
        pseudonymise_delivery(con, CONTRACT, delivery, keys, POSTCODES)
        con.execute(
            "INSERT INTO identifiable.ledger.current (delivery_id, status) VALUES (?, ?)",
            [delivery, "withdrawn" if delivery == DELIVERY else "superseded"],
        )
    sync_ledger(con)
    assert rows_of(con, "toy__child") == rows_of(con, "toy__visit") == []
    assert len(rows_of(con, "toy__child", OTHER)) == 5


def test_identifiable_store_can_be_read_only(tmp_path: Path, keys: Keys) -> None:
    store = tmp_path / "identifiable.duckdb"
    with duckdb.connect() as writer:
        writer.execute(f"ATTACH '{store}' AS identifiable")
        writer.execute("CREATE SCHEMA identifiable.raw")
        writer.execute(
            "CREATE TABLE identifiable.raw.toy__visit AS SELECT ? AS delivery_id, "
            "0 AS source_file, 1::BIGINT AS row_number, "
            "'C1' AS visited_child, DATE '2025-01-09' AS visit_date",
            [DELIVERY],
        )
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{store}' AS identifiable (READ_ONLY)")
        con.execute(f"ATTACH '{tmp_path / 'warehouse.duckdb'}' AS warehouse")
        counts = pseudonymise_delivery(con, CONTRACT, DELIVERY, keys, POSTCODES)
    assert counts == {"child": 0, "visit": 1}
