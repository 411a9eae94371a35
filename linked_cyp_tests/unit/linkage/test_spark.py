"""The Spark engine's half that runs here; linked_cyp_tests/spark has the other."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import Settings
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys
from linked_cyp.linkage import predict, train
from linked_cyp.linkage.model.training import current_model
from linked_cyp.linkage.pairs.spark import Spark, spark_settings, to_spark
from linked_cyp.linkage.records.writing import write_person_records
from linked_cyp.stores.door import open_engine
from linked_cyp_tests.unit.linkage.linkage_population import NO_ALIASES, SOURCES, population


@pytest.fixture(scope="module")
def con(tmp_path_factory):
    con = open_engine(tmp_path_factory.mktemp("spark") / "spill")
    con.execute("ATTACH ':memory:' AS linkage")
    encoder = Encoder(Keys(np.random.default_rng(8).bytes(32)))
    write_person_records(con, [population(60).identities], SOURCES, NO_ALIASES, encoder)
    train(con)
    yield con
    con.close()


def numbers(settings):
    return [
        (level.get("m_probability"), level.get("u_probability"))
        for comparison in settings["comparisons"]
        for level in comparison["comparison_levels"]
    ]


def test_a_model_keeps_every_number_when_it_is_translated(con):
    trained = current_model(con).settings
    translated = spark_settings(trained)
    assert numbers(translated) == numbers(trained)
    assert translated["sql_dialect"] == "spark"
    assert "duckdb" not in str(translated)
    assert trained["sql_dialect"] == "duckdb", "the model itself was changed"


def test_quoted_names_become_backticks_and_texts_stay_texts():
    assert to_spark('"fn_l" = "fn_r" OR a_l = \'say "x"\'') == (
        "`fn_l` = `fn_r` OR a_l = 'say \"x\"'"
    )


def test_every_rule_asks_for_a_new_record_where_only_those_are_scored(con):
    rules = spark_settings(current_model(con).settings, only_new=True)
    for rule in rules["blocking_rules_to_generate_predictions"]:
        assert rule["blocking_rule"].endswith("AND (l.is_new OR r.is_new)")


def test_the_settings_choose_the_engine(tmp_path):
    settings = replace(Settings.from_environment(), linkage_engine="duckdb")
    assert Spark.chosen(settings) is None
    settings = replace(settings, linkage_engine="spark", spark_python=tmp_path, memory_limit="3GiB")
    assert Spark.chosen(settings) == Spark(tmp_path, "3g")
    with pytest.raises(LinkedCypError, match="duckdb, spark"):
        Spark.chosen(replace(settings, linkage_engine="hadoop"))


def test_no_spark_environment_is_said_plainly(con):
    for python in (None, Path("no/such/python")):
        with pytest.raises(LinkedCypError, match="LINKED_CYP_SPARK_PYTHON"):
            predict(con, spark=Spark(python))


@pytest.mark.skipif(importlib.util.find_spec("pyspark") is not None, reason="pyspark is here")
def test_an_environment_without_spark_is_refused_and_nothing_is_left(con):
    with pytest.raises(LinkedCypError, match="pyspark is not installed there"):
        predict(con, spark=Spark(Path(sys.executable)))
    spill = Path(con.execute("SELECT current_setting('temp_directory')").fetchall()[0][0])
    assert not list(spill.glob("spark-*"))


def test_what_is_no_answer_is_an_error_without_content(con):
    with pytest.raises(LinkedCypError, match="no answer from the Spark environment"):
        predict(con, spark=Spark(Path("/bin/false")))
