"""Link quality in a release: by group, as the source itself describes the child, nothing small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.disclosure import hidden, rounded
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.release.link_quality import _shown, link_quality_table

# 100 pupils; the first 60 are patients too, the first 30 of them in need. One source of each
# domain, and what each of them says of the child.
WAREHOUSE = """
    ATTACH ':memory:' AS warehouse;
    CREATE SCHEMA warehouse.linkage; CREATE SCHEMA warehouse.curated;
    CREATE SCHEMA warehouse.pseudonymised;
    CREATE TABLE warehouse.linkage.bridge AS
        SELECT i AS record_key, 'school_census' AS feed, i AS person_id, 'strong' AS tier
        FROM range(100) r(i)
        UNION ALL SELECT i + 1000, 'gp_olids', i, 'probable' FROM range(60) r(i)
        UNION ALL SELECT i + 2000, 'cin_census', i, 'identifier' FROM range(30) r(i);
    CREATE TABLE warehouse.curated.child AS
        SELECT i AS person_id, CASE WHEN i < 97 THEN DATE '2010-01-01' END AS birth_month
        FROM range(100) r(i);
    CREATE TABLE warehouse.curated.child_source AS
        SELECT person_id, feed, CASE WHEN person_id < 50 THEN DATE '2019-12-01'
            ELSE DATE '2020-01-01' END AS last_seen_month
        FROM warehouse.linkage.bridge;
    CREATE TABLE warehouse.curated.child_characteristic AS
        SELECT i AS person_id, 'school_census' AS feed, 2024 AS collection_year, 1 AS record_count,
            CASE WHEN i % 2 = 0 THEN 'F' ELSE 'M' END AS sex,
            CASE WHEN i < 20 THEN 'Asian' ELSE 'White' END AS ethnicity_group FROM range(100) r(i)
        UNION ALL SELECT i, 'gp_olids', 2024, 1, 'U', 'Unknown' FROM range(60) r(i)
        UNION ALL SELECT 0, 'school_census', 2025, 1, 'U', 'Black';
    CREATE TABLE warehouse.curated.address_history AS
        SELECT i AS person_id, 'school_census' AS feed, 1 AS stay_number,
            DATE '2024-01-01' AS from_month, 'E08000991' AS la_code, 1 AS imd_2019_quintile
        FROM range(100) r(i)
        UNION ALL SELECT i, 'school_census', 2, DATE '2025-01-01', 'E08000992', 5
        FROM range(40) r(i);
    CREATE TABLE warehouse.pseudonymised.delivery AS
        SELECT unnest(['a24', 'b25', 'c26']) AS delivery_id,
            unnest(['ashmere', 'brackenford', 'carrowdale']) AS supplier,
            unnest(['2024', '2025', '2026']) AS period,
            unnest(['accepted', 'accepted', 'withdrawn']) AS status;
    CREATE TABLE warehouse.pseudonymised.cin_census__child_identifiers AS
        SELECT i + 2000 AS record_key, 'a24' AS delivery_id FROM range(30) r(i)
        UNION ALL SELECT i + 2000, 'b25' FROM range(10) r(i)
        UNION ALL SELECT i + 2000, 'c26' FROM range(30) r(i);
