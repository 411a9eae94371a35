"""dbt's sources, generated from the contracts so that no second list of columns exists.

They are written into an ignored folder whenever dbt's project is compiled
(:mod:`linked_cyp.curated.generated`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from linked_cyp.contracts.model import Contract, OutputColumn, Table

HEADER = (
    "# Generated from data_contracts whenever dbt's project is compiled: change those,\n"
    "# not this file.\n"
)
STATUSES = ("accepted", "rejected", "superseded", "withdrawn")
_ROW_KEYS = {
    "delivery_id": "The delivery the row came in.",
    "source_file": "Which of the delivery's files, counted from 0.",
    "row_number": "The data row's number in that file, from 1.",
}
_RECORD_KEY = (
    "Keyed token of the person as this supplier numbers them; linkage.bridge gives the person."
)
_BRIDGE = {
    "record_key": "Keyed token of a person as one supplier numbers them, as in pseudonymised.",
    "feed": "The feed the record belongs to.",
    "person_id": "The linked person: random, stable between linkage runs.",
    "tier": "How surely the record belongs to the person: identifier, strong, probable, unlinked "
    "(alone) or excluded (may not be linked).",
}
_DELIVERY = {
    "delivery_id": "Supplier, period and the start of the content's hash.",
    "supplier": "Who sent it, as a short name.",
    "feed": "Which contract it answers to.",
    "period": "The period it reports, as the feed writes periods.",
    "collection_year": "The year in which the period's year of record ends.",
    "status": "Whether the delivery counts: only accepted deliveries reach a curated table.",
}


def sources_document(contracts: Mapping[str, Contract]) -> dict[str, Any]:
    """The content of ``sources.yml``: a source table for every pseudonymised table of every feed,
    the delivery ledger and the linkage bridge, each with its Dagster asset key.

    Checks are warnings: a delivery that breaks its contract was already refused at the gate, and
    one supplier's fault must not stop the tables of all others.
    """
    tables = [
        _source_table(contract, table)
        for _, contract in sorted(contracts.items())
        for table in contract.tables.values()
    ]
    return {
        "version": 2,
        "sources": [
            {
                "name": "pseudonymised",
                "schema": "pseudonymised",
                "description": "Supplier records without direct identifiers, one table a contract "
                "table, with keyed tokens in place of identifiers.",
                "tables": [_delivery_table(), *tables],
            },
            {
                "name": "linkage",
                "schema": "linkage",
                "description": "The only part of linkage that enters the warehouse.",
                "tables": [_bridge_table()],
            },
        ],
    }


def render(contracts: Mapping[str, Contract]) -> str:
    """``sources.yml`` as text; the same contracts always give the same text."""
    return HEADER + yaml.safe_dump(
        sources_document(contracts), sort_keys=False, allow_unicode=True, width=100
    )


def _source_table(contract: Contract, table: Table) -> dict[str, Any]:
    keys = dict(_ROW_KEYS)
    if table.person_key:
        keys["record_key"] = _RECORD_KEY
    outputs = table.pseudonymised()
    columns = [{"name": name, "description": text} for name, text in keys.items()]
    columns += [_source_column(output) for output in outputs]
    description = " ".join(
        part for part in (table.description, f"Grain: {table.grain}" if table.grain else "") if part
    )
    source: dict[str, Any] = {
        "name": table.table_name,
        "description": description,
        "config": _meta(
            ["pseudonymised", table.feed, table.name], feed=table.feed, contract=contract.version
        ),
        "columns": columns,
    }
    required = [output.name for output in outputs if _always_filled(table, output)]
    if required:
        source["data_tests"] = [
            {
                "required_columns": {
                    "name": f"required_columns_{table.table_name}",
                    "arguments": {"columns": required},
                    "config": {"severity": "warn"},
                }
            }
        ]
    return source


def _source_column(output: OutputColumn) -> dict[str, Any]:
    return {
        "name": output.name,
        "description": output.description,
        "data_type": output.sql_type,
        "config": {
            "meta": {
                "supplier_column": output.source.physical_name,
                "treatment": output.treatment,
                "classification": output.source.classification,
            }
        },
    }


def _always_filled(table: Table, output: OutputColumn) -> bool:
    """Required in every year, and by a treatment that never loses a value."""
    source = output.source
    every_year = all(x is None for x in (table.since, table.until, source.since, source.until))
    return source.required and every_year and output.treatment != "coarsen_lsoa"


def _delivery_table() -> dict[str, Any]:
    columns: list[dict[str, Any]] = [{"name": n, "description": d} for n, d in _DELIVERY.items()]
    for column in columns:
        if column["name"] == "delivery_id":
            column["data_tests"] = ["not_null", "unique"]
        if column["name"] == "status":
            column["data_tests"] = [
                {"accepted_values": {"arguments": {"values": list(STATUSES)}}},
            ]
    return {
        "name": "delivery",
        "description": "The delivery ledger, without file names: one row per delivery.",
        "config": _meta(["deliveries", "ledger"]),
        "columns": columns,
    }


def _bridge_table() -> dict[str, Any]:
    columns: list[dict[str, Any]] = [{"name": n, "description": d} for n, d in _BRIDGE.items()]
    columns[0]["data_tests"] = ["not_null", "unique"]
    columns[2]["data_tests"] = ["not_null"]
    return {
        "name": "bridge",
        "description": "From supplier records to linked persons: one row per record key.",
        "config": _meta(["linkage", "bridge"]),
        "columns": columns,
    }


def _meta(asset_key: list[str], **more: str) -> dict[str, Any]:
    return {"meta": {"dagster": {"asset_key": asset_key}, **more}}
