"""Erasure: a withdrawn delivery's rows leave the tables first, and its bytes leave the files last.

DuckDB keeps deleted blocks in the file until they are written over. So once everything has been
made again without the withdrawn rows, each store is copied into a new file. A marker beside the
stores says that this is owed; it survives a kill in between.
"""

from __future__ import annotations

from linked_cyp.ingest import ledger
from linked_cyp.pseudonymise import deliveries as pseudonymise
from linked_cyp.stores import provenance
from linked_cyp.stores.door import STORES, Stores


def withdraw(stores: Stores, delivery_id: str, reason: str) -> str | None:
    """Withdraw a delivery and tell the warehouse in the same act.

    Its pseudonymised rows go at once, and nothing is released from what was made of them until
    everything is made again. Both stores are held before either is written: a warehouse that is
    busy for too long leaves the ledger as it was.

    Returns:
        The delivery that counts now instead, if any, as :func:`linked_cyp.ingest.ledger.withdraw`.

    Raises:
        LinkedCypError: as there, or a store is held by another process.
    """
    with stores.connect(identifiable="rw", warehouse="rw") as connection:
        instead = ledger.withdraw(connection, delivery_id, reason)
        owe(stores)
        pseudonymise.sync_ledger(connection)
    return instead


def sync(stores: Stores) -> dict[str, int]:
    """Bring the ledger into the warehouse and remove what was withdrawn from both.

    Returns:
        ``{"deliveries": rows of the ledger, "erased": deliveries whose rows were removed now}``.
    """
    with stores.connect(identifiable="rw", warehouse="rw") as connection:
        erased = ledger.erase_withdrawn(connection)
        if erased:
            owe(stores)
        for delivery_id in ledger.withdrawn(connection):  # also what an earlier, killed run left
            pseudonymise.remove_delivery(connection, delivery_id)
            provenance.forget(connection, "warehouse", delivery_id)
            provenance.forget(connection, "identifiable", delivery_id)
        provenance.copy_checks(connection, "identifiable", "warehouse")
        known = pseudonymise.sync_ledger(connection)
    return {"deliveries": known, "erased": len(erased)}


def owe(stores: Stores) -> None:
    """Mark that the files still hold bytes of something withdrawn."""
    marker = stores.settings.stores / ".erasure-owed"
    marker.touch(mode=0o600)


def settle(stores: Stores) -> int:
    """Write every store anew if that is owed; returns how many files were rewritten."""
    marker = stores.settings.stores / ".erasure-owed"
    if not marker.exists():
        return 0
    rewritten = [store for store in STORES if stores.path(store).exists()]
    for store in rewritten:
        stores.rebuild(store)
    marker.unlink()
    return len(rewritten)
