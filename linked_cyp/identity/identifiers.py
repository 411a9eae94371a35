"""Identifiers: standardise and validate NHS numbers, UPNs, ULNs, postcodes, ids and birth dates.

Every rule is written once, as a function from a Polars expression to a Polars expression;
:func:`plain` applies the same rule to one Python value, :func:`on_series` to a series. Use rules
in lazy frames: they repeat parts, which Polars computes once there but each time in an eager
``select`` (ten times slower). For each kind of identifier:

* ``standardise_<kind>``: its one spelling, whether valid or not; null when blank or a placeholder;
* ``valid_<kind>``: whether it can be a real one; null when blank or a placeholder;
* ``IDENTIFIERS[kind].usable``: the one spelling when valid, else null (what linkage may use).

Names of people are in :mod:`linked_cyp.identity.names`.

Sources: NHS Data Dictionary (NHS NUMBER); Department for Education, Unique Pupil Numbers guide;
Learning Records Service (ULN check digit); Royal Mail postcode formats; NHS Postcode Directory
(ZZ99 pseudo-postcodes).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import polars as pl

Rule = Callable[[pl.Expr], pl.Expr]

UPN_LETTERS = "ABCDEFGHJKLMNPQRTUVWXYZ"  # 23 letters: no I, O or S
_UPN_LAST = {str(n): n for n in range(10)} | {letter: n for n, letter in enumerate(UPN_LETTERS)}
_REPEATED_DIGIT = "|".join(f"{digit}{{10}}" for digit in range(10))
# Whole-text patterns, shared with the database macros of linked_cyp.expectations.
# What systems and people write where there is no number; "" is one of them.
NO_ID = (
    r"UNKNOWN|NOT ?KNOWN|[<(\[]?NULL[>)\]]?|\\N|NONE|NAN|NA|#?N/A|N/?K|TBC|TBA|PENDING|AWAITED"
    r"|MISSING|NOT ?AVAILABLE|NOT ?APPLICABLE|X{2,}|[-.?]+|"
)
# Characters that are not seen: soft hyphen, zero-width, direction and byte order marks.
UNSEEN = r"[\x{AD}\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2064}\x{FEFF}]"
# How spreadsheets keep a number from being one: ="101", '101.
FORMULA = '^="([^"]*)"$'
QUOTED = "^['`\u2018\u2019\"]+([^'`\u2018\u2019\"]*)['\u2018\u2019\"]*$"
THOUSANDS = r"^[0-9]{1,3}(,[0-9]{3})+(\.0*)?$"
DECIMAL = r"^([0-9]+)\.0*$"
LEADING_ZEROS = "^0+([0-9])"
_FIRST = "[A-PR-UWYZ]"
POSTCODE = (
    f"(GIR|{_FIRST}[0-9]{{1,2}}|{_FIRST}[0-9][A-HJKPSTUW]|{_FIRST}[A-HK-Y][0-9]{{1,2}}"
    f"|{_FIRST}[A-HK-Y][0-9][ABEHMNPRVWXY]) [0-9][ABD-HJLNP-UW-Z]{{2}}"
)
# ZZ99 stands for a country, no fixed abode or not known; AA and XX satisfy a form; a text without
# a digit is a remark.
NOT_A_PLACE = "ZZ.*|XX.*|AA[0-9]{1,2} [0-9]AA|A1 1AA|[A-Z ]*"
# A letter O where only a digit can stand: the first of the inward code.
O_FOR_ZERO = "(GIR|[A-Z]{1,2}[0-9][A-Z0-9]?)O([A-Z]{2})"
# Zero dates of spreadsheets and databases, and dates that systems put where none is known.
_DEFAULT_DATES = (
    dt.date(1899, 12, 30),
    dt.date(1899, 12, 31),
    dt.date(1900, 1, 1),
    dt.date(1901, 1, 1),
    dt.date(1904, 1, 1),
    dt.date(1970, 1, 1),
    dt.date(2999, 12, 31),
    dt.date(9999, 12, 31),
)
_EARLIEST_BIRTH = dt.date(1890, 1, 1)


def plain(rule: Rule, value: Any) -> Any:
    """Apply a rule to one Python value (text, date or None)."""
    dtype = pl.String if value is None else None
    return pl.select(rule(pl.lit(value, dtype=dtype))).item()


def on_series(rule: Rule, values: pl.Series) -> pl.Series:
    """Apply a rule to a whole series; same length, order and name."""
    frame = pl.LazyFrame({"value": values})
    return frame.select(rule(pl.col("value")).alias(values.name)).collect().to_series()


def standardise_id(values: pl.Expr) -> pl.Expr:
    """A supplier's own id in one spelling, however spreadsheets have written it.

    Upper case, white space in it one space; ``101.0``, ``="101"``, ``'101``, ``0101`` and, for
    1101, ``1,101`` lose what was put around the number. ``linked_cyp_id_text`` is the same in SQL.
    """
    text = _bare(values)
    number = text.str.replace(LEADING_ZEROS, "${1}")
    return _null_where(pl.when(text.str.contains("^[0-9]+$")).then(number).otherwise(text), NO_ID)


def standardise_nhs_number(values: pl.Expr) -> pl.Expr:
    """An NHS number without spaces and hyphens; one repeated digit is a placeholder."""
    return _null_where(_compact(values), _REPEATED_DIGIT)


def valid_nhs_number(values: pl.Expr) -> pl.Expr:
    """Ten digits, in a range that is issued or set aside for tests, with the right check digit.

    Check digit: 11 - (sum of digits 1 to 9 x 10 to 2) mod 11; 11 is written 0, 10 is not issued.
    """
    number = standardise_nhs_number(values)
    check = (11 - _weighted(number, range(10, 1, -1)) % 11) % 11
    shaped = number.str.contains("^[0-9]{10}$") & (nhs_number_range(values) != "unallocated")
    return _known(number, shaped & (check == _digit(number, 9)))


def nhs_number_range(values: pl.Expr) -> pl.Expr:
    """Who issues NHS numbers that begin like this one; null when there is no number.

    ``england_wales`` (400-499, 600-799), ``northern_ireland`` (320-399), ``scotland`` (010-311,
    the Community Health Index), ``test`` (900-999, never issued to a person; synthetic data use
    999) or ``unallocated``.
    """
    number = standardise_nhs_number(values)
    head = number.str.slice(0, 3).cast(pl.Int32, strict=False)
    return (
        pl.when(number.is_null())
        .then(pl.lit(None, dtype=pl.String))
        .when(head.is_between(400, 499) | head.is_between(600, 799))
        .then(pl.lit("england_wales"))
        .when(head.is_between(320, 399))
        .then(pl.lit("northern_ireland"))
        .when(head.is_between(10, 311))
        .then(pl.lit("scotland"))
        .when(head.is_between(900, 999))
        .then(pl.lit("test"))
        .otherwise(pl.lit("unallocated"))
    )


def standardise_upn(values: pl.Expr) -> pl.Expr:
    """A unique pupil number in upper case without spaces.

    UN1 to UN7 (SSDA903 to UN5, CIN census to UN7) say why a child has none: they are null.
    """
    return _null_where(_compact(values), "UN[1-7]")


def valid_upn(values: pl.Expr) -> pl.Expr:
    """A check letter and twelve digits, of which the last is a letter in a temporary UPN.

    The check letter has the place (sum of characters 2 to 13 x 2 to 13) mod 23 in
    :data:`UPN_LETTERS`; a temporary UPN's last letter counts as its own place there, A being 0.
    """
    number = standardise_upn(values)
    last = number.str.slice(12, 1).replace_strict(_UPN_LAST, default=None, return_dtype=pl.Int32)
    place = (_weighted(number.str.slice(1), range(2, 13)) + 13 * last) % 23
    check = place.replace_strict(dict(enumerate(UPN_LETTERS)), default=None, return_dtype=pl.String)
    shaped = number.str.contains(f"^[{UPN_LETTERS}][0-9]{{11}}[0-9{UPN_LETTERS}]$")
    return _known(number, shaped & (check == number.str.slice(0, 1)))


def temporary_upn(values: pl.Expr) -> pl.Expr:
    """Whether a UPN is temporary (ends in a letter): replaced later, so no key to link by."""
    return standardise_upn(values).str.contains("^[A-Z][0-9]{11}[A-Z]$")


def standardise_uln(values: pl.Expr) -> pl.Expr:
    """A unique learner number without spaces; 9999999999 (none yet) and the like are null."""
    return _null_where(_compact(values), _REPEATED_DIGIT)


def valid_uln(values: pl.Expr) -> pl.Expr:
    """Ten digits, the first not 0, with the right check digit.

    Check digit: 10 - (sum of digits 1 to 9 x 10 to 2) mod 11; a remainder of 0 is not issued.
    """
    number = standardise_uln(values)
    remainder = _weighted(number, range(10, 1, -1)) % 11
    shaped = number.str.contains("^[1-9][0-9]{9}$") & (remainder != 0)
    return _known(number, shaped & (10 - remainder == _digit(number, 9)))


def standardise_postcode(values: pl.Expr) -> pl.Expr:
    """A postcode as outward code, one space, inward code; pseudo-postcodes are null.

    A letter O in place of the inward code's digit is read as zero.
    """
    text = values.cast(pl.String).str.to_uppercase().str.replace_all("[^A-Z0-9]", "")
    mended = text.str.replace(f"^{O_FOR_ZERO}$", "${1}0${2}")
    spaced = mended.str.replace("^([A-Z0-9]{2,})([A-Z0-9]{3})$", "$1 $2")
    return _null_where(spaced, NOT_A_PLACE)


def valid_postcode(values: pl.Expr) -> pl.Expr:
    """Whether a postcode has one of Royal Mail's formats (not whether it is in use)."""
    postcode = standardise_postcode(values)
    return _known(postcode, postcode.str.contains(f"^{POSTCODE}$"))


