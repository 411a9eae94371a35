"""Evaluation against cases worked by hand, and intervals against published or simulated ones."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from linked_cyp.core.intervals import clustered, wilson, with_wilson
from linked_cyp.linkage.report.evaluate import (
    Quality,
    candidates,
    contributions,
    merged,
    pairwise,
    pairwise_by,
    scores,
    scores_by_source_pair,
    threshold_curve,
)

TRUTH = pl.DataFrame({"record_key": [1, 2, 3, 4, 5], "child": [1, 1, 1, 2, 2]})


def persons(*groups: str) -> pl.DataFrame:
    return pl.DataFrame({"record_key": [1, 2, 3, 4, 5], "person": list(groups)})


def test_perfect_linkage():
    assert pairwise(persons(*"aaabb"), TRUTH) == Quality(correct=4, linked=4, true=4)


def test_missed_and_wrong_links_are_counted_as_pairs():
    quality = pairwise(persons(*"aabbb"), TRUTH)
    assert quality == Quality(correct=2, linked=4, true=4)
    assert (quality.precision, quality.recall) == (0.5, 0.5)
    assert quality.f1 == pytest.approx(0.5)


def test_nothing_linked_has_no_recall_and_no_error():
    quality = pairwise(persons(*"abcde"), TRUTH)
    assert (quality.precision, quality.recall, quality.f1) == (1.0, 0.0, 0.0)


def test_groups_are_measured_apart():
    group = pl.DataFrame({"child": [1, 2], "group": ["north", "south"]})
    found = pairwise_by(persons(*"aaabc"), TRUTH, group)
    assert found["north"].recall == 1.0
    assert found["south"].recall == 0.0


def test_a_wrong_link_counts_half_in_each_group_and_whole_in_all():
    # Record 3 of child 1 was put with records 4 and 5 of child 2: two wrong pairs, half each.
    group = pl.DataFrame({"child": [1, 2], "group": ["north", "south"]})
    found = pairwise_by(persons(*"aabbb"), TRUTH, group)
    assert found["north"] == Quality(correct=1, linked=2, true=3)
    assert found["south"] == Quality(correct=1, linked=2, true=1)
    shares = contributions(persons(*"aabbb"), TRUTH)
    assert shares.sum().select("correct", "linked", "true").row(0) == (2, 4, 4)


def test_source_pairs_add_up_to_the_whole():
    truth = TRUTH.with_columns(pl.Series("source", ["gp", "school", "gp", "gp", "school"]))
    found = scores_by_source_pair(persons(*"aabbb"), truth)
    counts = {
        (row["source_l"], row["source_r"], row["measure"]): (row["numerator"], row["denominator"])
        for row in found.iter_rows(named=True)
    }
    # By hand: linked 1-2 gp-school (true), 3-4 gp-gp, 3-5 gp-school (both wrong), 4-5 gp-school.
    assert counts[("gp", "gp", "precision")] == (0, 1)
    assert counts[("gp", "school", "precision")] == (2, 3)
    assert counts[("gp", "gp", "recall")] == (0, 1)
    assert counts[("gp", "school", "recall")] == (2, 3)
    assert not [pair for pair in counts if pair[:2] == ("school", "school")]


def test_twins_wrongly_merged_are_counted_as_children():
    truth = pl.DataFrame({"record_key": range(1, 8), "child": [1, 1, 2, 3, 4, 5, 6]})
    grouping = pl.DataFrame({"record_key": range(1, 8), "person": list("aaabcdd")})
    twins = pl.DataFrame({"child": [1, 2, 3, 4, 5, 7], "family": [10, 10, 11, 11, 12, 12]})
    # 1 and 2 are one person; 3 and 4 are apart; 5 is with 6, who is no twin of hers, and 7 is in
    # no source: she has nobody to be confused with.
    row = merged(grouping, truth, twins).row(0, named=True)
    assert (row["numerator"], row["denominator"]) == (2, 4)
    assert row["low"] < row["value"] == 0.5 < row["high"]


def test_candidates_reach_further_than_they_pair():
    pairs = pl.DataFrame({"record_key_l": [1, 2, 3], "record_key_r": [2, 3, 4]})
    rows = {r["measure"]: r for r in candidates(pairs, TRUTH).iter_rows(named=True)}
    # Of four true pairs two are candidates (1-2, 2-3); 1-3 is reached through record 2; 4-5 is not.
    assert rows["candidate_recall"]["value"] == 0.5
    assert rows["candidate_reach"]["value"] == 0.75


def test_a_higher_threshold_keeps_less_and_surer():
    pairs = pl.DataFrame(
        {
            "record_key_l": [1, 2, 3, 4, 1],
            "record_key_r": [2, 3, 4, 5, 99],
            "match_weight": [20.0, 10.0, 5.0, 15.0, 30.0],  # 99 is in no truth
        }
    )
    curve = {
        (row["weight"], row["measure"]): row["value"]
        for row in threshold_curve(pairs, TRUTH, [0, 6, 12]).iter_rows(named=True)
    }
    assert curve == {
        (0, "precision"): 0.75,  # 3-4 is wrong
        (0, "recall"): 1.0,
        (6, "precision"): 1.0,
        (6, "recall"): 1.0,
        (12, "precision"): 1.0,
        (12, "recall"): 0.5,  # 1-2 and 4-5
    }


# Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3.
@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_is_the_published_one(part, whole, low, high):
    assert wilson(part, whole) == pytest.approx((low, high), abs=5e-5)
    row = with_wilson(pl.DataFrame({"numerator": [part], "denominator": [whole]})).row(0)
    assert row[3:] == pytest.approx((low, high), abs=5e-5)


def test_wilson_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    for part, whole in ((9_987, 10_000), (3, 4), (50, 50)):
        expected = stats.binomtest(part, whole).proportion_ci(method="wilson")
        assert wilson(part, whole) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_nothing_counted_has_no_interval():
    assert wilson(0, 0) == (None, None)
    row = with_wilson(pl.DataFrame({"numerator": [0.0], "denominator": [0.0]})).row(0)
    assert row == (0, 0, None, None, None)


def test_clusters_of_one_are_wilson():
    clusters = pl.DataFrame({"numerator": [1] * 60 + [0] * 40, "denominator": [1] * 100})
    found = clustered(clusters).row(0, named=True)
    assert (found["low"], found["high"]) == pytest.approx(wilson(60, 100), abs=1e-3)


def test_clusters_that_fail_as_one_count_as_one():
    # Ten pairs a child, all right or all wrong: a hundred independent trials, not a thousand.
    clusters = pl.DataFrame({"numerator": [10] * 90 + [0] * 10, "denominator": [10] * 100})
    found = clustered(clusters).row(0, named=True)
    assert found["value"] == 0.9
    assert (found["low"], found["high"]) == pytest.approx(wilson(90, 100), abs=2e-3)
    perfect = clustered(clusters.filter(pl.col("numerator") > 0)).row(0, named=True)
    assert (perfect["low"], perfect["high"]) == pytest.approx(wilson(90, 90))


def test_intervals_agree_with_a_bootstrap_over_children():
    draw = np.random.default_rng(4)
    sizes = draw.integers(1, 12, 2_000).astype(float)
    right = draw.binomial(sizes.astype(int), draw.choice([0.6, 1.0], len(sizes), p=[0.3, 0.7]))
    found = clustered(pl.DataFrame({"numerator": right, "denominator": sizes})).row(0, named=True)
    picks = draw.integers(0, len(sizes), (2_000, len(sizes)))
    again = right[picks].sum(axis=1) / sizes[picks].sum(axis=1)
    assert (found["low"], found["high"]) == pytest.approx(
        tuple(np.quantile(again, [0.025, 0.975])), abs=0.0015
    )
    assert found["high"] - found["low"] > 1.2 * np.subtract(*wilson(right.sum(), sizes.sum())[::-1])


def test_f1_has_an_interval_around_it():
    rows = {r["measure"]: r for r in scores(contributions(persons(*"aabbb"), TRUTH)).to_dicts()}
    assert rows["f1"]["value"] == 0.5
    assert rows["f1"]["low"] < 0.5 < rows["f1"]["high"]
