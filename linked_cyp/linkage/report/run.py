"""Measure a linkage run, keep the measures, and write the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from linked_cyp.contracts.model import Contract
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.linkage.model.parameters import parameters
from linked_cyp.linkage.model.training import current_model
from linked_cyp.linkage.report import counts, estimates, quality, rates, truth
from linked_cyp.linkage.report.drift import drift
from linked_cyp.linkage.report.evaluate import truth_of_records
from linked_cyp.linkage.report.page import page
from linked_cyp.linkage.review.thresholds import thresholds_in_force
from linked_cyp.pages import write_page
from linked_cyp.stores.door import Stores

FOLDER = Path("reports") / "linkage"


@dataclass(frozen=True)
class Written:
    """The report of one run."""

    run_id: int
    path: Path  # relative to the home
    measures: pl.DataFrame  # see linked_cyp.linkage.report.quality.SCHEMA


def known_truth(stores: Stores, contracts: Mapping[str, Contract]) -> pl.DataFrame | None:
    """``record_key``, ``feed``, ``child`` of a synthetic population; None where there is no truth.

    Opens the identifiable store, so this comes before the warehouse is opened and apart from it.
    """
    folder = stores.settings.home / "truth"
    if not truth.is_known(folder):
        return None
    with stores.connect(identifiable="ro") as con:
        found = truth_of_records(con, contracts, stores.keys(), folder)
    return found if found.height else None


def measure(
    con: duckdb.DuckDBPyConnection,
    stores: Stores,
    contracts: Mapping[str, Contract],
    known: pl.DataFrame | None,
) -> tuple[int, date, pl.DataFrame]:
    """Everything that can be said of the newest run, and kept (``warehouse.linkage.quality``).

    Args:
        con: connection with ``linkage`` and a writable ``warehouse`` after the bridge.
        known: what :func:`known_truth` gives.

    Returns:
        Number and date of the run, and its measures.

    Raises:
        LinkedCypError: nothing has been linked yet.
    """
    runs = con.execute(
        "SELECT run_id, run_date FROM warehouse.linkage.summary ORDER BY run_id DESC LIMIT 1"
    ).fetchall()
    if not runs:
        raise LinkedCypError("there is no linkage to report on")
    run_id, day = runs[0]
    seeds = stores.settings.dbt_project / "seeds"
    found = list(_counted(con, run_id))
    found.append(rates.linkage_rates(con, contracts, seeds, day))
    found.append(estimates.estimated(estimates.strata(con)))
    if known is not None and _is_linked(con, known):
        who = truth.people(stores.settings.home / "truth", seeds, day)
        found.append(truth.against_truth(con, known, who))
    before = quality.last_run(con, run_id)
    found.append(drift(pl.concat(found), before, con, run_id))
    return run_id, day, quality.persist(con, found, run_id, day)


def _is_linked(con: duckdb.DuckDBPyConnection, known: pl.DataFrame) -> bool:
    """Whether the records whose truth is known are those that were linked, under the same key."""
    linked = con.execute("SELECT record_key FROM warehouse.linkage.bridge").pl()
    return known.join(linked, on="record_key", how="semi").height > 0


def _counted(con: duckdb.DuckDBPyConnection, run_id: int) -> Iterator[pl.DataFrame]:
    trained = current_model(con)
    yield counts.funnel(con)
    yield counts.excluded(con)
    yield counts.tiers(con)
    yield counts.cluster_sizes(con)
    yield counts.contradictions(con)
    yield counts.refused(con)
    yield counts.filled(con)
    yield counts.weights(con)
    yield counts.events(con, run_id)
    yield counts.blocking(con)
    yield counts.unlinkable(
        con, trained.settings if trained else None, thresholds_in_force(con, parameters())
    )


def write_report(stores: Stores, contracts: Mapping[str, Contract]) -> Written:
    """Measure the newest linkage run and write its page, whole or not at all.

    The page goes to ``<home>/reports/linkage/<run>.html`` and, the same, ``latest.html``.

    Raises:
        LinkedCypError: nothing has been linked, or measuring failed; never with a value.
    """
    with value_free("reporting on the linkage"):
        known = known_truth(stores, contracts)
        with stores.connect(linkage="ro", warehouse="rw") as con:
            run_id, _, measures = measure(con, stores, contracts, known)
            html = page(con, contracts, measures, quality.last_run(con, run_id))
        path = FOLDER / f"{run_id}.html"
        for name in (path, FOLDER / "latest.html"):
            write_page(html, stores.settings.home / name)
    return Written(run_id, path, measures)
