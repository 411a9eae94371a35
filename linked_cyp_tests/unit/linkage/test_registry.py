from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta

import duckdb
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from linked_cyp.linkage.persons.registry import assign_ids, find_events, random_ids, update_registry


def person(*clusters: list[int]) -> pl.DataFrame:
    rows = [(record, min(cluster)) for cluster in clusters for record in cluster]
    return pl.DataFrame(rows, schema={"record_key": pl.Int64, "cluster": pl.Int64}, orient="row")


def registry(rows: dict[int, int], gone: tuple[int, ...] = ()) -> pl.DataFrame:
    return pl.DataFrame(
        [(record, person_id, record not in gone) for record, person_id in rows.items()],
        schema={"record_key": pl.Int64, "person_id": pl.Int64, "is_current": pl.Boolean},
        orient="row",
    )


def ids(assigned: pl.DataFrame) -> dict[int, int]:
    return dict(assigned.select("cluster", "person_id").iter_rows())


def events(found: pl.DataFrame) -> list[tuple]:
    return [tuple(row) for row in found.iter_rows()]


def test_new_persons_get_different_random_ids():
    now = person([1, 2], [3])
    first, second = ids(assign_ids(now, registry({}))), ids(assign_ids(now, registry({})))
    assert len(set(first.values())) == 2
    assert set(first.values()) != set(second.values())
    assert all(0 < x < 2**63 for x in first.values())
    kinds = find_events(now, registry({}), assign_ids(now, registry({})))["event"].to_list()
    assert kinds == ["created", "created"]


def test_random_ids_avoid_those_taken():
    drawn = random_ids(1000, pl.Series([1, 2, 3]))
    assert len(set(drawn.tolist())) == 1000
    assert not set(drawn.tolist()) & {1, 2, 3}
    assert sorted(drawn.tolist()) != drawn.tolist()  # their order says nothing
    taken = pl.Series([1, 2, 3], dtype=pl.Int64)
    assert len(random_ids(0, taken)) == 0


def test_nothing_new_changes_nothing():
    known, now = registry({1: 100, 2: 100, 3: 200}), person([1, 2], [3])
    assigned = assign_ids(now, known)
    assert ids(assigned) == {1: 100, 3: 200}
    assert find_events(now, known, assigned).is_empty()


def test_a_merge_keeps_the_id_of_most_records():
    known, now = registry({1: 100, 2: 200, 3: 200, 4: 300}), person([1, 2, 3], [4])
    assigned = assign_ids(now, known)
    assert ids(assigned) == {1: 200, 4: 300}
    assert events(find_events(now, known, assigned)) == [("merged", 200, 100, 1)]


def test_a_split_leaves_the_id_with_most_records():
    known, now = registry({1: 100, 2: 100, 3: 100}), person([1], [2, 3])
    assigned = assign_ids(now, known)
    new = ids(assigned)[1]
    assert ids(assigned) == {1: new, 2: 100}
    assert events(find_events(now, known, assigned)) == [("split", new, 100, 1)]


def test_a_record_may_move_between_persons_that_stay():
    known = registry({1: 100, 2: 100, 3: 100, 4: 200, 5: 200})
    now = person([1, 2], [3, 4, 5])
    assigned = assign_ids(now, known)
    assert ids(assigned) == {1: 100, 3: 200}
    assert events(find_events(now, known, assigned)) == [("moved", 200, 100, 1)]


def test_withdrawn_records_retire_and_come_back_as_the_same_person():
    known = registry({1: 100, 2: 200, 3: 200})
    without = person([1], [3])
    assigned = assign_ids(without, known)
    assert ids(assigned) == {1: 100, 3: 200}
    assert find_events(without, known, assigned).is_empty()
    gone = person([2, 3])
    assert events(find_events(gone, known, assign_ids(gone, known))) == [("retired", 100, None, 1)]
    later = registry({1: 100, 2: 200, 3: 200}, gone=(1,))
    back = person([1], [2, 3])
    assert ids(assign_ids(back, later)) == {1: 100, 2: 200}
    assert events(find_events(back, later, assign_ids(back, later))) == [("restored", 100, None, 1)]


@given(
    before=st.lists(st.integers(0, 5), min_size=1, max_size=20),
    after=st.lists(st.integers(0, 5), min_size=1, max_size=20),
)
@settings(max_examples=100, deadline=None)
def test_unaffected_persons_keep_their_id(before, after):
    known = registry({record: 100 + group for record, group in enumerate(before)})
    groups: dict[int, list[int]] = {}
    for record, group in enumerate(after):
        groups.setdefault(group, []).append(record)
    now = person(*groups.values())
    assigned = ids(assign_ids(now, known))
    assert len(set(assigned.values())) == len(groups)
    for members in groups.values():
        had = {before[r] for r in members if r < len(before)}
        if len(had) == 1:
            (group,) = had
            everyone = {r for r, g in enumerate(before) if g == group and r < len(after)}
            if everyone <= set(members):
                assert assigned[min(members)] == 100 + group


def test_records_that_return_take_no_id_from_those_that_stayed():
    known = registry({1: 100, 2: 100, 3: 100, 4: 100, 5: 100}, gone=(3, 4, 5))
    now = person([1, 2], [3, 4, 5])
    assert ids(assign_ids(now, known))[1] == 100


RECORD = st.integers(1, 12)
CHANGE = st.tuples(st.sampled_from(["join", "leave", "move", "merge", "split"]), RECORD, RECORD)


@given(runs=st.lists(st.lists(CHANGE, max_size=4), min_size=2, max_size=4))
@settings(max_examples=25, deadline=None)
def test_whoever_is_unaffected_keeps_the_id_and_every_change_is_a_dated_event(runs):
    """Deliveries arrive, records are withdrawn, a retrained model joins and parts: any clusters."""
    cluster = {record: record % 5 for record in range(1, 10)}
    day = date(2025, 1, 1)
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS linkage; CREATE TABLE linkage.main.pairs (model_id INT)")
        before: dict[int, int] = {}
        for changes in [[], *runs]:
            for change in changes:
                _apply(cluster, *change)
            day += timedelta(days=1)
            groups = defaultdict(list)
            for record, group in cluster.items():
                groups[group].append(record)
            now = person(*groups.values())
            con.register("now", now.to_arrow())
            con.execute("CREATE OR REPLACE TABLE linkage.main.person AS FROM now")
            counts = update_registry(con, run_date=day)
            after = dict(
                con.execute(
                    "SELECT record_key, person_id FROM linkage.main.registry WHERE is_current"
                ).fetchall()
            )
            assert set(after) == set(cluster)
            kept = _persons(before)
            for person_id, records in _persons(after).items():
                for former, same in kept.items():
                    if same == records:
                        assert person_id == former
            told = con.execute(
                "SELECT event, person_id, other_person_id FROM linkage.main.event"
                " WHERE run_date = ? AND run_id = ?",
                [day, counts["run_id"]],
            ).fetchall()
            pairs = {(new, old) for _, new, old in told}
            moved = {(after[r], before[r]) for r in after if r in before and after[r] != before[r]}
            assert moved <= pairs
            assert not {new for event, new, _ in told if event == "created"} & set(before.values())
            named = {x for _, *pair in told for x in pair}
            assert set(before.values()) ^ set(after.values()) <= named
            before = after


def _persons(ids_of: dict[int, int]) -> dict[int, frozenset[int]]:
    persons = defaultdict(set)
    for record, person_id in ids_of.items():
        persons[person_id].add(record)
    return {person_id: frozenset(records) for person_id, records in persons.items()}


def _apply(cluster: dict[int, int], kind: str, one: int, other: int) -> None:
    if kind == "leave":
        cluster.pop(one, None)
    elif kind == "join":
        cluster.setdefault(one, other)
    elif one in cluster and kind == "split":
        cluster[one] = 100 + one
    elif one in cluster and other in cluster:
        if kind == "move":
            cluster[one] = cluster[other]
        else:
            gone = cluster[one]
            for record, group in cluster.items():
                if group == gone:
                    cluster[record] = cluster[other]
