"""Score candidate pairs with the model in force: ``linkage.main.pairs``.

Only what changed since the last run is scored, within itself and against the rest, in parts that
fit into the connection's memory. A first run is the same with everything new: each part is scored
within itself and against the parts before it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import duckdb

from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import transaction
from linked_cyp.identity import comparisons
from linked_cyp.identity.person_records import COLUMNS
from linked_cyp.linkage.model import settings as model
from linked_cyp.linkage.model.parameters import Parameters, parameters
from linked_cyp.linkage.model.splink_session import SCHEMA, database, linker
from linked_cyp.linkage.model.training import TrainedModel, current_model
from linked_cyp.linkage.pairs import blocking, incremental
from linked_cyp.linkage.pairs.spark import Spark

_FOUND = f"memory.{SCHEMA}.pair_found"
_UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def predict(
    con: duckdb.DuckDBPyConnection,
    *,
    chunks: int | None = None,
    given: Parameters | None = None,
    use_state: bool = True,
    spark: Spark | None = None,
) -> dict[str, int | str]:
    """Score the pairs that a blocking rule finds and keep those worth resolving.

    Records with an exclusion (adoption, sensitive, withheld) are not among the input, so no rule
    can pair them. Where records have alternatives, their best combination stands for the pair.

    Args:
        con: connection with a writable ``linkage`` catalog that holds records and a model.
        chunks: score in this many parts (same result); by default as many as memory asks for.
        given: other parameters than those of the file.
        use_state: score only what changed since the last run, and remember this one. Without it
            everything is scored and nothing remembered.
        spark: score on Spark instead of DuckDB (same result); ``chunks`` is Spark's own matter.

    Writes ``linkage.main.pairs`` (record_key_l < record_key_r, match_weight, one ``gamma_`` per
    comparison, the ``rule`` that found it first, model_id), ``blocking`` and ``scored``.

    Returns:
        ``mode`` (full or incremental), ``pairs`` in the table, ``kept_pairs`` of them stored
        before, ``scored_records`` (source persons), ``candidates`` counted for all records before
        de-duplication, ``chunks``.

    Raises:
        LinkedCypError: there is no model, it compares otherwise than this version, or Splink
            failed.
    """
    trained = current_model(con)
    if trained is None:
        raise LinkedCypError("there is no linkage model: train one first")
    if not has_present_comparisons(trained):
        raise LinkedCypError(
            "the linkage model was trained on other comparisons than this version makes:"
            " train it again"
        )
    chosen = given or parameters()
    with value_free("scoring candidate pairs"):
        counts = blocking.count_candidates(con, chosen)
        used = [count for count in counts if count.is_used]
        columns = _columns_used(trained)
        relation = blocking.candidates(used, ["record_id", "record_key", "alternative", *columns])
        settings = trained.settings | {
            "blocking_rules_to_generate_predictions": [
                {"blocking_rule": count.sql, "sql_dialect": "duckdb"} for count in used
            ]
        }
        if use_state:
            scoring = [trained.model_id, settings, chosen.lowest_weight, version("splink")]
            read = [*columns, *blocking.flags(used)]
            changes = incremental.find_changes(con, relation, read, scoring, chosen.rescore_share)
        else:
            changes = incremental.Changes(_records(con), _records(con), 0, is_full=True)
        scored = changes.records if changes.is_full else changes.changed
        candidates = sum(count.pairs for count in used)
        share = scored / max(changes.records, 1)
        parts = chunks or parts_for(
            _free_memory(con),
            records=round(share * counts[0].rows),
            pairs=round(min(1, 2 * share) * candidates),  # a pair has two chances to be new
            given=chosen,
        )
        plan = _Plan(parts, changes.is_full)
        with linker(con, relation, settings, doing="scoring candidate pairs") as splink:
            con.execute(f"CREATE TABLE {_FOUND} ({_pairs_ddl(trained)})")
            if used and scored and spark:
                new = None if changes.is_full else incremental.CHANGED
                with spark.scored(con, settings, chosen.lowest_weight, new) as found:
                    con.execute(f"INSERT INTO {_FOUND} {_pairs_sql(found, trained, used)}")
            elif used and scored:
                for part in range(parts):
                    _score_part(con, splink, plan, part, trained, used, chosen.lowest_weight)
            kept = _store(con, trained, counts, plan, use_state)
        incremental.clear(con)
    total = con.execute("SELECT count(*) FROM linkage.main.pairs").fetchall()[0][0]
    return {
        "mode": "full" if changes.is_full else "incremental",
        "pairs": total,
        "kept_pairs": kept,
        "scored_records": scored,
        "candidates": candidates,
        "chunks": parts,
    }


def has_present_comparisons(trained: TrainedModel) -> bool:
    """Whether a model's levels are those by which this version resolves and explains pairs."""
    learnt = {
        comparison["output_column_name"]: {
            level["label_for_charts"]: level["sql_condition"]
            for level in comparison["comparison_levels"]
        }
        for comparison in trained.settings["comparisons"]
    }
    return learnt == _levels(trained)


