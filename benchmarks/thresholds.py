"""Which thresholds a loss asks for when the truth is known, and what each does in the end.

First pair by pair, as clerical review would (:mod:`linked_cyp.linkage.review.thresholds`), then
through resolution: one threshold at a time is moved and whole persons are compared with the truth.

    python -m benchmarks.thresholds --children 24000
"""

from __future__ import annotations

import argparse
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from benchmarks.linkage_levels import LEVELS
from benchmarks.linkage_population import population
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys
from linked_cyp.linkage import predict, resolve, train
from linked_cyp.linkage.model.parameters import Parameters, parameters
from linked_cyp.linkage.pairs.edges import EDGE_CLASSES, classed_pairs_sql, prior_weight
from linked_cyp.linkage.records.writing import write_person_records
from linked_cyp.linkage.report.evaluate import pairwise
from linked_cyp.linkage.review.thresholds import choose_thresholds
from linked_cyp.stores.door import open_engine

STEPS = (-12.0, -6.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0, 12.0)


def linked(children: int, seed: int, level: str, spill: Path) -> duckdb.DuckDBPyConnection:
    """A connection with scored and resolved records and ``memory.main.truth``."""
    people = population(children, seed=seed, level=level)
    con = open_engine(spill)
    con.execute("ATTACH ':memory:' AS linkage")
    encoder = Encoder(Keys(np.random.default_rng(8).bytes(32)))
    write_person_records(con, [people.identities], people.sources, people.aliases, encoder)
    train(con)
    predict(con)
    resolve(con)
    con.register("given", people.truth.to_arrow())
    con.execute("CREATE TABLE memory.main.truth AS FROM given")
    con.unregister("given")
    return con


def labelled(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Every scored pair that resolution did not refuse, with the truth."""
    return con.execute(
        "SELECT p.edge_class, p.weight, a.child = b.child AS is_same, 1.0 AS importance"
        f" FROM {classed_pairs_sql(prior_weight(con))} p"
        " JOIN memory.main.truth a ON a.record_key = p.record_key_l"
        " JOIN memory.main.truth b ON b.record_key = p.record_key_r"
        " ANTI JOIN linkage.main.refused r USING (record_key_l, record_key_r)"
    ).pl()


def outcome(con: duckdb.DuckDBPyConnection, given: Parameters) -> tuple[int, int, int]:
    """Pairs of records in one person wrongly, pairs missed, and pairs that belong together."""
    resolve(con, given=given)
    persons = con.execute("SELECT record_key, cluster AS person FROM linkage.main.person").pl()
    quality = pairwise(persons, con.execute("FROM memory.main.truth").pl())
    return quality.linked - quality.correct, quality.true - quality.correct, quality.true


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--children", type=int, default=24_000)
    chosen = parameters()
    children = parser.parse_args().children
    with tempfile.TemporaryDirectory() as spill:
        worlds = [
            linked(children, seed, level, Path(spill)) for seed, level in enumerate(LEVELS, 1)
        ]
        print("pair by pair: class, labelled same + different, threshold asked for (95 %),")
        print("expected loss for 1,000 pairs there and at the threshold in force")
        pairs = pl.concat(labelled(con) for con in worlds)
        for name, choice in choose_thresholds(pairs, chosen.loss).items():
            at = choice.loss_at(chosen.thresholds[name])
            print(
                f"{name:10} {choice.same:6} + {choice.different:5}  {choice.weight:6.1f}"
                f" ({choice.low:.1f} to {choice.high:.1f})  {choice.loss:7.1f} {at:7.1f}"
            )
        print(
            "\nwhole persons: class, threshold, wrong pairs, missed pairs, precision, recall, loss"
        )
        for name in EDGE_CLASSES:
            now = chosen.thresholds[name]
            for weight in (12.0, 30.0, math.inf) if math.isinf(now) else (now + s for s in STEPS):
                moved = replace(chosen, thresholds={**chosen.thresholds, name: weight})
                wrong, missed, true = (
                    sum(parts)
                    for parts in zip(*(outcome(con, moved) for con in worlds), strict=True)
                )
                right = true - missed
                cost = chosen.loss.false_link * wrong + chosen.loss.missed_link * missed
                print(
                    f"{name:10} {weight:6.1f}{'*' if weight == now else ' '} {wrong:6} {missed:6}"
                    f"  {right / (right + wrong):.5f} {right / true:.5f} {cost:9.0f}"
                )


if __name__ == "__main__":
    main()
