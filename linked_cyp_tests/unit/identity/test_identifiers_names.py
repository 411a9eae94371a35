"""Names: one spelling, placeholders, parts and sounds."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linked_cyp.identity import names as names_module
from linked_cyp.identity.identifiers import on_series, plain
from linked_cyp.identity.names import (
    also_known_as,
    compact_name,
    first_part,
    formal_name,
    name_parts,
    phonetic,
    standardise_forename,
    standardise_name,
    standardise_surname,
)


@pytest.mark.parametrize(
    ("written", "standard"),
    [
        ("O\u2019Brien", "OBRIEN"),
        ("o'brien", "OBRIEN"),
        ("José-María", "JOSE MARIA"),
        ("  Anne   Marie ", "ANNE MARIE"),
        ("Łukasz", "LUKASZ"),
        ("Øyvind", "OYVIND"),
        ("Weiß", "WEISS"),
        ("ﬁona", "FIONA"),
        ("Nguyễn", "NGUYEN"),
        ("Ali (known as Al)", "ALI"),
        ("Mr. John Smith Jr", "JOHN SMITH"),
        ("Smith, John", "SMITH JOHN"),
        ("Smith n\u00e9e Jones", "SMITH"),
        ("ELIZABETH KNOWN AS LIZ", "ELIZABETH"),
        ("Nee", "NEE"),
        ("\u0186wusu", "OWUSU"),
        ("\u0130brahim", "IBRAHIM"),
        ("Not yet named", None),
        ("Na", "NA"),
        ("J", "J"),
        ("李", None),
        ("Mary 李", None),
        ("N/A", None),
        ("Not known", None),
        ("XXX", None),
        ("-", None),
        ("123", None),
        ("", None),
        (None, None),
    ],
)
def test_a_name_has_one_spelling(written: str | None, standard: str | None) -> None:
    assert plain(standardise_name, written) == standard


@pytest.mark.parametrize(
    "text",
    [
        "Baby",
        "BABY SMITH",
        "Twin 1",
        "boy a",
        "Infant of Khan",
        "Girl",
        "B/O Khan",
        "UNKNOWN",
        "FNU",
    ],
)
def test_what_stands_for_a_forename_is_not_one(text: str) -> None:
    assert plain(standardise_forename, text) is None


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("Ali (known as Al)", "AL"),
        ('Alexander "Sasha" Smith', "SASHA"),
        ("Smith n\u00e9e Jones", "JONES"),
        ("ELIZABETH AKA LIZ", "LIZ"),
        ("Alex (", None),
        ("Alex", None),
        (None, None),
    ],
)
def test_another_name_in_the_same_text_is_found(text: str | None, other: str | None) -> None:
    assert plain(also_known_as, text) == other


@pytest.mark.parametrize("name", ["Child", "Twine", "Girling", "Boyd", "Babych"])
def test_surnames_that_look_like_placeholders_are_kept(name: str) -> None:
    assert plain(standardise_surname, name) == name.upper()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Mc Donald", "McDonald"),
        ("Mac Donald", "MACDONALD"),
        ("O Brien", "O'Brien"),
        ("D Souza", "D\u2019Souza"),
        ("Fitz Gerald", "Fitzgerald"),
        ("Smith-Jones", "SMITH  JONES"),
    ],
)
def test_a_surname_with_its_prefix_apart_or_joined_is_one(one: str, other: str) -> None:
    assert plain(standardise_surname, one) == plain(standardise_surname, other)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("DE LA CRUZ", ["CRUZ"]),
        ("VAN DER BERG", ["BERG"]),
        ("SMITH JONES", ["SMITH", "JONES"]),
        ("KHAN KHAN", ["KHAN"]),
        ("LE", ["LE"]),
        ("MARY J", ["MARY"]),
    ],
)
def test_parts_that_tell_people_apart(name: str, parts: list[str]) -> None:
    assert plain(name_parts, name).to_list() == parts


@pytest.mark.parametrize(
    "names",
    [
        ["MOHAMMED", "MUHAMMAD", "MOHAMED", "MOHAMMAD"],
        ["AISHA", "AYESHA", "AISHAH", "AYSHA"],
        ["HUSSAIN", "HUSSEIN", "HUSAIN"],
        ["CHOUDHURY", "CHOWDHURY", "CHAUDHRY"],
        ["CATHERINE", "KATHERINE", "KATHRYN"],
        ["STEPHEN", "STEVEN"],
        ["SMITH", "SMYTH"],
        ["ABDUL RAHMAN", "ABDULRAHMAN"],
    ],
)
def test_spellings_of_one_name_sound_alike(names: list[str]) -> None:
    assert on_series(phonetic, pl.Series(names)).n_unique() == 1


@pytest.mark.parametrize(
    ("familiar", "formal"),
    [
        ("LIZ", "ELIZABETH"),
        ("BETH", "ELIZABETH"),
        ("OLLIE", "OLIVER"),
        ("MO", "MOHAMMED"),
        ("KASIA", "CATHERINE"),
        ("SEUN", "OLUWASEUN"),
        ("TOM LEE", "THOMAS"),  # the first part counts
        ("ZEBEDEE", "ZEBEDEE"),  # not in the table: it stands for itself
    ],
)
def test_a_familiar_name_stands_for_a_formal_one(familiar: str, formal: str) -> None:
    assert formal in {plain(lambda n, p=place: formal_name(n, p), familiar) for place in (1, 2)}


def test_an_ambiguous_name_stands_for_the_two_commonest_and_a_formal_one_for_itself_first() -> None:
    forms = {
        n: [plain(lambda x, p=p: formal_name(x, p), n) for p in (1, 2)] for n in ("ALEX", "JACK")
    }
    assert forms["ALEX"] == ["ALEXANDER", "ALEXANDRA"]
    assert forms["JACK"] == ["JACK", "JOHN"]
    assert plain(lambda n: formal_name(n, 2), "ZEBEDEE") is None


def test_the_table_of_nicknames_holds_standardised_names_once() -> None:
    table = pl.read_csv(Path(names_module.__file__).with_name("nicknames.csv"))
    assert table["formal"].is_unique().all()
    listed = table.with_columns(pl.col("familiar").str.split(" "))
    assert (listed["familiar"].list.n_unique() == listed["familiar"].list.len()).all()
    names = pl.concat([table["formal"], listed["familiar"].explode()])
    assert on_series(standardise_name, names).equals(names)


def test_different_names_sound_different() -> None:
    names = ["SMITH", "JONES", "KHAN", "PATEL", "TAYLOR", "NGUYEN", "OBRIEN"]
    assert on_series(phonetic, pl.Series(names)).n_unique() == len(names)


WRITTEN = st.lists(
    st.text("abcdefghijklmnopqrstuvwxyz\u00e9\u00f6\u0142", min_size=4, max_size=9),
    min_size=1,
    max_size=3,
)


@given(WRITTEN, st.sampled_from(["-", " ", "  ", " - ", "\u2010", "\u00a0"]), st.randoms())
@settings(max_examples=60, deadline=None)
def test_how_a_name_is_written_does_not_matter(parts: list[str], sign: str, random) -> None:
    plainly = " ".join(parts)
    cased = "".join(random.choice((c.lower(), c.upper())) for c in sign.join(parts))
    place = random.randrange(1, len(cased))
    marked = f" Mr {cased[:place]}\u2019{cased[place:]} (x) "
    for rule in (standardise_forename, standardise_surname):
        assert plain(rule, marked) == plain(rule, plainly)


@given(st.lists(st.none() | st.text(max_size=24), max_size=20))
@settings(max_examples=30, deadline=None)
def test_any_text_becomes_letters_and_single_spaces_and_stays_so(values: list[str | None]) -> None:
    texts = pl.Series("x", values, dtype=pl.String)
    for rule in (standardise_name, standardise_forename, standardise_surname):
        names = on_series(rule, texts)
        assert names.drop_nulls().str.contains("^[A-Z]+( [A-Z]+)*$").all()
        assert on_series(rule, names).equals(names)  # standardised once is for good
    names = on_series(standardise_name, texts)
    assert on_series(phonetic, names).is_null().to_list() == [
        name is None or plain(phonetic, name) is None for name in names.to_list()
    ]
    assert on_series(compact_name, names).drop_nulls().str.contains("^[A-Z]+$").all()
    assert on_series(first_part, names).drop_nulls().str.contains("^[A-Z]+$").all()
    assert (on_series(name_parts, names).drop_nulls().list.len() > 0).all()
