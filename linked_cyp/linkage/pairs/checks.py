"""What must hold for scored pairs, as rules for :mod:`linked_cyp.expectations`."""

from __future__ import annotations

from linked_cyp.expectations.rules import Rule, between, unique, zero_rows
from linked_cyp.linkage.model.parameters import parameters
from linked_cyp.linkage.model.settings import CHEAP_ONLY


def pairs_rules() -> list[Rule]:
    """Relation ``linkage.main.pairs``."""
    excluded = (
        "SELECT 1 FROM {batch} p JOIN {schema}.person_record r ON r.record_key IN"
        " (p.record_key_l, p.record_key_r) WHERE r.exclusion IS NOT NULL"
    )
    return [
        unique(["record_key_l", "record_key_r"], name="pair__unique"),
        between("match_weight", parameters().lowest_weight, None, "error"),
        zero_rows(
            "pair__ordered",
            "SELECT 1 FROM {batch} WHERE record_key_l >= record_key_r",
            "A pair is two different records, the smaller key first.",
        ),
        zero_rows(
            "exclusion__respected",
            excluded,
            "No pair touches an adopted, sensitive, superseded or withheld record.",
        ),
        zero_rows(
            "blocking__rules_used",
            f"SELECT 1 FROM {{schema}}.blocking WHERE NOT is_used AND rule NOT IN {CHEAP_ONLY}",
            "No blocking rule finds so many candidates that it was left out.",
            "warn",
        ),
        zero_rows(
            "blocking__groups_paired",
            "SELECT 1 FROM {schema}.blocking WHERE oversize_groups > 0",
            "No blocking rule meets a group too large to pair (a placeholder that slipped"
            " through, the postcode of an institution).",
            "warn",
        ),
    ]
