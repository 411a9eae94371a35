"""The decoder finds what it should, in every container and encoding, and nothing else."""

from __future__ import annotations

import base64
import codecs
import gzip
import hashlib
import io
import json
import random
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linked_cyp_tests.privacy.decode import _GAP, Finder, scan, scan_catalog

NHS_NUMBER = "9990000018"
SURNAME = "Quillfeather"
NEEDLES = {"nhs number": NHS_NUMBER, "surname": SURNAME, "postcode": "ZE3 9QX"}

ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "upper case": lambda t: t.upper().encode(),
    "reversed": lambda t: t[::-1].encode(),
    "rot13": lambda t: codecs.encode(t, "rot13").encode(),
    "utf-16 with mark": lambda t: t.encode("utf-16"),
    "utf-16 big end first": lambda t: t.encode("utf-16-be"),
    "utf-32": lambda t: t.encode("utf-32-le"),
    "hex": lambda t: t.encode().hex().encode(),
    "base64": lambda t: base64.b64encode(t.encode()),
    "base64 of utf-16": lambda t: base64.b64encode(t.encode("utf-16-le")),
    "gzip": lambda t: gzip.compress(t.encode()),
    "zstd": lambda t: pa.compress(t.encode(), "zstd", asbytes=True),
    "zlib": lambda t: zlib.compress(t.encode()),
    "gzip in base64": lambda t: base64.b64encode(gzip.compress(t.encode())),
    "json in base64": lambda t: base64.b64encode(json.dumps({"a": [t]}).encode()),
    "json in json": lambda t: json.dumps(json.dumps({"a": t})).encode(),
    "escaped": lambda t: "".join(f"\\u{ord(c):04x}" for c in t).encode(),
    "percent": lambda t: "".join(f"%{ord(c):02X}" for c in t).encode(),
    "spaced": lambda t: " ".join(t).encode(),
    "hyphens": lambda t: "-".join((t[:3], t[3:6], t[6:])).encode(),
    "bare sha256": lambda t: hashlib.sha256(t.encode()).hexdigest().encode(),
    "bare md5": lambda t: hashlib.md5(t.encode()).digest(),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("value", [NHS_NUMBER, SURNAME])
def test_every_encoding_is_found_in_a_file(tmp_path: Path, encoding: str, value: str) -> None:
    (tmp_path / "a.bin").write_bytes(ENCODINGS[encoding](value))
    assert {hit.label for hit in scan([tmp_path], {"it": value})} == {"it"}


@pytest.mark.parametrize("encoding", ["plain", "base64", "gzip", "utf-16 with mark", "hex"])
def test_every_container_is_opened(tmp_path: Path, encoding: str) -> None:
    content = ENCODINGS[encoding](NHS_NUMBER)
    text = content.decode("latin-1")
    with duckdb.connect(str(tmp_path / "a.duckdb")) as con:
        con.execute("CREATE TABLE t AS SELECT ?::BLOB AS b, {'x': [?]} AS s", [content, text])
    with sqlite3.connect(tmp_path / "a.sqlite") as lite:
        lite.execute("CREATE TABLE t (b, s)")
        lite.execute("INSERT INTO t VALUES (?, ?)", (content, json.dumps({"event": text})))
    lite.close()
    pl.DataFrame({"b": [content]}).write_parquet(tmp_path / "a.parquet", compression="zstd")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner", content)
    (tmp_path / "a.zip").write_bytes(buffer.getvalue())
    found = {(hit.path, hit.place) for hit in scan([tmp_path], NEEDLES)}
    assert {("a.duckdb", "main.t.b"), ("a.sqlite", "t.b"), ("a.parquet", "b")} <= found
    if encoding != "gzip":  # compressed bytes do not survive being written as text
        assert {("a.duckdb", "main.t.s"), ("a.sqlite", "t.s"), ("a.zip", "bytes")} <= found


def test_integers_are_values_too(tmp_path: Path) -> None:
    path = tmp_path / "packed.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE TABLE t AS SELECT 9990000018 - i AS n FROM range(5000) r(i)")
    assert NHS_NUMBER.encode() not in path.read_bytes()
    places = {(hit.label, hit.path, hit.place) for hit in scan([path], NEEDLES)}
    assert places == {("nhs number", "packed.duckdb", "main.t.n")}


