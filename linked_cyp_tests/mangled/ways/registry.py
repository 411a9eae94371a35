"""Ways to spoil a delivery, by name: how one is declared."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from linked_cyp.contracts.model import Column
from linked_cyp_tests.mangled.files import Delivery, File, Sheet

Spoil = Callable[[Delivery], Delivery | None]


@dataclass(frozen=True)
class Way:
    """One way: ``kind`` says who does it."""

    name: str
    kind: str
    spoil: Spoil


WAYS: dict[str, Way] = {}


def declare(kind: str, name: str, spoil: Spoil) -> None:
    assert name not in WAYS, name
    WAYS[name] = Way(name, kind, spoil)


def of_files(change: Callable[[File], bytes | None]) -> Spoil:
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
        declare(kind, change.__name__, of_files(lambda file: change(file.content)))

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

        declare(kind, change.__name__, of_files(of_file))

    return register


def by_delivery(kind: str) -> Callable[[Spoil], None]:
    def register(spoil: Spoil) -> None:
        declare(kind, spoil.__name__, spoil)

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
