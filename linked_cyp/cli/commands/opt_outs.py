"""Opt-outs from the command line: whom to ask the national service about."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from linked_cyp.core.settings import Settings

app = typer.Typer(help="Who has opted out (docs/opt_outs.md).", no_args_is_help=True)
console = Console()


@app.callback()
def opt_outs() -> None:
    """Who has opted out (docs/opt_outs.md)."""


@app.command(epilog="Example: [bold]linked-cyp opt-outs numbers --to ~/check[/bold]")
def numbers(
    to: Annotated[Path, typer.Option(help="A folder of yours, of mode 0700, outside the data.")],
) -> None:
    """Write the NHS numbers to ask the national service about, in clear, for you alone to read.

    Send the file, land the reply as a delivery of national_data_opt_out, and delete the file.
    """
    from linked_cyp.contracts.model import load_contracts
    from linked_cyp.core.disclosure import shown
    from linked_cyp.opt_outs.asking import numbers_to_ask_about, write_numbers
    from linked_cyp.stores.door import Stores

    settings = Settings.from_environment()
    contracts = load_contracts(settings.contracts)
    with Stores(settings).connect(identifiable="ro") as connection:
        found = numbers_to_ask_about(connection, contracts)
    today = dt.datetime.now(dt.UTC).date()
    path = write_numbers(found, to, today, forbidden=(settings.home,))
    console.print(f"Wrote {shown(found.len())} numbers: {path}", highlight=False, soft_wrap=True)
    console.print("They identify people: send the file as agreed with the service and delete it.")
