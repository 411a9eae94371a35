"""The adoption wall: who must not become one person, though forename and birth date agree.

A child who is adopted keeps forename and birth date and gets everything else anew. So two records
that agree in nothing but those two are never put together: not by an edge of their own
(:func:`linked_cyp.linkage.pairs.edges.renamed_sql`), and not through third records (a nameless
hospital stay at the old address, a double-barrelled name between the two). Only a number leads
from one surname to another: a chain in which every step agrees in a number, or in both names.
"""

from __future__ import annotations

import re

from linked_cyp.identity.comparisons import surname_levels
from linked_cyp.identity.person_records import COLUMNS
from linked_cyp.linkage.pairs.edges import (
    UNRELATED,
    renamed_at_home_sql,
    renamed_sql,
    vouching_sql,
)

NUMBERS = ("nhs", "upn", "la_child")


def renamed_pairs_sql(groups: str, schema: str, *, hardened: bool = True) -> str:
    """Query of the pairs of records of one group that have the forbidden shape.

    Pairs that were never scored are among them: through third records any two can meet.

    Args:
        groups: relation of ``record_key`` and ``cluster``.
        schema: where ``person_record`` and ``pairs`` are.
        hardened: how the records are encoded.

    Returns:
        ``record_key_l`` < ``record_key_r`` and ``cluster``, each pair once.
    """
    agreement = _agreement_sql(hardened)
    compared = sorted({c for c in COLUMNS if re.search(rf"\b{c}_[lr]\b", agreement)})
    sides = ", ".join(f"{side}.{c} AS {c}_{side}" for c in compared for side in "lr")
    return f"""
        WITH renamed_member AS (
            SELECT g.cluster, p.* FROM ({groups}) g
            JOIN {schema}.person_record p USING (record_key)
            WHERE p.forename_sound_birth_date IS NOT NULL
        ), renamed_mixed AS (
            SELECT cluster FROM renamed_member GROUP BY cluster
            HAVING count(DISTINCT coalesce(surname_birth_date, -1)) > 1
        ), renamed_some AS (SELECT * FROM renamed_member SEMI JOIN renamed_mixed USING (cluster)),
        renamed_met AS (
            SELECT l.record_key AS key_l, r.record_key AS key_r, l.cluster AS met, {sides}
            FROM renamed_some l JOIN renamed_some r ON l.cluster = r.cluster
                AND l.record_key < r.record_key
                AND l.forename_sound_birth_date = r.forename_sound_birth_date
        )
        SELECT key_l AS record_key_l, key_r AS record_key_r, any_value(met) AS cluster
        FROM renamed_met GROUP BY key_l, key_r
        HAVING NOT bool_or(coalesce({agreement}, FALSE))
        UNION
        SELECT record_key_l, record_key_r, gl.cluster FROM {schema}.pairs
        JOIN ({groups}) gl ON gl.record_key = record_key_l
        JOIN ({groups}) gr ON gr.record_key = record_key_r AND gr.cluster = gl.cluster
        WHERE {renamed_sql()} OR {renamed_at_home_sql(schema)}
    """


def unvouched_sql(groups: str, schema: str, decided: str) -> str:
    """Query of the forbidden pairs of a group that no chain of numbers and full names connects.

    It needs no truth, so it guards real data: none may be in one person.

    Args:
        groups: relation of ``record_key`` and ``cluster``.
        schema: where ``person_record`` and ``pairs`` are.
        decided: query of ``record_key_l`` and ``record_key_r`` that a reviewer called the same.
    """
    return f"""
        WITH RECURSIVE shape AS MATERIALIZED ({renamed_pairs_sql(groups, schema)}),
        step AS MATERIALIZED (
            SELECT record_key_l AS one, record_key_r AS other FROM {schema}.pairs
            JOIN ({groups}) gl ON gl.record_key = record_key_l
            JOIN ({groups}) gr ON gr.record_key = record_key_r AND gr.cluster = gl.cluster
            WHERE gl.cluster IN (SELECT cluster FROM shape) AND {vouching_sql()}
            UNION ALL SELECT record_key_l, record_key_r FROM ({decided})
        ), way AS (FROM step UNION ALL SELECT other, one FROM step),
        reached(start, here) AS (
            SELECT record_key_l, record_key_l FROM shape
            UNION
            SELECT start, other FROM reached JOIN way ON here = one
        )
        SELECT record_key_l, record_key_r FROM shape
        WHERE (record_key_l, record_key_r) NOT IN (SELECT (start, here) FROM reached)
    """


def _agreement_sql(hardened: bool) -> str:
    """Whether two rows agree in surname (as it is written or sounds), postcode or a number."""
    levels = surname_levels(hardened)
    alike = [sql for label, sql in levels.items() if label not in UNRELATED]
    same = [f"{column}_l = {column}_r" for column in (*NUMBERS, "postcode")]
    return "(" + " OR ".join(f"coalesce({sql}, FALSE)" for sql in (*alike, *same)) + ")"
