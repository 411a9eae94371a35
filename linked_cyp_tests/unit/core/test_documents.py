"""What the documents point at is there, and the picture of the whole names every room."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from linked_cyp.core.settings import PROJECT_ROOT

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "data_contracts/*.md")
    for path in PROJECT_ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"  # what was true once
)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
CODE = re.compile(r"`((?:linked_cyp|linked_cyp_tests|dbt_project|data_contracts)/[\w./]+)`")


def rooms() -> set[str]:
    found = (PROJECT_ROOT / "linked_cyp").iterdir()
    return {path.name for path in found if (path / "__init__.py").exists()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_named_files_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [name for name in LINK.findall(text) if not (page.parent / name).exists()]
    missing += [name for name in CODE.findall(text) if not (PROJECT_ROOT / name).exists()]
    assert missing == []


@pytest.mark.parametrize(
    "name", ["docs/how_it_fits_together.md", "CONTRIBUTING.md", ".importlinter"]
)
def test_the_picture_and_the_law_name_every_room(name: str) -> None:
    text = (PROJECT_ROOT / name).read_text(encoding="utf-8")
    assert len(rooms()) > 15
    assert [room for room in sorted(rooms()) if not re.search(rf"\b{room}\b", text)] == []


def test_the_index_of_documents_leaves_none_out() -> None:
    index = (PROJECT_ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (PROJECT_ROOT / "docs").glob("*.md")} - {"README.md"}
    assert sorted(pages - set(LINK.findall(index))) == []
