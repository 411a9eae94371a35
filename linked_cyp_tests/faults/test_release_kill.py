"""Kill the process with no chance to clean up, at each stage of publishing a release."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from linked_cyp.release import content_hash_of, current, publish, releases
from linked_cyp.release.companions import COMPANIONS
from linked_cyp_tests.small_warehouse import change, make_warehouse, rows

ROOT = Path(__file__).resolve().parents[2]
# The process under test publishes as usual, but says so and waits when it reaches one function.
PUBLISH_AND_STOP = """
import sys, time
from pathlib import Path
import linked_cyp.release.{module} as module
from linked_cyp.identity.keys import Keys
from linked_cyp.release import publish
from linked_cyp_tests.small_warehouse import settings_of

def stop(*arguments, **named):
    print("here", flush=True)
    time.sleep(60)

module.{function} = stop
settings = settings_of(Path({home!r}))
publish(settings, "alpha", keys=Keys.load(settings.key_file))
"""
STAGES = {
    "half the tables written": ("build", "ids_that_leaked"),
    "checked but without its name": ("files", "commit"),
    "named but without its pages": ("publishing", "write_companions"),
    "named but not current": ("files", "point_to"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_release_leaves_nothing_half_published(tmp_path: Path, stage: str) -> None:
    settings, keys = make_warehouse(tmp_path)
    first = publish(settings, "alpha", keys=keys)
    change(settings, "UPDATE warehouse.curated.child SET sex_code = 'U' WHERE record_key = 3")

    module, function = STAGES[stage]
    kill_at(PUBLISH_AND_STOP.format(module=module, function=function, home=str(tmp_path)))

    now = current(settings, "alpha")
    assert now is not None
    assert now.release_id == first.release_id
    assert rows(now.path, "SELECT count(*) FROM curated.child WHERE sex_code = 'U'") == [(0,)]
    for ref in releases(settings, "alpha"):  # whatever has a name is whole
        assert content_hash_of(ref.path) == ref.content_hash

    second = publish(settings, "alpha", keys=keys)
    assert second.is_current
    assert second.sequence == 2
    assert rows(second.path, "SELECT count(*) FROM curated.child WHERE sex_code = 'U'") == [(1,)]
    assert sorted(p.name for p in second.path.parent.iterdir()) == [
        ".lock",
        first.release_id,
        first.path.name,
        second.release_id,
        second.path.name,
        "current",
        "current.duckdb",
    ]
    assert (second.path.parent / "current").resolve().name == second.release_id
    assert {p.name for p in second.path.with_suffix("").iterdir()} == set(COMPANIONS)


def kill_at(script: str) -> None:
    """Run a script until it says where it is, then kill it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()
