"""Every contract keeps to the standard and to the vocabulary written in the README."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
import yaml

from linked_cyp.contracts.model import load_codesets, load_contract
from linked_cyp.contracts.vocabulary import ColumnWords, ContractWords, TableWords
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.ingest.readers import READERS
from linked_cyp_tests.contracts.common import FEEDS, FOLDER, contracts

# Pupils without a UPN are known by school, names and birth date, any of which may be missing.
PUPILS_BY_NAME = ("attendance_daily", "npd_attainment", "school_census")
# A stillborn baby has no NHS number, and a row with neither number nor name is nobody's.
NOBODYS = ("birth_notification", "births_registration", "csds", "ncmp")
PATHS = sorted(FOLDER.glob("**/*.odcs.yaml"))


def document(feed: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / f"{feed}.odcs.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def validator() -> Any:
    text = files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    return jsonschema.validators.validator_for(schema)(schema)


def test_every_contract_is_loaded() -> None:
    assert len(FEEDS) >= 23
    assert set(FEEDS) == set(contracts())


@pytest.mark.parametrize("feed", FEEDS)
def test_an_objection_to_the_dataset_reaches_every_feed_of_persons(feed: str) -> None:
    contract = contracts()[feed]
    if contract.domain != "governance":
        assert "local_objection" in contract.opt_outs


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.name)
def test_contract_is_valid_odcs(path: Any, validator: Any) -> None:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert found["apiVersion"] == "v3.1.0"
    assert [error.message for error in validator.iter_errors(found)] == []


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.name)
def test_a_column_that_tables_share_is_said_once(path: Any) -> None:
    """What is written twice differs one day; an alias of YAML gives the same object again."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    columns = [column for table in found["schema"] for column in table["properties"]]
    first = {json.dumps(column): column for column in reversed(columns)}
    twice = [c["name"] for c in columns if len(c) > 1 and c is not first[json.dumps(c)]]
    assert not twice


def test_the_schema_would_refuse_an_unknown_word(validator: Any) -> None:
    broken = document("ssda903")
    broken["schema"][0]["properties"][0]["pseudonymisation"] = "token"
    assert list(validator.iter_errors(broken))


def test_the_readme_tells_every_property_and_no_other() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    section = readme.split("## Our custom properties")[1].split("\n## ")[0]
    told = {
        (level.strip(), word)
        for levels, words in re.findall(r"^\| ([a-z, ]+) \| (`[^|]+`) \|", section, re.M)
        for level in levels.split(",")
        for word in re.findall(r"`(\w+)`", words)
    }
    levels = {"contract": ContractWords, "table": TableWords, "column": ColumnWords}
    assert told == {
        (level, field.alias)
        for level, words in levels.items()
        for field in words.model_fields.values()
    }


def test_the_readme_lists_every_feed() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "(../docs/feeds.md)" in readme
    assert not re.findall(r"^\| `\w+` \| local authority", readme, re.M)


@pytest.mark.parametrize("feed", FEEDS)
def test_contract_says_what_a_steward_asks(feed: str) -> None:
    contract = contracts()[feed]
    for text in (contract.purpose, contract.description, contract.limitations):
        assert len(text.split()) >= 8
    assert "Article 6" in contract.legal_basis
    assert contract.owner
    assert contract.cadence in {"annual", "termly", "quarterly", "monthly"}
    assert contract.source_of_fact
    assert re.fullmatch(r"\d+\.\d+\.\d+", contract.version)
    assert 0 <= contract.max_quarantined_share <= 0.1
    # a row of an opt-out that was set aside would be an objection passed over
    if contract.feed in ("local_objection", "type1_opt_out"):
        assert contract.max_quarantined_share == 0
    assert contract.reader in READERS
    # results are published test by test, each when it is ready
    if contract.feed != "npd_attainment":
        assert any(table.required for table in contract.tables.values())


@pytest.mark.parametrize("feed", FEEDS)
def test_tables_are_described(feed: str) -> None:
    for table in contracts()[feed].tables.values():
        assert len(table.description.split()) >= 4, table.table_name
        assert table.grain.startswith("one "), table.table_name
        assert table.columns, table.table_name


def test_relationships_lead_to_the_key_of_another_table() -> None:
    for contract in contracts().values():
        for table in contract.tables.values():
            for link in table.relationships:
                target = contract.tables[link.to_table]
                # an export may repeat its own key for each school: then it begins the primary key
                begun = target.primary_key[: len(link.to_columns)]
                assert link.to_columns == begun, table.table_name
                assert len(link.columns) == len(link.to_columns)
                types = [table.column(c).type for c in link.columns]
                assert types == [target.column(c).type for c in link.to_columns]


def test_every_person_reaches_the_warehouse() -> None:
    """A table has a person key or leads to one over its relationships."""

    def reaches(contract: Any, name: str, seen: frozenset[str]) -> bool:
        table = contract.tables[name]
        return bool(table.person_key) or any(
            reaches(contract, link.to_table, seen | {name})
            for link in table.relationships
            if link.to_table not in seen
        )

    without = {
        table.table_name
        for contract in contracts().values()
        for table in contract.tables.values()
        # who opted out is for linkage alone: it comes to the warehouse as nobody
        if contract.domain != "governance" and not reaches(contract, table.name, frozenset())
    }
    # a header, a school's return and a log are about files, codes and places about no one
    assert without == {
        "cin_census__header",
        *("csds__active_submission", "csds__header"),
        *("mhsds__active_submission", "mhsds__header"),
        *("gp_olids__concept", "gp_olids__concept_map", "gp_olids__organisation"),
        "gp_olids__place",
        "school_census__school_census",
        "ssd__cla_reviews",  # reaches its child through the periods of care
        "sen2__sen2",
        "sus_apc__insert_delete_log",
        "sus_ecds__insert_delete_log",
        "sus_op__insert_delete_log",
    }


def test_an_opt_out_reaches_the_warehouse_as_nobody() -> None:
    for contract in contracts().values():
        if contract.domain == "governance":
            for table in contract.tables.values():
                assert not table.person_key, table.table_name
                assert not table.pseudonymised(), table.table_name
                assert not any(column.linkage_role for column in table.columns)


def test_a_person_key_ends_with_what_every_row_has_or_is_optional_by_design() -> None:
    for contract in contracts().values():
        for table in contract.tables.values():
            if table.person_key and contract.feed not in (*PUPILS_BY_NAME, *NOBODYS):
                last = table.person_key[-1]
                assert all(table.column(name).required for name in last), table.table_name


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("value: token}", "value: keep}", "a direct identifier cannot be kept"),
        ("id: ssda903", "id: other", "file is named for"),
        ("property: legalBasis", "property: other", "legalBasis is missing"),
        ("property: legalBasis", "property: other", "other is no property of a contract"),
        (
            "property: optOuts, value: [local_objection]",
            "property: spine, value: false",
            "optOuts is",
        ),
        ("value: [local_objection]", "value: [some_other]", "optOuts"),
        ("personKey, value: [[child_id]]", "personKey, value: [[nobody]]", "undeclared column"),
        ("name: sex_code", "name: child_id", "declared twice"),
        ("value: sex_ssda903}", "value: nothing}", "no codeset nothing"),
    ],
)
def test_a_broken_contract_is_refused(tmp_path: Any, old: str, new: str, complaint: str) -> None:
    text = (FOLDER / "ssda903.odcs.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "ssda903.odcs.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(LinkedCypError, match=complaint):
        load_contract(path, load_codesets(FOLDER / "codesets"))
