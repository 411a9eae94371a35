"""One dbt build of the hand-worked cases, for every test of the curated and cohort tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp_tests.once import once
from linked_cyp_tests.pipeline import episode_world
from linked_cyp_tests.pipeline.hand_worked_release import publish_hand_worked
from linked_cyp_tests.pipeline.world import DBT, Ask, World, dbt_build
from linked_cyp_tests.pipeline.worlds import hand_worked


@pytest.fixture(scope="session")
def contracts() -> dict[str, Contract]:
    return load_contracts(PROJECT_ROOT / "data_contracts")


@pytest.fixture(scope="session")
def world() -> World:
    """Every hand-worked case, and the public sample of episodes where it is at hand."""
    made = hand_worked()
    if episode_world.SAMPLE.exists():
        episode_world.add_sample(made)
    return made


@pytest.fixture(scope="session")
def built(
    tmp_path_factory: pytest.TempPathFactory, contracts: dict[str, Contract], world: World
) -> Path:
    """A folder with the built ``warehouse.duckdb`` and dbt's ``target``. Read it only."""

    def make(folder: Path) -> None:
        world.write(folder / "warehouse.duckdb", contracts)
        dbt_build(DBT, folder / "warehouse.duckdb", folder, "--exclude", "source:*")

    return once(tmp_path_factory, "curated", make)


@pytest.fixture(scope="session")
def ask(built: Path, world: World) -> Iterator[Ask]:
    """Run SQL on the built warehouse; ``$child`` is the person id of the child named."""
    with duckdb.connect(str(built / "warehouse.duckdb"), read_only=True) as con:

        def run(sql: str, child: str | None = None) -> list[tuple[Any, ...]]:
            parameters = {"child": world.persons[child]} if child else {}
            return con.execute(sql, parameters).fetchall()

        yield run


@pytest.fixture(scope="session")
def released(
    tmp_path_factory: pytest.TempPathFactory, built: Path, contracts: dict[str, Contract]
) -> Path:
    """A home in which the hand-worked cases are released as project ``demo``. Read it only."""
    return once(
        tmp_path_factory, "released", lambda home: publish_hand_worked(built, home, contracts)
    )
