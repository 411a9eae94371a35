"""Find planted identities in files by decoding them, not by searching their bytes alone.

A value can sit in a file in many forms: packed in a DuckDB block, as an integer, inside JSON
inside a SQLite column, in base64, in UTF-16, reversed, compressed, spaced out, or as a bare hash
that anybody can recompute. ``scan`` opens every container it knows (DuckDB, SQLite, Parquet,
gzip, zip, JSON, text), walks every table and column, undoes the usual encodings to a small depth,
and reports where a needle was found. A hit names the needle's label and the place, never the value.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import contextlib
import gzip
import hashlib
import io
import json
import re
import sqlite3
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

DEPTH = 3
LARGEST = 200_000_000
SHORTEST_NEEDLE = 6
_HASHES = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s", "sha3_256")
_RUN = re.compile(rb"[A-Za-z0-9+/_-]{12,}={0,2}")
_PLAIN = re.compile(r"[^0-9a-z]+")
_SYSTEM_SCHEMAS = "('information_schema', 'pg_catalog')"


@dataclass(frozen=True, order=True)
class Hit:
    """A needle found: its label, the file, the place inside it, and the form it was in."""

    label: str
    path: str
    place: str
    form: str


class Finder:
    """Searches text and bytes for needles in many forms at once (Aho-Corasick, so in one pass).

    Args:
        needles: label to value (or values). Values need at least six letters or digits, or they
            would be found by chance.

    Raises:
        ValueError: no needles, or one too short to search for.
    """

    def __init__(self, needles: Mapping[str, str | Iterable[str]]) -> None:
        self._forms: list[tuple[str, str, str, bool]] = []
        self._plain: list[tuple[str, str]] = []
        for label, values in needles.items():
            for value in [values] if isinstance(values, str) else values:
                self._add(label, value)
        if not self._forms:
            raise ValueError("there is nothing to look for")
        self._patterns = sorted({form for _, _, form, _ in self._forms})
        self._plain_patterns = sorted({plain for _, plain in self._plain})

    def _add(self, label: str, value: str) -> None:
        plain = _PLAIN.sub("", value.casefold())
        if len(plain) < SHORTEST_NEEDLE:
            raise ValueError(f"{label} is too short to search for")
        self._plain += [(label, plain), (label, plain[::-1])]
        spellings = {value, value.upper(), value.lower(), value.title(), plain, plain.upper()}
        for name, form, exact in _forms(spellings):
            self._forms.append((label, name, form, exact))

    def in_texts(self, texts: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Labels and forms found in any of these texts, decoded to a small depth."""
        layer = list({t for t in texts if t})
        for _ in range(DEPTH):
            if not layer:
                return
            yield from self._search(layer)
            layer = list({inner for text in layer for inner in _inside(text)})

    def in_bytes(self, content: bytes) -> Iterator[tuple[str, str]]:
        """As :meth:`in_texts`, for bytes of any encoding."""
        yield from self.in_texts(_readings(content))

    def _search(self, texts: list[str]) -> Iterator[tuple[str, str]]:
        series = pl.Series(texts, dtype=pl.String)
        found = series.str.contains_any(self._patterns, ascii_case_insensitive=True)
        for text in series.filter(found):
            folded = text.casefold()
            for label, name, form, exact in self._forms:
                if form in text if exact else form.casefold() in folded:
                    yield label, name
        plain = series.str.to_lowercase().str.replace_all(r"[^0-9a-z]+", "")
        for text in plain.filter(plain.str.contains_any(self._plain_patterns)):
            for label, needle in self._plain:
                if needle in text:
                    yield label, "letters and digits"


def scan(
    paths: Iterable[Path], needles: Mapping[str, str | Iterable[str]], *, root: Path | None = None
) -> list[Hit]:
    """Every place under ``paths`` (files or folders) where a needle is found.

    Encrypted DuckDB files cannot be opened here: their bytes are searched. To look inside one,
    attach it and use :func:`scan_catalog`.

    Args:
        root: hits give paths relative to this folder when set.
    """
    finder = Finder(needles)
    hits: set[Hit] = set()
    for file in sorted({f for path in paths for f in _files(Path(path))}):
        shown = str(file.relative_to(root)) if root else file.name
        hits |= {
            Hit(label, shown, "file name", form) for label, form in finder.in_texts([str(file)])
        }
        for place, label, form in _scan_file(file, finder):
            hits.add(Hit(label, shown, place, form))
    return sorted(hits)


