"""What has landed: delivery folders, their manifests, and what identifies a delivery.

``landing/<supplier>/<feed>/<period>[__<version>]/`` holds the files of one delivery as the
supplier sent them, and perhaps ``manifest.json``. Nothing here is ever changed by us, and nothing
but bytes and the manifest is read. Each supplier writes into its own folder, and nothing in it may
stop another's deliveries or pass for one of them: links are not followed, only ordinary files are
opened, and whatever cannot be read is a problem of that folder alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linked_cyp.contracts.model import PERIOD_EXAMPLES, Contract
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.files import readable, sha256

MANIFEST = "manifest.json"
MOST_MANIFEST = 1 << 22  # bytes; some 20,000 files
MOST_ROWS = (1 << 63) - 1
# The file that makes a delivery an encoded one; see linked_cyp.ingest.encoded.
STATEMENT = "encoded.json"
# Half-written and system files that transfer tools and desktops leave behind.
_NOT_DATA = re.compile(r"^(\.|~\$|Thumbs\.db$|desktop\.ini$)|\.(part|partial|tmp|filepart)$", re.I)


@dataclass(frozen=True)
class LandedFile:
    """One file. ``index`` counts from 0 in order of name; ``expected_rows`` is the manifest's."""

    index: int
    name: str
    path: Path
    sha256: str
    size: int
    expected_rows: int | None = None


@dataclass(frozen=True)
class LandedDelivery:
    """An immutable delivery, identified by its content.

    ``problem`` says, without values, why it cannot be accepted (its manifest does not match); it
    is still recorded, as rejected.
    """

    delivery_id: str
    supplier: str
    feed: str
    period: str
    version: str
    produced: str
    content_sha256: str
    files: tuple[LandedFile, ...]
    problem: str | None = None

    @property
    def version_order(self) -> str:
        return version_order(self.version, self.produced)

    @property
    def is_encoded(self) -> bool:
        """Whether its supplier encoded it, so that it holds no identifier in clear."""
        return any(file.name == STATEMENT for file in self.files)


class Unidentified(LinkedCypError):
    """A folder in landing that cannot be read as a delivery; the message says what to put right."""


@dataclass(frozen=True)
class Address:
    """Who sent what, for when: known from names and the manifest, without reading any data."""

    supplier: str
    feed: str
    period: str
    version: str
    produced: str

    @property
    def version_order(self) -> str:
        return version_order(self.version, self.produced)


def discover(
    landing: Path,
    contracts: Mapping[str, Contract],
    only: Path | None = None,
    on_problem: Callable[[Path, str], None] | None = None,
) -> list[LandedDelivery]:
    """Every delivery under the landing folder, in order of path. Hashes every file.

    Args:
        landing: the landing folder.
        contracts: the feeds we know.
        only: one delivery's folder instead of all; a problem with it is raised.
        on_problem: told of each folder that is not a delivery; the others are still found.

    Raises:
        Unidentified: ``only`` is not a delivery.
    """
    if only is not None:
        return [identify(only, contracts)]
    found = []
    if on_problem is not None:
        for path, reason in not_taken(landing):
            on_problem(path, reason)
    for folder in folders(landing):
        try:
            found.append(identify(folder, contracts))
        except Unidentified as problem:
            if on_problem:
                on_problem(folder, str(problem))
    return found


def passed_over(
    landing: Path, contracts: Mapping[str, Contract], tell: Callable[[Path, str], None]
) -> None:
    """Tell of everything under the landing folder that nobody will take; hashes no file."""
    for path, reason in not_taken(landing):
        tell(path, reason)
    for folder in folders(landing):
        try:
            address(folder, contracts)
        except Unidentified as problem:
            tell(folder, str(problem))


def find(
    landing: Path, contracts: Mapping[str, Contract], delivery_id: str
) -> LandedDelivery | None:
    """The delivery of that id in its newest version, None when it is not in landing.

    Only folders of the same supplier and period are read.
    """
    newest_version: LandedDelivery | None = None
    wanted = delivery_id.rsplit(".", 1)[0]
    for folder in folders(landing):
        try:
            place = address(folder, contracts)
            if f"{place.supplier}.{place.period}" == wanted:
                landed = identify(folder, contracts)
                if landed.delivery_id == delivery_id and (
                    newest_version is None or newest_version.version_order < landed.version_order
                ):
                    newest_version = landed
        except Unidentified:
            continue
    return newest_version


def folders(landing: Path) -> Iterator[Path]:
    """The folders three levels down that hold at least one data file, or cannot be looked into."""
    for folder in sorted(landing.glob("*/*/*")):
        if not folder.name.startswith(".") and not _is_linked(folder, landing) and _holds(folder):
            yield folder


def _holds(folder: Path) -> bool:
    try:
        return folder.is_dir() and bool(data_files(folder) or folders_below(folder))
    except OSError:
        return True


