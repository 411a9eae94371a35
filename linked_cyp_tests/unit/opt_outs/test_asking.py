"""The list of NHS numbers to ask about: whose is in it, and where it may lie."""

from __future__ import annotations

import datetime as dt
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.ingest import ledger
from linked_cyp.opt_outs import asking as opt_out_check
from linked_cyp.opt_outs.asking import numbers_to_ask_about, write_numbers
from linked_cyp_tests.unit.linkage.test_identities import CONTRACTS
from linked_cyp_tests.unit.opt_outs.world import NHS, World

DAY = dt.date(2025, 4, 20)
MADE = pl.Series("number", NHS[:3])


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    with made.con:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "check"
    made.mkdir(mode=0o700)
    return made


def test_every_usable_number_of_the_feeds_in_scope_is_asked_about_once(world: World) -> None:
    world.spine(0, 1)
    world.hospital(1, 2, 3, numbers=[NHS[1], f"{NHS[2][:3]} {NHS[2][3:6]} {NHS[2][6:]}", "123"])
    world.put("pds_demographics", "person_merger", [
        {"nhs_number": NHS[0], "superseded_nhs_number": NHS[9]}])  # fmt: skip
    world.school(4)
    world.object({"scheme_code": "nhs_number", "subject_reference": NHS[5]})
    found = numbers_to_ask_about(world.con, CONTRACTS)
    assert found.to_list() == sorted([NHS[0], NHS[1], NHS[2], NHS[9]])


def test_a_delivery_that_does_not_count_is_not_asked_about(world: World) -> None:
    world.spine(0)
    world.hospital(1)
    (delivery,) = world.con.execute(
        "SELECT delivery_id FROM identifiable.ledger.current WHERE feed = 'sus_apc'"
    ).fetchone() or ("",)
    world.con.execute(f"INSERT INTO {ledger.WITHDRAWAL} (delivery_id) VALUES (?)", [delivery])
    assert numbers_to_ask_about(world.con, CONTRACTS).to_list() == [NHS[0]]


def test_with_nobody_to_ask_about_there_is_no_list(world: World) -> None:
    world.school(0)
    with pytest.raises(LinkedCypError, match="no accepted delivery holds an NHS number"):
        numbers_to_ask_about(world.con, CONTRACTS)


def test_the_file_is_the_operators_alone_and_reads_as_the_reply_does(folder: Path) -> None:
    before = os.umask(0)
    try:
        path = write_numbers(MADE, folder, DAY)
    finally:
        os.umask(before)
    assert path == folder / "national_data_opt_out_check_2025-04-20.csv"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().splitlines() == NHS[:3]
    with pytest.raises(LinkedCypError, match="never overwritten"):
        write_numbers(MADE, folder, DAY)
    assert path.read_text().splitlines() == NHS[:3]


def test_it_lies_nowhere_but_in_a_private_folder_outside_the_platform(
    folder: Path, tmp_path: Path
) -> None:
    shared, inside, link = tmp_path / "shared", folder / "landing", tmp_path / "link"
    shared.mkdir()
    shared.chmod(0o750)
    inside.mkdir(mode=0o700)
    link.symlink_to(folder)
    for place, reason in (
        (shared, "can be opened by others"),
        (inside, "name a folder outside the platform"),
        (link, "is not a folder"),
        (tmp_path / "none", "there is no folder"),
    ):
        with pytest.raises(LinkedCypError, match=reason) as refused:
            write_numbers(MADE, place, DAY, forbidden=(folder,))
        assert not any(number in str(refused.value) for number in NHS[:3])
    assert not list(tmp_path.rglob("*.csv"))


def test_half_a_list_is_not_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(opt_out_check.os, "fsync", full)
    with pytest.raises(LinkedCypError, match="writing the numbers"):
        write_numbers(MADE, folder, DAY)
    assert not list(folder.iterdir())
