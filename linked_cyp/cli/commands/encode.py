"""Supplier-side encoding from the command line: a key for a supplier, and a return encoded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import Settings

if TYPE_CHECKING:
    from linked_cyp.contracts.model import Contract

console = Console()


def register(app: typer.Typer, keys_app: typer.Typer) -> None:
    """Add ``encode`` and ``keys supplier`` to the command line."""
    app.command(
        epilog="Example: [bold]linked-cyp encode ~/2024-autumn --feed school_census "
        "--supplier brent --key brent.key --postcodes ONSPD.csv --out outbox[/bold]"
    )(encode)
    keys_app.command(
        "supplier",
        epilog="Example: [bold]linked-cyp keys supplier --feed school_census --supplier brent "
        "--out handover/brent.key[/bold]",
    )(keys_supplier)


def encode(
    folder: Annotated[Path, typer.Argument(exists=True, help="The return, as you would send it.")],
    feed: Annotated[str, typer.Option(help="Which return it is, such as school_census.")],
    supplier: Annotated[str, typer.Option(help="Your name as the key has it.")],
    key: Annotated[Path, typer.Option(help="The supplier key that the centre gave you.")],
    postcodes: Annotated[Path, typer.Option(help="The ONSPD or NSPL CSV file.")],
    out: Annotated[Path, typer.Option(help="Where to put the encoded delivery.")],
    period: Annotated[
        str | None, typer.Option(help="By default the manifest's or the folder's name.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="When you send a period again; greater counts.")
    ] = None,
) -> None:
    """Turn your own return into a delivery without names, numbers, dates of birth or postcodes.

    Runs on the supplier's machine. Needs no store and no master key, sends nothing, and leaves
    nothing behind but the encoded delivery.
    """
    from linked_cyp.contracts.model import load_contracts
    from linked_cyp.ingest.encoded.supplier_keys import SupplierKeys
    from linked_cyp.pseudonymise.reference import load_postcodes
    from linked_cyp.supplier.encode import encode as encode_delivery

    settings = Settings.from_environment()
    keys = SupplierKeys.load(key)
    if (keys.feed, keys.supplier) != (feed, supplier):
        raise LinkedCypError(f"the supplier key is for {keys.feed} of {keys.supplier}")
    with console.status("Encoding"):
        made = encode_delivery(
            folder,
            load_contracts(settings.contracts),
            keys,
            load_postcodes(postcodes),
            out,
            period=period,
            version=version,
            memory_limit=settings.memory_limit,
        )
    table = Table("table", "received", "accepted", "quarantined")
    for name, counts in made.outcome.tables.items():
        table.add_row(
            name, *(f"{n:,}" for n in (counts.received, counts.accepted, counts.quarantined))
        )
    console.print(table)
    console.print(f"{made.source_persons:,} source persons encoded.")
    console.print(
        f"Send this folder, guarded like the return itself: {made.folder}", highlight=False
    )


def keys_supplier(
    feed: Annotated[str, typer.Option(help="The feed that the supplier will encode.")],
    supplier: Annotated[str, typer.Option(help="The supplier, as in the landing folder.")],
    out: Annotated[Path, typer.Option(help="The new key file, in a folder that is yours alone.")],
) -> None:
    """Write the keys that one supplier needs to encode one feed: not the master key, no store's.

    Hand the file over by a way of its own, never with data.
    """
    from linked_cyp.identity.keys import Keys
    from linked_cyp.ingest.encoded.supplier_keys import supplier_keys

    settings = Settings.from_environment()
    if not re.fullmatch("[a-z0-9_]+", supplier):
        raise LinkedCypError("a supplier is written in lower case letters, digits and underscores")
    keys = supplier_keys(Keys.load(settings.key_file), _contract(settings, feed), supplier)
    keys.save(out)
    console.print(f"Keys of {supplier} for {feed} written to {out}", highlight=False)
    console.print(f"Fingerprint: {keys.fingerprint()} (compare it on another way)")


def _contract(settings: Settings, feed: str) -> Contract:
    from linked_cyp.contracts.model import load_contracts

    contracts = load_contracts(settings.contracts)
    if feed not in contracts:
        raise LinkedCypError(f"there is no feed of that name; there are {', '.join(contracts)}")
    return contracts[feed]
