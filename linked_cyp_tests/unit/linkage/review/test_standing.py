"""What review has shown so far, and the way of a sheet through the commands."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from linked_cyp.cli.commands import review as review_commands
from linked_cyp.cli.commands.review import app
from linked_cyp.core.settings import Settings
from linked_cyp.identity.keys import create_master_key
from linked_cyp.linkage.model.parameters import parameters
from linked_cyp.linkage.review.decisions import record_decisions
from linked_cyp.linkage.review.sampling import draw_sheet
from linked_cyp.linkage.review.standing import labelled_pairs, standing, thresholds_from_decisions
from linked_cyp.stores.door import Stores
from linked_cyp_tests.unit.linkage.review.support import write


def test_precision_is_weighted_by_what_was_sampled(con, tmp_path):
    con.execute(
        "INSERT INTO linkage.main.review_pair SELECT 'S', i, -i, -i + 1, 'named', NULL,"
        " if(i <= 2, 'rare', 'common'), if(i <= 2, 10, 90), if(i <= 2, 0.2, 0.03), 5.0, 5.0, 1"
        " FROM range(1, 6) t(i)"
    )
    rows = [f"S,{n},{word}," for n, word in enumerate(["same", "different", "same", "unsure"], 1)]
    record_decisions(con, write(tmp_path / "d.csv", rows), reviewer="R")
    # 10 rare pairs stand behind two answers, 90 common ones behind the one that is no "unsure".
    assert labelled_pairs(con)["importance"].sort().to_list() == [5, 5, 90]
    (band,) = standing(con).bands.iter_rows(named=True)
    assert band["value"] == pytest.approx(0.95)
    assert (band["band"], band["same"], band["different"], band["unsure"]) == (4, 2, 1, 1)
    assert 0 < band["low"] < 0.9 < band["high"] <= 1
    _, choices = thresholds_from_decisions(con, parameters())
    assert choices["named"].labelled == 3


def test_agreement_is_counted_over_pairs_that_several_have_seen(con, tmp_path):
    sheet_id = draw_sheet(con, pairs=4, seed=1)
    answers = {"A": ["same", "same", "different"], "B": ["same", "different", "different", "same"]}
    for reviewer, words in answers.items():
        rows = [f"{sheet_id},{n},{word}," for n, word in enumerate(words, 1)]
        record_decisions(con, write(tmp_path / "d.csv", rows), reviewer=reviewer)
    found = standing(con)
    assert (found.sheets, found.drawn, found.pairs_seen_twice) == (1, 4, 3)
    assert found.agreement == pytest.approx(2 / 3)
    assert found.reviewers == {"A": 3, "B": 4}
    assert found.decisions == {"same": 2, "different": 2, "unsure": 0}  # B's, the newest


def test_before_any_review_there_is_nothing_to_say(con):
    for table in ("decision", "review_pair", "review_sheet", "threshold"):
        con.execute(f"DROP TABLE linkage.main.{table}")
    found = standing(con)
    assert (found.sheets, found.agreement, found.bands.height) == (0, None, 0)
    in_force, choices = thresholds_from_decisions(con, parameters())
    assert in_force == parameters().thresholds
    assert choices == {}


# The commands


@pytest.fixture
def home(linked_file, tmp_path, monkeypatch):
    """An installation whose encrypted store holds the linked records."""
    monkeypatch.setenv("LINKED_CYP_HOME", str(tmp_path))
    monkeypatch.delenv("LINKED_CYP_KEY_FILE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    settings = Settings.from_environment()
    create_master_key(settings.key_file)
    with Stores(settings).connect(linkage="rw") as connection:
        connection.execute(f"ATTACH '{linked_file}' AS prepared (READ_ONLY)")
        connection.execute("COPY FROM DATABASE prepared TO linkage")
    return tmp_path


def test_the_way_of_a_sheet_through_the_commands(home, monkeypatch):
    monkeypatch.setattr(review_commands.console, "width", 200)  # no word is broken
    run = CliRunner()
    made = run.invoke(app, ["sheet", "--pairs", "12", "--seed", "4"])
    assert made.exit_code == 0, made.output
    (page,) = (home / "reviews").glob("*.html")
    assert page.stat().st_mode & 0o077 == 0
    sheet_id = page.stem
    assert f"12 pairs on sheet {sheet_id}" in made.output
    answers = [f"{sheet_id},{n},{'same' if n % 2 else 'different'}," for n in range(1, 13)]
    file = write(home / "answers.csv", answers)
    bad = write(home / "bad.csv", [*answers, f"{sheet_id},13,same,"])
    refused = run.invoke(app, ["record", str(bad), "--reviewer", "A"])
    assert refused.exit_code == 1
    assert "row 14, column number" in str(refused.exception)
    assert run.invoke(app, ["record", str(file), "--reviewer", "A"]).exit_code == 0
    seen = run.invoke(app, ["status"])
    assert seen.exit_code == 0, seen.output
    assert "6 same, 6 different, 0 unsure" in seen.output
    asked = run.invoke(app, ["threshold"])
    assert asked.exit_code == 0, asked.output
    assert "too few to go by" in asked.output
    assert "none believed" in asked.output  # a borrowed number
    assert run.invoke(app, ["threshold", "--apply"]).exit_code == 1  # nobody answers for it
