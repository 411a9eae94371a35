"""A release asks the ledger in the moment of publishing, by the command and as a job of the UI.

Each case is a copy of the whole installation in which one thing happened since the last refresh.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.ingest import landing, ledger
from linked_cyp.release import current, publish, publishing
from linked_cyp.stores.door import Stores
from linked_cyp_tests import whole_graph
from linked_cyp_tests.whole_graph import PROJECT, Story

# The job of the UI with one asset chosen, in a process of its own.
MATERIALISE = """
import sys
import dagster as dg
from linked_cyp.core.settings import Settings
from linked_cyp.defs.runs import QUIET, Platform

platform = Platform(Settings.from_environment())
result = platform.definitions.resolve_job_def("refresh").execute_in_process(
    instance=platform.instance, asset_selection=[dg.AssetKey(["release", sys.argv[1]])],
    run_config=QUIET, raise_on_error=False,
)
sys.exit(0 if result.success else 1)
"""
COMMAND = "from linked_cyp.cli import app; app.main()"
Done = subprocess.CompletedProcess[str]


def of_home(home: Path) -> Settings:
    return Story(home).settings


def run(home: Path, code: str, *arguments: str) -> Done:
    with whole_graph.environment(home):
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "COLUMNS": "2000"},
            capture_output=True,
            text=True,
            check=False,
        )


def copied(story: Story, home: Path) -> Path:
    shutil.copytree(story.home, home, symlinks=True)
    for pointer in home.glob("releases/*/current.duckdb"):  # which may be written out in full
        assert home in pointer.resolve().parents
    return home


def counting(home: Path, feed: str) -> str:
    """The id of a delivery of the feed that counts."""
    with Stores(of_home(home)).connect(identifiable="ro") as con:
        rows = ledger.ledger_rows(con)
    return next(row.delivery_id for row in rows if row.feed == feed and row.status == "accepted")


def withdrawn(home: Path) -> str:
    delivery = counting(home, "sus_ecds")
    done = run(home, COMMAND, "withdraw", delivery, "--reason", "sent in error", "--no-rebuild")
    assert done.returncode == 0, done.stderr
    return delivery


def arrived(feed: str) -> Callable[[Path], str]:
    """A newer version of a delivery, which lacks its last row, is ingested."""

    def happen(home: Path) -> str:
        settings = of_home(home)
        contracts = load_contracts(settings.contracts)
        before = counting(home, feed)
        found = {d.delivery_id: d for d in landing.discover(settings.landing, contracts)}
        folder = found[before].files[0].path.parent
        newer = folder.with_name(f"{folder.name.split('__')[0]}__9")
        shutil.copytree(folder, newer)
        for path in newer.glob("*.csv"):
            lines = path.read_bytes().splitlines(keepends=True)
            if len(lines) > 2:
                path.write_bytes(b"".join(lines[:-1]))
        for manifest in newer.glob("*manifest*"):
            manifest.unlink()
        done = run(home, COMMAND, "ingest", str(newer))
        assert done.returncode == 0, done.stdout + done.stderr
        return counting(home, feed)

    return happen


HAPPENED = {
    "a delivery was withdrawn": withdrawn,
    "a list of objections came in": arrived("local_objection"),
    "a census came in": arrived("school_census"),
}


@pytest.fixture(scope="module", params=HAPPENED)
def stale(
    story: Story, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Path, str]:
    home = copied(story, tmp_path_factory.mktemp("stale") / "home")
    return home, HAPPENED[request.param](home)


def released(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "releases" / PROJECT).rglob("*.duckdb"))


def attendances(home: Path) -> int:
    """How many emergency attendances the current release holds."""
    held = current(of_home(home), PROJECT)
    assert held
    with duckdb.connect(str(held.path), read_only=True) as con:
        return con.execute("SELECT count(*) FROM curated.emergency_attendance").fetchall()[0][0]


@pytest.mark.parametrize("way", [COMMAND, MATERIALISE], ids=["command", "job"])
def test_with_nothing_new_the_gate_is_open(story: Story, tmp_path: Path, way: str) -> None:
    home = copied(story, tmp_path / "home")
    before = released(home)
    done = run(home, way, *(["release"] if way is COMMAND else []), PROJECT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert released(home) == before


def test_what_happened_since_the_refresh_stops_the_command(stale: tuple[Path, str]) -> None:
    home, delivery = stale
    before = released(home)
    done = run(home, COMMAND, "release", PROJECT)
    assert done.returncode == 1
    assert "release refused" in done.stderr
    assert delivery in done.stderr
    assert released(home) == before


def test_what_happened_since_the_refresh_stops_the_job(stale: tuple[Path, str]) -> None:
    home, _ = stale
    before = released(home)
    assert run(home, MATERIALISE, PROJECT).returncode == 1
    assert released(home) == before


def test_without_the_gate_what_was_withdrawn_would_be_published(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copied(story, tmp_path / "home")
    with_it = attendances(home)
    withdrawn(home)
    monkeypatch.setattr(publishing, "refusals", lambda *_: [])
    settings = of_home(home)
    for old in (home / "releases" / PROJECT).glob("*"):  # or the same one would be found again
        old.unlink() if not old.is_dir() or old.is_symlink() else shutil.rmtree(old)
    publish(settings, PROJECT, keys=Stores(settings).keys())
    assert attendances(home) == with_it > 0
