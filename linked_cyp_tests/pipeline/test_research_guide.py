"""The researcher's guide and notebook do what they say, on a release of the hand-worked cases."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from linked_cyp import research
from linked_cyp.core.disclosure import rounded
from linked_cyp.core.settings import PROJECT_ROOT

GUIDE = PROJECT_ROOT / "docs" / "research.md"
NOTEBOOK = PROJECT_ROOT / "examples" / "first_look.py"
RELEASE = Path("data", "releases", "demo", "current.duckdb")
LOOSELY = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page: language and content, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def beside_the_data(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A working directory in which ``data`` is the installation's home, as the guide has it."""
    (tmp_path / "data").symlink_to(released)
    monkeypatch.chdir(tmp_path)
    yield
    assert [path.name for path in tmp_path.iterdir()] == ["data"]  # nothing was written


def test_the_guide_in_python() -> None:
    """Every block runs after those before it and prints what stands below it."""
    found = [block for block in blocks(GUIDE.read_text("utf-8")) if block[0] in ("python", "text")]
    assert len(found) > 15
    checker, names, said = doctest.OutputChecker(), {}, ""
    for language, content in found:
        if language == "python":
            assert said == "", f"printed and not shown in the guide: {said}"
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(content, str(GUIDE), "exec"), names)
            said = out.getvalue()
        else:
            assert checker.check_output(content, said, LOOSELY), f"{said}\nis not\n{content}"
            said = ""
    assert names["counts"]["children"].sum() > 20
    assert names["counts"]["history"].to_list() == ["ever in care", "never in care"]
    assert names["again"].height > 0
    assert names["problems"].height > 5
    assert names["chart"].to_dict()["mark"] == {"type": "bar"}


def test_the_readme_in_python() -> None:
    text = (PROJECT_ROOT / "README.md").read_text("utf-8")
    found = [content for language, content in blocks(text) if language == "python"]
    assert found
    for content in found:
        names: dict[str, Any] = {}
        exec(compile(content, "README.md", "exec"), names)
        names["release"].close()


def test_the_guide_in_plain_sql() -> None:
    """Without any of our code: DuckDB and the file, through the command line where there is one."""
    (sql,) = [
        content for language, content in blocks(GUIDE.read_text("utf-8")) if language == "sql"
    ]
    with duckdb.connect(str(RELEASE), read_only=True) as con:
        statements = con.extract_statements(sql)
        assert len(statements) == 4
        assert all(con.execute(each).fetchall() for each in statements)
    program = shutil.which("duckdb")
    (shell,) = [text for language, text in blocks(GUIDE.read_text("utf-8")) if language == "sh"]
    if program:
        subprocess.run(shell.split(), input=sql, text=True, check=True, capture_output=True)


def test_the_notebook() -> None:
    """Every cell runs, on the release that is where the notebook looks for it."""
    pytest.importorskip("marimo", reason="marimo is a development dependency, and not installed")
    outputs, names = runpy.run_path(str(NOTEBOOK))["app"].run()
    names["release"].close()
    assert len(outputs) > 12
    assert names["counts"]["in_care"].to_list() == ["ever", "never"]
    exact, shown = names["counts"]["children"].to_list(), names["shown"]["children"].to_list()
    assert shown == [rounded(count) for count in exact] != exact
    assert names["described"].name == "curated.child.sex"
    assert names["picture"].startswith("<svg")
    assert names["reach_chart"].to_dict()["mark"] == {"type": "bar"}


def test_every_cohort_is_made_again_by_name() -> None:
    with research.open(RELEASE) as release:
        cohorts = [name for name in release.tables()["table"] if name.startswith("cohort.")]
        assert len(cohorts) == 9
        for name in cohorts:
            again, held = release.reproduce(name), release.query(f"FROM {name}")
            assert again.height > 0, name
            assert again.sort(again.columns).equals(held.select(again.columns).sort(again.columns))