"""
FEEDS = ("school_census", "gp_olids", "cin_census")
Rows = dict[tuple[str, str, str], tuple[int | None, float | None, float | None]]


@pytest.fixture(scope="module")
def contracts() -> dict[str, Contract]:
    known = load_contracts(PROJECT_ROOT / "data_contracts")
    return {feed: known[feed] for feed in FEEDS}


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(WAREHOUSE)
        yield connection


def told(con: duckdb.DuckDBPyConnection, contracts: dict[str, Contract]) -> Rows:
    rows = link_quality_table(con, contracts).rows
    return {(feed, kind, name): tuple(rest) for feed, _, kind, name, *rest in rows}


def test_groups_are_what_the_source_itself_says_of_a_child(
    con: duckdb.DuckDBPyConnection, contracts: dict[str, Contract]
) -> None:
    found = told(con, contracts)
    school = {k[1:]: v for k, v in found.items() if k[0] == "school_census"}
    assert school["all", "all"] == (100, 0.6, 0.6)
    assert school["sex", "female"] == (50, 0.6, 0.6)  # what is not known later leaves it known
    assert school["ethnicity", "White"] == (80, 0.5, 0.5)
    assert school["ethnicity", "Asian"] == (20, 1.0, 1.0)
    assert school["ethnicity", "Black"] == (None, None, None)
    assert school["local authority", "E08000991"] == (60, 0.33, 0.33)  # the newest home counts
    assert school["local authority", "E08000992"] == (40, 1.0, 1.0)
    assert school["deprivation", "5 (least deprived fifth)"] == (40, 1.0, 1.0)
    assert school["age", "5 to 9"] == (50, 1.0, 1.0)  # the day before the birthday
    assert school["age", "10 to 14"] == (45, 0.22, 0.22)
    assert school["age", "not known"] == (None, None, None)
    practice = {kind for feed, kind, _ in found if feed == "gp_olids"}
    assert practice == {"all", "tier", "age"}, "it says nothing of sex, group or place"


def test_without_addresses_a_childs_authority_is_whose_delivery_counts_last(
    con: duckdb.DuckDBPyConnection, contracts: dict[str, Contract]
) -> None:
    found = told(con, contracts)
    sent = {k[2]: v[0] for k, v in found.items() if k[:2] == ("cin_census", "local authority")}
    assert sent == {"ashmere": 20, "brackenford": 10}


def test_a_domain_is_what_tells_sources_apart(
    con: duckdb.DuckDBPyConnection, contracts: dict[str, Contract]
) -> None:
    school = replace(contracts["gp_olids"], domain="education")
    found = told(con, {**contracts, "gp_olids": school})
    assert found["school_census", "all", "all"] == (100, 0.6, 0.3)


def test_rows_stand_as_people_list_them(
    con: duckdb.DuckDBPyConnection, contracts: dict[str, Contract]
) -> None:
    rows = link_quality_table(con, contracts).rows
    school = [tuple(row[2:4]) for row in rows if row[0] == "school_census"]
    assert school[:5] == [
        ("all", "all"),
        ("tier", "strong"),
        ("age", "5 to 9"),
        ("age", "10 to 14"),
        ("age", "not known"),
    ]


def test_before_anything_is_curated_there_are_only_totals_and_tiers(
    con: duckdb.DuckDBPyConnection, contracts: dict[str, Contract]
) -> None:
    con.execute(
        "DROP SCHEMA warehouse.curated CASCADE; DROP SCHEMA warehouse.pseudonymised CASCADE"
    )
    assert {kind for _, kind, _ in told(con, contracts)} == {"all", "tier"}
    con.execute("DROP TABLE warehouse.linkage.bridge")
    assert told(con, contracts) == {}


@given(
    st.lists(st.tuples(st.integers(1, 150), st.floats(0, 1)), min_size=1, max_size=6),
)
def test_what_is_suppressed_is_not_had_by_taking_the_others_from_the_total(
    groups: list[tuple[int, float]],
) -> None:
    """Of persons, found and not found: by what is shown, one to nine could be several numbers."""
    rows = [(str(i), n, round(n * part), 0) for i, (n, part) in enumerate(groups)]
    total = [sum(row[at] for row in rows) for at in (1, 2, 3)]
    told = list(_shown(rows, total))
    for counts, kept in (
        ([n for _, n, *_ in rows], [row[1] is not None for row in told]),
        ([found for _, _, found, _ in rows], [row[2] is not None for row in told]),
        ([n - found for _, n, found, _ in rows], [row[2] is not None for row in told]),
    ):
        small = [n for n in counts if 0 < n < 10]
        others = [n for n, is_kept in zip(counts, kept, strict=True) if n >= 10 and is_kept]
        emptied = [n for n, is_kept in zip(counts, kept, strict=True) if n >= 10 and not is_kept]
        if not small or emptied:
            continue
        left = (rounded(sum(counts)) or 0) - sum(rounded(n) or 0 for n in others)
        off = 2 * (1 + len(others)) if others else 10**6
        fits = [s for s in range(len(small), 9 * len(small) + 1) if abs(s - left) <= off]
        assert sum(small) in fits
        assert len(fits) >= 4


def test_where_rounding_would_give_a_small_group_away_another_goes_too() -> None:
    assert hidden(177, [88, 88, 1]) == {2, 0}  # 175 less 90 and 90: the last can only be one
    assert hidden(181, [88, 88, 5]) == {2}
    assert hidden(100, [50, 50]) == set()
    assert hidden(9, [9, 0]) == {0}