def test_names_of_files_and_comments_are_read(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "a.duckdb")) as con:
        con.execute("CREATE TABLE t (i INTEGER)")
        con.execute(f"COMMENT ON COLUMN t.i IS 'as for {SURNAME}'")
    (tmp_path / f"{NHS_NUMBER}.csv").write_text("nothing")
    places = {hit.place for hit in scan([tmp_path], NEEDLES)}
    assert {"file name", "definitions of columns"} <= places


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "a.duckdb")) as con:
        con.execute(
            "CREATE TABLE t AS SELECT hash(i)::BIGINT AS h, md5(i::VARCHAR) AS m FROM"
            " (SELECT i FROM range(20000) r(i)) WHERE hash(i) < 9223372036854775807"
        )
    (tmp_path / "a.txt").write_text("999 000 0019 quill and feathers ZE3 9QY " * 1000)
    assert scan([tmp_path], NEEDLES) == []


RANDOM = random.Random(1).randbytes(2000)


@pytest.mark.parametrize("written", ["ZE3 9QX", "ze39qx", "Z E 3 9 Q X", "ZE3 - 9QX", "XQ9 3EZ"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_short_needle_is_found_among_random_bytes(
    tmp_path: Path, written: str, encoding: str
) -> None:
    (tmp_path / "a.bin").write_bytes(RANDOM + b";" + written.encode(encoding) + b";" + RANDOM)
    assert {hit.label for hit in scan([tmp_path], NEEDLES)} == {"postcode"}


@pytest.mark.parametrize("bytes_", [b"z\x80E\x0139\xffq\xfex", b"zE39Qx", b"ZE3\x1b\x029QX"])
def test_letters_that_random_bytes_scatter_are_no_needle(tmp_path: Path, bytes_: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(RANDOM + bytes_ + RANDOM)
    assert scan([tmp_path], NEEDLES) == []
    (tmp_path / "a.bin").write_bytes(RANDOM + b"Q\x80uI\x01ll\xfffe\xfeather" + RANDOM)
    assert {hit.label for hit in scan([tmp_path], NEEDLES)} == {"surname"}  # long: no chance


def test_the_chance_of_a_false_hit_in_encrypted_stores_is_negligible() -> None:
    """Worked out for a postcode, and in the way it was searched for before."""
    separators = len(re.findall(_GAP.removesuffix("{0,7}"), "".join(map(chr, range(256))))) / 256
    gap = sum(separators**n for n in range(8))
    now = 3 * (1 / 256) ** 6 * gap**5
    before = (62 / 256) * (2 / 62) ** 4 * (1 / 62) ** 2  # four letters of either case, two digits
    searched = 40 * 100_000_000  # twenty postcodes forwards and backwards, in 100 MB
    assert now * searched < 2e-4
    assert before * searched > 0.2


def test_hits_never_show_the_value(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(NHS_NUMBER)
    assert NHS_NUMBER not in repr(scan([tmp_path], NEEDLES))


def test_an_attached_catalog_can_be_searched() -> None:
    with duckdb.connect(":memory:") as con:
        con.execute("ATTACH ':memory:' AS vault")
        con.execute("CREATE TABLE vault.main.child AS SELECT 'ze39qx' AS postcode")
        hits = scan_catalog(con, "vault", NEEDLES)
    assert {(hit.label, hit.place) for hit in hits} == {("postcode", "main.child.postcode")}


@pytest.mark.parametrize("needles", [{}, {"short": "abc"}, {"blank": "- - -"}])
def test_needles_that_prove_nothing_are_refused(needles: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"nothing to look for|too short"):
        Finder(needles)


LAYERS = ["plain", "base64", "hex", "json in base64", "json in json"]


@settings(max_examples=60, deadline=None)
@given(
    value=st.text("BCDFGHJKLMNPQRSTVWXYZ0123456789", min_size=8, max_size=16),
    before=st.text("abc ,;", max_size=5),
    first=st.sampled_from(LAYERS),
    second=st.sampled_from(["plain", "base64", "hex"]),
)
def test_layers_of_encoding_are_undone(value: str, before: str, first: str, second: str) -> None:
    once = ENCODINGS[first](before + value + ";").decode("latin-1")
    twice = ENCODINGS[second](once)
    found = Finder({"it": value}).search([("here", twice.decode("latin-1"))])
    assert {(place, label) for place, label, _ in found} == {("here", "it")}
