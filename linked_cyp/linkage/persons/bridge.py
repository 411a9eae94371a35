"""The bridge: all the warehouse sees of linkage, with the counts of each run."""

from __future__ import annotations

import hashlib

import duckdb
import polars as pl

from linked_cyp.core.errors import value_free
from linked_cyp.core.sql import insert, transaction
from linked_cyp.linkage.model.parameters import Parameters, parameters
from linked_cyp.linkage.pairs.edges import edge_class_sql, held_sql, supported_sql
from linked_cyp.linkage.persons.registry import EVENTS
from linked_cyp.linkage.records.opt_outs import leave_out_excluded, leave_out_objectors

TIERS = ("identifier", "strong", "probable", "unlinked", "excluded")


def publish_bridge(
    con: duckdb.DuckDBPyConnection, *, given: Parameters | None = None
) -> dict[str, int]:
    """Write what the warehouse may know: who is who, how surely, and how the run went.

    ``warehouse.linkage.bridge`` (record_key, feed, person_id, tier), ``warehouse.linkage.summary``
    (run_id, run_date, measure, value; one set per run), ``warehouse.linkage.model`` (number,
    creation and fingerprint) and ``warehouse.linkage.delivery`` (delivery_id, received_at: what the
    person records were built from, which the release gate compares with the ledger). Who opted out
    or is sensitive is not in the bridge; ``warehouse.linkage.opt_out`` says what was applied, and
    ``opted_out`` (record_key, feed, opt_out, reason) why a record has no person.

    Tiers: *identifier* (agrees in NHS number, UPN or local id, and in birth date or forename, with
    a record of the person, or in year and month: :mod:`linked_cyp.linkage.records.pseudonyms`),
    *strong* and *probable* (by match weight), *unlinked* (alone) and *excluded* (may not be
    linked).

    Returns:
        The measures of this run.
    """
    chosen = given or parameters()
    with value_free("publishing the bridge"):
        everybody = leave_out_excluded(con, con.execute(_bridge_sql(chosen)).pl())
        bridge = leave_out_objectors(con, everybody)
        run_id, day, model_id = con.execute(
            "SELECT run_id, run_date, model_id FROM linkage.main.run ORDER BY run_id DESC LIMIT 1"
        ).fetchall()[0]
        measures = _measures(con, bridge, run_id)
        models = con.execute(
            "SELECT model_id, created, settings, splink_version, is_hardened, records"
            " FROM linkage.main.model WHERE model_id = ?",
            [model_id],
        ).fetchall()
        con.execute("CREATE SCHEMA IF NOT EXISTS warehouse.linkage")
        con.register("bridge_now", bridge.to_arrow())
        try:
            with transaction(con):
                con.execute("CREATE OR REPLACE TABLE warehouse.linkage.bridge AS FROM bridge_now")
                con.execute(
                    "CREATE OR REPLACE TABLE warehouse.linkage.delivery AS"
                    " SELECT delivery_id, received_at FROM linkage.main.delivery ORDER BY ALL"
                )
                for name in ("opt_out", "opted_out"):
                    con.execute(
                        f"CREATE OR REPLACE TABLE warehouse.linkage.{name} AS"
                        f" FROM linkage.main.{name} ORDER BY ALL"
                    )
                con.execute(
                    "CREATE TABLE IF NOT EXISTS warehouse.linkage.summary"
                    " (run_id BIGINT, run_date DATE, measure VARCHAR, value BIGINT)"
                )
                con.execute("DELETE FROM warehouse.linkage.summary WHERE run_id = ?", [run_id])
                con.executemany(
                    "INSERT INTO warehouse.linkage.summary VALUES (?, ?, ?, ?)",
                    [(run_id, day, name, value) for name, value in measures.items()],
                )
                con.execute(
                    "CREATE OR REPLACE TABLE warehouse.linkage.model (model_id BIGINT,"
                    " created TIMESTAMP, fingerprint VARCHAR, splink_version VARCHAR,"
                    " is_hardened BOOLEAN, records BIGINT)"
                )
                for number, created, text, *rest in models:
                    fingerprint = hashlib.sha256(text.encode()).hexdigest()
                    version, is_hardened, records = rest
                    model = {
                        "model_id": number,
                        "created": created,
                        "fingerprint": fingerprint,
                        "splink_version": version,
                        "is_hardened": is_hardened,
                        "records": records,
                    }
                    insert(con, "warehouse.linkage.model", model)
        finally:
            con.unregister("bridge_now")
    return measures


