"""The mangling machine: a sample with a fixed seed, and that it finds what a guard holds back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from linked_cyp.ingest import deliveries, periods, volume
from linked_cyp.ingest.readers import conform, staging
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
def ssda903(home: Path) -> Iterator[Bench]:
    with machine.bench(home, "ssda903", home / "bench") as at:
        yield at


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


def untrimmed(text: str, space: str = "any") -> str:
    return f"nullif({text}, '')"


def _only_digits(typed: Callable[..., str]) -> Callable[..., str]:
    def strict(column: Any, formats: Sequence[str], text: str) -> str:
        if column.type == "integer":
            return f"CASE WHEN regexp_full_match({text}, '[0-9]+') THEN {text}::BIGINT END"
        return typed(column, formats, text)

    return strict


def _all_harmless(patch: pytest.MonkeyPatch) -> None:
    """Rows set aside count for nothing; nor does the size of what is left."""
    counted = deliveries.problem_counts

    def none_harmful(*given: Any) -> dict[str, int]:
        found = dict(counted(*given))
        return {**found, "harmless": found["rows"] + found["file_rows"]}

    patch.setattr(deliveries, "problem_counts", none_harmful)
    patch.setattr(volume, "refusals", off)


# A guard, how it is switched off, and a way that only it holds back. In the first four what was
# spoilt is read as it was meant; in the others it is refused.
Off = Callable[[pytest.MonkeyPatch], None]
GUARDS: dict[str, tuple[str, str, Off]] = {
    "cells are trimmed": (
        "ssda903",
        "codes_no_break_space",
        lambda patch: patch.setattr(conform, "present_text", untrimmed),
    ),
    "a repeated row is a repeat": (
        "ssda903",
        "rows_doubled",
        lambda patch: patch.setattr(staging, "_repeated_keys", off),
    ),
    "missing words are no dates": (
        "ssda903",
        "integers_point_zero",
        lambda patch: patch.setattr(conform, "typed", _only_digits(conform.typed)),
    ),
    "yes and no are read in any words": (
        "ssda903",
        "flags_as_words",
        lambda patch: patch.setattr(conform, "FALSE_WORDS", ("0", "false")),
    ),
    "days lie in the folder's period": (
        "ssda903",
        "dates_four_years_on",
        lambda patch: patch.setattr(periods, "_happened", off),
    ),
    "a return is of its folder's period": (
        "ssda903",
        "in_the_folder_of_another_period",
        lambda patch: patch.setattr(periods, "refusals", off),
    ),
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
    "a required table must be there": (
        "ssda903",
        "a_page_instead_of_the_file",
        lambda patch: patch.setattr(deliveries, "_structure", off),
    ),
    "most rows must be sound": (
        "ssda903",
        "dates_month_first",
        _all_harmless,
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
