"""Findings in the words of the person who prepares a return: what is wrong, what was expected, what
to do about it, with the return's own names of tables and columns and the codes of the year.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from linked_cyp.contracts.model import Column, Contract, Table, in_force
from linked_cyp.ingest.readers.conform import FALSE_WORDS, TRUE_WORDS, date_formats
from linked_cyp.ingest.reasons import Reason

if TYPE_CHECKING:
    from linked_cyp.expectations import Rule

Codes = tuple[tuple[str, str], ...]
_SPREADSHEET = "Export the table again from your system; do not open and save it in a spreadsheet"
# Rule of the reading -> what is wrong, what was expected, what to do.
# What ingest says of them is in docs/delivery_refused.md.
_READING: Mapping[str, tuple[str, str, str]] = {
    "row__structure": (
        "The row does not have the header's columns.",
        "as many fields as the header has, and quotes that are closed",
        f"Look for a quote left open, or a missing or extra comma. {_SPREADSHEET}.",
    ),
    "row__blank": (
        "The row is empty and is left out.",
        "a record in every row",
        "Nothing has to be done; deleting the empty rows makes the figures match.",
    ),
    "row__duplicate": (
        "The row repeats an earlier row exactly and is taken once.",
        "each record once",
        "Nothing has to be done; if every row is repeated, the export ran twice.",
    ),
    "key__unique": (
        "The row has the key of an earlier row but says something else, so it is refused.",
        "one row for each key",
        "Decide which of the two rows is right, and end or merge the other in your system.",
    ),
    "row__nobody": (
        "The row has neither a number that can name a child nor a date, so it is no record.",
        "an id of the child, or at least a date, in every row",
        "Take totals, notes and headings out of the export, or put the missing id right.",
    ),
    "line__header": (
        "The line repeats the header and is passed over.",
        "the header once, at the top",
        "Nothing has to be done.",
    ),
    "line__total": (
        "The line is a total and is passed over.",
        "records only",
        "Nothing has to be done; exporting without totals makes the figures match.",
    ),
    "line__title": (
        "The line above the header is no record and is passed over.",
        "the column names in the first row",
        "Nothing has to be done.",
    ),
    "line__remark": (
        "The line is a remark, not a record, and is passed over.",
        "records only",
        "Nothing has to be done; exporting without title and footer makes the figures match.",
    ),
    "file__document": (
        "The file is a document (PDF, Word, picture), not a table, and is left out.",
        "tables of the return, as CSV files or workbooks",
        "Take it out of the folder. If the return itself was saved so, export it as CSV.",
    ),
    "file__workbook_locked": (
        "The workbook has a password, so nobody can say what is in it, and it is refused.",
        "a workbook without a password",
        "Save it without its password; the way it is sent must protect it instead.",
    ),
    "file__workbook_damaged": (
        "The workbook cannot be opened.",
        "a complete workbook",
        "Open it in a spreadsheet, save each sheet as CSV UTF-8 and send those.",
    ),
    "file__workbook": (
        "The file is a workbook; this return is read from XML.",
        "the XML that your case management system makes",
        "Export the return as XML.",
    ),
    "file__packed": (
        "The file is packed (gz, 7z, rar), so nobody can say what is in it, and it is refused.",
        "the files themselves, or a plain zip file",
        "Unpack it, and send what is inside.",
    ),
    "file__web_page": (
        "The file is a web page, although its name may end in .xls.",
        "CSV files or a workbook",
        "Open it in a spreadsheet and save it as CSV UTF-8.",
    ),
    "file__unrecognised": (
        "The file is not any table of this return, so all of it is refused.",
        "the column names of one of the return's tables in the first row, or the return's XML",
        "Check that the first row holds the column names and nothing is above it. Take the file "
        "out of the folder if it does not belong to the return.",
    ),
    "file__column_missing": (
        "A required column is missing, so the whole file is refused.",
        "every required column in the header",
        "Export the table again with this column.",
    ),
    "file__column_repeated": (
        "A column occurs twice, so nobody can say which is meant, and the whole file is refused.",
        "each column once",
        "Take one of the two columns out of the export.",
    ),
    "file__encoding": (
        "The file is not text that can be read, so all of it is refused.",
        "text in UTF-8, UTF-16 or Windows-1252",
        f"{_SPREADSHEET}, or save it as CSV UTF-8.",
    ),
    "file__empty": (
        "The file is empty.",
        "a header and rows",
        "Export it again, or take it out of the folder if there is nothing to return.",
    ),
    "file__repeated": (
        "The file is the same as another one of the return and is taken once.",
        "each file once",
        "Nothing has to be done; taking the copy out makes the figures match.",
    ),
    "file__malformed": (
        "The file is damaged or cut off, so all of it is refused.",
        "a complete file",
        "Export or copy the file again. An XML file can be opened in a browser, which says where "
        "it breaks.",
    ),
    "file__doctype": (
        "The XML begins with a document type declaration, so all of it is refused.",
        "XML without <!DOCTYPE>",
        "Take that line out; exports of case management systems have none.",
    ),
}
_TYPES = {
    "integer": "a whole number, such as 12",
    "number": "a number, such as 12 or 12.5",
    "boolean": f"one of {', '.join(TRUE_WORDS)} for yes and {', '.join(FALSE_WORDS)} for no",
}
_MENDED = "Put it right in the record in your case management system and export again."


@dataclass(frozen=True)
class Words:
    """``codes`` are the valid codes of the year with their labels, where codes were expected."""

    message: str
    expected: str
    advice: str
    codes: Codes = ()


def of_reading(
    contract: Contract, table: Table | None, column: Column | None, rule: str, scope: str
) -> Words:
    """What reading set aside (``scope`` row or file) or left out (``scope`` cell).

    Args:
        rule: as quarantine has it, such as ``child_id__required`` or ``row__structure``.
    """
    written = column.physical_name if column else ""
    known = _READING.get(rule)
    if known:
        message, expected, advice = known
        return Words(
            f"{written}: {message}" if written and scope == "file" else message, expected, advice
        )
    lost = "the value is left out" if scope == "cell" else "the row is refused"
    if rule.endswith("__required") or column is None:
        return Words(f"{written} is blank, so {lost}.", f"{written} filled in every row", _MENDED)
    return Words(f"{written} cannot be read, so {lost}.", _readable(contract, column), _MENDED)


# Reason of a refusal -> what was expected, what to do.
_REFUSAL: Mapping[str, tuple[str, str]] = {
    "table__required": (
        "a file with the columns of {table}",
        "Put its file into the folder. If it is there, its first row does not hold the names of "
        "its columns.",
    ),
    "delivery__unread": (
        "files whose first row has the column names of the return, or the return's XML",
        "Check that these are the right files, and that nothing stands above the column names.",
    ),
    "file__cut": (
        "a file that ends at the end of a row",
        "The file was cut off while it was written or copied. Export or copy it again.",
    ),
    "table__repeated": (
        "each row of {table} once",
        "Look whether the export was pasted or run twice, and send each row once.",
    ),
    "file__undeclared": (
        "the columns of the list and no others",
        "Take the further columns out.",
    ),
    "column__lost": (
        "{column} written as the return's guidance says",
        "Look at the findings about {column}: each value that cannot be read is among them. If all "
        f"are, the export writes them otherwise. {_SPREADSHEET}.",
    ),
    "column__collided": (
        "{column} written the same way in every row and every file",
        "Two ids become one when zeros at the front are dropped, which spreadsheets do. "
        f"{_SPREADSHEET}.",
    ),
    "column__range": (
        "{column} in the unit of the return's guidance",
        "Most numbers of this column cannot be: look at their unit and sign, and whether the "
        "column holds something else.",
    ),
    "column__protects": (
        "the column {column} in {table}",
        "This column says which children must be protected. Export the table again with it.",
    ),
    "column__mark": (
        "{column} filled with a value that can be read, wherever it is filled",
        "This column says which children must be protected. " + _MENDED,
    ),
    "column__gone": (
        "{column} in {table}, and filled",
        "Children cannot be told apart without it. Export the table again with it.",
    ),
    "table__orphans": (
        "the same {column} in {table} and {other}",
        "Most children of the one table are not in the other: two exports of different days, or "
        "two ways of writing the id. Export both tables together.",
    ),
    "table__quarantined": (
        "few rows that cannot be taken",
        "Put the rows right that are listed below; start with the finding with most of them.",
    ),
}


def of_refusal(contract: Contract, reason: Reason) -> Words:
    """A reason for which ingest refuses the return as a whole."""
    table, column, other = reason.table, reason.column, reason.other
    names = {
        "table": table.physical_name if table else "",
        "column": column.physical_name if column else "",
        "other": other.physical_name if other else "",
    }
    expected, advice = (text.format(**names) for text in _REFUSAL[reason.rule])
    if reason.rule == "column__lost" and column and column.type in ("date", "timestamp"):
        expected = _readable(contract, column)
    said = reason.in_suppliers_words.replace("quarantined", "set aside")
    return Words(f"{said[:1].upper()}{said[1:]}, so the return is refused.", expected, advice)


def of_rule(rule: Rule, table: Table, parent: Table | None, year: int) -> Words:
    """A rule of the contract about the values of rows.

    Args:
        parent: the table that the rule's column refers to, if it refers to one.
    """
    column = table.column(rule.columns[-1])
    written = column.physical_name
    given = rule.arguments
    match rule.kind:
        case "in_set":
            return Words(
                f"{written} holds a code that is not one of the {year} collection.",
                f"one of the codes of {year}",
                _MENDED,
                codes_of(column, year),
            )
        case "between":
            return Words(
                f"{written} lies outside what is possible.",
                _between(given["minimum"], given["maximum"]),
                _MENDED,
            )
        case "exists_in" if parent is not None:
            there = ", ".join(parent.column(c).physical_name for c in given["to_columns"])
            return Words(
                f"{written} is not in {parent.physical_name}.",
                f"each {written} of {table.physical_name} as {there} in {parent.physical_name}",
                f"Add the record to {parent.physical_name}, or correct {written}.",
            )
    expected = rule.description.removeprefix(f"{column.name} ").removesuffix(".")
    if rule.kind == "matches":
        expected = column.description.removesuffix(".")
    return Words(f"{written} is not written as it should be.", expected, _MENDED)


_SHORT = {
    "__codes": "code not valid",
    "__format": "not written as expected",
    "__required": "missing",
    "__range": "not possible",
    "row__structure": "columns do not fit",
    "row__blank": "empty row",
    "row__duplicate": "repeated row",
    "row__nobody": "not a record",
    "line__header": "header again",
    "line__total": "total",
    "line__title": "title",
    "line__remark": "remark",
    "key__unique": "key used before",
}


def short(rule: str) -> str:
    """A rule in the fewest words: the Department's by its code, ours by what is wrong."""
    if "__" not in rule:
        return f"rule {rule}"
    found = (words for end, words in _SHORT.items() if rule.endswith(end))
    return next(found, "not found" if "__exists_in_" in rule else "file refused")


