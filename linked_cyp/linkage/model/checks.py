"""What must hold for the linkage model, as rules for :mod:`linked_cyp.expectations`."""

from __future__ import annotations

from linked_cyp.expectations.rules import Rule, unique, zero_rows


def model_rules() -> list[Rule]:
    """Relation ``linkage.main.model``."""
    return [
        unique(["model_id"]),
        zero_rows(
            "parameters__complete",
            "SELECT 1 FROM (SELECT unnest(parameters, recursive := true) FROM {batch})"
            " WHERE m IS NULL OR u IS NULL OR NOT (m > 0 AND m < 1 AND u > 0 AND u < 1)",
            "Every level of every comparison has an m and a u between 0 and 1.",
        ),
    ]
