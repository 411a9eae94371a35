"""Clerical review: what is drawn, what is shown, what is recorded, what becomes of it."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from linked_cyp.cli.commands import review as review_commands
from linked_cyp.cli.commands.review import app
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import Settings
from linked_cyp.expectations.suite import run_rules
from linked_cyp.identity.comparisons import comparison_levels, level_number
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys, create_master_key
from linked_cyp.identity.person_records import COLUMNS, TOKENS
from linked_cyp.linkage import predict, resolve, train
from linked_cyp.linkage.model.parameters import Loss, parameters
from linked_cyp.linkage.pairs.edges import EDGE_CLASSES, edge_class_sql
from linked_cyp.linkage.persons.checks import person_rules
from linked_cyp.linkage.persons.joining import REASONS
from linked_cyp.linkage.records.writing import write_person_records
from linked_cyp.linkage.review.decisions import newest_decisions, record_decisions
from linked_cyp.linkage.review.patterns import MARKS, describe, sheet_pairs
from linked_cyp.linkage.review.sampling import draw_sheet, sample
from linked_cyp.linkage.review.sheet import review_sheet
from linked_cyp.linkage.review.standing import labelled_pairs, standing, thresholds_from_decisions
from linked_cyp.linkage.review.thresholds import (
    choose_thresholds,
    set_thresholds,
    thresholds_in_force,
)
from linked_cyp.stores.door import Stores
from linked_cyp_tests.unit.linkage.linkage_population import NO_ALIASES, SOURCES, population

PEOPLE = population(150, seed=11, twins=0.2)


@pytest.fixture(scope="module")
def linked_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("review") / "linkage.duckdb"
    con = duckdb.connect()
    con.execute(f"ATTACH '{path}' AS linkage")
    encoder = Encoder(Keys(np.random.default_rng(8).bytes(32)))
    write_person_records(con, [PEOPLE.identities], SOURCES, NO_ALIASES, encoder)
    train(con)
    predict(con)
    resolve(con)
    con.close()
    return path


@pytest.fixture
def con(linked_file, tmp_path):
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(linked_file.read_bytes())
    connection = duckdb.connect()
    connection.execute(f"ATTACH '{copy}' AS linkage")
    yield connection
    connection.close()


def frame(con, query: str) -> pl.DataFrame:
    return con.execute(query).pl()


def drawn(con, sheet_id: str) -> pl.DataFrame:
    return frame(
        con, f"FROM linkage.main.review_pair WHERE sheet_id = '{sheet_id}' ORDER BY number"
    )


def write(path: Path, rows: list[str], header: str = "sheet,number,decision,note") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


# Sampling


def test_a_sheet_holds_numbered_pairs_with_the_share_of_their_stratum(con):
    resolve(con, given=replace(parameters(), thresholds=dict.fromkeys(EDGE_CLASSES, -50.0)))
    pairs = drawn(con, draw_sheet(con, pairs=40, seed=1))
    assert pairs["number"].to_list() == list(range(1, 41))
    counts = pairs.group_by("stratum").agg(
        pl.len().alias("n"), pl.col("fraction").first(), pl.col("stratum_pairs").first()
    )
    assert (counts["n"] <= counts["stratum_pairs"]).all()
    assert np.allclose(counts["n"] / counts["stratum_pairs"], counts["fraction"])
    assert pairs["reason"].null_count() not in (0, 40)  # refused pairs and others
    assert pairs["edge_class"].n_unique() >= 3


def test_the_same_seed_draws_the_same_pairs(con):
    one, other, another = (drawn(con, draw_sheet(con, pairs=30, seed=s)) for s in (5, 5, 6))
    assert one.drop("sheet_id").equals(other.drop("sheet_id"))
    assert not one.drop("sheet_id").equals(another.drop("sheet_id"))


def test_decided_pairs_are_not_drawn_again(con, tmp_path):
    everything = draw_sheet(con, pairs=100_000, seed=1)
    pairs = drawn(con, everything)
    assert (pairs["fraction"] == 1).all()
    rows = [f"{everything},{n},unsure," for n in pairs["number"].to_list()[1:]]
    record_decisions(con, write(tmp_path / "d.csv", rows), reviewer="R")
    left = drawn(con, draw_sheet(con, pairs=100_000))
    keys = ["record_key_l", "record_key_r"]
    assert left.select(keys).rows() == pairs[:1].select(keys).rows()
    rows = [f"{everything},{pairs['number'][0]},same,"]
    record_decisions(con, write(tmp_path / "d.csv", rows), reviewer="R")
    with pytest.raises(LinkedCypError, match="no undecided pair"):
        draw_sheet(con)


def test_small_strata_leave_their_share_to_others():
    strata = pl.DataFrame({"stratum": ["a"] * 2 + ["b"] * 50 + ["c"] * 100})
    found = sample(strata, 32, np.random.default_rng(1))
    assert dict(found["stratum"].value_counts().iter_rows()) == {"a": 2, "b": 15, "c": 15}


# The sheet


class Page(HTMLParser):
    """What a page would load, and its parts."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.script = ""
        self._inside = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._inside = tag
        self.loads += [
            value or "" for name, value in attrs if name in ("src", "href", "action", "srcset")
        ]

    def handle_data(self, data):
        if self._inside == "script":
            self.script += data

    def handle_endtag(self, tag):
        self._inside = ""