def postcode_sector(values: pl.Expr) -> pl.Expr:
    """The sector of a valid postcode: ``NW10 5`` of ``NW10 5AB``; null otherwise."""
    return pl.when(valid_postcode(values)).then(
        standardise_postcode(values).str.replace("[A-Z]{2}$", "")
    )


def postcode_district(values: pl.Expr) -> pl.Expr:
    """The district (outward code) of a valid postcode: ``NW10`` of ``NW10 5AB``; else null."""
    return pl.when(valid_postcode(values)).then(
        standardise_postcode(values).str.replace(" .*$", "")
    )


def default_birth_date(values: pl.Expr) -> pl.Expr:
    """Whether a date of birth is one that systems put where none is known, or before 1890."""
    return values.is_in(_DEFAULT_DATES) | (values < _EARLIEST_BIRTH)


def estimated_birth_date(values: pl.Expr) -> pl.Expr:
    """Whether a date of birth is 1 January, as written when only the year or the age is known."""
    return (values.dt.month() == 1) & (values.dt.day() == 1)


def usable_birth_date(values: pl.Expr) -> pl.Expr:
    """The date of birth, or null when :func:`default_birth_date`."""
    return pl.when(~default_birth_date(values)).then(values)


@dataclass(frozen=True)
class Identifier:
    """One kind of identifier: its one spelling and what makes it valid."""

    standardise: Rule
    valid: Rule

    def usable(self, values: pl.Expr) -> pl.Expr:
        """The one spelling of a valid value, else null."""
        return pl.when(self.valid(values)).then(self.standardise(values))


