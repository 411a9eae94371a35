"""The tables of clerical review in the linkage store. Nothing in them is ever changed or deleted.

``review_sheet``: one row per sheet drawn. ``review_pair``: what stands under each number of a
sheet, and what share of its stratum was drawn. ``decision``: what a reviewer said; which counts is
:func:`linked_cyp.linkage.review.decisions.newest_sql`. ``threshold``: the weight from which an edge
class is believed; the newest counts.
"""

from __future__ import annotations

import duckdb

DDL = {
    "review_sheet": "sheet_id VARCHAR, created TIMESTAMP, seed BIGINT, pairs BIGINT,"
    " model_id BIGINT",
    "review_pair": "sheet_id VARCHAR, number INTEGER, record_key_l BIGINT, record_key_r BIGINT,"
    " edge_class VARCHAR, reason VARCHAR, stratum VARCHAR, stratum_pairs BIGINT, fraction DOUBLE,"
    " weight DOUBLE, match_weight DOUBLE, model_id BIGINT",
    "decision": "decision_id BIGINT, record_key_l BIGINT, record_key_r BIGINT, decision VARCHAR,"
    " reviewer VARCHAR, note VARCHAR, decided TIMESTAMP, sheet_id VARCHAR, match_weight DOUBLE,"
    " model_id BIGINT",
    "threshold": "edge_class VARCHAR, weight DOUBLE, basis VARCHAR, false_link DOUBLE,"
    " missed_link DOUBLE, decided TIMESTAMP, decided_by VARCHAR, labelled_pairs BIGINT",
}


def ensure_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Create what is missing; needs a writable ``linkage`` catalog."""
    for name, columns in DDL.items():
        con.execute(f"CREATE TABLE IF NOT EXISTS linkage.main.{name} ({columns})")
