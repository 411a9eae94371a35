"""Text to types, as SQL generated from a contract.

Every reader hands over text; one set of expressions turns it into the contract's types, so a
date means the same whether it came from a CSV or an XML file. A value that is present but does
not read as its type becomes NULL, and the text stays beside it so that the failure is seen,
counted and reported by column and row.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from linked_cyp.contracts.model import Column, Contract, Table
from linked_cyp.core.sql import literal, quoted

Space = Literal["none", "blanks", "any"]
TEXT_PREFIX = "text__"
# Exports of SQL Server and spreadsheets write these for "nothing" in dates and numbers. In text
# they may be true values (Null is a surname), so there only blanks are missing.
MISSING_WORDS = ("NULL", "null", "N/A", "#N/A", "\\N", "NaN", "nan", "NaT", "None")
# -1 is what Microsoft Access writes for true.
TRUE_WORDS = ("1", "1.0", "1.00", "-1", "-1.0", "true", "t", "y", "yes")
FALSE_WORDS = ("0", "0.0", "0.00", "false", "f", "n", "no")
# Earlier than any record of a living child: what a two-digit year reads as, and 0001-01-01.
EARLIEST = "1800-01-01"
# With the mark (ctrl-Z) by which old systems end a file.
WHITESPACE = " \t\r\n\v\f\x1a\u00a0\ufeff\u200b"
_DIRECTIVES: Mapping[str, str] = {
    "Y": r"[0-9]{4}",
    "y": r"[0-9]{2}",
    "m": r"[0-9]{1,2}",
    "d": r"[0-9]{1,2}",
    "H": r"[0-9]{1,2}",
    "I": r"[0-9]{1,2}",
    "M": r"[0-9]{1,2}",
    "S": r"[0-9]{1,2}",
    "f": r"[0-9]{1,6}",
    "b": r"[A-Za-z]{3}",
    "B": r"[A-Za-z]+",
    "p": r"[AaPp][Mm]",
    "z": r"([+-][0-9]{2}:?[0-9]{2}|Z)",
    "%": "%",
}


def date_formats(contract: Contract, column: Column) -> tuple[str, ...]:
    """The strptime formats in which a column's dates may be written, most likely first."""
    return column.date_formats or contract.date_formats


def present_text(text: str, space: Space = "any") -> str:
    """The text without surrounding white space, NULL when nothing is left."""
    if space == "none":
        return text
    if space == "blanks":
        return f"nullif(trim({text}), '')"
    odd = literal(f"^[{WHITESPACE}]|[{WHITESPACE}]$")
    trimmed = f"nullif(trim({text}, {literal(WHITESPACE)}), '')"
    # Most values need no trimming, and finding that out is cheaper than trimming.
    return f"CASE WHEN regexp_matches({text}, {odd}) THEN {trimmed} ELSE nullif({text}, '') END"


def typed(column: Column, formats: Sequence[str], text: str) -> str:
    """SQL that reads ``text`` (trimmed, NULL when missing) as the column's type, else NULL.

    Args:
        column: the contract's column.
        formats: strptime formats of a date or timestamp; ISO 8601 when empty.
        text: a SQL expression of type VARCHAR.
    """
    match column.type:
        case "integer":
            # A bare cast would round 10.5, and read 1e3 and 1_000.
            return (
                rf"CASE WHEN regexp_full_match({text}, '[+-]?[0-9]+(\.0*)?') "
                f"THEN try_cast({text} AS BIGINT) END"
            )
        case "number":
            return (
                rf"CASE WHEN regexp_full_match({text}, '[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)"
                rf"([eE][+-]?[0-9]+)?') THEN try_cast({text} AS DOUBLE) END"
            )
        case "boolean":
            return (
                f"CASE WHEN lower({text}) IN ({_words(TRUE_WORDS)}) THEN true "
                f"WHEN lower({text}) IN ({_words(FALSE_WORDS)}) THEN false END"
            )
        case "date" | "timestamp":
            return _moment(column.sql_type, formats, text)
        case _:
            return text