def _levels(trained: TrainedModel) -> dict[str, comparisons.Levels]:
    return model.levels_of(trained.is_hardened, model.further_in(trained.settings))


def parts_for(memory: int, *, records: int, pairs: int, given: Parameters) -> int:
    """In how many parts scoring fits into a share of ``memory`` (bytes)."""
    needed = records * given.record_bytes + pairs * given.pair_bytes
    return max(1, math.ceil(needed / (memory * given.memory_share)))


@dataclass(frozen=True)
class _Plan:
    """Which records of ``person_input`` belong to a part, and which it is scored against."""

    parts: int
    is_full: bool

    def part(self, number: int) -> str:
        return f"{self._is_new()} AND {self._number()} = {number}"

    def before(self, number: int) -> str | None:
        """None where nothing comes before."""
        if self.is_full:
            return f"{self._number()} < {number}" if number else None
        return f"NOT {self._is_new()} OR {self._number()} < {number}"

    def _is_new(self) -> str:
        return "TRUE" if self.is_full else f"record_key IN (FROM {incremental.CHANGED})"

    def _number(self) -> str:
        return f"hash(record_key) % {self.parts}"  # all rows of a source person are in one part


def _score_part(
    con: duckdb.DuckDBPyConnection,
    splink: Any,
    plan: _Plan,
    number: int,
    trained: TrainedModel,
    used: Sequence[blocking.RuleCount],
    lowest_weight: float,
) -> None:
    """Add the pairs of one part to :data:`_FOUND`."""
    part = _registered(con, splink, f"part_{number}", plan.part(number))
    found = [splink.inference.predict_within(part, threshold_match_weight=lowest_weight)]
    before = plan.before(number)
    if before:
        rest = _registered(con, splink, f"before_part_{number}", before)
        found.append(
            splink.inference.predict_between(rest, part, threshold_match_weight=lowest_weight)
        )
    for scored in found:
        con.execute(f"INSERT INTO {_FOUND} {_pairs_sql(scored.physical_name, trained, used)}")
        scored.drop_table_from_database_and_remove_from_cache()


def _registered(con: duckdb.DuckDBPyConnection, splink: Any, name: str, condition: str) -> Any:
    """Some of the input records, as Splink takes them."""
    con.execute(f"CREATE VIEW {name} AS FROM person_input WHERE {condition}")
    return database(splink).register(name)


def _store(
    con: duckdb.DuckDBPyConnection,
    trained: TrainedModel,
    counts: Sequence[blocking.RuleCount],
    plan: _Plan,
    use_state: bool,
) -> int:
    """Write what was found in one transaction; how many stored pairs are still right."""
    with transaction(con):
        kept = 0
        if plan.is_full:
            con.execute(f"CREATE OR REPLACE TABLE linkage.main.pairs AS FROM {_FOUND}")
        else:
            kept = incremental.drop_outdated(con)
            con.execute(f"INSERT INTO linkage.main.pairs BY NAME FROM {_FOUND}")
        blocking.write_counts(con, trained.model_id, counts)
        if use_state:
            incremental.remember(con, trained.model_id)
        else:
            incremental.forget(con)
    return kept


