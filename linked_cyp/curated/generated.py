"""The part of the dbt project that is made from the contracts.

Sources and the macro ``person_sources`` are compiled on the spot into ignored folders; seeds are
committed, because they say what codes mean and a review should see it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from linked_cyp.contracts.model import load_codesets, load_contracts
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import Settings
from linked_cyp.curated import persons, sources

SOURCES = Path("models", "generated", "sources.yml")
MACRO = Path("macros", "generated", "person_sources.sql")


def seed_files(settings: Settings) -> dict[Path, str]:
    """The committed seeds that the contracts say, by path."""
    contracts = load_contracts(settings.contracts).values()
    made = persons.seeds(contracts, load_codesets(settings.contracts / "codesets"))
    return {settings.dbt_project / "seeds" / f"{name}.csv": text for name, text in made.items()}


def compiled_files(settings: Settings) -> dict[Path, str]:
    """What is written whenever dbt's project is compiled, by path."""
    contracts = load_contracts(settings.contracts)
    return {
        settings.dbt_project / SOURCES: sources.render(contracts),
        settings.dbt_project / MACRO: persons.macro(contracts.values()),
    }


def prepare(settings: Settings) -> None:
    """Write what is compiled, and refuse seeds that are not what the contracts say.

    Raises:
        LinkedCypError: names the seeds; a code would mean what it meant before the change.
    """
    if stale := differing(seed_files(settings)):
        names = ", ".join(path.name for path in stale)
        raise LinkedCypError(f"{names}: not what the contracts say; run linked-cyp generate")
    write(compiled_files(settings))


def differing(files: Mapping[Path, str]) -> list[Path]:
    """Those that are missing or hold something else."""
    return [
        path
        for path, text in files.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def write(files: Mapping[Path, str]) -> list[Path]:
    """Write what differs, each file whole; returns what was written."""
    changed = differing(files)
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_text(files[path], encoding="utf-8")
        os.replace(beside, path)
    return changed
