"""What to know before drawing conclusions from a release: its table ``main.known_problem``.

Some problems are declared, in a feed's contract or a project's file. Others are found when the
release is made: deliveries that were refused, checks that warned, opt-outs that were not applied,
feeds that nobody delivered, tables and columns without a single value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import duckdb

from linked_cyp.contracts.model import Contract
from linked_cyp.contracts.pseudonymised import DELIVERIES
from linked_cyp.core.disclosure import shown
from linked_cyp.core.sql import exists, quoted
from linked_cyp.metadata.lineage import SUPPLIER, ColumnRef, Edge, upstream_of
from linked_cyp.release.build import FRESH, ReleaseTable
from linked_cyp.release.gate import CHECKS, OPT_OUTS
from linked_cyp.release.project import Project
from linked_cyp.release.record import RecordTable

DECLARED, FOUND = "declared", "found"
# What is compared with the run before is no property of the data.
_NO_PROPERTY = "linkage/report"
_OPERATOR_FILES = {
    "curated.growth.lms_bmi_z_score": "no growth reference is installed (docs/growth.md)",
    "curated.school": "no list of schools is installed (docs/reference_data.md)",
}
Problem = tuple[str, str]


def known_problem_table(
    con: duckdb.DuckDBPyConnection,
    contracts: Mapping[str, Contract],
    project: Project,
    tables: Sequence[ReleaseTable],
    edges: Sequence[Edge],
) -> RecordTable:
    """The table; call it when the research tables stand in the attached catalog ``fresh``."""
    declared = sorted({(c.feed, " ".join(c.limitations.split())) for c in contracts.values()})
    rows = [(feed, text, DECLARED) for feed, text in declared if text]
    rows += [("release", problem, DECLARED) for problem in project.known_problems]
    found = [
        *_opt_outs(con),
        *_not_delivered(con, contracts, tables, edges),
        *_refused(con),
        *_warnings(con, tables),
        *_empty(con, tables),
    ]
    return RecordTable(
        "main",
        "known_problem",
        "What to know before drawing conclusions.",
        (
            ("concerns", "VARCHAR", "The feed or table concerned, or the release as a whole."),
            ("problem", "VARCHAR", "The problem, in words."),
            (
                "origin",
                "VARCHAR",
                "declared (by the feed's contract or the project), or found (in the making).",
            ),
        ),
        [*rows, *((concerns, problem, FOUND) for concerns, problem in found)],
    )


def _opt_outs(con: duckdb.DuckDBPyConnection) -> Iterator[Problem]:
    if not exists(con, OPT_OUTS):
        return
    for name, applied, because, listed, unnumbered in con.execute(
        "SELECT opt_out, is_applied, because, list_date, records_without_number"
        f" FROM {OPT_OUTS} ORDER BY opt_out"
    ).fetchall():
        if not applied:
            yield "release", f"The {name} was not applied: {because}"
        elif because:
            yield "release", f"An older list of the {name} was allowed, of {listed}: {because}"
        if applied and unnumbered:
            yield (
                "release",
                f"Records without an NHS number are left out, as nobody can be asked about the"
                f" {name}: {shown(unnumbered)}. Services that know it less often lose more.",
            )


def _not_delivered(
    con: duckdb.DuckDBPyConnection,
    contracts: Mapping[str, Contract],
    tables: Sequence[ReleaseTable],
    edges: Sequence[Edge],
) -> Iterator[Problem]:
    wanted = [ColumnRef(t.zone, t.name, c.name) for t in tables for c in t.columns]
    behind = {
        edge.upstream.table.split("__")[0]
        for edge in upstream_of(edges, wanted)
        if edge.upstream.zone == SUPPLIER
    }
    held = {f for (f,) in con.execute(
        f"SELECT DISTINCT feed FROM {DELIVERIES} WHERE status = 'accepted'"
    ).fetchall()}  # fmt: skip
    for feed in sorted(behind & set(contracts) - held):
        yield feed, "No delivery of it has been accepted: what is made from it alone is empty."


def _refused(con: duckdb.DuckDBPyConnection) -> Iterator[Problem]:
    """Deliveries that do not count, where no other of that supplier and period does."""
    for feed, supplier, period, status in con.execute(
        f"""
        SELECT DISTINCT feed, supplier, period, status FROM {DELIVERIES}
        WHERE status IN ('rejected', 'withdrawn') AND (feed, supplier, period) NOT IN
            (SELECT (feed, supplier, period) FROM {DELIVERIES} WHERE status = 'accepted')
        ORDER BY ALL
        """
    ).fetchall():
        word = "refused" if status == "rejected" else status
        yield feed, f"The delivery of {supplier} for {period} was {word}: nothing of it is here."


def _warnings(con: duckdb.DuckDBPyConnection, tables: Sequence[ReleaseTable]) -> Iterator[Problem]:
    """Checks that failed without stopping the release, of what is in it.

    Which of the Department for Education's rules fail can depend on which return came first (some
    compare with last year's), so that only the table of checks names them.
    """
    if not exists(con, CHECKS):
        return
    failed = con.execute(
        f"""
        SELECT asset, check_name, count(*) FILTER (NOT passed) AS failed, count(*) AS judged
        FROM (
            SELECT * FROM {CHECKS}
            WHERE delivery_id IS NULL OR delivery_id IN
                (SELECT delivery_id FROM {DELIVERIES} WHERE status = 'accepted')
            QUALIFY row_number() OVER (PARTITION BY asset, delivery_id, check_name
                                       ORDER BY checked_at DESC, passed, run_id DESC) = 1)
        WHERE asset <> ? GROUP BY ALL HAVING failed > 0 ORDER BY ALL
        """,
        [_NO_PROPERTY],
    ).fetchall()
    released = {f"{t.zone}/{t.name}" for t in tables}
    by_rule: set[str] = set()
    raw: dict[tuple[str, str], list[tuple[str, int, int]]] = {}
    for asset, check, times, judged in failed:
        zone, _, rest = asset.partition("/")
        feed, _, table = rest.partition("/")
        if zone == "raw" and check.startswith("rule_"):
            by_rule.add(feed)
        elif zone == "raw":
            raw.setdefault((feed, check), []).append((table, times, judged))
        elif asset in released:
            yield f"{zone}.{rest}", f"The check {check} fails in some rows (a warning)."
        elif zone == "linkage":
            yield "linkage", f"The check {check} of {rest} fails (a warning)."
    for feed in sorted(by_rule):
        yield (
            feed,
            "Some rows break the Department for Education's validation rules for this return;"
            " provenance.check_result names the rules and deliveries.",
        )
    for (feed, check), places in sorted(raw.items()):
        listed = ", ".join(f"{t} ({times} of {judged} deliveries)" for t, times, judged in places)
        yield feed, f"The check {check} fails in some rows (a warning): {listed}."


def _empty(con: duckdb.DuckDBPyConnection, tables: Sequence[ReleaseTable]) -> Iterator[Problem]:
    """Tables without rows and columns without a value, which a researcher would puzzle over."""
    for table in tables:
        name = f"{table.zone}.{table.name}"
        counts = ", ".join(f"count({quoted(c.name)})" for c in table.columns)
        rows, *filled = con.execute(
            f"SELECT count(*), {counts} FROM {FRESH}.{table.relation}"
        ).fetchall()[0]
        if not rows:
            yield name, _because("It has no rows", name)
            continue
        none = [c.name for c, n in zip(table.columns, filled, strict=True) if not n]
        told = [c for c in none if f"{name}.{c}" in _OPERATOR_FILES]
        for column in told:
            yield name, _because(f"The column {column} has no value in any row", f"{name}.{column}")
        if rest := ", ".join(c for c in none if c not in told):
            yield name, f"Columns without a value in any row: {rest}."


def _because(text: str, place: str) -> str:
    reason = _OPERATOR_FILES.get(place)
    return f"{text}: {reason}." if reason else f"{text}."