def test_the_sheet_holds_no_value_token_or_key_and_loads_nothing(con):
    sheet_id = draw_sheet(con, pairs=60, seed=2)
    html = review_sheet(sheet_id, sheet_pairs(con, sheet_id))
    tokens = [c for c in COLUMNS if c in TOKENS or c == "record_key" or "lane" in c]
    held = set()
    for column in tokens:
        query = f"SELECT DISTINCT {column}::VARCHAR AS x FROM linkage.main.person_record"
        held |= set(frame(con, query)["x"].drop_nulls().to_list())
    held |= {
        str(value)
        for column in ("nhs_number", "upn", "la_child_id", "postcode", "birth_date")
        for value in PEOPLE.identities[column].drop_nulls().to_list()
    }
    names = {
        value
        for column in ("forename", "surname")
        for value in PEOPLE.identities[column].drop_nulls().to_list()
        if len(value) > 3
    }
    words = set(re.findall(r"[\w|-]+", html))
    numbers = {word for word in held if len(word) > 3}
    assert len(numbers) > 1000
    assert not words & numbers
    assert not {word.upper() for word in words} & names
    page = Page()
    page.feed(html)
    assert page.loads == ["#content"]
    assert page.tags.count("section") == 60
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html  # or the browser would not run it
    assert not re.search(r"fetch|XMLHttp|sendBeacon|WebSocket|import\(", page.script)


def test_the_bits_of_a_pair_add_up_to_its_weight(con):
    sheet_id = draw_sheet(con, pairs=60, seed=3)
    pairs = sheet_pairs(con, sheet_id)
    weights = drawn(con, sheet_id)["match_weight"].to_list()
    for pair, weight in zip(pairs, weights, strict=True):
        assert pair.prior + sum(line.bits for line in pair.lines) == pytest.approx(weight, abs=0.06)
        assert pair.lines[-1].end == pytest.approx(weight, abs=0.06)
        assert all(line.bits == 0 for line in pair.lines if line.mark == "missing")
    assert {line.mark for pair in pairs for line in pair.lines} == set(MARKS)


def test_every_level_has_a_mark_and_words():
    for comparison, levels in comparison_levels().items():
        marks = [describe(comparison, label)[0] for label in levels]
        assert marks[:2] == ["missing", "agrees"]
        assert marks[-1] == "differs"
        assert all("_" not in describe(comparison, label)[1] for label in levels)


def test_a_sheet_of_another_model_is_not_shown(con):
    sheet_id = draw_sheet(con, pairs=5)
    con.execute("UPDATE linkage.main.pairs SET model_id = model_id + 1")
    with pytest.raises(LinkedCypError, match="draw a new sheet"):
        sheet_pairs(con, sheet_id)


