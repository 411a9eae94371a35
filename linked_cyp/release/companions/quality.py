"""What a release says of its own quality, gathered for the data-quality report.

Everything is read from the release's records, whose counts are suppressed and rounded already:
sums leave out what is under 10 and are told with a ``+`` then.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from linked_cyp.contracts.model import Contract
from linked_cyp.dfe_rules.checks import published
from linked_cyp.research.release import Release

DFE_RULE = "rule_"
_PUBLISHED = re.compile(r"Rule (?P<code>\S+) of [^:]+: (?P<text>.+)", re.DOTALL)
# What a check's name ends in → what it is about (the subjects of `expectations.rules.SUBJECTS`).
_SUBJECTS = (
    (r"text__no_identifier", "identifiers"),
    (r"months__first_of_month", "ranges"),
    (r".+__required", "required"),
    (r".+__codes", "codes"),
    (r".+__range", "ranges"),
    (r".+__format", "formats"),
    (r"columns__(declared|typed)", "columns"),
    (r"(rows__reconcile|ledger__reconciles|quarantine__share)", "rows"),
    (r"(.+__unique|.+__exists_in_.+)", "keys"),
)


@dataclass
class Sum:
    """A sum of rounded counts, and how many were too small to be told."""

    count: int = 0
    few: int = 0

    def add(self, value: int | None) -> None:
        self.count += value or 0
        self.few += value is None

    def __str__(self) -> str:
        if self.few and not self.count:
            return "under 10" if self.few == 1 else "<10 each"
        return f"{self.count:,}{'+' if self.few else ''}"


@dataclass
class FeedDeliveries:
    """The deliveries of one feed: how many of each status, and the rows of those in the release."""

    feed: str
    title: str
    statuses: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    suppliers: set[str] = field(default_factory=set)
    years: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    received: Sum = field(default_factory=Sum)
    accepted: Sum = field(default_factory=Sum)
    quarantined: Sum = field(default_factory=Sum)


@dataclass
class Breach:
    """A rule that was broken: in how many of the deliveries that it was checked on, how often.

    ``code`` and ``text`` are those of a published rule, else empty.
    """

    feed: str
    table: str
    check: str
    severity: str
    code: str = ""
    text: str = ""
    deliveries: int = 0
    checked: int = 0
    rows: Sum = field(default_factory=Sum)


@dataclass
class Tally:
    checks: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Verdicts:
    """``by_subject``: feed → subject → tally. ``by_step``: tallies of what is no feed. ``breaches``
    are of feeds, the most frequent first; ``dfe_rules`` those of them that are published rules."""

    by_subject: Mapping[str, Mapping[str, Tally]]
    by_step: Mapping[str, Tally]
    breaches: list[Breach]
    dfe_rules: list[Breach]
    total: Tally


def deliveries(release: Release, titles: Mapping[str, str]) -> list[FeedDeliveries]:
    """Every feed of which something was delivered, by name."""
    found: dict[str, FeedDeliveries] = {}
    for row in release.query("FROM provenance.delivery ORDER BY feed").iter_rows(named=True):
        feed = row["feed"]
        known = found.setdefault(feed, FeedDeliveries(feed, titles.get(feed, feed)))
        known.statuses[row["status"]] += 1
        if row["status"] == "accepted":
            known.suppliers.add(row["supplier"])
            if row["collection_year"]:
                known.years[row["collection_year"]] += 1
            known.received.add(row["rows_received"])
            known.accepted.add(row["rows_accepted"])
            known.quarantined.add(row["rows_quarantined"])
    return list(found.values())


def verdicts(release: Release, contracts: Mapping[str, Contract]) -> Verdicts:
    """The checks of the deliveries that are in the release, and of what was made from them.

    A rule that is checked on the raw and on the pseudonymised table counts once.
    """
    rules = {rule.name: rule.description for c in contracts.values() for rule in published(c)}
    by_subject: dict[str, dict[str, Tally]] = defaultdict(lambda: defaultdict(Tally))
    by_step: dict[str, Tally] = defaultdict(Tally)
    breaches: dict[tuple[str, str, str], Breach] = {}
    total = Tally()
    for row in _results(release).iter_rows(named=True):
        failed = not row["passed"]
        _count(total, failed)
        if row["feed"] is None:
            _count(by_step[row["step"]], failed)
            continue
        _count(by_subject[row["feed"]][subject_of(row["check_name"])], failed)
        key = (row["feed"], row["table"], row["check_name"])
        if key not in breaches:
            breaches[key] = Breach(*key, row["severity"], *_told(rules.get(row["check_name"], "")))
        breach = breaches[key]
        breach.checked += 1
        if failed:
            breach.deliveries += 1
            breach.rows.add(_breached(row["metrics"]))
    broken = sorted(
        (b for b in breaches.values() if b.deliveries),
        key=lambda b: (-b.rows.count, -b.deliveries, b.feed, b.table, b.check),
    )
    return Verdicts(
        by_subject=by_subject,
        by_step=by_step,
        breaches=[b for b in broken if not b.check.startswith(DFE_RULE)],
        dfe_rules=[b for b in broken if b.check.startswith(DFE_RULE)],
        total=total,
    )


def subject_of(check: str) -> str:
    """A subject of ``expectations.rules``, or ``dfe`` for a published rule, else ``other``."""
    if check.startswith(DFE_RULE):
        return "dfe"
    return next((s for pattern, s in _SUBJECTS if re.fullmatch(pattern, check)), "other")


def changes(release: Release) -> pl.DataFrame:
    """What came and went since the release before: one row per table, those that changed."""
    return release.query(
        """
        SELECT table_schema || '.' || table_name AS "table",
            bool_or(is_small) AS is_small,
            any_value(added) FILTER (unit = 'persons') AS persons_added,
            any_value(removed) FILTER (unit = 'persons') AS persons_removed,
            any_value(added) FILTER (unit = 'rows') AS rows_added,
            any_value(removed) FILTER (unit = 'rows') AS rows_removed,
            any_value(added) FILTER (unit = 'columns') AS columns_added,
            any_value(removed) FILTER (unit = 'columns') AS columns_removed,
            bool_or(unit = 'rows') AS has_rows, bool_or(unit = 'persons') AS has_persons
        FROM provenance.change GROUP BY 1
        HAVING bool_or(is_small OR coalesce(added, 1) > 0 OR coalesce(removed, 1) > 0) ORDER BY 1
        """
    )


def _results(release: Release) -> pl.DataFrame:
    """Verdicts by feed, table and check; ``feed`` is null for what is no feed's."""
    return release.query(
        """
        WITH result AS (
            SELECT *, split_part(asset, '/', 1) AS zone,
                zone IN ('raw', 'pseudonymised') AS is_feed
            FROM provenance.check_result
            WHERE delivery_id IS NULL OR delivery_id IN (
                SELECT delivery_id FROM provenance.delivery WHERE status = 'accepted'))
        SELECT if(is_feed, split_part(asset, '/', 2), NULL) AS feed,
            if(is_feed, split_part(asset, '/', 3), asset) AS "table",
            if(is_feed, NULL, zone) AS step, check_name, delivery_id,
            any_value(severity) AS severity, bool_and(passed) AS passed,
            max(metrics) FILTER (NOT passed) AS metrics
        FROM result GROUP BY 1, 2, 3, 4, 5 ORDER BY ALL
        """
    )


def _count(tally: Tally, failed: bool) -> None:
    tally.checks += 1
    tally.failed += failed


def _breached(metrics: str | None) -> int | None:
    """Rows that broke a rule; None where too few to tell, or where it counts none."""
    counts: dict[str, Any] = json.loads(metrics) if metrics else {}
    return counts.get("unexpected_count")


def _told(description: str) -> tuple[str, str]:
    """A published rule's code and its own words, from the description of its check."""
    found = _PUBLISHED.fullmatch(description)
    return (found["code"], found["text"]) if found else ("", "")
