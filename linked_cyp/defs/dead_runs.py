"""Runs whose process was killed: failed at once, and what they held is free again.

Dagster keeps such a run as started, and the pool slot of its step as taken, for ever; every later
run that needs the slot would wait without end. Every command and every tick of the landing sensor
begins here, so that neither a refresh nor a withdrawal waits for the dead.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Iterator

import dagster as dg
import psutil

PROCESS = "linked_cyp/process"  # host, process id and when it began, as a run's tag
LIVING = (
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
SAME_SECONDS = 5.0  # a process that began later than its run says is another with the same number


def process_tag() -> dict[str, str]:
    """Names this process on the runs that it executes itself."""
    here = psutil.Process()
    return {PROCESS: f"{socket.gethostname()} {here.pid} {here.create_time():.2f}"}


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Fail every run whose process is gone, and free the pool slots of runs that are over.

    Returns:
        The ids of the runs that were failed. A run of another host is left to that host, and one
        that has not begun to Dagster's own time limit.
    """
    dead = [
        record.dagster_run
        for record in instance.get_run_records(dg.RunsFilter(statuses=list(LIVING)))
        if _is_dead(instance, record)
    ]
    for run in dead:
        instance.report_run_failed(run, "Its process was killed. It is taken up again by itself.")
    for run_id in _holders(instance):
        holder = instance.get_run_by_id(run_id)
        if holder is None or holder.is_finished:
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return [run.run_id for run in dead]


def wait_for_others(
    instance: dg.DagsterInstance, jobs: Collection[str], tell: Callable[[], None], seconds: float
) -> None:
    """Wait until no living run of these jobs is left: two would take each other's pool slots in
    turn, each spinning while the other works.

    Args:
        instance: whose runs.
        jobs: the jobs of which one at a time may run.
        tell: called before each look, so that a person sees what is waited for.
        seconds: between one look and the next.
    """
    while any(
        run.job_name in jobs for run in instance.get_runs(dg.RunsFilter(statuses=list(LIVING)))
    ):
        tell()
        time.sleep(seconds)
        fail_dead_runs(instance)


def _holders(instance: dg.DagsterInstance) -> set[str]:
    """The runs that hold a slot of a pool, were given one, or wait for one."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return set()
    found: set[str] = set()
    for pool in storage.get_concurrency_keys():
        info = storage.get_concurrency_info(pool)
        found |= info.active_run_ids | info.assigned_run_ids | info.pending_run_ids
    return found


def _is_dead(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    processes = list(_processes(instance, record.dagster_run))
    return bool(processes) and not any(_lives(*process) for process in processes)


def _processes(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[tuple[int, float]]:
    """Process id and latest possible begin of each process that has executed the run here."""
    if PROCESS in run.tags:
        host, pid, began = run.tags[PROCESS].split()
        if host == socket.gethostname():
            yield int(pid), float(began)
        return
    # what the launcher starts says its number in an event of the engine
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        metadata = event.engine_event_data.metadata if event else {}
        if "pid" in metadata:
            yield int(str(metadata["pid"].value)), entry.timestamp


def _lives(pid: int, began_before: float) -> bool:
    try:
        process = psutil.Process(pid)
        is_same = process.create_time() <= began_before + SAME_SECONDS
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
