"""The world of a test of opt-outs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from linked_cyp_tests.unit.opt_outs.world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    with made.con:
        yield made
