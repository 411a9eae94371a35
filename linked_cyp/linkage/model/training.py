"""Train the model once and keep it: ``linkage.main.model``.

The model in force is the newest row. It is never trained in passing: only when there is none, or
when somebody says so. A candidate waits in ``linkage.main.candidate_model`` until it is accepted
(see :mod:`linked_cyp.linkage.retraining`).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import duckdb

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.linkage.model import settings as model
from linked_cyp.linkage.model.chance import agreement_by_chance, share_of_true_pairs
from linked_cyp.linkage.model.parameters import Parameters, parameters
from linked_cyp.linkage.model.splink_session import linker
from linked_cyp.linkage.records.writing import SEED

MODEL_DDL = """
    model_id BIGINT, created TIMESTAMP, splink_version VARCHAR, seed BIGINT, is_hardened BOOLEAN,
    records BIGINT, data_fingerprint VARCHAR, sessions VARCHAR[], settings VARCHAR,
    parameters STRUCT(comparison VARCHAR, level VARCHAR, m DOUBLE, u DOUBLE, is_m_learnt BOOLEAN)[]
"""
IN_FORCE = "linkage.main.model"
CANDIDATES = "linkage.main.candidate_model"
_LOWEST = 1e-9  # a level that was never seen is improbable, not impossible


@dataclass(frozen=True)
class TrainedModel:
    """A model, usually the one in force."""

    model_id: int
    settings: dict[str, Any]
    sessions: tuple[str, ...]
    data_fingerprint: str
    is_hardened: bool
    is_new: bool


def train(
    con: duckdb.DuckDBPyConnection,
    *,
    retrain: bool = False,
    as_candidate: bool = False,
    given: Parameters | None = None,
) -> TrainedModel:
    """The model in force; trained and persisted first when there is none or ``retrain`` is true.

    With ``as_candidate`` a new one is trained that replaces nothing yet, and returned.

    Needs ``linkage.main.person_record`` (and ``name_agreement``) in a writable ``linkage`` catalog.
    Only current values of records that may be linked are used. Parameters that the data cannot
    teach (few records, a level never met) keep the fall-back of ``parameters.toml``.

    Raises:
        LinkedCypError: Splink failed, or a parameter is not set.
    """
    for name in (IN_FORCE, CANDIDATES):
        con.execute(f"CREATE TABLE IF NOT EXISTS {name} ({MODEL_DDL})")
    table = CANDIDATES if as_candidate else IN_FORCE
    known = None if retrain or as_candidate else current_model(con)
    if known:
        return known
    chosen = given or parameters()
    hardened = _is_hardened(con)
    con.execute(
        "CREATE OR REPLACE TEMP VIEW training_record AS"
        " SELECT * FROM linkage.main.person_record WHERE alternative = 0 AND exclusion IS NULL"
    )
    relation = "temp.training_record"
    records = con.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0]
    true_share = share_of_true_pairs(con, relation, chosen)
    start = model.settings(
        hardened=hardened,
        agreement=agreement_by_chance(con, relation, true_share, chosen) | name_agreement(con),
        given=chosen,
    )
    start["probability_two_random_records_match"] = true_share or chosen.fallback_prior
    counts = _session_pairs(con, relation)
    wanted = [name for name, pairs in counts.items() if pairs >= chosen.fewest_pairs]
    trained, sessions = _learn(con, relation, start, wanted, chosen.em_pairs)
    con.execute("DROP VIEW temp.training_record")
    # In small data a pair is likely to match, but that makes no shared birth date and postcode
    # better evidence: the prior has a ceiling.
    prior = min(true_share or chosen.fallback_prior, chosen.fallback_prior)
    trained["probability_two_random_records_match"] = prior
    pairs = sum(min(counts[name], chosen.em_pairs) for name in sessions)
    parameters_used = complete(trained, start, trust=pairs / (pairs + chosen.prior_pairs))
    check_complete(trained)
    _persist(con, table, trained, parameters_used, sessions, records, hardened)
    found = newest_model(con, table)
    assert found is not None
    return replace(found, is_new=True)


def _learn(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    start: dict[str, Any],
    sessions: list[str],
    em_pairs: int,
) -> tuple[dict[str, Any], list[str]]:
    """Expectation maximisation in each block that works; the settings, and which blocks did.

    Splink gives up on a session when a level dies out (m = 0) or every pair of it is true (a prior
    of 1, infinite odds) and leaves its linker half changed, so the others start again without that
    one.
    """
    from splink.internals.exceptions import SplinkException

    with linker(con, relation, start, doing="training the linkage model") as splink:
        for name in sessions:
            try:
                splink.training.estimate_parameters_using_expectation_maximisation(
                    model.TRAINING_BLOCKS[name],
                    max_pairs=em_pairs,
                    # There are none; each iteration then counts patterns instead of pairs.
                    estimate_without_term_frequencies=True,
                )
            except (ValueError, SplinkException):
                failed = name
                break
        else:
            return splink.misc.save_model_to_json(), sessions
    return _learn(con, relation, start, [s for s in sessions if s != failed], em_pairs)


def current_model(con: duckdb.DuckDBPyConnection) -> TrainedModel | None:
    """The model in force, or None before the first training."""
    return newest_model(con, IN_FORCE)


def newest_model(con: duckdb.DuckDBPyConnection, table: str) -> TrainedModel | None:
    """The newest model of :data:`IN_FORCE` or :data:`CANDIDATES`; None where there is none."""
    rows = con.execute(
        "SELECT model_id, settings, sessions, data_fingerprint, is_hardened"
        f" FROM {table} ORDER BY model_id DESC LIMIT 1"
    ).fetchall()
    if not rows:
        return None
    number, text, sessions, fingerprint, hardened = rows[0]
    return TrainedModel(
        number, json.loads(text), tuple(sessions), fingerprint, hardened, is_new=False
    )


def complete(trained: dict[str, Any], start: dict[str, Any], trust: float) -> list[dict[str, Any]]:
    """Settle, in place, every m and u; list them, with whether m was learnt.

    What is fixed or was not learnt keeps its fall-back. A learnt m is drawn towards the fall-back
    (weights ``trust`` and ``1 - trust``): a level that few pairs did not happen to show is rare,
    not impossible.
    """
    used = []
    for after, before in zip(trained["comparisons"], start["comparisons"], strict=True):
        for level, fallback in zip(
            after["comparison_levels"], before["comparison_levels"], strict=True
        ):
            if level.get("is_null_level"):
                continue
            learnt, assumed = level.get("m_probability"), fallback["m_probability"]
            usable = isinstance(learnt, int | float) and math.isfinite(learnt) and learnt > 0
            is_learnt = usable and learnt != assumed and not fallback["fix_m_probability"]
            m = trust * learnt + (1 - trust) * assumed if is_learnt else assumed
            level["m_probability"] = min(max(float(m), _LOWEST), 1 - _LOWEST)
            u = fallback["u_probability"]  # counted before training, or from the file
            level["u_probability"] = min(max(float(u), _LOWEST), 1 - _LOWEST)
            used.append(
                {
                    "comparison": after["output_column_name"],
                    "level": level["label_for_charts"],
                    "m": level["m_probability"],
                    "u": level["u_probability"],
                    "is_m_learnt": is_learnt,
                }
            )
    return used


def check_complete(settings: dict[str, Any]) -> None:
    """Refuse a model in which a level would silently count for nothing.

    Raises:
        LinkedCypError: names the first level without m or u strictly between 0 and 1.
    """
    for comparison in settings["comparisons"]:
        for level in comparison["comparison_levels"]:
            if level.get("is_null_level"):
                continue
            for kind in ("m_probability", "u_probability"):
                value = level.get(kind)
                if not isinstance(value, int | float) or not 0 < value < 1:
                    where = f"{comparison['output_column_name']}.{level['label_for_charts']}"
                    raise LinkedCypError(f"the linkage model has no {kind} for {where}")


def name_agreement(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, float]]:
    """How often the names of two random people agree, from the clear side (may be empty)."""
    result: dict[str, dict[str, float]] = {}
    for field, level, share in con.execute("FROM linkage.main.name_agreement").fetchall():
        result.setdefault(field, {})[level] = share
    return result


def _is_hardened(con: duckdb.DuckDBPyConnection) -> bool:
    rows = con.execute("SELECT is_hardened FROM linkage.main.build LIMIT 1").fetchall()
    return bool(rows[0][0]) if rows else True


def _session_pairs(con: duckdb.DuckDBPyConnection, relation: str) -> dict[str, int]:
    """Pairs in each training block, from group sizes (the blocks are all equalities)."""
    counts = {}
    for name, rule in model.TRAINING_BLOCKS.items():
        columns = ", ".join(part.split(" = ")[0].removeprefix("l.") for part in rule.split(" AND "))
        known = " AND ".join(f"{c} IS NOT NULL" for c in columns.split(", "))
        counts[name] = con.execute(
            f"SELECT coalesce(sum(n * (n - 1) / 2), 0)::BIGINT FROM (SELECT count(*) AS n"
            f" FROM {relation} WHERE {known} GROUP BY {columns})"
        ).fetchall()[0][0]
    return counts


def data_fingerprint(con: duckdb.DuckDBPyConnection) -> str:
    """A hash of which records there are and what they hold, whatever their order."""
    value = con.execute(
        "SELECT count(*)::VARCHAR || '-' || coalesce(bit_xor(hash(p)), 0)::VARCHAR FROM"
        " (SELECT * EXCLUDE (record_id, source, supplier) FROM linkage.main.person_record) p"
    ).fetchall()
    return str(value[0][0])


def _persist(
    con: duckdb.DuckDBPyConnection,
    table: str,
    trained: dict[str, Any],
    used: list[dict[str, Any]],
    sessions: list[str],
    records: int,
    hardened: bool,
) -> None:
    con.execute(
        f"INSERT INTO {table} SELECT coalesce(max(model_id), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ?, ?"
        f" FROM (SELECT model_id FROM {IN_FORCE} UNION ALL SELECT model_id FROM {CANDIDATES})",
        [
            datetime.now(UTC).replace(tzinfo=None),
            version("splink"),
            SEED,
            hardened,
            records,
            data_fingerprint(con),
            sessions,
            json.dumps(trained),
            used,
        ],
    )
