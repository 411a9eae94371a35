from __future__ import annotations

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linked_cyp.identity.comparisons import level_number
from linked_cyp.linkage.pairs.edges import renamed_sql
from linked_cyp.linkage.persons.joining import (
    CODE,
    REASONS,
    Apart,
    connected_components,
    join_without_conflict,
)
from linked_cyp.linkage.persons.resolution import DECIDED, resolve_pairs

MARGIN = 5.0


def values(records: int, **given: dict[int, int]) -> dict[str, np.ndarray]:
    result = {}
    for kind in ("nhs", "upn", "local"):
        result[kind] = np.full(records, -1, dtype=np.int64)
        for record, value in given.get(kind, {}).items():
            result[kind][record] = value
    return result


def pairs(*rows: tuple[int, int, float], edge_class: str = "named") -> pl.DataFrame:
    schema = {"a": pl.Int32, "b": pl.Int32, "weight": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.lit(edge_class).alias("edge_class"),
        pl.lit(False).alias("is_twin"),
        pl.lit(True).alias("is_enough"),
    )


def twins(*rows: tuple[int, int, float], is_enough: bool = True) -> pl.DataFrame:
    return pairs(*rows, edge_class="household").with_columns(
        pl.lit(True).alias("is_twin"), pl.lit(is_enough).alias("is_enough")
    )


def weak(*rows: tuple[int, int, float]) -> pl.DataFrame:
    return pairs(*rows, edge_class="nameless")


def decided(*rows: tuple[int, int, bool]) -> pl.DataFrame:
    """The most trusted first."""
    schema = {"a": pl.Int32, "b": pl.Int32, "is_same": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.lit(1.0).alias("weight"))


def resolve(records, frame, held, nameless=(), by_hand=None):
    named = np.array([r not in nameless for r in range(records)], dtype=bool)
    by_hand = decided() if by_hand is None else by_hand
    return resolve_pairs(records, frame, held, named, MARGIN, by_hand)


def reasons(result) -> dict[tuple[int, int], str]:
    return {(a, b): why for a, b, why in result.refused.select("a", "b", "reason").iter_rows()}


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


def test_a_twin_pattern_keeps_two_children_apart():
    result = resolve(4, pl.concat([twins((0, 1, 12)), pairs((2, 3, 12))]), values(4))
    assert result.cluster.tolist() == [0, 1, 2, 2]
    assert reasons(result) == {(0, 1): REASONS["twin"]}


def test_twins_are_not_joined_through_a_third_record():
    # 2 has a name between those of the twins 0 and 1, whose pair lies below its threshold.
    frame = pl.concat([twins((0, 1, -3), is_enough=False), pairs((0, 2, 20), (1, 2, 19))])
    result = resolve(3, frame, values(3))
    assert result.cluster.tolist() == [0, 1, 0]
    assert reasons(result) == {(1, 2): REASONS["twin"]}


def test_twins_stay_apart_from_all_that_joined_their_twin():
    chain = pairs((0, 2, 30), (2, 3, 29), (3, 4, 28), (1, 4, 27), (1, 5, 26))
    result = resolve(6, pl.concat([chain, twins((0, 1, 5))]), values(6))
    assert result.cluster.tolist() == [0, 1, 0, 0, 0, 1]
    assert reasons(result) == {(1, 4): REASONS["twin"], (0, 1): REASONS["twin"]}


def test_a_nameless_record_needs_one_clear_candidate():
    clear = resolve(3, weak((0, 2, 20), (1, 2, 10)), values(3), nameless=(2,))
    assert clear.cluster.tolist() == [0, 1, 0]
    doubtful = resolve(3, weak((0, 2, 20), (1, 2, 17)), values(3), nameless=(2,))
    assert doubtful.cluster.tolist() == [0, 1, 2]
    assert set(doubtful.refused["reason"]) == {REASONS["ambiguous"]}


