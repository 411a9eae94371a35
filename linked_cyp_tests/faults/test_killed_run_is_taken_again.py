"""A run that was killed: the sensor starts the delivery again, and so does the command.

Each kill is a real one, of a process of its own that runs the job as ``linked-cyp ingest`` does:
before the ledger knows the delivery, and when its raw tables are whole and the others are not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from linked_cyp.cli.app import _ingest
from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.definitions import defs
from linked_cyp.defs import automation
from linked_cyp.defs.instance import instance
from linked_cyp.identity.keys import create_master_key
from linked_cyp.ingest.landing import discover
from linked_cyp.ingest.new import Delivery, being_taken, taking, to_take
from linked_cyp.stores.door import Held, Stores
from linked_cyp_tests import sensor_support
from linked_cyp_tests.privacy.planted import plant

FEED = "pds_demographics"
SCRIPT = """
import os, signal, sys
from linked_cyp.core.settings import Settings
from linked_cyp.defs.runs import Platform
{patch}
settings = Settings.from_environment()
from linked_cyp.contracts.model import load_contracts
from linked_cyp.ingest.landing import discover
from linked_cyp.ingest.new import Delivery
from linked_cyp.defs.feeds import delivery_tags
(landed,) = discover(settings.landing, load_contracts(settings.contracts))
delivery = Delivery(landed.delivery_id, landed.feed, landed.version_order)
Platform(settings).ingest(delivery.feed, delivery.delivery_id, delivery_tags(delivery))
"""
KILL = "lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)"
MOMENTS = {
    "while it is read": f"from linked_cyp.ingest import deliveries as d; d.archive = {KILL}",
    "between raw and pseudonymised": "from linked_cyp.pseudonymise import step as s;"
    f" s.pseudonymise_delivery = {KILL}",
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation with one delivery in landing, at rest."""
    monkeypatch.setenv("LINKED_CYP_HOME", str(tmp_path))
    monkeypatch.delenv("LINKED_CYP_KEY_FILE", raising=False)
    given = Settings.from_environment()
    given.key_file.parent.mkdir(mode=0o700)
    create_master_key(given.key_file)
    plant(given.landing, {FEED: load_contracts(given.contracts)[FEED]})
    given.postcodes.parent.mkdir(parents=True)
    given.postcodes.write_text("pcds,lsoa11,lsoa21,oslaua\nAB1 2CD,E01000001,E01000001,E06000001\n")
    then = time.time() - 3600
    for path in sorted(given.landing.rglob("*"), reverse=True):
        os.utime(path, (then, then))
    return given


@cache
def loaded() -> dg.Definitions:
    return defs()


def tick(settings: Settings, cursor: str | None = None) -> Any:
    """One look of the landing sensor, as the daemon takes it."""
    with instance(settings) as storage:
        return sensor_support.tick(loaded(), storage, cursor)


@pytest.mark.parametrize("moment", MOMENTS)
def test_it_is_taken_again(
    settings: Settings, moment: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    before = tick(settings)
    (request,) = before.run_requests
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(patch=MOMENTS[moment])],
        env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    with instance(settings) as storage:
        (run,) = storage.get_runs()
        assert run.status == dg.DagsterRunStatus.STARTED  # Dagster believes that it goes on

    # just now it may yet be on its way; when its step should have begun, it was killed
    assert tick(settings, before.cursor).run_requests == []
    monkeypatch.setattr(automation, "START_SECONDS", 0.0)
    monkeypatch.setattr(automation, "pause", lambda _: 0.0)
    (again,) = tick(settings, before.cursor).run_requests
    assert again.partition_key == request.partition_key
    assert again.run_key != request.run_key  # Dagster would start no second run for the same key

    assert _ingest(settings, None)
    assert "1 of 1 deliveries accepted" in capsys.readouterr().out
    assert tick(settings, before.cursor).run_requests == []
    assert _ingest(settings, None)
    assert "Nothing new in landing" in capsys.readouterr().out


def test_after_a_failure_it_is_taken_again_and_not_at_once(settings: Settings) -> None:
    """The key is missing; the run fails; with the key back, the sensor takes the delivery again."""
    from linked_cyp.defs.feeds import delivery_tags
    from linked_cyp.defs.runs import Platform

    (landed,) = discover(settings.landing, load_contracts(settings.contracts))
    delivery = Delivery(landed.delivery_id, landed.feed, landed.version_order)
    key = settings.key_file.read_bytes()
    settings.key_file.unlink()
    failed = Platform(settings).ingest(FEED, delivery.delivery_id, delivery_tags(delivery))
    assert not failed.success
    settings.key_file.write_bytes(key)
    settings.key_file.chmod(0o600)
    first = tick(settings)
    assert first.run_requests == []  # a minute has not gone by
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(automation, "pause", lambda _: 0.0)
        (again,) = tick(settings, first.cursor).run_requests
    assert again.partition_key == delivery.delivery_id


def test_what_a_living_process_is_taking_is_left_to_it(settings: Settings) -> None:
    stores, contracts = Stores(settings), load_contracts(settings.contracts)
    landed = discover(settings.landing, contracts)
    settings.work.mkdir(mode=0o700, parents=True)
    with taking(settings.work, landed[0].delivery_id):
        assert being_taken(settings.work) == {landed[0].delivery_id}
        assert to_take(stores, landed, contracts) == []
    assert [d.delivery_id for d in to_take(stores, landed, contracts)] == [landed[0].delivery_id]


def test_a_held_store_is_said_not_waited_for(settings: Settings) -> None:
    """A tick must not hang while a long step writes."""
    stores = Stores(settings)
    with stores.connect(identifiable="rw"):
        pass
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from linked_cyp.core.settings import Settings;"
            "from linked_cyp.stores.door import Stores;"
            "import contextlib, sys;"
            "s = contextlib.ExitStack();"
            "s.enter_context(Stores(Settings.from_environment()).connect(identifiable='rw'));"
            "print('held', flush=True); sys.stdin.read()",
        ],
        env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        with pytest.raises(Held):
            to_take(stores, [], {}, wait_seconds=0.1)
    finally:
        holder.communicate(b"")
