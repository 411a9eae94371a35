"""Run the platform's jobs from the command line, in this process, with everything in the UI after.

The same jobs that the sensor and the schedule start; nothing here does work of its own.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from threading import Event, Thread
from typing import Any

import dagster as dg

from linked_cyp.core.settings import Settings
from linked_cyp.defs import instance
from linked_cyp.defs._dagster import make_new_run_id, owned_by
from linked_cyp.defs.dead_runs import fail_dead_runs, process_tag, wait_for_others
from linked_cyp.defs.feeds import delivery_tags
from linked_cyp.ingest.new import Delivery, take_all

SERVED = "linked_cyp"  # the code location by the name that workspace.yaml gives it
ONE_AT_A_TIME = {"refresh", "rebuild_after_withdrawal"}  # they need the same stores throughout
OnStep = Callable[[str, int, int], None]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class RunSummary:
    """How one run ended; ``failures`` are value-free one-line reasons."""

    run_id: str
    success: bool
    failures: tuple[str, ...]
    failed_checks: tuple[str, ...]


class Platform:
    """The code location with its Dagster instance."""

    def __init__(self, settings: Settings) -> None:
        warnings.filterwarnings("ignore", category=dg.BetaWarning)
        warnings.filterwarnings("ignore", category=dg.PreviewWarning)
        logging.getLogger("dagster").setLevel(logging.CRITICAL)
        self.instance = instance.instance(settings)
        fail_dead_runs(self.instance)
        from linked_cyp.definitions import defs

        self.definitions = defs()

    def ingest(
        self, feed: str, delivery_id: str, tags: Mapping[str, str] | None = None
    ) -> RunSummary:
        """Run ``ingest_<feed>`` for one delivery; the partition is added when it is new."""
        self.instance.add_dynamic_partitions(f"{feed}_delivery", [delivery_id])
        return self.run(f"ingest_{feed}", partition=delivery_id, tags=tags)

    def run(
        self,
        job: str,
        partition: str | None = None,
        on_step: OnStep | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> RunSummary:
        """Run a job to its end; ``on_step`` is told of each step that begins."""
        definition = self.definitions.resolve_job_def(job)
        if job in ONE_AT_A_TIME:
            wait_for_others(
                self.instance,
                ONE_AT_A_TIME,
                lambda: on_step and on_step("waiting for another refresh to end", 0, 1),
                seconds=1,
            )
        run_id = make_new_run_id()
        owned_by(self.instance, SERVED, job)
        # dbt's own lines go nowhere: what they say is in the checks and on the run's page
        with self._watched(run_id, len(definition.nodes), on_step), redirect_stdout(io.StringIO()):
            result = definition.execute_in_process(
                instance=self.instance,
                partition_key=partition,
                run_config=QUIET,
                tags={**process_tag(), **(tags or {})},
                raise_on_error=False,
                run_id=run_id,
            )
        return RunSummary(
            run_id=result.run_id,
            success=result.success,
            failures=tuple(_reasons(result)),
            failed_checks=tuple(_failed_checks(result)),
        )

    @contextmanager
    def _watched(self, run_id: str, steps: int, on_step: OnStep | None) -> Iterator[None]:
        """Look at the run's events from beside it and tell which step is being done."""
        over = Event()

        def look() -> None:
            while not over.wait(0.5):
                stats = self.instance.get_run_step_stats(run_id)
                running = [s.step_key for s in stats if s.status is None or s.end_time is None]
                done = len(stats) - len(running)
                if on_step and running:
                    on_step(running[-1].replace("_", " "), done, steps)

        watcher = Thread(target=look, daemon=True)
        if on_step:
            watcher.start()
        try:
            yield
        finally:
            over.set()
            if on_step:
                watcher.join()


def ingest_all(
    settings: Settings, deliveries: Sequence[Delivery]
) -> Iterator[tuple[Delivery, RunSummary]]:
    """Ingest many deliveries, each as a run of its own; yields them as they end."""
    instance.instance(settings).dispose()  # made once: two processes race on a fresh home
    yield from take_all(deliveries, partial(_ingester, settings))


def _ingester(settings: Settings) -> Callable[[Delivery], RunSummary]:
    platform = Platform(settings)
    return lambda d: platform.ingest(d.feed, d.delivery_id, delivery_tags(d))


def _reasons(result: dg.ExecuteInProcessResult) -> list[str]:
    failures = [e for e in result.all_events if e.is_step_failure]
    return [
        _innermost(e.step_failure_data.error) if e.step_failure_data.error else "failed"
        for e in failures
    ]


def _innermost(error: Any) -> str:
    """Dagster wraps what a step raised; the first cause is ours and is one line."""
    while error.cause is not None:
        error = error.cause
    return (
        error.message.strip()
        .splitlines()[0]
        .removeprefix("linked_cyp.core.errors.LinkedCypError: ")
    )


def _failed_checks(result: dg.ExecuteInProcessResult) -> list[str]:
    return [
        f"{'/'.join(e.asset_key.path)}: {e.check_name}"
        for e in result.get_asset_check_evaluations()
        if not e.passed and e.severity == dg.AssetCheckSeverity.ERROR
    ]