def links_fingerprint(con: duckdb.DuckDBPyConnection) -> tuple[int, ...] | None:
    """What the curated tables take from linkage, as numbers that differ when it does; None where
    nothing was published."""
    tables = ("bridge", "delivery", "opt_out", "opted_out")
    held = con.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'warehouse'"
        " AND schema_name = 'linkage' AND list_contains(?, table_name)",
        [list(tables)],
    ).fetchone()
    if held != (len(tables),):
        return None
    numbers: list[int] = []
    for name in tables:
        numbers += con.execute(
            f"SELECT count(*), coalesce(bit_xor(hash(t)), 0) FROM warehouse.linkage.{name} AS t"
        ).fetchall()[0]
    return tuple(numbers)


def _bridge_sql(chosen: Parameters) -> str:
    return f"""
        WITH inside AS (
            SELECT p.record_key_l, p.record_key_r, match_weight,
                {edge_class_sql()} = 'identifier' AND {supported_sql()} OR {held_sql()} AS agrees
            FROM linkage.main.pairs p
            JOIN linkage.main.person l ON l.record_key = p.record_key_l
            JOIN linkage.main.person r ON r.record_key = p.record_key_r AND r.cluster = l.cluster
        ), best AS (
            SELECT record_key, bool_or(agrees) AS agrees, max(match_weight) AS weight FROM (
                SELECT record_key_l AS record_key, agrees, match_weight FROM inside
                UNION ALL SELECT record_key_r, agrees, match_weight FROM inside
            ) GROUP BY record_key
        ), sizes AS (
            SELECT person_id, count(*) AS n FROM linkage.main.registry
            WHERE is_current GROUP BY person_id
        )
        SELECT g.record_key, s.feed, g.person_id,
            CASE WHEN pr.exclusion IS NOT NULL THEN 'excluded' WHEN z.n = 1 THEN 'unlinked'
                 WHEN b.agrees THEN 'identifier' WHEN b.weight >= {chosen.strong_weight}
                 THEN 'strong' ELSE 'probable' END AS tier
        FROM linkage.main.registry g
        JOIN linkage.main.person_record pr ON pr.record_key = g.record_key AND pr.alternative = 0
        JOIN linkage.main.source s USING (source)
        JOIN sizes z USING (person_id)
        LEFT JOIN best b ON b.record_key = g.record_key
        WHERE g.is_current ORDER BY g.record_key
    """


def _measures(con: duckdb.DuckDBPyConnection, bridge: pl.DataFrame, run_id: int) -> dict[str, int]:
    """Counts of a run, by name; no token, no person."""
    pairs, refused = con.execute(
        "SELECT (SELECT count(*) FROM linkage.main.pairs),"
        " (SELECT count(*) FROM linkage.main.refused)"
    ).fetchall()[0]
    measures = {
        "records": bridge.height,
        "persons": bridge["person_id"].n_unique(),
        "pairs": pairs,
        "refused": refused,
    }
    tiers = dict(bridge["tier"].value_counts().iter_rows())
    measures |= {f"tier_{tier}": tiers.get(tier, 0) for tier in TIERS}
    events = dict(
        con.execute(
            "SELECT event, count(*) FROM linkage.main.event WHERE run_id = ? GROUP BY 1", [run_id]
        ).fetchall()
    )
    measures |= {f"event_{event}": events.get(event, 0) for event in EVENTS}
    sizes = bridge.group_by("person_id").agg(pl.len().alias("n"))["n"]
    measures["largest_person"] = max(sizes.to_list(), default=0)
    return measures
