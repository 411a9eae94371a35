"""The Spark engine against DuckDB: needs the environment that ``docs/spark.md`` describes."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.metadata import version
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from benchmarks.linkage_population import population
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys
from linked_cyp.linkage import predict, resolve, train
from linked_cyp.linkage.pairs import spark_job
from linked_cyp.linkage.pairs.spark import Spark
from linked_cyp.linkage.records.writing import write_person_records
from linked_cyp.stores.door import open_engine

RECORDS = 20_000
SPARK_PYTHON = os.environ.get("LINKED_CYP_SPARK_PYTHON")
pytestmark = [
    pytest.mark.skipif(
        not SPARK_PYTHON,
        reason="LINKED_CYP_SPARK_PYTHON names no Spark environment (make test-spark)",
    ),
    pytest.mark.timeout(600),
]


@pytest.fixture
def con(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    people = population(RECORDS // 2, seed=3)
    identities = people.identities.head(RECORDS)
    assert identities.height == RECORDS
    con = open_engine(tmp_path / "spill")
    con.execute("ATTACH ':memory:' AS linkage")
    encoder = Encoder(Keys(np.random.default_rng(8).bytes(32)))
    write_person_records(con, [identities], people.sources, people.aliases, encoder)
    train(con)
    yield con
    con.close()


def test_spark_gives_the_scores_and_persons_that_duckdb_gives(con, tmp_path):
    predict(con, use_state=False)
    expected, expected_persons = _pairs(con), _persons(con)
    assert expected.height > RECORDS // 2
    con.execute("DROP TABLE linkage.main.pairs")

    predict(con, spark=Spark(Path(SPARK_PYTHON)))

    _same_pairs(_pairs(con), expected)
    assert _persons(con).equals(expected_persons)
    assert not list((tmp_path / "spill").glob("spark-*")), "exchanged records were left behind"


def test_spark_scores_only_what_changed(con):
    """Also that a pair of two records known before comes from the store, not from Spark."""
    predict(con)
    expected = _pairs(con)
    con.execute(
        "UPDATE linkage.main.scored SET fingerprint = 0 WHERE record_key % 10 = 0;"
        "DELETE FROM linkage.main.pairs WHERE record_key_l % 10 = 0;"
        "UPDATE linkage.main.pairs SET match_weight = -99 WHERE record_key_r % 10 = 0"
    )
    con.execute(
        "UPDATE linkage.main.pairs SET rule = 'kept' WHERE rowid = (SELECT min(rowid) FROM"
        " linkage.main.pairs WHERE record_key_l % 10 > 0 AND record_key_r % 10 > 0)"
    )

    counts = predict(con, spark=Spark(Path(SPARK_PYTHON)))

    assert counts["mode"] == "incremental"
    assert 0 < counts["kept_pairs"] < counts["pairs"]
    found = _pairs(con)
    assert (found["rule"] == "kept").sum() == 1
    _same_pairs(found.drop("rule"), expected.drop("rule"))


def test_the_job_ends_with_whoever_started_it(tmp_path):
    request = {"splink_version": version("splink"), "records": str(tmp_path), "settings": {}}
    request |= {"pairs": str(tmp_path), "work": str(tmp_path), "threshold": 0, "memory": "1g"}
    with subprocess.Popen(
        [SPARK_PYTHON, "-P", spark_job.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as job:
        job.stdin.write(json.dumps(request).encode() + b"\n")
        job.stdin.close()
        assert job.wait(timeout=60) == spark_job.ORPHANED


def _same_pairs(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    assert found.drop("match_weight").equals(expected.drop("match_weight"))
    assert (found["match_weight"] - expected["match_weight"]).abs().max() <= 1e-9


def _pairs(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    return con.execute("FROM linkage.main.pairs ORDER BY record_key_l, record_key_r").pl()


def _persons(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    resolve(con)
    return con.execute("FROM linkage.main.person ORDER BY record_key").pl()
