"""Contract → what the Dagster UI shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import dagster as dg
import duckdb

from linked_cyp.contracts.model import Column, Contract, OutputColumn, Table
from linked_cyp.core.sql import quoted

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
    without_apostrophes = re.sub(r"['\u2019]", "", team.lower())
    return "team:" + re.sub(r"[^a-z0-9]+", "-", without_apostrophes).strip("-")


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
    keyed = {"record_key": list(dict.fromkeys(n for names in table.person_key for n in names))}
    made = {o.name: [o.source.name] for o in table.pseudonymised()}
    columns = own | (keyed if table.person_key else {}) | made
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(asset_key=raw, column_name=source) for source in sources]
            for name, sources in columns.items()
        }
    )


def raw(contract: Contract, table: Table) -> Mapping[str, Any]:
    """What a raw asset shows before anything has run."""
    return described(
        contract,
        table,
        raw_schema(table),
        **{"dagster/table_name": f"identifiable.raw.{table.table_name}"},
    )


def pseudonymised(contract: Contract, table: Table) -> Mapping[str, Any]:
    """What a pseudonymised asset shows before anything has run."""
    return described(
        contract,
        table,
        pseudonymised_schema(table),
        **{
            "dagster/table_name": f"warehouse.pseudonymised.{table.table_name}",
            "dagster/column_lineage": pseudonymised_lineage(table),
        },
    )


def described(
    contract: Contract, table: Table, schema: dg.TableSchema, **more: Any
) -> Mapping[str, Any]:
    """The metadata that stands on an asset of a feed, whichever its zone."""
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


def stored(connection: duckdb.DuckDBPyConnection, relation: str) -> Mapping[str, Any]:
    """What a table that has just been written shows: where it is, its columns and its rows.

    Args:
        relation: ``catalog.schema.table``, attached to the connection.
    """
    catalog, schema, table = relation.split(".")
    columns = connection.execute(
        """SELECT column_name, data_type, comment FROM duckdb_columns()
           WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index""",
        [catalog, schema, table],
    ).fetchall()
    source = ".".join(quoted(part) for part in (catalog, schema, table))
    rows = connection.execute(f"SELECT count(*) FROM {source}").fetchall()[0][0]
    return {
        "dagster/table_name": relation,
        "dagster/row_count": rows,
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(name, kind, comment) for name, kind, comment in columns]
        ),
    }


# What a generic dbt test checks, for one that has no description of its own.
_SAID = {
    "not_null": "{column} is filled in every row.",
    "unique": "No two rows have the same {column}.",
    "accepted_values": "{column} is one of: {values}.",
    "relationships": "Every {column} is found in {to}.",
    "unique_together": "No two rows have the same {columns} together.",
    "belongs_to": "Every {columns} is found together in {to}.",
}


def described_test(test: Mapping[str, Any]) -> str:
    """A sentence for a test of dbt's manifest; of a test of our own, its name in words."""
    generic = test.get("test_metadata") or {}
    given = generic.get("kwargs") or {}
    given = given | (given.get("arguments") or {})
    words = str(test["name"]).replace("_", " ").strip()
    sentence = _SAID.get(str(generic.get("name")), words[:1].upper() + words[1:] + ".")
    return sentence.format(
        column=given.get("column_name"),
        columns=", ".join(given.get("columns") or []),
        values=", ".join(str(value) for value in given.get("values") or []),
        to=re.sub(r"^ref\(['\"]|['\"]\)$", "", str(given.get("to", ""))),
    )


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
