"""What is drawn for clerical review, and what the sheet shows of it."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity.comparisons import comparison_levels
from linked_cyp.identity.person_records import COLUMNS, TOKENS
from linked_cyp.linkage import resolve
from linked_cyp.linkage.model.parameters import parameters
from linked_cyp.linkage.pairs.edges import EDGE_CLASSES
from linked_cyp.linkage.review.decisions import record_decisions
from linked_cyp.linkage.review.patterns import MARKS, describe, sheet_pairs
from linked_cyp.linkage.review.sampling import draw_sheet, sample
from linked_cyp.linkage.review.sheet import review_sheet
from linked_cyp_tests.unit.linkage.review.support import PEOPLE, drawn, frame, write


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
