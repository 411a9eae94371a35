"""Write a synthetic population to a home folder: landing, reference and truth.

One pipeline: the truth (``world``), what each source registered of it (``records``), and native
files (``writers``). The same arguments give byte-identical files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.synthetic.parameters import Streams, load_parameters
from linked_cyp.synthetic.places import reference_establishments, reference_postcodes
from linked_cyp.synthetic.truth import write_truth
from linked_cyp.synthetic.world import World, build_world
from linked_cyp.synthetic.writers import (
    attendance_daily,
    births,
    cin_census,
    csds,
    deaths,
    gp_olids,
    mhsds,
    ncmp,
    npd_attainment,
    opt_outs,
    pds_demographics,
    school_census,
    sen2,
    ssd,
    ssda903,
    sus_apc,
    sus_ecds,
    sus_op,
)
from linked_cyp.synthetic.writers.delivery import Sent, Written, with_faults, write_delivery

Progress = Callable[[str, int, int], None]

# What each feed's suppliers send of a world.
DELIVERIES: tuple[Callable[[World], Iterator[Callable[[], Sent]]], ...] = (
    ssda903.deliveries,
    cin_census.deliveries,
    ssd.deliveries,
    school_census.deliveries,
    sen2.deliveries,
    npd_attainment.deliveries,
    attendance_daily.deliveries,
    sus_apc.deliveries,
    gp_olids.deliveries,
    sus_op.deliveries,
    sus_ecds.deliveries,
    mhsds.deliveries,
    csds.deliveries,
    pds_demographics.deliveries,
    births.deliveries,
    deaths.deliveries,
    ncmp.deliveries,
    opt_outs.deliveries,
)


@dataclass(frozen=True)
class Summary:
    """Counts of what was written; ``deliveries`` has feed, supplier, period, rows and bytes."""

    children: int
    local_authorities: tuple[str, ...]
    deliveries: pl.DataFrame
    rows: int
    bytes: int
    faults: int


def synthesise(
    home: Path,
    *,
    children: int,
    local_authorities: int = 3,
    seed: int = 1,
    years: tuple[int, int] = (2024, 2025),
    progress: Progress | None = None,
    contracts: Mapping[str, Contract] | None = None,
) -> Summary:
    """Write ``home/landing``, ``home/reference`` and ``home/truth``.

    Args:
        home: the folder written to (made if missing); nothing else in it is touched.
        children: how many children the population holds.
        local_authorities: how many invented local authorities they live in.
        seed: the same seed gives the same files, byte for byte.
        years: first and last collection year, each named for the year in which it ends. The last
            is delivered in full, earlier ones in part (``parameters/deliveries.yaml``).
        progress: called with what has been done, the step and the number of steps.
        contracts: the contracts that fix the layout of the files (the project's by default).

    Raises:
        LinkedCypError: too many children or authorities for the identifiers and places there are.
    """
    parameters, streams = load_parameters(), Streams(seed)
    contracts = contracts or load_contracts(PROJECT_ROOT / "data_contracts")
    span = range(years[0], years[1] + 1)
    tell = progress or (lambda what, step, steps: None)
    world = build_world(
        parameters, streams, children=children, authorities=local_authorities, years=span
    )
    plan = list(planned(world))
    tell("population", 1, len(plan) + 2)
    written: list[tuple[Sent, Written]] = []
    for step, make in enumerate(plan, start=2):
        sent = with_faults(make(), parameters.deliveries)
        rng = streams(f"faults {sent.feed} {sent.supplier} {sent.period}")
        write = sent.write or write_delivery
        if _holds_a_file(contracts[sent.feed], sent):
            written.append((sent, write(home / "landing", contracts[sent.feed], sent, rng)))
        tell(f"{sent.feed} {sent.supplier} {sent.period}", step, len(plan) + 2)
    reference = home / "reference"
    reference.mkdir(parents=True, exist_ok=True)
    reference_postcodes(world.places).write_csv(reference / "postcodes.csv")
    establishments = reference_establishments(world.education.schools)
    establishments.write_csv(reference / "establishments.csv")
    opt_outs.write_settings(home, world)
    write_truth(home / "truth", world, [w for _, w in written])
    gp_olids.hand_over_key(home / "truth", world)
    tell("truth", len(plan) + 2, len(plan) + 2)
    return _summary(world, children, written)


def planned(world: World) -> Iterator[Callable[[], Sent]]:
    """Every delivery the suppliers send, feed by feed, each made when called."""
    for deliveries in DELIVERIES:
        yield from deliveries(world)


def _holds_a_file(contract: Contract, sent: Sent) -> bool:
    """Whether there is anything to send: a small authority may have had nothing of a kind."""
    tables = contract.at(contract.collection_year(sent.period)).tables
    return any(
        name in tables and (frame.height or tables[name].required)
        for name, frame in sent.tables.items()
    )


def _summary(world: World, children: int, written: list[tuple[Sent, Written]]) -> Summary:
    deliveries = pl.DataFrame(
        [(s.feed, s.supplier, s.period, s.version or "1", w.rows, w.size) for s, w in written],
        schema={
            "feed": pl.String,
            "supplier": pl.String,
            "period": pl.String,
            "version": pl.String,
            "rows": pl.Int64,
            "bytes": pl.Int64,
        },
        orient="row",
    )
    return Summary(
        children=children,
        local_authorities=tuple(world.places.areas["name"][: world.places.outside]),
        deliveries=deliveries,
        rows=int(deliveries["rows"].sum()),
        bytes=int(deliveries["bytes"].sum()),
        faults=sum(w.faults.height for _, w in written),
    )