# Recording


def test_decisions_are_kept_with_who_when_and_on_what(con, tmp_path):
    sheet_id = draw_sheet(con, pairs=5, seed=1)
    file = write(
        tmp_path / "d.csv",
        [f"{sheet_id},2,Same,", f'{sheet_id},1,different,"twins, I think"', f"{sheet_id},3,,"],
    )
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))  # as Excel saves
    moment = datetime(2025, 1, 31, 12)
    taken = record_decisions(con, file, reviewer=" A. Example ", now=moment)
    assert taken.sheet_id == sheet_id
    assert taken.decisions == {"same": 1, "different": 1, "unsure": 0}
    assert taken.left_blank == 1
    pairs = drawn(con, sheet_id)
    kept = frame(con, "FROM linkage.main.decision ORDER BY decision_id")
    expected = pairs[:2].select("record_key_l", "record_key_r", "match_weight", "model_id")
    assert kept.select(expected.columns).equals(expected)
    rows = kept.select("decision", "reviewer", "note", "decided", "sheet_id").rows()
    assert rows == [
        ("different", "A. Example", "twins, I think", moment, sheet_id),
        ("same", "A. Example", None, moment, sheet_id),
    ]


def test_an_old_file_recorded_again_does_not_outdo_a_later_answer(con, tmp_path):
    sheet_id = draw_sheet(con, pairs=5, seed=1)
    first = write(tmp_path / "first.csv", [f"{sheet_id},1,same,", f"{sheet_id},2,same,"])
    corrected = write(tmp_path / "second.csv", [f"{sheet_id},1,different,"])
    record_decisions(con, first, reviewer="R", now=datetime(2025, 1, 1))
    record_decisions(con, corrected, reviewer="R", now=datetime(2025, 1, 2))
    again = record_decisions(con, first, reviewer="R", now=datetime(2025, 1, 3))
    assert (again.decisions["same"], again.repeated) == (0, 2)
    assert sorted(newest_decisions(con)["decision"]) == ["different", "same"]
    somebody_else = record_decisions(con, first, reviewer="S", now=datetime(2025, 1, 3))
    assert somebody_else.decisions["same"] == 2


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (["{s},1,same,", "{s},99,same,"], "row 3, column number: no such pair on this sheet"),
        (["{s},1,same,", "{s},x7,same,"], "row 3, column number: no such pair"),
        (["{s},1,same,", "other,2,same,"], "row 3, column sheet: no such sheet was drawn here"),
        (["{s},1,same,", "{t},2,same,"], "row 3, column sheet: another sheet than"),
        (["{s},1,same,", "{s},2,sane,"], "row 3, column decision: must be same, different or"),
        (["{s},1,same,", "{s},1,unsure,"], "row 3, column number: this pair stands in the file"),
        (["{s},1,same,", "{s},2,same,a,b"], "row 3: 5 columns instead of 4"),
        (["{s},1,same,999 000 0018"], "row 2, column note: holds a long number"),
        (["{s},1,same," + "x" * 301], "row 2, column note: longer than 300 characters"),
        (["{s},1,,", "{s},2,,"], "no pair in the file has a decision"),
        (['{s},1,same,"open'], "not CSV"),
    ],
)
def test_a_file_with_anything_wrong_changes_nothing(con, tmp_path, rows, problem):
    sheet_id, other = draw_sheet(con, pairs=5, seed=1), draw_sheet(con, pairs=5, seed=2)
    file = write(tmp_path / "d.csv", [row.format(s=sheet_id, t=other) for row in rows])
    with pytest.raises(LinkedCypError, match=re.escape(problem)) as error:
        record_decisions(con, file, reviewer="R")
    assert not re.search("sane|x7|999", str(error.value).replace("99,", ""))
    assert frame(con, "FROM linkage.main.decision").is_empty()


