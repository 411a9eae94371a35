"""Ways in which spreadsheets, exports, people and networks spoil a file, each a small function.

A way takes a file to a file (or a delivery to a delivery) and gives None where it does not fit: it
would change nothing, or the feed has no such column. ``WAYS`` names them all.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace

from linked_cyp.contracts.model import Column, normalise
from linked_cyp_tests.mangled.files import Delivery, File, Sheet, line
from linked_cyp_tests.mangled.workbook import workbook

Spoil = Callable[[Delivery], Delivery | None]


@dataclass(frozen=True)
class Way:
    """One way: ``kind`` says who does it."""

    name: str
    kind: str
    spoil: Spoil


WAYS: dict[str, Way] = {}


def _register(kind: str, name: str, spoil: Spoil) -> None:
    assert name not in WAYS, name
    WAYS[name] = Way(name, kind, spoil)


def _each(change: Callable[[File], bytes | None]) -> Spoil:
    """A way of a delivery from a way of a file: all files that it fits are spoilt."""

    def spoil(delivery: Delivery) -> Delivery | None:
        changed = {file.name: change(file) for file in delivery.each()}
        files = {
            name: content if (new := changed[name]) is None else new
            for name, content in delivery.files.items()
        }
        return delivery.with_files(files) if files != dict(delivery.files) else None

    return spoil


def by_bytes(kind: str) -> Callable[[Callable[[bytes], bytes | None]], None]:
    def register(change: Callable[[bytes], bytes | None]) -> None:
        _register(kind, change.__name__, _each(lambda file: change(file.content)))

    return register


def by_sheet(kind: str) -> Callable[[Callable[[Sheet], Sheet | str | None]], None]:
    """From a table to a table, or to the text of the file."""

    def register(change: Callable[[Sheet], Sheet | str | None]) -> None:
        def of_file(file: File) -> bytes | None:
            if file.sheet is None or not file.sheet.rows:
                return None
            made = change(file.sheet)
            if made is None or made == file.sheet:
                return None
            return made.encode() if isinstance(made, str) else made.encoded()

        _register(kind, change.__name__, _each(of_file))

    return register


def by_delivery(kind: str) -> Callable[[Spoil], None]:
    def register(spoil: Spoil) -> None:
        _register(kind, spoil.__name__, spoil)

    return register


Rows = tuple[tuple[str, ...], ...]
Wanted = Callable[[Column], bool]


def cells(kind: str, name: str, wanted: Wanted, change: Callable[[str, Column], str]) -> None:
    """Change the filled cells of some columns."""

    def of_sheet(sheet: Sheet) -> Sheet:
        def one(cell: str, column: Column) -> str:
            return change(cell, column) if cell.strip() else cell

        return sheet.mapped(sheet.places(wanted), one)

    of_sheet.__name__ = name
    by_sheet(kind)(of_sheet)


def blanks(kind: str, name: str, wanted: Wanted, word: str) -> None:
    """Write a word where nothing stood, in columns that are filled elsewhere and in those not."""

    def of_sheet(sheet: Sheet) -> Sheet:
        return sheet.mapped(sheet.places(wanted), lambda cell, _: cell if cell.strip() else word)

    of_sheet.__name__ = name
    by_sheet(kind)(of_sheet)


# --- which columns -------------------------------------------------------------------------------


def is_date(column: Column) -> bool:
    return column.type in ("date", "timestamp")


def is_day(column: Column) -> bool:
    return column.type == "date"


def is_code(column: Column) -> bool:
    return column.type == "string" and column.codeset is not None


def is_number(column: Column) -> bool:
    return column.type in ("integer", "number")


def is_integer(column: Column) -> bool:
    return column.type == "integer"


def is_flag(column: Column) -> bool:
    return column.type == "boolean"


def is_national(column: Column) -> bool:
    return column.identifier_type in ("nhs_number", "upn", "uln")


def is_id(column: Column) -> bool:
    """A supplier's own id: it becomes a token and is of no national kind."""
    return (
        column.type == "string"
        and column.pseudonymisation == "token"
        and not is_national(column)
        and column.codeset is None
    )


def is_name(column: Column) -> bool:
    return column.linkage_role in ("forename", "surname")


def is_any(_: Column) -> bool:
    return True


# --- reading what stands there -------------------------------------------------------------------

