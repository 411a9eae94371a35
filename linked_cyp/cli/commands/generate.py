"""``linked-cyp generate``: everything that is made from contracts, models and worked cases.

Each kind of document is a function from the settings to ``{path: text}``; writing, comparing and
taking away what is no longer made is the same for all.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT, Settings

Files = Mapping[Path, str]


@dataclass(frozen=True)
class Kind:
    """One kind of generated document; ``owned`` is a pattern of files that it alone makes."""

    make: Callable[[Settings], Files]
    owned: str | None = None


def _schema(settings: Settings) -> Files:
    from linked_cyp.contracts.schema import json_schema

    return {settings.contracts / "contract.schema.json": json_schema()}


def _seeds(settings: Settings) -> Files:
    from linked_cyp.curated.generated import seed_files

    return seed_files(settings)


def _feeds(settings: Settings) -> Files:
    from linked_cyp.contracts.model import load_contracts
    from linked_cyp.metadata.feed_table import DOCUMENT, markdown

    return {DOCUMENT: markdown(load_contracts(settings.contracts))}


def _dictionary(settings: Settings) -> Files:
    from linked_cyp.contracts.model import load_contracts
    from linked_cyp.curated.manifest import ensure_manifest
    from linked_cyp.metadata.dictionary import FOLDER, pages
    from linked_cyp.metadata.lineage import load_manifest

    manifest = load_manifest(ensure_manifest(settings))
    made = pages(load_contracts(settings.contracts), manifest)
    return {FOLDER / name: text for name, text in made.items()}


def _of_tests(module: str) -> Callable[[Settings], Files]:
    """Documents made of worked cases, which stand with the tests."""

    def make(_: Settings) -> Files:
        return importlib.import_module(f"linked_cyp_tests.{module}").generated()

    return make


# In an order in which each finds what it is made from.
KINDS: Mapping[str, Kind] = {
    "schema": Kind(_schema),
    "seeds": Kind(_seeds),
    "feeds": Kind(_feeds),
    "dictionary": Kind(_dictionary, "docs/dictionary/*.md"),
    "graph": Kind(_of_tests("graph_snapshot"), "linked_cyp_tests/pipeline/snapshots/*.txt"),
    "definitions": Kind(_of_tests("definitions"), "docs/definitions/*.md"),
}


def generate(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(help=f"Only these kinds: {', '.join(KINDS)}.", show_default="all"),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if something is stale.")
    ] = False,
) -> None:
    """Make what is made from contracts, models and worked cases: seeds, schema, pages, snapshots.

    Example: [bold]linked-cyp generate[/bold] after a change of a contract or a model
    """
    chosen = kinds or list(_possible())
    if unknown := sorted(set(chosen) - set(KINDS)):
        raise LinkedCypError(f"there is no kind {', '.join(unknown)}: {', '.join(KINDS)}")
    settings = Settings.from_environment()
    stale = [path for name in KINDS if name in chosen for path in _one(name, settings, check)]
    for path in stale:
        print(f"{'stale' if check else 'written'}: {_short(path)}")
    if check and stale:
        raise LinkedCypError("generated files are stale: run linked-cyp generate")


def _possible() -> list[str]:
    """Every kind; an installation without the tests makes what needs no worked cases."""
    tests = importlib.util.find_spec("linked_cyp_tests") is not None
    return [name for name in KINDS if tests or name not in ("graph", "definitions")]


def _one(name: str, settings: Settings, check: bool) -> list[Path]:
    """What of one kind differed: written and removed, unless only checked."""
    from linked_cyp.curated.generated import differing, write

    kind = KINDS[name]
    files = kind.make(settings)
    surplus = [p for p in PROJECT_ROOT.glob(kind.owned) if p not in files] if kind.owned else []
    if check:
        return [*differing(files), *surplus]
    for path in surplus:
        path.unlink()
    return [*write(files), *surplus]


def _short(path: Path) -> str:
    inside = path.is_relative_to(PROJECT_ROOT)
    return path.relative_to(PROJECT_ROOT).as_posix() if inside else path.name


def register(app: typer.Typer) -> None:
    app.command()(generate)
