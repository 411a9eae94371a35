"""What stands where it should and is not what it says: columns, people, units and copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from linked_cyp.contracts.model import Column
from linked_cyp_tests.mangled.files import Delivery, Sheet, line
from linked_cyp_tests.mangled.ways.registry import (
    blanks,
    by_delivery,
    by_sheet,
    cells,
    is_any,
    is_date,
    is_day,
    is_id,
    is_name,
    is_number,
)


def _of_role(role: str) -> Callable[[Column], bool]:
    return lambda column: column.linkage_role == role


def _is_birth(column: Column) -> bool:
    return column.linkage_role == "birth_date" and is_date(column)


@by_sheet("export")
def semicolons_and_decimal_commas(sheet: Sheet) -> str | None:
    """A computer that is set to another country."""
    changed = sheet.mapped(sheet.places(is_number), lambda cell, _: cell.replace(".", ","))
    return changed.text(delimiter=";") if changed != sheet else None


@by_sheet("person")
def two_header_lines(sheet: Sheet) -> str:
    """Groups of columns under one heading each, which was written over merged cells."""
    width = len(sheet.header)
    groups = ("Child", *[""] * (width // 2 - 1), "Events", *[""] * (width - width // 2))[:width]
    return line(groups, sheet.delimiter) + sheet.end + sheet.text()


def _swapped(sheet: Sheet, one: int, other: int) -> Sheet:
    def turned(cells_: tuple[str, ...]) -> tuple[str, ...]:
        made = list(cells_)
        made[one], made[other] = made[other], made[one]
        return tuple(made)

    return replace(sheet, rows=tuple(map(turned, sheet.rows)))


@by_sheet("person")
def forename_and_surname_swapped(sheet: Sheet) -> Sheet | None:
    first, last = sheet.places(_of_role("forename")), sheet.places(_of_role("surname"))
    return _swapped(sheet, first[0], last[0]) if first and last else None


@by_sheet("person")
def birth_date_and_another_swapped(sheet: Sheet) -> Sheet | None:
    """The header says one thing, the columns are in another order."""
    born = sheet.places(_is_birth)
    events = sheet.places(lambda c: is_day(c) and c.required and not c.linkage_role)
    events = events or sheet.places(lambda c: is_day(c) and not c.linkage_role)
    events = [place for place in events if len(sheet.filled(place)) > len(sheet.rows) / 2]
    return _swapped(sheet, born[0], events[0]) if born and events else None


@by_sheet("export")
def a_header_twice(sheet: Sheet) -> Sheet | None:
    """Two columns of one name, of which one holds something else."""
    place = next(iter(sheet.places(lambda c: c.required)), None)
    if place is None:
        return None
    rows = tuple((*row, f"{number}") for number, row in enumerate(sheet.rows))
    return replace(sheet, header=(*sheet.header, sheet.header[place]), rows=rows)


@by_delivery("person")
def an_older_copy_beside(delivery: Delivery) -> Delivery | None:
    """The file as it was before it was corrected lies beside it."""
    for file in delivery.each():
        sheet = file.sheet
        places = sheet.places(is_day) if sheet else []
        if sheet and places and len(sheet.rows) >= 10:
            blank = sheet.mapped(places[-1:], lambda *_: "")
            older = replace(blank, rows=blank.rows[:-1])
            return delivery.with_files({**delivery.files, f"old {file.name}": older.encoded()})
    return None


def _times(factor: float) -> Callable[[str, Column], str]:
    def change(cell: str, _: Column) -> str:
        try:
            return f"{float(cell) * factor:.10g}"
        except ValueError:
            return cell

    return change


def _is_measure(column: Column) -> bool:
    """Whether the contract says between what a number lies that is never nothing."""
    bounds = column.minimum is not None and column.maximum is not None
    return is_number(column) and bounds and column.minimum > 0 and not column.linkage_role


FEW = 4  # of fewer numbers it may be chance that none can be


def _measures(name: str, change: Callable[[str, Column], str]) -> None:
    def of_sheet(sheet: Sheet) -> Sheet:
        places = [p for p in sheet.places(_is_measure) if len(sheet.filled(p)) >= FEW]
        return sheet.mapped(places, change)

    of_sheet.__name__ = name
    by_sheet("export")(of_sheet)


_measures("measures_in_a_hundredth_of_the_unit", _times(100))
_measures("measures_in_hundreds_of_the_unit", _times(0.01))
_measures("measures_negative", _times(-1))
cells("export", "numbers_with_percent_signs", is_number, lambda cell, _: f"{cell}%")
cells("export", "ids_cut_short", is_id, lambda cell, _: cell.strip()[:3])
cells("export", "names_cut_short", is_name, lambda cell, _: cell.strip()[:1])
cells("spreadsheet", "birth_dates_all_the_same", _is_birth, lambda *_: "03/04/2015")
cells("export", "birth_dates_all_of_1900", _is_birth, lambda *_: "01/01/1900")

_OTHER_SEX = {"1": "2", "2": "1", "M": "F", "F": "M", "m": "f", "f": "m"}
cells(
    "export",
    "sexes_inverted",
    _of_role("sex"),
    lambda cell, _: _OTHER_SEX.get(cell.strip(), cell),
)

blanks("export", "blanks_are_dots", is_any, ".")
blanks("person", "blanks_are_question_marks", is_any, "?")
blanks("person", "blanks_are_not_known", is_any, "not known")


@by_sheet("person")
def rows_of_another_authority(sheet: Sheet) -> Sheet | None:
    """The neighbours' return was pasted below."""
    places = sheet.places(lambda c: c.period_role == "authority")
    if not places or len(sheet.rows) < 3:
        return None
    turned = {"1": "2", "2": "3", "3": "4", "4": "5", "5": "6", "9": "8"}
    rows = tuple(
        tuple(
            cell[:-1] + turned.get(cell[-1:], "7") if place in places and number % 3 == 0 else cell
            for place, cell in enumerate(row)
        )
        for number, row in enumerate(sheet.rows)
    )
    return replace(sheet, rows=rows)