def scan_catalog(
    connection: duckdb.DuckDBPyConnection,
    catalog: str,
    needles: Mapping[str, str | Iterable[str]],
) -> list[Hit]:
    """The same search inside one attached catalog: the positive control for encrypted stores."""
    found = _scan_catalog(connection, catalog, Finder(needles))
    return sorted({Hit(label, catalog, place, form) for place, label, form in found})


def _files(path: Path) -> Iterator[Path]:
    if path.is_symlink():
        return
    if path.is_file():
        yield path
    elif path.is_dir():
        for inner in path.iterdir():
            yield from _files(inner)


Found = Iterator[tuple[str, str, str]]


def _scan_file(file: Path, finder: Finder) -> Found:
    size = file.stat().st_size
    if size > LARGEST:
        raise ValueError(f"{file.name} is too large to search: {size} bytes")
    content = file.read_bytes()
    for label, form in finder.in_bytes(content):
        yield "bytes", label, form
    if content[8:12] == b"DUCK":
        yield from _scan_duckdb(file, finder)
    elif content.startswith(b"SQLite format 3\0"):
        yield from _scan_sqlite(file, finder)
    elif content.startswith(b"PAR1"):
        yield from _scan_parquet(file, finder)


def _scan_duckdb(file: Path, finder: Finder) -> Found:
    with duckdb.connect(":memory:") as connection:
        name = str(file).replace("'", "''")
        try:
            connection.execute(f"ATTACH '{name}' AS scanned (READ_ONLY)")
        except duckdb.Error:
            return  # encrypted: only its bytes can be searched from outside
        yield from _scan_catalog(connection, "scanned", finder)


def _scan_catalog(connection: duckdb.DuckDBPyConnection, catalog: str, finder: Finder) -> Found:
    for view in ("schemas", "tables", "views", "columns", "types", "constraints", "indexes"):
        rows = connection.execute(
            f"SELECT * FROM duckdb_{view}() WHERE database_name = ?", [catalog]
        ).fetchall()
        texts = [str(value) for row in rows for value in row if value is not None]
        for label, form in finder.in_texts(texts):
            yield f"definitions of {view}", label, form
    relations = connection.execute(
        "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns"
        f" WHERE table_catalog = ? AND table_schema NOT IN {_SYSTEM_SCHEMAS} ORDER BY ALL",
        [catalog],
    ).fetchall()
    for schema, table, column, kind in relations:
        relation = f'"{catalog}"."{schema}"."{table}"'
        # A BLOB cast to text would be escaped, so its bytes are fetched as they are.
        shown = f'"{column}"' if kind == "BLOB" else f'CAST("{column}" AS VARCHAR)'
        cursor = connection.cursor()
        cursor.execute(f'SELECT DISTINCT {shown} FROM {relation} WHERE "{column}" IS NOT NULL')
        while values := [row[0] for row in cursor.fetchmany(100_000)]:
            for label, form in _in_values(values, finder):
                yield f"{schema}.{table}.{column}", label, form


def _scan_sqlite(file: Path, finder: Finder) -> Found:
    address = f"file:{urllib.parse.quote(str(file))}?mode=ro"
    connection = sqlite3.connect(address, uri=True)
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        tables = [r[0] for r in connection.execute("SELECT name FROM sqlite_master")]
        for label, form in _in_values(
            [r[0] for r in connection.execute("SELECT sql FROM sqlite_master") if r[0]], finder
        ):
            yield "definitions", label, form
        for table in ["sqlite_master", *tables]:
            quoted = '"' + table.replace('"', '""') + '"'
            try:
                cursor = connection.execute(f"SELECT * FROM {quoted}")
            except sqlite3.OperationalError:
                continue  # an index
            names = [d[0] for d in cursor.description]
            while rows := cursor.fetchmany(20_000):
                for position, name in enumerate(names):
                    values = [row[position] for row in rows if row[position] is not None]
                    for label, form in _in_values(values, finder):
                        yield f"{table}.{name}", label, form
    finally:
        connection.close()


def _scan_parquet(file: Path, finder: Finder) -> Found:
    frame = pl.read_parquet(file)
    for name in frame.columns:
        values = [v for v in frame[name].unique().to_list() if v is not None]
        for label, form in _in_values(values, finder):
            yield name, label, form


def _in_values(values: list[object], finder: Finder) -> Iterator[tuple[str, str]]:
    texts = [v if isinstance(v, str) else str(v) for v in values if not isinstance(v, bytes)]
    yield from finder.in_texts(texts)
    for value in values:
        if isinstance(value, bytes):
            yield from finder.in_bytes(value)


