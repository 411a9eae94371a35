"""The archive: a delivery's bytes as they came, compressed, in the encrypted store.

The landing folder belongs to suppliers and operators and may be emptied; with the archive a
delivery can be read again when its contract changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.ingest.landing import LandedDelivery, LandedFile
from linked_cyp.ingest.ledger import ARCHIVE, DELIVERY, FILE, is_withdrawn, prepare

# Bytes of a file in one row, before compression.
_CODEC = "zstd"  # four times as fast as zlib here, and smaller
ARCHIVE_PART = 1 << 23


def archive(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery) -> int:
    """Keep a delivery's bytes in the encrypted store; how many files were added (0: all there).

    Outside any transaction: part by part, so that memory does not grow with the file. A file that
    was only partly kept (the process was killed) is kept anew.

    Raises:
        LinkedCypError: a file changed since it was identified.
    """
    with value_free("archiving a delivery"):
        prepare(con)
        held = dict(
            con.execute(
                f"SELECT file_index, count(*) FROM {ARCHIVE} "
                "WHERE delivery_id = ? GROUP BY file_index",
                [delivery.delivery_id],
            ).fetchall()
        )
        missing = [f for f in delivery.files if held.get(f.index, 0) != _part_count(f)]
        for file in missing:
            _drop(con, delivery, file)
            digest = hashlib.sha256()
            for part, content in enumerate(_parts(file.path)):
                digest.update(content)
                packed = pa.compress(content, _CODEC, asbytes=True)
                con.execute(
                    f"INSERT INTO {ARCHIVE} VALUES (?, ?, ?, ?)",
                    [delivery.delivery_id, file.index, part, packed],
                )
            if digest.hexdigest() != file.sha256:
                _drop(con, delivery, file)
                raise LinkedCypError(f"file {file.index} changed since it was identified")
        return len(missing)


def _drop(con: duckdb.DuckDBPyConnection, delivery: LandedDelivery, file: LandedFile) -> None:
    con.execute(
        f"DELETE FROM {ARCHIVE} WHERE delivery_id = ? AND file_index = ?",
        [delivery.delivery_id, file.index],
    )


def _part_count(file: LandedFile) -> int:
    return -(-file.size // ARCHIVE_PART)


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while content := file.read(ARCHIVE_PART):
            yield content


@contextmanager
def located(
    con: duckdb.DuckDBPyConnection, delivery: LandedDelivery | str, work_dir: Path
) -> Iterator[LandedDelivery]:
    """The delivery with readable files: as landed, else unpacked from the archive for a while."""
    if isinstance(delivery, LandedDelivery) and all(f.path.exists() for f in delivery.files):
        yield delivery
        return
    delivery_id = delivery if isinstance(delivery, str) else delivery.delivery_id
    work_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-archive-", dir=work_dir))
    try:
        yield _unpack(con, delivery_id, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(con: duckdb.DuckDBPyConnection, delivery_id: str, folder: Path) -> LandedDelivery:
    row = con.execute(
        "SELECT supplier, feed, period, version, produced, content_sha256 "
        f"FROM {DELIVERY} WHERE delivery_id = ?",
        [delivery_id],
    ).fetchone()
    if row is None:
        raise LinkedCypError("the ledger does not know this delivery, and it is not in landing")
    files = []
    for index, name, digest, size, expected in con.execute(
        f"SELECT file_index, file_name, sha256, size, expected_rows FROM {FILE} "
        "WHERE delivery_id = ? ORDER BY file_index",
        [delivery_id],
    ).fetchall():
        path = folder / str(index)
        parts = con.execute(
            f"SELECT part FROM {ARCHIVE} WHERE delivery_id = ? AND file_index = ? ORDER BY part",
            [delivery_id, index],
        ).fetchall()
        if len(parts) != -(-size // ARCHIVE_PART) and not is_withdrawn(con, delivery_id):
            raise LinkedCypError("the archive does not hold this delivery")
        with path.open("wb") as file:
            for (part,) in parts:
                content = con.execute(
                    f"SELECT content FROM {ARCHIVE} "
                    "WHERE delivery_id = ? AND file_index = ? AND part = ?",
                    [delivery_id, index, part],
                ).fetchone()
                left = min(ARCHIVE_PART, size - part * ARCHIVE_PART)
                if content:
                    file.write(pa.decompress(content[0], left, _CODEC, asbytes=True))
        files.append(LandedFile(index, name or "", path, digest, size, expected))
    supplier, feed, period, version, produced, content_hash = row
    return LandedDelivery(
        delivery_id, supplier, feed, period, version, produced, content_hash, tuple(files)
    )
