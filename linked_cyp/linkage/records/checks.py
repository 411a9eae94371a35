"""What must hold for person records, as rules for :mod:`linked_cyp.expectations`."""

from __future__ import annotations

from linked_cyp.expectations.rules import Rule, between, in_set, not_null, unique, zero_rows
from linked_cyp.identity.person_records import TOKENS


def person_record_rules() -> list[Rule]:
    """Relation ``linkage.main.person_record``."""
    return [
        unique(["record_id"]),
        not_null("record_key"),
        unique(["record_key", "alternative"], name="record_key__unique"),
        *(between(token, 0, None, "error") for token in TOKENS),
        in_set("sex", (1, 2), "error"),
        zero_rows(
            "record_key__has_current_row",
            "SELECT record_key FROM {batch} GROUP BY 1 HAVING min(alternative) <> 0",
            "Every source person has one row of current values.",
        ),
        zero_rows(
            "birth_date__known",
            "SELECT 1 FROM {batch} WHERE alternative = 0 AND birth_date IS NULL",
            "Every source person has a date of birth.",
            "warn",
        ),
        zero_rows(
            "record__has_link_key",
            "SELECT 1 FROM {batch} WHERE alternative = 0 AND nhs IS NULL AND upn IS NULL"
            " AND la_child IS NULL AND (birth_date IS NULL OR postcode IS NULL)",
            "Every source person has an identifier, or a date of birth and a postcode.",
            "warn",
        ),
        zero_rows(
            "objections__name_somebody",
            "SELECT 1 FROM {schema}.unknown_objection",
            "Every objection is under a number that some record has. Those that are not are named"
            " by delivery, file and row in linkage.main.unknown_objection: correct the number, or"
            " they wait for the child's first record.",
            "warn",
        ),
        zero_rows(
            "encoded__exclusions_current",
            "SELECT 1 FROM {schema}.delivery WHERE lacks_exclusions",
            "No encoded delivery is from before an exclusion of its feed: who was adopted, say, was"
            " marked by its supplier under the exclusions of then. It must be encoded again.",
        ),
        zero_rows(
            "encoded__version_current",
            "SELECT 1 FROM {schema}.delivery WHERE is_outdated",
            "Every encoded delivery was encoded by this version of linked-cyp.",
            "warn",
        ),
    ]
