"""What hardened encodings and conflict-aware resolution cost and gain, at a million records.

One population (:mod:`benchmarks.linkage_population`), each variant in a process of its own; look at
the ratios, not at the seconds. Variants:

* ``clear``: clear-text Splink, equivalent comparisons, the same blocking rules, connected
  components at a match probability of 0.95;
* ``clear_resolver``: the same pairs, kept as ours are, under conflict-aware resolution;
* ``plain``, ``hardened``: linkage as it runs, with the two kinds of encoding;
* ``recipe``: Splink off the shelf (library comparisons, ``link_and_dedupe`` over five tables,
  connected components at 0.95).

    python -m benchmarks.linkage --sizes 100000 1000000 --out linkage.json
    python -m benchmarks.linkage --table linkage.json --into docs/linkage_benchmarks.md
    python -m benchmarks.linkage --encode

Sizes are records, 2.4 for each child. See docs/linkage_benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl

from benchmarks.linkage_levels import LEVELS
from benchmarks.linkage_steps import Steps
from benchmarks.linkage_table import line, table
from benchmarks.pages import put_into
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys
from linked_cyp.linkage import predict, resolve, train
from linked_cyp.linkage.records.writing import write_person_records
from linked_cyp.stores.door import open_engine

VARIANTS = ("clear", "clear_resolver", "plain", "hardened", "recipe")
RECORDS_PER_CHILD = 2.4
BATCH = 200_000
MARKS = ("<!-- figures of benchmarks.linkage -->", "<!-- end of figures -->")


def write_population(folder: Path, children: int, seed: int, level: str) -> None:
    """Draw a population into Parquet files."""
    from benchmarks.linkage_population import population

    people = population(children, seed=seed, level=level)
    people.identities.write_parquet(folder / "identities.parquet", row_group_size=BATCH)
    named = people.identities.select("record_key", "source", "forename").join(
        people.sources.select("source", "feed"), on="source"
    )
    records = people.truth.join(named, on="record_key")
    shortest = records.group_by("child").agg(pl.col("forename").str.len_chars().max())
    age = (pl.lit(2024.67) - pl.col("birth_date").dt.epoch("d") / 365.25 - 1970).floor()
    groups = people.people.join(shortest, on="child", how="left").with_columns(
        pl.when(pl.col("forename") <= 4)
        .then(pl.lit("to 4 letters"))
        .otherwise(pl.lit("longer"))
        .alias("short_name"),
        pl.when(age < 5)
        .then(pl.lit("0-4"))
        .when(age < 11)
        .then(pl.lit("5-10"))
        .when(age < 16)
        .then(pl.lit("11-15"))
        .otherwise(pl.lit("16-19"))
        .alias("age"),
    )
    frames = {
        "sources": people.sources,
        "aliases": people.aliases,
        "truth": records.select(
            "record_key", "child", "feed", pl.col("forename").is_not_null().alias("is_named")
        ),
        "people": groups.drop("forename"),
    }
    for name, frame in frames.items():
        frame.write_parquet(folder / f"{name}.parquet")


def run(variant: str, folder: Path, chunks: int) -> dict[str, Any]:
    """Link one population one way; what it took and how good it is."""
    from benchmarks.linkage_clear import clear, recipe
    from benchmarks.linkage_quality import quality

    companions = {n: pl.read_parquet(folder / f"{n}.parquet") for n in ("sources", "aliases")}
    people, steps = folder / "identities.parquet", Steps()
    with tempfile.TemporaryDirectory() as spill:
        con = open_engine(Path(spill))
        con.execute("ATTACH ':memory:' AS linkage")
        if variant == "recipe":
            groups = companions["sources"].group_by("feed").agg("source").sort("feed")
            feeds = dict(groups.iter_rows())
            pairs = recipe(con, people, feeds, steps)
        elif variant in ("plain", "hardened"):
            hardened = variant == "hardened"
            pairs = encoded(con, _batches(people), companions, steps, hardened, chunks)
        else:
            resolved = variant == "clear_resolver"
            pairs = clear(
                con, _batches(people), companions, steps, resolved=resolved, chunks=chunks
            )
        gigabytes = steps.gigabytes()
        answer = con.execute("FROM memory.main.answer").pl()
    truth, children = (pl.read_parquet(folder / f"{n}.parquet") for n in ("truth", "people"))
    return {
        "variant": variant,
        "seconds": steps.seconds,
        "cpu": steps.cpu,
        "gigabytes": gigabytes,
        "pairs": pairs,
        **quality(answer, truth, children),
    }


def encoded(
    con: duckdb.DuckDBPyConnection,
    batches: Iterator[pl.DataFrame],
    companions: dict[str, pl.DataFrame],
    steps: Steps,
    hardened: bool,
    chunks: int,
) -> int:
    """Linkage as it runs, into ``answer``; the number of pairs kept."""
    encoder = Encoder(Keys(np.random.default_rng(8).bytes(32)), hardened=hardened)
    with steps("encode"):
        write_person_records(con, batches, companions["sources"], companions["aliases"], encoder)
    with steps("train"):
        train(con)
    with steps("predict"):
        if chunks:
            predict(con, chunks=chunks)
        else:
            predict(con)
    with steps("resolve"):
        resolve(con)
    con.execute(
        "CREATE VIEW memory.main.answer AS"
        " SELECT record_key, cluster AS person FROM linkage.main.person"
    )
    return int(con.execute("SELECT count(*) FROM linkage.main.pairs").fetchall()[0][0])


def _batches(people: Path) -> Iterator[pl.DataFrame]:
    """The identities some at a time, as a store hands them over."""
    count = pl.scan_parquet(people).select(pl.len()).collect().item()
    for start in range(0, count, BATCH):
        yield pl.scan_parquet(people).slice(start, BATCH).collect()


def _in_process(*arguments: str) -> str:
    """Run this module again; only then is its peak memory its own."""
    command = [sys.executable, "-m", "benchmarks.linkage", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def compare(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Every variant on every size; a line each as they finish, all of them saved."""
    results: list[dict[str, Any]] = []
    wanted = [
        (n, level, seed) for n in given.sizes for level in given.levels for seed in given.seeds
    ]
    for size, level, seed in wanted:
        with tempfile.TemporaryDirectory() as folder:
            children = str(round(size / RECORDS_PER_CHILD))
            _in_process("--draw", folder, children, level, "--seeds", str(seed))
            for variant in given.variants:
                tries = [
                    json.loads(_in_process("--run", variant, folder, str(given.chunks)))
                    for _ in range(given.repeat)
                ]
                best = min(tries, key=lambda found: sum(found["seconds"].values()))
                results.append({"size": size, "level": level, "seed": seed, **best})
                print(line(results[-1]), flush=True)
                if given.out:
                    given.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[60_000], help="records")
    parser.add_argument("--variants", nargs="+", default=VARIANTS, choices=VARIANTS)
    parser.add_argument("--repeat", type=int, default=1, help="keep the fastest of so many")
    parser.add_argument("--chunks", type=int, default=0, help="of prediction; 0: as linkage does")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--levels", nargs="+", default=["few"], choices=LEVELS)
    parser.add_argument("--out", type=Path, help="save the figures here (JSON)")
    parser.add_argument("--table", type=Path, help="print the tables of a saved run (Markdown)")
    parser.add_argument("--into", type=Path, help="put the tables into this page instead")
    parser.add_argument("--encode", action="store_true", help="measure the encoding alone")
    parser.add_argument(
        "--draw", nargs=3, metavar=("FOLDER", "CHILDREN", "LEVEL"), help=argparse.SUPPRESS
    )
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.draw:
        folder, children, level = given.draw
        write_population(Path(folder), int(children), given.seeds[0], level)
    elif given.run:
        variant, folder, chunks = given.run
        print(json.dumps(run(variant, Path(folder), int(chunks))))
    elif given.table:
        figures = table(json.loads(given.table.read_text(encoding="utf-8")))
        if given.into:
            put_into(given.into, figures, MARKS)
        else:
            print(figures)
    elif given.encode:
        from benchmarks.linkage_encoding import measure

        for name, speed in measure().items():
            print(f"{name:60} {speed / 1e6:7.2f} million a second")
    else:
        print(table(compare(given)))


if __name__ == "__main__":
    main()
