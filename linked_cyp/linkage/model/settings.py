"""The Splink model as plain functions: comparisons, blocking rules, training rules, settings.

Everything compares columns of ``person_record``: 63-bit tokens, and name encodings in two 64-bit
lanes. The SQL is the common subset of DuckDB and Spark (``bit_count`` is cast because DuckDB's
returns a TINYINT that overflows when lanes are added).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from linked_cyp.identity.comparisons import (
    NULL_LEVEL,
    Levels,
    comparison_levels,
    same_levels,
)
from linked_cyp.linkage.model.parameters import Parameters, parameters

# Each rule names the columns that must agree. Together they must find every pair that could be
# linked; each survives an error that breaks the others. In brackets: candidate pairs per 1,000
# records, and true pairs that no other rule found, of 50,614 (realistic population of 24,000
# children, former values included); linkage.main.blocking has the counts of the data at hand.
BLOCKING_RULES: dict[str, tuple[str, ...]] = {
    # Everything else may be wrong or missing: hospital records have no names. [290; 2,679]
    "nhs_number": ("l.nhs = r.nhs",),
    # The same between education and social care. [40; 4]
    "upn": ("l.upn = r.upn",),
    # One authority's returns about one child, whatever else changed. [none there]
    "la_child": ("l.la_child = r.la_child",),
    # Moved house, no identifier, misspelt or misheard surname, any first name. [402; 38]
    "birth_date_surname": ("l.surname_sound_birth_date = r.surname_sound_birth_date",),
    # Moved house and changed surname (a step-parent's name, marriage of parents). [391; 61]
    "birth_date_forename": ("l.forename_sound_birth_date = r.forename_sound_birth_date",),
    # No names at all, or both wrong. [918; 9,979]
    "birth_date_sector": ("l.birth_date = r.birth_date", "l.postcode_sector = r.postcode_sector"),
    # Day or month of birth mistyped, moved house. [379; 13]
    "names_birth_year": ("l.names_birth_year = r.names_birth_year",),
    # Birth date wrong or missing, surname changed.
    # [346; 0: a birth date is never missing there]
    "postcode_forename": ("l.forename_sound_postcode = r.forename_sound_postcode",),
    # Day and month of birth swapped. [2; 1]
    "swapped_birth_date": ("l.surname_swapped = r.surname_birth_date",),
    # Birth date wholly wrong or missing, moved round the corner.
    # [325; 0: the same]
    "names_sector": ("l.names = r.names", "l.postcode_sector = r.postcode_sector"),
    # Birth date wholly wrong or missing, moved far; for as long as namesakes are few.
    "names": ("l.names = r.names",),
    # Both names wrong or missing, moved; for as long as few people share a birth date.
    "birth_date": ("l.birth_date = r.birth_date",),
}
# Rules that find too much among many people; used only where they are cheap (linkage/blocking.py).
CHEAP_ONLY = ("names", "birth_date")

# Pairs that are nearly all true, for the prior; and blocks for the sessions of expectation
# maximisation, each of which learns the comparisons it does not itself use.
PRIOR_RULES = ("nhs_number", "upn")
PRIOR_NAMES = "l.names = r.names AND l.birth_date = r.birth_date"
TRAINING_BLOCKS = {
    "nhs_number": "l.nhs = r.nhs",
    "upn": "l.upn = r.upn",
    "names": "l.names = r.names",
    "birth_date_sector": "l.birth_date = r.birth_date AND l.postcode_sector = r.postcode_sector",
    # The only one that meets names of both sides where sources share no identifier.
    "postcode_birth_month": "l.postcode = r.postcode AND l.birth_year_month = r.birth_year_month",
}


FURTHER = ("identifier_", "place_")  # how the columns of further evidence begin


def rule_sql(name: str) -> str:
    """The condition of a blocking rule; a further identifier is a rule by its own name."""
    return " AND ".join(BLOCKING_RULES.get(name, (f"l.{name} = r.{name}",)))


def rules_of(chosen: Parameters) -> tuple[str, ...]:
    """The rules of :data:`BLOCKING_RULES`, and one for each further identifier."""
    return (*BLOCKING_RULES, *(n for n in chosen.further if n.startswith(FURTHER[0])))


def levels_of(hardened: bool, further: Iterable[str] = ()) -> dict[str, Levels]:
    """Every comparison of a model with its levels."""
    return comparison_levels(hardened) | {name: same_levels(name) for name in further}


def further_in(settings: dict[str, Any]) -> tuple[str, ...]:
    """The further evidence that a model was trained with."""
    names = (comparison["output_column_name"] for comparison in settings["comparisons"])
    return tuple(name for name in names if name.startswith(FURTHER))


def settings(
    *,
    hardened: bool = True,
    agreement: dict[str, dict[str, float]] | None = None,
    given: Parameters | None = None,
) -> dict[str, Any]:
    """Splink settings before training, as the dictionary that Splink reads.

    Args:
        hardened: whether the encodings are salted (see :mod:`linked_cyp.identity.encodings`).
        agreement: u by comparison and level, as counted (:mod:`linked_cyp.linkage.model.chance`)
        and,
            for names, from the clear side; the fall-back parameters where it says nothing.
        given: other parameters than those of the file.
    """
    chosen = given or parameters()
    counted = agreement or {}
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "record_id",
        "probability_two_random_records_match": chosen.fallback_prior,
        "comparisons": [
            _comparison(name, levels, chosen, counted.get(name, {}))
            for name, levels in levels_of(hardened, chosen.further).items()
        ],
        "blocking_rules_to_generate_predictions": [
            {"blocking_rule": rule_sql(name), "sql_dialect": "duckdb"} for name in rules_of(chosen)
        ],
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": False,
        "additional_columns_to_retain": ["record_key"],
        "max_iterations": 25,
        "linker_uid": "linked_cyp",
    }


def _comparison(
    name: str, levels: Levels, chosen: Parameters, agreement: dict[str, float]
) -> dict[str, Any]:
    described = []
    for label, sql in levels.items():
        level: dict[str, Any] = {"sql_condition": sql, "label_for_charts": label}
        if label == NULL_LEVEL:
            level["is_null_level"] = True
        else:
            values = chosen.levels[name][label]
            level["m_probability"] = values.m
            level["u_probability"] = agreement.get(label, values.u)
            level["fix_m_probability"] = values.fixed
            level["fix_u_probability"] = True  # counted, never learnt from the pairs of a block
        described.append(level)
    return {
        "output_column_name": name,
        "comparison_description": name.replace("_", " "),
        "comparison_levels": described,
    }
