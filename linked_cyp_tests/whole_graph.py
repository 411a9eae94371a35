"""One installation taken through its life, once per test run: the tests only read what is left.

About 260 invented children of one authority and the NHS, twelve planted identities in a delivery
of every feed, and one supplier whose deliveries are superseded, rejected and withdrawn. Everything
runs through Dagster, in this process, as the command line, the sensor and the schedule run it.
"""

from __future__ import annotations

import contextlib
import copy
import fcntl
import io
import logging
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from linked_cyp.cli import app as cli
from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.identity.keys import create_master_key
from linked_cyp.identity.pseudonym_keys import take_over_all
from linked_cyp.ingest import landing, ledger
from linked_cyp.ingest.new import unfinished
from linked_cyp.pseudonymise import erasure
from linked_cyp.release import releases, rollback
from linked_cyp.stores.door import Stores
from linked_cyp.synthetic import synthesise
from linked_cyp_tests.privacy.planted import SUPPLIER, plant

CHILDREN = 260
SEED = 8  # in which a looked-after child is admitted to hospital in the months delivered
PROJECT = "demo"
LEAVER = "leavershire"
LEAVERS = range(21, 33)
ONLY_IN_THE_OLDER_VERSION = 33
LOG = "everything.log"
# The whole command in a process of its own, which dies when a delivery's rows are in the raw tables
# and those of its pseudonymised tables are half written.
KILLED = """
import os, signal, sys
from linked_cyp.pseudonymise import deliveries as pseudonymise
from linked_cyp.cli import app as cli
whole = pseudonymise._count

def killed(con, sql, parameters=None):
    if "warehouse.pseudonymised" in sql and "pds_demographics__address" in sql:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(con, sql, parameters)

pseudonymise._count = killed
cli.main()
"""
# What is invented but not taken: one term and one month show what there is to see. The spring
# census it is, because it reports the autumn's absence: the year of the children in need return.
NOT_TAKEN = ("school_census/*-autumn", "school_census/*-summer", "*/2024-??")


@dataclass(frozen=True)
class Killed:
    """An ingest of one delivery that was killed, and the same command run again."""

    delivery_id: str
    exit_code: int
    left_in_work: int
    rows: dict[str, int]  # of persons, by zone, after the kill
    unfinished: list[str]
    said_again: str
    rows_again: dict[str, int]
    said_at_last: str


@dataclass
class Story:
    """What happened, step by step, as far as it cannot be seen afterwards."""

    home: Path
    needles: dict[str, list[str]] = field(default_factory=dict)
    leavers: dict[str, list[str]] = field(default_factory=dict)
    landed: dict[str, str] = field(default_factory=dict)  # delivery id → feed
    newer: str = ""
    older: str = ""
    refused: str = ""
    runs: dict[str, Any] = field(default_factory=dict)  # step → RunSummary
    ledger: list[Any] = field(default_factory=list)  # before the withdrawal
    bridge: dict[str, pl.DataFrame] = field(default_factory=dict)  # step → record_key, person_id
    records: dict[str, pl.DataFrame] = field(default_factory=dict)  # delivery → record_key
    released: dict[str, list[Any]] = field(default_factory=dict)  # step → releases
    counts_again: str | None = None
    roll_back_refused: str = ""
    left_in_work: list[str] = field(default_factory=list)
    killed: Killed | None = None

    @property
    def settings(self) -> Settings:
        return Settings(
            home=self.home,
            key_file=self.home / "keys" / "master.key",
            contracts=PROJECT_ROOT / "data_contracts",
            dbt_project=PROJECT_ROOT / "dbt_project",
        )

    @property
    def stores(self) -> Stores:
        return Stores(self.settings)


