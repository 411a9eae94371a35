"""The dictionary says what each column means, who defines it so, and notices when it drifts."""

from __future__ import annotations

import pytest

from linked_cyp.metadata.dictionary import (
    cited,
    contract_entries,
    lineage_text,
    model_entries,
    pages,
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


def test_research_tables_have_a_page_by_zone_and_feeds_one_by_domain() -> None:
    made = pages(toy_contracts(), toy_manifest())
    assert set(made) == {"README.md", "curated.md", "cohort.md", "health_secondary_uses.md"}
    assert "| `age_years` | integer | Age at the visit. |" in made["curated.md"]
    feed = made["health_secondary_uses.md"]
    assert "## Toy visits (`toy` 1.2.0)" in feed
    assert "| `First` | `forename` | string | removed | Given name. |" in feed
    assert "| `DOB` | `birth_date` | date | coarsened to its month | Born. |" in feed
    assert "Day \\| of the visit." in feed  # a bar in a text does not break the table
    for name in set(made) - {"README.md"}:
        assert f"({name}" in made["README.md"]
