"""The contracts against what is really sent: the XML schemas and the public sample files."""

from __future__ import annotations

import csv
from pathlib import Path

import duckdb
import pytest
from lxml import etree

from linked_cyp.contracts.model import Contract, Table
from linked_cyp.ingest.readers.conform import date_formats, literal, typed
from linked_cyp_tests.contracts.common import contracts, sample

XSD = "{http://www.w3.org/2001/XMLSchema}"
CIN_YEARS = range(2017, 2027)
# complexType of the schema -> table of the contract
CIN_TYPES = {
    "collectiondetailstype": "header",
    "sourcetype": "header",
    "childidentifierstype": "child_identifiers",
    "childcharacteristicstype": "child_characteristics",
    "cindetailstype": "cin_details",
    "assessmentstype": "assessments",
    "cinplandatesttype": "cin_plan_dates",
    "section47type": "section_47",
    "childprotectionplanstype": "child_protection_plans",
}
CIN_LISTS = {
    "Disability": "disabilities",
    "AssessmentFactors": "assessment_factors",
    "CPPreviewDate": "reviews",
}
CIN_KEYS = {"LAchildID", "CINdetailsID", "AssessmentID", "CINPlanID", "Section47ID", "CPPID"}
CIN_CODES = {
    "gendertype": ("child_identifiers", "sex_code"),
    "sextype": ("child_identifiers", "sex_code"),
    "unknownupntype": ("child_identifiers", "upn_unknown_code"),
    "ethnicitytype": ("child_characteristics", "ethnicity_code"),
    "disabilitytype": ("disabilities", "disability_code"),
    "referralsourcetype": ("cin_details", "referral_source_code"),
    "primaryneedcodetype": ("cin_details", "primary_need_code"),
    "reasonforclosuretype": ("cin_details", "closure_reason_code"),
    "assessmentfactorstype": ("assessment_factors", "factor_code"),
    "categoryofabusetype": ("child_protection_plans", "latest_abuse_category_code"),
}
SCHOOL_FILES = (
    *("addressesoffroll", "fsmperiodsonroll", "pupilnolongeronroll", "pupilonroll"),
    *("summerhalfterm2sessiondetailsoffroll", "summerhalfterm2sessiondetailsonroll"),
    *("termlyexclusionsoffroll", "termlyexclusionsonroll"),
    *("termlysessiondetailsoffroll", "termlysessiondetailsonroll"),
)
FILES = [
    ("ssda903", 2019, ("ssda903", "header.csv"), "header"),
    ("ssda903", 2019, ("ssda903", "episodes.csv"), "episodes"),
    *(
        ("school_census", 2025, ("school_census_2024_autumn", f"2024_autumn_{name}.csv"), name)
        for name in SCHOOL_FILES
    ),
]


def schema(year: int) -> etree._Element:
    path = sample("cin_census", "xsd", f"CIN_schema_{year}.xsd")
    return etree.parse(str(path)).getroot()


def leaves(kind: etree._Element) -> set[str]:
    """Elements of a complex type that hold a value: those whose own type is not complex."""
    return {
        e.get("name")
        for e in kind.iter(f"{XSD}element")
        if e.find(f".//{XSD}complexType") is None
        and e.get("name") not in CIN_LISTS
        and (e.get("type") or "") not in CIN_TYPES
    }


def known_names(table: Table) -> dict[str, str]:
    return {n: c.name for c in table.columns for n in (c.physical_name, *c.aliases)}


@pytest.mark.parametrize("year", CIN_YEARS)
def test_cin_columns_are_those_of_the_schema(year: int) -> None:
    root = schema(year)
    contract = contracts()["cin_census"].at(year)
    found: dict[str, set[str]] = {}
    for kind in root.iter(f"{XSD}complexType"):
        table = CIN_TYPES.get(kind.get("name") or "")
        if table:
            found.setdefault(table, set()).update(leaves(kind))
    for element in root.iter(f"{XSD}element"):
        if element.get("name") in CIN_LISTS:
            found.setdefault(CIN_LISTS[element.get("name")], set()).add(element.get("name"))
    assert set(found) == set(contract.tables)
    for name, elements in found.items():
        table = contract.tables[name]
        known = known_names(table)
        assert elements <= set(known), name
        in_schema = {known[element] for element in elements}
        ours = {c.name for c in table.columns if c.physical_name not in CIN_KEYS}
        assert ours | {"child_id"} == in_schema | {"child_id"}, name


