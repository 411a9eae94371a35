"""What DuckDB says about a value stays with the connection that the stores hand out."""

from __future__ import annotations

import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.identity.keys import Keys, create_master_key
from linked_cyp.stores.door import Mode, Stores

VALUE = "Quillfeather 9434765919"
FAILING = {
    "a statement": f"SELECT '{VALUE}'::INTEGER",
    "rows fetched later": f"SELECT CASE WHEN i > 5000 THEN '{VALUE}' ELSE '1' END::INTEGER"
    " FROM range(9000) t(i)",
    "a key that is there": f"INSERT INTO warehouse.t VALUES ('{VALUE}'), ('{VALUE}')",
    "what does not parse": f"SELEC '{VALUE}'",
}


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores(
        Settings(
            home=tmp_path,
            key_file=tmp_path / "master.key",
            contracts=PROJECT_ROOT / "data_contracts",
            dbt_project=PROJECT_ROOT / "dbt_project",
        )
    )


@pytest.mark.parametrize("statement", FAILING.values(), ids=FAILING)
def test_an_error_of_duckdb_leaves_a_store_without_its_values(
    stores: Stores, statement: str
) -> None:
    with pytest.raises(LinkedCypError, match="^using warehouse: ") as failed:
        with stores.connect(warehouse="rw") as con:
            con.execute("CREATE TABLE warehouse.t (name VARCHAR PRIMARY KEY)")
            con.execute(statement).fetchall()
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None
    assert "Quillfeather" not in "".join(traceback.format_exception_only(failed.value))


def test_what_is_not_duckdbs_leaves_a_store_as_it_is(stores: Stores) -> None:
    """The doors turn the rest; a test's own failure stays readable."""
    with pytest.raises(ZeroDivisionError):
        with stores.connect(warehouse="rw"):
            _ = 1 // 0


def test_a_value_is_in_what_duckdb_says(stores: Stores) -> None:
    """Shows what the guard keeps back."""
    with stores.connect(warehouse="rw") as con:
        with pytest.raises(Exception, match="Quillfeather"):
            con.execute(FAILING["a statement"])


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_a_warehouse_opens_only_with_the_key_its_tokens_were_made_with(
    stores: Stores, mode: Mode
) -> None:
    first, other = stores.settings.key_file, stores.settings.home / "other.key"
    for path in (first, other):
        create_master_key(path)
    with stores.connect(warehouse="rw") as con:
        con.execute("CREATE TABLE warehouse.token AS SELECT 1 AS id")
    with stores.connect(warehouse=mode) as con:
        assert con.execute("FROM warehouse.token").fetchall() == [(1,)]
    with pytest.raises(LinkedCypError, match="made with the master key of fingerprint") as refused:
        with Stores(replace(stores.settings, key_file=other)).connect(warehouse=mode):
            pass
    assert Keys.load(first).fingerprint() in str(refused.value)
    assert "\n" not in str(refused.value)
