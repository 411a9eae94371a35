"""Score candidate pairs with the persisted model: ``linkage.main.pairs``."""

from __future__ import annotations

import re

import duckdb

from linked_cyp.errors import LinkedCypError
from linked_cyp.linkage import model
from linked_cyp.linkage.parameters import Parameters, parameters
from linked_cyp.linkage.person_records import COLUMNS
from linked_cyp.linkage.splink_session import linker
from linked_cyp.linkage.training import TrainedModel, current_model


def predict(
    con: duckdb.DuckDBPyConnection, *, chunks: int = 1, given: Parameters | None = None
) -> int:
    """Score every pair that a blocking rule finds and keep those worth resolving.

    Records with an exclusion (adoption, sensitive, withheld) are not among the input, so no rule
    can pair them. Where records have alternatives, their best combination stands for the pair.

    Args:
        con: connection with a writable ``linkage`` catalog that holds records and a model.
        chunks: score in this many parts to bound memory (same result).

    Returns:
        Number of rows of ``linkage.main.pairs`` (record_key_l < record_key_r, match_weight,
        one ``gamma_`` per comparison, model_id).

    Raises:
        LinkedCypError: there is no model, or Splink failed.
    """
    trained = current_model(con)
    if trained is None:
        raise LinkedCypError("there is no linkage model: train one first")
    chosen = given or parameters()
    relation = "(SELECT * FROM linkage.main.person_record WHERE exclusion IS NULL)"
    with linker(con, relation, trained.settings, doing="scoring candidate pairs") as splink:
        found = splink.inference.predict(
            threshold_match_weight=chosen.lowest_weight,
            **({"num_chunks_left": chunks, "num_chunks_right": 1} if chunks > 1 else {}),
        )
        con.execute(_pairs_sql(found.physical_name, trained))
    return con.execute("SELECT count(*) FROM linkage.main.pairs").fetchall()[0][0]


def _pairs_sql(scored: str, trained: TrainedModel) -> str:
    """Best combination per pair of source persons; ties go to the first, so re-runs agree.

    Splink keeps the levels only together with every column compared, so they are worked out again
    for the few pairs that remain.
    """
    levels = model.comparison_levels(trained.is_hardened)
    used = [c for c in COLUMNS if re.search(rf"\b{c}_[lr]\b", str(levels))]
    sides = ", ".join(f"{side}.{c} AS {c}_{side}" for c in used for side in "lr")
    gammas = ", ".join(f"{_case(name, rules)} AS gamma_{name}" for name, rules in levels.items())
    return f"""
        CREATE OR REPLACE TABLE linkage.main.pairs AS
        WITH scored AS (
            SELECT least(record_key_l, record_key_r) AS key_l,
                   greatest(record_key_l, record_key_r) AS key_r,
                   max({{'w': match_weight, 'l': -record_id_l, 'r': -record_id_r}}) AS best
            FROM {scored} WHERE record_key_l <> record_key_r GROUP BY ALL
        ), sides AS (
            SELECT key_l, key_r, best.w AS match_weight, {sides}
            FROM scored
            JOIN linkage.main.person_record l ON l.record_id = -best.l
            JOIN linkage.main.person_record r ON r.record_id = -best.r
        )
        SELECT key_l AS record_key_l, key_r AS record_key_r, match_weight, {gammas},
               {trained.model_id}::BIGINT AS model_id
        FROM sides ORDER BY key_l, key_r
    """


def _case(name: str, rules: model.Levels) -> str:
    """The level's number, as Splink would number it."""
    whens = " ".join(
        f"WHEN {sql} THEN {model.level_number(name, label)}"
        for label, sql in rules.items()
        if sql != "ELSE"
    )
    return f"(CASE {whens} ELSE 0 END)::TINYINT"
