"""What it costs never to link by forename and birth date alone, where the surname is another one.

The rule (:func:`linked_cyp.linkage.pairs.edges.renamed_sql`) keeps an adopted child's two lives
apart.
The same scored pairs are resolved with it and without it, and compared with the truth.

    python -m benchmarks.linkage_renamed --children 50000 [--level harsh]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from unittest.mock import patch

import duckdb
import polars as pl

from benchmarks.linkage import encoded
from benchmarks.linkage_levels import LEVELS
from benchmarks.linkage_population import population
from benchmarks.linkage_steps import Steps
from linked_cyp.linkage import resolve
from linked_cyp.linkage.pairs import edges
from linked_cyp.linkage.report.evaluate import pairwise
from linked_cyp.stores.door import open_engine


def shown(con: duckdb.DuckDBPyConnection, truth: pl.DataFrame) -> str:
    persons = con.execute("SELECT record_key, cluster AS person FROM linkage.main.person").pl()
    found = pairwise(persons, truth)
    return (
        f"{found.correct:,.0f} of {found.true:,.0f} true pairs found,"
        f" {found.linked - found.correct:,.0f} wrong: precision"
        f" {found.correct / found.linked:.5f}, recall {found.correct / found.true:.5f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--children", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--level", default="few", choices=LEVELS)
    given = parser.parse_args()
    people = population(given.children, seed=given.seed, level=given.level)
    companions = {"sources": people.sources, "aliases": people.aliases}
    with tempfile.TemporaryDirectory() as spill:
        con = open_engine(Path(spill))
        con.execute("ATTACH ':memory:' AS linkage")
        encoded(con, iter([people.identities]), companions, Steps(), hardened=True, chunks=0)
        kept = con.execute(
            f"SELECT count(*) FROM linkage.main.pairs WHERE {edges.renamed_sql()}"
        ).fetchall()[0][0]
        print(f"{people.identities.height:,} records; {kept:,} scored pairs fall under the rule")
        print("with the rule:   ", shown(con, people.truth))
        with patch.object(edges, "renamed_sql", return_value="false"):
            resolve(con)
        print("without the rule:", shown(con, people.truth))


if __name__ == "__main__":
    main()