def shared(factory: pytest.TempPathFactory) -> Story:
    """The one story of this test run, told by whichever worker asks first."""
    place = factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        place = place.parent
    told = place / "whole_graph.pickle"
    with (place / "whole_graph.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            home = place / "whole_graph"
            shutil.rmtree(home, ignore_errors=True)
            told.write_bytes(pickle.dumps(tell(home)))
        return pickle.loads(told.read_bytes())


def tell(home: Path) -> Story:
    story = Story(home)
    home.mkdir()
    with environment(home), written_to(home / LOG), pytest.MonkeyPatch.context() as patch:
        invent(story)
        platform = talkative_platform(story.settings, patch)
        kill(story, platform, patch)
        ingest(story, platform)
        refresh(story, platform)
        withdraw(story, platform)
        run_again(story, platform)
        roll_back(story)
        platform.instance.dispose()
    work = (story.settings.work, story.settings.dagster_home / "dbt")
    story.left_in_work = [str(path) for folder in work for path in folder.rglob("*")]
    return story


def talkative_platform(settings: Settings, patch: pytest.MonkeyPatch) -> Any:
    """The platform as the command line runs it, but what it and dbt say can be heard."""
    from linked_cyp.defs import runs

    patch.setattr(runs, "redirect_stdout", contextlib.nullcontext)  # where dbt's lines go
    patch.setattr(runs, "QUIET", copy.deepcopy(runs.QUIET))
    return runs.Platform(settings)


def speak(level: str) -> None:
    """What Dagster logs from here on. Every event at DEBUG takes time, so only where it matters."""
    from linked_cyp.defs import runs

    runs.QUIET["loggers"]["console"]["config"]["log_level"] = level
    logging.getLogger("dagster").setLevel(level)


def invent(story: Story) -> None:
    settings = story.settings
    create_master_key(settings.key_file)
    contracts = load_contracts(settings.contracts)
    synthesise(story.home, children=CHILDREN, local_authorities=1, years=(2025, 2025), seed=SEED)
    take_over_all(story.home / "truth", settings.key_file.parent)
    for pattern in NOT_TAKEN:
        for folder in settings.landing.glob(f"*/{pattern}"):
            shutil.rmtree(folder)
    story.needles = plant(settings.landing, contracts)
    spine = {"pds_demographics": contracts["pds_demographics"]}
    story.leavers = plant(settings.landing, spine, supplier=LEAVER, numbers=LEAVERS)
    folder = next(settings.landing.glob(f"{LEAVER}/*/*"))
    folder.rename(folder.with_name(f"{folder.name}__2"))
    plant(
        settings.landing,
        spine,
        supplier=LEAVER,
        numbers=[*LEAVERS, ONLY_IN_THE_OLDER_VERSION],
    )
    broken = folder.with_name("2025-06-30")
    broken.mkdir()
    (broken / "spine.csv").write_text("not,the,columns\n1,2,3\n")
    found = landing.discover(settings.landing, contracts)
    story.landed = {each.delivery_id: each.feed for each in found}
    of_leaver = {
        (each.period, each.version): each.delivery_id for each in found if each.supplier == LEAVER
    }
    story.newer = of_leaver[(folder.name, "2")]
    story.older = of_leaver[(folder.name, "")]
    story.refused = of_leaver[("2025-06-30", "")]


def kill(story: Story, platform: Any, patch: pytest.MonkeyPatch) -> None:
    """Kill the ingest of one delivery in the middle; then give the same command again, twice."""
    from linked_cyp.defs import runs

    settings = story.settings
    (folder,) = settings.landing.glob(f"{SUPPLIER}/pds_demographics/*")
    arguments = ["linked-cyp", "ingest", str(folder)]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments[1:]],
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        stdout=1,
        stderr=2,
        check=False,
    )
    (delivery_id,) = [
        name
        for name, feed in story.landed.items()
        if feed == "pds_demographics" and name.startswith(f"{SUPPLIER}.{folder.name}.")
    ]
    left = len(list(settings.work.iterdir()))
    after = rows_of_persons(story, delivery_id)
    with story.stores.connect(identifiable="rw", warehouse="rw") as con:
        to_finish = [delivery.delivery_id for delivery in unfinished(con)]
    patch.setattr(runs, "Platform", lambda _: platform)  # loaded already
    patch.setattr(sys, "argv", arguments)
    said = [said_by_the_command() for _ in range(2)]
    story.killed = Killed(
        delivery_id,
        ended.returncode,
        left,
        after,
        to_finish,
        said[0],
        rows_of_persons(story, delivery_id),
        said[1],
    )


