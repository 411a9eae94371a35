"""Synthetic deliveries of a feed, written, read back and pseudonymised, for the tests of feeds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.identity.keys import Keys
from linked_cyp.ingest.deliveries import ingest
from linked_cyp.ingest.landing import identify
from linked_cyp.ingest.ledger import DeliveryOutcome
from linked_cyp.pseudonymise.deliveries import pseudonymise_delivery
from linked_cyp.synthetic.parameters import Streams, load_parameters
from linked_cyp.synthetic.places import reference_postcodes
from linked_cyp.synthetic.world import World, build_world
from linked_cyp.synthetic.writers.delivery import Sent, Written, with_faults, write_delivery
from linked_cyp_tests.deliveries_support import memory_store

KEYS = Keys(hashlib.sha256(b"a master key for tests").digest())
Deliveries = Callable[[World], Iterator[Callable[[], Sent]]]


@cache
def small_world(children: int = 1500, seed: int = 5) -> World:
    """A population of three authorities, made once for all tests of a process."""
    return build_world(
        load_parameters(), Streams(seed), children=children, authorities=3, years=range(2024, 2026)
    )


@cache
def feed_contract(feed: str) -> Contract:
    return load_contracts(PROJECT_ROOT / "data_contracts")[feed]


@dataclass
class Received:
    """What became of deliveries; ``raw`` and ``pseudonymised`` tables are in ``con``."""

    con: duckdb.DuckDBPyConnection
    sent: list[Sent] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    outcomes: list[DeliveryOutcome] = field(default_factory=list)

    def rows(self, zone: str, table: str) -> pl.DataFrame:
        catalog = "identifiable" if zone == "raw" else "warehouse"
        return self.con.execute(f"SELECT * FROM {catalog}.{zone}.{table} ORDER BY ALL").pl()

    def faults(self) -> int:
        return sum(w.faults.height for w in self.written)

    def quarantined(self) -> int:
        return sum(t.quarantined for o in self.outcomes for t in o.tables.values())


def receive(folder: Path, world: World, deliveries: Iterable[Deliveries], feed: str) -> Received:
    """Write the feed's synthetic deliveries, ingest them and pseudonymise what was accepted."""
    con = memory_store()
    con.execute("ATTACH ':memory:' AS warehouse")
    got, contract = Received(con), feed_contract(feed)
    postcodes = reference_postcodes(world.places).select(
        postcode="pcds", lsoa11_code="lsoa11", lsoa21_code="lsoa21", la_code="oslaua"
    )
    for make in (make for one in deliveries for make in one(world)):
        sent = with_faults(make(), world.parameters.deliveries)
        if sent.feed != feed:
            continue
        write = sent.write or write_delivery
        got.written.append(write(folder / "landing", contract, sent, np.random.default_rng(3)))
        place = folder / "landing" / sent.supplier / sent.feed / sent.folder
        landed = identify(place, {feed: contract})
        outcome = ingest(con, contract, landed, folder / "work")
        got.sent.append(sent)
        got.outcomes.append(outcome)
        if outcome.status == "accepted":
            pseudonymise_delivery(con, contract, outcome.delivery_id, KEYS, postcodes)
    return got
