"""Whatever one supplier leaves in its folder, another's deliveries are found and are its own."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from linked_cyp.cli import app as cli
from linked_cyp.ingest.landing import discover, passed_over
from linked_cyp.ingest.ledger import current_deliveries
from linked_cyp.ingest.new import settled
from linked_cyp_tests.deliveries_support import contract, land, memory_store, take

FEED = contract()
FEEDS = {"toy": FEED}
PUPILS = "PUPIL_ID,SURNAME,BIRTH_DATE,SESSIONS,IS_FUNDED,SCORE,SEX_CODE\nA,x,2010-01-01,1,Y,1,1\n"
VISITS = "PUPIL_ID,VISIT_DATE,REASON\nA,2020-01-01,x\n"
FILES = {"pupil.csv": PUPILS, "visit.csv": VISITS}
NOBODY = 65534


@pytest.fixture
def landing() -> Iterator[Path]:
    """A landing folder that every user of this machine may look into, with one good delivery."""
    place = Path(tempfile.mkdtemp(prefix="landing-"))
    place.chmod(0o755)
    land(place, FILES, supplier="carrowdale")
    yield place
    shutil.rmtree(place)


def nested(folder: Path) -> None:
    (folder / "manifest.json").write_text("[" * 100_000)


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "manifest.json")


def half_a_character(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"version": "\\ud800"}')


def endless(folder: Path) -> None:
    (folder / "manifest.json").write_text(json.dumps({"version": "9" * 5_000_000}))


def linked_manifest(folder: Path) -> None:
    elsewhere = folder.parents[2] / "carrowdale/toy/2025/pupil.csv"
    (folder / "manifest.json").symlink_to(elsewhere)


def more_rows_than_can_be(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"files": {"pupil.csv": {"rows": 1%s}}}' % ("0" * 40))


def name_that_is_not_utf8(folder: Path) -> None:
    os.rename(folder / "pupil.csv", os.fsencode(folder) + b"/Zo\xeb.csv")


def name_that_steers(folder: Path) -> None:
    (folder / "visit.csv").rename(folder / "\x1b[2J[red].csv")


def period_that_steers(folder: Path) -> None:
    """To whoever prints the path as marked-up text, ``[/toy/…]`` ends what never began."""
    os.rename(folder, os.fsencode(folder.parent) + b"/\xeb\x1b]")
    folder.parents[1].rename(folder.parents[1].with_name("ashmere["))


def pipe_among_the_files(folder: Path) -> None:
    os.mkfifo(folder / "more.csv")


HOSTILE = [
    nested,
    pipe,
    half_a_character,
    endless,
    linked_manifest,
    more_rows_than_can_be,
    name_that_is_not_utf8,
    name_that_steers,
    period_that_steers,
    pipe_among_the_files,
]


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda f: f.__name__)
def test_what_lies_in_one_suppliers_folder_stops_no_other(
    landing: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(land(landing, FILES, supplier="ashmere"))
    told: list[str] = []
    found = discover(landing, FEEDS, on_problem=lambda _, problem: told.append(problem))
    passed_over(landing, FEEDS, cli._tell)
    for path in landing.rglob("*"):
        os.utime(path, (0, 0), follow_symlinks=False)
    ticked, _ = settled(landing, FEEDS, {}, lambda _: None)
    assert "carrowdale" in {delivery.supplier for delivery in ticked}
    with memory_store() as con:
        for delivery in found:
            take(con, FEED, delivery.files[0].path.parent)
        assert any(name.startswith("carrowdale.2025") for name in current_deliveries(con))
        assert told or len(found) == 2


def test_a_pipe_and_a_link_are_named(landing: Path) -> None:
    folder = land(landing, FILES, supplier="ashmere")
    os.mkfifo(folder / "more.csv")
    (folder / "further.csv").symlink_to("/etc/passwd")
    told: dict[str, str] = {}
    discover(landing, FEEDS, on_problem=lambda path, why: told.update({path.name: why}))
    assert set(told) == {"more.csv", "further.csv"}


@pytest.mark.parametrize("level", [0, 1, 2])
def test_nobody_delivers_anothers_files_by_a_link(landing: Path, level: int) -> None:
    own = Path("ashmere", "toy", "2025").parts[: level + 1]
    others = Path("carrowdale", "toy", "2025").parts[: level + 1]
    link = landing.joinpath(*own)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(landing.joinpath(*others))
    told: list[Path] = []
    found = discover(landing, FEEDS, on_problem=lambda path, _: told.append(path))
    assert [delivery.supplier for delivery in found] == ["carrowdale"]
    assert told == [link]


def test_a_manifest_that_names_another_supplier_is_rejected_as_its_own_folders(
    landing: Path,
) -> None:
    others = landing / "carrowdale/toy/2025"
    stranger = {"supplier": "Carrowdale", "version": "999"}
    own = land(landing, {**FILES, "visit.csv": VISITS * 2}, supplier="ashmere", manifest=stranger)
    with memory_store() as con:
        theirs = take(con, FEED, others)
        ours = take(con, FEED, own)
        assert (ours.supplier, ours.status) == ("ashmere", "rejected")
        assert "names another supplier than the folder" in (ours.reason or "")
        assert current_deliveries(con) == [theirs.delivery_id]


def test_a_folder_that_may_not_be_read_stops_no_other(landing: Path) -> None:
    closed = land(landing, FILES, supplier="ashmere")
    closed.chmod(0)
    told: list[str] = []
    with as_nobody():
        found = discover(landing, FEEDS, on_problem=lambda _, problem: told.append(problem))
    closed.chmod(0o700)
    assert [delivery.supplier for delivery in found] == ["carrowdale"]
    assert any("cannot be read" in problem for problem in told)


class as_nobody:
    """Root may read everything: leave that for a moment."""

    def __enter__(self) -> None:
        self.own = os.geteuid()
        if self.own == 0:
            os.seteuid(NOBODY)

    def __exit__(self, *_: object) -> None:
        if self.own == 0:
            os.seteuid(self.own)


def test_a_link_among_a_deliverys_files_is_not_read(landing: Path) -> None:
    folder = land(landing, FILES, supplier="ashmere")
    (folder / "pupil.csv").unlink()
    (folder / "pupil.csv").symlink_to(landing / "carrowdale/toy/2025/pupil.csv")
    with memory_store() as con:
        outcome = take(con, FEED, folder)
        assert (outcome.status, outcome.table("pupil").received) == ("rejected", 0)
