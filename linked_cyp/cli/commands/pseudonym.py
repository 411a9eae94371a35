"""Take over the key with which a supplier pseudonymises NHS numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from linked_cyp.core.settings import Settings

console = Console()


def register(keys_app: typer.Typer) -> None:
    """Add ``keys pseudonym`` to the command line."""
    keys_app.command(
        "pseudonym",
        epilog="Example: [bold]linked-cyp keys pseudonym icb.key --supplier nwl_icb[/bold]",
    )(keys_pseudonym)


def keys_pseudonym(
    file: Annotated[Path, typer.Argument(help="The supplier's key, in hexadecimal, mode 0600.")],
    supplier: Annotated[str, typer.Option(help="The supplier, as in the landing folder.")],
) -> None:
    """Take over a supplier's key for pseudonymised NHS numbers. Never overwrites.

    Without it, records that carry only the pseudonym link to nobody.
    """
    from linked_cyp.identity import pseudonym_keys

    written = pseudonym_keys.take_over(file, Settings.from_environment().key_file.parent, supplier)
    console.print(f"Pseudonym key of {supplier} written to {written}", highlight=False)
    console.print("Remove the copy that was handed over; the next linkage run uses the key.")
