"""What the identifiable store says at this moment, and whether the warehouse was made from that.

The warehouse holds copies of the ledger, and a copy renewed by one step is stale for every other.
So a release is held to the ledger itself: each table that a release is made from says which
deliveries it was made from and as of which reading, and these must be the deliveries that count
now. A delivery withdrawn, superseded, read again or come in since then is a reason to refuse, and
so is a list of opt-outs, which is a delivery like any other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from linked_cyp.contracts.model import Contract
from linked_cyp.core.errors import value_free
from linked_cyp.core.sql import exists
from linked_cyp.curated.built_from import BUILT_FROM, pseudonymised_at
from linked_cyp.ingest import ledger
from linked_cyp.opt_outs.policy import Policy, Standing, standings
from linked_cyp.stores.door import Stores

BRIDGE = "warehouse.linkage.bridge"
LINKED = "warehouse.linkage.delivery"
MOST_NAMED = 3


@dataclass(frozen=True)
class Truth:
    """The ledger at one moment.

    Attributes:
        accepted: the deliveries that count, with the time (UTC) at which each was last read.
        withdrawn: every delivery that was withdrawn, erased or not.
        standing: every opt-out that the accepted deliveries fall under, with its lists.
    """

    accepted: Mapping[str, dt.datetime]
    withdrawn: frozenset[str]
    standing: tuple[Standing, ...]


def ask(stores: Stores, contracts: Mapping[str, Contract], policy: Policy) -> Truth:
    """Read the ledger of now.

    Raises:
        LinkedCypError: there is no identifiable store: nothing was ever ingested.
    """
    with stores.connect(identifiable="ro") as con:
        return read(con, contracts, policy)


def read(
    con: duckdb.DuckDBPyConnection, contracts: Mapping[str, Contract], policy: Policy
) -> Truth:
    """:func:`ask` on a connection that has ``identifiable``."""
    with value_free("reading the ledger"):
        if not exists(con, ledger.DELIVERY):
            return Truth({}, frozenset(), ())
        rows = con.execute(
            f"SELECT delivery_id, received_at FROM {ledger.CURRENT} WHERE status = 'accepted'"
        ).fetchall()
        gone = con.execute(f"SELECT delivery_id FROM {ledger.WITHDRAWAL}").fetchall()
        return Truth(
            dict(rows),
            frozenset(name for (name,) in gone),
            tuple(standings(con, contracts, policy)),
        )


def disagreements(con: duckdb.DuckDBPyConnection, truth: Truth, today: dt.date) -> list[str]:
    """Why a warehouse may not be released, as the ledger of now has it; empty when it may.

    Args:
        con: a connection with the warehouse attached as ``warehouse``.
        truth: the ledger of now.
        today: the day on which the age of opt-out lists is judged.
    """
    with value_free("comparing the warehouse with the ledger"):
        if not truth.accepted:
            return ["the ledger holds no delivery that counts"]
        return [
            *_lists(truth, today),
            *_pseudonymised(con, truth),
            *_curated(con, truth),
            *_linked(con, truth),
        ]


def _lists(truth: Truth, today: dt.date) -> list[str]:
    return [problem for one in truth.standing if (problem := one.problem(today))]


def _pseudonymised(con: duckdb.DuckDBPyConnection, truth: Truth) -> list[str]:
    """Whether what was read last is what was pseudonymised."""
    made = pseudonymised_at(con)
    late = [d for d, at in truth.accepted.items() if d not in made or not at or made[d] < at]
    return _said("deliveries accepted and not pseudonymised since", late, "ingest again")


def _curated(con: duckdb.DuckDBPyConnection, truth: Truth) -> list[str]:
    """Whether the curated tables were made from the deliveries that count now, as they are now."""
    if not exists(con, BUILT_FROM):
        return ["the curated tables do not say which deliveries they were made from: refresh"]
    built = dict(con.execute(f"SELECT delivery_id, pseudonymised_at FROM {BUILT_FROM}").fetchall())
    made = pseudonymised_at(con)
    other = [d for d in built if d in truth.accepted and built[d] != made.get(d)]
    return [
        *_said("deliveries accepted that are not curated", truth.accepted.keys() - built, ""),
        *_said("deliveries curated that no longer count", built.keys() - truth.accepted, ""),
        *_said("deliveries pseudonymised again since they were curated", other, ""),
    ]


def _linked(con: duckdb.DuckDBPyConnection, truth: Truth) -> list[str]:
    """Whether the links were made from them. A bridge without rows links nobody."""
    if not exists(con, BRIDGE) or con.execute(f"FROM {BRIDGE} LIMIT 1").fetchone() is None:
        return []
    if not exists(con, LINKED):
        return ["the bridge does not say which deliveries it was made from: refresh"]
    linked = dict(con.execute(f"SELECT delivery_id, received_at FROM {LINKED}").fetchall())
    other = [d for d in linked if d in truth.accepted and linked[d] != truth.accepted[d]]
    return [
        *_said("deliveries accepted that are not linked", truth.accepted.keys() - linked, ""),
        *_said("deliveries linked that no longer count", linked.keys() - truth.accepted, ""),
        *_said("deliveries read again since they were linked", other, ""),
    ]


def _said(what: str, deliveries: object, remedy: str) -> list[str]:
    """One reason with how many deliveries and the first few ids (which hold no values)."""
    names = sorted(deliveries)  # type: ignore[call-overload]
    if not names:
        return []
    more = ", ..." if len(names) > MOST_NAMED else ""
    listed = ", ".join(names[:MOST_NAMED])
    return [f"{what}: {len(names)} ({listed}{more}): {remedy or 'refresh'}"]
