"""Requests, assessments and education, health and care plans of the pupils who need them.

Every pupil with a plan in the school census has one here that began about when he or she first went
to school; some others were asked for and refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.households import FOREVER
from linked_cyp.synthetic.parameters import age_at, gamma_days, pick
from linked_cyp.synthetic.world import World


@dataclass(frozen=True)
class Plans:
    """``requests``: request_id, person_id, received, decided, outcome (Y, N or W), mediation,
    tribunal. ``assessments``: request_id, decided, outcome, exception. ``plans``: plan_id,
    request_id, person_id, start, cease (FOREVER while maintained), cease_reason, residential,
    budget. Days are day numbers; what lies after the last day has not happened yet."""

    requests: pl.DataFrame
    assessments: pl.DataFrame
    plans: pl.DataFrame


def build_plans(world: World) -> Plans:
    """Make the requests of every pupil; what became of each follows from its kind."""
    rules = world.parameters.part("plans")
    pupils = _pupils(world)
    with_plan = _successful(rules, world, pupils.filter(pl.col("sen") == "E"))
    without = _unsuccessful(rules, world, pupils.filter(pl.col("sen") != "E"))
    both = pl.concat([with_plan, without], how="diagonal_relaxed").with_columns(
        request_id=pl.int_range(pl.len())
    )
    requests = both.select(
        "request_id", "person_id", "received", "decided", "outcome", "mediation", "tribunal"
    )
    assessed = both.filter(pl.col("assessed").is_not_null())
    assessments = assessed.select(
        "request_id", decided="assessed", outcome="assessment_outcome", exception="exception"
    )
    plans = both.filter(pl.col("start").is_not_null()).select(
        "request_id",
        "person_id",
        "start",
        "cease",
        "cease_reason",
        "residential",
        "budget",
        plan_id=pl.int_range(pl.len()),
    )
    return Plans(requests, assessments, plans)


def _pupils(world: World) -> pl.DataFrame:
    """Pupils with the days on which their time at schools of the area began and ended."""
    time = world.education.enrolments.group_by("person_id", maintain_order=True).agg(
        entry=pl.col("from_day").min(), gone=pl.col("to_day").max()
    )
    return (
        world.education.pupils.select("person_id", "sen")
        .join(time, on="person_id", how="inner", maintain_order="left")
        .join(
            world.population.persons.select("person_id", "birth", "death_day"),
            on="person_id",
            how="left",
            maintain_order="left",
        )
    )


def _successful(rules: Mapping[str, Any], world: World, pupils: pl.DataFrame) -> pl.DataFrame:
    rng = world.streams("plans")
    size = pupils.height
    birth, gone = pupils["birth"].to_numpy(), pupils["gone"].to_numpy()
    start = pupils["entry"].to_numpy() + rng.integers(*rules["start_after_entry"], size)
    start = np.maximum(start, birth + rules["youngest"])
    length = np.maximum(60, gamma_days(rng, size, **rules["process"]))
    received = start - length
    decided = received + np.minimum(gamma_days(rng, size, **rules["decision"]), length - 45)
    assessed = start - rng.integers(*rules["before_plan"], size)
    ended = gone < world.population.last_day
    age = age_at(birth, gone)
    died = (pupils["death_day"].fill_null(FOREVER) <= gone).to_numpy()
    reason = pick(rng, rules["cease_reasons"], size)
    reason = np.where(died, "8", np.where(age < 16, "5", reason))
    return pl.DataFrame(
        {
            "person_id": pupils["person_id"],
            "received": received,
            "decided": decided,
            "outcome": ["Y"] * size,
            "mediation": [False] * size,
            "tribunal": [False] * size,
            "assessed": assessed,
            "assessment_outcome": ["Y"] * size,
            "exception": (length > 140) & (rng.random(size) < rules["exception"]),
            "start": start,
            "cease": np.where(ended, np.maximum(gone, start + 1), FOREVER),
            "cease_reason": np.where(ended, reason, None).tolist(),
            "residential": rng.random(size) < rules["residential"],
            "budget": rng.random(size) < rules["personal_budget"],
        },
        schema_overrides={"cease_reason": pl.String},
    )


def _unsuccessful(rules: Mapping[str, Any], world: World, pupils: pl.DataFrame) -> pl.DataFrame:
    rng = world.streams("requests refused")
    share = pupils["sen"].replace_strict(rules["unsuccessful"], default=0.0).to_numpy()
    pupils = pupils.filter(pl.Series(rng.random(pupils.height) < share))
    size = pupils.height
    entry, gone = pupils["entry"].to_numpy(), pupils["gone"].to_numpy()
    last = np.minimum(gone, world.population.last_day)
    received = entry + (rng.random(size) * np.maximum(last - entry, 1)).astype(np.int64)
    decided = received + gamma_days(rng, size, **rules["decision"])
    end = pick(rng, rules["unsuccessful_outcomes"], size)
    assessed = end == "assessed"
    mediation, tribunal = (
        rng.random(size) < rules["dispute"][k] for k in ("mediation", "tribunal")
    )
    after = decided + 30 + gamma_days(rng, size, **rules["decision"])
    return pl.DataFrame(
        {
            "person_id": pupils["person_id"],
            "received": received,
            "decided": decided,
            "outcome": np.where(assessed, "Y", end).tolist(),
            "mediation": mediation & ~assessed,
            "tribunal": tribunal & ~assessed,
            "assessed": pl.Series(after).set(pl.Series(~assessed), None),
            "assessment_outcome": np.where(assessed, "N", None).tolist(),
            "exception": np.zeros(size, dtype=bool),
        },
        schema_overrides={"outcome": pl.String, "assessment_outcome": pl.String},
    )
