"""Count what each blocking rule would find before it is let loose: ``linkage.main.blocking``.

All rules are equalities, so the candidates follow from the sizes of the groups that agree: nothing
is joined. One group that is far too large (a placeholder that slipped through, the postcode of an
institution) is left out for that rule; a rule whose candidates are too many is not used at all.
Both are recorded, and shown as warnings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from linked_cyp.core.sql import exists
from linked_cyp.linkage.model import settings as model
from linked_cyp.linkage.model.parameters import Parameters

# What may be compared with anything: never a record with an exclusion.
ELIGIBLE = "(SELECT * FROM linkage.main.person_record WHERE exclusion IS NULL)"
BLOCKING_DDL = """
    model_id BIGINT, rule VARCHAR, pairs BIGINT, is_used BOOLEAN, rows BIGINT,
    oversize_groups BIGINT, oversize_pairs BIGINT
"""
CHEAP = 1.0  # candidates per record of a rule that is used only where it is cheap
_EQUALITY = re.compile(r"l\.(\w+) = r\.(\w+)")


@dataclass(frozen=True)
class RuleCount:
    """Candidates of one rule, before those that an earlier rule finds as well are left out.

    Pairs of a record's own alternatives count, too; they are never scored.
    """

    rule: str
    pairs: int  # in groups that are not too large
    is_used: bool
    rows: int  # person records, alternatives included, that may be linked
    oversize_groups: int
    oversize_pairs: int  # in groups left out

    @property
    def sql(self) -> str:
        """The condition between ``l`` and ``r``, rows of :func:`candidates`."""
        here = f" AND l.{_flag(self.rule)}" if self.oversize_groups else ""
        return f"{model.rule_sql(self.rule)} AND l.record_key <> r.record_key{here}"


def count_candidates(con: duckdb.DuckDBPyConnection, given: Parameters) -> list[RuleCount]:
    """Count the candidates of every rule of the model, in its order.

    The keys of groups left out stay in temporary tables ``oversize_<rule>``, which
    :func:`candidates` reads.
    """
    rows = con.execute(f"SELECT count(*) FROM {ELIGIBLE}").fetchall()[0][0]
    counts = []
    for rule in model.rules_of(given):
        groups = _groups(rule)
        limit = given.largest_group * (given.largest_group - 1) // 2
        pairs, left_out, left_out_pairs = con.execute(
            "SELECT coalesce(sum(pairs) FILTER (pairs <= $limit), 0)::BIGINT,"
            " count(*) FILTER (pairs > $limit),"
            " coalesce(sum(pairs) FILTER (pairs > $limit), 0)::BIGINT"
            f" FROM ({groups})",
            {"limit": limit},
        ).fetchall()[0]
        # Between different columns each pair was met from both sides.
        share = 1 if _is_symmetric(rule) else 2
        is_used = pairs // share <= given.most_pairs_per_record * rows
        if rule in model.CHEAP_ONLY and (pairs + left_out_pairs) // share > CHEAP * rows:
            # Nothing is amiss: there are too many people for this rule.
            pairs, left_out, left_out_pairs, is_used = pairs + left_out_pairs, 0, 0, False
        if left_out:
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE {_oversize(rule)} AS"
                f" SELECT * EXCLUDE (pairs) FROM ({groups}) WHERE pairs > $limit",
                {"limit": limit},
            )
        counts.append(
            RuleCount(rule, pairs // share, is_used, rows, left_out, left_out_pairs // share)
        )
    return counts


def candidates(counts: Sequence[RuleCount], columns: Sequence[str]) -> str:
    """Relation of the records that may be linked, with what the rules' conditions need.

    Args:
        counts: from :func:`count_candidates` on the same connection.
        columns: of ``person_record``.
    """
    flags = ""
    for count in counts:
        if count.oversize_groups:
            left = [a for a, _ in _columns(count.rule)]
            same = " AND ".join(f"o.{c} = p.{c}" for c in left)
            flags += (
                f", NOT EXISTS (FROM temp.{_oversize(count.rule)} o WHERE {same})"
                f" AS {_flag(count.rule)}"
            )
    return f"(SELECT {', '.join(columns)}{flags} FROM {ELIGIBLE} p)"


def flags(counts: Sequence[RuleCount]) -> list[str]:
    """The columns of :func:`candidates` that say whether a rule applies to a record."""
    return [_flag(count.rule) for count in counts if count.oversize_groups]


def columns_used() -> set[str]:
    """Columns of ``person_record`` that the blocking rules read."""
    return {column for rule in model.BLOCKING_RULES for pair in _columns(rule) for column in pair}


def write_counts(
    con: duckdb.DuckDBPyConnection, model_id: int, counts: Sequence[RuleCount]
) -> None:
    """Replace ``linkage.main.blocking``."""
    con.execute(f"CREATE OR REPLACE TABLE linkage.main.blocking ({BLOCKING_DDL})")
    con.executemany(
        "INSERT INTO linkage.main.blocking VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (model_id, c.rule, c.pairs, c.is_used, c.rows, c.oversize_groups, c.oversize_pairs)
            for c in counts
        ],
    )


def read_counts(con: duckdb.DuckDBPyConnection) -> list[tuple[str, int, bool, int]]:
    """Rule, candidates, whether it was used, groups left out: as last counted, or none."""
    if not exists(con, "linkage.main.blocking"):
        return []
    return con.execute(
        "SELECT rule, pairs, is_used, oversize_groups FROM linkage.main.blocking"
    ).fetchall()


def _groups(rule: str) -> str:
    """Query: the left columns' values of each group, and the ``pairs`` in it."""
    columns = _columns(rule)
    left, right = ([pair[side] for pair in columns] for side in (0, 1))
    if _is_symmetric(rule):
        return (
            f"SELECT {', '.join(left)}, count(*) * (count(*) - 1) // 2 AS pairs FROM {ELIGIBLE}"
            f" WHERE {_known(left)} GROUP BY ALL"
        )
    one, other = (
        f"(SELECT {', '.join(side)}, count(*) AS n FROM {ELIGIBLE} WHERE {_known(side)}"
        " GROUP BY ALL)"
        for side in (left, right)
    )
    same = " AND ".join(f"l.{a} = r.{b}" for a, b in columns)
    chosen = ", ".join(f"l.{a}" for a in left)
    return f"SELECT {chosen}, l.n * r.n AS pairs FROM {one} l JOIN {other} r ON {same}"


def _columns(rule: str) -> list[tuple[str, str]]:
    """Left and right column of each equality in the rule."""
    return _EQUALITY.findall(model.rule_sql(rule))


def _is_symmetric(rule: str) -> bool:
    return all(left == right for left, right in _columns(rule))


def _known(columns: Sequence[str]) -> str:
    return " AND ".join(f"{c} IS NOT NULL" for c in columns)


def _oversize(rule: str) -> str:
    return f"oversize_{rule}"


def _flag(rule: str) -> str:
    return f"is_blocked_by_{rule}"
