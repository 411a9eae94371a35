"""The registry of stable person ids.

A person id is a random number that means nothing and never changes while the person stays the
same: re-linking gives each cluster the id that most of its records had before. What could not
stay is an event (merged, split, moved, retired, restored), so that a release can say what changed.
"""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime

import duckdb
import numpy as np
import polars as pl

from linked_cyp.core.errors import value_free
from linked_cyp.core.sql import insert, transaction

EVENTS = ("created", "merged", "split", "moved", "retired", "restored")

_DDL = """
    CREATE TABLE IF NOT EXISTS linkage.main.registry
        (record_key BIGINT, person_id BIGINT, is_current BOOLEAN, first_run BIGINT,
         last_run BIGINT);
    CREATE TABLE IF NOT EXISTS linkage.main.event
        (run_id BIGINT, run_date DATE, event VARCHAR, person_id BIGINT, other_person_id BIGINT,
         records BIGINT);
    CREATE TABLE IF NOT EXISTS linkage.main.run
        (run_id BIGINT, run_date DATE, model_id BIGINT, records BIGINT, persons BIGINT);
"""


def update_registry(
    con: duckdb.DuckDBPyConnection, *, run_date: date | None = None
) -> dict[str, int]:
    """Give every cluster of ``linkage.main.person`` its person id, in one transaction.

    Records that are gone keep their row, not current, so that one which returns is the same
    person again.

    Returns:
        ``run_id``, ``records``, ``persons`` and the number of each kind of event.
    """
    day = run_date or datetime.now(UTC).date()
    with value_free("updating the registry of persons"):
        con.execute(_DDL)
        with transaction(con):
            counts = _update(con, day)
    return counts


def _update(con: duckdb.DuckDBPyConnection, day: date) -> dict[str, int]:
    run_id = con.execute("SELECT coalesce(max(run_id), 0) + 1 FROM linkage.main.run").fetchall()[0][
        0
    ]
    known = con.execute("SELECT record_key, person_id, is_current FROM linkage.main.registry").pl()
    person = con.execute("SELECT record_key, cluster FROM linkage.main.person").pl()
    assigned = assign_ids(person, known)
    events = find_events(person, known, assigned)
    now = person.join(assigned, on="cluster").select("record_key", "person_id")
    con.register("assigned_now", now.to_arrow())
    con.execute(
        "CREATE OR REPLACE TABLE linkage.main.registry AS"
        " SELECT record_key, coalesce(n.person_id, o.person_id) AS person_id,"
        "  n.person_id IS NOT NULL AS is_current, coalesce(o.first_run, $run) AS first_run,"
        "  CASE WHEN n.person_id IS NULL THEN o.last_run ELSE $run END AS last_run"
        " FROM linkage.main.registry o FULL JOIN assigned_now n USING (record_key)"
        " ORDER BY record_key",
        {"run": run_id},
    )
    con.unregister("assigned_now")
    con.register("events_now", events.to_arrow())
    con.execute(
        "INSERT INTO linkage.main.event"
        " SELECT $run, $day, event, person_id, other_person_id, records FROM events_now",
        {"run": run_id, "day": day},
    )
    con.unregister("events_now")
    model_id = con.execute("SELECT max(model_id) FROM linkage.main.pairs").fetchall()[0][0]
    persons = assigned.height
    run = {
        "run_id": run_id,
        "run_date": day,
        "model_id": model_id,
        "records": person.height,
        "persons": persons,
    }
    insert(con, "linkage.main.run", run)
    kinds = dict(events["event"].value_counts().iter_rows())
    return {
        "run_id": run_id,
        "records": person.height,
        "persons": persons,
        **{kind: kinds.get(kind, 0) for kind in EVENTS},
    }