def test_two_nameless_twins_do_not_share_the_only_candidate():
    # 1 and 2 have different NHS numbers, 0 has none: one of them is its twin's record.
    held = values(3, nhs={1: 11, 2: 22})
    equal = resolve(3, weak((0, 1, 20), (0, 2, 20)), held, nameless=(1, 2))
    assert equal.cluster.tolist() == [0, 1, 2]
    clear = resolve(3, weak((0, 1, 20), (0, 2, 12)), held, nameless=(1, 2))
    assert clear.cluster.tolist() == [0, 0, 2]


def test_who_cannot_be_meant_is_no_rival():
    # 2 cannot be 1, whose NHS number is another, so 0 is its only candidate.
    held = values(3, nhs={1: 11, 2: 22})
    result = resolve(3, weak((0, 2, 20), (1, 2, 20)), held, nameless=(2,))
    assert result.cluster.tolist() == [0, 1, 0]
    assert reasons(result) == {(1, 2): REASONS["nhs"]}


def test_candidates_that_are_one_person_are_not_rivals():
    frame = pl.concat([pairs((0, 1, 30)), weak((0, 2, 20), (1, 2, 19))])
    assert resolve(3, frame, values(3), nameless=(2,)).cluster.tolist() == [0, 0, 0]


def test_an_identifier_needs_no_names():
    frame = pl.concat([pairs((0, 2, 20), edge_class="identifier"), weak((1, 2, 19))])
    assert resolve(3, frame, values(3), nameless=(2,)).cluster.tolist() == [0, 1, 0]


def test_names_beside_a_nameless_record_decide():
    # 1 is nameless but shares an identifier with the named 0; 2 is named otherwise.
    frame = pl.concat([pairs((0, 1, 30), edge_class="identifier"), weak((1, 2, 20))])
    result = resolve(3, frame, values(3), nameless=(1,))
    assert result.cluster.tolist() == [0, 0, 2]
    assert set(result.refused["reason"]) == {REASONS["names_disagree"]}


def test_equal_weights_do_not_depend_on_the_order_of_the_pairs():
    held = values(4, nhs={0: 1, 1: 2})
    rows = [(0, 2, 9.0), (1, 2, 9.0), (2, 3, 9.0)]
    results = {
        tuple(resolve(4, pairs(*order), held).cluster.tolist())
        for order in (rows, rows[::-1], rows[1:] + rows[:1])
    }
    assert results == {(0, 1, 0, 0)}


def test_a_reviewer_joins_what_nothing_else_would():
    result = resolve(3, twins((0, 1, 5)), values(3), by_hand=decided((0, 1, True), (1, 2, True)))
    assert result.cluster.tolist() == [0, 0, 0]
    assert result.refused.is_empty()


def test_a_reviewer_cannot_join_two_nhs_numbers():
    held = values(2, nhs={0: 1, 1: 2})
    result = resolve(2, pairs(), held, by_hand=decided((0, 1, True)))
    assert result.cluster.tolist() == [0, 1]
    assert result.refused.select("edge_class", "reason").rows() == [(DECIDED, REASONS["nhs"])]


def test_what_a_reviewer_parts_stays_apart_with_all_that_belongs_to_it():
    strong = pairs((0, 1, 40), (1, 2, 30), (2, 3, 50), edge_class="identifier")
    frame = pl.concat([strong, weak((0, 4, 25), (3, 4, 12))])
    result = resolve(5, frame, values(5), nameless=(4,), by_hand=decided((0, 3, False)))
    assert result.cluster.tolist() == [0, 0, 2, 2, 0]
    assert reasons(result) == {(1, 2): REASONS["decision"], (3, 4): REASONS["ambiguous"]}


def test_of_decisions_that_contradict_each_other_the_parting_one_holds():
    by_hand = decided((0, 1, True), (1, 2, True), (0, 2, False))
    result = resolve(3, pairs((0, 2, 30)), values(3), by_hand=by_hand)
    assert result.cluster.tolist() == [0, 0, 2]  # the more trusted of the two joins
    assert reasons(result) == {(1, 2): REASONS["decision"], (0, 2): REASONS["decision"]}


