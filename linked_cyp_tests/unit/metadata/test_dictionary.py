"""The dictionary says what each column means, who defines it so, and notices when it drifts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from linked_cyp.metadata.dictionary import (
    cited,
    contract_entries,
    lineage_text,
    main,
    markdown,
    model_entries,
)
from linked_cyp.metadata.lineage import ColumnRef, lineage
from linked_cyp_tests.toy_feed import toy_contracts, toy_manifest


def test_contracts_give_an_entry_for_each_table_and_pseudonymised_column() -> None:
    entries = {entry.column: entry for entry in contract_entries(toy_contracts())}
    assert entries[""].description == "Visits. One row per visit."
    assert entries["birth_month"].type == "DATE"
    assert entries["visit_date"].definition_source == "The test."
    assert "forename" not in entries  # removed before the warehouse
    assert {"child_id", "lsoa21_code", "lsoa11_code", "la_code"} <= set(entries)


def test_models_give_descriptions_types_and_cited_sources() -> None:
    table, person, age = model_entries(toy_manifest())
    assert (table.zone, table.table, table.column) == ("curated", "visit", "")
    assert table.description == "A visit. One row per visit. Source: this project."
    assert (person.type, person.definition_source) == ("BIGINT", "linkage")
    assert age.definition_source == ""
    assert model_entries(None) == []


@pytest.mark.parametrize(
    ("description", "meta", "source"),
    [
        ("Absent.  Source: DfE, absence\nguide.", {}, "DfE, absence guide"),
        ("Absent.", {}, ""),
        ("Absent. Source: DfE.", {"source": "ECHILD"}, "ECHILD"),
        ("The resource: none.", {}, ""),
    ],
)
def test_citations(description: str, meta: dict[str, str], source: str) -> None:
    assert cited(description, meta)[1] == source


def test_lineage_names_the_suppliers_fields() -> None:
    edges = lineage(toy_contracts(), toy_manifest()).edges
    text = lineage_text(edges, ColumnRef("curated", "visit", "age_years"))
    assert text == "toy__visit.DOB; toy__visit.VisitDate"


def test_the_document_shows_research_tables_first_and_what_becomes_of_each_field() -> None:
    text = markdown(toy_contracts(), toy_manifest())
    assert text.index("### curated.visit") < text.index("## Toy visits (`toy` 1.2.0)")
    assert "| `age_years` | integer | Age at the visit. |" in text
    assert "| `First` | `forename` | string | removed | Given name. |" in text
    assert "| `DOB` | `birth_date` | date | coarsened to its month | Born. |" in text
    assert "Day \\| of the visit." in text  # a bar in a text does not break the table


def test_drift_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LINKED_CYP_CONTRACTS", str(tmp_path))
    manifest, document = tmp_path / "manifest.json", tmp_path / "dictionary.md"
    arguments = ["--manifest", str(manifest), "--output", str(document)]
    assert main([*arguments, "--check"]) == 2
    assert "there is no dbt manifest" in capsys.readouterr().err
    manifest.write_text(json.dumps(toy_manifest()))
    assert main([*arguments, "--check"]) == 1
    assert main(arguments) == 0
    assert main([*arguments, "--check"]) == 0
    document.write_text(document.read_text().replace("Age at", "Years at"))
    assert main([*arguments, "--check"]) == 1
    assert "has drifted" in capsys.readouterr().err
