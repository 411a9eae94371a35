"""The mangling machine: a sample with a fixed seed, and that it finds what a guard holds back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from linked_cyp.ingest import volume
from linked_cyp_tests.mangled import machine
from linked_cyp_tests.mangled.__main__ import known_silent, table
from linked_cyp_tests.mangled.machine import EQUAL, REFUSED, SILENT, Bench, Verdict
from linked_cyp_tests.mangled.ways import WAYS

SEED, SAMPLED = 20260401, 14
FEEDS = ("ssda903", "cin_census")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("mangled")
    machine.invent(made)
    return made


@pytest.fixture(scope="module")
def school_census(home: Path) -> Iterator[Bench]:
    with machine.bench(home, "school_census", home / "bench") as at:
        yield at


def test_there_are_at_least_sixty_ways_of_every_kind() -> None:
    kinds = {way.kind for way in WAYS.values()}
    assert kinds == {"spreadsheet", "export", "person", "network"}
    assert len(WAYS) >= 60


@pytest.mark.parametrize("feed", FEEDS)
def test_a_sample_of_ways_is_never_believed(home: Path, feed: str) -> None:
    """The whole is ``make mangle``; what is known to be silent still is named in a list."""
    ways = random.Random(f"{SEED} {feed}").sample(sorted(WAYS), SAMPLED)
    verdicts = machine.judge_feed(home, feed, ways)
    silent = {(v.feed, v.way) for v in verdicts if v.result == SILENT}
    assert silent <= known_silent(), table(verdicts, [feed])
    assert any(v.result in (EQUAL, REFUSED) for v in verdicts)


def off(*_: Any, **__: Any) -> tuple[()]:
    return ()


# A guard, how it is switched off, and a way that only it holds back.
Off = Callable[[pytest.MonkeyPatch], None]
GUARDS: dict[str, tuple[str, str, Off]] = {
    "a census is as large as last term's": (
        "school_census",
        "half_the_rows",
        lambda patch: patch.setattr(volume, "refusals", off),
    ),
    "a twentieth is no census": (
        "school_census",
        "a_twentieth_of_the_rows",
        lambda patch: patch.setattr(volume, "_out_of", off),
    ),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_with_a_guard_switched_off_the_machine_finds_it(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    feed, way, switch_off = GUARDS[guard]
    at: Bench = request.getfixturevalue(feed)
    assert verdict(at, way).result in (EQUAL, REFUSED)
    switch_off(monkeypatch)
    # what an error check would still find later is not what is asked here
    monkeypatch.setattr(machine, "checks", lambda *_: None)
    assert verdict(at, way).result == SILENT


def verdict(at: Bench, way: str) -> Verdict:
    return machine.judge(at, WAYS[way])
