"""A store that another process holds is waited for as long as that process lives."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest

from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.stores import door
from linked_cyp.stores.door import STORES, Held, Stores

HOLD = """
import duckdb, sys
con = duckdb.connect(sys.argv[1])
con.execute("CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS id")
print("held", flush=True)
sys.stdin.read()
con.execute("INSERT INTO t VALUES (2)")
"""


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
    monkeypatch.setattr(door, "WAIT_SECONDS", 0.2)
    settings = Settings(
        home=tmp_path,
        key_file=tmp_path / "master.key",
        contracts=PROJECT_ROOT / "data_contracts",
        dbt_project=PROJECT_ROOT / "dbt_project",
    )
    settings.stores.mkdir(mode=0o700, parents=True)
    return Stores(settings)


@contextmanager
def holder(stores: Stores) -> Iterator[subprocess.Popen]:
    """Another process that has the warehouse open, until its standard input is closed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(stores.path("warehouse"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.kill()


def ids(stores: Stores) -> list[int]:
    with stores.connect(warehouse="rw") as con:
        return [row[0] for row in con.execute("SELECT id FROM warehouse.t ORDER BY 1").fetchall()]


def test_a_store_is_waited_for_as_long_as_its_holder_lives(stores: Stores) -> None:
    with holder(stores) as process:
        assert process.stdin
        Timer(5 * door.WAIT_SECONDS, process.stdin.close).start()
        began = time.monotonic()
        assert ids(stores) == [1, 2]  # what the holder wrote last is there
        assert time.monotonic() - began > 4 * door.WAIT_SECONDS


def test_a_killed_holder_holds_nothing(stores: Stores) -> None:
    with holder(stores) as process:
        Timer(3 * door.WAIT_SECONDS, process.kill).start()
        assert ids(stores) == [1]


def test_who_asks_for_a_limit_gets_it(stores: Stores) -> None:
    with holder(stores), pytest.raises(Held):
        with stores.connect(warehouse="rw", wait_seconds=0.1):
            pass


def test_no_holder_is_waited_for_without_end(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that lives on and on, nor one that cannot be seen from here."""
    with holder(stores):
        monkeypatch.setattr(door, "LONGEST_SECONDS", 0.4)
        with pytest.raises(Held):
            ids(stores)
        monkeypatch.setattr(door, "LONGEST_SECONDS", 600.0)
        monkeypatch.setattr(door, "_alive", lambda process: False)
        with pytest.raises(Held):
            ids(stores)


def test_a_holder_of_no_number_is_not_taken_for_a_living_one() -> None:
    assert door._patience("Could not set lock on file") == door.WAIT_SECONDS


def test_stores_are_attached_in_one_order(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else two processes that each hold what the other wants would wait for each other."""
    asked: list[str] = []
    monkeypatch.setattr(Stores, "_attach", lambda self, con, store, *_: asked.append(store))
    monkeypatch.setattr(door, "_refuse_other_key", lambda *_: None)
    with stores.connect(warehouse="rw", linkage="ro", identifiable="ro"):
        pass
    assert asked == list(STORES)
