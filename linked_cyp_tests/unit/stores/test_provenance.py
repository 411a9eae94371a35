"""The gate's memory: nothing unchecked and nothing failed goes further."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.expectations import CheckOutcome
from linked_cyp.stores.provenance import failed, forget, record_checks

ASSET = ("raw", "toy", "child")
GOOD = CheckOutcome("child_id__required", True, "error", metrics={"element_count": 3})
BAD = CheckOutcome("key__unique", False, "error", metrics={"unexpected_count": 2})
DOUBTFUL = CheckOutcome("sex_code__codes", False, "warn", metrics={"unexpected_count": 1})


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS warehouse")
        yield connection


def record(con: duckdb.DuckDBPyConnection, delivery: str, *outcomes: CheckOutcome) -> None:
    record_checks(con, "warehouse", {ASSET: outcomes}, run_id="run", delivery_id=delivery)


def test_a_store_without_a_verdict_lets_nothing_pass(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(LinkedCypError, match="no check has been recorded"):
        failed(con, "warehouse")


def test_a_delivery_without_a_verdict_does_not_pass(con: duckdb.DuckDBPyConnection) -> None:
    record(con, "a.2025.1", GOOD)
    assert failed(con, "warehouse", "a.2025.1") == []
    with pytest.raises(LinkedCypError, match=r"no check of b\.2025\.2 has been recorded"):
        failed(con, "warehouse", "b.2025.2")


def test_only_errors_stop_and_the_newest_verdict_counts(con: duckdb.DuckDBPyConnection) -> None:
    record(con, "a.2025.1", GOOD, BAD, DOUBTFUL)
    record(con, "b.2025.2", GOOD)
    assert failed(con, "warehouse", "a.2025.1") == ["raw/toy/child: key__unique"]
    assert failed(con, "warehouse", "b.2025.2") == []
    assert failed(con, "warehouse") == ["raw/toy/child: key__unique"]
    record(con, "a.2025.1", GOOD, DOUBTFUL)
    assert failed(con, "warehouse") == []


def test_what_is_withdrawn_is_forgotten(con: duckdb.DuckDBPyConnection) -> None:
    record(con, "a.2025.1", BAD)
    record(con, "b.2025.2", GOOD)
    forget(con, "warehouse", "a.2025.1")
    assert failed(con, "warehouse") == []