def assign_ids(person: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """An id for each cluster: by largest overlap with what was, else a new random one.

    Records of the last run count before those that return: a person who did not change keeps the
    id, however many records come back that once had it.

    Args:
        person: record_key, cluster.
        known: record_key, person_id, is_current.

    Returns:
        cluster, person_id; each id once.
    """
    votes = (
        person.join(known, on="record_key")
        .group_by("cluster", "person_id")
        .agg(pl.len().alias("n"), pl.col("is_current").sum().alias("current"))
        .sort("current", "n", "person_id", "cluster", descending=[True, True, False, False])
    )
    alone = votes.filter(
        (pl.len().over("cluster") == 1) & (pl.len().over("person_id") == 1)
    ).select("cluster", "person_id")
    contested = votes.join(alone, on="cluster", how="anti")
    taken_clusters: dict[int, int] = {}
    taken_ids: set[int] = set()
    for cluster, person_id in contested.select("cluster", "person_id").iter_rows():
        if cluster not in taken_clusters and person_id not in taken_ids:
            taken_clusters[cluster] = person_id
            taken_ids.add(person_id)
    schema = pl.Schema({"cluster": pl.Int64, "person_id": pl.Int64})
    kept = pl.concat(
        [
            alone.cast(schema),
            pl.DataFrame(list(taken_clusters.items()), schema=schema, orient="row"),
        ]
    )
    fresh = person.select("cluster").unique().join(kept, on="cluster", how="anti").sort("cluster")
    ids = random_ids(fresh.height, known["person_id"])
    return pl.concat([kept, fresh.with_columns(pl.Series("person_id", ids, dtype=pl.Int64))])


def random_ids(count: int, taken: pl.Series) -> np.ndarray:
    """``count`` different positive 63-bit random numbers that are not in ``taken``."""
    found = np.empty(0, dtype=np.int64)
    while len(found) < count:
        drawn = np.frombuffer(secrets.token_bytes(8 * (count - len(found))), dtype=np.uint64) >> 1
        both = np.concatenate([found, drawn.astype(np.int64)])
        _, first = np.unique(both, return_index=True)
        both = both[np.sort(first)]  # as drawn: sorted, an id would tell the place of its record
        found = both[(both > 0) & ~np.isin(both, taken.to_numpy())]
    return found


def find_events(person: pl.DataFrame, known: pl.DataFrame, assigned: pl.DataFrame) -> pl.DataFrame:
    """What happened to ids: event, person_id, other_person_id, records (that it concerns).

    * created: an id for records never seen before;
    * merged: ``other_person_id`` is gone, its records belong to ``person_id`` now;
    * split: ``person_id`` is new, made of records of ``other_person_id``, which lives on;
    * moved: records went from ``other_person_id`` to ``person_id``, both live on;
    * retired, restored: the last record of an id left, or one came back.
    """
    now = person.join(assigned, on="cluster").select("record_key", pl.col("person_id").alias("new"))
    both = now.join(known, on="record_key", how="left")
    living = now.select(pl.col("new").alias("person_id")).unique()
    before = known.select("person_id").unique()
    changed = (
        both.filter(pl.col("person_id").is_not_null() & (pl.col("person_id") != pl.col("new")))
        .group_by("new", "person_id")
        .agg(pl.len().alias("records"))
        .join(living.with_columns(lives=True), on="person_id", how="left")
        .join(before.with_columns(is_old=True), left_on="new", right_on="person_id", how="left")
        .with_columns(
            pl.when(pl.col("lives").is_null())
            .then(pl.lit("merged"))
            .when(pl.col("is_old").is_null())
            .then(pl.lit("split"))
            .otherwise(pl.lit("moved"))
            .alias("event")
        )
        .select(
            "event",
            pl.col("new").alias("person_id"),
            pl.col("person_id").alias("other_person_id"),
            "records",
        )
    )
    current = known.filter("is_current").select("person_id").unique()
    absorbed = changed.filter(pl.col("event") == "merged").select(
        pl.col("other_person_id").alias("person_id")
    )
    split_off = changed.filter(pl.col("event") == "split").select("person_id")
    sizes = now.group_by(pl.col("new").alias("person_id")).agg(pl.len().alias("records"))
    plain = {
        "created": sizes.join(before, on="person_id", how="anti").join(
            split_off, on="person_id", how="anti"
        ),
        "restored": sizes.join(before, on="person_id", how="semi").join(
            current, on="person_id", how="anti"
        ),
        "retired": known.filter("is_current")
        .group_by("person_id")
        .agg(pl.len().alias("records"))
        .join(living, on="person_id", how="anti")
        .join(absorbed, on="person_id", how="anti"),
    }
    others = [
        frame.select(
            pl.lit(event).alias("event"),
            "person_id",
            pl.lit(None, dtype=pl.Int64).alias("other_person_id"),
            "records",
        )
        for event, frame in plain.items()
    ]
    schema = pl.Schema(
        {
            "event": pl.String,
            "person_id": pl.Int64,
            "other_person_id": pl.Int64,
            "records": pl.Int64,
        }
    )
    return pl.concat([f.cast(schema) for f in (changed, *others)]).sort(
        "event", "person_id", "other_person_id"
    )