_FORMATS = (
    *("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d", "%d/%m/%Y", "%d/%m/%Y %H:%M:%S"),
    *("%Y-%b-%d %H:%M:%S", "%d-%b-%Y", "%d/%m/%Y %H:%M", "%Y%m%d"),
)


def moment(cell: str) -> dt.datetime | None:
    for format_ in _FORMATS:
        try:
            return dt.datetime.strptime(cell.strip(), format_)
        except ValueError:
            continue
    return None


def later(cell: str, days: int) -> str:
    """A day so many days on, as it was written."""
    for format_ in _FORMATS:
        try:
            at = dt.datetime.strptime(cell, format_)
        except ValueError:
            continue
        return (at + dt.timedelta(days)).strftime(format_)
    return cell


def dates(name: str, written: str | Callable[[dt.datetime], str], kind: str = "export") -> None:
    """Write every day in another way (times of day are left alone, as they would be lost)."""

    def change(cell: str, _: Column) -> str:
        at = moment(cell)
        if at is None or at.time() != dt.time():
            return cell
        return at.strftime(written) if isinstance(written, str) else written(at)

    cells(kind, name, is_date, change)


# --- dates ---------------------------------------------------------------------------------------

dates("dates_iso", "%Y-%m-%d")
dates("dates_iso_midnight", "%Y-%m-%d 00:00:00")
dates("dates_iso_t_midnight", "%Y-%m-%dT00:00:00")
dates("dates_with_milliseconds", "%Y-%m-%d 00:00:00.000")
dates("dates_datetime2_7", "%Y-%m-%d 00:00:00.0000000")
dates("dates_with_z", "%Y-%m-%dT00:00:00Z")
dates("dates_with_offset", "%Y-%m-%dT00:00:00+00:00")
dates("dates_british_midnight", "%d/%m/%Y 00:00", "spreadsheet")
dates("dates_british_midnight_seconds", "%d/%m/%Y 00:00:00", "spreadsheet")
dates("dates_twelve_hours", "%d/%m/%Y 12:00:00 AM")
dates("dates_unpadded", lambda at: f"{at.day}/{at.month}/{at.year}", "spreadsheet")
dates("dates_two_digit_year", "%d/%m/%y", "spreadsheet")
dates("dates_month_name", "%d-%b-%y", "spreadsheet")
dates("dates_month_name_upper", lambda at: at.strftime("%d-%b-%Y").upper())
dates("dates_words", lambda at: f"{at.day} {at.strftime('%B %Y')}", "person")
dates("dates_dotted", "%d.%m.%Y")
dates("dates_hyphens", "%d-%m-%Y")
dates("dates_compact", "%Y%m%d")
dates("dates_month_first", "%m/%d/%Y", "spreadsheet")
dates("dates_year_first_slashes", "%Y/%m/%d")
dates("dates_excel_serial", lambda at: str((at.date() - dt.date(1899, 12, 30)).days), "spreadsheet")
dates(
    "dates_epoch_milliseconds",
    lambda at: str(int(at.replace(tzinfo=dt.UTC).timestamp() * 1000)),
)
dates("dates_as_hashes", lambda _: "########", "spreadsheet")
dates("dates_four_years_on", lambda at: f"{at.day:02}/{at.month:02}/{at.year + 400}", "person")


def _some_month_first(sheet: Sheet) -> Sheet:
    """Days after the twelfth stay as they are, the others are turned round, as Excel does."""

    def change(cell: str, _: Column) -> str:
        at = moment(cell)
        if at is None or at.time() != dt.time() or at.day > 12:
            return cell
        return at.strftime("%m/%d/%Y")

    british = [p for p in sheet.places(is_day) if any("/" in cell for cell in sheet.filled(p))]
    return sheet.mapped(british, change)


_some_month_first.__name__ = "dates_half_turned_round"
# Not registered: of a day and month that fit both ways nothing in the file says which it was.

# --- numbers, ids and codes ----------------------------------------------------------------------


def _point_zero(cell: str, _: Column) -> str:
    return f"{cell}.0" if re.fullmatch(r"[0-9]{1,15}", cell.strip()) else cell


def _thousands(cell: str, _: Column) -> str:
    return f"{int(cell):,}" if re.fullmatch(r"[1-9][0-9]{3,14}", cell.strip()) else cell


