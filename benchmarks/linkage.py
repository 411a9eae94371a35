"""What hardened encodings and conflict-aware resolution cost and gain.

Against clear-text Splink on the same records: equivalent comparisons, the same blocking rules,
connected components at a match probability of 0.95. Same data, same run, each in a process of its
own; look at the ratios, not at the seconds.

    python -m benchmarks.linkage --children 10000 30000
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl

from linked_cyp.keys import Keys
from linked_cyp.linkage import model, predict, resolve, train
from linked_cyp.linkage.encodings import Encoder
from linked_cyp.linkage.evaluate import pairwise
from linked_cyp.linkage.person_records import per_distinct
from linked_cyp.linkage.records import write_person_records
from linked_cyp.linkage.splink_session import linker
from linked_cyp.names import phonetic
from linked_cyp.stores import open_engine
from linked_cyp_tests.unit.linkage_population import NO_ALIASES, SOURCES, population

VARIANTS = ("clear", "plain", "hardened")
BATCH = 200_000


def encoded(
    con: duckdb.DuckDBPyConnection, people: pl.DataFrame, hardened: bool
) -> dict[str, float]:
    keys = Keys(np.random.default_rng(8).bytes(32))
    con.execute("ATTACH ':memory:' AS linkage")
    batches = (people[i : i + BATCH] for i in range(0, people.height, BATCH))
    seconds = {}
    for step, work in (
        (
            "encode",
            lambda: write_person_records(
                con, batches, SOURCES, NO_ALIASES, Encoder(keys, hardened=hardened)
            ),
        ),
        ("train", lambda: train(con)),
        ("predict", lambda: predict(con)),
        ("resolve", lambda: resolve(con)),
    ):
        start = time.perf_counter()
        work()
        seconds[step] = time.perf_counter() - start
    con.execute(
        "CREATE VIEW answer AS SELECT record_key, cluster AS person FROM linkage.main.person"
    )
    return seconds


def clear(con: duckdb.DuckDBPyConnection, people: pl.DataFrame) -> dict[str, float]:
    start = time.perf_counter()
    frame = people.with_columns(
        per_distinct(people["forename"], phonetic).alias("forename_sound"),
        per_distinct(people["surname"], phonetic).alias("surname_sound"),
    )
    con.register("people", frame.to_arrow())
    con.execute(_CLEAR_TABLE)
    seconds = {"encode": time.perf_counter() - start}
    with linker(con, "memory.main.clear_record", clear_settings(), doing="clear text") as splink:
        start = time.perf_counter()
        training = splink.training
        training.estimate_probability_two_random_records_match(
            ["l.nhs = r.nhs", "l.upn = r.upn", model.PRIOR_NAMES.replace("names", "both_names")],
            recall=0.8,
        )
        training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
        for block in model.TRAINING_BLOCKS.values():
            with suppress(ValueError):  # a level died out
                training.estimate_parameters_using_expectation_maximisation(
                    re.sub(r"\bnames\b", "both_names", block), max_pairs=1e6
                )
        seconds["train"] = time.perf_counter() - start
        start = time.perf_counter()
        scored = splink.inference.predict(threshold_match_probability=0.95)
        seconds["predict"] = time.perf_counter() - start
        start = time.perf_counter()
        found = splink.clustering.cluster_pairwise_predictions_at_threshold(scored, 0.95)
        con.execute(
            "CREATE TABLE memory.main.answer AS SELECT record_id AS record_key,"
            f" cluster_id AS person FROM {found.physical_name}"
        )
        seconds["resolve"] = time.perf_counter() - start
    return seconds


_CLEAR_TABLE = """
    CREATE TABLE memory.main.clear_record AS
    SELECT record_key AS record_id, record_key, supplier, nhs_number AS nhs, upn,
        la_child_id AS la_child, sex, forename, surname, forename_sound, surname_sound, postcode,
        birth_date, left(postcode, length(postcode) - 2) AS postcode_sector,
        strftime(birth_date, '%Y-%m') AS birth_year_month, strftime(birth_date, '%Y %d') AS
        birth_year_day, strftime(birth_date, '%m-%d') AS birth_month_day,
        try_strptime(strftime(birth_date, '%Y-%d-%m'), '%Y-%m-%d')::DATE AS birth_date_swapped,
        least(forename, surname) || ' ' || greatest(forename, surname) AS both_names,
        year(birth_date) AS birth_year FROM people
