from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linked_cyp.linkage.resolution import (
    REASONS,
    connected_components,
    join_without_conflict,
    resolve_pairs,
)

MARGIN = 5.0


def values(records: int, **given: dict[int, int]) -> dict[str, np.ndarray]:
    result = {}
    for kind in ("nhs", "upn", "local"):
        result[kind] = np.full(records, -1, dtype=np.int64)
        for record, value in given.get(kind, {}).items():
            result[kind][record] = value
    return result


def pairs(*rows: tuple[int, int, float]) -> pl.DataFrame:
    schema = {"a": pl.Int64, "b": pl.Int64, "weight": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema, orient="row").sort("weight", descending=True)
    return frame.with_columns(pl.lit(False).alias("has_identifier"), pl.lit(False).alias("is_twin"))


def resolve(records, frame, held, nameless=()):
    named = np.array([r not in nameless for r in range(records)], dtype=bool)
    return resolve_pairs(records, frame, held, named, MARGIN)


def test_pairs_join_transitively():
    result = resolve(5, pairs((0, 1, 9), (1, 2, 8)), values(5))
    assert result.cluster.tolist() == [0, 0, 0, 3, 4]
    assert result.refused.is_empty()


@pytest.mark.parametrize("kind", ["nhs", "upn"])
def test_two_numbers_are_never_joined_even_through_others(kind):
    held = values(4, **{kind: {0: 111, 3: 222}})
    result = resolve(4, pairs((0, 1, 30), (1, 2, 10), (2, 3, 20), (0, 3, 5)), held)
    assert result.cluster.tolist() == [0, 0, 2, 2]  # the weakest link gave way
    assert dict(result.refused["reason"].value_counts().iter_rows()) == {REASONS[kind]: 2}


def test_equal_numbers_do_not_conflict():
    result = resolve(2, pairs((0, 1, 9)), values(2, nhs={0: 5, 1: 5}))
    assert result.cluster.tolist() == [0, 0]


def test_two_ids_of_one_source_are_two_children():
    held = values(3, local={0: 7, 2: 7})
    result = resolve(3, pairs((0, 1, 9), (1, 2, 8), (0, 2, 7)), held)
    assert result.cluster.tolist() == [0, 0, 2]
    assert set(result.refused["reason"]) == {REASONS["local"]}


def test_twins_split_by_their_numbers():
    # 0, 1: twins on the spine; 2, 3: the same twins at school; names tell, twins resemble.
    held = values(4, nhs={0: 1, 1: 2}, upn={2: 3, 3: 4})
    found = resolve(4, pairs((0, 2, 25), (1, 3, 25), (0, 3, 6), (1, 2, 6), (0, 1, 6)), held)
    assert found.cluster.tolist() == [0, 1, 0, 1]


def test_the_twin_pattern_needs_an_identifier():
    frame = pairs((0, 1, 12), (2, 3, 12)).with_columns(
        pl.lit(True).alias("is_twin"), (pl.col("a") == 2).alias("has_identifier")
    )
    result = resolve(4, frame, values(4))
    assert result.cluster.tolist() == [0, 1, 2, 2]
    assert result.refused["reason"].to_list() == [REASONS["twin"]]


def test_a_nameless_record_needs_one_clear_candidate():
    clear = resolve(3, pairs((0, 2, 20), (1, 2, 10)), values(3), nameless=(2,))
    assert clear.cluster.tolist() == [0, 1, 0]
    doubtful = resolve(3, pairs((0, 2, 20), (1, 2, 17)), values(3), nameless=(2,))
    assert doubtful.cluster.tolist() == [0, 1, 2]
    assert set(doubtful.refused["reason"]) == {REASONS["ambiguous"]}


def test_candidates_that_are_one_person_are_not_rivals():
    frame = pairs((0, 1, 30), (0, 2, 20), (1, 2, 19))
    assert resolve(3, frame, values(3), nameless=(2,)).cluster.tolist() == [0, 0, 0]


def test_an_identifier_needs_no_names():
    frame = pairs((0, 2, 20), (1, 2, 19)).with_columns((pl.col("a") == 0).alias("has_identifier"))
    assert resolve(3, frame, values(3), nameless=(2,)).cluster.tolist() == [0, 1, 0]


def test_names_beside_a_nameless_record_decide():
    # 1 is nameless but shares an identifier with the named 0; 2 is named otherwise.
    frame = pairs((0, 1, 30), (1, 2, 20)).with_columns(
        (pl.col("weight") == 30).alias("has_identifier")
    )
    result = resolve(3, frame, values(3), nameless=(1,))
    assert result.cluster.tolist() == [0, 0, 2]
    assert set(result.refused["reason"]) == {REASONS["names_disagree"]}


def test_no_pairs_and_no_records():
    assert resolve(3, pairs(), values(3)).cluster.tolist() == [0, 1, 2]
    assert resolve(0, pairs(), values(0)).cluster.tolist() == []


def naive(records, rows, held):
    """The definition: every pair in turn, every cluster looked at whole."""
    cluster = list(range(records))
    for a, b in rows:
        together = [r for r in range(records) if cluster[r] in (cluster[a], cluster[b])]
        numbers = [{held[k][r] for r in together if held[k][r] != -1} for k in ("nhs", "upn")]
        locals_ = [held["local"][r] for r in together if held["local"][r] != -1]
        if cluster[a] == cluster[b] or any(len(x) > 1 for x in numbers):
            continue
        if len(locals_) != len(set(locals_)):
            continue
        low = min(cluster[r] for r in together)
        for r in together:
            cluster[r] = low
    return cluster


@st.composite
def graphs(draw):
    n = draw(st.integers(2, 12))
    node = st.integers(0, n - 1)
    rows = draw(st.lists(st.tuples(node, node).filter(lambda p: p[0] != p[1]), max_size=25))
    numbers = st.dictionaries(node, st.integers(1, 3), max_size=6)
    held = values(n, nhs=draw(numbers), upn=draw(numbers), local=draw(numbers))
    return n, rows, held


@given(graph=graphs())
@settings(max_examples=150, deadline=None)
def test_set_wise_resolution_equals_the_definition(graph):
    n, rows, held = graph
    frame = pairs(*((a, b, 100 - i) for i, (a, b) in enumerate(rows)))
    result = join_without_conflict(n, frame, held)
    assert result.cluster.tolist() == naive(n, rows, held)
    apart = {tuple(sorted(x)) for x in result.refused.select("a", "b").iter_rows()}
    assert all(result.cluster[a] != result.cluster[b] for a, b in apart)


@given(graph=graphs())
@settings(max_examples=50, deadline=None)
def test_components_are_the_smallest_record_reachable(graph):
    n, rows, _ = graph
    nothing = values(n)
    a, b = (np.array([r[k] for r in rows], dtype=np.int64) for k in (0, 1))
    assert connected_components(n, a, b).tolist() == naive(n, rows, nothing)