def _scientific(cell: str, _: Column) -> str:
    return f"{int(cell):.2E}" if re.fullmatch(r"[0-9]{10,}", cell.strip()) else cell


def _fifteen(cell: str, _: Column) -> str:
    digits = cell.strip()
    return digits[:15] + "0" * (len(digits) - 15) if re.fullmatch(r"[0-9]{16,}", digits) else cell


def _no_zeros(cell: str, _: Column) -> str:
    return cell.lstrip("0") or "0" if re.fullmatch(r"0[0-9]+", cell.strip()) else cell


cells("spreadsheet", "ids_point_zero", is_id, _point_zero)
cells("spreadsheet", "national_numbers_point_zero", is_national, _point_zero)
cells("spreadsheet", "codes_point_zero", is_code, _point_zero)
cells("export", "integers_point_zero", is_integer, _point_zero)
cells("spreadsheet", "ids_with_thousands", is_id, _thousands)
cells("spreadsheet", "numbers_with_thousands", is_number, _thousands)
cells("spreadsheet", "numbers_scientific", is_any, _scientific)
cells("spreadsheet", "numbers_of_fifteen_digits", is_any, _fifteen)
cells("spreadsheet", "leading_zeros_lost_in_codes", is_code, _no_zeros)
cells("spreadsheet", "leading_zeros_lost_everywhere", is_any, _no_zeros)
cells("spreadsheet", "decimal_comma", is_number, lambda cell, _: cell.replace(".", ","))
cells("spreadsheet", "ids_with_apostrophe", is_id, lambda cell, _: f"'{cell}")
cells("export", "ids_as_formula", is_id, lambda cell, _: f'="{cell}"')
cells("export", "national_numbers_as_formula", is_national, lambda cell, _: f'="{cell}"')
cells("person", "national_numbers_spaced", is_national, lambda c, _: f"{c[:3]} {c[3:6]} {c[6:]}")
cells("export", "national_numbers_lower_case", is_national, lambda cell, _: cell.lower())
cells("person", "national_numbers_to_be_confirmed", is_national, lambda *_: "TBC")
cells("export", "national_numbers_zeros", is_national, lambda *_: "0000000000")
cells("export", "ids_lower_case", is_id, lambda cell, _: cell.lower())
cells("export", "ids_zero_width", is_id, lambda cell, _: f"{cell}\u200b")
cells("export", "ids_spaced", is_id, lambda cell, _: f"  {cell} ")
cells("export", "codes_lower_case", is_code, lambda cell, _: cell.lower())
cells("export", "codes_upper_case", is_code, lambda cell, _: cell.upper())
cells("export", "codes_no_break_space", is_code, lambda cell, _: f"\u00a0{cell}\u00a0")


def _label(cell: str, column: Column) -> str:
    for code in column.codeset.codes if column.codeset else ():
        if code.code == cell.strip():
            return f"{cell} - {code.label}"
    return cell


def _only_label(cell: str, column: Column) -> str:
    for code in column.codeset.codes if column.codeset else ():
        if code.code == cell.strip():
            return code.label
    return cell


cells("person", "codes_with_label", is_code, _label)
cells("export", "codes_as_label_only", is_code, _only_label)
cells("export", "codes_in_brackets", is_code, lambda cell, _: f"({cell})")
cells("person", "codes_unknown", is_code, lambda *_: "~QQ")
cells("export", "names_lower_case", is_name, lambda cell, _: cell.lower())
cells("export", "names_upper_case", is_name, lambda cell, _: cell.upper())
cells(
    "network",
    "names_decoded_twice",
    is_name,
    lambda cell, _: cell.encode().decode("cp1252", errors="replace"),
)
cells("network", "accents_lost", is_name, lambda c, _: c.encode("ascii", "replace").decode())
cells("export", "cells_padded", is_any, lambda cell, _: f" {cell}   ")
cells("export", "cells_with_tab", is_any, lambda cell, _: f"{cell}\t")
cells("export", "cells_with_line_break", is_any, lambda cell, _: f"{cell}\n")
cells("spreadsheet", "dates_are_formula_errors", is_date, lambda *_: "#VALUE!")
cells("spreadsheet", "ids_are_formula_errors", is_id, lambda *_: "#REF!")

_TRUE, _FALSE = {"1", "true", "t", "y", "yes"}, {"0", "false", "f", "n", "no"}


