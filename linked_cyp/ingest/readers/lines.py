"""Lines that are not rows: repeated headers, totals, titles, footers, and rows that are nobody.

A spreadsheet or a report writer puts more into a file than the table. What is recognised is set
aside under a rule of its own and counted; it loses nothing. A row of a table about persons that has
neither a value that can name anybody nor a readable date is no child either: it is set aside too,
and counts against the share of rows that a delivery may lose.
"""

from __future__ import annotations

import duckdb

from linked_cyp.contracts.model import Column, Table, normalise
from linked_cyp.core.sql import literal, quoted
from linked_cyp.ingest.readers.conform import record_text
from linked_cyp.ingest.readers.staging import PROBLEMS, StagedTable

NAMES = ("forename", "middle_names", "surname", "former_surname", "preferred_surname")
_TOTAL = (
    r"^\W*(grand |sub[- ]?|overall |column )?totals?\b|^\W*(row |record |pupil )?(count|sum)\b\W"
    r"|^\W*(number of )?(rows|records|lines|entries|pupils|children|pages?)\b\W*[0-9]"
)
# A word before a number, with something between: no supplier's id.
_WORD_FIRST = r"^\W*[[:alpha:]]{3,}\s*[:=\s]"
# Words, and nothing like a number of a person: at most six digits together.
_REMARK = r"[[:alpha:]]{2,}\W+([[:alnum:]]+\W+)*[[:alpha:]]{2,}"
# What stands under a header to say what its columns hold: types of databases, or a line drawn.
_TYPE = (
    r"(n?var)?char2?|nvarchar2?|n?text|string|str|clob|(tiny|small|big|medium)?int(eger)?(8|16|32|64)?"
    r"|num(ber|eric)?|dec(imal)?|float(32|64)?|double( precision)?|real|money|bool(ean)?|bit"
    r"|date(time(2|64)?|timeoffset)?|(small|long)?datetime|time(stamp)?|object|category|uuid|guid"
)
_TYPE_CELL = rf"(({_TYPE})\s*([(\[][0-9a-z, ]*[)\]])?(\s+(not )?null)?|[-=_~*]{{2,}})"
_LONG_NUMBER = "[0-9]{7,}|[A-Za-z][0-9]{6,}"
_MOST_CELLS_OF_A_REMARK = 2


def set_aside(con: duckdb.DuckDBPyConnection, item: StagedTable) -> None:
    """Move the lines of one staged table that are not rows to the problems.

    The macros of :mod:`linked_cyp.identity.macros` must be there.
    """
    texts = [item.written(name) for name in item.present]
    if not texts:
        return
    filled = " + ".join(f"({text} IS NOT NULL)::INTEGER" for text in texts)
    nobody = _nobody(item)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE odd_lines AS WITH suspect AS (SELECT source_file, "
        f"row_number, "
        f"{filled} AS filled, {_named_cells(item)} AS named, {_type_cells(texts)} AS types, "
        f"{_word(item)} AS named_by_word, "
        f"coalesce({', '.join(texts)}) AS first FROM {item.relation} WHERE {nobody}) "
        "SELECT source_file, row_number, CASE "
        "WHEN named = filled OR types = filled THEN 'line__header' "
        f"WHEN regexp_matches(lower(first), {literal(_TOTAL)}) THEN 'line__total' "
        f"WHEN filled <= {_MOST_CELLS_OF_A_REMARK} AND regexp_matches(first, {literal(_REMARK)}) "
        f"AND NOT regexp_matches(first, {literal(_LONG_NUMBER)}) THEN 'line__remark' "
        f"WHEN filled = 1 AND {len(texts)} > {_MOST_CELLS_OF_A_REMARK} AND named_by_word "
        f"THEN 'line__remark' {_otherwise(item.table)} END AS rule FROM suspect WHERE filled > 0"
    )
    con.execute("DELETE FROM temp.main.odd_lines WHERE rule IS NULL")
    found = con.execute("SELECT count(*) FROM temp.main.odd_lines").fetchone()
    if found and found[0]:
        con.execute(
            f"INSERT INTO {PROBLEMS} SELECT {literal(item.table.name)}, source_file, row_number, "
            f"'row', NULL, rule, 0, 1, {record_text(item.table, item.present)} "
            f"FROM {item.relation} AS s JOIN temp.main.odd_lines USING (source_file, row_number)"
        )
        con.execute(
            f"DELETE FROM {item.relation} WHERE (source_file, row_number) IN "
            "(SELECT (source_file, row_number) FROM temp.main.odd_lines)"
        )
    con.execute("DROP TABLE temp.main.odd_lines")


