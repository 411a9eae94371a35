"""The asset graph is what it was when somebody last looked: any change shows in a review.

``python -m linked_cyp_tests.pipeline.test_graph_snapshot`` writes the file anew. It is made in a
process with nothing set in the environment, as ``dagster definitions validate`` loads it.
"""

from __future__ import annotations

import difflib
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from linked_cyp.core.settings import PROJECT_ROOT

FILE = Path(__file__).with_name("snapshots") / "asset_graph.txt"
RENEW = "python -m linked_cyp_tests.pipeline.test_graph_snapshot"
SHOWN = 40


def snapshot() -> str:
    """Assets by group with what they are made from and their checks; jobs, sensors, schedules."""
    import dagster as dg

    from linked_cyp.definitions import defs

    definitions = defs()
    graph = definitions.resolve_asset_graph()
    checks = defaultdict(list)
    for key in graph.asset_check_keys:
        checks[key.asset_key].append(key.name)
    groups: dict[str, list[dg.AssetKey]] = defaultdict(list)
    for key in graph.get_all_asset_keys():
        groups[graph.get(key).group_name].append(key)

    def lines() -> Iterator[str]:
        for group in sorted(groups):
            yield f"group {group}"
            for key in sorted(groups[group], key=lambda k: k.path):
                node = graph.get(key)
                yield f"  {name(key)}{'' if node.is_materializable else '  (not made here)'}"
                if node.partitions_def:
                    yield f"    one partition for each of {node.partitions_def.name}"
                for parent in sorted(name(parent) for parent in node.parent_keys):
                    yield f"    from {parent}"
                for check in sorted(checks[key]):
                    yield f"    check {check}"
            yield ""
        for job in sorted(definitions.resolve_all_job_defs(), key=lambda job: job.name):
            if not job.name.startswith("__"):
                yield f"job {job.name}: {len(job.asset_layer.selected_asset_keys)} assets"
        repository = definitions.get_repository_def()
        for sensor in repository.sensor_defs:
            yield f"sensor {sensor.name}: {sensor.default_status.value.lower()}"
        for schedule in repository.schedule_defs:
            yield (
                f"schedule {schedule.name}: {schedule.cron_schedule} {schedule.execution_timezone},"
                f" {schedule.default_status.value.lower()}, job {schedule.job_name}"
            )

    def name(key: dg.AssetKey) -> str:
        return "/".join(key.path)

    return "\n".join(lines()) + "\n"


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("nothing_set")
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "from linked_cyp_tests.pipeline.test_graph_snapshot import snapshot; print(snapshot())",
        ],
        env={"PYTHONPATH": str(PROJECT_ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr[-2000:]
    assert list(folder.iterdir()) == []  # loading writes nothing where it runs
    return loaded.stdout.removesuffix("\n")


def test_the_asset_graph_is_the_one_that_was_reviewed(now: str) -> None:
    before = FILE.read_text(encoding="utf-8")
    changes = list(
        difflib.unified_diff(
            before.splitlines(), now.splitlines(), "reviewed", "now", lineterm="", n=1
        )
    )
    more = f"\n… and {len(changes) - SHOWN} more lines" if len(changes) > SHOWN else ""
    assert not changes, (
        "the asset graph changed:\n"
        + "\n".join(changes[:SHOWN])
        + more
        + f"\nIf that is meant, renew the snapshot with `{RENEW}` and let the diff be reviewed."
    )


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(snapshot(), encoding="utf-8")
