"""When things run: the landing sensor, the schedule and the jobs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from linked_cyp.core.settings import Settings
from linked_cyp.definitions import defs
from linked_cyp.defs.linkage_attack import ATTACK
from linked_cyp.ingest.new import SETTLED_SECONDS
from linked_cyp_tests.privacy.planted import PERIODS
from linked_cyp_tests.sensor_support import tick

SPINE = ("moorvale", "pds_demographics", PERIODS["snapshot"])
Evaluate = Any


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return defs()


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LINKED_CYP_HOME", str(tmp_path))
    return Settings.from_environment().landing


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def evaluate(definitions: dg.Definitions, instance: dg.DagsterInstance, landing: Path) -> Evaluate:
    """One tick of the landing sensor, from a cursor."""
    return partial(tick, definitions, instance)


def land(landing: Path, *place: str, text: str = "NHS Number\n", settled: bool = True) -> Path:
    folder = landing.joinpath(*place)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "spine.csv"
    file.write_text(text)
    if settled:
        settle(folder)
    return folder


def settle(folder: Path) -> None:
    """As if nothing had touched the folder for long enough."""
    then = time.time() - SETTLED_SECONDS - 5
    for path in [*folder.iterdir(), folder]:
        os.utime(path, (then, then))


def test_a_settled_delivery_is_asked_for_under_one_key(evaluate: Evaluate, landing: Path) -> None:
    land(landing, *SPINE)
    tick = evaluate()
    (request,) = tick.run_requests
    assert request.job_name == "ingest_pds_demographics"
    assert request.partition_key.startswith("moorvale.2025-03-31.")
    assert request.run_key.startswith(request.partition_key)
    assert request.tags["supplier"] == "moorvale"
    (added,) = tick.dynamic_partitions_requests
    assert added.partitions_def_name == "pds_demographics_delivery"
    assert list(added.partition_keys) == [request.partition_key]

    again = evaluate(tick.cursor)  # not taken yet: the same key, for which Dagster starts one run
    assert [r.run_key for r in again.run_requests] == [request.run_key]


def test_what_it_asks_for_can_be_run(
    evaluate: Evaluate, landing: Path, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    land(landing, *SPINE)
    tick = evaluate()
    (request,) = tick.run_requests
    for added in tick.dynamic_partitions_requests:
        instance.add_dynamic_partitions(added.partitions_def_name, list(added.partition_keys))
    job = definitions.resolve_job_def(request.job_name)
    keys = job.partitions_def.get_partition_keys(dynamic_partitions_store=instance)
    assert keys == [request.partition_key]


def test_the_same_content_has_the_same_run_key(evaluate: Evaluate, landing: Path) -> None:
    """Dagster starts no second run for a run key, even if the cursor was lost or files touched."""
    folder = land(landing, *SPINE)
    first = evaluate()
    (folder / "spine.csv").touch()
    settle(folder)
    os.utime(folder / "spine.csv", (1_700_000_000, 1_700_000_000))
    second = evaluate(first.cursor)
    assert [r.run_key for r in second.run_requests] == [r.run_key for r in first.run_requests]


def test_new_content_and_a_newer_version_are_new_runs(evaluate: Evaluate, landing: Path) -> None:
    supplier, feed, period = SPINE
    land(landing, *SPINE)
    first = evaluate()
    land(landing, *SPINE, text="NHS Number\n9990000018\n")
    changed = evaluate(first.cursor)
    land(landing, supplier, feed, f"{period}__2", text="NHS Number\n")
    newer = evaluate(changed.cursor)
    keys = {r.run_key for tick in (first, changed, newer) for r in tick.run_requests}
    assert len(keys) == 3
    # the same content under a newer version is the same delivery, taken again to learn that
    partitions = {r.partition_key for tick in (first, newer) for r in tick.run_requests}
    assert first.run_requests[0].partition_key in partitions
    assert len(partitions) == 2


def test_a_folder_still_being_copied_is_left_alone(evaluate: Evaluate, landing: Path) -> None:
    folder = land(landing, *SPINE, settled=False)
    early = evaluate()
    assert early.run_requests == []
    settle(folder)
    assert len(evaluate(early.cursor).run_requests) == 1


def test_unknown_folders_are_passed_over_without_naming_them(
    evaluate: Evaluate, landing: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    land(landing, "moorvale", "jorvexi_quillfeather", "2025")
    land(landing, "moorvale", "pds_demographics", "jorvexi_quillfeather")
    (landing / "moorvale" / "jorvexi_quillfeather.csv").write_text("a\n1\n")
    land(landing, *SPINE)
    tick = evaluate()
    assert len(tick.run_requests) == 1
    said = capfd.readouterr().err
    assert said.count("a folder or file was passed over") == 3
    assert "it lies outside supplier/feed/period" in said
    assert "quillfeather" not in said + tick.cursor


def test_nothing_landed_is_no_error(evaluate: Evaluate) -> None:
    assert evaluate().run_requests == []


def test_every_night_everything_is_refreshed(definitions: dg.Definitions) -> None:
    nightly = definitions.resolve_schedule_def("nightly")
    assert nightly.job_name == "refresh"
    assert nightly.default_status == dg.DefaultScheduleStatus.RUNNING
    assert (nightly.cron_schedule, nightly.execution_timezone) == ("0 2 * * *", "Europe/London")
    refreshed = set(definitions.resolve_job_def("refresh").asset_layer.selected_asset_keys)
    graph = definitions.resolve_asset_graph()
    by_delivery = {
        key for key in graph.materializable_asset_keys if key.path[0] in ("raw", "pseudonymised")
    }
    by_hand = {dg.AssetKey(ATTACK)}
    assert refreshed == set(graph.materializable_asset_keys) - by_delivery - by_hand


def test_after_a_withdrawal_the_same_is_made_again(definitions: dg.Definitions) -> None:
    selected = [
        set(definitions.resolve_job_def(job).asset_layer.selected_asset_keys)
        for job in ("refresh", "rebuild_after_withdrawal")
    ]
    assert selected[0] == selected[1]
