"""No model compares every row of one table with every row of another.

DuckDB does so, whatever the sizes, when a join's condition is not made of plain comparisons: an
``or``, or a condition on one side alone. At half a million children that is hours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

EVERY_PAIR = ("BLOCKWISE_NL_JOIN", "NESTED_LOOP_JOIN")
# The other side is a short list: beginnings of codes, ranges of codes, financial years.
SHORT_LISTS = {"prescription_codelist", "hospital_diagnosis_group", "avoidable_admission_year"}
QUADRATIC = """
    SELECT count(*) FROM range(9) AS l(a)
    LEFT JOIN range(9) AS r(b) ON a = b AND (a < 5 OR b IS NULL)
"""


def joins(con: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    """The operators of a query's plan."""
    plan = con.execute(f"EXPLAIN (FORMAT json) {sql}").fetchall()[0][1]

    def names(node: dict[str, Any]) -> Iterator[str]:
        yield node["name"].strip()
        for child in node.get("children", []):
            yield from names(child)

    return {name for root in json.loads(plan) for name in names(root)}


def test_a_quadratic_join_is_seen() -> None:
    with duckdb.connect() as con:
        assert joins(con, QUADRATIC) & set(EVERY_PAIR)


def test_models_join_by_hash(built: Path) -> None:
    manifest = json.loads((built / "target" / "manifest.json").read_text(encoding="utf-8"))
    models = {
        node["name"]: node["compiled_code"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
    }
    assert len(models) > 100
    with duckdb.connect(str(built / "warehouse.duckdb"), read_only=True) as con:
        # the hand-worked tables are so small that loops are chosen for speed
        con.execute("SET nested_loop_join_threshold = 0; SET asof_loop_join_threshold = 0")
        slow = {name for name, sql in models.items() if joins(con, sql) & set(EVERY_PAIR)}
    assert slow <= SHORT_LISTS
