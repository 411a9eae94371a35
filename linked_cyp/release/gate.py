"""The gate in code: what must hold in the warehouse before anything is released.

An orchestrator stops a run when a blocking check fails, but only within that run. So the release
step asks the warehouse itself; whether the warehouse was made from the deliveries that count now is
asked of the ledger (:mod:`linked_cyp.release.truth`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import duckdb

from linked_cyp.contracts.model import Contract
from linked_cyp.contracts.pseudonymised import DELIVERIES
from linked_cyp.contracts.vocabulary import OPT_OUTS as KNOWN_OPT_OUTS
from linked_cyp.core.errors import value_free
from linked_cyp.core.sql import exists
from linked_cyp.opt_outs.policy import Policy, too_old

CHECKS = "warehouse.provenance.check_result"
BRIDGE = "warehouse.linkage.bridge"
OPT_OUTS = "warehouse.linkage.opt_out"
MOST_NAMED = 10


def gate(
    con: duckdb.DuckDBPyConnection,
    policy: Policy | None = None,
    today: dt.date | None = None,
    contracts: Mapping[str, Contract] | None = None,
) -> list[str]:
    """Why nothing may be released from this warehouse (empty when it may).

    Args:
        con: a connection with the warehouse attached as ``warehouse``. ``provenance.check_result``
            has asset, delivery_id, check_name, severity, passed, run_id and checked_at; the
            latest row of each asset, delivery and check counts. ``linkage.opt_out`` says which
            opt-outs were applied to the records of ``linkage.bridge``.
        policy: what the operator has decided on opt-outs by now; by default, what was applied.
        today: the day on which the age of opt-out lists is judged; by default the clock's.
        contracts: feeds by name as they stand now; their ``opt_outs`` must be those that were
            applied. By default this is not asked.
    """
    today = today or dt.datetime.now(dt.UTC).date()
    with value_free("reading the warehouse's gates"):
        return [
            *_deliveries(con),
            *_opt_outs(con, policy, today, contracts),
            *_checks(con),
        ]


def _deliveries(con: duckdb.DuckDBPyConnection) -> list[str]:
    accepted = None
    if exists(con, DELIVERIES):
        accepted = con.execute(
            f"SELECT count(*) FROM {DELIVERIES} WHERE status = 'accepted'"
        ).fetchone()
    return [] if accepted and accepted[0] else ["no delivery has been accepted"]


def _opt_outs(
    con: duckdb.DuckDBPyConnection,
    policy: Policy | None,
    today: dt.date,
    contracts: Mapping[str, Contract] | None,
) -> list[str]:
    """Whether the opt-outs that were applied are those of now: a release is a disclosure."""
    if not exists(con, BRIDGE) or con.execute(f"FROM {BRIDGE} LIMIT 1").fetchone() is None:
        return []
    if not exists(con, OPT_OUTS):
        return ["the bridge does not say which opt-outs were applied: link again"]
    reasons = []
    for name, applied, because, listed, days in con.execute(
        f"SELECT opt_out, is_applied, because, list_date, max_age_days FROM {OPT_OUTS} ORDER BY 1"
    ).fetchall():
        rule = policy.rules[name] if policy else None
        if not applied:
            if not because or (rule and rule.applied):
                reasons.append(f"{name} was not applied, and nothing says why: link again")
        elif listed is None:
            reasons.append(f"{name} was applied without a list: link again")
        elif problem := too_old(name, listed, rule.max_age_days if rule else days, today):
            reasons.append(f"{problem}: ask again and link again")
    return reasons + ([] if contracts is None else _scopes(con, contracts))


def _scopes(con: duckdb.DuckDBPyConnection, contracts: Mapping[str, Contract]) -> list[str]:
    """Whether each opt-out took rows out of the feeds whose contracts name it now."""
    if not exists(con, DELIVERIES):
        return []
    held = {
        feed
        for (feed,) in con.execute(
            f"SELECT DISTINCT feed FROM {DELIVERIES} WHERE status = 'accepted'"
        ).fetchall()
    }
    linked = {
        name: set(feeds.split(", "))
        for name, feeds in con.execute(f"SELECT opt_out, feeds FROM {OPT_OUTS}").fetchall()
    }
    reasons = []
    for name in KNOWN_OPT_OUTS:
        now = {f for f in held if f in contracts and name in contracts[f].opt_outs}
        then = linked.get(name, set()) & held
        if new := ", ".join(sorted(now - then)):
            reasons.append(f"{name} is to be applied to {new}, and was not: link again")
        if gone := ", ".join(sorted(then - now)):
            reasons.append(f"{name} was applied to {gone}, and is no longer asked: link again")
    return reasons


def _checks(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Failed checks of error severity; those of deliveries that are not in the build are left."""
    if not exists(con, CHECKS):
        return ["no check has been recorded"]
    accepted = f"(SELECT delivery_id FROM {DELIVERIES} WHERE status = 'accepted')"
    in_build = (
        f"delivery_id IS NULL OR delivery_id IN {accepted}" if exists(con, DELIVERIES) else "true"
    )
    latest = con.execute(
        f"""
        SELECT asset, check_name, lower(severity) AS severity, coalesce(passed, false) AS passed
        FROM {CHECKS}
        WHERE {in_build}
        QUALIFY row_number() OVER (PARTITION BY asset, delivery_id, check_name
                                   ORDER BY checked_at DESC, passed, run_id DESC) = 1
        """
    ).fetchall()
    if not latest:
        return ["no check has been recorded"]
    failed = sorted({f"{a}: {c}" for a, c, severity, passed in latest
                     if severity == "error" and not passed})  # fmt: skip
    reasons = [f"check failed: {name}" for name in failed[:MOST_NAMED]]
    if len(failed) > MOST_NAMED:
        reasons.append(f"and {len(failed) - MOST_NAMED} more failed checks")
    return reasons
