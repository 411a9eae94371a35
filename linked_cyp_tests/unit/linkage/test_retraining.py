"""A new model is proposed, compared on the same records, and in force only once accepted."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import duckdb
import polars as pl
import pytest
from typer.testing import CliRunner

from linked_cyp.cli.commands.linkage import app
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import Settings
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys, create_master_key
from linked_cyp.linkage import predict, resolve, retraining, train
from linked_cyp.linkage.model.parameters import LevelParameters, Parameters, parameters
from linked_cyp.linkage.model.training import current_model
from linked_cyp.linkage.records.writing import write_person_records
from linked_cyp.stores.door import Stores
from linked_cyp_tests.unit.linkage.linkage_population import NO_ALIASES, SOURCES, population

PEOPLE = population(120, seed=21).identities
PERSONS = "SELECT * FROM linkage.main.person ORDER BY record_key"


def distrusting() -> Parameters:
    """Birth dates of the same person hardly ever agree: what hangs on them comes apart."""
    levels = {name: dict(values) for name, values in parameters().levels.items()}
    for field in ("birth_date", "postcode", "forename", "surname"):
        exact = levels[field]["exact"]
        levels[field]["exact"] = LevelParameters(exact.u / 2, exact.u, fixed=True)
    return replace(parameters(), levels=levels)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS linkage")
        encoder = Encoder(Keys(random.Random(5).randbytes(32)), hardened=True)
        write_person_records(connection, [PEOPLE], SOURCES, NO_ALIASES, encoder)
        yield connection


@pytest.fixture
def linked(con) -> duckdb.DuckDBPyConnection:
    train(con)
    predict(con)
    resolve(con)
    return con


def values(rows: pl.DataFrame) -> dict[str, tuple[float, float]]:
    plain = rows.filter(pl.col("level").is_null())
    return {r["measure"]: (r["before"], r["after"]) for r in plain.to_dicts()}


def test_the_same_training_changes_nobody(linked):
    retraining.propose(linked)
    found = values(retraining.compare(linked))
    assert found["pairs"][0] == found["pairs"][1] > 0
    assert found["persons"][0] == found["persons"][1] > 0
    same = ("pairs_gained", "pairs_lost", "persons_merged", "persons_split", "records_affected")
    assert [found[measure][1] for measure in same] == [0.0] * 5


def test_what_another_model_would_change_is_known_before_it_is_in_force(linked):
    before = linked.execute(PERSONS).pl()
    pairs = linked.execute("FROM linkage.main.pairs").pl()
    proposed = retraining.propose(linked, given=distrusting())
    assert (proposed.model_id, proposed.is_new) == (2, True)
    rows = retraining.compare(linked)
    found = values(rows)
    assert found["pairs_lost"][1] > 0 == found["pairs_gained"][1]
    assert found["persons_split"][1] > 0 == found["persons_merged"][1]
    assert found["persons"][1] - found["persons"][0] == found["persons_split"][1]
    assert found["records_affected"][1] >= found["persons_split"][1]
    (exact,) = rows.filter(measure="weight", comparison="birth_date", level="exact").to_dicts()
    assert exact["before"] > 5
    assert exact["after"] < 0
    # Nothing is published, and the model in force is still in force.
    assert linked.execute(PERSONS).pl().equals(before)
    assert linked.execute("FROM linkage.main.pairs").pl().equals(pairs)
    assert current_model(linked).model_id == 1
    assert predict(linked)["mode"] == "incremental"

    accepted = retraining.accept_model(linked, 2)
    assert (accepted.model_id, current_model(linked).model_id) == (2, 2)
    assert predict(linked)["mode"] == "full"
    resolve(linked)
    after = linked.execute(PERSONS).pl()
    assert after["cluster"].n_unique() == found["persons"][1]
    log = linked.execute(
        "SELECT model_before, model_after FROM linkage.main.retraining WHERE measure = 'accepted'"
    )
    assert log.fetchall() == [(1, 2)]


def test_only_the_newest_candidate_that_was_compared_is_accepted(linked):
    retraining.propose(linked)
    with pytest.raises(LinkedCypError, match="not compared"):
        retraining.accept_model(linked, 2)
    retraining.compare(linked)
    retraining.propose(linked)
    with pytest.raises(LinkedCypError, match="not the newest"):
        retraining.accept_model(linked, 2)
    retraining.compare(linked)
    assert retraining.models(linked)["status"].to_list() == ["in force", "candidate", "candidate"]
    assert retraining.accept_model(linked, 3).model_id == 3
    assert retraining.models(linked)["status"].to_list() == ["replaced", "in force"]
    with pytest.raises(LinkedCypError, match="no candidate"):
        retraining.compare(linked)


def test_nothing_to_compare_with(con):
    with pytest.raises(LinkedCypError, match="no linkage model in force"):
        retraining.propose(con)


def test_a_model_of_an_earlier_version_is_compared_by_its_persons(linked):
    linked.execute("UPDATE linkage.main.model SET settings = replace(settings, 'twin', 'other')")
    model, shown = retraining.retrain(linked)
    assert model.model_id == 2
    assert shown["persons, before"] == shown["persons, after"] > 0
    assert shown["source persons whose person would have another id"] == 0
    assert "pairs scored and kept, before" not in shown
    assert predict(linked)["mode"] == "full"


def test_the_command_line_proposes_compares_and_accepts(tmp_path, monkeypatch):
    home = Settings(tmp_path, tmp_path / "keys" / "master.key", tmp_path, tmp_path)
    create_master_key(home.key_file)
    monkeypatch.setenv("LINKED_CYP_HOME", str(tmp_path))
    monkeypatch.setenv("LINKED_CYP_KEY_FILE", str(home.key_file))
    run = CliRunner()
    with Stores(home).connect(linkage="rw") as con:
        encoder = Encoder(Keys(random.Random(5).randbytes(32)), hardened=True)
        write_person_records(con, [PEOPLE], SOURCES, NO_ALIASES, encoder)
    assert "No linkage model" in run.invoke(app, ["status"]).output
    refused = run.invoke(app, ["retrain"])
    assert isinstance(refused.exception, LinkedCypError)
    with Stores(home).connect(linkage="rw") as con:
        train(con)
        predict(con)
    shown = run.invoke(app, ["retrain"])
    assert shown.exit_code == 0
    assert "persons, after" in shown.output
    assert "linked-cyp linkage accept 2" in shown.output
    assert "candidate" in run.invoke(app, ["status"]).output
    assert run.invoke(app, ["compare"]).exit_code == 0
    assert run.invoke(app, ["accept", "2"]).exit_code == 0
    with Stores(home).connect(linkage="rw") as con:
        assert current_model(con).model_id == 2
    assert "20" in run.invoke(app, ["status"]).output