def _forms(spellings: set[str]) -> Iterator[tuple[str, str, bool]]:
    """Name, text and whether letter case must match, for each way a value may be written down."""
    for text in sorted(spellings):
        yield "plain", text, False
        yield "reversed", text[::-1], False
        yield "rot13", codecs.encode(text, "rot13"), False
        yield "percent", urllib.parse.quote(text, safe=""), False
        yield "json", json.dumps(text)[1:-1], False
        raw = text.encode()
        for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le"):
            encoded = text.encode(encoding)
            yield f"{encoding} bytes", encoded.decode("latin-1"), False
            yield f"hex of {encoding}", encoded.hex(), False
            for core in _base64_cores(encoded):
                yield f"base64 of {encoding}", core, True
        for name in _HASHES:
            digest = hashlib.new(name, raw)
            yield f"bare {name}", digest.hexdigest(), False
            yield f"bare {name}", digest.digest().decode("latin-1"), True
            yield f"bare {name}", base64.b64encode(digest.digest()).decode().rstrip("="), True
        yield "integer of md5", str(int(hashlib.md5(raw).hexdigest()[:15], 16)), False


def _base64_cores(raw: bytes) -> Iterator[str]:
    """The characters of base64 that do not depend on what stands before and after."""
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        first = -(-before * 8 // 6)
        last = (before + len(raw)) * 8 // 6
        core = text[first:last]
        if len(core) >= 8:
            yield core
            yield core.replace("+", "-").replace("/", "_")


def _readings(content: bytes) -> Iterator[str]:
    """Bytes as text: byte for byte, and as UTF-8 or UTF-16 where that is what they are."""
    yield content.decode("latin-1")
    for encoding in ("utf-8", "utf-16"):
        try:
            yield content.decode(encoding)
        except UnicodeDecodeError:
            continue
    yield from (inner.decode("latin-1") for inner in _unpacked(content))


def _unpacked(content: bytes) -> Iterator[bytes]:
    if content.startswith(b"\x1f\x8b"):
        try:
            yield gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            return
    elif content[:1] == b"\x78":
        try:
            yield zlib.decompress(content)
        except zlib.error:
            return
    elif content.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for name in archive.namelist():
                    yield name.encode()
                    yield archive.read(name)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError):
            return


def _inside(text: str) -> Iterator[str]:
    """What a text may hold inside another encoding."""
    stripped = text.lstrip()
    if stripped[:1] in ("{", "[", '"'):
        try:
            yield from _strings(json.loads(text))
        except (ValueError, RecursionError):
            yield from _json_lines(text)
    if "\\u" in text or "\\x" in text:
        yield re.sub(
            r"\\+(?:u00([0-9a-fA-F]{2})|x([0-9a-fA-F]{2}))",
            lambda m: chr(int(m[1] or m[2], 16)),
            text,
        )
    if "%" in text:
        unquoted = urllib.parse.unquote(text)
        if unquoted != text:
            yield unquoted
    for run in _RUN.findall(text.encode("latin-1", "ignore")):
        yield from _decoded_run(run)


def _json_lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        try:
            yield from _strings(json.loads(line))
        except (ValueError, RecursionError):
            continue


def _strings(value: object) -> Iterator[str]:
    match value:
        case dict():
            for name, inner in value.items():
                yield name
                yield from _strings(inner)
        case list():
            for inner in value:
                yield from _strings(inner)
        case str():
            yield value
        case None | bool():
            return
        case _:
            yield str(value)


def _decoded_run(run: bytes) -> Iterator[str]:
    """Base64 or hexadecimal that decodes to readable or compressed bytes."""
    body = run.rstrip(b"=")
    if len(body) % 2 == 0:
        with contextlib.suppress(ValueError):
            yield from _worth(bytes.fromhex(body.decode()))
    padded = body.translate(bytes.maketrans(b"-_", b"+/")) + b"=" * (-len(body) % 4)
    try:
        yield from _worth(base64.b64decode(padded, validate=True))
    except (binascii.Error, ValueError):
        return


def _worth(content: bytes) -> Iterator[str]:
    for inner in _unpacked(content):
        yield inner.decode("latin-1")
    printable = sum(32 <= byte < 127 or byte in (0, 9, 10, 13) for byte in content)
    if content and printable >= 0.8 * len(content):
        yield content.decode("latin-1")
        yield content.replace(b"\0", b"").decode("latin-1")
