"""How two person records may agree: every comparison with its levels, most alike first."""

from __future__ import annotations

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
        # SMITH and SMITH-JONES; before dice_80, which a long name with a short one added reaches.
        "part": part,
        # Before dice_80, so that what is left there is alike in writing alone: ISLAM and ASLAM.
        "sound": _equal("surname_sound_birth_date"),
        "dice_80": dice("surname", 80, hardened),
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


def same_levels(column: str) -> Levels:
    """Equal or not: numbers, and whatever else a frame of records brings along."""
    return {NULL_LEVEL: _missing(column), "exact": _equal(column), "differ": "ELSE"}


def comparison_levels(hardened: bool = True) -> dict[str, Levels]:
    """Every comparison with its levels, in the order in which they appear in the model."""
    return {
        "nhs": same_levels("nhs"),
        "upn": same_levels("upn"),
        "la_child": {
            NULL_LEVEL: f"{_missing('la_child')} OR supplier_l <> supplier_r",
            "exact": _equal("la_child"),
            "differ": "ELSE",
        },
        "forename": forename_levels(hardened),
        "surname": surname_levels(hardened),
        "birth_date": birth_date_levels(),
        "sex": same_levels("sex"),
        "postcode": postcode_levels(),
    }


def level_number(comparison: str, label: str, hardened: bool = True) -> int:
    """Splink's number of a level in ``gamma_<comparison>``: missing -1, else 0, exact highest."""
    labels = list(comparison_levels(hardened)[comparison])
    return -1 if label == NULL_LEVEL else len(labels) - 1 - labels.index(label)
