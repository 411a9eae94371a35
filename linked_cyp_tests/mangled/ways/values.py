"""Cells that are written otherwise: dates, numbers, ids, codes and flags."""

from __future__ import annotations

import datetime as dt
import re

from linked_cyp.contracts.model import Column
from linked_cyp_tests.mangled.files import Sheet
from linked_cyp_tests.mangled.ways.registry import (
    blanks,
    cells,
    dates,
    is_any,
    is_code,
    is_date,
    is_day,
    is_flag,
    is_id,
    is_integer,
    is_name,
    is_national,
    is_number,
    moment,
)

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


def point_zero(cell: str, _: Column) -> str:
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


cells("spreadsheet", "ids_point_zero", is_id, point_zero)
cells("spreadsheet", "national_numbers_point_zero", is_national, point_zero)
cells("spreadsheet", "codes_point_zero", is_code, point_zero)
cells("export", "integers_point_zero", is_integer, point_zero)
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
