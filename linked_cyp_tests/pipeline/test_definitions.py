"""``docs/definitions`` is what the tests ask of the hand-worked cases, and what they get."""

from __future__ import annotations

from pathlib import Path

import pytest

from linked_cyp.contracts.model import Contract
from linked_cyp_tests import definitions
from linked_cyp_tests.pipeline.worlds import hand_worked


@pytest.fixture(scope="module")
def fresh(built: Path, contracts: dict[str, Contract]) -> dict[str, str]:
    # without the public sample of episodes, which is not at hand everywhere
    return definitions.documents_of(built, hand_worked(), contracts)


def test_the_definitions_are_current(fresh: dict[str, str]) -> None:
    held = {p.name: p.read_text(encoding="utf-8") for p in definitions.FOLDER.glob("*.md")}
    stale = sorted(name for name in {*held, *fresh} if held.get(name) != fresh.get(name))
    assert not stale, f"run linked-cyp generate: {', '.join(stale)}"


def test_a_case_says_what_was_delivered_and_what_comes_of_it(fresh: dict[str, str]) -> None:
    page = fresh["curated.absence_year.md"]
    section = page.split("## Absence is one term in arrears and a tenth is persistent")[1]
    assert "**Given** *Ola*, aged 12:" in section
    assert "which is a tenth exactly" in section
    # the sessions missed have no child of their own: they come by their pupil's row
    assert "| acton 2025-autumn | U | 4 |" in section
    assert "| 2025 | 380 | 18 | 20 | yes | no | 3 | 1 |" in section


def test_a_delivery_that_does_not_count_is_shown_as_such(fresh: dict[str, str]) -> None:
    assert "| acton 2025 (superseded) |" in fresh["curated.child.md"]


def test_every_cohort_has_cases(fresh: dict[str, str]) -> None:
    index = fresh[definitions.INDEX].splitlines()
    assert [line for line in index if line.startswith("| cohort.")] == []
    assert sum(line.startswith("| [cohort.") for line in index) >= 9
