"""Lines that are no rows, and columns that are not where they were."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace

from linked_cyp.contracts.model import Column
from linked_cyp.ingest.losses import references
from linked_cyp_tests.mangled.files import Delivery, Sheet, line
from linked_cyp_tests.mangled.ways.registry import (
    Rows,
    Wanted,
    by_delivery,
    by_sheet,
    is_day,
    is_id,
    is_national,
)
from linked_cyp_tests.mangled.ways.values import point_zero


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
    return fewer_rows(delivery, lambda rows: rows[::2])


@by_delivery("person")
def a_twentieth_of_the_rows(delivery: Delivery) -> Delivery | None:
    return fewer_rows(delivery, lambda rows: rows[: max(1, len(rows) // 20)])


def fewer_rows(delivery: Delivery, kept: Callable[[Rows], Rows]) -> Delivery | None:
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
    return _one_table(delivery, point_zero)


@by_delivery("export")
def ids_of_one_table_renumbered(delivery: Delivery) -> Delivery | None:
    return _one_table(delivery, lambda cell, _: f"X{cell}")


def _one_table(delivery: Delivery, change: Callable[[str, Column], str]) -> Delivery | None:
    sheets = {file.name: file.sheet for file in delivery.each() if file.sheet and file.sheet.rows}
    if len(sheets) < 2:
        return None
    for name, sheet in sheets.items():
        links = {r.columns[0] for r in references(delivery.contract, sheet.table)}
        places = sheet.places(lambda c: is_id(c) and c.name in links)  # noqa: B023
        made = sheet.mapped(places, lambda cell, c: change(cell, c) if cell.strip() else cell)
        if made != sheet:
            return delivery.with_files({**delivery.files, name: made.encoded()})
    return None
