"""Hand-worked cases for the repair of looked-after episodes: what was delivered, what comes out.

One authority with the returns of 2023, 2024 and 2025, so that an episode that is open in the last
is still open. The rules are those of the reference table ``episode_repair_rule``.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp_tests.pipeline.world import World, day

AUTHORITY = "camden"
YEARS = (2023, 2024, 2025)
SAMPLE = PROJECT_ROOT.parent / "shared" / "samples" / "ssda903" / "episodes_needing_repair.csv"
SAMPLE_COLUMNS = {
    "RNE": "new_episode_reason_code",
    "LS": "legal_status_code",
    "CIN": "need_category_code",
    "PLACE": "placement_type_code",
    "PLACE_PROVIDER": "placement_provider_code",
    "REC": "episode_end_reason_code",
    "REASON_PLACE_CHANGE": "placement_change_reason_code",
}


@dataclass(frozen=True)
class Case:
    """One child. ``delivered``: return, start, end, reason for the new episode, reason it ended.

    ``episodes``: start, repaired end, repaired end reason, rules. ``removed``: return, start, rule,
    the number of the episode that stands in its place. Empty text is null.
    """

    child: str
    delivered: str
    episodes: str
    removed: str = ""
    periods: int = 1


CASES = (
    Case(
        "a start before 1930 is a default",
        "2025 1900-01-01 1900-02-01 S E4A | 2025 2024-05-01 - S -",
        "2024-05-01 - - -",
        "2025 1900-01-01 implausible_start -",
    ),
    Case(
        "the same row twice in a return",
        "2025 2024-05-01 2024-06-01 S E4A | 2025 2024-05-01 2024-06-01 S E4A",
        "2024-05-01 2024-06-01 E4A -",
        "2025 2024-05-01 exact_duplicate 1",
    ),
    Case(
        "an episode of no length before another of the same day",
        "2025 2024-05-01 2024-06-01 S X1 | 2025 2024-06-01 2024-06-01 P X1 | 2025 2024-06-01 - P -",
        "2024-05-01 2024-06-01 X1 - | 2024-06-01 - - -",
        "2025 2024-06-01 same_day_episode 2",
    ),
    Case(
        "an episode of no length alone stays",
        "2025 2024-06-01 2024-06-01 S E4A",
        "2024-06-01 2024-06-01 E4A -",
    ),
    Case(
        "one start with and without an end",
        "2025 2024-05-01 - S - | 2025 2024-05-01 2024-09-01 S E4A"
        " | 2025 2024-05-01 2024-08-01 S X1",
        "2024-05-01 2024-09-01 E4A -",
        "2025 2024-05-01 same_start 1 | 2025 2024-05-01 same_start 1",
    ),
    Case(
        "open over three years",
        "2023 2022-05-01 - S - | 2024 2022-05-01 - S - | 2025 2022-05-01 2024-09-01 S E4A",
        "2022-05-01 2024-09-01 E4A -",
        "2023 2022-05-01 returned_again 1 | 2024 2022-05-01 returned_again 1",
    ),
    Case(
        "twice in an old return and once in a new one",
        "2023 2022-05-01 - S - | 2023 2022-05-01 - S - | 2024 2022-05-01 2023-09-01 S E4A",
        "2022-05-01 2023-09-01 E4A -",
        "2023 2022-05-01 exact_duplicate 1 | 2023 2022-05-01 returned_again 1",
    ),
    Case(
        "a start put right in the next return, the old row given twice",
        "2023 2022-09-27 - S - | 2023 2022-09-27 - S - | 2024 2022-09-23 2023-05-30 S E4A",
        "2022-09-23 2023-05-30 E4A -",
        "2023 2022-09-27 exact_duplicate 1 | 2023 2022-09-27 restated 1",
    ),
    Case(
        "put right twice: what covers it is the last word",
        "2023 2023-03-10 - S - | 2024 2023-03-01 - S - | 2025 2023-02-01 2024-06-01 S E4A",
        "2023-02-01 2024-06-01 E4A -",
        "2023 2023-03-10 restated 1 | 2024 2023-03-01 restated 1",
    ),
    Case(
        "covered only by an open row that was itself not returned again",
        "2023 2023-03-10 - P - | 2024 2023-03-01 - S - | 2025 2024-06-01 - S -",
        # so neither is restated, and each ends by the rules for missing ends
        "2023-03-01 2023-03-10 X1 missing_end_next_start"
        " | 2023-03-10 2023-03-31 - missing_end_not_returned | 2024-06-01 - - -",
        periods=2,
    ),
    Case(
        "an end before the start, and a next episode",
        "2025 2024-05-01 2024-04-01 S E4A | 2025 2024-07-01 - P -",
        "2024-05-01 2024-07-01 X1 end_before_start,missing_end_next_start | 2024-07-01 - - -",
    ),
    Case(
        "an end before the start, and nothing after",
        "2025 2024-05-01 2024-04-01 S E4A",
        "2024-05-01 - - end_before_start",
    ),
    Case(
        "no end, and the care goes on",
        "2025 2024-05-01 - S - | 2025 2024-07-01 - L -",
        "2024-05-01 2024-07-01 X1 missing_end_next_start | 2024-07-01 - - -",
    ),
    Case(
        "open at the year end, and the care goes on in the next return",
        "2023 2022-05-01 - S - | 2024 2023-08-01 2023-09-01 P E4A",
        "2022-05-01 2023-08-01 X1 missing_end_next_start | 2023-08-01 2023-09-01 E4A -",
    ),
    Case(
        "open at the year end and in no return since",
        "2024 2023-08-01 - S -",
        "2023-08-01 2024-03-31 - missing_end_not_returned",
    ),
    Case(
        "open at the year end, and a fresh start in the next return",
        "2023 2022-05-01 - S - | 2024 2023-04-20 2023-09-01 S E4A",
        "2022-05-01 2023-03-31 - missing_end_not_returned | 2023-04-20 2023-09-01 E4A -",
        periods=2,
    ),
    Case(
        "a whole return without the child before the care goes on",
        "2023 2022-05-01 - S - | 2025 2024-06-01 - P -",
        "2022-05-01 2023-03-31 - missing_end_not_returned | 2024-06-01 - - -",
        periods=2,
    ),
    Case(
        "no end, and a fresh start in the same return",
        "2025 2024-05-01 - S - | 2025 2024-07-01 - S -",
        "2024-05-01 2024-06-30 - missing_end_restart | 2024-07-01 - - -",
        periods=2,
    ),
    Case(
        "an overlap, and the care goes on",
        "2025 2024-05-01 2024-08-01 S E4A | 2025 2024-07-01 2024-09-01 P E4A",
        "2024-05-01 2024-07-01 X1 overlap | 2024-07-01 2024-09-01 E4A -",
    ),
    Case(
        "an overlap with a fresh start keeps its reason",
        "2025 2024-05-01 2024-08-01 S E4A | 2025 2024-07-01 - S -",
        "2024-05-01 2024-07-01 E4A overlap | 2024-07-01 - - -",
        periods=2,
    ),
    Case(
        "an episode inside another",
        "2025 2024-05-01 2024-10-01 S X1 | 2025 2024-07-01 2024-08-01 P X1 | 2025 2024-10-01 - P -",
        "2024-05-01 2024-07-01 X1 overlap_inside | 2024-07-01 2024-08-01 X1 - | 2024-10-01 - - -",
        periods=2,
    ),
    Case(
        "seven days between an end X1 and an episode that continues",
        "2025 2024-05-01 2024-06-01 S X1 | 2025 2024-06-08 - P -",
        "2024-05-01 2024-06-08 X1 gap_in_care | 2024-06-08 - - -",
    ),
    Case(
        "eight days are a gap",
        "2025 2024-05-01 2024-06-01 S X1 | 2025 2024-06-09 - P -",
        "2024-05-01 2024-06-01 X1 - | 2024-06-09 - - -",
        periods=2,
    ),
    Case(
        "a gap after another reason, or before a fresh start, is a gap",
        "2025 2024-05-01 2024-06-01 S E4A | 2025 2024-06-02 2024-07-01 P X1"
        " | 2025 2024-07-02 - S -",
        "2024-05-01 2024-06-01 E4A - | 2024-06-02 2024-07-01 X1 - | 2024-07-02 - - -",
        periods=3,
    ),
)


def fields(text: str) -> list[list[str | None]]:
    """The rows of a case; ``-`` is null."""
    return [
        [None if word == "-" else word for word in row.split()] for row in text.split("|") if row
    ]


def optional_day(text: str | None) -> date | None:
    return day(text) if text else None


def add_episode_cases(world: World) -> None:
    returns = {year: world.deliver("ssda903", AUTHORITY, str(year), year) for year in YEARS}
    for case in CASES:
        _header(world, returns[2025], case.child)
        for year, start, end, began, ended in fields(case.delivered):
            world.add(
                "ssda903__episodes",
                returns[int(year or 0)],
                case.child,
                episode_start_date=optional_day(start),
                episode_end_date=optional_day(end),
                new_episode_reason_code=began,
                episode_end_reason_code=ended,
                legal_status_code="C2",
            )


def add_sample(world: World, path: Path = SAMPLE) -> None:
    """The public sample, each row in its authority's return of its year. Postcodes stay behind.

    The sample keeps one row for each episode, with the newest return that held it.
    """
    returns: dict[tuple[str, str], str] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            of = row["LA"].lower().replace(" ", "_"), row["YEAR"]
            if of not in returns:
                returns[of] = world.deliver("ssda903", *of, int(row["YEAR"]))
            _header(world, returns[of], row["CHILD"])
            world.add(
                "ssda903__episodes",
                returns[of],
                row["CHILD"],
                episode_start_date=day(row["DECOM"]),
                episode_end_date=optional_day(row["DEC"]),
                **{name: row[sent] or None for sent, name in SAMPLE_COLUMNS.items()},
            )


def _header(world: World, delivery: str, child: str) -> None:
    born = day("2008-01-01")
    world.add("ssda903__header", delivery, child, sex_code="F", birth_month=born)
