"""What a command does not need it does not import: asked of `sys.modules`, not of a clock."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from linked_cyp.identity.keys import create_master_key

# Each takes from half a second to several seconds of a processor to import.
HEAVY = {
    "altair", "dagster", "dagster_dbt", "dbt", "great_expectations", "pandas", "pyarrow", "scipy",
    "splink", "sqlalchemy",
}  # fmt: skip
LOOKED_AT = """
import sys
from linked_cyp.cli.app import main
sys.argv = ["linked-cyp", *sys.argv[1:]]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print("IMPORTED", *sorted({name.split(".")[0] for name in sys.modules}))
"""


def imported(tmp_path: Path, *arguments: str) -> set[str]:
    """The top-level modules that a command has imported when it ends, in a process of its own."""
    key = tmp_path / "keys" / "master.key"
    create_master_key(key)
    home = {"LINKED_CYP_HOME": str(tmp_path / "home"), "LINKED_CYP_KEY_FILE": str(key)}
    done = subprocess.run(
        [sys.executable, "-c", LOOKED_AT, *arguments],
        env={**os.environ, **home},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("IMPORTED")[2].split())


@pytest.mark.parametrize("command", [["--help"], ["ingest", "--help"], ["keys", "--help"]])
def test_help_imports_neither_engines_nor_tables(tmp_path: Path, command: list[str]) -> None:
    found = imported(tmp_path, *command)
    assert "typer" in found
    assert found & (HEAVY | {"duckdb", "numpy", "polars", "sqlglot"}) == set()


def test_status_imports_only_what_opens_the_stores(tmp_path: Path) -> None:
    found = imported(tmp_path, "status")
    assert "duckdb" in found
    assert found & HEAVY == set()


def test_what_publishes_a_release_is_still_found_by_its_name() -> None:
    from linked_cyp import release

    for name in release.__all__:
        assert getattr(release, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = release.nothing_such
