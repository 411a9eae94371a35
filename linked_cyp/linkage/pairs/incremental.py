"""Which records have to be scored again: ``linkage.main.scored``.

The pairs that are stored were computed from records with these fingerprints. A fingerprint covers
the model, the rules, the thresholds and everything of a source person that scoring reads, so a
pair between two records whose fingerprints did not change is still right.

The numbers of sources and suppliers are left out: they are ranks, and move when a supplier is new.
What they stand for cannot change, because it is part of the record key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

RANKS = ("source", "supplier")
CHANGED = "temp.main.record_changed"  # record_key of what has to be scored
_NOW = "temp.main.record_fingerprint"


@dataclass(frozen=True)
class Changes:
    """Source persons that may be linked, against those that the stored pairs stand for."""

    records: int
    changed: int  # new, or not what they were
    gone: int  # withdrawn, or no longer allowed to be linked
    is_full: bool  # score everything: no state, or too much of it is out of date


def find_changes(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Sequence[str],
    scoring: Any,
    rescore_share: float,
) -> Changes:
    """Compare records with the state; the changed ones are in :data:`CHANGED`.

    Args:
        con: connection with a ``linkage`` catalog.
        relation: what will be scored, with ``record_key`` and ``alternative``.
        columns: of the relation that scoring reads.
        scoring: everything else that scoring depends on, as JSON can write it.
        rescore_share: from this share of changed records all are scored again.
    """
    digest = hashlib.sha256(json.dumps(scoring, sort_keys=True).encode()).digest()
    read = ", ".join(c for c in columns if c not in RANKS)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {_name(_NOW)} AS SELECT record_key,"
        # Each row has a number of its own, so no two of them cancel out.
        f" (bit_xor(hash($salt, alternative, {read})) >> 1)::BIGINT AS fingerprint"
        f" FROM {relation} GROUP BY record_key",
        {"salt": int.from_bytes(digest[:8], signed=True)},
    )
    known = has_state(con)
    before = "linkage.main.scored" if known else f"(FROM {_NOW} LIMIT 0)"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {_name(CHANGED)} AS SELECT record_key FROM {_NOW}"
        f" ANTI JOIN {before} USING (record_key, fingerprint)"
    )
    records, changed, gone = con.execute(
        f"SELECT (SELECT count(*) FROM {_NOW}), (SELECT count(*) FROM {CHANGED}),"
        f" (SELECT count(*) FROM {before} ANTI JOIN {_NOW} USING (record_key))"
    ).fetchall()[0]
    return Changes(records, changed, gone, not known or changed > rescore_share * records)


def has_state(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether ``linkage.main.pairs`` stands for known records."""
    return (
        con.execute(
            "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'linkage'"
            " AND schema_name = 'main' AND table_name IN ('pairs', 'scored')"
        ).fetchall()[0][0]
        == 2
    )


def drop_outdated(con: duckdb.DuckDBPyConnection) -> int:
    """Delete the stored pairs of records that changed or are gone; how many pairs are left."""
    con.execute(
        "DELETE FROM linkage.main.pairs WHERE"
        f" record_key_l IN (FROM {CHANGED}) OR record_key_r IN (FROM {CHANGED})"
        f" OR record_key_l NOT IN (SELECT record_key FROM {_NOW})"
        f" OR record_key_r NOT IN (SELECT record_key FROM {_NOW})"
    )
    return con.execute("SELECT count(*) FROM linkage.main.pairs").fetchall()[0][0]


def remember(con: duckdb.DuckDBPyConnection, model_id: int) -> None:
    """Write the state that the pairs stand for now: ``linkage.main.scored``."""
    con.execute(
        "CREATE OR REPLACE TABLE linkage.main.scored AS"
        f" SELECT record_key, fingerprint, {model_id:d}::BIGINT AS model_id FROM {_NOW}"
    )


def forget(con: duckdb.DuckDBPyConnection) -> None:
    """Drop the state: the next scoring is a full one."""
    con.execute("DROP TABLE IF EXISTS linkage.main.scored")


def clear(con: duckdb.DuckDBPyConnection) -> None:
    """Drop the temporary tables of :func:`find_changes`."""
    for name in (_NOW, CHANGED):
        con.execute(f"DROP TABLE IF EXISTS {name}")


def _name(qualified: str) -> str:
    return qualified.rsplit(".", 1)[1]
