"""The page of security properties names code and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "security_properties.md"
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)


def properties() -> list[tuple[int, str, list[str], list[str]]]:
    return [
        (int(number), text, re.findall(r"`([^`]+)`", code), re.findall(r"`([^`]+)`", tests))
        for number, text, code, tests in ROW.findall(PAGE.read_text(encoding="utf-8"))
    ]


def test_properties_are_numbered_in_order() -> None:
    numbers = [number for number, *_ in properties()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 15


def test_each_names_where_it_is_enforced_and_which_test_proves_it() -> None:
    for number, _, code, tests in properties():
        assert code, number
        assert tests, number
        missing = [name for name in code if not (ROOT / name).exists()]
        missing += [t for t in tests if not (ROOT / "linked_cyp_tests" / t).is_file()]
        assert not missing, number
