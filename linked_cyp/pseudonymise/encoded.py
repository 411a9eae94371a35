"""A delivery that came encoded is pseudonymised already: its rows are copied."""

from __future__ import annotations

import duckdb

from linked_cyp.contracts.model import Contract
from linked_cyp.contracts.pseudonymised import declared_only, target
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.sql import quoted
from linked_cyp.ingest.encoded import content
from linked_cyp.ingest.encoded.received import stored_tables, table


def publish(con: duckdb.DuckDBPyConnection, contract: Contract, delivery_id: str) -> dict[str, int]:
    """Copy an encoded delivery's payload to the pseudonymised tables, in the caller's transaction.

    Text passes only where the contract of now declares it, as from a raw table.

    Returns:
        Rows written, by table of the contract.

    Raises:
        LinkedCypError: not as many rows were written as are held.
    """
    held = stored_tables(con)
    written = dict.fromkeys(contract.tables, 0)
    for name, declared in contract.tables.items():
        con.execute(f"DELETE FROM {target(declared)} WHERE delivery_id = ?", [delivery_id])
        if declared.table_name not in held:
            continue
        source = table(declared.table_name)
        there = {row[0] for row in con.execute(f"DESCRIBE {source}").fetchall()}
        outputs = {output.name: output for output in declared.pseudonymised()}
        columns = ["delivery_id", *content.payload_columns(declared)]
        selected = {
            column: declared_only(outputs[column].source, quoted(column))
            if column in outputs and outputs[column].treatment == "keep"
            else quoted(column)
            for column in columns
            if column in there
        }
        rows = con.execute(
            f"INSERT INTO {target(declared)} ({', '.join(map(quoted, selected))})"
            f" SELECT {', '.join(selected.values())} FROM {source} WHERE delivery_id = ?",
            [delivery_id],
        ).fetchall()[0][0]
        expected = con.execute(
            f"SELECT count(*) FROM {source} WHERE delivery_id = ?", [delivery_id]
        ).fetchall()[0][0]
        if rows != expected:
            raise LinkedCypError(f"{declared.table_name}: {expected} encoded rows became {rows}")
        written[name] = rows
    return written
