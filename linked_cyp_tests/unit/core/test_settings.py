"""What the environment says is read once, and what makes no sense is refused in words."""

from __future__ import annotations

import duckdb
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import MEMORY_LIMIT, Settings


@pytest.mark.parametrize("said", ["4GB", "800MB", "1.5 GiB", "2gb", MEMORY_LIMIT])
def test_a_size_that_duckdb_reads_is_taken(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINKED_CYP_MEMORY_LIMIT", said)
    duckdb.connect(config={"memory_limit": Settings.from_environment().memory_limit}).close()


@pytest.mark.parametrize("said", ["banana", "4", "-1GB", "0GB", "80%", "4GB; DROP"])
def test_another_is_refused_by_its_name(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINKED_CYP_MEMORY_LIMIT", said)
    with pytest.raises(LinkedCypError, match="LINKED_CYP_MEMORY_LIMIT is no size") as refused:
        Settings.from_environment()
    assert said not in str(refused.value).replace("4GB", "")
