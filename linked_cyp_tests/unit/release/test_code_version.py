"""A release is known by the code that made it: rooms that make none do not count."""

from __future__ import annotations

from pathlib import Path

import pytest

import linked_cyp
from linked_cyp.release.record import NOT_OF_A_RELEASE, code_version


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "linked_cyp"
    for room in ("release", "linkage", "synthetic", "cli"):
        (folder / room).mkdir(parents=True)
        (folder / room / "module.py").write_text("one = 1\n")
    monkeypatch.setattr(linked_cyp, "__file__", str(folder / "__init__.py"))
    return folder


@pytest.mark.parametrize(
    ("room", "is_new"),
    [("release", True), ("linkage", True), ("synthetic", False), ("cli", False)],
)
def test_a_change_makes_another_version_only_where_a_release_is_made(
    package: Path, tmp_path: Path, room: str, is_new: bool
) -> None:
    before = code_version(tmp_path)
    (package / room / "module.py").write_text("one = 2\n")
    assert (code_version(tmp_path) != before) is is_new


def test_what_does_not_count_is_there() -> None:
    """A room that was renamed would count again, or hide another."""
    there = {path.name for path in Path(linked_cyp.__file__).parent.iterdir()}
    assert set(NOT_OF_A_RELEASE) <= there