def key_columns(table: Table) -> list[Column]:
    """The columns whose value can say whose row it is: no names, dates or codes."""
    names = dict.fromkeys(
        [name for alternative in table.person_key for name in alternative] + [*table.primary_key]
    )
    return [
        column
        for column in map(table.column, names)
        if column.type not in ("date", "timestamp", "boolean")
        and column.linkage_role not in NAMES
        and not column.codeset
    ]


def _nobody(item: StagedTable) -> str:
    """SQL: the row has no value that can name anybody and no readable date."""
    keys = [_valid(column) for column in key_columns(item.table) if column.name in item.present]
    dates = [
        f"{quoted(name)} IS NOT NULL"
        for name in item.present
        if item.table.column(name).type in ("date", "timestamp")
    ]
    return f"NOT coalesce({' OR '.join([*keys, *dates])}, false)" if keys or dates else "true"


def _word(item: StagedTable) -> str:
    """SQL: some column that can name somebody holds one word. Ids without a digit are rare, and
    are what the words of headers and footers look like."""
    words = [
        f"coalesce(regexp_full_match({quoted(column.name)}, '\\S{{1,80}}'), false)"
        for column in key_columns(item.table)
        if column.name in item.present and column.type == "string" and not column.identifier_type
    ]
    return " OR ".join(words) or "false"


def _valid(column: Column) -> str:
    value = quoted(column.name)
    if column.type != "string":
        return f"{value} IS NOT NULL"
    if column.identifier_type in ("nhs_number", "upn", "uln"):
        return f"coalesce(linked_cyp_valid_{column.identifier_type}({value}), false)"
    one_word = rf"regexp_matches({value}, '[0-9]') AND NOT regexp_matches({value}, '\S\s+\S+\s+\S')"
    words = (
        f"regexp_matches({value}, {literal(_WORD_FIRST)}) OR {_names_itself(column, value)} "
        f"OR {_type_cells([value])} > 0"
    )
    return f"coalesce({one_word} AND NOT ({words}) AND length({value}) <= 80, false)"


def _named_cells(item: StagedTable) -> str:
    """SQL: how many cells hold the name of their own column."""
    tests = []
    for name in item.present:
        column = item.table.column(name)
        test = _names_itself(column, item.written(name))
        tests.append(f"coalesce({test}, false)::INTEGER")
    return " + ".join(tests)


def _names_itself(column: Column, text: str) -> str:
    """SQL: the cell holds the name of its own column, as in a header."""
    known = {normalise(n) for n in (column.physical_name, column.name, *column.aliases)}
    names = ", ".join(literal(n) for n in sorted(known))
    return rf"lower(regexp_replace({text}, '\s+', '', 'g')) IN ({names})"


def _type_cells(texts: list[str]) -> str:
    """SQL: how many cells say what type a column is of, or belong to a line that was drawn."""
    tests = (f"regexp_full_match(lower(trim({text})), {literal(_TYPE_CELL)})" for text in texts)
    return " + ".join(f"coalesce({test}, false)::INTEGER" for test in tests)


def _otherwise(table: Table) -> str:
    return "WHEN NOT named_by_word THEN 'row__nobody'" if table.person_key else ""
