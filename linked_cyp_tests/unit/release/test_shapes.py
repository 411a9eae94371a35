"""What the last look at a release finds, and what it lets pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.release.shapes import declared_codes, is_snomed, shapes_of

SEEDS = PROJECT_ROOT / "dbt_project" / "seeds"

CODES = (
    *("E09000033", "E01000001", "100123", "J45.9", "F82.X", "RYJ", "E84001", "01060400", "213"),
    *("2024/2025", "2024-Q1", "WBRI", "Not known", "White British", "kg/m2", "10*9/L", "0-4"),
    *("Under 16", "5 to 9 days", "C2", "<10", "IMD 2019: 1", "U076", "1.5", "06:30"),
)


def found(text: str) -> list[str]:
    return list(shapes_of(text))


@pytest.mark.parametrize("text", CODES)
def test_codes_and_labels_have_no_such_shape(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("NW10 2AB", "a postcode"),
        ("lives at nw102ab now", "a postcode"),
        ("B801200005001", "a UPN"),
        ("0" * 32, "a hash"),
        ("x@example.org", "an e-mail address"),
        ("+44 7700 900123", "a telephone number"),
        ("(020) 7946 0000", "a telephone number"),
        ("2010-05-04", "a date"),
        ("4.5.2010", "a date"),
        ("943-476-5919", "a number of ten digits"),
        (" ABDULLAHI ", "a name"),
    ],
)
def test_what_only_an_identity_looks_like_is_found(text: str, what: str) -> None:
    assert what in found(text)


@pytest.mark.parametrize(
    "code", ["404684003", "138875005", "22298006", "761841000", "999000011000001104"]
)
def test_snomed_identifiers_are_codes(code: str) -> None:
    assert is_snomed(code)
    wrong = code[:-1] + str((int(code[-1]) + 1) % 10)
    assert not is_snomed(wrong)


def test_a_declared_code_is_no_name_as_it_is_declared() -> None:
    codes = declared_codes(load_contracts(PROJECT_ROOT / "data_contracts"), SEEDS)
    for text in ("SAM", "RAJ"):  # a language, a trust
        assert list(shapes_of(text, codes)) == []
    for text in ("Sam", "SAMUEL"):
        assert list(shapes_of(text, codes)) == ["a name"]


@given(st.integers(100, 10**12), st.sampled_from(["00", "10"]))
def test_one_check_digit_in_ten_is_right(number: int, partition: str) -> None:
    assert sum(is_snomed(f"{number}{partition}{last}") for last in range(10)) == 1


@given(st.integers(10**8, 10**17))
def test_a_long_number_in_words_is_never_a_code(number: int) -> None:
    assert "a long number" in shapes_of(f"see {number}")
