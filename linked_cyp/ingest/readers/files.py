"""The bytes of a file before anything is read from them: encoding, line ends, content hash."""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass
from pathlib import Path

from linked_cyp.core.files import _chunks

CHUNK = 1 << 22
_NOT_PLAIN = (b'"', b"\t", b"\v", b"\f", b"\x1a")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class FileFacts:
    """What one pass over the bytes tells.

    ``encoding`` is None when the bytes decode strictly in none of the encodings we accept.
    ``is_plain`` promises ASCII without quotes and without any white space but blanks and line ends.
    ``lines`` counts line feeds (the rows of a file nobody can read are counted by it).
    """

    encoding: str | None
    sha256: str
    size: int
    lines: int
    has_nul: bool = False
    is_plain: bool = False


def inspect(path: Path) -> FileFacts:
    """Read a file once: hash it and decide its encoding by strict decoding.

    UTF-8 (with or without a mark), UTF-16 with a mark, else Windows-1252, which is what
    spreadsheets in local authorities write. Bounded memory.
    """
    digest = hashlib.sha256()
    size = lines = 0
    has_nul = False
    is_plain = True
    encoding: str | None = None
    decoders: dict[str, codecs.IncrementalDecoder] = {}
    last = b""
    for chunk in _chunks(path):
        if not size:
            encoding = next((name for bom, name in _BOMS if chunk.startswith(bom)), None)
            names = [encoding] if encoding else ["utf-8", "cp1252"]
            decoders = {name: codecs.getincrementaldecoder(name)("strict") for name in names}
        digest.update(chunk)
        size += len(chunk)
        lines += chunk.count(b"\n")
        last = chunk[-1:]
        has_nul = has_nul or b"\0" in chunk
        plain = chunk.isascii()
        is_plain = is_plain and plain and not any(byte in chunk for byte in _NOT_PLAIN)
        for name in list(decoders):
            if plain and name in ("utf-8", "cp1252") and not _pending(decoders[name]):
                continue
            if not _decodes(decoders[name], chunk):
                del decoders[name]
    for name in list(decoders):
        if not _decodes(decoders[name], b"", final=True):
            del decoders[name]
    if size and last != b"\n":
        lines += 1
    encoding = next(iter(decoders), None) if size else "utf-8"
    has_nul = has_nul and encoding != "utf-16"
    return FileFacts(encoding, digest.hexdigest(), size, lines, has_nul, is_plain)


def to_utf8(path: Path, encoding: str, target: Path) -> None:
    """Write a UTF-8 copy, line ends untouched. The target's folder must be private.

    Raises:
        UnicodeDecodeError: the file is not in that encoding (its message quotes no text, but wrap
            it all the same).
    """
    with (
        path.open(encoding=encoding, errors="strict", newline="") as source,
        target.open("w", encoding="utf-8", newline="") as copy,
    ):
        while text := source.read(CHUNK):
            copy.write(text)


def _pending(decoder: codecs.IncrementalDecoder) -> bool:
    """Whether a character was cut in two by the end of the last chunk."""
    return bool(decoder.getstate()[0])


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True
