"""The mangling machine: a sample with a fixed seed, and that it finds what a guard holds back."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from linked_cyp.ingest import gone, losses, volume
from linked_cyp.ingest.readers import repair
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
def bench_of(home: Path) -> Iterator[Callable[[str], Bench]]:
    """The bench of a feed, made once."""
    with ExitStack() as stack:
        made = cache(
            lambda feed: stack.enter_context(machine.bench(home, feed, home / "bench" / feed))
        )
        yield made


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


@dataclass(frozen=True)
class Guard:
    """A way that only this holds back in a feed, and what is switched off: (place, name, as)."""

    feed: str
    way: str
    off: tuple[tuple[Any, str, Any], ...]


# the module: the package has a function of its name
refine = sys.modules["linked_cyp.ingest.readers.refine"]
GUARDS = {
    "a table is as large as it was": Guard(
        "pds_demographics", "half_the_rows", ((volume, "refusals", off),)
    ),
    "a twentieth is no delivery": Guard(
        "birth_notification", "a_twentieth_of_the_rows", ((volume, "_out_of", off),)
    ),
    "a table that was there is missed": Guard(
        "pds_demographics", "a_file_left_out", ((volume, "refusals", off),)
    ),
    "a birth date that nobody has is missed": Guard(
        "pds_demographics", "column_emptied", ((gone, "refusals", off),)
    ),
    "a column that held values is missed": Guard(
        "ssda903", "column_emptied", ((gone, "_went", off),)
    ),
    "a column may not be lost": Guard(
        "ssda903",
        "flags_unreadable",
        ((losses, "lost_columns", off), (gone, "_went", off)),
    ),
    "a protective mark that nobody can read protects not everybody": Guard(
        "pds_demographics", "flags_unreadable", ((losses, "assumed_marks", off),)
    ),
    "children of one table are in the other": Guard(
        "ssda903", "ids_of_one_table_renumbered", ((losses, "orphans", off),)
    ),
    "days by which a system says never are none": Guard(
        "ssda903", "blank_dates_are_low", ((refine, "_impossible", lambda *_: None),)
    ),
    "long numbers keep their last digits": Guard(
        "birth_notification",
        "numbers_scientific",
        ((losses, "lost_columns", off), (gone, "refusals", off)),
    ),
    "a file ends at the end of a line": Guard(
        "pds_demographics",
        "cut_in_the_middle_of_a_line",
        ((repair, "_is_open", lambda *_: False), (volume, "refusals", off)),
    ),
    "day and month have one order in a column": Guard(
        "pds_demographics",
        "dates_month_first",
        ((refine, "_order", lambda *_: "day"), (losses, "lost_columns", off)),
    ),
}


@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS.keys())
def test_with_a_guard_switched_off_the_machine_finds_it(
    bench_of: Callable[[str], Bench], monkeypatch: pytest.MonkeyPatch, guard: Guard
) -> None:
    at = bench_of(guard.feed)
    assert verdict(at, guard.way).result in (EQUAL, REFUSED)
    for place, name, instead in guard.off:
        monkeypatch.setattr(place, name, instead)
    # what an error check would still find later is not what is asked here
    monkeypatch.setattr(machine, "checks", lambda *_: None)
    assert verdict(at, guard.way).result == SILENT


def verdict(at: Bench, way: str) -> Verdict:
    return machine.judge(at, WAYS[way])