def _is_linked(folder: Path, landing: Path) -> bool:
    """Whether a folder lies in landing by a link only: it would be another's under a wrong name."""
    between = (folder, *folder.parents[: len(folder.relative_to(landing).parts) - 1])
    return any(path.is_symlink() for path in between)


def newest(folder: Path) -> float:
    """When the folder or a file of it last changed, as a timestamp."""
    return max(path.stat().st_mtime for path in [folder, *data_files(folder)])


def place_signature(folder: Path, landing: Path) -> str:
    """Stands for where a folder lies, without naming it."""
    return hashlib.sha256(os.fsencode(folder.relative_to(landing))).hexdigest()[:16]


def folder_signature(folder: Path) -> str:
    """Changes when any file of the folder does; costs no reading (for a sensor's cursor)."""
    digest = hashlib.sha256()
    for path in [*data_files(folder), folder / MANIFEST]:
        if path.exists():
            found = path.stat()
            seen = f"{readable(path.name)}\0{found.st_size}\0{found.st_mtime_ns}\n"
            digest.update(seen.encode())
    return digest.hexdigest()


def data_files(folder: Path) -> list[Path]:
    """The files of a delivery, in order of name; links, folders and leftovers are not data.

    Where all of them lie in one folder below, as transfer tools and zip programs make it, they are
    those of that folder.
    """
    own = _own_files(folder)
    below = [] if own else folders_below(folder)
    return data_files(below[0]) if len(below) == 1 else own


def folders_below(folder: Path) -> list[Path]:
    """The folders directly in a folder that hold data files, at whatever depth."""
    return [
        path
        for path in sorted(folder.iterdir(), key=lambda p: p.name)
        if path.is_dir()
        and not path.is_symlink()
        and path.name != "__MACOSX"
        and not path.name.startswith(".")
        and (_own_files(path) or folders_below(path))
    ]


def not_taken(landing: Path) -> Iterator[tuple[Path, str]]:
    """What lies in landing and is no part of any delivery, each with the reason."""
    for path in sorted(landing.rglob("*")):
        parts = path.relative_to(landing).parts
        try:
            reason = _why_not(path, len(parts), any(part.startswith(".") for part in parts))
        except OSError:
            reason = "it cannot be looked at"
        if reason:
            yield path, reason


def _why_not(path: Path, depth: int, hidden: bool) -> str | None:
    """Why something in landing is no part of any delivery; None when it may be, or is nothing."""
    if path.is_symlink():
        return "it is a link, and links are not followed"
    if path.is_dir():
        is_empty = depth == 3 and not hidden and not next(path.rglob("*"), None)
        return "the folder is empty" if is_empty else None
    if not path.is_file():
        return "it is no ordinary file"
    if hidden:
        return None
    if _NOT_DATA.search(path.name):
        return "its name is that of a file half written or left behind"
    if depth < 4:
        return "it lies outside supplier/feed/period, so nobody knows whose it is"
    return None


def _own_files(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.iterdir(), key=lambda p: p.name)
        if path.is_file()
        and not path.is_symlink()
        and path.name != MANIFEST
        and not _NOT_DATA.search(path.name)
    ]


def identify(folder: Path, contracts: Mapping[str, Contract], **given: str) -> LandedDelivery:
    """Identify the delivery in a folder (or a single file), reading only bytes to hash them.

    Args:
        folder: ``<supplier>/<feed>/<period>[__<version>]``, wherever it starts.
        contracts: the feeds we know.
        given: ``supplier``, ``feed``, ``period`` or ``version``, before manifest and names.

    Raises:
        Unidentified: no such folder, no data in it, an unknown feed, a period not written as the
            feed writes it, or a file that cannot be read.
    """
    place = address(folder, contracts, **given)
    manifest, problem = _manifest(folder)
    try:
        files, mismatches = _files(_paths(folder), manifest)
        beside = _passed_over(folder)
    except OSError as error:
        raise Unidentified(_unreadable(error)) from None
    if _stranger(folder, manifest) and "supplier" not in given:
        problem.append("the manifest names another supplier than the folder")
    content = content_sha256(place.supplier, place.feed, place.period, files)
    return LandedDelivery(
        delivery_id=f"{place.supplier}.{place.period}.{content[:12]}",
        supplier=place.supplier,
        feed=place.feed,
        period=place.period,
        version=place.version,
        produced=place.produced,
        content_sha256=content,
        files=files,
        problem="; ".join([*problem, *mismatches, *beside]) or None,
    )


