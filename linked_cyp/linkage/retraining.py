"""Train anew as a deliberate act: propose a candidate, compare it with the model in force, accept.

The comparison links the same records with both models in a store of its own, in memory, so nothing
that is published changes before the candidate is accepted. ``linkage.main.retraining`` keeps it.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl

from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import exists, transaction
from linked_cyp.linkage.model.parameters import Parameters, parameters
from linked_cyp.linkage.model.training import (
    CANDIDATES,
    IN_FORCE,
    MODEL_DDL,
    TrainedModel,
    current_model,
    newest_model,
    train,
)
from linked_cyp.linkage.pairs.edges import classed_pairs_sql, prior_weight
from linked_cyp.linkage.pairs.prediction import has_present_comparisons, predict
from linked_cyp.linkage.persons.registry import assign_ids, find_events
from linked_cyp.linkage.persons.resolution import resolve
from linked_cyp.linkage.review.thresholds import thresholds_in_force
from linked_cyp.stores.door import open_engine

RETRAINING_DDL = """
    compared TIMESTAMP, model_before BIGINT, model_after BIGINT, measure VARCHAR,
    comparison VARCHAR, level VARCHAR, before DOUBLE, after DOUBLE
"""
MEASURES = {
    "m": "share of true pairs at the level",
    "u": "share of other pairs at the level",
    "weight": "match weight of the level",
    "prior_weight": "match weight of two random records",
    "pairs": "pairs scored and kept",
    "pairs_believed": "pairs at or above the threshold of their kind",
    "pairs_gained": "pairs that only the new model believes",
    "pairs_lost": "pairs that only the old model believes",
    "persons": "persons",
    "persons_merged": "persons that would become part of another",
    "persons_split": "persons that would be new, split from another",
    "persons_moved": "exchanges of records between persons that both stay",
    "records_affected": "source persons whose person would have another id",
    "accepted": "the candidate was put in force",
}
# What linking reads; everything else in the store it writes.
_INPUTS = (
    "person_record",
    "source",
    "identifier_alias",
    "number_holder",
    "name_agreement",
    "build",
    "decision",
    "threshold",
)


def propose(con: duckdb.DuckDBPyConnection, *, given: Parameters | None = None) -> TrainedModel:
    """Train a candidate on the records of now; the model in force stays.

    Raises:
        LinkedCypError: there is no model in force yet, or training failed.
    """
    in_force(con)
    return train(con, as_candidate=True, given=given)


def compare(con: duckdb.DuckDBPyConnection, *, given: Parameters | None = None) -> pl.DataFrame:
    """Link the same records with the model in force and with the candidate.

    A model of an earlier version of the comparisons cannot score any more: then the persons of the
    last run stand for it, and pairs are not compared. Appends to ``linkage.main.retraining``.

    Returns:
        One row per :data:`MEASURES` (and comparison and level, for the parameters): ``measure``,
        ``comparison``, ``level``, ``before``, ``after``. Counts of differences have no before.

    Raises:
        LinkedCypError: there is no candidate, or linking failed.
    """
    chosen = given or parameters()
    before, after = in_force(con), candidate(con)
    with value_free("comparing linkage models"), _scratch(con) as scratch:
        sides = ((IN_FORCE, before, "before"), (CANDIDATES, after, "after"))
        for table, model, side in sides:
            if has_present_comparisons(model):
                _copy(con, scratch, table, "model", f"WHERE model_id = {model.model_id:d}")
                predict(scratch, given=chosen, use_state=False)
                resolve(scratch, given=chosen)
                _keep_pairs(scratch, side, chosen)
            else:
                _copy(con, scratch, "linkage.main.person", "person")
            scratch.execute(f"CREATE TABLE memory.main.person_{side} AS FROM linkage.main.person")
        rows = pl.concat(
            [
                _parameters(con, before.model_id, after.model_id),
                _counts(scratch) if has_present_comparisons(before) else _frame([]),
                _persons(scratch),
            ]
        )
    _write(con, before.model_id, after.model_id, rows)
    return rows


def accept_model(con: duckdb.DuckDBPyConnection, model_id: int) -> TrainedModel:
    """Put the newest candidate in force from the next run on; older candidates are dropped.

    Raises:
        LinkedCypError: it is not the newest candidate, or was not compared with the model in force.
    """
    before, after = in_force(con), candidate(con)
    if after.model_id != model_id:
        raise LinkedCypError(
            f"linkage model {model_id} is not the newest candidate ({after.model_id})"
        )
    if last_comparison(con, before.model_id, model_id).is_empty():
        raise LinkedCypError(
            f"linkage model {model_id} was not compared with {before.model_id}, which is in force"
        )
    with transaction(con):
        con.execute(f"INSERT INTO {IN_FORCE} FROM {CANDIDATES} WHERE model_id = ?", [model_id])
        con.execute(f"DELETE FROM {CANDIDATES}")
        _write(con, before.model_id, model_id, _frame([("accepted", None, None, None, 1.0)]))
    return in_force(con)


def retrain(
    con: duckdb.DuckDBPyConnection, *, given: Parameters | None = None
) -> tuple[TrainedModel, dict[str, float]]:
    """Propose, compare and accept in one act: the new model in force, and :func:`summary`."""
    proposed = propose(con, given=given)
    rows = compare(con, given=given)
    return accept_model(con, proposed.model_id), summary(rows)


def summary(rows: pl.DataFrame) -> dict[str, float]:
    """A comparison without the parameters, for people: what each number is, and the number."""
    shown: dict[str, float] = {}
    for measure, _, _, before, after in rows.filter(pl.col("level").is_null()).iter_rows():
        if before is not None:
            shown[f"{MEASURES[measure]}, before"] = before
        shown[MEASURES[measure] + (", after" if before is not None else "")] = after
    return shown


def last_comparison(
    con: duckdb.DuckDBPyConnection, model_before: int, model_after: int
) -> pl.DataFrame:
    """The newest rows of :func:`compare` for two models, as it returned them; or none."""
    if not exists(con, "linkage.main.retraining"):
        return _frame([])
    return con.execute(
        "SELECT measure, comparison, level, before, after FROM linkage.main.retraining"
        " WHERE model_before = $before AND model_after = $after AND measure <> 'accepted'"
        " QUALIFY compared = max(compared) OVER ()",
        {"before": model_before, "after": model_after},
    ).pl()


def models(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Every model, oldest first: ``model_id``, ``status``, ``created``, ``records``, ``sessions``.

    ``status`` is replaced, in force or candidate. Empty before the first training.
    """
    parts = [
        f"SELECT model_id, '{status}' AS status, created, records, sessions FROM {table}"
        for table, status in ((IN_FORCE, "in force"), (CANDIDATES, "candidate"))
        if exists(con, table)
    ]
    if not parts:
        return pl.DataFrame()
    return con.execute(
        "SELECT * REPLACE (CASE WHEN status = 'in force' AND model_id < max(model_id)"
        " OVER (PARTITION BY status) THEN 'replaced' ELSE status END AS status)"
        f" FROM ({' UNION ALL '.join(parts)}) ORDER BY model_id"
    ).pl()