def of_department(severity: str) -> str:
    """What to do about a rule of the Department."""
    if severity == "error":
        return "The Department does not accept the return before this is put right. " + _MENDED
    return "It may be right: look at the record. If it is, note why, for the Department may ask."


def of_role(role: str) -> str:
    """What a link key is called."""
    known = {"nhs_number": "NHS number", "upn": "Unique pupil number", "la_child_id": "Child's id"}
    return known.get(role, role.replace("_", " ").capitalize())


def codes_of(column: Column, year: int) -> Codes:
    """The codes of a column in force in a year, with their labels."""
    known = column.codeset.codes if column.codeset else ()
    return tuple((c.code, c.label) for c in known if in_force(c, year))


def _readable(contract: Contract, column: Column) -> str:
    if column.type in ("date", "timestamp"):
        day = datetime(2025, 3, 31, 14, 30)
        written = [day.strftime(f) for f in date_formats(contract, column)] or ["2025-03-31"]
        return f"a date written like {' or '.join(dict.fromkeys(written[:2]))}"
    return _TYPES.get(column.type, column.type)


def _between(minimum: Any, maximum: Any) -> str:
    low, high = _bound(minimum), _bound(maximum)
    if minimum is None:
        return f"at most {high}"
    return f"at least {low}" if maximum is None else f"between {low} and {high}"


def _bound(value: Any) -> str:
    return value.strftime("%d/%m/%Y") if isinstance(value, date) else str(value)
