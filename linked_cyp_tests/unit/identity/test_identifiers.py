"""Identifiers: known answers, and properties that hold for any text."""

from __future__ import annotations

import datetime as dt
import string

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linked_cyp.identity.identifiers import (
    IDENTIFIERS,
    UPN_LETTERS,
    default_birth_date,
    estimated_birth_date,
    nhs_number_range,
    on_series,
    plain,
    postcode_sector,
    standardise_id,
    standardise_nhs_number,
    standardise_postcode,
    standardise_upn,
    temporary_upn,
    usable_birth_date,
    valid_nhs_number,
    valid_postcode,
    valid_uln,
    valid_upn,
)

many = settings(max_examples=30, deadline=None)
digits = st.text(string.digits, min_size=9, max_size=9)
blank = ["", "  ", "\t", None, "unknown", "N/A"]


def nhs_check_digit(nine: str) -> int:
    """The check digit as the NHS Data Dictionary words it; 10 means: not issued."""
    remainder = sum(int(d) * w for d, w in zip(nine, range(10, 1, -1), strict=True)) % 11
    return 0 if remainder == 0 else 11 - remainder


def upn_check_letter(twelve: str) -> str:
    """The check letter as the DfE guide words it."""
    values = [UPN_LETTERS.index(c) if c.isalpha() else int(c) for c in twelve]
    total = sum(v * w for v, w in zip(values, range(2, 14), strict=True))
    return UPN_LETTERS[total % 23]


@pytest.mark.parametrize("number", ["9434765919", "9990000018", "9434765870", "943 476 5919"])
def test_known_nhs_numbers_are_valid(number: str) -> None:
    assert plain(valid_nhs_number, number) is True


@given(digits, st.integers(0, 9))
@many
def test_an_nhs_number_has_exactly_one_right_check_digit(nine: str, digit: int) -> None:
    number = nine + str(digit)
    issued = plain(nhs_number_range, number) != "unallocated"
    expected = issued and nhs_check_digit(nine) == digit
    repeated = len(set(number)) == 1
    assert plain(valid_nhs_number, number) == (None if repeated else expected)


@pytest.mark.parametrize(
    ("head", "issuer"),
    [
        ("400", "england_wales"),
        ("499", "england_wales"),
        ("600", "england_wales"),
        ("799", "england_wales"),
        ("320", "northern_ireland"),
        ("399", "northern_ireland"),
        ("010", "scotland"),
        ("311", "scotland"),
        ("900", "test"),
        ("999", "test"),
        ("009", "unallocated"),
        ("312", "unallocated"),
        ("500", "unallocated"),
        ("599", "unallocated"),
        ("800", "unallocated"),
        ("899", "unallocated"),
    ],
)
def test_ranges_of_nhs_numbers(head: str, issuer: str) -> None:
    numbers = [head + f"{n:06}" for n in range(12)]
    whole = [n + str(nhs_check_digit(n)) for n in numbers if nhs_check_digit(n) < 10]
    assert {plain(nhs_number_range, n) for n in whole} == {issuer}
    assert {plain(valid_nhs_number, n) for n in whole} == {issuer != "unallocated"}


@pytest.mark.parametrize("number", [d * 10 for d in string.digits] + blank)
def test_placeholders_are_no_nhs_number(number: str | None) -> None:
    assert plain(standardise_nhs_number, number) is None
    assert plain(valid_nhs_number, number) is None


@pytest.mark.parametrize(
    "number", ["943476591", "94347659190", "943476591X", "٩٤٣٤٧٦٥٩١٩", "+434765919"]
)
def test_other_shapes_are_not_valid_nhs_numbers(number: str) -> None:
    assert plain(valid_nhs_number, number) is False


@given(
    st.text(string.digits, min_size=11, max_size=11), st.sampled_from(string.digits + UPN_LETTERS)
)
@many
def test_a_upn_has_exactly_one_right_check_letter(eleven: str, last: str) -> None:
    right = upn_check_letter(eleven + last)
    candidates = pl.Series([letter + eleven + last for letter in UPN_LETTERS])
    verdicts = on_series(valid_upn, candidates).to_list()
    assert verdicts == [letter == right for letter in UPN_LETTERS]
    assert plain(temporary_upn, right + eleven + last) == last.isalpha()


def test_known_upns() -> None:
    assert plain(valid_upn, "B801200005001") is True
    assert plain(valid_upn, " b8012 00005001") is True
    assert plain(valid_upn, "P207000016049") is True
    assert plain(valid_upn, "Q207000016049") is False  # a vendor's wrong example
    for wrong in ("B80120000500", "B8012000050011", "8801200005001", "I801200005001"):
        assert plain(valid_upn, wrong) is False


