"""Ingest killed at its worst moments: the store is as it was, and running again loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.identity.keys import create_master_key
from linked_cyp.ingest.deliveries import ingest
from linked_cyp.ingest.ledger import ledger_rows
from linked_cyp.stores.door import Stores
from linked_cyp_tests.deliveries_support import VISIT, contract, delivery, land, rows, take

FEED = contract(VISIT)
ROWS = 5_000
# Runs ingest in a process of its own, which kills itself when it reaches a statement.
SCRIPT = """
import os, signal, sys
import duckdb
from pathlib import Path
from linked_cyp.core.settings import Settings
from linked_cyp.stores.door import Stores
from linked_cyp_tests.deliveries_support import VISIT, contract, take

class Killed:
    def __init__(self, con, moment):
        self.con, self.moment = con, moment
    def execute(self, sql, *more):
        if sql.startswith(self.moment):
            os.kill(os.getpid(), signal.SIGKILL)
        return self.con.execute(sql, *more)
    def __getattr__(self, name):
        return getattr(self.con, name)

with Stores(Settings.from_environment()).connect(identifiable="rw") as con:
    take(Killed(con, sys.argv[2]), contract(VISIT), Path(sys.argv[1]))
"""


@pytest.fixture
def stores(tmp_path, monkeypatch):
    monkeypatch.setenv("LINKED_CYP_HOME", str(tmp_path))
    monkeypatch.delenv("LINKED_CYP_KEY_FILE", raising=False)
    settings = Settings.from_environment()
    settings.key_file.parent.mkdir(mode=0o700)
    create_master_key(settings.key_file)
    return Stores(settings)


def landed(stores: Stores, name: str, encoding: str = "utf-8", supplier: str = "brent") -> Path:
    content = "PUPIL_ID,VISIT_DATE,REASON\n" + "".join(
        f"P{n},2025-01-02,caf\u00e9 {name}\n" for n in range(ROWS)
    )
    return land(
        stores.settings.landing,
        {"visit.csv": content.encode(encoding)},
        name=name,
        supplier=supplier,
    )


def content(con):
    tables = ("raw.toy__visit", "ledger.delivery", "ledger.delivery_file", "quarantine.rejected")
    return [con.execute(f"SELECT * FROM identifiable.{t} ORDER BY ALL").fetchall() for t in tables]


@pytest.mark.parametrize(
    "moment",
    [
        "INSERT INTO temp.main",  # while the files are read (transcoded copy in the work folder)
        "INSERT INTO identifiable.archive",
        "INSERT INTO identifiable.raw",
        "COMMIT",
    ],
)
def test_killed_in_the_middle(stores, moment):
    first = landed(stores, "2025")
    second = landed(stores, "2025", "cp1252", "acton")
    with stores.connect(identifiable="rw") as con:
        take(con, FEED, first)
        before = content(con)
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(second), moment],
        env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    with stores.connect(identifiable="rw") as con:
        assert content(con) == before
        assert list(stores.settings.work.glob("*-read-*")) == []
        outcome = take(con, FEED, second)
        assert (outcome.status, outcome.accepted, outcome.is_repeat) == ("accepted", ROWS, False)
        assert len(rows(con, "toy__visit", "row_number")) == 2 * ROWS
        assert [r.received for r in ledger_rows(con)] == [ROWS, ROWS]
        kept = con.execute(
            "SELECT content FROM identifiable.archive.file WHERE delivery_id = ? ORDER BY part",
            [outcome.delivery_id],
        ).fetchall()
        unpacked = [pa.CompressedInputStream(pa.BufferReader(p), "zstd").read() for (p,) in kept]
        assert b"".join(unpacked) == (second / "visit.csv").read_bytes()


def test_a_file_that_changes_while_it_is_read_is_noticed(stores):
    folder = landed(stores, "2024")
    identified = delivery(FEED, folder)
    (folder / "visit.csv").write_text("PUPIL_ID,VISIT_DATE,REASON\nP1,2025-01-02,other\n")
    with stores.connect(identifiable="rw") as con:
        with pytest.raises(LinkedCypError, match="changed since it was identified"):
            ingest(con, FEED, identified, stores.settings.work)
        assert ledger_rows(con) == []
        assert con.execute("SELECT count(*) FROM identifiable.archive.file").fetchone() == (0,)


def test_an_error_inside_leaves_nothing_and_shows_no_value(stores):
    folder = landed(stores, "2025", supplier="acton")
    with stores.connect(identifiable="rw") as con:
        take(con, FEED, landed(stores, "2025"))
        con.execute("ALTER TABLE identifiable.raw.toy__visit ALTER visit_date TYPE VARCHAR")
        con.execute("ALTER TABLE identifiable.raw.toy__visit ALTER reason TYPE INTEGER USING 1")
        before = content(con)
        with pytest.raises(LinkedCypError) as told:
            take(con, FEED, folder)
        assert "caf" not in str(told.value)
        assert told.value.__cause__ is None
        assert told.value.__context__ is None
        assert content(con) == before
