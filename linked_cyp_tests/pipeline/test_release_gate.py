"""A release is held to the ledger itself: through the command line, and the UI's single asset.

Each test goes on with a copy of the installation in which the whole graph has run
(``linked_cyp_tests/whole_graph.py``), whose newest release is made from everything that counts.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from linked_cyp.cli import app as cli
from linked_cyp.core.settings import Settings
from linked_cyp.defs.runs import Platform
from linked_cyp.release import current
from linked_cyp.stores.door import Stores
from linked_cyp_tests.whole_graph import PROJECT, Story

LEFT_BEHIND = shutil.ignore_patterns("*.log", "reports", "dagster")


@dataclass(frozen=True)
class Ended:
    code: int
    said: str


@pytest.fixture
def settings(story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    home = tmp_path / "home"
    shutil.copytree(story.home, home, symlinks=True, ignore=LEFT_BEHIND)
    monkeypatch.setenv("LINKED_CYP_HOME", str(home))
    for name in ("LINKED_CYP_KEY_FILE", "LINKED_CYP_CONTRACTS", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    return Settings.from_environment()


@pytest.fixture
def command(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["linked-cyp", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return Ended(int(ended.value.code or 0), printed.out + printed.err)

    return run


def asset(settings: Settings, *key: str, job: str = "refresh", partition: str | None = None) -> str:
    """Materialise one asset, as from the UI; why it failed, or nothing."""
    platform = Platform(settings)
    try:
        result = platform.definitions.resolve_job_def(job).execute_in_process(
            instance=platform.instance,
            asset_selection=[dg.AssetKey(list(key))],
            partition_key=partition,
            raise_on_error=False,
        )
        failures = [e for e in result.all_events if e.is_step_failure]
        return " ".join(str(e.step_failure_data.error) for e in failures)
    finally:
        platform.instance.dispose()


def a_delivery(settings: Settings, feed: str) -> str:
    """A delivery of a feed that counts."""
    with Stores(settings).connect(identifiable="ro") as con:
        row = con.execute(
            "SELECT delivery_id FROM identifiable.ledger.current WHERE status = 'accepted'"
            " AND feed = ? AND supplier = 'ashmere' ORDER BY 1",
            [feed],
        ).fetchone()
    assert row
    return str(row[0])


def refused(settings: Settings, command: Callable[..., Ended], reason: str) -> None:
    """Nothing is released by command or by asset, for that reason, and nothing has moved."""
    before = current(settings, PROJECT)
    by_command = command("release", PROJECT)
    assert by_command.code == 1
    assert reason in by_command.said
    assert reason in asset(settings, "release", PROJECT)
    assert current(settings, PROJECT) == before


def test_what_counts_and_is_in_it_is_released(
    settings: Settings, command: Callable[..., Ended]
) -> None:
    ended = command("release", PROJECT)
    assert (ended.code, "Released" in ended.said) == (0, True), ended.said
    assert asset(settings, "release", PROJECT) == ""


def test_a_withdrawn_delivery_is_in_no_release_from_that_command_on(
    settings: Settings, command: Callable[..., Ended]
) -> None:
    gone = a_delivery(settings, "ssda903")
    ended = command("withdraw", gone, "--reason", "sent in error", "--no-rebuild")
    assert ended.code == 0
    assert f"{PROJECT}: the current release still holds it" in ended.said.replace("\n", " ")
    with Stores(settings).connect(warehouse="ro") as con:
        assert con.execute(
            "SELECT status, (SELECT count(*) FROM warehouse.pseudonymised.ssda903__episodes e"
            " WHERE e.delivery_id = d.delivery_id) FROM warehouse.pseudonymised.delivery d"
            " WHERE delivery_id = ?",
            [gone],
        ).fetchall() == [("withdrawn", 0)]
    refused(settings, command, f"deliveries curated that no longer count: 1 ({gone})")
    assert asset(settings, "deliveries", "ledger") == ""
    refused(settings, command, f"deliveries linked that no longer count: 1 ({gone})")


def landed(settings: Settings, pattern: str, name: str) -> Path:
    """A delivery of the landing folder once more, under another period or version."""
    (folder,) = settings.landing.glob(pattern)
    target = folder.with_name(name)
    shutil.copytree(folder, target)
    (target / "manifest.json").unlink(missing_ok=True)
    return target


@pytest.mark.parametrize(
    ("pattern", "period"),
    [
        ("linked_data_service/local_objection/*", "2025-10-20"),
        ("*/type1_opt_out/*", "2025-10-20"),
        ("ashmere/attendance_daily/*", "2025-04"),
    ],
)
def test_what_came_since_stops_a_release(
    settings: Settings, command: Callable[..., Ended], pattern: str, period: str
) -> None:
    folder = landed(settings, pattern, period)
    if folder.parent.name == "attendance_daily":
        for file in folder.iterdir():
            text = file.read_text(encoding="utf-8")
            file.write_text(text.replace("/03/2025", "/04/2025").replace("2025-03-", "2025-04-"))
    ended = command("ingest", str(folder))
    assert ended.code == 0, ended.said
    refused(settings, command, "deliveries accepted that are not curated: 1")
    assert asset(settings, "deliveries", "ledger") == ""  # the copy is fresh, what is made is not
    refused(settings, command, "deliveries accepted that are not linked: 1")


def test_a_newer_version_stops_a_release(settings: Settings, command: Callable[..., Ended]) -> None:
    (folder,) = settings.landing.glob("ashmere/ncmp/*")
    newer = landed(settings, "ashmere/ncmp/*", f"{folder.name}__9")
    file = next(newer.glob("*upload*"))
    rows = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(rows[:-1]))
    ended = command("ingest", str(newer))
    assert ended.code == 0, ended.said
    refused(settings, command, "deliveries curated that no longer count: 1 (ashmere.")


def test_a_delivery_read_and_not_yet_pseudonymised_stops_a_release(
    settings: Settings, command: Callable[..., Ended]
) -> None:
    from linked_cyp.contracts.model import load_contracts
    from linked_cyp.ingest.landing import identify

    folder = landed(settings, "linked_data_service/local_objection/*", "2025-10-21")
    found = identify(folder, load_contracts(settings.contracts))
    platform = Platform(settings)
    platform.instance.add_dynamic_partitions("local_objection_delivery", [found.delivery_id])
    platform.instance.dispose()
    key = ("raw", "local_objection", "objection")
    job = "ingest_local_objection"
    assert asset(settings, *key, job=job, partition=found.delivery_id) == ""
    reason = f"deliveries accepted and not pseudonymised since: 1 ({found.delivery_id})"
    refused(settings, command, reason)


def test_no_step_but_a_whole_build_makes_stale_tables_fresh(
    settings: Settings, command: Callable[..., Ended]
) -> None:
    """Linked again, and the curated tables still those of before."""
    gone = a_delivery(settings, "sen2")
    command("withdraw", gone, "--reason", "sent in error", "--no-rebuild")
    assert asset(settings, "deliveries", "ledger") == ""
    for step in ("person_record", "pairs", "person", "registry", "bridge"):
        assert asset(settings, "linkage", step) == ""
    refused(settings, command, f"deliveries curated that no longer count: 1 ({gone})")
