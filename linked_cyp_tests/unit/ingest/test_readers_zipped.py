"""Zip files: members count as files, whatever they are called, and nothing is lost between them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from linked_cyp.ingest.deliveries import ingest
from linked_cyp.ingest.ledger import DeliveryOutcome
from linked_cyp.ingest.readers import SourceFile, likeliest_feed, zipped
from linked_cyp_tests.deliveries_support import (
    contract,
    land,
    memory_store,
    quarantined,
    rows,
    take,
)

PUPILS = "PUPIL_ID,SURNAME,BIRTH_DATE\n1,Grün,01/02/2012\n2,Blau,02/02/2012\n"
MORE = "PUPIL_ID\tSURNAME\tBIRTH_DATE\n3\tRot\t03/02/2012\n4\tRosa\tnot known\n"
VISITS = "PUPIL_ID,VISIT_DATE,REASON\n1,04/02/2024,x\n"


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    store = memory_store()
    yield store
    store.close()


def packed(members: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def taken(con: duckdb.DuckDBPyConnection, root: Path, files: dict[str, bytes]) -> DeliveryOutcome:
    return take(con, contract(), land(root / "landing", dict(files)))


def test_members_are_read_as_files(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    content = packed({"a/pupil.csv": PUPILS, "b/pupil.tab": MORE, "visit.csv": VISITS})
    outcome = taken(con, tmp_path, {"results.zip": content})
    assert outcome.status == "accepted"
    # the rows of two members of one table are numbered through
    assert rows(con, "toy__pupil", "source_file, row_number, pupil_id") == [
        (0, 1, "1"),
        (0, 2, "2"),
        (0, 3, "3"),
    ]
    assert rows(con, "toy__visit", "source_file, row_number") == [(0, 1)]
    assert quarantined(con) == [("pupil", 4, "row", "birth_date", "birth_date__format", 1)]
    assert {n: t.received for n, t in outcome.tables.items()} == {"pupil": 4, "visit": 1}


def test_a_zip_file_and_files_beside_it_are_one_delivery(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    files = {"a.zip": packed({"pupil.csv": PUPILS}), "b.csv": VISITS.encode()}
    outcome = taken(con, tmp_path, files)
    assert outcome.status == "accepted"
    assert rows(con, "toy__visit", "source_file") == [(1,)]


def test_a_member_of_no_table_is_counted(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    content = packed({"pupil.csv": PUPILS, "other.csv": "A,B\n1,2\n3,4\n"})
    outcome = taken(con, tmp_path, {"results.zip": content})
    assert outcome.status == "accepted"
    assert outcome.unassigned_rows == 2
    assert (None, None, "file", None, "file__unrecognised", 2) in quarantined(con)


def test_the_archive_gives_the_zip_file_back(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    content = packed({"pupil.csv": PUPILS, "visit.csv": VISITS})
    folder = land(tmp_path / "landing", {"results.zip": content})
    first = take(con, contract(), folder)
    assert con.execute("SELECT file_name FROM identifiable.ledger.delivery_file").fetchall() == [
        ("results.zip",)
    ]
    (folder / "results.zip").unlink()
    again = ingest(con, contract(version="1.0.1"), first.delivery_id, tmp_path / "work")
    assert again.tables == first.tables


def damaged() -> bytes:
    """A member whose packed bytes are no deflate stream any more."""
    content = bytearray(packed({"pupil.csv": PUPILS * 50}))
    start = content.index(b"pupil.csv") + len("pupil.csv")
    content[start : start + 40] = b"\xff" * 40
    return bytes(content)


def twice() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pupil.csv", PUPILS)
        archive.writestr("Pupil.csv", PUPILS.replace("Grün", "Braun"))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"no zip file at all",
        damaged(),
        twice(),
        packed({"pupil.csv": PUPILS})[:-30],
        packed({}),
        packed({"zeros.csv": b"0" * 40_000_000}),
    ],
    ids=[
        "not a zip file",
        "damaged",
        "two of a name",
        "cut off",
        "empty",
        "meant to fill the disk",
    ],
)
def test_what_cannot_be_unpacked_is_refused(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, content: bytes
) -> None:
    outcome = taken(con, tmp_path, {"results.zip": content, "pupil.csv": PUPILS.encode()})
    assert outcome.status == "rejected"
    assert "file__malformed" in (outcome.reason or "")


def test_members_cannot_choose_where_they_are_put(tmp_path: Path) -> None:
    path = tmp_path / "results.zip"
    path.write_bytes(packed({"../../escaped.csv": PUPILS, "/etc/absolute.csv": VISITS}))
    work = tmp_path / "work"
    work.mkdir()
    members = zipped.unpack(SourceFile(3, path.name, path), work)
    assert members is not None
    assert [(m.index, m.name) for m in members] == [(3, "escaped.csv"), (3, "absolute.csv")]
    assert {p.name for p in tmp_path.iterdir()} == {"results.zip", "work"}
    assert all(m.path.is_relative_to(work) for m in members)


def test_a_zip_file_is_recognised_by_its_members(tmp_path: Path) -> None:
    path = tmp_path / "results.zip"
    path.write_bytes(packed({"readme.txt": "hello\n", "pupil.csv": PUPILS}))
    found = likeliest_feed([contract()], [SourceFile(0, path.name, path)])
    assert found is not None
    assert found.feed == "toy"
