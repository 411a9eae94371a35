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
import pyarrow as pa

DEPTH = 3
BATCH = 50_000_000
LARGEST = 200_000_000
SHORTEST_NEEDLE = 6
# With everything but letters and digits taken out, random bytes hold a given postcode once in 3.6
# thousand million letters and digits: with forty to look for, once in a few files. Needles shorter
# than this must stand in such bytes as somebody would write them (see ``_as_written``).
LONG_NEEDLE = 9
_HASHES = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s", "sha3_256")
_RUN = re.compile(rb"[A-Za-z0-9+/_-]{12,}={0,2}")
_BETWEEN = "\0"
_PERCENT = re.compile(r"(?:[A-Za-z0-9._~+-]|%[0-9A-Fa-f]{2}){6,}")
_PLAIN = re.compile(r"[^0-9a-z]+")
# What no text has: such a reading is of an encrypted, compressed or packed file.
_NO_TEXT = re.compile(r"[\x01-\x08\x0b\x0e-\x1f\x7f-\x9f]")
# What may stand between the letters of a value that somebody wrote down.
_GAP = r"[\0\t\n\r !-/:-@\[-`{-~]{0,7}"
_SYSTEM_SCHEMAS = "('information_schema', 'pg_catalog')"


@dataclass(frozen=True, order=True)
class Hit:
    """A needle found: its label, the file, the place inside it, and the form it was in."""

    label: str
    path: str
    place: str
    form: str


