"""What a file is, by its first bytes and not by its name."""

from __future__ import annotations

import zipfile
from pathlib import Path

WORKBOOK, ZIP = "workbook", "zip"
# What a file that is no table is called, as the rule it is refused under.
DOCUMENT, LOCKED, PACKED = "file__document", "file__workbook_locked", "file__packed"
WEB_PAGE, DAMAGED = "file__web_page", "file__workbook_damaged"
WORKBOOK_HERE = "file__workbook"  # where the return is XML
_DOCUMENTS = (b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"{\\rtf", b"BM", b"II*\0", b"MM\0*")
_PACKED = (b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PARTS = {"xl/": WORKBOOK, "word/": DOCUMENT, "ppt/": DOCUMENT}


def kind(path: Path) -> str | None:
    """``workbook``, ``zip``, the rule that a file is refused under, or None for text."""
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(_OLE):
        return _old_office(path)
    if start.startswith(b"PK\x03\x04"):
        return _zipped(path)
    if start.startswith(_PACKED):
        return PACKED
    if start.startswith(_DOCUMENTS) and (b"\0" in start or start.startswith((b"%PDF", b"{\\rtf"))):
        return DOCUMENT
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html")):
        return WEB_PAGE
    return None


def _zipped(path: Path) -> str:
    """A workbook, another office document, or a plain zip file."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return ZIP
    if "[Content_Types].xml" in names or "mimetype" in names:
        found = {_PARTS[start] for start in _PARTS for name in names if name.startswith(start)}
        return WORKBOOK if WORKBOOK in found or "content.xml" in names else DOCUMENT
    return ZIP


def _old_office(path: Path) -> str:
    """An old workbook, a locked new one, or another document of old office programs."""
    content = path.read_bytes()
    if _wide("EncryptedPackage") in content:
        return LOCKED
    return WORKBOOK if _wide("Workbook") in content or _wide("Book") in content else DOCUMENT


def _wide(text: str) -> bytes:
    return text.encode("utf-16-le")
