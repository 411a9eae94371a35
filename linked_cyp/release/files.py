"""The files of a project's releases: names, the pointer, roll back, and what a crash leaves.

``releases/<project>/<sequence>-<hash>.duckdb`` are immutable; ``current.duckdb`` is a symbolic
link to one of them, swapped atomically, so a reader holds the file it opened whatever happens.
Beside each file, a folder of its name holds the pages and metadata that go with it; ``current``
follows the pointer.
``stepped_back.json`` lists releases that an operator rolled back from: publishing the same content
again does not bring them back.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.settings import Settings
from linked_cyp.opt_outs.policy import load_policy
from linked_cyp.release import truth
from linked_cyp.stores.door import Stores

POINTER = "current.duckdb"
PAGES = "current"
STEPPED_BACK = "stepped_back.json"
BUILDING = ".building-"
_RELEASE = re.compile(r"(\d{4,})-[0-9a-f]{12}")


@dataclass(frozen=True)
class ReleaseRef:
    """One release. ``created`` is False when publishing found nothing new to publish.

    ``small_differences`` names the tables in which, side by side with the release before, a
    handful of children or rows can be seen to come or go; ``small_beside`` the older releases
    beside which a handful of children can.
    """

    project: str
    release_id: str
    path: Path
    is_current: bool
    created: bool = False
    small_differences: tuple[str, ...] = ()
    small_beside: tuple[str, ...] = ()

    @property
    def sequence(self) -> int:
        return int(self.release_id.split("-", 1)[0])

    @property
    def content_hash(self) -> str:
        """The hash the release states of itself (``content_hash_of`` works it out again)."""
        with (
            value_free(f"reading release {self.release_id}"),
            duckdb.connect(str(self.path), read_only=True) as con,
        ):
            row = con.execute("SELECT content_hash FROM provenance.release").fetchone()
        return str(row[0]) if row else ""


def project_folder(settings: Settings, project: str) -> Path:
    return settings.releases / project


def releases(settings: Settings, project: str) -> list[ReleaseRef]:
    """Every release of a project, oldest first."""
    folder = project_folder(settings, project)
    pointed = _pointed(folder)
    found = [
        ReleaseRef(project, path.stem, path, path.stem == pointed)
        for path in folder.glob("*.duckdb")
        if not path.is_symlink() and _RELEASE.fullmatch(path.stem)
    ]
    return sorted(found, key=lambda ref: ref.sequence)


def current(settings: Settings, project: str) -> ReleaseRef | None:
    """The release the pointer names, or None before the first."""
    return next((ref for ref in releases(settings, project) if ref.is_current), None)


def rollback(settings: Settings, project: str, release_id: str | None = None) -> ReleaseRef:
    """Point to the release before the current one, or to the one named. No file is changed.

    Readers of the release stepped back from keep what they have open. Pointing to a release is
    publishing it again, so it is held to what was withdrawn and who opted out since it was made.

    Raises:
        LinkedCypError: there is no such release, or none before the current one; or the release
            holds a delivery that was withdrawn, or was made before a list of opt-outs of now.
    """
    if not project_folder(settings, project).is_dir():
        raise LinkedCypError(f"project {project} has no releases")
    with locked(settings, project):
        known = releases(settings, project)
        now = next((ref for ref in known if ref.is_current), None)
        if release_id is None:
            earlier = [ref for ref in known if now and ref.sequence < now.sequence]
            if not earlier:
                raise LinkedCypError(f"project {project} has no release before the current one")
            target = earlier[-1]
        else:
            named = [ref for ref in known if ref.release_id == release_id]
            if not named:
                raise LinkedCypError(f"project {project} has no release {release_id}")
            target = named[0]
        _refuse_outdated(settings, target)
        later = [ref.release_id for ref in known if ref.sequence > target.sequence]
        _replace_text(target.path.with_name(STEPPED_BACK), json.dumps(later) + "\n")
        point_to(target)
    return ReleaseRef(project, target.release_id, target.path, is_current=True)


def withdrawn_in(ref: ReleaseRef, told: truth.Truth) -> list[str]:
    """Deliveries that a release was made from and that were withdrawn since."""
    return sorted(made_from(ref) & told.withdrawn)


def _refuse_outdated(settings: Settings, ref: ReleaseRef) -> None:
    told = truth.ask(
        Stores(settings), load_contracts(settings.contracts), load_policy(settings.opt_outs)
    )
    gone = withdrawn_in(ref, told)
    if gone:
        raise LinkedCypError(
            f"{ref.release_id} holds deliveries that were withdrawn since: {', '.join(gone)}"
        )
    lists = {name for one in told.standing if one.rule.applied for name in one.deliveries}
    if new := sorted(lists - made_from(ref)):
        raise LinkedCypError(
            f"{ref.release_id} was made before lists of opt-outs of now ({', '.join(new)}):"
            " whoever opted out since is in it"
        )


def made_from(ref: ReleaseRef) -> set[str]:
    """The deliveries that a release says it was made from."""
    with (
        value_free(f"reading release {ref.release_id}"),
        duckdb.connect(str(ref.path), read_only=True) as con,
    ):
        rows = con.execute(
            "SELECT delivery_id FROM provenance.delivery WHERE status = 'accepted'"
        ).fetchall()
    return {name for (name,) in rows}


def stepped_back_from(settings: Settings, project: str) -> set[str]:
    """Releases an operator rolled back from and that should not come back by themselves."""
    path = project_folder(settings, project) / STEPPED_BACK
    return set(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else set()


def point_to(ref: ReleaseRef) -> None:
    """Swap the pointer to a release, in one atomic step that survives a power cut.

    The pages that go with it follow in a step of their own: they are read, not queried.
    """
    _swap(ref.path.with_name(POINTER), ref.path.name)
    _swap(ref.path.with_name(PAGES), ref.path.stem)


def _swap(link: Path, target: str) -> None:
    fresh = link.with_name(f"{BUILDING}pointer")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    os.replace(fresh, link)
    _sync(link.parent)


def commit(built: Path, ref: ReleaseRef) -> None:
    """Give a finished file its name: read-only, on disk, then renamed in one step."""
    os.chmod(built, 0o440)
    _sync(built)
    if ref.path.exists():
        raise LinkedCypError(f"release {ref.release_id} exists already and is never overwritten")
    os.rename(built, ref.path)
    _sync(ref.path.parent)


@contextmanager
def locked(settings: Settings, project: str) -> Iterator[Path]:
    """Hold a project's releases: one process publishes or rolls back at a time.

    The lock dies with its holder, so whatever is half built while we hold it is nobody's.

    Yields:
        the project's folder.
    """
    folder = project_folder(settings, project)
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LinkedCypError(
                f"another process is publishing or rolling back project {project}"
            ) from None
        sweep(folder)
        yield folder
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove what a killed process left half built. Call only while holding the lock."""
    for left in folder.glob(f"{BUILDING}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """A private place in the same file system for a file being built; empty again afterwards."""
    place = folder / f"{BUILDING}{os.getpid()}"
    place.mkdir(mode=0o700)
    try:
        yield place / "release.duckdb"
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _pointed(folder: Path) -> str | None:
    pointer = folder / POINTER
    if not pointer.is_symlink():
        return None
    return Path(os.readlink(pointer)).name.removesuffix(".duckdb")


def _replace_text(path: Path, text: str) -> None:
    fresh = path.with_name(f"{BUILDING}{path.name}")
    fresh.write_text(text, encoding="utf-8")
    _sync(fresh)
    os.replace(fresh, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