class Finder:
    """Searches texts for needles in many forms at once (Aho-Corasick, so in one pass).

    Args:
        needles: label to value (or values). Values need at least six letters or digits, or they
            would be found by chance.

    Raises:
        ValueError: no needles, or one too short to search for.
    """

    def __init__(self, needles: Mapping[str, str | Iterable[str]]) -> None:
        # Pattern in ASCII lower case → (label, form, pattern, whether letter case must match).
        self._forms: dict[bytes, set[tuple[str, str, str, bool]]] = {}
        self._plain: dict[bytes, set[tuple[str, str, str, bool]]] = {}
        for label, values in needles.items():
            for value in [values] if isinstance(values, str) else values:
                self._add(label, value)
        if not self._forms:
            raise ValueError("there is nothing to look for")

    def _add(self, label: str, value: str) -> None:
        plain = _PLAIN.sub("", value.casefold())
        if len(plain) < SHORTEST_NEEDLE:
            raise ValueError(f"{label} is too short to search for")
        for text in (plain, plain[::-1]):
            form = (label, "letters and digits", text, False)
            self._plain.setdefault(text.encode(), set()).add(form)
        for name, form, exact in _forms({value, value.upper(), value.lower(), value.title()}):
            self._forms.setdefault(form.encode().lower(), set()).add((label, name, form, exact))

    def search(self, texts: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
        """Place, label and form of every needle in these (place, text) pairs, decoded to a depth.

        Texts are taken in batches: building the automaton costs more than running it.
        """
        batch: dict[str, set[str]] = {}
        size = 0
        for place, text in texts:
            if text not in batch:
                size += len(text)
            batch.setdefault(text, set()).add(place)
            if size > BATCH:
                yield from self._search_layers(batch)
                batch, size = {}, 0
        yield from self._search_layers(batch)

    def _search_layers(self, layer: dict[str, set[str]]) -> Iterator[tuple[str, str, str]]:
        for _ in range(DEPTH):
            if not layer:
                return
            texts = list(layer)
            series = pl.Series(texts, dtype=pl.String)
            plain = series.str.to_lowercase().str.replace_all(r"[^0-9a-z]+", "")
            for forms, searched in ((self._forms, series), (self._plain, plain)):
                for position, label, form, needle in _matches(forms, searched):
                    text = texts[position]
                    if forms is self._plain and not _as_written(needle, text):
                        continue
                    for place in layer[text]:
                        yield place, label, form
            inner: dict[str, set[str]] = {}
            for text, places in layer.items():
                for found in _inside(text):
                    inner.setdefault(found, set()).update(places)
            layer = inner


def _matches(
    forms: Mapping[bytes, set[tuple[str, str, str, bool]]], texts: pl.Series
) -> Iterator[tuple[int, str, str, str]]:
    """Position of the text, label, form and needle of each match."""
    patterns = [pattern.decode() for pattern in forms]
    found = texts.str.extract_many(patterns, ascii_case_insensitive=True, overlapping=True)
    hits = pl.DataFrame({"found": found}).with_row_index().filter(pl.col("found").list.len() > 0)
    for position, matched in hits.iter_rows():
        for text in set(matched):
            for label, form, wanted, exact in forms[text.encode().lower()]:
                if not exact or text == wanted:
                    yield position, label, form, wanted


def _as_written(needle: str, text: str) -> bool:
    """Whether letters and digits found in a text stand there as a value, not by chance.

    In text they always do, and a long needle does anywhere. In what is no text a short one must be
    in one case, with at most seven signs, blanks or zero bytes between its letters: six characters
    then match at a random place with a chance of about 2e-14, and forty postcodes in 100 MB of an
    encrypted store in one run of ten thousand.
    """
    if len(needle) >= LONG_NEEDLE or not _NO_TEXT.search(text):
        return True
    ways = {needle.upper(), needle.lower(), needle.title()}
    return any(re.search(_GAP.join(map(re.escape, way)), text) for way in ways)


def scan(
    paths: Iterable[Path], needles: Mapping[str, str | Iterable[str]], *, root: Path | None = None
) -> list[Hit]:
    """Every place under ``paths`` (files or folders) where a needle is found.

    Encrypted DuckDB files cannot be opened here: their bytes are searched. To look inside one,
    attach it and use :func:`scan_catalog`.

    Args:
        root: hits give paths relative to this folder when set.
    """
    files = sorted({file for path in paths for file in _files(Path(path))})
    found = Finder(needles).search(_texts_of_files(files, root))
    return sorted(
        {Hit(label, *place.split(_BETWEEN, 1), form=form) for place, label, form in found}
    )


def scan_catalog(
    connection: duckdb.DuckDBPyConnection,
    catalog: str,
    needles: Mapping[str, str | Iterable[str]],
) -> list[Hit]:
    """The same search inside one attached catalog: the positive control for encrypted stores."""
    found = Finder(needles).search(_texts_of_catalog(connection, catalog))
    return sorted({Hit(label, catalog, place, form) for place, label, form in found})


def _files(path: Path) -> Iterator[Path]:
    if path.is_symlink():
        return
    if path.is_file():
        yield path
    elif path.is_dir():
        for inner in path.iterdir():
            yield from _files(inner)


Texts = Iterator[tuple[str, str]]


def _texts_of_files(files: Iterable[Path], root: Path | None) -> Texts:
    for file in files:
        shown = str(file.relative_to(root)) if root else file.name
        yield f"{shown}{_BETWEEN}file name", str(file)
        for place, text in _texts_of_file(file):
            yield f"{shown}{_BETWEEN}{place}", text


def _texts_of_file(file: Path) -> Texts:
    """Everything a file can be read as: (place in the file, text)."""
    size = file.stat().st_size
    if size > LARGEST:
        raise ValueError(f"{file.name} is too large to search: {size} bytes")
    content = file.read_bytes()
    for text in _readings(content):
        yield "bytes", text
    if content[8:12] == b"DUCK":
        yield from _texts_of_duckdb(file)
    elif content.startswith(b"SQLite format 3\0"):
        yield from _texts_of_sqlite(file)
    elif content.startswith(b"PAR1"):
        yield from _texts_of_parquet(file)


def _texts_of_duckdb(file: Path) -> Texts:
    with duckdb.connect(":memory:") as connection:
        name = str(file).replace("'", "''")
        try:
            connection.execute(f"ATTACH '{name}' AS scanned (READ_ONLY)")
        except duckdb.Error:
            return  # encrypted: only its bytes can be searched from outside
        yield from _texts_of_catalog(connection, "scanned")


def _texts_of_catalog(connection: duckdb.DuckDBPyConnection, catalog: str) -> Texts:
    for kind in ("schemas", "tables", "views", "columns", "types", "constraints", "indexes"):
        rows = connection.execute(
            f"SELECT * FROM duckdb_{kind}() WHERE database_name = ?", [catalog]
        ).fetchall()
        for row in rows:
            for value in row:
                yield from _texts_of_value(f"definitions of {kind}", value)
    relations = connection.execute(
        "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns"
        f" WHERE table_catalog = ? AND table_schema NOT IN {_SYSTEM_SCHEMAS}"
        # A view holds nothing but its definition, which was searched above.
        " AND (table_schema, table_name) IN"
        " (SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ?)"
        " ORDER BY ALL",
        [catalog, catalog],
    ).fetchall()
    for schema, table, column, kind in relations:
        relation = f'"{catalog}"."{schema}"."{table}"'
        # A BLOB cast to text would be escaped, so its bytes are fetched as they are.
        shown = f'"{column}"' if kind == "BLOB" else f'CAST("{column}" AS VARCHAR)'
        cursor = connection.cursor()
        cursor.execute(f'SELECT DISTINCT {shown} FROM {relation} WHERE "{column}" IS NOT NULL')
        while rows := cursor.fetchmany(100_000):
            for (value,) in rows:
                yield from _texts_of_value(f"{schema}.{table}.{column}", value)


def _texts_of_sqlite(file: Path) -> Texts:
    address = f"file:{urllib.parse.quote(str(file))}?mode=ro"
    connection = sqlite3.connect(address, uri=True)
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        made = connection.execute("SELECT name, type FROM sqlite_master").fetchall()
        tables = [name for name, kind in made if kind in ("table", "view")]
        for table in ["sqlite_master", *tables]:
            quoted = '"' + table.replace('"', '""') + '"'
            cursor = connection.execute(f"SELECT * FROM {quoted}")
            names = [d[0] for d in cursor.description]
            for row in cursor:
                for name, value in zip(names, row, strict=True):
                    yield from _texts_of_value(f"{table}.{name}", value)
    finally:
        connection.close()


def _texts_of_parquet(file: Path) -> Texts:
    frame = pl.read_parquet(file)
    for name in frame.columns:
        for value in frame[name].unique().to_list():
            yield from _texts_of_value(name, value)


def _texts_of_value(place: str, value: object) -> Texts:
    if isinstance(value, bytes):
        for text in _readings(value):
            yield place, text
    elif value is not None and value != "":
        yield place, value if isinstance(value, str) else str(value)


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
    elif content.startswith(b"\x28\xb5\x2f\xfd"):
        try:
            with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as stream:
                yield stream.read()
        except (OSError, pa.ArrowException):
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
    if text[8:12] == "DUCK" or text.startswith("SQLite format 3\0"):
        return  # opened as a database instead; its bytes are searched as they are
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
    for quoted in _PERCENT.findall(text):
        if "%" in quoted:
            yield urllib.parse.unquote(quoted)
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
