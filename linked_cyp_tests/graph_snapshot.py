"""The asset graph in text, a file for each domain: what a review sees of a change.

``linked-cyp generate graph`` writes the files anew. They are made in a process with nothing set in
the environment, as ``dagster definitions validate`` loads the code location.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linked_cyp.contracts.house import DOMAINS
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT

FOLDER = Path(__file__).with_name("pipeline") / "snapshots"
RUNS = "runs"
ALONE = (
    "from linked_cyp_tests.graph_snapshot import snapshot;"
    " import json; print(json.dumps(snapshot()))"
)


def generated() -> dict[Path, str]:
    """The files, made in a process of its own that starts in an empty folder.

    Raises:
        LinkedCypError: the code location does not load, or loading wrote where it ran.
    """
    with tempfile.TemporaryDirectory() as folder:
        loaded = subprocess.run(
            [sys.executable, "-c", ALONE],
            env={"PYTHONPATH": str(PROJECT_ROOT)},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if loaded.returncode:
            raise LinkedCypError(f"the code location does not load: {loaded.stderr[-2000:]}")
        if list(Path(folder).iterdir()):
            raise LinkedCypError("loading the code location writes where it runs")
    made = json.loads(loaded.stdout.splitlines()[-1])
    return {FOLDER / f"{name}.txt": text for name, text in made.items()}


def snapshot() -> dict[str, str]:
    """Domain → its assets with what they are made from and their checks; and what runs them."""
    from linked_cyp.definitions import defs

    definitions = defs()
    graph = definitions.resolve_asset_graph()
    checks = defaultdict(list)
    for key in graph.asset_check_keys:
        checks[key.asset_key].append(key.name)
    found: dict[str, list[str]] = defaultdict(list)
    group = ""
    for key in sorted(graph.get_all_asset_keys(), key=lambda k: (graph.get(k).group_name, k.path)):
        node = graph.get(key)
        lines = found[domain(node.group_name)]
        if node.group_name != group:
            group = node.group_name
            lines += ["", f"group {group}"]
        lines += _asset(node, sorted(checks[key]))
    found[RUNS] = list(_runs(definitions))
    return {name: "\n".join(lines).strip("\n") + "\n" for name, lines in sorted(found.items())}


def domain(group: str) -> str:
    """The file a group stands in: its domain, or the first part of another group's name."""
    known = [name for name in DOMAINS if group == name or group.startswith(f"{name}/")]
    return (known[0] if known else group.split("/")[0]).replace("/", "_")


def _asset(node: Any, checks: list[str]) -> Iterator[str]:
    yield f"  {_name(node.key)}{'' if node.is_materializable else '  (not made here)'}"
    if node.partitions_def:
        yield f"    one partition for each of {node.partitions_def.name}"
    for parent in sorted(_name(parent) for parent in node.parent_keys):
        yield f"    from {parent}"
    if checks:
        yield f"    checks {', '.join(checks)}"


def _runs(definitions: Any) -> Iterator[str]:
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


def _name(key: Any) -> str:
    return "/".join(key.path)