def in_force(con: duckdb.DuckDBPyConnection) -> TrainedModel:
    """The model in force.

    Raises:
        LinkedCypError: there is none.
    """
    found = current_model(con) if exists(con, IN_FORCE) else None
    if found is None:
        raise LinkedCypError("there is no linkage model in force: train one first")
    return found


def candidate(con: duckdb.DuckDBPyConnection) -> TrainedModel:
    """The newest candidate.

    Raises:
        LinkedCypError: there is none.
    """
    found = newest_model(con, CANDIDATES) if exists(con, CANDIDATES) else None
    if found is None:
        raise LinkedCypError("there is no candidate linkage model: propose one first")
    return found


@contextmanager
def _scratch(con: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """A linkage store in memory with the same records; it spills, encrypted, where this one does.

    It may take as much memory as the connection, which is idle meanwhile.
    """
    spill, limit = con.execute(
        "SELECT current_setting('temp_directory'), current_setting('memory_limit')"
    ).fetchall()[0]
    folder = spill if spill and Path(spill).is_dir() else None
    with tempfile.TemporaryDirectory(dir=folder) as own:
        scratch = open_engine(Path(own), str(limit).replace(" ", ""))
        try:
            scratch.execute("ATTACH ':memory:' AS linkage")
            scratch.execute(f"CREATE TABLE {IN_FORCE} ({MODEL_DDL})")
            for name in _INPUTS:
                if exists(con, f"linkage.main.{name}"):
                    _copy(con, scratch, f"linkage.main.{name}", name)
            yield scratch
        finally:
            scratch.close()


def _copy(
    con: duckdb.DuckDBPyConnection,
    scratch: duckdb.DuckDBPyConnection,
    table: str,
    name: str,
    where: str = "",
) -> None:
    """Copy a table into the scratch store, batch by batch."""
    scratch.register("incoming", con.execute(f"FROM {table} {where}").to_arrow_reader())
    scratch.execute(f"CREATE OR REPLACE TABLE linkage.main.{name} AS FROM incoming")
    scratch.unregister("incoming")


def _keep_pairs(scratch: duckdb.DuckDBPyConnection, side: str, chosen: Parameters) -> None:
    """Put aside which pairs one model scored and believed."""
    enough = " ".join(
        f"WHEN '{name}' THEN '{weight}'::DOUBLE"
        for name, weight in thresholds_in_force(scratch, chosen).items()
    )
    scratch.execute(
        f"CREATE TABLE memory.main.believed_{side} AS SELECT record_key_l, record_key_r"
        f" FROM {classed_pairs_sql(prior_weight(scratch))}"
        f" WHERE weight >= CASE edge_class {enough} END"
    )
    scratch.execute(
        f"CREATE TABLE memory.main.scored_{side} AS SELECT count(*) AS n FROM linkage.main.pairs"
    )


_Row = tuple[str, str | None, str | None, float | None, float | None]


def _parameters(con: duckdb.DuckDBPyConnection, before: int, after: int) -> pl.DataFrame:
    """m, u and weight of every level that either model has; and the priors."""
    sides: list[dict[tuple[str, str], tuple[float, float]]] = []
    priors: list[float] = []
    for table, number in ((IN_FORCE, before), (CANDIDATES, after)):
        used, prior = con.execute(
            "SELECT parameters, (settings ->> 'probability_two_random_records_match')::DOUBLE"
            f" FROM {table} WHERE model_id = ?",
            [number],
        ).fetchall()[0]
        sides.append({(p["comparison"], p["level"]): (p["m"], p["u"]) for p in used})
        priors.append(math.log2(prior / (1 - prior)))
    rows: list[_Row] = [("prior_weight", None, None, priors[0], priors[1])]
    for comparison, level in dict.fromkeys([*sides[0], *sides[1]]):
        shown = []
        for side in sides:
            m, u = side.get((comparison, level), (None, None))
            weight = math.log2(m / u) if m and u else None
            shown.append({"m": m, "u": u, "weight": weight})
        rows += [(k, comparison, level, shown[0][k], shown[1][k]) for k in shown[0]]
    return _frame(rows)


def _counts(scratch: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Pairs scored and believed by each model, and by one only."""

    def count(query: str) -> float:
        return float(scratch.execute(f"SELECT count(*) FROM ({query})").fetchall()[0][0])

    rows: list[_Row] = []
    scored = [
        float(scratch.execute(f"SELECT n FROM memory.main.scored_{side}").fetchall()[0][0])
        for side in ("before", "after")
    ]
    rows.append(("pairs", None, None, scored[0], scored[1]))
    one, other = "FROM memory.main.believed_before", "FROM memory.main.believed_after"
    rows.append(("pairs_believed", None, None, count(one), count(other)))
    rows.append(("pairs_gained", None, None, None, count(f"{other} EXCEPT {one}")))
    rows.append(("pairs_lost", None, None, None, count(f"{one} EXCEPT {other}")))
    return _frame(rows)


def _persons(scratch: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """What would happen to ids if only the model changed."""
    before, after = (
        scratch.execute(f"SELECT record_key, cluster FROM memory.main.person_{side}").pl()
        for side in ("before", "after")
    )
    known = before.select("record_key", person_id=pl.col("cluster"), is_current=pl.lit(True))
    assigned = assign_ids(after, known)
    events = find_events(after, known, assigned)
    kinds = dict(events["event"].value_counts().iter_rows())
    moved = events.filter(pl.col("event").is_in(["merged", "split", "moved"]))["records"].sum()
    persons = [float(frame["cluster"].n_unique()) for frame in (before, after)]
    rows: list[_Row] = [("persons", None, None, persons[0], persons[1])]
    rows += [
        (f"persons_{kind}", None, None, None, float(kinds.get(kind, 0)))
        for kind in ("merged", "split", "moved")
    ]
    rows.append(("records_affected", None, None, None, float(moved)))
    return _frame(rows)


def _frame(rows: list[_Row]) -> pl.DataFrame:
    schema = {
        "measure": pl.String,
        "comparison": pl.String,
        "level": pl.String,
        "before": pl.Float64,
        "after": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _write(con: duckdb.DuckDBPyConnection, before: int, after: int, rows: pl.DataFrame) -> None:
    con.execute(f"CREATE TABLE IF NOT EXISTS linkage.main.retraining ({RETRAINING_DDL})")
    con.register("retraining_rows", rows.to_arrow())
    con.execute(
        "INSERT INTO linkage.main.retraining SELECT $now, $before, $after, * FROM retraining_rows",
        {"now": datetime.now(UTC).replace(tzinfo=None), "before": before, "after": after},
    )
    con.unregister("retraining_rows")
