"""Thresholds from decisions, by a documented loss."""

from __future__ import annotations

import duckdb
import numpy as np
import polars as pl
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity.comparisons import comparison_levels, level_number
from linked_cyp.linkage import resolve
from linked_cyp.linkage.model.parameters import Loss, parameters
from linked_cyp.linkage.pairs.edges import EDGE_CLASSES, edge_class_sql
from linked_cyp.linkage.review.thresholds import (
    choose_thresholds,
    set_thresholds,
    thresholds_in_force,
)
from linked_cyp_tests.unit.linkage.review.support import frame


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