@pytest.mark.parametrize("year", CIN_YEARS)
def test_cin_codes_are_those_of_the_schema(year: int) -> None:
    contract = contracts()["cin_census"].at(year)
    seen = set()
    for kind in schema(year).iter(f"{XSD}simpleType"):
        if kind.get("name") not in CIN_CODES:
            continue
        table, column = CIN_CODES[kind.get("name")]
        seen.add(column)
        # a code kept against the official change carries a note for applications
        official = {
            e.get("value")
            for e in kind.iter(f"{XSD}enumeration")
            if e.find(f".//{XSD}appinfo") is None
        }
        codeset = contract.tables[table].column(column).codeset
        assert codeset is not None
        assert set(codeset.values) == official, column
    assert seen == {column for _, column in CIN_CODES.values()}


@pytest.mark.parametrize("year", CIN_YEARS)
def test_cin_types_are_those_of_the_schema(year: int) -> None:
    types = {"xs:date": "date", "xs:dateTime": "timestamp", "xs:gYear": "integer"}
    types |= {"yesnotype": "boolean", "positiveintegertype": "integer"}
    contract = contracts()["cin_census"].at(year)
    known = {
        name: table.column(column).type
        for table in contract.tables.values()
        for name, column in known_names(table).items()
    }
    for element in schema(year).iter(f"{XSD}element"):
        if element.get("type") in types and element.get("name") in known:
            assert known[element.get("name")] == types[element.get("type")], element.get("name")


def table_of(contract: Contract, name: str) -> Table:
    return next(t for t in contract.tables.values() if name in (t.name, t.physical_name))


def header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file))


@pytest.mark.parametrize(("feed", "year", "parts", "name"), FILES, ids=lambda v: str(v)[-40:])
def test_every_column_of_the_sample_is_declared(
    feed: str, year: int, parts: tuple[str, ...], name: str
) -> None:
    path = sample(*parts)
    table = table_of(contracts()[feed].at(year), name)
    known = known_names(table)
    names = header(path)
    assert [n for n in names if n not in known] == []
    present = {known[n] for n in names}
    assert [c.name for c in table.columns if c.required and c.name not in present] == []


@pytest.mark.parametrize(("feed", "year", "parts", "name"), FILES, ids=lambda v: str(v)[-40:])
def test_every_value_of_the_sample_reads_as_its_type(
    feed: str, year: int, parts: tuple[str, ...], name: str
) -> None:
    """Blanks are allowed; a value that is there must read."""
    path = sample(*parts)
    contract = contracts()[feed].at(year)
    table = table_of(contract, name)
    known = known_names(table)
    con = duckdb.connect()
    con.execute(
        f"CREATE TEMP TABLE sample AS FROM read_csv({literal(str(path))}, "
        "all_varchar=true, header=true, delim=',')"
    )
    counts = []
    for source in header(path):
        column = table.column(known[source])
        text = f"nullif(trim(\"{source}\"), '')"
        value = typed(column, date_formats(contract, column), text)
        counts.append(f"count(*) FILTER ({text} IS NOT NULL AND ({value}) IS NULL)")
    found = con.execute(f"SELECT {', '.join(counts)} FROM sample").fetchone() or ()
    unread = {n: count for n, count in zip(header(path), found, strict=True) if count}
    assert unread == {}
    con.close()


def unknown_codes(year: int) -> dict[str, set[str]]:
    """Codes of the looked-after children sample that a year's contract does not permit."""
    found: dict[str, set[str]] = {}
    for name in ("header", "episodes"):
        table = contracts()["ssda903"].at(year).tables[name]
        known = known_names(table)
        with sample("ssda903", f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                for source, value in row.items():
                    codeset = table.column(known[source]).codeset
                    if codeset and value and value not in codeset.values:
                        found.setdefault(known[source], set()).add(value)
    return found


def test_sample_codes_belong_to_the_years_that_used_them() -> None:
    """The sample holds codes of 2019 to 2024: neither the year before nor after permits them."""
    for year in (2019, 2024):
        assert unknown_codes(year) == {}
    assert unknown_codes(2018) == {
        "episode_end_reason_code": {"E45", "E46", "E47", "E48"},
        "placement_change_reason_code": {"CUSTOD"},
    }
    assert unknown_codes(2025) == {"sex_code": {"1", "2"}, "placement_type_code": {"H5", "P2"}}
