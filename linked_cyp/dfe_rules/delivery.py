"""The rules over a delivery as it was read: failing rows by file, table and row number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from linked_cyp.contracts.model import Contract, Table
from linked_cyp.core.errors import value_free
from linked_cyp.core.sql import literal, quoted
from linked_cyp.dfe_rules.engine import RESULT, run_rules, runnable_rules, waiting_rules
from linked_cyp.dfe_rules.rules import Rule, definitions
from linked_cyp.ingest.readers.staging import PROBLEMS, Staged, StagedTable

# A row of a table is known by one number: its file's, then its own within the file.
_ROWS_IN_A_FILE = 10**10
Tables = dict[str, duckdb.DuckDBPyRelation]


@dataclass(frozen=True)
class RuleFailures:
    """The rows of one file that fail one rule.

    ``table`` is the supplier's name. ``row_numbers`` count from 1, the row after the header (in
    XML the n-th element of that table); none for a rule about the whole return. ``values`` are the
    affected fields of each row as text, only where they were asked for.
    """

    code: str
    severity: str
    message: str
    fields: tuple[str, ...]
    file: str
    table: str
    row_numbers: tuple[int, ...]
    values: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return max(len(self.row_numbers), 1)


@dataclass(frozen=True)
class RulesRun:
    """What the rules found, the number that ran, and by code what those lacked that did not."""

    failures: tuple[RuleFailures, ...]
    ran: int
    waiting: Mapping[str, str]


def staged_tables(con: duckdb.DuckDBPyConnection, staged: Staged) -> Tables:
    """A staged delivery under the supplier's names, as it was written, without blank rows."""
    return {item.table.physical_name: _written(con, item) for item in staged.tables.values()}


def keep_as_last_year(con: duckdb.DuckDBPyConnection, staged: Staged) -> Tables:
    """The same as temporary tables, for when the delivery is no longer staged."""
    kept: Tables = {}
    for name, relation in staged_tables(con, staged).items():
        with value_free("keeping last year's return"):
            con.register("dfe_source", relation)
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE {quoted(f'dfe_last_{name}')} AS FROM dfe_source"
            )
            con.unregister("dfe_source")
        kept[name] = con.table(f"temp.main.{quoted(f'dfe_last_{name}')}")
    return kept


def check_delivery(
    con: duckdb.DuckDBPyConnection,
    staged: Staged,
    names: Mapping[int, str],
    year: int,
    last: Tables | None = None,
    *,
    values: bool = False,
    postcodes: duckdb.DuckDBPyRelation | None = None,
) -> RulesRun:
    """Run the rules of a staged delivery's return.

    Args:
        names: the files' names by their index.
        year: the year in which the collection ends.
        last: last year's tables, from :func:`keep_as_last_year`.
        values: whether failures carry the values of the affected fields.
        postcodes: postcode (without a blank) and la_code, for the rules about where children are
            placed.

    Raises:
        LinkedCypError: there are no rules for the return or the year, or one cannot run.
    """
    feed = staged.contract.feed
    tables = staged_tables(con, staged)
    facts = {"postcode_directory": postcodes}
    rules = {rule.code: rule for rule in runnable_rules(feed, year, tables, last, facts)}
    run_rules(con, feed, year, tables, last, facts)
    with value_free("gathering the rows that fail"):
        found = con.execute(
            f'SELECT code, "table", row_id // {_ROWS_IN_A_FILE} AS file, '
            f"list(row_id % {_ROWS_IN_A_FILE} ORDER BY row_id) FILTER (row_id NOTNULL) "
            f'FROM temp.main.{RESULT} GROUP BY code, "table", file ORDER BY code, "table", file'
        ).fetchall()
        written = _supplied_names(feed, tables)
        failures = []
        for code, table, file, numbers in found:
            rule = rules[code]
            shown = _values(con, tables, feed, rule, table, file) if values and numbers else ()
            failures.append(
                RuleFailures(
                    code,
                    rule.severity,
                    rule.message,
                    rule.fields,
                    names.get(file, "") if file is not None else "",
                    written[table],
                    tuple(numbers or ()),
                    shown,
                )
            )
    con.execute(f"DROP TABLE temp.main.{RESULT}")
    return RulesRun(tuple(failures), len(rules), waiting_rules(feed, year, tables, last, facts))


