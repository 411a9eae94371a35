"""Text that is kept holds codes: no name, number, address or postcode of a person fits any of it.

Probes are invented: the forenames, surnames and their variants of the synthetic population, and
numbers drawn in every spelling that suppliers use.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import linked_cyp.identity as identity
import linked_cyp.synthetic as synthetic
from linked_cyp.contracts.formats import FORMATS
from linked_cyp.contracts.house import PROSE
from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp_tests.contracts.common import every_column, place

# Registered codes of organisations that are forenames too: in capitals, and only where an
# organisation is named, they cannot be told apart.
BOTH = {"RAE", "RAJ", "REN", "TAJ"}
DIGITS = "0123456789"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@cache
def kept() -> dict[str, list[str]]:
    """Places of kept text by the pattern that limits it."""
    found = defaultdict(list)
    for table, column in every_column():
        if column.type == "string" and column.pseudonymisation == "keep" and column.pattern:
            found[column.pattern].append(place(table, column))
    return found


def _column(room: object, file: str, *columns: str) -> Iterator[str]:
    folder = Path(str(room.__file__)).parent  # type: ignore[attr-defined]
    with (folder / file).open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            for column in columns:
                yield from row[column].split()


def names() -> set[str]:
    found = {
        *_column(synthetic, "parameters/forenames.csv", "forename"),
        *_column(synthetic, "parameters/surnames.csv", "surname"),
        *_column(synthetic, "parameters/name_variants.csv", "name", "variant"),
        *_column(identity, "nicknames.csv", "formal", "familiar"),
    }
    return {name for name in found if len(name) > 1}


def passing(text: str) -> list[str]:
    return [where for pattern, at in kept().items() if re.search(pattern, text) for where in at]


def test_no_name_fits_a_kept_text() -> None:
    assert len(names()) > 2_000
    spellings = {s for name in names() for s in (name.title(), name.upper(), name.lower())}
    together = re.compile("|".join(f"(?:{pattern})" for pattern in kept()))
    found = {text for text in spellings if together.search(text)}

    assert found <= BOTH, "; ".join(f"{len(passing(t))} columns" for t in found - BOTH)
    for text in found:
        where = passing(text)
        assert all("organisation" in w or _names_an_organisation(w) for w in where), where


def _names_an_organisation(where: str) -> bool:
    return where.endswith(("provider_code", "practice_code", "site_code", "ccg_code", "death_code"))


def _spaced(digits: str, *sizes: int) -> Iterator[str]:
    at = 0
    parts = []
    for size in sizes:
        parts.append(digits[at : at + size])
        at += size
    yield from (sign.join(parts) for sign in ("", " ", "-"))


@given(st.text(DIGITS, min_size=10, max_size=10))
def test_no_ten_digit_number_fits(digits: str) -> None:
    snomed = {p for p in kept() if "(00|10)[0-9]" in p}  # an identifier's partition, by design
    for text in _spaced(digits, 3, 3, 4):
        assert not [p for p in kept() if p not in snomed and re.search(p, text)]


@given(st.text(DIGITS, min_size=9, max_size=9), st.sampled_from(["0", "+44", "0044", "44"]))
def test_no_telephone_number_fits(digits: str, prefix: str) -> None:
    text = prefix + "7" + digits
    allowed = {p for p in kept() if "(00|10)[0-9]" in p}
    assert not [p for p in kept() if p not in allowed and re.search(p, text)]


@given(
    st.sampled_from("ABCDEFGHJKLMNPQRTUVWXYZ"),
    st.text(DIGITS, min_size=11, max_size=11),
    st.sampled_from(DIGITS + LETTERS),
)
def test_no_upn_fits(letter: str, digits: str, last: str) -> None:
    text = letter + digits + last
    assert not passing(text) + passing(text.lower())


AREAS = st.sampled_from(["M1", "B33", "W1A", "CR2", "DN55", "EC1A"])


@given(
    AREAS,
    st.sampled_from(DIGITS),
    st.text("ABDEFGHJLNPQRSTUWXYZ", min_size=2, max_size=2),
    st.text(LETTERS, min_size=1, max_size=2),
)
def test_no_postcode_fits(area: str, digit: str, unit: str, letters: str) -> None:
    outward = letters + area.lstrip(LETTERS) if area[0] in LETTERS else area
    for out in (area, outward):
        for text in (f"{out}{digit}{unit}", f"{out} {digit}{unit}"):
            assert not passing(text) + passing(text.lower()), re.sub("[A-Z]", "A", text)


@given(st.emails())
def test_no_address_of_electronic_mail_fits(text: str) -> None:
    assert not passing(text)


FITTING = {
    "organisation_code": "RYJ R1H RYX30 E84001 Y01234 QMJ QRV 93C W2U3Z NVC NT2 EE123456 703 9AR01",
    "national_code": "1 A 01 2A C2 V2 98 A1 010",
    "national_codes": "01 01|02 A",
    "two_sign_code": "01 A1 98",
    "two_sign_codes": "01 01|02",
    "authority_code": "213 00BK E09000033 L99999999",
    "authority_or_country_code": "213 WAL NUK E09000033",
    "specialty_code": "100 711",
    "icd10_code": "J45 J459 J45.9 E86X E86X-D G590A M0100D N390+ X61",
    "icd10_or_snomed_code": "J45.9 F82.X C10E. 761841000",
    "hrg_code": "PB03Z DZ11A",
    "accident_emergency_code": "01 143 05121L",
    "yes_or_no": "Y N 1 0 Yes true",
    "critical_care_type": "NCC PCC 2",
    "unit_of_measure": "kg cm % mm[Hg] kg/m2 10*9/L {score}",
    "removal_reason_code": "DEA EMB SCT",
    "academic_year": "2024 2024/2025 2024/25 202425",
    "serial_number": "001 1",
    "place_of_death_code": "H 9MV01",
}


@pytest.mark.parametrize("name", FORMATS)
def test_codes_in_use_fit_their_format(name: str) -> None:
    assert [c for c in FITTING[name].split() if not re.search(FORMATS[name], c)] == []


def test_every_format_is_used() -> None:
    assert {FORMATS[name] for name in FORMATS} <= set(kept())


def test_a_contract_whose_pattern_lets_a_name_pass_is_refused(tmp_path: Path) -> None:
    text = (PROJECT_ROOT / "data_contracts" / "csds.odcs.yaml").read_text(encoding="utf-8")
    loose = text.replace("{format: organisation_code}", "{pattern: '^[A-Za-z0-9]{2,9}$'}", 1)
    assert loose != text
    for codes in (PROJECT_ROOT / "data_contracts").glob("*"):
        if codes.is_dir():
            (tmp_path / codes.name).symlink_to(codes)
    (tmp_path / "csds.odcs.yaml").write_text(loose, encoding="utf-8")
    with pytest.raises(LinkedCypError, match="would let a name"):
        load_contracts(tmp_path)


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    text = (PROJECT_ROOT / "data_contracts" / "csds.odcs.yaml").read_text(encoding="utf-8")
    for codes in (PROJECT_ROOT / "data_contracts").glob("*"):
        if codes.is_dir():
            (tmp_path / codes.name).symlink_to(codes)
    wrong = text.replace("{format: organisation_code}", "{format: anything}", 1)
    (tmp_path / "csds.odcs.yaml").write_text(wrong, encoding="utf-8")
    with pytest.raises(LinkedCypError, match="a format is one of"):
        load_contracts(tmp_path)


def test_the_probes_of_the_house_are_refused_by_every_pattern() -> None:
    assert [text for text in PROSE if passing(text)] == []
