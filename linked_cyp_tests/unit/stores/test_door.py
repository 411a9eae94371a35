"""What DuckDB says about a value stays with the connection that the stores hand out."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.stores.door import Stores

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
