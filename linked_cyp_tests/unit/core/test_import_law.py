"""The law of the rooms (``.importlinter``) speaks of every room, and the code keeps it."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[3]

LAW = configparser.ConfigParser()
LAW.read(REPO / ".importlinter")
ROOMS = {path.name for path in (REPO / "linked_cyp").iterdir() if (path / "__init__.py").is_file()}
# who may know what the contract forbids to everybody else
MAY = {
    "dagster": {"defs", "cli"},  # the command line starts what defs defines
    "great_expectations": {"expectations"},
    "sqlalchemy": {"expectations", "defs"},
    "splink": {"linkage"},
    "synthetic": {"cli", "synthetic"},
}


def lines(contract: str, key: str) -> list[str]:
    return LAW[f"importlinter:contract:{contract}"][key].split()


def test_the_corridor_names_every_room_and_exempts_one_import():
    assert set(lines("corridor", "layers")) - {"|"} == ROOMS
    exemptions = [s["ignore_imports"] for s in LAW.values() if "ignore_imports" in s]
    assert [e.strip() for e in exemptions] == ["linked_cyp.defs.runs -> linked_cyp.definitions"]


def test_linkage_names_every_room_of_its_own():
    inside = REPO / "linked_cyp" / "linkage"
    modules = {path.stem for path in inside.glob("*.py")} | {
        path.name for path in inside.iterdir() if (path / "__init__.py").is_file()
    }
    assert set(lines("linkage", "layers")) - {"|"} == modules - {"__init__"}


@pytest.mark.parametrize("contract", MAY)
def test_what_one_room_may_know_is_forbidden_to_every_other(contract):
    named = {module.removeprefix("linked_cyp.") for module in lines(contract, "source_modules")}
    assert named == ROOMS - MAY[contract]


def test_the_code_keeps_the_law():
    program = Path(sys.executable).with_name("lint-imports")
    told = subprocess.run(
        [program, "--no-cache"], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout
