"""dbt's manifest, compiled: made in set-up, and made again whenever a model or contract changed.

The manifest holds every model's SQL, description and tests. Assets, column lineage and the
dictionary are read from it, so it has to be there before the code location loads.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import Settings
from linked_cyp.curated import generated
from linked_cyp.pseudonymise.deliveries import ensure_tables

PARTIAL_PARSE = "partial_parse.msgpack"
SOURCES = ("*.sql", "*.yml", "*.csv")


def dbt_program() -> Path:
    """The dbt of this environment, whatever ``PATH`` says."""
    return Path(sys.executable).with_name("dbt")


def dbt_of_this_process(folder: Path) -> Path:
    """A program in a private folder that is dbt, and ends when the process that started it does.

    dbt holds the warehouse, and left over it would hold it against the run that comes next.
    """
    program = folder / "dbt"
    code = (
        "import runpy, sys; from linked_cyp.core.processes import end_with_parent;"
        " end_with_parent(); runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    words = shlex.join([sys.executable, "-c", code, str(dbt_program())])
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    return program


def dbt_environment(warehouse: Path, work: Path) -> dict[str, str]:
    """What dbt is given: the warehouse, and no way to send anything.

    Its logs and what does not fit in memory go to the private folder ``work``, which the caller
    removes. The profile reads ``LINKED_CYP_MEMORY_LIMIT`` as :class:`Settings` does.
    """
    return {
        "LINKED_CYP_WAREHOUSE": str(warehouse),
        "LINKED_CYP_SPILL": str(work / "spill"),
        "DBT_LOG_PATH": str(work / "logs"),
        "DBT_LOG_LEVEL_FILE": "none",  # every statement, kept by nobody; a tenth of dbt's time
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }


def manifest_path(settings: Settings) -> Path:
    return settings.dbt_project / "target" / "manifest.json"


def ensure_manifest(settings: Settings) -> Path:
    """The compiled manifest, compiled anew when the project has changed since.

    Several processes may load the code location at once: one compiles, the others wait.

    Raises:
        LinkedCypError: dbt could not compile the project, or its seeds are stale.
    """
    path = manifest_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        generated.prepare(settings)
        mark, state = path.parent / ".state", project_state(settings)
        if not (path.exists() and mark.exists() and mark.read_text() == state):
            _compile(settings, path)
            mark.write_text(state)
    return path


def seed_partial_parse(settings: Settings, target: Path) -> None:
    """Give a run's own target folder what the run before it parsed, which saves dbt half its start.

    dbt takes it only for the same warehouse, so it is kept with that.
    """
    parsed = settings.dagster_home / PARTIAL_PARSE
    if parsed.exists():
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(parsed, target / PARTIAL_PARSE)


def keep_partial_parse(settings: Settings, target: Path) -> None:
    """Keep what a run has parsed, for the next one."""
    if (target / PARTIAL_PARSE).exists():
        kept = settings.dagster_home / PARTIAL_PARSE
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(target / PARTIAL_PARSE, kept.with_suffix(f".{os.getpid()}"))
        os.replace(kept.with_suffix(f".{os.getpid()}"), kept)


def project_state(settings: Settings) -> str:
    """A hash over the dbt project's own files and the contracts."""
    digest = hashlib.sha256()
    for file in _inputs(settings):
        digest.update(str(file.relative_to(file.parents[1])).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _inputs(settings: Settings) -> Iterator[Path]:
    for pattern in SOURCES:
        for file in sorted(settings.dbt_project.rglob(pattern)):
            if not {"target", "logs"} & set(file.relative_to(settings.dbt_project).parts):
                yield file
    yield from sorted(settings.contracts.rglob("*.yaml"))


def _compile(settings: Settings, path: Path) -> None:
    """Compile against an empty warehouse of the contracts' shape, so that no data is needed."""
    with tempfile.TemporaryDirectory(prefix="linked_cyp-dbt-") as folder:
        scratch = Path(folder)
        warehouse = scratch / "warehouse.duckdb"
        _empty_warehouse(warehouse, load_contracts(settings.contracts))
        finished = subprocess.run(
            [
                str(dbt_program()),
                "--quiet",
                "compile",
                "--project-dir",
                str(settings.dbt_project),
                "--profiles-dir",
                str(settings.dbt_project),
                "--target-path",
                str(scratch / "target"),
            ],
            env={**os.environ, **dbt_environment(warehouse, scratch)},
            capture_output=True,
            text=True,
            check=False,
        )
        made = scratch / "target" / "manifest.json"
        if finished.returncode or not made.exists():
            raise LinkedCypError(
                f"dbt could not compile {settings.dbt_project.name}:\n{finished.stdout.strip()}"
            )
        json.loads(made.read_text(encoding="utf-8"))
        shutil.copyfile(made, path.with_suffix(".new"))
        os.replace(path.with_suffix(".new"), path)


def _empty_warehouse(path: Path, contracts: dict[str, Contract]) -> None:
    import duckdb

    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{path}' AS warehouse")
        ensure_tables(connection, contracts.values())


def main() -> int:
    """Compile if needed and say where the manifest is."""
    try:
        print(ensure_manifest(Settings.from_environment()))
    except LinkedCypError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
