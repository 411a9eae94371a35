"""A toy feed and the manifest of two toy models, for tests of what is made from declarations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from linked_cyp.contracts.model import Column, Contract, Table
from linked_cyp_tests.deliveries_support import contract


def toy_contracts() -> dict[str, Contract]:
    columns = (
        Column("child_id", "ChildId", "string", "Id of the child.", pseudonymisation="token"),
        Column("forename", "First", "string", "Given name.", pseudonymisation="drop"),
        Column("birth_date", "DOB", "date", "Born.", pseudonymisation="coarsen_month"),
        Column("postcode", "PostCode", "string", "Home.", pseudonymisation="coarsen_lsoa"),
        Column("visit_date", "VisitDate", "date", "Day | of the visit.", pseudonymisation="keep"),
    )
    table = Table("toy", "visit", "Visit", "Visits.", "visit", True, (("child_id",),), columns)
    made = replace(
        contract(table, share=0.1, version="1.2.0"),
        title="Toy visits",
        domain="health/secondary_uses",
        description="A feed for tests.",
        purpose="Testing.",
        limitations="Not real.",
        period_kind="month",
        legal_basis="None needed.",
        owner="test",
        cadence="1m",
        date_formats=("%Y-%m-%d",),
        source_of_fact="The test.",
        max_lost_share=None,
    )
    return {"toy": made}


def toy_manifest() -> dict[str, Any]:
    """As dbt writes it after compiling: one staging view and one curated table."""
    names = ("record_key", "child_id", "birth_month", "visit_date")
    return {
        "sources": {
            "source.p.visit": source("pseudonymised", "toy__visit", names),
            "source.p.bridge": source("linkage", "bridge", ("record_key", "feed", "person_id")),
        },
        "nodes": {
            "model.p.visit": {
                **model("visit", "curated", ["model.p.stg_visit"]),
                "description": "A visit.\nOne row per visit. Source: this project.",
                "columns": {
                    "person_id": column("person_id", "bigint", "The child. Source: linkage."),
                    "age_years": column("age_years", "integer", "Age at the visit."),
                },
                "compiled_code": """
                    with dated as (select * from "warehouse"."staging"."stg_visit")
                    select person_id, date_diff('year', birth_month, visit_date) as age_years
                    from dated
                    qualify row_number() over (partition by person_id order by visit_date) = 1""",
            },
            "model.p.stg_visit": {
                **model("stg_visit", "staging", ["source.p.visit", "source.p.bridge"]),
                "compiled_code": """
                    select b.person_id, v.* exclude (record_key)
                    from "warehouse"."pseudonymised"."toy__visit" as v
                    join "warehouse"."linkage"."bridge" as b using (record_key)""",
            },
        },
    }


def source(schema: str, name: str, columns: tuple[str, ...]) -> dict[str, Any]:
    return {"schema": schema, "identifier": name, "columns": {c: {"name": c} for c in columns}}


def model(name: str, schema: str, depends_on: list[str]) -> dict[str, Any]:
    return {
        "resource_type": "model",
        "name": name,
        "alias": name,
        "schema": schema,
        "depends_on": {"nodes": depends_on},
        "config": {"materialized": "table"},
        "columns": {},
        "description": "",
    }


def column(name: str, kind: str, description: str) -> dict[str, Any]:
    return {"name": name, "data_type": kind, "description": description, "meta": {}}