def address(folder: Path, contracts: Mapping[str, Contract], **given: str) -> Address:
    """Who, what and when: from the arguments, else the manifest, else the folder names.

    Whose it is the folder says, and no manifest: whoever writes into it could name another.

    Raises:
        Unidentified: see :func:`identify`.
    """
    try:
        _require_files(folder)
    except OSError as error:
        raise Unidentified(_unreadable(error)) from None
    manifest, _ = _manifest(folder)
    manifest.pop("supplier", None)
    named_period, _, named_version = folder.absolute().name.partition("__")
    names = {
        "supplier": folder.absolute().parent.parent.name,
        "feed": folder.absolute().parent.name,
        "period": named_period,
        "version": named_version,
    }
    said = {k: str(given.get(k) or manifest.get(k) or names[k]) for k in names}
    contract = contracts.get(slug(said["feed"]))
    if contract is None:
        raise Unidentified(f"there is no feed of that name; there are {', '.join(contracts)}")
    period = said["period"].strip().lower()
    if not contract.period_pattern().fullmatch(period):
        example = PERIOD_EXAMPLES[contract.period_kind]
        raise Unidentified(f"{contract.feed}: a period is written like {example}")
    return Address(
        slug(said["supplier"]),
        contract.feed,
        period,
        said["version"].strip(),
        str(manifest.get("produced") or ""),
    )


def _require_files(folder: Path) -> None:
    if not folder.exists():
        raise Unidentified("there is no such delivery folder")
    if not _paths(folder):
        if folder.is_dir() and folders_below(folder):
            raise Unidentified("the files of a delivery lie side by side, not in several folders")
        raise Unidentified("the delivery folder holds no data files")


def _unreadable(error: OSError) -> str:
    return f"the delivery folder cannot be read ({type(error).__name__})"


def _stranger(folder: Path, manifest: Mapping[str, Any]) -> bool:
    said = manifest.get("supplier")
    return bool(said) and slug(str(said)) != slug(folder.absolute().parent.parent.name)


def content_sha256(supplier: str, feed: str, period: str, files: tuple[LandedFile, ...]) -> str:
    """The hash that names a delivery: whose, what, when, and every file's name and content."""
    digest = hashlib.sha256()
    for part in (supplier, feed, period):
        digest.update(f"{part}\0".encode())
    for file in sorted(files, key=lambda f: f.name):
        digest.update(f"{file.name}\0{file.sha256}\0".encode())
    return digest.hexdigest()


def version_order(version: str, produced: str) -> str:
    """Sorts as versions do: "2" before "10", no version before any."""
    return f"{natural(version)}\t{natural(produced)}"


def _passed_over(folder: Path) -> list[str]:
    """Folders beside the files of a delivery: nobody can say whether they are part of it."""
    if folder.is_file() or not _own_files(folder):
        return []
    below = folders_below(folder)
    return [f"{len(below)} folders beside its files are not read"] if below else []


def natural(text: str) -> str:
    """Text that sorts as people count: digits are padded, case is ignored."""
    return re.sub(r"[0-9]+", lambda m: m.group().zfill(20), text.strip().casefold())


def slug(text: str) -> str:
    """Lower case letters, digits and underscores only."""
    return re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_") or "unknown"


def _paths(folder: Path) -> list[Path]:
    return [folder] if folder.is_file() else data_files(folder)


def _manifest(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The manifest, empty where there is none, and what is wrong with it."""
    path = folder / MANIFEST
    if folder.is_file() or not os.path.lexists(path):
        return {}, []
    try:
        manifest = json.loads(_small_file(path).decode("utf-8-sig"))
        json.dumps(manifest, ensure_ascii=False).encode()  # half a character can be written as JSON
    except (ValueError, OSError, RecursionError):
        return {}, ["the manifest is not readable JSON"]
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files", {}), dict):
        return {}, ["the manifest is not an object with a files object"]
    return manifest, []


def _small_file(path: Path) -> bytes:
    """The bytes of an ordinary file of bounded size; no link is followed, no pipe waited for.

    Raises:
        OSError: it is a link.
        ValueError: it is not an ordinary file, or too large.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_MANIFEST:
            raise ValueError
        return file.read(MOST_MANIFEST)


def _files(paths: list[Path], manifest: dict[str, Any]) -> tuple[tuple[LandedFile, ...], list[str]]:
    listed = manifest.get("files") or {}
    files, problems = [], []
    for index, path in enumerate(paths):
        digest, size = sha256(path)
        entry = listed.get(readable(path.name))
        rows = entry.get("rows") if isinstance(entry, dict) else None
        if listed and not isinstance(entry, dict):
            problems.append(f"file {index} is not in the manifest")
        elif entry and entry.get("sha256") and str(entry["sha256"]).lower() != digest:
            problems.append(f"file {index} does not match its sha256 in the manifest")
        files.append(
            LandedFile(
                index, readable(path.name), path, digest, size, rows if _whole(rows) else None
            )
        )
    absent = len(set(listed) - {file.name for file in files})
    if absent:
        problems.append(f"{absent} files of the manifest are missing")
    return tuple(files), problems


def _whole(rows: Any) -> bool:
    return isinstance(rows, int) and not isinstance(rows, bool) and 0 <= rows <= MOST_ROWS
