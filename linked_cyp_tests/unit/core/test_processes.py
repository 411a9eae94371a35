"""What works for a process ends when that process is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from linked_cyp.core.settings import PROJECT_ROOT

# A whole parallel ingest, as far as processes go: each worker writes its number and never ends.
WORKING = """
import os, sys, time
from pathlib import Path
from linked_cyp.ingest.new import Delivery, take_all

def start():
    def take(delivery):
        Path(sys.argv[1], str(os.getpid())).touch()
        time.sleep(600)
    return take

if __name__ == "__main__":
    list(take_all([Delivery(f"a.2025.{n}", "toy", "") for n in range(12)], start))
"""


def test_the_workers_of_a_killed_ingest_end_with_it(tmp_path: Path) -> None:
    program, marks = tmp_path / "working.py", tmp_path / "marks"
    program.write_text(WORKING)
    marks.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
    parent = subprocess.Popen([sys.executable, str(program), str(marks)], env=environment)
    try:
        until(lambda: len(list(marks.iterdir())) >= 2)
        workers = [psutil.Process(int(mark.name)) for mark in marks.iterdir()]
        assert all(worker.is_running() for worker in workers)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    until(lambda: not any(worker.is_running() for worker in workers))


# dbt as a refresh starts it, on a project that it waits to read for ever.
COMPILING = """
import subprocess, sys
from pathlib import Path
from linked_cyp.curated.manifest import dbt_of_this_process

work = Path(sys.argv[1])
dbt = subprocess.Popen([dbt_of_this_process(work), "parse", "--project-dir", work])
(work / "started").write_text(str(dbt.pid))
dbt.wait()
"""


def test_the_dbt_of_a_killed_run_ends_with_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "dbt_project.yml")
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
    parent = subprocess.Popen([sys.executable, "-c", COMPILING, str(tmp_path)], env=environment)
    started = tmp_path / "started"
    until(lambda: started.exists() and started.read_text())
    dbt = psutil.Process(int(started.read_text()))
    try:
        until(lambda: dbt.num_threads() > 1)
        parent.kill()
        parent.wait()
        until(lambda: not dbt.is_running() or dbt.status() == psutil.STATUS_ZOMBIE)
    finally:
        if dbt.is_running():
            dbt.kill()


def until(holds: object, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)