def _written(con: duckdb.DuckDBPyConnection, item: StagedTable) -> duckdb.DuckDBPyRelation:
    columns = [f"source_file * {_ROWS_IN_A_FILE} + row_number AS row_id"]
    for name in item.present:
        column = item.table.column(name)
        columns.append(f"{item.written(name)} AS {quoted(column.physical_name)}")
    blank = (
        f"SELECT source_file, row_number FROM {PROBLEMS} "
        f"WHERE table_name = {literal(item.table.name)} AND rule = 'row__blank'"
    )
    return con.sql(
        f"SELECT {', '.join(columns)} FROM {item.relation} "
        f"ANTI JOIN ({blank}) AS blank USING (source_file, row_number)"
    )


def _supplied_names(feed: str, tables: Tables) -> dict[str, str]:
    """The supplier's names of the tables by the rules' names; tables not given keep the latter."""
    given = {name.lower(): name for name in tables}
    return {
        name: given.get(name.lower()) or given.get(layout.aliases.get("table", "").lower(), name)
        for name, layout in definitions(feed).tables.items()
    }


def _values(
    con: duckdb.DuckDBPyConnection,
    tables: Tables,
    feed: str,
    rule: Rule,
    table: str,
    file: int,
) -> tuple[str, ...]:
    """The affected fields that the table has, for each failing row in order."""
    relation = tables[_supplied_names(feed, tables)[table]]
    present = {c.lower(): c for c in relation.columns}
    fields = [present[f.lower()] for f in dict.fromkeys(rule.fields) if f.lower() in present]
    if not fields:
        return ()
    shown = ", ".join(f"'{f}=' || coalesce({quoted(f)}, '')" for f in fields)
    con.register("dfe_source", relation)
    rows = con.execute(
        f"SELECT concat_ws('; ', {shown}) FROM temp.main.{RESULT} f JOIN dfe_source s "
        'USING (row_id) WHERE f.code = ? AND f."table" = ? AND row_id // ? = ? ORDER BY row_id',
        [rule.code, table, _ROWS_IN_A_FILE, file],
    ).fetchall()
    con.unregister("dfe_source")
    return tuple(text for (text,) in rows)


def stored_counts(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    year: int,
    tables: Mapping[str, str],
    last: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """How many rows of a stored return fail each rule that can run; what a check may carry.

    Args:
        year: the year in which the collection ends.
        tables: for each contract table, SQL of a relation with its columns as stored (typed, under
            our names). What ingest could not read is blank there, so rules about unreadable dates
            find nothing.
        last: the same of last year's return.

    Raises:
        LinkedCypError: there are no rules for the return or the year, or one cannot run.
    """
    current, before = (
        {
            contract.tables[name].physical_name: _stored(con, contract.tables[name], sql)
            for name, sql in given.items()
        }
        for given in (tables, last or {})
    )
    counts = {r.code: 0 for r in runnable_rules(contract.feed, year, current, before)}
    run_rules(con, contract.feed, year, current, before)
    found = con.execute(f"SELECT code, count(*) FROM temp.main.{RESULT} GROUP BY code").fetchall()
    con.execute(f"DROP TABLE temp.main.{RESULT}")
    return counts | dict(found)


def _stored(con: duckdb.DuckDBPyConnection, table: Table, sql: str) -> duckdb.DuckDBPyRelation:
    relation = con.sql(f"FROM {sql}")
    present = set(relation.columns)
    columns = [
        f"{quoted(c.name)} AS {quoted(c.physical_name)}" for c in table.columns if c.name in present
    ]
    if {"source_file", "row_number"} <= present:
        columns.append(f"source_file * {_ROWS_IN_A_FILE} + row_number AS row_id")
    return relation.select(", ".join(columns))