@pytest.mark.parametrize("code", ["UN1", "UN5", "UN7", "un3", *blank])
def test_reasons_for_no_upn_are_missing(code: str | None) -> None:
    assert plain(standardise_upn, code) is None
    assert plain(valid_upn, code) is None


@given(digits)
@many
def test_a_uln_has_at_most_one_right_check_digit(nine: str) -> None:
    remainder = sum(int(d) * w for d, w in zip(nine, range(10, 1, -1), strict=True)) % 11
    verdicts = on_series(valid_uln, pl.Series([f"{nine}{d}" for d in range(10)]))
    valid = [d for d, verdict in enumerate(verdicts) if verdict]
    expected = [10 - remainder] if remainder and nine[0] != "0" else []
    assert valid == (expected if len(set(f"{nine}{10 - remainder}")) > 1 else [])


@pytest.mark.parametrize(
    ("written", "standard", "valid", "sector"),
    [
        ("nw105ab", "NW10 5AB", True, "NW10 5"),
        (" Nw10  5aB ", "NW10 5AB", True, "NW10 5"),
        ("SW1A OAA", "SW1A 0AA", True, "SW1A 0"),
        ("E1 6AN", "E1 6AN", True, "E1 6"),
        ("EC1A1BB", "EC1A 1BB", True, "EC1A 1"),
        ("W1A-1HQ", "W1A 1HQ", True, "W1A 1"),
        ("GIR0AA", "GIR 0AA", True, "GIR 0"),
        ("NW10", "NW10", False, None),
        ("AB1 2CD", "AB1 2CD", False, None),
        ("QX1 1AB", "QX1 1AB", False, None),
        ("NW10 5AB1", "NW105 AB1", False, None),
        ("ZZ99 3VZ", None, None, None),
        ("zz993wz", None, None, None),
        ("AA1 1AA", None, None, None),
        ("not known", None, None, None),
        ("...", None, None, None),
        ("", None, None, None),
        (None, None, None, None),
    ],
)
def test_postcodes(
    written: str | None, standard: str | None, valid: bool | None, sector: str | None
) -> None:
    assert plain(standardise_postcode, written) == standard
    assert plain(valid_postcode, written) == valid
    assert plain(postcode_sector, written) == sector


@pytest.mark.parametrize(
    ("written", "standard"), [(" ab  c1 ", "AB C1"), (12, "12"), *((b, None) for b in blank)]
)
def test_ids_have_one_spelling(written: object, standard: str | None) -> None:
    assert plain(standardise_id, written) == standard


@given(st.lists(st.none() | st.text(max_size=16), max_size=20))
@many
def test_any_text_gets_a_verdict_and_a_stable_spelling(values: list[str | None]) -> None:
    texts = pl.Series("x", values, dtype=pl.String)
    for identifier in IDENTIFIERS.values():
        standard = on_series(identifier.standardise, texts)
        assert on_series(identifier.standardise, standard).equals(standard, null_equal=True)
        verdicts = on_series(identifier.valid, texts)
        assert verdicts.is_null().equals(standard.is_null())
        usable = on_series(identifier.usable, texts)
        assert usable.is_null().equals(~verdicts.fill_null(False))
        assert usable.name == "x"


def test_one_value_and_a_column_are_judged_alike() -> None:
    texts = ["9434765919", "9434765918", None, "0000000000"]
    column = on_series(valid_nhs_number, pl.Series(texts)).to_list()
    assert column == [plain(valid_nhs_number, text) for text in texts] == [True, False, None, None]


@pytest.mark.parametrize(
    ("born", "default", "estimated"),
    [
        (dt.date(1900, 1, 1), True, True),
        (dt.date(1899, 12, 30), True, False),
        (dt.date(9999, 12, 31), True, False),
        (dt.date(12, 3, 4), True, False),
        (dt.date(2010, 1, 1), False, True),
        (dt.date(2012, 2, 29), False, False),
    ],
)
def test_default_and_estimated_birth_dates(born: dt.date, default: bool, estimated: bool) -> None:
    assert plain(default_birth_date, born) is default
    assert plain(estimated_birth_date, born) is estimated
    assert plain(usable_birth_date, born) == (None if default else born)


def test_a_missing_birth_date_stays_missing() -> None:
    missing = pl.Series([None], dtype=pl.Date)
    for rule in (default_birth_date, estimated_birth_date, usable_birth_date):
        assert on_series(rule, missing).to_list() == [None]
