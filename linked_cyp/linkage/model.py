"""The Splink model as plain functions: comparisons, blocking rules, training rules, settings.

Everything compares columns of ``person_record``: 63-bit tokens, and name encodings in two 64-bit
lanes. The SQL is the common subset of DuckDB and Spark (``bit_count`` is cast because DuckDB's
returns a TINYINT that overflows when lanes are added).
"""

from __future__ import annotations

from typing import Any

from linked_cyp.linkage.parameters import Parameters, parameters

NULL_LEVEL = "missing"
Levels = dict[str, str]  # label -> SQL condition over columns _l and _r, most alike first


def _equal(column: str) -> str:
    return f"{column}_l = {column}_r"


def _missing(*columns: str) -> str:
    return " OR ".join(f"{c}_l IS NULL OR {c}_r IS NULL" for c in columns)


def dice(field: str, threshold: int, hardened: bool) -> str:
    """Dice similarity of two encodings of at least ``threshold`` per cent.

    Encodings under different salts agree only by chance, so they are not compared: the salt is the
    date of birth with the sound of the other name.
    """
    common = " + ".join(
        f"CAST(bit_count({field}_lane_{n}_l & {field}_lane_{n}_r) AS INTEGER)" for n in (0, 1)
    )
    alike = f"200 * ({common}) >= {threshold} * ({field}_bits_l + {field}_bits_r)"
    # Two missing encodings would agree in all their 0 bits.
    alike = f"{field}_bits_l > 0 AND {field}_bits_r > 0 AND {alike}"
    other = {"forename": "surname", "surname": "forename"}[field]
    return f"{_equal(f'{other}_sound_birth_date')} AND {alike}" if hardened else alike


def _name_missing(field: str, hardened: bool) -> str:
    """Nothing to compare: a name is missing, or salted by another date and in another postcode.

    Yet both names together may agree.
    """
    not_by_date = _missing(f"{field}_birth_date")
    if hardened:
        # By the date's parts: Splink learns no comparison in a block that shares a column with it.
        same_date = f"{_equal('birth_year_month')} AND {_equal('birth_month_day')}"
        not_by_date += f" OR NOT coalesce({same_date}, FALSE) AND {_differ('postcode')}"
    return (
        f"({not_by_date}) AND NOT coalesce({_equal(f'{field}_postcode')}, FALSE)"
        f" AND NOT coalesce({_equal('names')}, FALSE)"
    )


def _differ(column: str) -> str:
    return f"NOT coalesce({_equal(column)}, FALSE)"


def _name_exact(field: str) -> str:
    columns = (f"{field}_birth_date", f"{field}_postcode", "names")
    return " OR ".join(_equal(column) for column in columns)


def _another_form() -> str:
    """LIZ for ELIZABETH, ALEX for either of two names; or a middle name used as the first."""
    forms = [f"forename_form_{a}_l = forename_form_{b}_r" for a in (1, 2) for b in (1, 2)]
    # Never middle name with middle name: twins may share it.
    used = ["forename_second_l = forename_form_1_r", "forename_form_1_l = forename_second_r"]
    return " OR ".join(forms + used)


def forename_levels(hardened: bool) -> Levels:
    twin = f"{_equal('surname_birth_date')} OR {_equal('surname_sound_birth_date')}"
    if not hardened:  # hardened surnames can be misspelt only under the same first name
        twin += f" OR ({_equal('birth_date')} AND {dice('surname', 80, hardened)})"
    return {
        NULL_LEVEL: _name_missing("forename", hardened),
        "exact": _name_exact("forename"),
        "dice_80": dice("forename", 80, hardened),
        "sound": f"{_equal('forename_sound_birth_date')} OR {_equal('forename_sound_postcode')}",
        "form": _another_form(),
        "dice_60": dice("forename", 60, hardened),
        "dice_45": dice("forename", 45, hardened),
        # Another first name, same birth date, same surname: a twin until an identifier says no.
        "twin": twin,
        "differ": "ELSE",
    }


def surname_levels(hardened: bool) -> Levels:
    part = " OR ".join(f"surname_part_{a}_l = surname_part_{b}_r" for a in (1, 2) for b in (1, 2))
    return {
        NULL_LEVEL: _name_missing("surname", hardened),
        "exact": _name_exact("surname"),
        "dice_80": dice("surname", 80, hardened),
        "part": part,  # SMITH and SMITH-JONES
        "sound": _equal("surname_sound_birth_date"),
        "dice_60": dice("surname", 60, hardened),
        "dice_45": dice("surname", 45, hardened),
        "differ": "ELSE",
    }


def birth_date_levels() -> Levels:
    parts = (_equal("birth_year_month"), _equal("birth_year_day"), _equal("birth_month_day"))
    return {
        NULL_LEVEL: _missing("birth_date"),
        "exact": _equal("birth_date"),
        "swapped": "birth_date_l = birth_date_swapped_r",  # 03/04 written as 04/03
        "two_parts": " OR ".join(parts),
        # 1 January is what people write when they only know the year.
        "estimated": "birth_year_only_l = birth_year_r OR birth_year_l = birth_year_only_r",
        "differ": "ELSE",
    }


def postcode_levels() -> Levels:
    return {
        NULL_LEVEL: _missing("postcode"),
        "exact": _equal("postcode"),
        "sector": _equal("postcode_sector"),
        "district": _equal("postcode_district"),  # most moves are short
        "differ": "ELSE",
    }


def _same(column: str) -> Levels:
    return {NULL_LEVEL: _missing(column), "exact": _equal(column), "differ": "ELSE"}


def comparison_levels(hardened: bool = True) -> dict[str, Levels]:
    """Every comparison with its levels, in the order in which they appear in the model."""
    return {
        "nhs": _same("nhs"),
        "upn": _same("upn"),
        "la_child": {
            NULL_LEVEL: f"{_missing('la_child')} OR supplier_l <> supplier_r",
            "exact": _equal("la_child"),
            "differ": "ELSE",
        },
        "forename": forename_levels(hardened),
        "surname": surname_levels(hardened),
        "birth_date": birth_date_levels(),
        "sex": _same("sex"),
        "postcode": postcode_levels(),
    }


def level_number(comparison: str, label: str, hardened: bool = True) -> int:
    """Splink's number of a level in ``gamma_<comparison>``: missing -1, else 0, exact highest."""
    labels = list(comparison_levels(hardened)[comparison])
    return -1 if label == NULL_LEVEL else len(labels) - 1 - labels.index(label)


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


def rule_sql(name: str) -> str:
    return " AND ".join(BLOCKING_RULES[name])


def settings(
    *,
    hardened: bool = True,
    agreement: dict[str, dict[str, float]] | None = None,
    given: Parameters | None = None,
) -> dict[str, Any]:
    """Splink settings before training, as the dictionary that Splink reads.

    Args:
        hardened: whether the encodings are salted (see :mod:`linked_cyp.linkage.encodings`).
        agreement: u by comparison and level, as counted (:mod:`linked_cyp.linkage.chance`) and,
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
            for name, levels in comparison_levels(hardened).items()
        ],
        "blocking_rules_to_generate_predictions": [
            {"blocking_rule": rule_sql(name), "sql_dialect": "duckdb"} for name in BLOCKING_RULES
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
