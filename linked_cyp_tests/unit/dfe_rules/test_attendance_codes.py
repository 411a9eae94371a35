"""Register codes: what they count as, and the change of August 2024, agree wherever they stand."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp_tests.contracts.common import codesets

SEED = PROJECT_ROOT / "dbt_project" / "seeds" / "attendance_code.csv"
MAP = PROJECT_ROOT.parent / "shared" / "domain" / "maps" / "attendance_codes.csv"
FIRST_DAY, LAST_DAY = "2024-08-19", "2024-08-18"  # of the new codes, of the old


def read(path: Path, key: str) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row[key]: row for row in csv.DictReader(file)}


def test_seed_and_codeset_hold_the_same_codes_at_the_same_time() -> None:
    seed = read(SEED, "attendance_code")
    assert set(seed) == set(codesets()["attendance"].values)
    for code in codesets()["attendance"].codes:
        row = seed[code.code]
        # the autumn census of 2024 (collection year 2025) still reports the summer before
        assert row["valid_from_date"] == (FIRST_DAY if code.since == 2025 else ""), code.code
        last = {2014: "2013-08-31", 2025: LAST_DAY}
        assert row["valid_to_date"] == (last[code.until] if code.until else ""), code.code


def test_the_change_of_august_2024() -> None:
    seed = read(SEED, "attendance_code")
    new = {code for code, row in seed.items() if row["valid_from_date"]}
    old = {code for code, row in seed.items() if row["valid_to_date"]}
    assert new == {"C1", "C2", "J1", "K", "Q", *(f"Y{n}" for n in range(1, 8))}
    assert old == {"F", "H", "J", "Y"}


def test_an_interview_was_no_absence_until_it_became_one() -> None:
    seed = read(SEED, "attendance_code")
    assert (seed["J"]["attendance_group"], seed["J"]["is_absence"]) == ("attending", "false")
    assert seed["J1"]["attendance_group"] == "authorised_absence"


def test_absence_and_possible_sessions_follow_from_the_group() -> None:
    for code, row in read(SEED, "attendance_code").items():
        absent = row["attendance_group"].endswith("_absence")
        assert row["is_absence"] == str(absent).lower(), code
        assert (
            row["is_possible_session"] == str(row["attendance_group"] != "not_possible").lower()
        ), code


def test_groups_are_those_of_the_map() -> None:
    if not MAP.exists():
        pytest.skip("../shared is not beside the project")
    seed, known = read(SEED, "attendance_code"), read(MAP, "code")
    # the map calls J absence, which DfE's own list of statuses does not, and lacks F
    assert {c: r["attendance_group"] for c, r in seed.items() if c not in "FJ"} == {
        c: r["group"] for c, r in known.items() if c != "J"
    }