"""
_CLEAR_BLOCKS = {
    "birth_date_surname": "l.birth_date = r.birth_date AND l.surname_sound = r.surname_sound",
    "birth_date_forename": "l.birth_date = r.birth_date AND l.forename_sound = r.forename_sound",
    "names_birth_year": "l.both_names = r.both_names AND l.birth_year = r.birth_year",
    "postcode_forename": "l.postcode = r.postcode AND l.forename_sound = r.forename_sound",
    "swapped_birth_date": "l.birth_date = r.birth_date_swapped AND l.surname = r.surname",
    "names_sector": "l.both_names = r.both_names AND l.postcode_sector = r.postcode_sector",
}


def clear_settings() -> dict[str, Any]:
    """The model's settings with clear-text name levels and blocking rules, u to be estimated."""
    settings = model.settings()
    for comparison in settings["comparisons"]:
        name = comparison["output_column_name"]
        for level in comparison["comparison_levels"]:
            if name in ("forename", "surname"):
                level["sql_condition"] = _clear_level(name, level["label_for_charts"])
            if name not in ("nhs", "upn", "la_child"):
                level["fix_m_probability"] = level["fix_u_probability"] = False
        comparison["comparison_levels"] = [
            level for level in comparison["comparison_levels"] if level["sql_condition"]
        ]
    for rule, name in zip(
        settings["blocking_rules_to_generate_predictions"], model.BLOCKING_RULES, strict=True
    ):
        rule["blocking_rule"] = _CLEAR_BLOCKS.get(name, model.rule_sql(name))
    settings["retain_matching_columns"] = False
    return settings


def _clear_level(field: str, label: str) -> str:
    alike = f"jaro_winkler_similarity({field}_l, {field}_r) >= "
    return {
        "missing": f"{field}_l IS NULL OR {field}_r IS NULL",
        "exact": f"{field}_l = {field}_r",
        "dice_80": alike + "0.92",
        "sound": f"{field}_sound_l = {field}_sound_r",
        "dice_60": alike + "0.88",
        "dice_45": alike + "0.7",
        "differ": "ELSE",
    }.get(label, "")


def run(variant: str, people: Path, truth: Path) -> None:
    frame = pl.read_parquet(people)
    with tempfile.TemporaryDirectory() as spill:
        con = open_engine(Path(spill))
        seconds = (
            clear(con, frame) if variant == "clear" else encoded(con, frame, variant == "hardened")
        )
        quality = pairwise(con.execute("FROM memory.main.answer").pl(), pl.read_parquet(truth))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        json.dumps(
            {
                "seconds": seconds,
                "gigabytes": peak,
                "precision": quality.precision,
                "recall": quality.recall,
                "f1": quality.f1,
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--children", type=int, nargs="+", default=[10_000, 30_000])
    parser.add_argument("--run", nargs=3, metavar=("VARIANT", "PEOPLE", "TRUTH"))
    given = parser.parse_args()
    if given.run:
        run(given.run[0], Path(given.run[1]), Path(given.run[2]))
        return
    steps = ("encode", "train", "predict", "resolve")
    print(
        "records variant    "
        + "".join(f"{s:>9}" for s in steps)
        + "    total  ratio    GB    P       R       F1"
    )
    for children in given.children:
        people = population(children)
        with tempfile.TemporaryDirectory() as folder:
            paths = [str(Path(folder) / f"{name}.parquet") for name in ("people", "truth")]
            people.identities.write_parquet(paths[0])
            people.truth.write_parquet(paths[1])
            baseline = 0.0
            for variant in VARIANTS:
                command = [sys.executable, "-m", "benchmarks.linkage", "--run", variant, *paths]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found = json.loads(done.stdout)
                total = sum(found["seconds"].values())
                baseline = baseline or total
                print(
                    f"{people.identities.height:7} {variant:10} "
                    + "".join(f"{found['seconds'][s]:9.2f}" for s in steps)
                    + f"{total:9.2f}{total / baseline:7.2f}{found['gigabytes']:6.2f}"
                    + "".join(f"{found[k]:8.4f}" for k in ("precision", "recall", "f1"))
                )


if __name__ == "__main__":
    main()
