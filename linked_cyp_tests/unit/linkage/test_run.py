"""The whole of linkage on a few hundred children, in the encrypted store."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date

import duckdb
import polars as pl
import pytest

from linked_cyp.core.settings import Settings
from linked_cyp.expectations.suite import run_rules
from linked_cyp.identity.comparisons import level_number
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys, create_master_key
from linked_cyp.linkage import link, predict, publish_bridge, resolve, train, update_registry
from linked_cyp.linkage.model import training
from linked_cyp.linkage.model.parameters import parameters
from linked_cyp.linkage.pairs.prediction import predict as predict_pairs
from linked_cyp.linkage.persons.checks import RULES
from linked_cyp.linkage.records.writing import write_person_records
from linked_cyp.linkage.report.evaluate import pairwise
from linked_cyp.stores.door import Stores
from linked_cyp_tests.support import no_opt_outs
from linked_cyp_tests.unit.linkage.linkage_population import (
    NO_ALIASES,
    SOURCES,
    Population,
    population,
)

CHILDREN = 300


class Run:
    """Linkage of a population in stores of their own."""

    def __init__(self, folder) -> None:
        settings = Settings(folder, folder / "keys" / "master.key", folder, folder)
        create_master_key(settings.key_file)
        self.stores = Stores(settings)
        self.keys = Keys.load(settings.key_file)

    @contextmanager
    def open(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.stores.connect(linkage="rw", warehouse="rw") as con:
            yield con

    def link(self, identities: pl.DataFrame, hardened: bool = True, retrain: bool = False):
        with self.open() as con:
            encoder = Encoder(self.keys, hardened=hardened)
            write_person_records(con, [identities], SOURCES, NO_ALIASES, encoder)
            model = train(con, retrain=retrain)
            predict(con)
            counts = resolve(con)
            return model, counts

    def register(self, day: date = date(2025, 1, 31)):
        with self.open() as con:
            no_opt_outs(con)
            return update_registry(con, run_date=day), publish_bridge(con)

    def frame(self, query: str) -> pl.DataFrame:
        with self.open() as con:
            return con.execute(query).pl()

    def persons(self) -> pl.DataFrame:
        return self.frame("SELECT record_key, cluster AS person FROM linkage.main.person")

    def ids(self) -> dict[int, int]:
        rows = self.frame("SELECT record_key, person_id FROM warehouse.linkage.bridge")
        return dict(rows.iter_rows())


@pytest.fixture(scope="module")
def people() -> Population:
    return population(CHILDREN)


@pytest.fixture(scope="module")
def few() -> Population:
    """Too few to learn from: the fall-back parameters decide."""
    return population(70, seed=5)


@pytest.fixture(scope="module")
def linked(tmp_path_factory, people) -> Run:
    run = Run(tmp_path_factory.mktemp("linkage"))
    run.link(people.identities)
    run.register()
    return run


def test_persons_are_right(linked, people):
    quality = pairwise(linked.persons(), people.truth)
    assert quality.precision > 0.99
    assert quality.recall > 0.95


def test_twins_stay_apart(linked, people):
    first = people.identities.filter(pl.col("source") == 0).join(people.truth, on="record_key")
    twins = first.filter(
        pl.struct("surname", "birth_date", "postcode").is_duplicated()
        & pl.struct("forename", "surname", "birth_date").is_unique()
    )
    assert twins.height >= 10
    persons = twins.join(linked.persons(), on="record_key")
    assert persons["person"].n_unique() == twins["child"].n_unique()


RELATIONS = {"bridge": "warehouse.linkage.bridge"}
COPIED = (
    *(set(RULES) - {"bridge"}),
    *("refused", "event", "source", "identifier_alias", "blocking", "decision", "second_upn"),
)


def test_every_check_passes(linked):
    with linked.open() as con:
        failed = [
            (table, outcome.name, dict(outcome.metrics))
            for table, rules in RULES.items()
            for outcome in run_rules(con, RELATIONS.get(table, f"linkage.main.{table}"), rules())
            if not outcome.passed
        ]
    assert failed == []


def test_checks_find_what_they_are_for(linked):
    broken = {
        ("pairs", "exclusion__respected"): "UPDATE {s}.person_record SET exclusion = 'adoption'"
        " WHERE record_key = (SELECT min(record_key_l) FROM {s}.pairs)",
        ("person", "nhs_number__one_per_person"): "UPDATE {s}.person SET cluster = 1",
        ("person", "upn__one_per_person"): "UPDATE {s}.person SET cluster = 1",
        ("person", "source__one_per_person"): "UPDATE {s}.person SET cluster = 1",
        ("person", "twins__apart"): "UPDATE {s}.pairs SET gamma_forename ="
        f" {level_number('forename', 'twin')}, gamma_nhs = -1, gamma_upn = -1, gamma_la_child = -1",
        ("person", "decision__respected"): "INSERT INTO {s}.decision SELECT 1, min(record_key),"
        " max(record_key), 'different', '', NULL, now(), '', 0, 1 FROM {s}.person"
        " GROUP BY cluster HAVING count(*) > 1 LIMIT 1",
        ("person", "person_record__all_resolved"): "DELETE FROM {s}.person WHERE record_key < 50",
        ("person", "refused__known_reason"): "INSERT INTO {s}.refused (reason) VALUES ('other')",
        ("registry", "event__known"): "INSERT INTO {s}.event (event, person_id)"
        " VALUES ('vanished', 1)",
        ("registry", "person__one_id"): "UPDATE {s}.registry SET person_id = record_key",
        ("registry", "person_id__one_person"): "UPDATE {s}.registry SET person_id = 1",
        ("model", "parameters__complete"): "UPDATE {s}.model SET parameters ="
        " [{{'comparison': 'sex', 'level': 'exact', 'm': NULL, 'u': 0.5, 'origin': ''}}]",
    }
    with linked.open() as con:
        for (table, name), damage in broken.items():
            con.execute("CREATE SCHEMA linkage.copy")
            for each in COPIED:
                con.execute(f"CREATE TABLE linkage.copy.{each} AS FROM linkage.main.{each}")
            con.execute(damage.format(s="linkage.copy"))
            rules = [rule for rule in RULES[table]() if rule.name == name]
            (outcome,) = run_rules(con, f"linkage.copy.{table}", rules)
            assert not outcome.passed, name
            con.execute("DROP SCHEMA linkage.copy CASCADE")


def test_no_clear_value_and_no_splink_table_stays(linked, people):
    clear = {
        str(value)
        for column in ("nhs_number", "upn", "la_child_id", "forename", "surname", "postcode")
        for value in people.identities[column].drop_nulls().to_list()
    } | {str(value) for value in people.identities["birth_date"].to_list()}
    clear -= {value for value in clear if len(value) < 4}
    held: set[str] = set()
    with linked.open() as con:
        tables = con.execute(
            "SELECT database_name, schema_name, table_name FROM duckdb_tables()"
        ).fetchall()
        assert {(d, s) for d, s, _ in tables} == {
            ("linkage", "main"),
            ("warehouse", "linkage"),
            ("warehouse", "provenance"),  # which master key it was made with
        }
        assert not [t for _, _, t in tables if "splink" in t]
        for database, schema, table in tables:
            frame = con.execute(f'FROM "{database}"."{schema}"."{table}"').pl()
            for column in frame.columns:
                if frame[column].dtype.is_nested():
                    continue
                held |= set(frame[column].drop_nulls().cast(pl.String).to_list())
    assert len(held) > 5_000  # or nothing was looked at
    assert not held & clear
    assert not [text for text in held if len(text) < 200 and any(c in text for c in clear)]


def test_the_model_is_trained_once(tmp_path, few):
    run = Run(tmp_path)
    first, _ = run.link(few.identities)
    second, _ = run.link(few.identities)
    third, _ = run.link(few.identities, retrain=True)
    assert (first.is_new, second.is_new, third.is_new) == (True, False, True)
    assert (first.model_id, second.model_id, third.model_id) == (1, 1, 2)
    assert run.frame("SELECT DISTINCT model_id FROM linkage.main.pairs")["model_id"].to_list() == [
        2
    ]


def test_a_training_session_may_fail(tmp_path, people, monkeypatch):
    from splink.internals.em_training_session import EMTrainingSession

    failures = 0
    train_session = EMTrainingSession._train

    def died_out(session):
        if "nhs" in str(session._blocking_rule_for_training.blocking_rule_sql):
            nonlocal failures
            failures += 1
            raise ValueError("m_probability value 0.0 is below the minimum")
        return train_session(session)

    monkeypatch.setattr(EMTrainingSession, "_train", died_out)
    enough = replace(parameters(), fewest_pairs=50)
    monkeypatch.setattr(training, "parameters", lambda: enough)
    run = Run(tmp_path)
    model, _ = run.link(people.identities)
    # Another may die out by itself in so few pairs: the key is a new one in every run.
    assert "names" in model.sessions
    assert "nhs_number" not in model.sessions
    assert failures == 1
    assert pairwise(run.persons(), people.truth).f1 > 0.97


def test_the_same_records_give_the_same_persons(tmp_path, linked, people):
    other = Run(tmp_path)
    other.keys = linked.keys
    model, _ = other.link(people.identities.sample(fraction=1, shuffle=True, seed=3))
    query = "SELECT * FROM linkage.main.pairs ORDER BY ALL"
    assert other.frame(query).equals(linked.frame(query))
    assert other.persons().sort("record_key").equals(linked.persons().sort("record_key"))
    assert model.data_fingerprint == linked.frame("FROM linkage.main.model")["data_fingerprint"][0]
    with other.open() as con:
        counts = predict_pairs(con, chunks=3, use_state=False)
        assert (counts["pairs"], counts["chunks"]) == (linked.frame(query).height, 3)
        assert con.execute(query).pl().equals(linked.frame(query))


def test_ids_survive_new_and_withdrawn_records(tmp_path, few):
    run = Run(tmp_path)
    children = few.truth["child"].unique().sort()
    late = few.truth.filter(pl.col("child") >= children[-10])
    early = few.identities.join(late, on="record_key", how="anti")
    run.link(early)
    (first, _), ids = run.register(), run.ids()
    assert first["created"] == first["persons"]

    run.link(few.identities)  # a new delivery
    (second, measures), later = run.register(), run.ids()
    kept = [key for key in ids if ids[key] == later[key]]
    assert len(kept) >= len(ids) - 2 * (second["merged"] + second["moved"])
    assert second["merged"] + second["moved"] + second["split"] <= 2
    assert second["created"] >= 8
    assert measures["persons"] == second["persons"]

    run.link(early)  # withdrawn again
    third, _ = run.register()
    assert third["retired"] == second["created"]
    assert run.ids() == {key: later[key] for key in ids}


def test_plain_encodings_link_as_well(tmp_path, people):
    run = Run(tmp_path)
    run.link(people.identities, hardened=False)
    assert pairwise(run.persons(), people.truth).f1 > 0.97


def test_excluded_records_have_no_edge(tmp_path, few):
    key = few.identities.filter(pl.col("source") == 2)["record_key"][0]
    marked = few.identities.with_columns(
        pl.when(pl.col("record_key") == key).then(pl.lit("adoption")).alias("exclusion")
    )
    run = Run(tmp_path)
    run.link(marked)
    run.register()
    edges = "SELECT * FROM linkage.main.{} WHERE {} IN (record_key_l, record_key_r)"
    assert run.frame(edges.format("pairs", key)).is_empty()
    assert run.frame(edges.format("refused", key)).is_empty()
    row = run.frame(f"FROM warehouse.linkage.bridge WHERE record_key = {key}").row(0, named=True)
    assert row["tier"] == "excluded"
    assert list(run.ids().values()).count(row["person_id"]) == 1


@pytest.mark.parametrize("children", [1, 12])
def test_a_handful_of_children_links_too(tmp_path, children):
    few = population(children, seed=3, twins=0)
    run = Run(tmp_path)
    model, _ = run.link(few.identities)
    assert model.sessions == ()
    assert pairwise(run.persons(), few.truth).precision == 1


def test_no_records_at_all(tmp_path, people):
    run = Run(tmp_path)
    _, counts = run.link(people.identities.clear())
    assert set(counts.values()) == {0}
    assert run.register()[0]["persons"] == 0


def test_one_call_links_a_frame():
    records = pl.DataFrame(
        {
            "record_id": ["a", "b", "c", "d"],
            "source": ["gp", "school", "school", "gp"],
            "forename": ["Zoë", "ZOE", "Marcus", None],
            "surname": ["O'Brien", "OBRIEN", "O\u2019Brien", None],
            "birth_date": ["2010-05-06", "2010-05-06", "2010-05-06", "2011-01-09"],
            "postcode": ["NW105AB", "nw10 5ab", "NW10 5AB", None],
            "nhs_number": ["999 000 0018", None, None, "9990000018"],
        }
    )
    keys = Keys(random.Random(5).randbytes(32))
    found = link(records, keys, with_pairs=True)
    persons = dict(found.persons.iter_rows())
    assert persons["a"] == persons["b"] != persons["c"]
    assert {"record_id_l", "match_weight", "gamma_forename"} <= set(found.pairs.columns)
    assert found.pairs.filter(pl.col("match_weight") > 4).height >= 2