def stage_query(
    contract: Contract,
    table: Table,
    sources: Mapping[str, str],
    present: Sequence[str],
    number: str,
    relation: str,
    *,
    space: Space = "any",
) -> str:
    """The rows of one file, typed, with the text beside each value that is not text.

    Each step is a query of its own around the one before, so that an expression is evaluated once
    however often its value is used.

    Args:
        contract: gives the formats of dates.
        table: the table the file was recognised as.
        sources: SQL expression of the supplier's text, by our column name, for this file.
        present: our names of the columns that any file of this table in the delivery has.
        number: SQL expression of the row's number.
        relation: where the text comes from.
        space: what white space may surround the text; "none" promises no empty text either.

    Returns:
        A query of ``row_number`` and, for each of ``present`` in order, ``text__<name>`` (unless
        the column is text) and ``<name>``.
    """
    columns = [table.column(name) for name in present]
    words = ", ".join(literal(word) for word in MISSING_WORDS)
    trimmed, known, read, sound = [], [], [], []
    for column in columns:
        name, text = quoted(column.name), quoted(TEXT_PREFIX + column.name)
        source = sources.get(column.name)
        present_ = present_text(source, space) if source else None
        if column.type == "string":
            trimmed.append(f"{present_ or 'NULL::VARCHAR'} AS {name}")
            known.append(name)
            read.append(name)
            sound.append(name)
            continue
        trimmed.append(f"{present_ or 'NULL::VARCHAR'} AS {text}")
        known.append(f"CASE WHEN {text} NOT IN ({words}) THEN {text} END AS {text}")
        value = typed(column, date_formats(contract, column), text)
        read.append(f"{text}, ({value})::{column.sql_type} AS {name}")
        if column.type in ("date", "timestamp"):
            earliest = f"{column.sql_type} {literal(EARLIEST)}"
            sound.append(f"{text}, CASE WHEN {name} >= {earliest} THEN {name} END AS {name}")
        else:
            sound.append(f"{text}, {name}")
    query = _select([f"{number} AS row_number", *trimmed], relation)
    for step in (known, read, sound):
        query = _select(["row_number", *step], f"({query})")
    return query


def _select(columns: Sequence[str], relation: str) -> str:
    return f"SELECT {', '.join(columns)} FROM {relation}"


def record_text(
    table: Table, present: Sequence[str], alias: str = "s", rewritten: Collection[str] = ()
) -> str:
    """SQL of the row as the supplier wrote it: JSON, by the supplier's column names.

    ``rewritten`` are the text columns beside which the text as written stands.
    """
    pairs = []
    for name in present:
        column = table.column(name)
        own = column.type == "string" and name not in rewritten
        source = name if own else TEXT_PREFIX + name
        pairs.append(f"{literal(column.physical_name)}: {alias}.{quoted(source)}")
    return f"to_json({{{', '.join(pairs)}}})::VARCHAR" if pairs else "NULL::VARCHAR"


def _moment(sql_type: str, formats: Sequence[str], text: str) -> str:
    if not formats:
        return f"try_cast({text} AS {sql_type})"
    if len(formats) == 1:
        return f"try_strptime({text}, {literal(formats[0])})"
    # A format that does not fit is slow to fail, so each is tried only on text of its shape.
    branches = " ".join(
        f"WHEN regexp_full_match({text}, {literal(shape(format_))}) "
        f"THEN try_strptime({text}, {literal(format_)})"
        for format_ in formats
    )
    return f"CASE {branches} END"


def shape(format_: str) -> str:
    """A regular expression that matches every text a strptime format can read, and little else."""
    parts = []
    characters = iter(format_)
    for character in characters:
        if character != "%":
            parts.append(re.escape(character))
            continue
        directive = next(characters, "%")
        if directive == "-":
            directive = next(characters, "%")
        parts.append(_DIRECTIVES.get(directive, ".+"))
    return "".join(parts)


def _words(words: Sequence[str]) -> str:
    return ", ".join(literal(word) for word in words)
