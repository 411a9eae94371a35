"""The DuckDB macros agree with `linked_cyp.identity.identifiers`, value by value."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linked_cyp.contracts.model import load_codesets
from linked_cyp.identity import identifiers
from linked_cyp.identity.macros import create_macros

CON = duckdb.connect()
create_macros(CON)

LETTERS = identifiers.UPN_LETTERS
GAPS = st.sampled_from(["", " ", "-", "\u00a0", "\u2013", "\t"])


def answers(macro: str, values: list[str | None]) -> list[bool | None]:
    frame = pl.DataFrame({"position": range(len(values)), "v": pl.Series(values, dtype=pl.String)})
    query = f"SELECT linked_cyp_{macro}(v) FROM frame ORDER BY position"
    CON.register("frame", frame.to_arrow())
    return [row[0] for row in CON.execute(query).fetchall()]


def nhs_number(nine: str) -> str:
    total = sum(int(d) * w for d, w in zip(nine, range(10, 1, -1), strict=True))
    return nine + str((11 - total % 11) % 11 % 10)


def upn(twelve: str) -> str:
    last = twelve[-1]
    values = [*map(int, twelve[:-1]), int(last) if last.isdigit() else LETTERS.index(last)]
    return LETTERS[sum(v * w for v, w in zip(values, range(2, 14), strict=True)) % 23] + twelve


digits = st.text("0123456789", min_size=9, max_size=9)
junk = st.text("0123456789 -ABISOUNXZ\u00e9\u2013/\u00a0", max_size=14)
nhs_numbers = st.one_of(
    digits.map(nhs_number),
    st.builds(lambda n, gap: gap.join((n[:3], n[3:6], n[6:])), digits.map(nhs_number), GAPS),
    st.text("0123456789", min_size=10, max_size=10),
    st.sampled_from(["0000000000", "9999999999", "NULL", "n/a", "unknown", ""]),
    junk,
)
upns = st.one_of(
    st.builds(
        lambda a, b: upn(a + b),
        st.text("0123456789", min_size=11, max_size=11),
        st.sampled_from("0123456789" + LETTERS),
    ),
    st.from_regex(r"[A-Za-z][0-9]{11}[0-9A-Za-z]", fullmatch=True).filter(str.isascii),
    st.sampled_from(["UN1", "un7", "UN8", "UN", "NULL", ""]),
    junk,
)
postcodes = st.one_of(
    st.from_regex(r"[A-Za-z]{1,2}[0-9][0-9A-Za-z]? {0,2}[0-9O][A-Za-z]{2}", fullmatch=True),
    st.sampled_from(["ZZ99 3CZ", "NFA", "GIR 0AA", "A1 1AA", "AA1 1AA", "xx1 1xx", "", "N/A"]),
    junk,
)
KINDS = {"nhs_number": nhs_numbers, "upn": upns, "uln": nhs_numbers, "postcode": postcodes}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_macros_agree_with_the_python_definitions(kind: str, data: st.DataObject):
    values = data.draw(st.lists(KINDS[kind], min_size=5, max_size=25))
    verdicts = identifiers.on_series(
        identifiers.IDENTIFIERS[kind].valid, pl.Series(values, dtype=pl.String)
    ).to_list()
    assert answers(f"valid_{kind}", values) == [v is True for v in verdicts]
    assert answers(f"accepted_{kind}", values) == [v is not False for v in verdicts]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("nhs_number", ["9434765919", "999 000 0018", "943-476-5870"], ["9434765918", "123"]),
        ("upn", ["B801200005001", "P207000016049"], ["Q207000016049", "B80120000500"]),
        ("uln", ["1000000051"], ["1000000052", "0123456789", "123"]),
        ("postcode", ["SW1A 1AA", "nw105ab", "M1 1AE"], ["SW1A 1CA", "QQ1 1AA", "12345"]),
    ],
)
def test_known_identifiers(kind: str, good: list[str], bad: list[str]):
    assert answers(f"valid_{kind}", good) == [True] * len(good)
    assert answers(f"accepted_{kind}", bad) == [False] * len(bad)
    assert answers(f"accepted_{kind}", [None]) != [False]


HOLDING = [
    "9434765919",
    "943 476 5919",
    "ring 999-000-0018 first",
    "0000000001/9434765919",
    "B801200005001",
    "upn=b801200005001;",
    "SW1A 1AA",
    "sw1a1aa",
    "moved from M1 1AE in May",
]
FREE = [
    "",
    "M45X",
    "G01XA",  # ICD-10 with filler and asterisk, and the form of a Glasgow postcode
    "I10XX",
    "E01000001",
    "95AA01S1",
    "9434765918",
    "A801200005001",
    "12345678901234567",
    "SNOMED 386661006",
    "Referral received from school nurse",
    "2024-Oct-16 00:00:00",
]


@pytest.mark.parametrize("text", HOLDING)
def test_identifiers_are_found_inside_text(text: str):
    assert answers("holds_no_identifier", [text]) == [False]


@pytest.mark.parametrize("text", FREE)
def test_codes_are_not_taken_for_identifiers(text: str):
    assert answers("holds_no_identifier", [text]) == [True]


def test_no_code_of_any_codeset_is_taken_for_an_identifier():
    codesets = load_codesets(Path(__file__).parents[3] / "data_contracts" / "codesets")
    codes = sorted({code for codeset in codesets.values() for code in codeset.values})
    assert len(codes) > 500
    verdicts = answers("holds_no_identifier", codes)
    assert [c for c, free in zip(codes, verdicts, strict=True) if not free] == []


@settings(max_examples=20, deadline=None)
@given(before=st.text("abc ,;/=", max_size=8), after=st.text("xyz .,;/", max_size=8), number=digits)
def test_a_valid_number_cannot_hide_in_text(before: str, after: str, number: str):
    whole = nhs_number(number)
    valid = answers("valid_nhs_number", [whole])[0]
    assert answers("holds_no_identifier", [before + whole + after]) == [not valid]


IDS = st.one_of(
    st.from_regex(r"\A[='\" 0-9,.A-Za-z/\u200b\u00a0-]{0,12}\Z"),
    st.sampled_from(['="101"', "'101", "101.0", "1,101", "1,101.00", "00101", "\u200b101 ", "tbc"]),
)


def test_an_id_has_one_spelling():
    written = ['="101"', "'101", "101.0", "00101", "\u200b101 ", "\u00a0101", "101"]
    assert answers("id_text", written) == ["101"] * len(written)
    assert answers("id_text", ["1,101", "1,101.00", "ab 12"]) == ["1101", "1101", "AB 12"]


@settings(max_examples=150, deadline=None)
@given(IDS)
def test_an_id_is_spelt_in_the_database_as_it_is_in_python(written):
    (spelt,) = answers("id_text", [written])
    assert identifiers.plain(identifiers.standardise_id, written) in (spelt, None)