def _pairs_ddl(trained: TrainedModel) -> str:
    gammas = "".join(f"gamma_{name} TINYINT, " for name in _levels(trained))
    return (
        f"record_key_l BIGINT, record_key_r BIGINT, match_weight DOUBLE, {gammas}"
        "rule VARCHAR, model_id BIGINT"
    )


def _pairs_sql(scored: str, trained: TrainedModel, used: Sequence[blocking.RuleCount]) -> str:
    """Best combination per pair of source persons; ties go to the first, so re-runs agree.

    Splink keeps the levels only together with every column compared, so they are worked out again
    for the few pairs that remain.
    """
    levels = _levels(trained)
    stored = (*COLUMNS, *model.further_in(trained.settings))
    compared = [c for c in stored if re.search(rf"\b{c}_[lr]\b", str(levels))]
    sides = ", ".join(f"{side}.{c} AS {c}_{side}" for c in compared for side in "lr")
    gammas = ", ".join(f"{_case(rules)} AS gamma_{name}" for name, rules in levels.items())
    names = ", ".join(f"'{count.rule}'" for count in used)
    return f"""
        WITH best AS (
            SELECT least(record_key_l, record_key_r) AS key_l,
                   greatest(record_key_l, record_key_r) AS key_r,
                   max({{'w': match_weight,
                         'l': -if(record_key_l < record_key_r, record_id_l, record_id_r),
                         'r': -if(record_key_l < record_key_r, record_id_r, record_id_l)}}) AS best,
                   min(match_key::INTEGER) AS rule
            FROM {scored} GROUP BY ALL
        ), sides AS (
            SELECT key_l, key_r, best.w AS match_weight, rule, {sides}
            FROM best
            JOIN linkage.main.person_record l ON l.record_id = -best.l
            JOIN linkage.main.person_record r ON r.record_id = -best.r
        )
        SELECT key_l AS record_key_l, key_r AS record_key_r, match_weight, {gammas},
               [{names}][rule + 1] AS rule, {trained.model_id}::BIGINT AS model_id
        FROM sides ORDER BY key_l, key_r
    """


def _case(rules: comparisons.Levels) -> str:
    """The level's number, as Splink would number it."""
    whens = " ".join(
        f"WHEN {sql} THEN {-1 if label == comparisons.NULL_LEVEL else len(rules) - 1 - place}"
        for place, (label, sql) in enumerate(rules.items())
        if sql != "ELSE"
    )
    return f"(CASE {whens} ELSE 0 END)::TINYINT"


def _columns_used(trained: TrainedModel) -> list[str]:
    """Columns of ``person_record`` that the model or a blocking rule reads."""
    text = str(trained.settings["comparisons"])
    rules = blocking.columns_used()
    further = list(model.further_in(trained.settings))
    return further + [c for c in COLUMNS if c in rules or re.search(rf"\b{c}(_[lr])?\b", text)]


def _records(con: duckdb.DuckDBPyConnection) -> int:
    return con.execute(
        f"SELECT count(*) FROM {blocking.ELIGIBLE} WHERE alternative = 0"
    ).fetchall()[0][0]


def _free_memory(con: duckdb.DuckDBPyConnection) -> int:
    """Bytes of the connection's memory limit that tables held in memory have not taken.

    At least a tenth of the limit: what is held may be spilled.
    """
    limit, taken = con.execute(
        "SELECT current_setting('memory_limit'), (SELECT coalesce(sum(memory_usage_bytes), 0)"
        " FROM duckdb_memory() WHERE tag = 'IN_MEMORY_TABLE')"
    ).fetchall()[0]
    number, unit = str(limit).split(" ")
    size = float(number) * _UNITS[unit]
    return int(max(size - float(taken), size / 10))
