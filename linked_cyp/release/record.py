"""What a release says about itself: dictionary, lineage, provenance, link quality, known problems.

These tables are small. Counts in them are suppressed under 10 and rounded to 5.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

import linked_cyp
from linked_cyp.contracts.model import Contract
from linked_cyp.contracts.pseudonymised import DELIVERIES
from linked_cyp.core.disclosure import hidden, rounded
from linked_cyp.core.sql import exists, quoted
from linked_cyp.curated.left_out import LEFT_OUT
from linked_cyp.curated.left_out_rules import REASONS
from linked_cyp.metadata.dictionary import Entry, cited, lineage_text
from linked_cyp.metadata.lineage import ColumnRef, Edge, by_downstream, edge_rows, upstream_of
from linked_cyp.release.build import FRESH, ReleaseTable, comment_on
from linked_cyp.release.gate import CHECKS, OPT_OUTS

BRIDGE = "warehouse.linkage.bridge"
MODEL = "warehouse.linkage.model"


@dataclass(frozen=True)
class RecordTable:
    """A small table of the release: columns as (name, SQL type, comment)."""

    schema: str
    name: str
    comment: str
    columns: Sequence[tuple[str, str, str]]
    rows: Sequence[Sequence[Any]]


def write(con: duckdb.DuckDBPyConnection, table: RecordTable) -> None:
    """Create the table in the catalog being built, with its comments and rows in order."""
    schema = f"{FRESH}.{quoted(table.schema)}"
    relation = f"{schema}.{quoted(table.name)}"
    con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    columns = ", ".join(f"{quoted(name)} {kind}" for name, kind, _ in table.columns)
    con.execute(f"CREATE TABLE {relation} ({columns})")
    if table.rows:
        names = [name for name, _, _ in table.columns]
        rows = pl.DataFrame(
            [list(row) for row in table.rows], schema=names, orient="row", infer_schema_length=None
        )
        con.register("record_rows", rows.to_arrow())
        con.execute(f"INSERT INTO {relation} FROM record_rows")
        con.unregister("record_rows")
    comment_on(con, "TABLE", relation, table.comment)
    for name, _, comment in table.columns:
        comment_on(con, "COLUMN", f"{relation}.{quoted(name)}", comment)


def dictionary_table(
    tables: Iterable[ReleaseTable], documented: Mapping[ColumnRef, Entry], edges: Sequence[Edge]
) -> RecordTable:
    rows = []
    behind = by_downstream(edges)  # looked through once, not for every column
    for table in tables:
        for position, column in enumerate(table.columns, start=1):
            ref = ColumnRef(table.zone, table.name, column.name)
            entry = documented.get(ref)
            source = entry.definition_source if entry else ""
            rows.append(
                (
                    table.zone,
                    table.name,
                    column.name,
                    position,
                    column.type,
                    column.comment,
                    source or cited(column.comment.split(" Pseudonym made")[0], {})[1] or None,
                    lineage_text(behind, ref) or None,
                )
            )
    return RecordTable(
        "main",
        "dictionary",
        "Every variable of this release: one row per column of a research table.",
        (
            ("table_schema", "VARCHAR", "Schema of the table: curated or cohort."),
            ("table_name", "VARCHAR", "Name of the table."),
            ("column_name", "VARCHAR", "Name of the column."),
            ("position", "INTEGER", "Place of the column in its table, from 1."),
            ("data_type", "VARCHAR", "DuckDB type."),
            ("description", "VARCHAR", "What the column means."),
            ("definition_source", "VARCHAR", "Who defines it so; empty where nobody is cited."),
            ("source_fields", "VARCHAR", "The suppliers' fields it is made from: table.field; …"),
        ),
        sorted(rows),
    )


def lineage_table(tables: Iterable[ReleaseTable], edges: Sequence[Edge]) -> RecordTable:
    wanted = [ColumnRef(t.zone, t.name, c.name) for t in tables for c in t.columns]
    return RecordTable(
        "provenance",
        "column_lineage",
        "How each column came about, step by step, back to the field a supplier sent.",
        (
            ("from_zone", "VARCHAR", "Zone of the column used; supplier for a field as sent."),
            ("from_table", "VARCHAR", "Table of the column used."),
            ("from_column", "VARCHAR", "Column used."),
            ("to_zone", "VARCHAR", "Zone of the column made."),
            ("to_table", "VARCHAR", "Table of the column made."),
            ("to_column", "VARCHAR", "Column made."),
            ("step", "VARCHAR", "Treatment (read, keep, token, coarsen_…) or the model's name."),
        ),
        edge_rows(upstream_of(edges, wanted)),
    )


def contract_table(contracts: Mapping[str, Contract]) -> RecordTable:
    return RecordTable(
        "provenance",
        "contract",
        "The data contracts in force: one row per feed.",
        (
            ("feed", "VARCHAR", "Name of the feed."),
            ("title", "VARCHAR", "Title of the feed."),
            ("version", "VARCHAR", "Version of its contract."),
            ("domain", "VARCHAR", "education, social_care or health."),
            ("legal_basis", "VARCHAR", "Recorded legal basis for receiving it."),
            ("source_of_fact", "VARCHAR", "Where its layout is specified."),
        ),
        sorted(
            (
                c.feed,
                c.title,
                c.version,
                c.domain,
                " ".join(c.legal_basis.split()),
                c.source_of_fact or None,
            )
            for c in contracts.values()
        ),
    )


def delivery_table(con: duckdb.DuckDBPyConnection) -> RecordTable:
    names = ("delivery_id", "supplier", "feed", "period", "collection_year", "status")
    counts = ("rows_received", "rows_accepted", "rows_quarantined")
    held = {name for name, *_ in con.execute(f"DESCRIBE {DELIVERIES}").fetchall()}
    chosen = [n if n in held else f"NULL AS {n}" for n in (*names, *counts)]
    rows = con.execute(f"SELECT {', '.join(chosen)} FROM {DELIVERIES} ORDER BY ALL").fetchall()
    return RecordTable(
        "provenance",
        "delivery",
        "The deliveries known when this release was made; only accepted ones are in it.",
        (
            ("delivery_id", "VARCHAR", "Supplier, period and content of the delivery."),
            ("supplier", "VARCHAR", "Who sent it."),
            ("feed", "VARCHAR", "Which feed it belongs to."),
            ("period", "VARCHAR", "The period it reports on."),
            ("collection_year", "INTEGER", "The collection year of that period."),
            ("status", "VARCHAR", "accepted, rejected, superseded or withdrawn."),
            ("rows_received", "BIGINT", "Rows sent; rounded to 5, empty under 10."),
            ("rows_accepted", "BIGINT", "Rows accepted; rounded to 5, empty under 10."),
            ("rows_quarantined", "BIGINT", "Rows set aside; rounded to 5, empty under 10."),
        ),
        [(*row[:6], *(None if n is None else rounded(n) for n in row[6:])) for row in rows],
    )


def left_out_table(con: duckdb.DuckDBPyConnection) -> RecordTable:
    """Why accepted rows are in no curated table; what the build left in the warehouse."""
    rows: list[tuple[Any, ...]] = []
    if exists(con, LEFT_OUT):
        found = con.execute(
            f"SELECT feed, table_name, delivery_id, reason, rows FROM {LEFT_OUT} ORDER BY ALL"
        ).fetchall()
        for _, group in groupby(found, key=lambda row: row[:3]):
            parts = list(group)
            counts = [row[4] for row in parts]
            secret = hidden(sum(counts), counts)
            rows += [
                (*row[:4], REASONS.get(row[3]), None if place in secret else rounded(row[4]))
                for place, row in enumerate(parts)
            ]
    return RecordTable(
        "provenance",
        "left_out",
        "The accepted rows of which no curated table has a row of its own, by the first reason that"
        " holds. What a delivery's accepted rows exceed them by is in the curated tables.",
        (
            ("feed", "VARCHAR", "The feed."),
            ("table_name", "VARCHAR", "The delivered table, as its contract names it."),
            ("delivery_id", "VARCHAR", "The delivery."),
            ("reason", "VARCHAR", "Why the rows are left out, as a word."),
            ("meaning", "VARCHAR", "The same as a sentence."),
            ("rows", "BIGINT", "Rows left out; rounded to 5, empty under 10."),
        ),
        rows,
    )


def check_table(con: duckdb.DuckDBPyConnection) -> RecordTable:
    rows = []
    if exists(con, CHECKS):
        rows = con.execute(
            "SELECT asset, delivery_id, check_name, lower(severity), passed, metrics, checked_at"
            f" FROM {CHECKS} ORDER BY ALL"
        ).fetchall()
    return RecordTable(
        "provenance",
        "check_result",
        "The verdict of every check behind this release.",
        (
            ("asset", "VARCHAR", "What was checked."),
            ("delivery_id", "VARCHAR", "The delivery checked; empty where all were."),
            ("check_name", "VARCHAR", "Name of the rule."),
            ("severity", "VARCHAR", "error (would have stopped this release) or warn."),
            ("passed", "BOOLEAN", "The verdict."),
            ("metrics", "VARCHAR", "Counts as JSON; rounded to 5, null under 10."),
            ("checked_at", "TIMESTAMP", "When it was checked."),
        ),
        [(*row[:5], _rounded_metrics(row[5]), row[6]) for row in rows],
    )


def opt_out_table(con: duckdb.DuckDBPyConnection) -> RecordTable:
    """What opt-outs were applied; the linkage left it in the warehouse."""
    rows = []
    if exists(con, OPT_OUTS):
        rows = con.execute(
            "SELECT opt_out, is_applied, because, feeds, list_date, max_age_days,"
            f" records_left_out, records_without_number FROM {OPT_OUTS} ORDER BY 1"
        ).fetchall()
    return RecordTable(
        "provenance",
        "opt_out",
        "The opt-outs that the feeds fall under, and how each was applied: the records of those who"
        " opted out are in no table of this release.",
        (
            ("opt_out", "VARCHAR", "Which opt-out."),
            ("is_applied", "BOOLEAN", "Whether it was applied."),
            ("because", "VARCHAR", "Why it was not, or why an older list was allowed."),
            ("feeds", "VARCHAR", "The feeds whose records it takes out."),
            ("list_date", "DATE", "The day on which the list of objections was made."),
            ("max_age_days", "INTEGER", "How old the list might be."),
            ("records_left_out", "BIGINT", "Source records; rounded to 5, empty under 10."),
            ("records_without_number", "BIGINT", "Of these, without an NHS number; rounded."),
        ),
        [(*row[:6], *(None if n is None else rounded(n) for n in row[6:])) for row in rows],
    )


def release_table(values: Mapping[str, Any]) -> RecordTable:
    columns = (
        ("project", "VARCHAR", "The project this release was made for."),
        ("release_id", "VARCHAR", "Sequence number and the start of the content hash."),
        ("previous_release_id", "VARCHAR", "The release that was current before."),
        ("title", "VARCHAR", "Title of the project."),
        ("purpose", "VARCHAR", "What the project may use the data for."),
        ("legal_basis", "VARCHAR", "On what legal basis."),
        ("approver", "VARCHAR", "Who approved it."),
        ("expiry", "DATE", "Until when the data may be used."),
        ("cohort", "VARCHAR", "Whose data it holds."),
        ("period_start", "DATE", "First day of the period it covers; empty for any time."),
        ("period_end", "DATE", "Last day of the period it covers; empty for any time."),
        ("content_hash", "VARCHAR", "SHA-256 of the content: tables, dictionary, deliveries."),
        ("declaration_hash", "VARCHAR", "SHA-256 of the project's declaration."),
        ("code_version", "VARCHAR", "Version of the package and the start of its code's hash."),
        ("model_fingerprint", "VARCHAR", "The linkage model used."),
        ("published_at", "TIMESTAMP", "When it was made (UTC)."),
    )
    row = [values.get(name) for name, _, _ in columns]
    return RecordTable("provenance", "release", "This release.", columns, [row])


# Rooms that make no release: a change there publishes no new one of the same data.
NOT_OF_A_RELEASE = ("cli", "definitions.py", "defs", "supplier", "synthetic")


def code_version(dbt_project: Path) -> str:
    """The package's version and a hash of what makes a release, its code and models:
    ``0.1.0+1a2b3c4d5e6f``."""
    digest = hashlib.sha256()
    package = Path(linked_cyp.__file__).parent
    files = [
        (path.relative_to(package), path)
        for path in package.rglob("*.py")
        if path.relative_to(package).parts[0] not in NOT_OF_A_RELEASE
    ]
    for folder in ("models", "macros", "seeds"):
        files += [
            (path.relative_to(dbt_project), path)
            for path in (dbt_project / folder).rglob("*")
            if path.suffix in (".sql", ".yml", ".csv")
        ]
    for name, path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{name.as_posix()}\0{len(content)}\0".encode() + content)
    return f"{linked_cyp.__version__}+{digest.hexdigest()[:12]}"


def model_fingerprint(con: duckdb.DuckDBPyConnection) -> str | None:
    """Fingerprint of the linkage model, where the linkage has left one in the warehouse."""
    if not exists(con, MODEL):
        return None
    held = {name for name, *_ in con.execute(f"DESCRIBE {MODEL}").fetchall()}
    if "fingerprint" not in held:
        return None
    row = con.execute(f"SELECT max(fingerprint) FROM {MODEL}").fetchone()
    return str(row[0]) if row and row[0] is not None else None


def _rounded_metrics(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        metrics = json.loads(text)
    except ValueError:
        return None
    if not isinstance(metrics, dict):
        return None
    kept = {
        name: rounded(value)
        for name, value in metrics.items()
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0
    }
    return json.dumps(kept, sort_keys=True)
