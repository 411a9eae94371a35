from __future__ import annotations

import polars as pl
import pytest

from linked_cyp.linkage.evaluate import Quality, pairwise, pairwise_by

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