IDENTIFIERS: Mapping[str, Identifier] = MappingProxyType(
    {
        "nhs_number": Identifier(standardise_nhs_number, valid_nhs_number),
        "upn": Identifier(standardise_upn, valid_upn),
        "uln": Identifier(standardise_uln, valid_uln),
        "postcode": Identifier(standardise_postcode, valid_postcode),
    }
)


def _bare(values: pl.Expr) -> pl.Expr:
    """An id without what is not seen and what spreadsheets put around it."""
    text = values.cast(pl.String).str.to_uppercase().str.replace_all(UNSEEN, "")
    text = text.str.replace_all(r"\s+", " ").str.strip_chars()
    text = text.str.replace(FORMULA, "${1}").str.replace(QUOTED, "${1}").str.strip_chars()
    without = text.str.replace_all(",", "", literal=True)
    text = pl.when(text.str.contains(THOUSANDS)).then(without).otherwise(text)
    return text.str.replace(DECIMAL, "${1}")


def _compact(values: pl.Expr) -> pl.Expr:
    text = _bare(values).str.replace_all(r"[\s\-\u2010-\u2015]", "")
    return _null_where(text, NO_ID)


def _null_where(text: pl.Expr, whole: str) -> pl.Expr:
    return pl.when(~text.str.contains(f"^({whole})$")).then(text)


def _known(value: pl.Expr, valid: pl.Expr) -> pl.Expr:
    """A verdict: null without a value, false where a part of the rule could not be computed."""
    return pl.when(value.is_not_null()).then(valid.fill_null(False))


def _digit(text: pl.Expr, position: int) -> pl.Expr:
    return text.str.slice(position, 1).cast(pl.Int32, strict=False)


def _weighted(text: pl.Expr, weights: Sequence[int]) -> pl.Expr:
    """Sum of digit x weight from the start of the text; null when one is not a digit."""
    return pl.sum_horizontal(
        *(_digit(text, position) * weight for position, weight in enumerate(weights)),
        ignore_nulls=False,
    )
