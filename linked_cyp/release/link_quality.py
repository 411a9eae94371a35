"""How far the linkage reaches, for whom: a release's table ``main.link_quality``.

Children of each source, and the shares of them that were found in another source and in another
domain: in all, by how sure the link is, and by age, sex, ethnic group, deprivation and local
authority. Groups come from what the source itself says of a child, never from a source that it was
linked to: that would describe the linked children only. A share is not the recall of the linkage,
as a child may truly be in no other source.

Counts and shares are suppressed and rounded (:mod:`linked_cyp.core.disclosure`): what is under
10 cannot be had from the rest either, be it a group, its found children or those not found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import duckdb

from linked_cyp.contracts.model import Contract
from linked_cyp.contracts.pseudonymised import DELIVERIES
from linked_cyp.core.disclosure import SMALLEST, hidden, rounded, share
from linked_cyp.core.sql import exists, literal
from linked_cyp.linkage.report.bands import AGES, QUINTILES
from linked_cyp.release.record import BRIDGE, RecordTable

UNKNOWN = "not known"
BREAKDOWNS = ("all", "tier", "age", "sex", "ethnicity", "deprivation", "local authority")
_COLUMNS = (
    ("feed", "VARCHAR", "Source the children are in."),
    ("domain", "VARCHAR", "education, social_care or health."),
    (
        "breakdown",
        "VARCHAR",
        "What the row is broken down by: all (the total), tier (how sure the link is), age (when"
        " the source saw the child last), sex, ethnicity, deprivation (fifth of the Index of"
        " Multiple Deprivation 2019) or local authority (of the home; for a source without"
        " addresses, the authority that sent the record). Groups are what the source itself says.",
    ),
    ("category", "VARCHAR", "Value of the breakdown."),
    (
        "persons",
        "BIGINT",
        "Children in the source; rounded to 5, empty under 10, and"
        " where an emptied row could be worked out from it.",
    ),
    (
        "share_in_another_feed",
        "DOUBLE",
        "Share also found in another feed (0 to 1), from rounded counts; empty where under 10 are.",
    ),
    (
        "share_in_another_domain",
        "DOUBLE",
        "Share also found in another domain (0 to 1), from rounded counts; empty where under 10"
        " are.",
    ),
)


def link_quality_table(
    con: duckdb.DuckDBPyConnection, contracts: Mapping[str, Contract]
) -> RecordTable:
    """The table, from the bridge and the curated tables of the attached ``warehouse``.

    A breakdown that a source says nothing about is left out for it.
    """
    return RecordTable(
        "main",
        "link_quality",
        "How far the linkage reaches: children of each source who were found in another. It covers"
        " all children in the warehouse, not only this release.",
        _COLUMNS,
        _rows(con, contracts) if exists(con, BRIDGE) else [],
    )


def _rows(con: duckdb.DuckDBPyConnection, contracts: Mapping[str, Contract]) -> list[tuple]:
    domains = {c.feed: c.domain.partition("/")[0] for c in contracts.values()}
    _reach(con, domains)
    _groups(con, contracts, domains)
    try:
        found = con.execute(
            f"""
            WITH grouped AS (
                SELECT feed, person_id, 'all' AS breakdown, 'all' AS category FROM temp.seen
                UNION SELECT feed, person_id, 'tier', tier FROM temp.seen WHERE tier IS NOT NULL
                UNION ALL
                SELECT s.feed, s.person_id, k.breakdown, coalesce(g.category, {literal(UNKNOWN)})
                FROM (SELECT DISTINCT feed, person_id FROM temp.seen) AS s
                JOIN (SELECT DISTINCT feed, breakdown FROM temp.child_group) AS k USING (feed)
                LEFT JOIN temp.child_group AS g USING (feed, person_id, breakdown))
            SELECT feed, breakdown, category, count(*), count(*) FILTER (is_in_feeds),
                   count(*) FILTER (is_in_domains)
            FROM grouped JOIN temp.reach USING (person_id) GROUP BY ALL
            """
        ).fetchall()
    finally:
        for name in ("seen", "feed_domain", "reach", "child_group"):
            con.execute(f"DROP TABLE IF EXISTS temp.{name}")
    found.sort(key=_order)
    totals = {feed: counts for feed, kind, _, *counts in found if kind == "all"}
    return [
        (feed, domains.get(feed), kind, category, *shown)
        for (feed, kind), rows in groupby(found, key=lambda row: row[:2])
        for category, *shown in _shown([row[2:] for row in rows], totals[feed])
    ]


def _shown(rows: list[tuple], total: list[int]) -> Iterator[tuple]:
    """Category, persons and shares as they are told of one source and breakdown.

    Args:
        rows: category, persons, and how many of them are found in another feed and domain.
        total: the same counts of the whole source.
    """
    persons = [row[1] for row in rows]
    small = hidden(total[0], persons)
    without: list[set[int]] = []  # places whose share is not told, by measure
    for at in (1, 2):
        parts = [row[1 + at] for row in rows]
        rest = [n - part for n, part in zip(persons, parts, strict=True)]
        # under ten left over are told as "under ten" by their share; one more may have to go
        left_out = {i for i in hidden(total[0] - total[at], rest) if rest[i] >= SMALLEST}
        without.append(small | hidden(total[at], parts) | left_out)
    for i, (category, n, *parts) in enumerate(rows):
        shares = [None if i in no else share(p, n) for p, no in zip(parts, without, strict=True)]
        yield category, None if i in small else rounded(n), *shares


def _order(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """As people list them: the total first, ages from young to old, what is not known last."""
    feed, kind, category, *_ = row
    bands = [label for label, _ in AGES]
    place = bands.index(category) if category in bands else 0
    return feed, BREAKDOWNS.index(kind), category == UNKNOWN, place, category


def _reach(con: duckdb.DuckDBPyConnection, domains: Mapping[str, str]) -> None:
    """``temp.seen``: feed, person_id and tier; ``temp.reach``: who is in how many sources."""
    held = {name for name, *_ in con.execute(f"DESCRIBE {BRIDGE}").fetchall()}
    tier = "tier" if "tier" in held else "NULL::VARCHAR"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE seen AS SELECT DISTINCT feed, person_id, {tier} AS tier"
        f" FROM {BRIDGE} WHERE person_id IS NOT NULL"
    )
    con.execute("CREATE OR REPLACE TEMP TABLE feed_domain (feed VARCHAR, domain VARCHAR)")
    if domains:
        con.executemany("INSERT INTO temp.feed_domain VALUES (?, ?)", list(domains.items()))
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE reach AS
        SELECT person_id, count(DISTINCT feed) > 1 AS is_in_feeds,
               count(DISTINCT coalesce(domain, feed)) > 1 AS is_in_domains
        FROM temp.seen LEFT JOIN temp.feed_domain USING (feed) GROUP BY person_id
        """
    )


