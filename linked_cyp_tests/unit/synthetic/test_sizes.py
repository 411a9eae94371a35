"""Any size can be invented: a child or sixty, one authority or all, whatever the seed."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_type_hints

import polars as pl
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.ingest import landing
from linked_cyp.synthetic import synthesise
from linked_cyp.synthetic.parameters import Streams, load_parameters
from linked_cyp.synthetic.world import build_world
from linked_cyp.synthetic.writers import ssda903

CONTRACTS = load_contracts(PROJECT_ROOT / "data_contracts")
AUTHORITIES = load_parameters().local_authorities.height


@given(st.integers(1, 60), st.integers(1, AUTHORITIES), st.integers(0, 10_000))
@example(1, 1, 1)
@example(1, AUTHORITIES, 2)
@example(7, 2, 6)
@example(2, 3, 5)
@settings(max_examples=3, deadline=None, phases=(Phase.explicit, Phase.generate))
def test_any_size_is_written_and_every_delivery_is_one(
    children: int, authorities: int, seed: int
) -> None:
    with TemporaryDirectory() as home:
        made = synthesise(
            Path(home), children=children, local_authorities=authorities, seed=seed
        ).deliveries
        told: list[str] = []
        found = list(
            landing.discover(
                Path(home) / "landing", CONTRACTS, None, lambda _, problem: told.append(problem)
            )
        )
        assert told == []
        assert len(found) == made.height > 0


@pytest.mark.parametrize("first_day", [None, "the day on which one's care ended"])
def test_every_child_of_a_looked_after_return_is_in_its_header(first_day: str | None) -> None:
    """Also one whose care ended on the first day of the year, which 50,000 children had."""
    world = build_world(
        load_parameters(), Streams(3), children=1500, authorities=2, years=range(2024, 2026)
    )
    ended = world.care.periods.filter(pl.col("area") == 0, pl.col("end") < world.snapshot)["end"]
    first = int(ended.max()) if first_day else int(ended.max()) - 400  # type: ignore[arg-type]
    tables = ssda903._Return(world, 0, 2025, first, first + 364).tables()
    header = set(tables["header"]["CHILD"])
    for name, frame in tables.items():
        assert set(frame["CHILD"]) <= header, name


def test_the_command_promises_as_many_authorities_as_there_are() -> None:
    from linked_cyp.cli.app import synthesise as command

    (option,) = get_type_hints(command, include_extras=True)["local_authorities"].__metadata__
    assert option.max == AUTHORITIES
