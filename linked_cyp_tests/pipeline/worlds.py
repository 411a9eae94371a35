"""The worlds of hand-worked cases, together."""

from __future__ import annotations

from linked_cyp_tests.pipeline import (
    curated_birth_world,
    curated_care_world,
    curated_cohort_world,
    curated_education_world,
    curated_hospital_world,
    curated_identity_world,
    curated_mental_health_world,
    curated_primary_care_world,
    curated_world,
    episode_world,
)
from linked_cyp_tests.pipeline.world import World

MODULES = (
    curated_world,
    curated_care_world,
    curated_identity_world,
    curated_hospital_world,
    curated_birth_world,
    curated_education_world,
    curated_primary_care_world,
    curated_mental_health_world,
    curated_cohort_world,
    episode_world,
)


def hand_worked() -> World:
    """Every hand-worked case."""
    made = curated_world.make_world()
    curated_care_world.add_care_cases(made)
    curated_identity_world.add_identity_cases(made)
    curated_hospital_world.add_hospital_cases(made)
    curated_birth_world.add_birth_cases(made)
    curated_education_world.add_education_cases(made)
    curated_primary_care_world.add_primary_care_cases(made)
    curated_mental_health_world.add_mental_health_cases(made)
    curated_cohort_world.add_cohort_cases(made)
    episode_world.add_episode_cases(made)
    return made