def _groups(
    con: duckdb.DuckDBPyConnection, contracts: Mapping[str, Contract], domains: Mapping[str, str]
) -> None:
    """``temp.child_group``: feed, person_id, breakdown, category; the newest it says counts."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE child_group (feed VARCHAR, person_id BIGINT,"
        " breakdown VARCHAR, category VARCHAR)"
    )
    for needed, sql in _GROUPS:
        if all(exists(con, f"warehouse.curated.{table}") for table in needed):
            con.execute(f"INSERT INTO temp.child_group {sql}")
    housed = {
        feed
        for (feed,) in con.execute(
            "SELECT DISTINCT feed FROM temp.child_group WHERE breakdown = 'local authority'"
        ).fetchall()
    }
    for contract in contracts.values():
        if domains[contract.feed] in ("education", "social_care") and contract.feed not in housed:
            _sent_by(con, contract)


def _sent_by(con: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """The authority whose newest delivery a child is in, of a feed that has no addresses."""
    parts = [
        f"SELECT record_key, delivery_id FROM {name}"
        for table in contract.tables.values()
        if table.person_key and exists(con, name := f"warehouse.pseudonymised.{table.table_name}")
    ]
    if parts and exists(con, DELIVERIES):
        con.execute(
            "INSERT INTO temp.child_group"
            " SELECT b.feed, b.person_id, 'local authority',"
            " arg_max(d.supplier, (d.period, d.supplier))"
            f" FROM ({' UNION '.join(parts)}) AS t JOIN {DELIVERIES} AS d USING (delivery_id)"
            f" JOIN {BRIDGE} AS b ON b.record_key = t.record_key AND b.feed = ?"
            " WHERE d.status = 'accepted' AND b.person_id IS NOT NULL GROUP BY ALL",
            [contract.feed],
        )


_BANDS = " ".join(f"WHEN age < {limit} THEN {literal(label)}" for label, limit in AGES)
_FIFTHS = " ".join(f"WHEN {number} THEN {literal(label)}" for number, label in QUINTILES.items())
_CHARACTERISTIC = """
    SELECT feed, person_id, {breakdown},
        arg_max({value}, (collection_year, record_count, {value})) AS category
    FROM warehouse.curated.child_characteristic WHERE {known} GROUP BY feed, person_id
"""
_ADDRESS = """
    SELECT feed, person_id, {breakdown}, arg_max({value}, (from_month, stay_number)) AS category
    FROM warehouse.curated.address_history WHERE {value} IS NOT NULL GROUP BY feed, person_id
"""
# Curated tables that are read, and the query.
_GROUPS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("child", "child_source"),
        "SELECT feed, person_id, 'age',"
        f" CASE WHEN age < 0 THEN NULL {_BANDS} END AS category FROM"
        " (SELECT *, date_diff('month', birth_month, s.last_seen_month) // 12 AS age"
        " FROM warehouse.curated.child_source AS s JOIN warehouse.curated.child USING (person_id))"
        " WHERE category IS NOT NULL",
    ),
    (
        ("child_characteristic",),
        _CHARACTERISTIC.format(
            breakdown="'sex'",
            value="CASE sex WHEN 'F' THEN 'female' WHEN 'M' THEN 'male' END",
            known="sex IN ('F', 'M')",
        ),
    ),
    (
        ("child_characteristic",),
        _CHARACTERISTIC.format(
            breakdown="'ethnicity'", value="ethnicity_group", known="ethnicity_group <> 'Unknown'"
        ),
    ),
    (
        ("address_history",),
        _ADDRESS.format(breakdown="'deprivation'", value=f"CASE imd_2019_quintile {_FIFTHS} END"),
    ),
    (("address_history",), _ADDRESS.format(breakdown="'local authority'", value="la_code")),
)
