"""What is written to the identifiable and linkage stores cannot be read from their files."""

from __future__ import annotations

import stat
from pathlib import Path

import duckdb
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import Settings
from linked_cyp.identity.keys import create_master_key
from linked_cyp.stores.door import ENCRYPTED, Stores
from linked_cyp_tests.privacy.decode import scan
from linked_cyp_tests.small_warehouse import settings_of

NEEDLE = {"surname": "Quillfeathrada"}


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    settings: Settings = settings_of(tmp_path)
    create_master_key(settings.key_file)
    return Stores(settings)


def write(stores: Stores, store: str) -> None:
    with stores.connect(**{store: "rw"}) as con:
        con.execute(f"CREATE TABLE {store}.main.t AS SELECT ? AS name FROM range(3000)",
                    [NEEDLE["surname"]])  # fmt: skip
        con.execute(f"CHECKPOINT {store}")


@pytest.mark.parametrize("store", ENCRYPTED)
def test_an_encrypted_store_gives_nothing_away(stores: Stores, store: str) -> None:
    write(stores, store)
    path = stores.path(store)
    assert scan([path.parent], NEEDLE) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with duckdb.connect(":memory:") as con, pytest.raises(duckdb.Error):
        con.execute(f"ATTACH '{path}' AS x (READ_ONLY)")


def test_without_encryption_the_same_search_finds_it(stores: Stores) -> None:
    write(stores, "warehouse")
    assert {hit.place for hit in scan([stores.path("warehouse")], NEEDLE)} >= {"main.t.name"}


@pytest.mark.parametrize("store", ENCRYPTED)
def test_another_key_opens_nothing(stores: Stores, store: str) -> None:
    write(stores, store)
    stores.settings.key_file.unlink()
    create_master_key(stores.settings.key_file)
    with (
        pytest.raises(LinkedCypError, match="cannot be opened with this key"),
        stores.connect(**{store: "ro"}),
    ):
        pass