def rows_of_persons(story: Story, delivery_id: str) -> dict[str, int]:
    with story.stores.connect(identifiable="ro", warehouse="ro") as con:
        return {
            zone: con.execute(
                f"SELECT count(*) FROM {zone}.pds_demographics__person WHERE delivery_id = ?",
                [delivery_id],
            ).fetchall()[0][0]
            for zone in ("identifiable.raw", "warehouse.pseudonymised")
        }


def said_by_the_command() -> str:
    """What ``linked-cyp`` prints, which is also kept with everything else."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as ended:
        cli.main()
    print(said.getvalue())
    return f"{ended.value.code or 0}: {said.getvalue()}"


def ingest(story: Story, platform: Any) -> None:
    for delivery_id, feed in story.landed.items():
        speak("DEBUG" if delivery_id.startswith(SUPPLIER) else "CRITICAL")
        story.runs[delivery_id] = platform.ingest(feed, delivery_id)
    failed = {name: story.runs[name].failures for name in story.landed if story.runs[name].failures}
    assert set(failed) == {story.refused}, failed  # else no release, which would say less
    with story.stores.connect(identifiable="ro", warehouse="ro") as con:
        story.ledger = ledger.ledger_rows(con)
        for delivery_id in (story.newer, story.older):
            story.records[delivery_id] = con.execute(
                "SELECT DISTINCT record_key FROM warehouse.pseudonymised.pds_demographics__person"
                " WHERE delivery_id = ? AND record_key IS NOT NULL",
                [delivery_id],
            ).pl()


def refresh(story: Story, platform: Any) -> None:
    speak("DEBUG")
    story.runs["refresh"] = platform.run("refresh")
    speak("CRITICAL")
    look(story, "refresh")


def withdraw(story: Story, platform: Any) -> None:
    """Both versions, the newer one first: the older one counts again until it goes too."""
    story.counts_again = erasure.withdraw(story.stores, story.newer, "sent in error")
    erasure.withdraw(story.stores, story.older, "sent in error")
    story.runs["rebuild"] = platform.run("rebuild_after_withdrawal")
    look(story, "rebuild")


def run_again(story: Story, platform: Any) -> None:
    """Link and release once more, with nothing new to link or release."""
    import dagster as dg

    selected = dg.AssetSelection.groups("linkage", "release").resolve(
        platform.definitions.resolve_asset_graph()
    )
    job = platform.definitions.resolve_job_def("refresh")
    result = job.execute_in_process(
        instance=platform.instance,
        asset_selection=list(selected & job.asset_layer.selected_asset_keys),
    )
    story.runs["again"] = result.run_id
    look(story, "again")


def roll_back(story: Story) -> None:
    """Back to the first release, which holds what was withdrawn since."""
    with pytest.raises(LinkedCypError) as refused:
        rollback(story.settings, PROJECT)
    story.roll_back_refused = str(refused.value)


def look(story: Story, step: str) -> None:
    story.released[step] = releases(story.settings, PROJECT)
    with story.stores.connect(warehouse="ro") as con:
        story.bridge[step] = con.execute(
            "SELECT record_key, feed, person_id FROM warehouse.linkage.bridge ORDER BY ALL"
        ).pl()


@contextlib.contextmanager
def environment(home: Path) -> Iterator[None]:
    """The environment variables of this installation; what was there before comes back."""
    before = dict(os.environ)
    os.environ["LINKED_CYP_HOME"] = str(home)
    for name in ("LINKED_CYP_KEY_FILE", "LINKED_CYP_CONTRACTS", "DAGSTER_HOME"):
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def written_to(path: Path) -> Iterator[None]:
    """Everything that is logged at any level or printed, by this process or its children."""
    root = logging.getLogger()
    level, quiet = root.level, logging.getLogger("dagster").level
    kept = [os.dup(1), os.dup(2)]
    with path.open("a", encoding="utf-8") as file:
        handler = logging.StreamHandler(file)
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        flush()
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
        try:
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield
        finally:
            flush()
            for descriptor, copy in enumerate(kept, start=1):
                os.dup2(copy, descriptor)
                os.close(copy)
            root.setLevel(level)
            root.removeHandler(handler)
            logging.getLogger("dagster").setLevel(quiet)


def flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