def test_a_file_with_other_columns_or_without_reviewer_is_refused(con, tmp_path):
    sheet_id = draw_sheet(con, pairs=5, seed=1)
    rows = [f"{sheet_id},1,same,"]
    with pytest.raises(LinkedCypError, match="row 1: the columns must be sheet, number"):
        record_decisions(con, write(tmp_path / "d.csv", rows, "a,b,c,d"), reviewer="R")
    with pytest.raises(LinkedCypError, match="name of its reviewer"):
        record_decisions(con, write(tmp_path / "d.csv", rows), reviewer="  ")
    with pytest.raises(LinkedCypError, match="cannot be read"):
        record_decisions(con, tmp_path / "none.csv", reviewer="R")


# The next run


def decide(con, left: int, right: int, decision: str, day: int = 1, reviewer: str = "R") -> None:
    left, right = sorted((left, right))
    con.execute(
        "INSERT INTO linkage.main.decision SELECT coalesce(max(decision_id), 0) + 1, ?, ?, ?, ?,"
        " NULL, ?, 'S', 1.0, 1 FROM linkage.main.decision",
        [left, right, decision, reviewer, datetime(2025, 1, day)],
    )


def clusters(con) -> dict[int, int]:
    return dict(con.execute("SELECT record_key, cluster FROM linkage.main.person").fetchall())


def a_joined_pair(con) -> tuple[int, int]:
    return con.execute(
        "SELECT record_key_l, record_key_r FROM linkage.main.pairs"
        " JOIN linkage.main.person l ON l.record_key = record_key_l"
        " JOIN linkage.main.person r ON r.record_key = record_key_r AND l.cluster = r.cluster"
        " ORDER BY match_weight DESC, 1, 2 LIMIT 1"
    ).fetchall()[0]


def apart(con, *, with_two_numbers: bool = False) -> tuple[int, int]:
    """Two records alike as in a household, which no threshold joins."""
    numbers = "gamma_nhs = 0" if with_two_numbers else "gamma_nhs <> 0 AND gamma_upn <> 0"
    left, right = con.execute(
        f"SELECT record_key_l, record_key_r FROM linkage.main.pairs WHERE {edge_class_sql()}"
        f" = 'household' AND {numbers} ORDER BY 1, 2 LIMIT 1"
    ).fetchall()[0]
    assert clusters(con)[left] != clusters(con)[right]
    return left, right


def test_different_parts_and_the_newest_decision_counts(con):
    left, right = a_joined_pair(con)
    before = clusters(con)
    decide(con, left, right, "different")
    counts = resolve(con)
    assert counts["decisions_applied"] == 1
    assert clusters(con)[left] != clusters(con)[right]
    refused = "SELECT reason FROM linkage.main.refused WHERE record_key_l = ? AND record_key_r = ?"
    assert "clerical decision" in con.execute(refused, [left, right]).fetchall()[0][0]
    decide(con, left, right, "unsure", day=2)
    assert resolve(con)["decisions_applied"] == 0
    assert clusters(con) == before


def test_where_reviewers_differ_nobody_is_joined(con):
    left, right = a_joined_pair(con)
    decide(con, left, right, "different", reviewer="A")
    for day, word in enumerate(("unsure", "same"), 2):
        decide(con, left, right, word, day=day, reviewer="B")
        resolve(con)
        assert clusters(con)[left] != clusters(con)[right]
    rule = next(rule for rule in person_rules() if rule.name == "decision__respected")
    (held,) = run_rules(con, "linkage.main.person", [rule])
    con.execute("UPDATE linkage.main.person SET cluster = 1")  # as if it had been done all the same
    (broken,) = run_rules(con, "linkage.main.person", [rule])
    assert held.passed
    assert not broken.passed
    decide(con, left, right, "same", day=4, reviewer="A")
    resolve(con)
    assert clusters(con)[left] == clusters(con)[right]


