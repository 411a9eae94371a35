"""``make mangle``: every way in every feed, as a table; fails when an unknown one is silent."""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from linked_cyp_tests.mangled import machine
from linked_cyp_tests.mangled.machine import EQUAL, REFUSED, SILENT, UNFIT, Verdict
from linked_cyp_tests.mangled.ways import WAYS

KNOWN = Path(__file__).with_name("known_silent.csv")
SHOWN = {EQUAL: "=", REFUSED: "r", SILENT: "S", UNFIT: "."}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mangle", description=__doc__)
    parser.add_argument("--feed", action="append", default=[], help="only this feed")
    parser.add_argument("--way", action="append", default=[], help="only this way")
    parser.add_argument("--why", action="store_true", help="print the reason of every refusal")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        machine.invent(home)
        feeds = given.feed or list(machine.feeds(home))
        with ProcessPoolExecutor(given.processes, get_context("spawn")) as pool:
            each = [pool.submit(machine.judge_feed, home, feed, given.way) for feed in feeds]
            verdicts = [verdict for one in each for verdict in one.result()]
    print(table(verdicts, feeds))
    for verdict in verdicts:
        if verdict.result == SILENT or (given.why and verdict.why):
            print(f"{verdict.result}: {verdict.feed} {verdict.way}: {verdict.why}")
    silent = {(v.feed, v.way) for v in verdicts if v.result == SILENT}
    return int(bool(silent - known_silent()))


def known_silent() -> set[tuple[str, str]]:
    """Feed and way of what cannot be told from the truth; each line says why."""
    with KNOWN.open(encoding="utf-8", newline="") as file:
        return {(row["feed"], row["way"]) for row in csv.DictReader(file) if row["why"]}


def table(verdicts: list[Verdict], feeds: list[str]) -> str:
    """Ways down, feeds across: ``=`` equal, ``r`` refused, ``S`` silent, ``.`` does not fit."""
    found = {(v.way, v.feed): v.result for v in verdicts}
    ways = [name for name in WAYS if any((name, feed) in found for feed in feeds)]
    width = max(map(len, ways), default=10) + 2
    made = [f"{n:2} {feed}" for n, feed in enumerate(feeds, 1)]
    made.append(" " * width + " ".join(f"{n:2}" for n in range(1, len(feeds) + 1)))
    for way in ways:
        row = " ".join(f" {SHOWN[found.get((way, feed), UNFIT)]}" for feed in feeds)
        made.append(way.ljust(width) + row)
    counts = Counter(v.result for v in verdicts)
    made.append(
        f"{len(ways)} ways, {len(feeds)} feeds: {counts[EQUAL]} equal, {counts[REFUSED]} refused,"
        f" {counts[SILENT]} silent"
    )
    return "\n".join(made)


if __name__ == "__main__":
    sys.exit(main())
