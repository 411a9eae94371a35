"""The landing sensor, asked as the daemon asks it."""

from __future__ import annotations

from typing import Any

import dagster as dg


def tick(
    definitions: dg.Definitions, instance: dg.DagsterInstance, cursor: str | None = None
) -> Any:
    """One look of the landing sensor, from a cursor: what it asks for."""
    sensor, repository = definitions.resolve_sensor_def("landing"), definitions.get_repository_def()
    context = dg.SensorEvaluationContext(
        instance_ref=instance.get_ref(),
        last_tick_completion_time=None,
        last_run_key=None,
        cursor=cursor,
        repository_name=repository.name,
        repository_def=repository,
        sensor_name=sensor.name,
    )
    with context:
        return sensor.evaluate_tick(context)
