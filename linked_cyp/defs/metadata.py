"""Contract → what the Dagster UI shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import dagster as dg

from linked_cyp.contracts import Column, Contract, OutputColumn, Table

ROW_COLUMNS = (
    dg.TableColumn("delivery_id", "VARCHAR", "The delivery that this row came in."),
    dg.TableColumn("source_file", "INTEGER", "Which of the delivery's files, counted from 0."),
    dg.TableColumn("row_number", "BIGINT", "The row's place in its file, counted from 1."),
)
PERSON_COLUMN = dg.TableColumn(
    "record_key", "BIGINT", "Keyed token of the source's own person; the bridge maps it."
)


def owner(team: str) -> str:
    """A team's name as Dagster writes owners."""
    return "team:" + re.sub(r"[^a-z0-9]+", "-", team.lower()).strip("-")


def group(contract: Contract) -> str:
    return f"{contract.domain}/{contract.feed}"


def raw_schema(table: Table) -> dg.TableSchema:
    return dg.TableSchema([*ROW_COLUMNS, *(_raw_column(c) for c in table.columns)])


def pseudonymised_schema(table: Table) -> dg.TableSchema:
    person = [PERSON_COLUMN] if table.person_key else []
    return dg.TableSchema(
        [*ROW_COLUMNS, *person, *(_output_column(o) for o in table.pseudonymised())]
    )


def pseudonymised_lineage(table: Table) -> dg.TableColumnLineage:
    """Which raw columns each pseudonymised column is made from."""
    raw = dg.AssetKey(["raw", table.feed, table.name])
    own = {c.name: [c.name] for c in ROW_COLUMNS}
    keyed = {"record_key": [n for names in table.person_key for n in names]}
    made = {o.name: [o.source.name] for o in table.pseudonymised()}
    columns = own | (keyed if table.person_key else {}) | made
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(asset_key=raw, column_name=source) for source in sources]
            for name, sources in columns.items()
        }
    )


def described(
    contract: Contract, table: Table, schema: dg.TableSchema, **more: Any
) -> Mapping[str, Any]:
    """The metadata that stands on an asset before anything has run."""
    return {
        "dagster/column_schema": schema,
        "dagster/table_name": table.table_name,
        "supplied as": table.physical_name,
        "grain": table.grain or "not stated",
        "cadence": contract.cadence or "not stated",
        "legal basis": dg.MetadataValue.md(contract.legal_basis),
        "contract": f"data_contracts/{contract.feed}.odcs.yaml {contract.version}",
        **more,
    }


def _raw_column(column: Column) -> dg.TableColumn:
    notes = [column.description]
    if column.physical_name != column.name:
        notes.append(f"The supplier writes it {column.physical_name}.")
    if column.codeset:
        notes.append(f"Codes: {column.codeset.name}.")
    notes.append(f"Pseudonymisation: {column.pseudonymisation}.")
    return dg.TableColumn(
        column.name,
        column.sql_type,
        " ".join(n for n in notes if n),
        dg.TableColumnConstraints(nullable=not column.required, unique=column.unique),
        tags={"classification": column.classification},
    )


def _output_column(output: OutputColumn) -> dg.TableColumn:
    return dg.TableColumn(
        output.name, output.sql_type, output.description, tags={"treatment": output.treatment}
    )
