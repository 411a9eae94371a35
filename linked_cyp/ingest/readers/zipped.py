"""Zip files of a delivery: their members are read as if they had come side by side.

Members are unpacked under numbers, never under their own names, which may point anywhere. The zip
file stays one file in ledger and archive; what is known of its members is put together again.
"""

from __future__ import annotations

import lzma
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from linked_cyp.ingest.readers import kinds
from linked_cyp.ingest.readers.staging import FileResult, SourceFile

# Beyond this a zip file is not a supplier's export but meant to fill the disk.
MOST_MEMBERS = 1_000
MOST_TIMES_LARGER = 300
# What reading a damaged, locked or unknown zip file raises.
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError),
    *(RuntimeError, EOFError, OSError, ValueError),
)
# A member refused for one of these makes the whole delivery unreadable, as a file would.
_UNREADABLE = ("file__encoding", "file__malformed", kinds.LOCKED, kinds.PACKED)


def unpack(source: SourceFile, work: Path) -> list[SourceFile] | None:
    """The members of a zip file in private copies, or None when it cannot be read.

    Args:
        source: the zip file; its members carry its index.
        work: a private folder; the caller removes it.
    """
    folder = work / f"{source.index}.members"
    folder.mkdir(mode=0o700)
    members = []
    try:
        with zipfile.ZipFile(source.path) as archive:
            found = _members(archive, source.path)
            room = shutil.disk_usage(folder).free
            if found is None or sum(member.file_size for member in found) > room:
                return None
            for number, member in enumerate(found):
                path = folder / str(number)
                with archive.open(member) as packed, path.open("wb") as copy:
                    shutil.copyfileobj(packed, copy, 1 << 20)
                members.append(SourceFile(source.index, PurePosixPath(member.filename).name, path))
    except _BROKEN:
        return None
    return members


def starts(source: SourceFile, size: int) -> Iterator[tuple[str, bytes]]:
    """Name and first bytes of each member; nothing when the file is not a zip file."""
    try:
        with zipfile.ZipFile(source.path) as archive:
            for member in _members(archive, source.path) or ():
                with archive.open(member) as packed:
                    yield PurePosixPath(member.filename).name, packed.read(size)
    except _BROKEN:
        return


def together(results: Sequence[FileResult]) -> list[FileResult]:
    """One result for each file: those of a zip file's members put together."""
    by_index: dict[int, list[FileResult]] = {}
    for result in results:
        by_index.setdefault(result.index, []).append(result)
    return [_one(found) if len(found) > 1 else found[0] for found in by_index.values()]


def _one(members: list[FileResult]) -> FileResult:
    read = [m for m in members if not m.rule]
    blamed = next((m for m in members if m.rule in _UNREADABLE), None if read else members[0])
    return replace(
        members[0],
        tables=tuple(dict.fromkeys(t for m in read or members for t in m.tables)),
        rows=sum(m.rows for m in members),
        rule=blamed.rule if blamed else None,
        column=blamed.column if blamed else None,
        undeclared=tuple(dict.fromkeys(name for m in members for name in m.undeclared)),
        out_of_force=tuple(dict.fromkeys(name for m in members for name in m.out_of_force)),
        repaired=any(m.repaired for m in members),
        unassigned_rows=sum(m.unassigned for m in members),
    )


def _members(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo] | None:
    """The members that are data, in order of name; None when they are not to be unpacked.

    Two members of one name are not: nobody can say which of them is meant. How much larger they
    become is held against the file itself, because members may share their bytes.
    """
    found = [
        member
        for member in sorted(archive.infolist(), key=lambda m: m.filename)
        if not member.is_dir()
        and not member.filename.startswith("__MACOSX/")
        and not PurePosixPath(member.filename).name.startswith(".")
    ]
    packed = max(path.stat().st_size, 1 << 16)
    refused = (
        sum(member.file_size for member in found) > MOST_TIMES_LARGER * packed,
        any(member.flag_bits & 1 for member in found),  # locked
        len(found) > MOST_MEMBERS,
        len({member.filename.casefold() for member in found}) < len(found),
    )
    return None if not found or any(refused) else found
