"""Column lineage from declarations alone: contracts, and SQL that is read but never run."""

from __future__ import annotations

from typing import Any

import pytest

from linked_cyp.metadata.lineage import (
    ColumnRef,
    Edge,
    contract_edges,
    dagster_column_deps,
    edge_rows,
    lineage,
    manifest_lineage,
    openlineage_events,
    origins,
)
from linked_cyp_tests.toy_feed import toy_contracts, toy_manifest


def ref(text: str) -> ColumnRef:
    return ColumnRef(*text.split("."))


def test_contracts_lead_from_the_suppliers_field_to_the_pseudonymised_column() -> None:
    edges = contract_edges(toy_contracts())
    assert Edge(ref("supplier.toy__visit.DOB"), ref("raw.toy__visit.birth_date"), "read") in edges
    month = ref("pseudonymised.toy__visit.birth_month")
    assert [e for e in edges if e.downstream == month] == [
        Edge(ref("raw.toy__visit.birth_date"), month, "coarsen_month")
    ]
    assert not [e for e in edges if e.upstream == ref("raw.toy__visit.forename")]
    assert origins(edges, ref("pseudonymised.toy__visit.lsoa21_code")) == [
        ref("supplier.toy__visit.PostCode")
    ]
    assert origins(edges, ref("pseudonymised.toy__visit.record_key")) == [
        ref("supplier.toy__visit.ChildId")
    ]


def test_models_are_followed_through_stars_views_and_functions() -> None:
    found = manifest_lineage(toy_manifest())
    made = {(str(e.upstream), str(e.downstream)) for e in found.edges}
    assert ("linkage.bridge.person_id", "staging.stg_visit.person_id") in made
    assert ("staging.stg_visit.person_id", "curated.visit.person_id") in made
    assert ("staging.stg_visit.birth_month", "curated.visit.age_years") in made
    assert ("staging.stg_visit.visit_date", "curated.visit.age_years") in made
    assert not [pair for pair in made if pair[1].endswith(".record_key")]  # excluded by the view


def test_a_research_variable_is_followed_back_to_the_field_a_supplier_sent() -> None:
    edges = lineage(toy_contracts(), toy_manifest()).edges
    assert origins(edges, ref("curated.visit.age_years")) == [
        ref("supplier.toy__visit.DOB"),
        ref("supplier.toy__visit.VisitDate"),
    ]


@pytest.mark.parametrize("sql", ["selec ((", None, "select * from {{ broken"])
def test_sql_that_cannot_be_followed_is_reported_not_guessed(sql: str | None) -> None:
    manifest = toy_manifest()
    manifest["nodes"]["model.p.visit"]["compiled_code"] = sql
    found = manifest_lineage(manifest)
    assert set(found.unresolved) == {ref("curated.visit.person_id"), ref("curated.visit.age_years")}
    assert not [e for e in found.edges if e.downstream.zone == "curated"]
    assert [e for e in found.edges if e.downstream.zone == "staging"]  # the others are still known


def test_dagster_gets_dependencies_by_column_without_the_suppliers_files() -> None:
    deps = dagster_column_deps(lineage(toy_contracts(), toy_manifest()).edges)
    assert deps[("pseudonymised", "toy", "visit")]["birth_month"] == [
        (("raw", "toy", "visit"), "birth_date")
    ]
    assert deps[("curated", "visit")]["person_id"] == [(("staging", "stg_visit"), "person_id")]
    assert ("raw", "toy", "visit") not in deps
    every = {key for columns in deps.values() for found in columns.values() for key, _ in found}
    assert not [key for key in every if key[0] == "supplier"]


def test_rows_of_the_lineage_table_are_sorted_and_complete() -> None:
    edges = contract_edges(toy_contracts())
    rows = edge_rows([*edges, *edges])
    assert rows == sorted(set(rows))
    assert len(rows) == len(edges)
    assert {len(row) for row in rows} == {7}


def test_openlineage_documents_name_inputs_outputs_and_fields() -> None:
    edges = lineage(toy_contracts(), toy_manifest()).edges
    events = openlineage_events(edges, "2026-01-01T00:00:00Z")
    visit = next(e for e in events if e["outputs"][0]["name"] == "curated.visit")
    assert [i["name"] for i in visit["inputs"]] == ["staging.stg_visit"]
    fields: dict[str, Any] = visit["outputs"][0]["facets"]["columnLineage"]["fields"]
    assert {f["field"] for f in fields["age_years"]["inputFields"]} == {"birth_month", "visit_date"}
    for event in events:
        assert set(event) == {"eventTime", "producer", "schemaURL", "job", "inputs", "outputs"}
        assert event["job"]["namespace"] == "linked_cyp"