def test_same_joins_what_no_threshold_joins_but_never_two_numbers(con):
    left, right = apart(con)
    decide(con, left, right, "same")
    one, other = apart(con, with_two_numbers=True)
    decide(con, one, other, "same")
    counts = resolve(con)
    assert (counts["decisions_applied"], counts["decisions_refused"]) == (1, 1)
    assert clusters(con)[left] == clusters(con)[right]
    assert clusters(con)[one] != clusters(con)[other]
    kept = con.execute("SELECT reason FROM linkage.main.refused WHERE edge_class = 'decided'")
    assert kept.fetchall() == [("two NHS numbers",)]


def test_decisions_about_records_that_are_gone_or_excluded_are_kept_and_ignored(con):
    left, right = apart(con)
    before = clusters(con)
    decide(con, left, 5, "same")  # no such record
    decide(con, left, right, "same")
    con.execute(
        "UPDATE linkage.main.person_record SET exclusion = 'adoption' WHERE record_key = ?", [right]
    )
    counts = resolve(con)
    assert (counts["decisions_applied"], counts["decisions_ignored"]) == (0, 2)
    assert clusters(con) == before
    assert newest_decisions(con).height == 2


def test_a_replaced_number_is_no_conflict(con):
    one, other = apart(con, with_two_numbers=True)
    decide(con, one, other, "same")
    assert resolve(con)["decisions_refused"] == 1
    con.execute(
        "INSERT INTO linkage.main.identifier_alias SELECT 'nhs', l.nhs, r.nhs"
        " FROM linkage.main.person_record l, linkage.main.person_record r"
        " WHERE l.record_key = ? AND r.record_key = ? AND l.alternative = 0 AND r.alternative = 0",
        [one, other],
    )
    assert resolve(con)["decisions_refused"] == 0
    assert clusters(con)[one] == clusters(con)[other]


@pytest.mark.parametrize("kind", parameters().conflicts)
def test_which_conflicts_count_is_a_parameter(con, kind):
    low = replace(parameters(), thresholds=dict.fromkeys(EDGE_CLASSES, -50.0))
    con.execute("UPDATE linkage.main.source SET tells_apart = TRUE")
    if kind == "twin":
        con.execute(
            f"UPDATE linkage.main.pairs SET gamma_forename = {level_number('forename', 'twin')}"
            f" WHERE {edge_class_sql()} = 'household'"
        )
    resolve(con, given=replace(low, conflicts=[kind]))
    count = "SELECT count(*) FROM linkage.main.refused WHERE reason = ?"
    assert con.execute(count, [REASONS[kind]]).fetchall()[0][0] > 0
    resolve(con, given=replace(low, conflicts=[k for k in low.conflicts if k != kind]))
    assert con.execute("SELECT count(*) FROM linkage.main.refused").fetchall()[0][0] > 0
    assert con.execute(count, [REASONS[kind]]).fetchall()[0][0] == 0


# Thresholds


def labels(*rows: tuple[float, bool, float], edge_class: str = "named") -> pl.DataFrame:
    schema = {"weight": pl.Float64, "is_same": pl.Boolean, "importance": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        edge_class=pl.lit(edge_class)
    )


def noisy(n: int = 2000, seed: int = 1) -> pl.DataFrame:
    """P(same) is 1 / (1 + 2 ** -weight): what a weight means when it is calibrated."""
    draw = np.random.default_rng(seed)
    weight = draw.uniform(-8, 12, n)
    same = draw.random(n) < 1 / (1 + 2.0**-weight)
    return labels(*zip(weight.tolist(), same.tolist(), [1.0] * n, strict=True))


def test_the_threshold_follows_from_the_loss():
    found = {ratio: choose_thresholds(noisy(), Loss(ratio, 1))["named"] for ratio in (1, 20)}
    # With calibrated weights the best threshold is log2 of the ratio of the losses.
    for ratio, choice in found.items():
        assert choice.weight == pytest.approx(np.log2(ratio), abs=1.5)
        assert choice.low <= choice.weight <= choice.high
        assert choice.loss == pytest.approx(choice.curve["loss"].min())
        assert choice.loss_at(choice.weight) == pytest.approx(choice.loss)
        assert choice.loss_at(11) > choice.loss < choice.loss_at(-7)
        assert choice.is_supported


