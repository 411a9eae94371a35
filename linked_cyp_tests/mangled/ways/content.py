"""What a network or an editor does to bytes."""

from __future__ import annotations

from linked_cyp_tests.mangled.files import Delivery
from linked_cyp_tests.mangled.ways.registry import by_bytes, by_delivery
from linked_cyp_tests.mangled.ways.sheets import fewer_rows


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
    return fewer_rows(delivery, lambda rows: rows[: len(rows) // 6])


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
