"""What leaves the supplier, and what stays on its disk, holds no planted identity."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.supplier import encode as produce
from linked_cyp_tests.encoded_support import encoded, planted
from linked_cyp_tests.privacy.decode import scan
from linked_cyp_tests.privacy.planted import CHILDREN, Planted

# Encodes in a process of its own, which kills itself while the rows are being judged: the readers'
# copies are there then, and everything is in memory.
KILLED = """
import os, signal, sys
from pathlib import Path
from linked_cyp.supplier import encode as produce
from linked_cyp_tests.encoded_support import encoded

produce._MEMORY = Path(sys.argv[3])
judging = sys.modules["linked_cyp.ingest.readers.refine"]  # the package's own name is a function
judging.find_problems = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
encoded(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A supplier's machine: its disk for temporary files, and its memory for others."""
    for name in ("disk", "memory"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "disk"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "disk"))
    monkeypatch.setattr(produce, "_MEMORY", tmp_path / "memory")
    return tmp_path


def needles_of(planted_needles: dict[str, list[str]]) -> dict[str, list[str]]:
    """With the dates of birth, but for those on the first of a month, which are months as well."""
    born = [Planted(n).birth_date for n in range(1, CHILDREN + 1)]
    dates = [day.isoformat() for day in born if day.day > 1]
    assert len(dates) > 5
    return planted_needles | {"birth date": dates}


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_nothing_that_leaves_or_stays_holds_an_identity(machine: Path) -> None:
    folder, found = planted(machine / "clear")
    needles = needles_of(found)
    made = encoded(folder, machine / "out")
    assert made.source_persons >= CHILDREN - 1
    assert scan([machine / "out"], needles) == []
    assert files(machine / "disk") == files(machine / "memory") == []
    # The same search finds everything in what the supplier has.
    wanted = set(needles) - {"birth date", "nhs number", "local id"}
    assert {hit.label for hit in scan([machine / "clear"], needles)} >= wanted


def test_killed_it_leaves_nothing_readable_on_disk_and_the_next_run_clears_up(
    machine: Path,
) -> None:
    folder, found = planted(machine / "clear")
    for path in folder.iterdir():
        # Not UTF-8, so that readers need a copy in UTF-8.
        path.write_bytes((path.read_text() + "caf\u00e9").encode("cp1252"))
    command = [sys.executable, "-c", KILLED, folder, machine / "out", machine / "memory"]
    ended = subprocess.run(
        command,
        cwd=PROJECT_ROOT,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    needles = needles_of(found)
    assert scan([machine / "disk", machine / "out"], needles) == []
    assert scan([machine / "memory"], needles), "the copies are where they are looked for"
    other, _ = planted(machine / "other", "ssda903")  # whatever is encoded next
    encoded(other, machine / "out", "ssda903")
    assert files(machine / "disk") == files(machine / "memory") == []
    assert scan([machine / "out"], needles) == []
