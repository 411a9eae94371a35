"""Reading SQL for where each column comes from, with answers worked out by hand."""

from __future__ import annotations

import pytest

from linked_cyp.metadata.sql_lineage import Relations, column_sources

KNOWN: Relations = {
    ("staging", "a"): ["person_id", "x", "y"],
    ("staging", "b"): ["person_id", "y", "z"],
    ("reference", "sex"): ["source_code", "feed", "sex"],
    ("linkage", "bridge"): ["record_key", "person_id"],
}
CASES: dict[str, tuple[str, dict[str, set[str]]]] = {
    "star, exclude and rename": (
        "select * exclude (x), x + 1 as next from staging.a",
        {"person_id": {"a.person_id"}, "y": {"a.y"}, "next": {"a.x"}},
    ),
    "union by position": (
        "select person_id, x from staging.a union all select person_id, z from staging.b",
        {"person_id": {"a.person_id", "b.person_id"}, "x": {"a.x", "b.z"}},
    ),
    "union by name, in another order": (
        "select x, y from staging.a union all by name select z, y from staging.b",
        {"x": {"a.x"}, "y": {"a.y", "b.y"}, "z": {"b.z"}},
    ),
    "three sides by name under a star": (
        """with u as (select person_id, 1 as rank, y from staging.a
                      union all by name select y, person_id from staging.b
                      union all by name select z as y, person_id, x from staging.a)
           select u.* exclude (rank) from u""",
        {
            "person_id": {"a.person_id", "b.person_id"},
            "y": {"a.y", "b.y", "a.z"},
            "x": {"a.x"},
        },
    ),
    "look-up in a reference table": (
        """select coalesce(sex.sex, 'U') as sex, sex.sex as same from staging.a
           left join reference.sex as sex on sex.source_code = upper(a.x) and sex.feed = 'f'""",
        {"sex": {"sex.sex", "a.x"}, "same": {"sex.sex", "a.x"}},
    ),
    "look-up in the bridge": (
        "select bridge.person_id, y from staging.a as r join linkage.bridge on r.x = record_key",
        {"person_id": {"bridge.person_id", "a.x"}, "y": {"a.y"}},
    ),
    "windows and aggregates": (
        """select person_id, max(x) filter (where y > 0) as top, count(*) as n,
                  arg_max(x, y) as last
           from staging.a group by all
           qualify row_number() over (partition by person_id order by top) = 1""",
        {"person_id": {"a.person_id"}, "top": {"a.x", "a.y"}, "n": set(), "last": {"a.x", "a.y"}},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_columns_are_followed(case: str) -> None:
    sql, expected = CASES[case]
    found = {
        name: {f"{table}.{column}" for _, table, column in sources or ()}
        for name, sources in column_sources(sql, KNOWN).items()
    }
    assert found == expected


@pytest.mark.parametrize("sql", ["", "selec ((", "select", "insert into a values (1)"])
def test_what_is_not_a_query_gives_nothing(sql: str) -> None:
    assert column_sources(sql, KNOWN) == {}
