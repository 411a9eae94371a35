"""Packed, renamed and moved files."""

from __future__ import annotations

import gzip
import io
import zipfile
from dataclasses import replace

from linked_cyp.contracts.model import normalise
from linked_cyp_tests.mangled.files import Delivery, Sheet
from linked_cyp_tests.mangled.ways.registry import by_delivery, moment
from linked_cyp_tests.mangled.workbook import workbook


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
