"""What is to be taken: the one answer for the landing sensor and for ``linked-cyp ingest``.

A delivery is to be taken when the ledger does not know it (or knows it under an older version),
and when it was accepted and got no further: a process was killed in between, or something outside
was missing. What the gate stopped is not among them: trying again would not help.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from linked_cyp.contracts.model import Contract
from linked_cyp.core.files import prepare_folder, sweep
from linked_cyp.core.processes import end_with_parent
from linked_cyp.core.sql import exists
from linked_cyp.ingest import landing
from linked_cyp.ingest.ledger import CURRENT, DELIVERY, PROCESSABLE, WORSE_ALLOWED
from linked_cyp.stores.door import Mode, Stores

SETTLED_SECONDS = 30.0
CHECKED = "provenance.check_result"
Tell = Callable[[landing.Unidentified], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Delivery:
    """One delivery to take: by its id from landing, else from the archive."""

    delivery_id: str
    feed: str
    version_order: str

    @property
    def supplier(self) -> str:
        return self.delivery_id.split(".")[0]

    @property
    def period(self) -> str:
        return self.delivery_id.split(".")[1]


def to_take(
    stores: Stores,
    landed: Iterable[landing.LandedDelivery | Delivery],
    feeds: Collection[str],
    *,
    archived: bool = True,
    wait_seconds: float | None = None,
) -> list[Delivery]:
    """What is to be taken now, in order of landing; not what another process is taking.

    Args:
        landed: what lies in landing; the same content in two folders is one delivery.
        feeds: those that there are.
        archived: also what was accepted before, got no further and landed no more.
        wait_seconds: how long to wait for a store that another process holds.

    Raises:
        Held: another process holds a store for longer than that.
    """
    found = _newest(landed)
    there: dict[str, Mode] = {
        store: "ro" for store in ("identifiable", "warehouse") if stores.path(store).exists()
    }
    if "identifiable" in there:
        with stores.connect(wait_seconds=wait_seconds, **there) as con:
            known = versions(con)
            left = {delivery.delivery_id: delivery for delivery in unfinished(con)}
        found = {
            name: delivery
            for name, delivery in found.items()
            if name in left or known.get(name, "") < delivery.version_order
        }
        if archived:
            found = left | found
    busy = being_taken(stores.settings.work)
    return [d for name, d in found.items() if name not in busy and d.feed in feeds]


def _newest(landed: Iterable[landing.LandedDelivery | Delivery]) -> dict[str, Delivery]:
    found: dict[str, Delivery] = {}
    for one in landed:
        rival = found.get(one.delivery_id)
        if rival is None or rival.version_order < one.version_order:
            found[one.delivery_id] = Delivery(one.delivery_id, one.feed, one.version_order)
    return found


def versions(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The version under which the ledger knows each delivery."""
    if not exists(con, DELIVERY):
        return {}
    return dict(con.execute(f"SELECT delivery_id, version_order FROM {DELIVERY}").fetchall())


_ALLOWED = (
    f"SELECT delivery_id, feed, version_order FROM {CURRENT} AS c SEMI JOIN {WORSE_ALLOWED} AS a "
    "ON a.delivery_id = c.delivery_id AND a.allowed_at >= c.received_at WHERE status = 'rejected'"
)


def unfinished(con: duckdb.DuckDBPyConnection) -> list[Delivery]:
    """Deliveries that were taken into raw tables and, so far, no further; and those refused of
    which somebody has said since that they are right.

    Args:
        con: has ``identifiable`` and, if there is one, ``warehouse``.
    """
    if not exists(con, CURRENT):
        return []
    seen = [
        f"EXCEPT SELECT delivery_id, feed, version_order FROM {CURRENT}"
        f" SEMI JOIN (FROM {catalog}.{CHECKED} WHERE {which}) USING (delivery_id)"
        for catalog, which in (
            ("warehouse", "starts_with(asset, 'pseudonymised/')"),
            ("identifiable", "severity = 'error' AND NOT passed"),
        )
        if exists(con, f"{catalog}.{CHECKED}")
    ]
    rows = con.execute(
        f"(SELECT delivery_id, feed, version_order FROM {CURRENT} WHERE list_contains(?, status)"
        f" {' '.join(seen)}) UNION {_ALLOWED} ORDER BY 1",
        [list(PROCESSABLE)],
    ).fetchall()
    return [Delivery(*row) for row in rows]


def settled(
    folder: Path, contracts: Mapping[str, Contract], seen: Mapping[str, list], tell: Tell
) -> tuple[list[Delivery], dict[str, list]]:
    """Every delivery that has come to rest in landing, reading only folders that changed.

    Args:
        folder: the landing folder.
        contracts: the feeds we know.
        seen: what the last call returned: by place, the folder's signature and the delivery's id
            (None for what is no delivery). No name of a folder or file is in it.
        tell: of each folder that is no delivery, and of what lies outside any, once.

    Returns:
        The deliveries, and what to give as ``seen`` to the next call.
    """
    present: dict[str, list] = {}
    found = []
    for path, reason in landing.not_taken(folder):
        name = f"not taken {landing.place_signature(path, folder)}"
        present[name] = ["", None]
        if name not in seen:
            tell(landing.Unidentified(reason))
    for place in landing.folders(folder):
        name, signature = landing.place_signature(place, folder), landing.folder_signature(place)
        before = seen.get(name)
        try:
            if before is not None and before[0] == signature:
                present[name] = before
                if before[1] is not None:
                    where = landing.address(place, contracts)
                    found.append(Delivery(before[1], where.feed, where.version_order))
            elif time.time() - landing.newest(place) >= SETTLED_SECONDS:
                present[name] = [signature, None]
                landed = landing.identify(place, contracts)
                present[name] = [signature, landed.delivery_id]
                found.append(Delivery(landed.delivery_id, landed.feed, landed.version_order))
        except landing.Unidentified as problem:
            tell(problem)
    return found, present


@contextmanager
def taking(work: Path, delivery_id: str) -> Iterator[None]:
    """Show other processes that this one is taking a delivery, for as long as it lives."""
    mark = prepare_folder(work / f"{os.getpid()}-taking-{delivery_id}")
    try:
        yield
    finally:
        shutil.rmtree(mark, ignore_errors=True)


def being_taken(work: Path) -> set[str]:
    """The deliveries that a living process is taking."""
    sweep(work)
    return {mark.name.split("-", 2)[2] for mark in work.glob("*-taking-*")}


Take = Callable[[Delivery], T]


def take_all(
    deliveries: Sequence[Delivery], start: Callable[[], Take[T]]
) -> Iterator[tuple[Delivery, T]]:
    """Take many deliveries, on every core; yields what came of each as it ends.

    The stores take one writer at a time; what runs beside it is checking.

    Args:
        deliveries: what to take.
        start: makes, once in each process, what takes one delivery.
    """
    workers = min(len(deliveries) // 3, os.cpu_count() or 1, 4)
    if workers < 2:
        take = start()
        yield from ((delivery, take(delivery)) for delivery in deliveries)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, _start_worker, (start,)) as pool:
        running = {pool.submit(_take_one, d): d for d in deliveries}
        for finished in as_completed(running):
            yield running[finished], finished.result()


_worker: Take[Any] | None = None


def _start_worker(start: Callable[[], Take[Any]]) -> None:
    global _worker
    end_with_parent()
    _worker = start()


def _take_one(delivery: Delivery) -> Any:
    assert _worker is not None
    return _worker(delivery)
