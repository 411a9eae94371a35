"""The pseudonymised tables as contracts declare them: names, row columns, what text may pass."""

from __future__ import annotations

from linked_cyp.contracts.model import Column, Table, is_kept_text
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.sql import literal, quoted

# Row-level lineage: a row's delivery, its file among the delivery's, its place in the file.
ROW_COLUMNS = {"delivery_id": "VARCHAR", "source_file": "INTEGER", "row_number": "BIGINT"}


def declared_only(column: Column, value: str) -> str:
    """A kept value; text only where the contract declares it, else null.

    A supplier's free typing in a code field (a name, a telephone number) ends here. The raw
    table's checks count what is not declared.
    """
    if not is_kept_text(column):
        return value
    if column.codeset:
        codes = ", ".join(literal(code) for code in column.codeset.values)
        return f"CASE WHEN {value} IN ({codes}) THEN {value} END"
    if column.pattern:
        return f"CASE WHEN regexp_matches({value}, {literal(column.pattern)}) THEN {value} END"
    raise LinkedCypError(f"{column.name}: text is kept only with a codeset or a pattern")


def target(table: Table) -> str:
    """The qualified name of a pseudonymised table."""
    return f"warehouse.pseudonymised.{quoted(table.table_name)}"


DELIVERIES = "warehouse.pseudonymised.delivery"