def flags(name: str, yes: str, no: str) -> None:
    def change(cell: str, _: Column) -> str:
        said = cell.strip().lower()
        return yes if said in _TRUE else no if said in _FALSE else cell

    cells("export", name, is_flag, change)


flags("flags_as_words", "Yes", "No")
flags("flags_as_letters", "t", "f")
flags("flags_as_minus_one", "-1", "0")
flags("flags_as_decimals", "1.0", "0.0")
flags("flags_unreadable", "\u2713", "\u2717")

blanks("export", "blanks_are_null", is_any, "NULL")
blanks("export", "blanks_are_backslash_n", is_any, "\\N")
blanks("spreadsheet", "blanks_are_not_available", is_any, "#N/A")
blanks("export", "blanks_are_none", is_any, "None")
blanks("export", "blanks_are_nan", is_any, "nan")
blanks("person", "blanks_are_dashes", is_any, "-")
blanks("export", "blank_dates_are_high", is_date, "31/12/9999")
blanks("export", "blank_dates_are_high_iso", is_date, "9999-12-31")
blanks("export", "blank_dates_are_low", is_date, "01/01/1900")
blanks("spreadsheet", "blank_dates_are_zero", is_date, "00/01/1900")
blanks("person", "blank_national_numbers_to_be_confirmed", is_national, "TBC")

# --- lines that are not rows ---------------------------------------------------------------------


def lines(kind: str, name: str, change: Callable[[Sheet, list[str]], list[str]]) -> None:
    def of_sheet(sheet: Sheet) -> str:
        return "".join(line + sheet.end for line in change(sheet, sheet.lines()))

    of_sheet.__name__ = name
    by_sheet(kind)(of_sheet)


def _wide(sheet: Sheet, first: str) -> str:
    return line((first, *[""] * (len(sheet.header) - 1)), sheet.delimiter)


