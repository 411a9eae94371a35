"""How often two different people agree by chance (u), counted exactly from group sizes.

Splink can estimate u from a sample of random pairs. Every level outside the names is an equality,
so its share of all pairs follows from the sizes of groups: exact, a fraction of a second, nothing
drawn. True pairs are among all pairs; in small data they would pass for chance and are taken out,
and the fall-back of ``parameters.toml`` counts for ``chance_pairs`` pairs.
"""

from __future__ import annotations

import duckdb

from linked_cyp.linkage.model import settings as model
from linked_cyp.linkage.model.parameters import Parameters

Shares = dict[str, dict[str, float]]  # comparison -> level -> share of pairs


def share_of_true_pairs(con: duckdb.DuckDBPyConnection, relation: str, chosen: Parameters) -> float:
    """Probability that two random records match: pairs the safe rules find, over their recall.

    Args:
        relation: person records, one row per source person.
    """
    rules = [model.rule_sql(name) for name in model.PRIOR_RULES] + [model.PRIOR_NAMES]
    union = " UNION ".join(
        f"SELECT l.record_key, r.record_key FROM {relation} l JOIN {relation} r"
        f" ON {rule} AND l.record_key < r.record_key"
        for rule in rules
    )
    found, records = con.execute(
        f"SELECT (SELECT count(*) FROM ({union})), (SELECT count(*) FROM {relation})"
    ).fetchall()[0]
    possible = records * (records - 1) / 2
    return min(found / chosen.prior_recall / possible, 1.0) if found and possible else 0.0


def agreement_by_chance(
    con: duckdb.DuckDBPyConnection, relation: str, true_share: float, chosen: Parameters
) -> Shares:
    """u of the levels of birth date, sex and postcode; what cannot be counted is left out.

    Args:
        relation: person records, one row per source person.
        true_share: what :func:`share_of_true_pairs` gave.
    """
    parts = ("birth_year_month", "birth_year_day", "birth_month_day")
    same = {
        column: _pairs(con, relation, column)
        for column in (
            "birth_date",
            *parts,
            "sex",
            "postcode",
            "postcode_sector",
            "postcode_district",
        )
    }
    swapped = con.execute(
        f"SELECT coalesce(sum(a.n::DOUBLE * b.n), 0) / 2 FROM"
        f" (SELECT birth_date AS d, count(*) AS n FROM {relation} GROUP BY 1) a JOIN"
        f" (SELECT birth_date_swapped AS d, count(*) AS n FROM {relation} GROUP BY 1) b USING (d)"
    ).fetchall()[0][0]
    dates = same["birth_date"][0]
    # Pairs of 1 January and another day of that year. Those that agree in two parts as well count
    # twice; they are few.
    estimated = con.execute(
        f"SELECT coalesce(sum(a.n::DOUBLE * (b.n - a.n)), 0) FROM"
        f" (SELECT birth_year_only AS y, count(*) AS n FROM {relation} GROUP BY 1) a JOIN"
        f" (SELECT birth_year AS y, count(*) AS n FROM {relation} GROUP BY 1) b USING (y)"
    ).fetchall()[0][0]
    counts = {
        # Two dates that share two of three parts share exactly one of the three pairs of parts.
        "birth_date": {
            "exact": dates,
            "swapped": swapped,
            "two_parts": sum(same[part][0] for part in parts) - 3 * dates,
            "estimated": estimated,
        },
        "sex": {"exact": same["sex"][0]},
        "postcode": {
            "exact": same["postcode"][0],
            "sector": same["postcode_sector"][0] - same["postcode"][0],
            "district": same["postcode_district"][0] - same["postcode_sector"][0],
        },
    }
    shares: Shares = {}
    for comparison, levels in counts.items():
        possible = same[comparison][1]
        others = possible * (1 - min(true_share, 0.5))  # pairs of different people
        weight = others + chosen.chance_pairs
        if weight:
            given = chosen.levels[comparison]
            chance = {
                level: max(count - given[level].m * (possible - others), 0.0)
                + chosen.chance_pairs * given[level].u
                for level, count in levels.items()
            }
            shares[comparison] = {level: max(n / weight, 1e-9) for level, n in chance.items()}
            shares[comparison]["differ"] = max(1 - sum(shares[comparison].values()), 1e-9)
    return shares


def _pairs(con: duckdb.DuckDBPyConnection, relation: str, column: str) -> tuple[float, float]:
    """Pairs that share a value of a column, and pairs that have one."""
    agreeing, records = con.execute(
        f"SELECT coalesce(sum(n::DOUBLE * (n - 1)) / 2, 0), coalesce(sum(n), 0) FROM (SELECT"
        f" count(*) AS n FROM {relation} WHERE {column} IS NOT NULL GROUP BY {column})"
    ).fetchall()[0]
    return float(agreeing), float(records) * (float(records) - 1) / 2
