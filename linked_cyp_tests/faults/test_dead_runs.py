"""A process killed anywhere, and the next run goes through without a hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.defs import instance as home_of
from linked_cyp.defs.dead_runs import PROCESS, fail_dead_runs, process_tag, wait_for_others

STEPS = ("first", "second", "third")

# A job of three steps that need the same slot; the process stops in the one it is told, and waits.
JOB = """
import sys, time
from pathlib import Path
import dagster as dg
from linked_cyp.core.settings import Settings
from linked_cyp.defs import instance as home_of
from linked_cyp.defs.dead_runs import process_tag

stop, reached = sys.argv[1:]

def made(name):
    @dg.asset(name=name, pool="warehouse")
    def step():
        if name == stop:
            Path(reached).touch()
            time.sleep(120)
    return step

defs = dg.Definitions(
    assets=[made(name) for name in ("first", "second", "third")],
    jobs=[dg.define_asset_job("refresh")],
    executor=dg.in_process_executor,
)
instance = home_of.instance(Settings.from_environment())
result = defs.resolve_job_def("refresh").execute_in_process(
    instance=instance, tags=process_tag()
)
print(result.success)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LINKED_CYP_HOME", str(tmp_path))
    return tmp_path


def start(home: Path, stop: str) -> tuple[subprocess.Popen, Path]:
    reached = home / f"reached_{stop}_{time.monotonic_ns()}"
    process = subprocess.Popen(
        [sys.executable, "-c", JOB, stop, str(reached)],
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return process, reached


def kill_in(home: Path, stop: str) -> None:
    process, reached = start(home, stop)
    while not reached.exists():
        assert process.poll() is None, "ended before it was killed"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def slots(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.event_log_storage.get_concurrency_info("warehouse").active_run_ids)


@pytest.mark.parametrize("stop", STEPS)
def test_a_killed_run_is_failed_and_the_next_goes_through(home: Path, stop: str) -> None:
    with home_of.instance(Settings.from_environment()) as instance:
        for _ in range(2):
            kill_in(home, stop)
            held = slots(instance)
            assert len(held) == 1
            assert set(fail_dead_runs(instance)) == held
            assert slots(instance) == set()
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.FAILURE}
        assert fail_dead_runs(instance) == []
    process, _ = start(home, "none of them")
    out, _ = process.communicate(timeout=100)
    assert out.strip() == "True"


def test_a_second_refresh_waits_for_a_living_one_and_says_so(home: Path) -> None:
    process, reached = start(home, "first")
    while not reached.exists():
        time.sleep(0.05)
    told = []

    def tell() -> None:
        told.append(slots(instance))
        if len(told) == 3:
            process.kill()
            process.communicate()

    with home_of.instance(Settings.from_environment()) as instance:
        wait_for_others(instance, {"refresh"}, tell, seconds=0.1)
        assert len(told) == 3
        assert slots(instance) == set()


def test_a_living_run_keeps_what_it_holds(home: Path) -> None:
    process, reached = start(home, "second")
    try:
        while not reached.exists():
            time.sleep(0.05)
        with home_of.instance(Settings.from_environment()) as instance:
            held = slots(instance)
            assert fail_dead_runs(instance) == []
            assert slots(instance) == held != set()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("host", "pid", "began", "dies"),
    [
        (None, None, None, False),  # this process itself
        (None, None, 1.0, True),  # the number was given again to a later process
        ("another", 1, None, False),  # only that host can know
    ],
)
def test_whose_process_it_is(
    home: Path, host: str | None, pid: int | None, began: float | None, dies: bool
) -> None:
    own = process_tag()[PROCESS].split()
    tag = f"{host or own[0]} {pid or own[1]} {began or own[2]}"

    @dg.op
    def nothing() -> None: ...

    @dg.job(name="refresh")
    def job() -> None:
        nothing()

    with home_of.instance(Settings.from_environment()) as instance:
        instance.create_run_for_job(job, tags={PROCESS: tag}, status=dg.DagsterRunStatus.STARTED)
        assert bool(fail_dead_runs(instance)) == dies
