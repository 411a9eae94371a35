"""The benchmark's large population: copies that join with themselves and with nothing else."""

from __future__ import annotations

from pathlib import Path

import duckdb

from benchmarks.research_copies import copy_warehouse
from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.pseudonymise.deliveries import ensure_tables

FEED = "sen2"
COPIES = 3


def test_copies_are_children_of_their_own(tmp_path: Path) -> None:
    contract = load_contracts(PROJECT_ROOT / "data_contracts")[FEED]
    small, large = tmp_path / "warehouse.duckdb", tmp_path / "large" / "warehouse.duckdb"
    large.parent.mkdir()
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{small}' AS warehouse")
        ensure_tables(con, [contract])
        con.execute(
            """
            USE warehouse;
            INSERT INTO pseudonymised.sen2__person (delivery_id, row_number, record_key,
                sen2_person_id, sen2_id) VALUES ('d', 1, 11, 21, 31), ('d', 2, 12, 22, 31);
            INSERT INTO pseudonymised.sen2__requests (delivery_id, row_number, request_id,
                sen2_person_id) VALUES ('d', 1, 41, 21);
            INSERT INTO pseudonymised.sen2__sen2 (delivery_id, row_number, sen2_id)
                VALUES ('d', 1, 31);
            CREATE SCHEMA linkage;
            CREATE TABLE linkage.bridge (record_key BIGINT, feed VARCHAR, person_id BIGINT,
                tier VARCHAR);
            INSERT INTO linkage.bridge VALUES (11, 'sen2', 1, 'strong'), (12, 'sen2', 1, 'strong');
            """
        )
    copy_warehouse(small, large, {FEED: contract}, COPIES)
    with duckdb.connect(str(large), read_only=True) as con:
        linked = con.execute(
            """
            SELECT count(DISTINCT bridge.person_id), count(DISTINCT record_key),
                count(request_id), count(DISTINCT request_id), count(DISTINCT person.sen2_id),
                count(DISTINCT person.row_number), count(*)
            FROM linkage.bridge
            JOIN pseudonymised.sen2__person AS person USING (record_key)
            LEFT JOIN pseudonymised.sen2__requests USING (delivery_id, sen2_person_id)
            """
        ).fetchall()
        # one request for each copy of its child; the authority's return stays one
        assert linked == [(COPIES, 2 * COPIES, COPIES, COPIES, 1, 2 * COPIES, 2 * COPIES)]
        assert con.execute("SELECT count(*) FROM pseudonymised.sen2__sen2").fetchall() == [(1,)]
        kept = con.execute("SELECT record_key FROM linkage.bridge WHERE person_id = 1").fetchall()
        assert sorted(kept) == [(11,), (12,)]  # the first copy is the population itself
