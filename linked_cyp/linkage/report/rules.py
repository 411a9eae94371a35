"""What must hold for the measures of a linkage run: the checks of ``linkage/report``.

Rules of error severity stop a release (:mod:`linked_cyp.release.gate`); drift and quality warn.
"""

from __future__ import annotations

import duckdb

from linked_cyp.expectations import CheckOutcome
from linked_cyp.expectations.rules import Rule, Severity, in_set, not_null, zero_rows
from linked_cyp.linkage.report.drift import LARGE_SHIFT
from linked_cyp.linkage.report.quality import BASES
from linked_cyp.stores import provenance

KEY = ("linkage", "report")
WRITTEN = "report__written"
FALL = 0.02  # of a rate, since the last run, beyond chance
FALL_IN_A_GROUP = 0.05
# Of children with two records. Mistyped dates alone explain 1.3 %: so many of 5,000 invented
# children with eight records each have two dates of birth when every record is where it belongs.
MANY_CONTRADICTIONS = 0.02
TOO_MANY_CONTRADICTIONS = 0.05
FEWEST_PRECISION = 0.995
# A hospital record without names that came under the twin's NHS number agrees with the twin in all
# it has, so some twins are merged whatever linkage does; other brothers' and sisters' dates differ.
MOST_TWINS_MERGED = 0.005
MOST_SIBLINGS_MERGED = 0.001

_THIS = "run_id = (SELECT max(run_id) FROM {batch})"
_LAST = (
    "run_id = (SELECT max(run_id) FROM {batch} WHERE run_id < (SELECT max(run_id) FROM {batch}))"
)
_RATES = "('linked_to_spine', 'linked_to_other', 'step_linked')"


def quality_rules() -> list[Rule]:
    """Relation ``warehouse.linkage.quality``; all but the first look at the newest run."""
    key = "run_id, basis, measure, feed, group_kind, group_value"
    return [
        zero_rows(
            "measure__unique",
            f"SELECT 1 FROM {{batch}} GROUP BY {key} HAVING count(*) > 1",
            "Each measure of a run is there once.",
        ),
        not_null("measure"),
        in_set("basis", BASES, "error"),
        zero_rows(
            "estimate__finite",
            "SELECT 1 FROM {batch} WHERE NOT coalesce(isfinite(numerator), false)"
            " OR NOT isfinite(coalesce(value, 0)) OR (denominator IS NOT NULL AND"
            " NOT (isfinite(denominator) AND coalesce(value, 0) BETWEEN 0 AND 1"
            " AND coalesce(low, 0) <= coalesce(value, 1) + 1e-9"
            " AND coalesce(high, 1) >= coalesce(value, 0) - 1e-9))",
            "Every measure is a number, and every rate lies in its interval between 0 and 1.",
        ),
        zero_rows(
            "run__measured",
            f"SELECT 1 FROM {{batch}} r WHERE r.{_THIS} AND r.measure = 'step_records'"
            " AND r.numerator > 0 AND (SELECT count(DISTINCT m.measure) FROM {batch} m"
            " WHERE m.run_id = r.run_id AND m.measure IN ('linked_to_other', 'precision')) < 2",
            "Where records were linked, linkage rates and precision were measured or estimated.",
        ),
        _fell("linkage_rate__drift", "n.group_kind = ''", FALL, "A source's linkage rate has not"),
        _fell(
            "group_linkage_rate__drift",
            "n.group_kind <> ''",
            FALL_IN_A_GROUP,
            "No group's linkage rate has",
        ),
        zero_rows(
            "match_weight__drift",
            f"SELECT 1 FROM {{batch}} WHERE {_THIS} AND measure = 'weight_shift'"
            f" AND value > {LARGE_SHIFT}",
            "Match weights are distributed as in the last run (population stability index at most"
            f" {LARGE_SHIFT}).",
            "warn",
        ),
        _contradictions("contradiction__share", MANY_CONTRADICTIONS, "warn"),
        _contradictions("contradiction__limit", TOO_MANY_CONTRADICTIONS, "error"),
        zero_rows(
            "precision__low",
            f"SELECT 1 FROM {{batch}} WHERE {_THIS} AND measure = 'precision' AND group_kind = ''"
            f" AND high IS NOT NULL AND high < {FEWEST_PRECISION} OR {_THIS} AND"
            f" measure = 'precision' AND group_kind = '' AND high IS NULL"
            f" AND value < {FEWEST_PRECISION}",
            f"Precision, measured or estimated, may be {FEWEST_PRECISION} or more.",
            "warn",
        ),
        zero_rows(
            "twins__apart",
            f"SELECT 1 FROM {{batch}} WHERE {_THIS} AND (measure = 'merged_twins'"
            f" AND low > {MOST_TWINS_MERGED} OR measure = 'merged_siblings'"
            f" AND low > {MOST_SIBLINGS_MERGED})",
            f"On known truth, at most {MOST_TWINS_MERGED:.1%} of twins, and"
            f" {MOST_SIBLINGS_MERGED:.1%} of other brothers and sisters, may be one child.",
            "warn",
        ),
        zero_rows(
            "adoption__never_linked",
            f"SELECT 1 FROM {{batch}} WHERE {_THIS} AND measure = 'merged_adoption'"
            " AND numerator > 0",
            "On known truth, no child is linked to its life before adoption.",
        ),
    ]


def written_rule() -> Rule:
    """Stands for the report itself; its verdict is :func:`owe` until it has been written."""
    return zero_rows(
        WRITTEN, "SELECT 1 WHERE false", "The report of the newest linkage run was written."
    )


def owe(con: duckdb.DuckDBPyConnection, *, run_id: str) -> None:
    """Record in the warehouse that a report is owed: no release until there is one.

    Called when a bridge is published and when a report begins, so that a report that fails, or
    never runs, leaves no earlier verdict standing.

    Args:
        con: connection with a writable ``warehouse``.
        run_id: of the orchestrator's run.
    """
    outcome = CheckOutcome(WRITTEN, False, "error")
    provenance.record_checks(con, "warehouse", {KEY: [outcome]}, run_id=run_id)


def _fell(name: str, which: str, limit: float, subject: str) -> Rule:
    return zero_rows(
        name,
        f"SELECT 1 FROM (FROM {{batch}} WHERE {_THIS}) n JOIN (FROM {{batch}} WHERE {_LAST}) o"
        " USING (basis, measure, feed, group_kind, group_value)"
        f" WHERE measure IN {_RATES} AND {which} AND n.value < o.value - {limit}"
        " AND n.high < o.low",
        f"{subject} fallen by more than {limit:.0%} and more than chance since the last run.",
        "warn",
    )


def _contradictions(name: str, limit: float, severity: Severity) -> Rule:
    return zero_rows(
        name,
        f"SELECT 1 FROM {{batch}} WHERE {_THIS} AND starts_with(measure, 'contradiction_')"
        f" AND low > {limit}",
        f"At most {limit:.0%} of children may have records that disagree in sex or birth.",
        severity,
    )