def test_the_loss_is_counted_as_defined():
    frame = labels((1, False, 2), (2, True, 1), (3, False, 1), (4, True, 6))
    choice = choose_thresholds(frame, Loss(5, 1))["named"]
    at = dict(choice.curve.select("weight", "loss").iter_rows())
    assert at == {1: 1500, 1.5: 500, 2.5: 600, 3.5: 100, float("inf"): 700}
    assert choice.weight == 3.5
    assert [choice.loss_at(w) for w in (0, 1, 1.1, 2, 3.9, 4, 4.1)] == [
        1500, 1500, 500, 500, 100, 100, 700,
    ]  # fmt: skip


def test_importance_moves_the_threshold():
    rows = [(1.0, True), (2.0, False), (3.0, True)]
    light = choose_thresholds(labels(*((w, s, 1) for w, s in rows)), Loss(2, 1))["named"]
    heavy = choose_thresholds(labels(*((w, s, 1 + 9 * (w == 1)) for w, s in rows)), Loss(2, 1))
    assert (light.weight, heavy["named"].weight) == (2.5, 1)


def test_few_labels_move_no_threshold(con):
    few = choose_thresholds(noisy(49), Loss(20, 1))
    one_kind = choose_thresholds(noisy().with_columns(is_same=True), Loss(20, 1))
    for choices in (few, one_kind):
        assert set_thresholds(con, choices, Loss(20, 1), decided_by="A", basis="b") == {}
    assert thresholds_in_force(con, parameters()) == parameters().thresholds


def test_thresholds_that_are_set_are_in_force_in_the_next_run(con):
    before = resolve(con)["persons"]
    high = noisy().with_columns(pl.col("weight") + 500)
    choices = choose_thresholds(high, Loss(20, 1))
    with pytest.raises(LinkedCypError, match="name of whoever"):
        set_thresholds(con, choices, Loss(20, 1), decided_by=" ", basis="test")
    written = set_thresholds(con, choices, Loss(20, 1), decided_by="A", basis="test")
    assert thresholds_in_force(con, parameters()) == parameters().thresholds | written
    assert resolve(con)["persons"] > before
    kept = frame(con, "FROM linkage.main.threshold")
    assert kept.select("edge_class", "false_link", "labelled_pairs", "basis").rows() == [
        ("named", 20.0, 2000, "test")
    ]


HOME = {"birth_date": "exact", "postcode": "exact"}


def test_every_class_has_a_threshold():
    assert set(parameters().thresholds) == set(EDGE_CLASSES)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ({"nhs": "exact", "birth_date": "exact"}, "identifier"),
        ({"upn": "exact", "birth_date": "differ", "forename": "exact"}, "identifier"),
        ({"upn": "exact", "birth_date": "differ", "forename": "twin"}, "borrowed"),
        ({"nhs": "exact", "birth_date": "differ", "postcode": "exact"}, "borrowed"),
        ({"birth_date": "exact", "postcode": "exact"}, "nameless"),
        ({"forename": "exact", "birth_date": "exact", "postcode": "exact"}, "named"),
        ({"forename": "sound", "birth_date": "exact", "postcode": "differ"}, "named"),
        ({"forename": "sound", "birth_date": "exact", "postcode": "exact"}, "household"),
        ({"forename": "exact", "birth_date": "differ", "postcode": "exact"}, "household"),
        (HOME | {"forename": "sound", "surname": "differ"}, "home"),
        (HOME | {"forename": "form", "surname": "part"}, "home"),
        (HOME | {"forename": "sound", "surname": "exact"}, "household"),
        (HOME | {"forename": "dice_60", "surname": "differ"}, "household"),
    ],
)
def test_edge_classes(levels, expected):
    gammas = ", ".join(
        f"{level_number(name, levels.get(name, 'missing'))} AS gamma_{name}"
        for name in comparison_levels()
    )
    found = duckdb.sql(f"SELECT {edge_class_sql()} FROM (SELECT {gammas})").fetchall()
    assert found == [(expected,)]


# Where it stands


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
