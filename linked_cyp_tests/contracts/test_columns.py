"""Columns are named by one law, described, and fail closed: no identifier and no free text kept."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from linked_cyp.contracts.model import Column
from linked_cyp_tests.contracts.common import contracts, every_column, every_table, place

# What names a person, a home or a professional, wherever and however it is written.
IDENTIFYING = re.compile(
    r"surname|forename|given.?name|middle.?name|family.?name|(?<!authority)postcode$|home_post|pl_post"
    r"|address|street|locality|saon|paon|uprn|uniqueproperty|\bupn\b|formerupn|former_upn|uln|"
    r"uniquelearner|nhs.number(?!.*status)|e?mail|phone|local_patient|patient_identifier\.value"
    r"|consultant|professional\.identifier|anaesthetist|sw_id|child_id|lachildid",
    re.I,
)
IDENTITY_ROLES = {
    *("nhs_number", "former_nhs_number", "nhs_number_hash", "upn", "former_upn", "la_child_id"),
    *("forename", "middle_names", "surname"),
    *("former_surname", "preferred_surname", "postcode"),
}
ROLES = IDENTITY_ROLES | {
    *("birth_date", "birth_year", "birth_month", "sex", "ethnicity", "death_date"),
}
# Named like what they refer to, but not holding it: marks and keys of an export, areas.
NOT_IDENTIFYING = re.compile(
    r"VULNERABILITY|^missingaddress$|tableid$|LSOAofResidence_FromPostcode$"
    r"|^patient\.usual_address\.(lsoa_11|local_authority_district)$"
)


def identifies(column: Column) -> bool:
    if column.type != "string" or NOT_IDENTIFYING.search(column.physical_name):
        return False
    return any(IDENTIFYING.search(n) for n in (column.name, column.physical_name, *column.aliases))


def test_the_law_of_names() -> None:
    broken = []
    for table, column in every_column():
        name = column.name
        ends = {
            "date": name.endswith("_date"),
            "timestamp": name.endswith("_at"),
            "boolean": name.startswith("is_"),
        }.get(column.type, not name.endswith(("_date", "_at")) and not name.startswith("is_"))
        if column.codeset is not None:
            ends = ends and name.endswith("_code")
        if column.pseudonymisation == "token":
            ends = ends and name.endswith(("_id", "_number", "_urn"))
        if column.pseudonymisation == "coarsen_lsoa":
            ends = ends and name.endswith("postcode")
        if not (ends and re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) and len(name) <= 60):
            broken.append(place(table, column))
    assert broken == []


def test_descriptions_say_more_than_the_name() -> None:
    for table, column in every_column():
        text = column.description
        where = place(table, column)
        assert len(text.split()) >= 3, where
        assert text.endswith("."), where
        assert " / " not in text, where
        assert text[0].isupper(), where
        words = set(re.findall(r"[a-z]+", text.lower()))
        assert words - set(re.findall(r"[a-z]+", column.physical_name.lower())), where


def test_direct_identifiers_are_never_kept() -> None:
    kept = [
        place(table, column)
        for table, column in every_column()
        if column.pseudonymisation == "keep"
        and (
            identifies(column)
            or column.classification == "direct_identifier"
            or column.linkage_role in IDENTITY_ROLES
            or column.identifier_type
        )
    ]
    assert kept == []


def test_identifiers_are_classified_as_such() -> None:
    wrong = [
        place(table, column)
        for table, column in every_column()
        if (identifies(column) or column.linkage_role in IDENTITY_ROLES or column.identifier_type)
        and column.classification != "direct_identifier"
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "name",
    [
        *("surname", "Family Name", "HOME_POST", "uniquepropertyreferencenumber", "CHILD_ID"),
        *("spell.patient.identity.nhs_number.value", "Address Line 3", "phoneno", "email"),
    ],
)
def test_the_search_for_identifiers_finds_them(name: str) -> None:
    assert IDENTIFYING.search(name)


def test_national_numbers_and_names_do_not_even_become_tokens() -> None:
    personal = IDENTITY_ROLES - {"la_child_id", "postcode"}
    for table, column in every_column():
        if column.linkage_role in personal or column.identifier_type in (
            "nhs_number",
            "upn",
            "uln",
        ):
            assert column.pseudonymisation == "drop", place(table, column)


def test_postcodes_become_small_areas_or_nothing() -> None:
    for table, column in every_column():
        if column.identifier_type == "postcode":
            assert column.pseudonymisation in ("coarsen_lsoa", "drop"), place(table, column)


def test_dates_of_birth_and_death_are_coarsened() -> None:
    for table, column in every_column():
        if re.search(r"birth|death", column.name) and column.type in ("date", "timestamp"):
            assert column.pseudonymisation in ("coarsen_month", "coarsen_year", "drop"), place(
                table, column
            )
        if re.search(r"DOB|birth|death", column.physical_name, re.I) and column.type == "date":
            assert column.pseudonymisation != "keep", place(table, column)


def test_no_free_text_is_kept() -> None:
    free = [
        place(table, column)
        for table, column in every_column()
        if column.type == "string"
        and column.pseudonymisation == "keep"
        and column.codeset is None
        and column.pattern is None
    ]
    assert free == []


def test_patterns_of_kept_text_are_closed_and_refuse_prose() -> None:
    for table, column in every_column():
        if column.pattern is None:
            continue
        assert column.pattern.startswith("^"), place(table, column)
        assert column.pattern.endswith("$"), place(table, column)
        pattern = re.compile(column.pattern)
        if column.pseudonymisation == "keep":
            for text in ("Mary Smith", "1 High Street", "999 000 0018", "AB1 2CD"):
                assert not pattern.search(text), place(table, column)


def test_roles_and_identifier_types_agree() -> None:
    by_role = {
        "nhs_number": "nhs_number",
        "former_nhs_number": "nhs_number",
        "upn": "upn",
        "former_upn": "upn",
        "postcode": "postcode",
    }
    for table, column in every_column():
        if column.linkage_role is None:
            continue
        assert column.linkage_role in ROLES, place(table, column)
        assert column.identifier_type == by_role.get(column.linkage_role), place(table, column)
        if column.linkage_role in ("birth_date", "death_date"):
            assert column.type == "date", place(table, column)


def test_each_feed_can_be_linked() -> None:
    for feed, contract in contracts().items():
        if contract.domain == "governance":
            continue
        roles = {c.linkage_role for t in contract.tables.values() for c in t.columns}
        assert "sex" in roles, feed
        assert roles & {"birth_date", "birth_year"}, feed
        by_number = roles & {"nhs_number", "nhs_number_hash", "upn", "la_child_id"}
        assert by_number or {"forename", "surname"} <= roles, feed


def test_one_column_of_a_file_is_one_column_here() -> None:
    for table in every_table():
        known: dict[str, list[str]] = defaultdict(list)
        for column in table.columns:
            for name in (column.physical_name, *column.aliases):
                known[name.casefold()].append(column.name)
        assert [name for name, ours in known.items() if len(ours) > 1] == [], table.table_name


def test_keys_are_required_and_numbered_from_one() -> None:
    for table in every_table():
        keyed = [c for c in table.columns if c.primary_key_position is not None]
        assert sorted(c.primary_key_position or 0 for c in keyed) == list(range(1, len(keyed) + 1))
        assert all(c.required for c in keyed), table.table_name


def test_a_token_joins_to_what_it_refers_to() -> None:
    for contract in contracts().values():
        for table in contract.tables.values():
            for link in table.relationships:
                target = contract.tables[link.to_table]
                for ours, theirs in zip(link.columns, link.to_columns, strict=True):
                    left, right = table.column(ours), target.column(theirs)
                    where = place(table, left)
                    assert left.pseudonymisation == right.pseudonymisation, where
                    if left.pseudonymisation == "token":
                        assert scope(left) == scope(right), where


def test_warehouse_columns_carry_no_identifier() -> None:
    for table in every_table():
        outputs = {o.name for o in table.pseudonymised()}
        assert not {o for o in outputs if re.search(r"surname|forename|postcode|nhs_number$", o)}
        assert len(outputs) == len(table.pseudonymised())


def scope(column: Column) -> str:
    return column.token_scope or column.name