def test_no_pairs_and_no_records():
    assert resolve(3, pairs(), values(3)).cluster.tolist() == [0, 1, 2]
    assert resolve(0, pairs(), values(0)).cluster.tolist() == []


def naive(records, rows, held, apart=()):
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
        if any(x in together and y in together for x, y in apart):
            continue
        low = min(cluster[r] for r in together)
        for r in together:
            cluster[r] = low
    return cluster


@st.composite
def graphs(draw):
    n = draw(st.integers(2, 12))
    node = st.integers(0, n - 1)
    pair = st.tuples(node, node).filter(lambda p: p[0] != p[1])
    rows = draw(st.lists(pair, max_size=25))
    numbers = st.dictionaries(node, st.integers(1, 3), max_size=4)
    held = values(n, nhs=draw(numbers), upn=draw(numbers), local=draw(numbers))
    return n, rows, held, draw(st.lists(pair, max_size=5))


@given(graph=graphs())
@settings(max_examples=100, deadline=None)
def test_set_wise_resolution_equals_the_definition(graph):
    n, rows, held, kept_apart = graph
    frame = pairs(*((a, b, 100 - i) for i, (a, b) in enumerate(rows)))
    ends = np.array(kept_apart, dtype=np.int32).reshape(-1, 2)
    apart = Apart(ends[:, 0], ends[:, 1], np.full(len(ends), CODE["twin"]))
    cluster, reason = join_without_conflict(n, frame, held, apart)
    assert cluster.tolist() == naive(n, rows, held, kept_apart)
    assert [bool(code) for code in reason] == [cluster[a] != cluster[b] for a, b in rows]


@given(graph=graphs(), order=st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_whatever_the_order_of_the_rows_the_persons_are_the_same(graph, order):
    n, rows, held, kept_apart = graph
    weights = [(a, b, float(order.randint(1, 3))) for a, b in rows]
    frame = pl.concat([pairs(*weights), twins(*((a, b, 1.0) for a, b in kept_apart))])
    frame = frame.unique(["a", "b"], keep="first", maintain_order=True)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=order.randint(0, 99))
    one, other = resolve(n, frame, held), resolve(n, shuffled, held)
    assert one.cluster.tolist() == other.cluster.tolist()
    assert one.refused.sort(pl.all()).equals(other.refused.sort(pl.all()))


@given(graph=graphs())
@settings(max_examples=30, deadline=None)
def test_components_are_the_smallest_record_reachable(graph):
    n, rows, _, _ = graph
    nothing = values(n)
    a, b = (np.array([r[k] for r in rows], dtype=np.int64) for k in (0, 1))
    assert connected_components(n, a, b).tolist() == naive(n, rows, nothing)


@pytest.mark.parametrize(
    ("gammas", "renamed"),
    [
        ({}, True),
        ({"postcode": -1}, True),
        ({"postcode": level_number("postcode", "exact")}, False),
        ({"surname": level_number("surname", "exact")}, False),
        ({"surname": -1}, True),
        ({"surname": level_number("surname", "dice_60")}, True),
        ({"surname": level_number("surname", "part")}, True),
        ({"surname": level_number("surname", "sound")}, False),
        ({"surname": level_number("surname", "dice_80")}, True),
        ({"postcode": level_number("postcode", "district")}, True),
        ({"postcode": level_number("postcode", "sector")}, True),
        ({"forename": -1}, False),
        ({"nhs": level_number("nhs", "exact")}, False),
        ({"upn": level_number("upn", "exact")}, False),
    ],
)
def test_forename_and_birth_date_alone_are_what_an_adopted_child_keeps(gammas, renamed):
    row = {"nhs": -1, "upn": -1, "la_child": -1, "forename": 7, "surname": 0, "postcode": 0}
    row |= gammas
    columns = ", ".join(f"{value} AS gamma_{name}" for name, value in row.items())
    found = duckdb.sql(f"SELECT {renamed_sql()} FROM (SELECT {columns})").fetchall()
    assert found == [(renamed,)]