lines("spreadsheet", "blank_line_first", lambda sheet, rows: ["", *rows])
lines("spreadsheet", "blank_cells_first", lambda sheet, rows: [_wide(sheet, ""), *rows])
lines("export", "title_line_first", lambda sheet, rows: ["Return for 2024-25", *rows])
lines("spreadsheet", "wide_title_first", lambda s, rows: [_wide(s, "Report of 2025"), *rows])
lines("spreadsheet", "separator_line", lambda sheet, rows: [f"sep={sheet.delimiter}", *rows])
lines("export", "totals_line", lambda s, rows: [*rows, _wide(s, f"Total: {len(s.rows)}")])
lines("export", "footer_line", lambda s, rows: [*rows, _wide(s, "Report run on 01/04/2025")])
lines("export", "short_footer_line", lambda s, rows: [*rows, "", f"{len(s.rows)} rows selected."])
lines(
    "export",
    "header_again",
    lambda s, rows: [*rows[: len(rows) // 2], *rows[:1], *rows[len(rows) // 2 :]],
)
lines("spreadsheet", "blank_rows_last", lambda s, rows: [*rows, *[_wide(s, "")] * 40])
lines("export", "end_of_file_mark", lambda sheet, rows: [*rows, "\x1a"])
lines("person", "file_pasted_twice", lambda sheet, rows: [*rows, *rows])
lines("export", "rows_doubled", lambda sheet, rows: [*rows, *rows[1:]])
lines(
    "export",
    "line_of_types",
    lambda s, r: [r[0], line(("varchar",) * len(s.header), s.delimiter), *r[1:]],
)
lines(
    "export",
    "line_of_dashes",
    lambda s, r: [r[0], line(("-" * 8,) * len(s.header), s.delimiter), *r[1:]],
)
lines("person", "rows_in_another_order", lambda sheet, rows: [rows[0], *reversed(rows[1:])])


# --- layout --------------------------------------------------------------------------------------


@by_sheet("export")
def semicolons(sheet: Sheet) -> str:
    return sheet.text(delimiter=";")


@by_sheet("export")
def tabs(sheet: Sheet) -> str:
    return sheet.text(delimiter="\t")


@by_sheet("export")
def pipes(sheet: Sheet) -> str:
    return sheet.text(delimiter="|")


@by_sheet("export")
def everything_quoted(sheet: Sheet) -> str:
    return sheet.text(quoting=csv.QUOTE_ALL)


@by_sheet("spreadsheet")
def short_lines(sheet: Sheet) -> str | None:
    """Fields that are empty at the end of a line are left out."""
    kept = [sheet.header, *(_shortened(row) for row in sheet.rows)]
    return "".join(line(row, sheet.delimiter) + sheet.end for row in kept)


def _shortened(row: tuple[str, ...]) -> tuple[str, ...]:
    last = max((place for place, cell in enumerate(row) if cell), default=0)
    return row[: last + 1]


@by_sheet("spreadsheet")
def empty_columns_last(sheet: Sheet) -> Sheet:
    return replace(
        sheet, header=(*sheet.header, "", ""), rows=tuple((*row, "", "") for row in sheet.rows)
    )


@by_sheet("export")
def column_of_row_numbers(sheet: Sheet) -> Sheet:
    """As pandas writes its index."""
    rows = tuple((str(n), *row) for n, row in enumerate(sheet.rows))
    return replace(sheet, header=("", *sheet.header), rows=rows)


@by_sheet("export")
def columns_in_another_order(sheet: Sheet) -> Sheet:
    return replace(sheet, header=sheet.header[::-1], rows=tuple(row[::-1] for row in sheet.rows))


@by_sheet("export")
def headers_upper_case(sheet: Sheet) -> Sheet:
    return replace(sheet, header=tuple(name.upper() for name in sheet.header))


@by_sheet("person")
def headers_with_spaces(sheet: Sheet) -> Sheet:
    return replace(sheet, header=tuple(f" {name} " for name in sheet.header))


@by_sheet("export")
def headers_with_underscores(sheet: Sheet) -> Sheet:
    return replace(sheet, header=tuple(name.replace(" ", "_") for name in sheet.header))


def _fullest(sheet: Sheet, wanted: Wanted) -> int | None:
    places = [p for p in sheet.places(wanted) if sheet.filled(p)]
    return max(places, key=lambda p: len(sheet.filled(p))) if places else None


def _kept(column: Column) -> bool:
    return column.pseudonymisation != "drop"


@by_sheet("person")
def column_renamed(sheet: Sheet) -> Sheet | None:
    place = _fullest(sheet, lambda c: not c.required and _kept(c))
    if place is None:
        return None
    header = list(sheet.header)
    header[place] = f"New {header[place]} (v2)"
    return replace(sheet, header=tuple(header))


@by_sheet("person")
def column_left_out(sheet: Sheet) -> Sheet | None:
    place = _fullest(sheet, lambda c: not c.required and _kept(c))
    if place is None:
        return None
    return replace(
        sheet,
        header=(*sheet.header[:place], *sheet.header[place + 1 :]),
        rows=tuple((*row[:place], *row[place + 1 :]) for row in sheet.rows),
    )


@by_sheet("person")
def required_column_left_out(sheet: Sheet) -> Sheet | None:
    place = _fullest(sheet, lambda c: c.required)
    if place is None:
        return None
    return replace(
        sheet,
        header=(*sheet.header[:place], *sheet.header[place + 1 :]),
        rows=tuple((*row[:place], *row[place + 1 :]) for row in sheet.rows),
    )


@by_sheet("export")
def column_emptied(sheet: Sheet) -> Sheet | None:
    place = _fullest(sheet, lambda c: not c.required and _kept(c))
    return None if place is None else sheet.mapped([place], lambda *_: "")


@by_sheet("person")
def column_shifted_down(sheet: Sheet) -> Sheet | None:
    """One column sorted alone, or pasted one row too low."""
    place = _fullest(sheet, lambda c: c.required and is_day(c))
    if place is None or len(set(sheet.filled(place))) < 3:
        return None
    shifted = ["", *[row[place] for row in sheet.rows]]
    rows = tuple((*row[:place], shifted[n], *row[place + 1 :]) for n, row in enumerate(sheet.rows))
    return replace(sheet, rows=rows)


@by_sheet("export")
def extra_column(sheet: Sheet) -> Sheet:
    rows = tuple((*row, "x") for row in sheet.rows)
    return replace(sheet, header=(*sheet.header, "Local use only"), rows=rows)


@by_sheet("export")
def cells_shifted_by_an_unquoted_comma(sheet: Sheet) -> str | None:
    """A comma in a text that nobody quoted: everything after it is one column to the right."""
    text = sheet.places(lambda c: c.type == "string" and not c.codeset and not is_national(c))
    if not text or len(sheet.header) < 3:
        return None
    place = min(text)
    made = [line(sheet.header, sheet.delimiter)]
    for number, row in enumerate(sheet.rows):
        broken = (*row[:place], f"{row[place]}", "Flat 2", *row[place + 1 :])
        made.append(line(broken if number % 3 == 0 else row, sheet.delimiter))
    return "".join(each + sheet.end for each in made)


@by_sheet("export")
def cells_shifted_left(sheet: Sheet) -> str | None:
    """In a third of the rows an empty field in the middle was dropped, and a blank put last."""
    made, shifted = [sheet.header], False
    for number, row in enumerate(sheet.rows):
        empty = [p for p, cell in enumerate(row[:-1]) if not cell and any(row[p + 1 :])]
        if number % 3 == 0 and empty:
            row = (*row[: empty[0]], *row[empty[0] + 1 :], "")
            shifted = True
        made.append(row)
    if not shifted:
        return None
    return "".join(line(row, sheet.delimiter) + sheet.end for row in made)


# Four deviations of a count: the half of a smaller table may be all there is of it this time.
LARGE = 110


@by_delivery("person")
def half_the_rows(delivery: Delivery) -> Delivery | None:
    """Somebody filtered the sheet before saving it. Extracts of months are of different length."""
    if delivery.contract.period_kind == "month":
        return None
    return _fewer(delivery, lambda rows: rows[::2])


@by_delivery("person")
def a_twentieth_of_the_rows(delivery: Delivery) -> Delivery | None:
    return _fewer(delivery, lambda rows: rows[: max(1, len(rows) // 20)])


def _fewer(delivery: Delivery, kept: Callable[[Rows], Rows]) -> Delivery | None:
    """A delivery whose large tables of people and of what happened to them lost rows."""
    files = dict(delivery.files)
    for file in delivery.each():
        sheet = file.sheet
        if sheet and len(sheet.rows) >= LARGE and sheet.table.person_key:
            files[file.name] = replace(sheet, rows=kept(sheet.rows)).encoded()
    return delivery.with_files(files) if files != dict(delivery.files) else None


@by_delivery("export")
def ids_of_one_table_point_zero(delivery: Delivery) -> Delivery | None:
    """One of several tables went through a spreadsheet."""
    return _one_table(delivery, _point_zero)


@by_delivery("export")
def ids_of_one_table_renumbered(delivery: Delivery) -> Delivery | None:
    return _one_table(delivery, lambda cell, _: f"X{cell}")


def _one_table(delivery: Delivery, change: Callable[[str, Column], str]) -> Delivery | None:
    sheets = {file.name: file.sheet for file in delivery.each() if file.sheet and file.sheet.rows}
    if len(sheets) < 2:
        return None
    for name, sheet in sheets.items():
        links = {c for r in sheet.table.relationships for c in r.columns}
        shared = {c for key in sheet.table.person_key for c in key}
        places = sheet.places(lambda c: is_id(c) and (c.name in links or c.name in shared))  # noqa: B023
        made = sheet.mapped(places, change)
        if made != sheet:
            return delivery.with_files({**delivery.files, name: made.encoded()})
    return None


# --- bytes ---------------------------------------------------------------------------------------


def is_text(content: bytes) -> bool:
    return content[:2] != b"PK"


@by_bytes("spreadsheet")
def byte_order_mark(content: bytes) -> bytes | None:
    return b"\xef\xbb\xbf" + content if is_text(content) else None


@by_bytes("export")
def utf_16(content: bytes) -> bytes | None:
    return content.decode().encode("utf-16") if is_text(content) else None


@by_bytes("export")
def utf_16_big_endian(content: bytes) -> bytes | None:
    return b"\xfe\xff" + content.decode().encode("utf-16-be") if is_text(content) else None


@by_bytes("spreadsheet")
def windows_1252(content: bytes) -> bytes | None:
    if not is_text(content) or content.lstrip().startswith(b"<"):
        return None
    made = content.decode().encode("cp1252", errors="ignore")
    return made if made.decode("cp1252") == content.decode() and made != content else None


@by_bytes("network")
def decoded_twice(content: bytes) -> bytes | None:
    if not is_text(content) or content.isascii():
        return None
    return content.decode("cp1252", errors="replace").encode()


@by_bytes("spreadsheet")
def old_macintosh_line_ends(content: bytes) -> bytes | None:
    if not is_text(content):
        return None
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r")


@by_bytes("network")
def unix_line_ends(content: bytes) -> bytes | None:
    return content.replace(b"\r\n", b"\n") if is_text(content) else None


@by_bytes("network")
def windows_line_ends(content: bytes) -> bytes | None:
    if not is_text(content):
        return None
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@by_bytes("network")
def carriage_returns_doubled(content: bytes) -> bytes | None:
    if not is_text(content):
        return None
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\r\n")


@by_bytes("network")
def cut_in_the_middle_of_a_line(content: bytes) -> bytes | None:
    return content[: len(content) // 2 + 7] if len(content) > 400 else None


@by_delivery("network")
def cut_at_the_end_of_a_line(delivery: Delivery) -> Delivery | None:
    return _fewer(delivery, lambda rows: rows[: len(rows) // 6])


@by_bytes("network")
def nul_bytes_at_the_end(content: bytes) -> bytes | None:
    return content + b"\0" * 512 if is_text(content) else None


@by_bytes("network")
def last_line_without_end(content: bytes) -> bytes | None:
    return content.rstrip(b"\r\n") if is_text(content) else None


@by_bytes("network")
def a_page_instead_of_the_file(content: bytes) -> bytes | None:
    return b"<!DOCTYPE html><html><body>Your session has expired</body></html>"


@by_bytes("network")
def nothing_in_the_file(content: bytes) -> bytes | None:
    return b""


# --- the returns in XML --------------------------------------------------------------------------


def by_xml(kind: str) -> Callable[[Callable[[str], str]], None]:
    def register(change: Callable[[str], str]) -> None:
        def of_file(file: File) -> bytes | None:
            if not file.content.lstrip().startswith(b"<"):
                return None
            text = file.content.decode()
            made = change(text)
            return made.encode() if made != text else None

        _register(kind, change.__name__, _each(of_file))

    return register


_XML_DAY = re.compile(r">(\d{4}-\d{2}-\d{2})<")


@by_xml("export")
def xml_dates_with_time(text: str) -> str:
    return _XML_DAY.sub(r">\1T00:00:00<", text)


@by_xml("export")
def xml_dates_with_z(text: str) -> str:
    return _XML_DAY.sub(r">\1Z<", text)


@by_xml("person")
def xml_dates_british(text: str) -> str:
    return re.sub(r">(\d{4})-(\d{2})-(\d{2})<", r">\3/\2/\1<", text)


@by_xml("export")
def xml_indented(text: str) -> str:
    return text.replace("><", ">\n  <")


@by_xml("export")
def xml_values_padded(text: str) -> str:
    return re.sub(r">([^<>\s][^<>]*)<", r"> \1 <", text)


@by_xml("export")
def xml_with_namespace(text: str) -> str:
    return text.replace("<Message>", '<Message xmlns="http://example.org/cin">')


@by_xml("person")
def xml_elements_renamed(text: str) -> str:
    return text.replace("PersonBirthDate", "DateOfBirth")


@by_xml("export")
def xml_elements_lower_case(text: str) -> str:
    return re.sub(r"<(/?)(\w+)>", lambda m: f"<{m[1]}{m[2].lower()}>", text)


@by_xml("person")
def xml_empty_elements(text: str) -> str:
    return re.sub(r"<(CINclosureDate|ReasonForClosure|PersonBirthDate)>[^<]*</\1>", r"<\1/>", text)


@by_xml("person")
def xml_codes_lower_case(text: str) -> str:
    return re.sub(r">([A-Z]{1,3}\d{0,2})<", lambda m: f">{m[1].lower()}<", text)


# --- packing and places --------------------------------------------------------------------------


@by_delivery("person")
def in_a_folder_below(delivery: Delivery) -> Delivery | None:
    return delivery.with_files({f"export/{name}": c for name, c in delivery.files.items()})


@by_delivery("person")
def zipped(delivery: Delivery) -> Delivery | None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in delivery.files.items():
            archive.writestr(name, content)
    return delivery.with_files({"delivery.zip": target.getvalue()})


@by_delivery("person")
def gzipped(delivery: Delivery) -> Delivery | None:
    return delivery.with_files({f"{n}.gz": gzip.compress(c) for n, c in delivery.files.items()})


@by_delivery("person")
def beside_a_picture(delivery: Delivery) -> Delivery | None:
    return delivery.with_files(
        {**delivery.files, "scan.pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj"}
    )


@by_delivery("person")
def beside_a_note(delivery: Delivery) -> Delivery | None:
    note = b"Please ignore the earlier version.\r\nThanks, A.\r\n"
    return delivery.with_files({**delivery.files, "read me.txt": note})


@by_delivery("person")
def beside_leftovers(delivery: Delivery) -> Delivery | None:
    left = {"~$header.xlsx": b"x", "Thumbs.db": b"y", ".DS_Store": b"z"}
    return delivery.with_files({**delivery.files, **left})


@by_delivery("person")
def files_renamed(delivery: Delivery) -> Delivery | None:
    renamed = {
        f"{number:02} final {name}": content
        for number, (name, content) in enumerate(delivery.files.items())
    }
    return delivery.with_files(renamed)


@by_delivery("person")
def a_file_twice(delivery: Delivery) -> Delivery | None:
    name, content = next(iter(delivery.files.items()))
    return delivery.with_files({**delivery.files, f"Copy of {name}": content})


@by_delivery("person")
def a_file_left_out(delivery: Delivery) -> Delivery | None:
    sheets = {f.name: f.sheet for f in delivery.each() if f.sheet and f.sheet.rows}
    if len(sheets) < 2:
        return None
    most = max(sheets, key=lambda name: len(sheets[name].rows))  # type: ignore[union-attr]
    return delivery.with_files({n: c for n, c in delivery.files.items() if n != most})


@by_delivery("person")
def a_file_split_in_two(delivery: Delivery) -> Delivery | None:
    files: dict[str, bytes] = {}
    for file in delivery.each():
        sheet = file.sheet
        if sheet is None or len(sheet.rows) < 4:
            files[file.name] = file.content
            continue
        half = len(sheet.rows) // 2
        files[f"1 of 2 {file.name}"] = replace(sheet, rows=sheet.rows[:half]).encoded()
        files[f"2 of 2 {file.name}"] = replace(sheet, rows=sheet.rows[half:]).encoded()
    return delivery.with_files(files) if files != dict(delivery.files) else None


@by_delivery("person")
def in_the_folder_of_another_period(delivery: Delivery) -> Delivery | None:
    return replace(delivery, period=another_period(delivery.contract.period_kind, delivery.period))


def another_period(kind: str, period: str) -> str:
    """An earlier period of the same kind: what somebody gives who mistakes the folder."""
    year = int(period[:4])
    if kind == "academic_term":
        turn = {"autumn": "spring", "spring": "summer", "summer": "autumn"}
        return f"{period[:4]}-{turn[period[5:]]}"
    return f"{year - 2}{period[4:]}"


def _books(delivery: Delivery, **how: bool) -> Delivery | None:
    files: dict[str, bytes] = {}
    for file in delivery.each():
        if file.sheet is None:
            return None
        rows = [file.sheet.header, *file.sheet.rows]
        name = file.name.rsplit(".", 1)[0]
        files[f"{name}.xlsx"] = workbook({name[:31]: rows}, moment=moment, **how)
    return delivery.with_files(files) if files else None


@by_delivery("spreadsheet")
def workbooks_of_text(delivery: Delivery) -> Delivery | None:
    return _books(delivery)


@by_delivery("spreadsheet")
def workbooks_of_numbers(delivery: Delivery) -> Delivery | None:
    """Whatever looks like a number is one, whatever looks like a date as well."""
    return _books(delivery, typed=True)


@by_delivery("spreadsheet")
def one_workbook(delivery: Delivery) -> Delivery | None:
    sheets = {f.name.rsplit(".", 1)[0][-31:]: f.sheet for f in delivery.each()}
    if any(sheet is None for sheet in sheets.values()) or len(sheets) != len(delivery.files):
        return None
    rows = {n: [s.header, *s.rows] for n, s in sheets.items() if s}
    return delivery.with_files({"return.xlsx": workbook(rows, moment=moment)})


@by_delivery("spreadsheet")
def old_workbooks(delivery: Delivery) -> Delivery | None:
    """The format of Excel 97, which nobody reads here."""
    return delivery.with_files(
        {f"{n}.xls": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 1024 for n in delivery.files}
    )


def known_header(sheet: Sheet, name: str) -> bool:
    return normalise(name) in {normalise(each) for each in sheet.header}
