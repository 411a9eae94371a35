"""The smallest workbook that spreadsheets read: sheets of text, or of numbers, dates and text."""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

_TYPES = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Types xmlns='
    '"http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels"'
    ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default'
    ' Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml"'
    ' ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
    '<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument'
    '.spreadsheetml.styles+xml"/>{sheets}</Types>'
)
_SHEET_TYPE = (
    '<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="application/vnd.openxmlformats-'
    'officedocument.spreadsheetml.worksheet+xml"/>'
)
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
_STYLES = (
    f'<styleSheet xmlns="{_MAIN}"><fonts count="1"><font/></fonts><fills count="1"><fill/></fills>'
    '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs>'
    '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs>'
    "</styleSheet>"
)


def workbook(
    sheets: Mapping[str, Sequence[Sequence[str]]],
    *,
    moment: Callable[[str], dt.datetime | None],
    typed: bool = False,
) -> bytes:
    """An ``.xlsx`` of some sheets.

    Args:
        sheets: rows by the sheet's name.
        moment: reads a date.
        typed: numbers and dates are stored as such, as a spreadsheet does that opens a CSV.
    """
    target = io.BytesIO()
    numbers = range(1, len(sheets) + 1)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        parts = "".join(_SHEET_TYPE.format(n=n) for n in numbers)
        file.writestr("[Content_Types].xml", _TYPES.format(sheets=parts))
        file.writestr("_rels/.rels", _relations({"rId1": ("officeDocument", "xl/workbook.xml")}))
        named = "".join(
            f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="rId{n}"/>'
            for n, name in zip(numbers, sheets, strict=True)
        )
        file.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_REL}"><sheets>{named}</sheets></workbook>',
        )
        targets = {f"rId{n}": ("worksheet", f"worksheets/sheet{n}.xml") for n in numbers}
        targets["rId0"] = ("styles", "styles.xml")
        file.writestr("xl/_rels/workbook.xml.rels", _relations(targets))
        file.writestr("xl/styles.xml", _STYLES)
        for n, rows in zip(numbers, sheets.values(), strict=True):
            file.writestr(f"xl/worksheets/sheet{n}.xml", _sheet(rows, moment, typed))
    return target.getvalue()


def _relations(targets: Mapping[str, tuple[str, str]]) -> str:
    each = "".join(
        f'<Relationship Id="{name}" Type="{_REL}/{kind}" Target="{target}"/>'
        for name, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{_PACKAGE}">{each}</Relationships>'


def _sheet(
    rows: Sequence[Sequence[str]], moment: Callable[[str], dt.datetime | None], typed: bool
) -> str:
    made = []
    for number, row in enumerate(rows, 1):
        cells = "".join(
            _cell(f"{_letters(place)}{number}", text, moment, typed and number > 1)
            for place, text in enumerate(row)
            if text
        )
        made.append(f'<row r="{number}">{cells}</row>')
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(made)}</sheetData></worksheet>'


def _cell(at: str, text: str, moment: Callable[[str], dt.datetime | None], typed: bool) -> str:
    if typed and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        return (
            f'<c r="{at}"><v>{float(text)!r}</v></c>'
            if "." in text
            else (f'<c r="{at}"><v>{int(text)}</v></c>')
        )
    day = moment(text) if typed else None
    if day is not None:
        since = day - dt.datetime(1899, 12, 30)
        return f'<c r="{at}" s="1"><v>{since.days + since.seconds / 86400}</v></c>'
    shown = escape(text)
    return f'<c r="{at}" t="inlineStr"><is><t xml:space="preserve">{shown}</t></is></c>'


def _letters(place: int) -> str:
    name = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        name = chr(65 + rest) + name
    return name
