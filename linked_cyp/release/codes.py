"""What the codes in a release mean: its table ``main.code``.

A code list belongs to a column when a supplier's field that the column is made from has it in its
contract, and the values of the column are on it. So a column that harmonises several sources has no
list, unless its values are those of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import duckdb

from linked_cyp.contracts.model import Codeset, Contract
from linked_cyp.core.sql import quoted
from linked_cyp.metadata.lineage import SUPPLIER, ColumnRef, Edge, by_downstream, origins
from linked_cyp.release.build import FRESH, ReleaseTable
from linked_cyp.release.record import RecordTable

# Most that a coded column holds; a column with more is not looked through.
MOST = 2_000
# Share of a column's values that have to be on a list: suppliers send codes of other years too.
ENOUGH = 0.8
# More lists than these that fit equally well are the suppliers' and not the column's.
LISTS = 2


def code_table(
    con: duckdb.DuckDBPyConnection,
    tables: Iterable[ReleaseTable],
    contracts: Mapping[str, Contract],
    edges: Sequence[Edge],
) -> RecordTable:
    """Every code list of a column of text, whole, whichever of its codes are used.

    Args:
        con: a connection with the copied tables in the catalog being built.
    """
    of_field = {
        ColumnRef(SUPPLIER, table.table_name, column.physical_name): column.codeset
        for contract in contracts.values()
        for table in contract.tables.values()
        for column in table.columns
        if column.codeset
    }
    behind = by_downstream(edges)
    rows = []
    for table in tables:
        for column in table.columns:
            if column.type != "VARCHAR" or column.is_id:
                continue
            fields = origins(behind, ColumnRef(table.zone, table.name, column.name))
            lists = {c.name: c for f in fields if (c := of_field.get(f))}
            values = _held(con, table, column.name) if lists else set()
            if len(values) > MOST or not (values or column.name.endswith("_code")):
                continue
            for fitting in fitting_lists(lists.values(), values):
                named = (table.zone, table.name, column.name, fitting.name)
                rows += [(*named, c.code, c.label, c.since, c.until) for c in fitting.codes]
    return RecordTable(
        "main",
        "code",
        "What the codes mean: one row per coded column of a research table, code list and code, and"
        " per span of years where a meaning changed.",
        (
            ("table_schema", "VARCHAR", "Schema of the table: curated or cohort."),
            ("table_name", "VARCHAR", "Name of the table."),
            ("column_name", "VARCHAR", "Name of the column."),
            ("code_list", "VARCHAR", "Name of the list in the data contracts."),
            ("code", "VARCHAR", "The code as it stands in the column."),
            ("meaning", "VARCHAR", "What it means."),
            ("first_year", "INTEGER", "First collection year it is in force; empty for always."),
            ("last_year", "INTEGER", "Last collection year it is in force; empty for still."),
        ),
        rows,
    )


def fitting_lists(lists: Iterable[Codeset], values: set[str]) -> Iterator[Codeset]:
    """The lists on which most of the values are; without values, the only list there is."""
    candidates = list(lists)
    if not values:
        yield from candidates if len(candidates) == 1 else ()
        return
    fit = [len(values.intersection(c.values)) / len(values) for c in candidates]
    best = max(fit, default=0.0)
    found = [c for c, share in zip(candidates, fit, strict=True) if share == best >= ENOUGH]
    if len(found) <= LISTS:
        yield from found


def _held(con: duckdb.DuckDBPyConnection, table: ReleaseTable, column: str) -> set[str]:
    name = quoted(column)
    found = con.execute(
        f"SELECT DISTINCT {name} FROM {FRESH}.{table.relation} WHERE {name} IS NOT NULL"
        f" LIMIT {MOST + 1}"
    ).fetchall()
    return {value for (value,) in found}
