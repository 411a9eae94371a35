"""`linked-cyp ingest` killed in the middle: run again, it finishes what was left, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from linked_cyp import cli
from linked_cyp.contracts import load_contracts
from linked_cyp.deliveries import ledger_rows
from linked_cyp.keys import create_master_key
from linked_cyp.settings import PROJECT_ROOT, Settings
from linked_cyp.stores import Stores
from linked_cyp_tests.privacy.planted import plant

# The whole command in a process of its own. The first delivery passes; the second one's rows are
# in the raw tables when the process dies, with its pseudonymised rows half written.
SCRIPT = """
import os, signal, sys
from linked_cyp import cli, pseudonymise
whole, calls = pseudonymise._count, []

def killed(con, sql, parameters=None):
    if "pseudonymised" in sql and "pds_demographics__address" in sql:
        calls.append(sql)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    return whole(con, sql, parameters)

pseudonymise._count = killed
sys.argv = ["linked-cyp", "ingest"]
cli.main()
"""
POSTCODES = "pcds,lsoa11,lsoa21,oslaua\nAB1 2CD,E01000001,E01000001,E06000001\n"
PERSON = "pds_demographics__person"


@pytest.fixture(scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two deliveries from two suppliers, of which the second was being taken at the kill."""
    home = tmp_path_factory.mktemp("killed")
    patch = pytest.MonkeyPatch()
    patch.setenv("LINKED_CYP_HOME", str(home))
    patch.setenv("DAGSTER_HOME", str(home / "dagster"))
    patch.delenv("LINKED_CYP_KEY_FILE", raising=False)
    settings = Settings.from_environment()
    create_master_key(settings.key_file)
    settings.postcodes.parent.mkdir()
    settings.postcodes.write_text(POSTCODES)
    spine = {"pds_demographics": load_contracts(settings.contracts)["pds_demographics"]}
    plant(settings.landing, spine, supplier="astshire")
    plant(settings.landing, spine, supplier="westshire", numbers=range(21, 33))
    yield
    patch.undo()


def rows() -> dict[str, dict[str, int]]:
    """Rows of persons by supplier, in the ledger and in both zones."""
    counted: dict[str, dict[str, int]] = {}
    with Stores(Settings.from_environment()).connect(identifiable="ro", warehouse="ro") as con:
        counted["ledger"] = {row.supplier: row.accepted for row in ledger_rows(con)}
        for zone in ("identifiable.raw", "warehouse.pseudonymised"):
            counted[zone] = dict(
                con.execute(
                    f"SELECT split_part(delivery_id, '.', 1), count(*) FROM {zone}.{PERSON}"
                    " GROUP BY 1"
                ).fetchall()
            )
    return counted


@pytest.mark.usefixtures("_home")
def test_killed_and_run_again(capsys: pytest.CaptureFixture[str]) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    settings = Settings.from_environment()
    assert list(settings.work.iterdir()) != []  # what it used is still there

    before = rows()
    assert set(before["ledger"]) == {"astshire", "westshire"}
    assert before["identifiable.raw"] == {"astshire": 12, "westshire": 12}
    assert before["warehouse.pseudonymised"] == {"astshire": 12}  # one whole, the other not at all

    run("ingest")
    assert "1 of 1 deliveries accepted" in capsys.readouterr().out
    after = rows()
    assert after["warehouse.pseudonymised"] == {"astshire": 12, "westshire": 12}
    assert after["ledger"] == before["ledger"]
    assert after["identifiable.raw"] == before["identifiable.raw"]
    assert list(settings.work.iterdir()) == []

    run("ingest")
    assert "Nothing new" in capsys.readouterr().out


def run(*arguments: str) -> None:
    """The command in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["linked-cyp", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert not ended.value.code
