"""Releases of two projects cannot be joined by any id, nor by the order of their rows."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from linked_cyp.release import publish
from linked_cyp_tests.privacy.decode import scan
from linked_cyp_tests.small_warehouse import CHILDREN, change, make_warehouse


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[int]]:
    """The same tables released to two projects, and the warehouse's person ids."""
    home = tmp_path_factory.mktemp("pair")
    settings, keys = make_warehouse(home)
    # A second kind of id that the two projects share: a token of the supplier's own child id.
    change(
        settings,
        """ALTER TABLE warehouse.curated.child ADD COLUMN child_id BIGINT;
           UPDATE warehouse.curated.child SET child_id = 6000000000000000000 + record_key;
           COMMENT ON COLUMN warehouse.curated.child.child_id IS 'The supplier''s id, as a token.'
        """,
    )
    paths = [publish(settings, name, keys=keys).path for name in ("alpha", "beta")]
    with duckdb.connect(str(settings.warehouse), read_only=True) as con:
        persons = [row[0] for row in con.execute("SELECT person_id FROM curated.child").fetchall()]
    return paths[0], paths[1], persons


def test_two_projects_share_no_id(pair: tuple[Path, Path, list[int]]) -> None:
    with both(pair) as con:
        for column in ("person_id", "child_id"):
            shared = con.execute(
                f"SELECT count(*) FROM a.curated.child JOIN b.curated.child USING ({column})"
            ).fetchone()
            assert shared == (0,), column
            distinct = con.execute(f"SELECT count(DISTINCT {column}) FROM a.curated.child")
            assert distinct.fetchone() == (CHILDREN,)


def test_the_order_of_rows_does_not_join_them_either(pair: tuple[Path, Path, list[int]]) -> None:
    with both(pair) as con:
        same_place = con.execute(
            """SELECT count(*) FROM (SELECT lsoa21_code, rowid FROM a.curated.child)
               JOIN (SELECT lsoa21_code, rowid FROM b.curated.child) USING (lsoa21_code, rowid)"""
        ).fetchone()
        order = con.execute("SELECT lsoa21_code FROM a.curated.child ORDER BY rowid").fetchall()
    assert same_place is not None
    assert same_place[0] < CHILDREN / 4
    assert order != sorted(order)


def test_no_id_of_the_warehouse_is_left_in_any_form(pair: tuple[Path, Path, list[int]]) -> None:
    first, second, persons = pair
    needles = {"person id": [str(person) for person in persons]}
    assert scan([first, second], needles) == []


def test_other_keys_make_other_ids(tmp_path: Path) -> None:
    ids = []
    for name in ("one", "two"):
        settings, keys = make_warehouse(tmp_path / name)
        path = publish(settings, "alpha", keys=keys).path
        with duckdb.connect(str(path), read_only=True) as con:
            ids.append(set(con.execute("SELECT person_id FROM curated.child").fetchall()))
    assert not ids[0] & ids[1]


def both(pair: tuple[Path, Path, list[int]]) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(":memory:")
    for path, name in zip(pair, ("a", "b"), strict=False):
        con.execute(f"ATTACH '{path}' AS {name} (READ_ONLY)")
    return con
