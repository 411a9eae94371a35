"""Who is marked has no edge, whatever agrees: real runs beside identical records."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.exclusions import (
    Exclusion,
    check,
    exclusions,
    keyed_table,
    spreading_reasons,
)
from linked_cyp.identity.identifiers import IDENTIFIERS, on_series
from linked_cyp.linkage import (
    build_person_records,
    predict,
    publish_bridge,
    resolve,
    train,
    update_registry,
)
from linked_cyp.linkage.records import identities
from linked_cyp_tests.support import NOT_ASKED
from linked_cyp_tests.unit.linkage.test_identities import CONTRACTS, opened, put

# General practice records have no birth date to know them by here: test_feed_gp_olids_linkage.py.
RULES = tuple(rule for rule in exclusions() if rule.feed != "gp_olids")


def valid(kind: str, pattern: str) -> list[str]:
    """Different valid numbers, one for each rule."""
    numbers = pl.Series([pattern.format(n) for n in range(1000)])
    return numbers.filter(on_series(IDENTIFIERS[kind].valid, numbers)).to_list()[: len(RULES)]


NHS, UPN = valid("nhs_number", "9990000{:03d}"), valid("upn", "B801200005{:03d}")
NAMES = (
    *("ADA", "BEN", "CHLOE", "DEV", "EVE", "FINN", "GITA", "HUGO"),
    *("IRIS", "JONAH", "KEZIA", "LUCA", "MARYAM", "NOOR", "OTIS", "PRIYA"),
    *("QUINN", "ROSA", "SAMIR", "TARA", "UMA", "VIOLET", "WILF", "XENIA"),
    *("YUSUF", "ZORA", "BRUNO", "CLEO"),
)


def child(number: int) -> dict[str, dict[str, dict]]:
    """Rows that give a child an identity, by feed and table."""
    born = date(2012, 3, number + 1)
    postcode = f"NW{number + 1} 5AB"
    looked_after = {"child_id": f"C{number}", "upn": UPN[number], "birth_date": born}
    pupil = {
        "upn": UPN[number],
        "forename": NAMES[number],
        "surname": "NEILL",
        "birth_date": born,
        "sex_code": "F",
    }
    return {
        "school_census": {"pupil_on_roll": pupil},
        "npd_attainment": {"pupil_premium": pupil},
        "ssda903": {
            "header": looked_after | {"sex_code": "2"},
            "episodes": {"child_id": f"C{number}", "home_postcode": postcode},
        },
        "cin_census": {"child_identifiers": looked_after | {"sex_code": "2"}},
        "ssd": {
            "person": looked_after
            | {
                "sex_code": "2",
                "nhs_number": NHS[number],
                "forename": NAMES[number],
                "surname": "NEILL",
            }
        },
        "pds_demographics": {
            "person": {
                "nhs_number": NHS[number],
                "forename": NAMES[number],
                "surname": "NEILL",
                "birth_date": born,
                "sex_code": "2",
                "is_superseded": False,
            },
        },
        "sus_apc": {
            "spell": {
                "nhs_number": NHS[number],
                "birth_date": born,
                "postcode": postcode,
                "spell_id": str(number),
            },
            "episode": {"nhs_number": NHS[number], "spell_id": str(number)},
        },
        "sus_op": {
            "appointment": {
                "nhs_number": NHS[number],
                "birth_date": born,
                "postcode": postcode,
                "appointment_id": str(number),
            },
        },
        "sus_ecds": {
            "attendance": {
                "nhs_number": NHS[number],
                "birth_date": born,
                "postcode": postcode,
                "attendance_id": str(number),
            },
        },
    }


def mark(rule: Exclusion) -> dict:
    column = CONTRACTS[rule.feed].tables[rule.table].column(rule.column)
    known = {"BOOLEAN": True, "BIGINT": 1, "DATE": date(2020, 1, 1)}
    anything = known.get(column.sql_type, "C1")
    return {rule.column: rule.values[0] if rule.values else anything}


def deliver(con, supplier: str, feed: str, number: int, marked: Exclusion | None = None) -> None:
    """A delivery of one child; the record is marked by a rule where one is given."""
    tables = child(number)[feed]
    if marked:
        row = tables.get(marked.table, {"child_id": f"C{number}"})
        tables[marked.table] = row | mark(marked)
    kind = CONTRACTS[feed].period_kind
    periods = {"financial_year": "2025", "month": "2025-03", "academic_term": "2025-spring"}
    period = (periods | {"academic_year": "2025"}).get(kind, "2025-03-31")
    delivery = f"{supplier}.{period}.{feed.encode().hex()[:8]}"
    for table, row in tables.items():
        put(con, delivery, feed, table, [row])


def linked(con, keys) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Source persons with the number of their child, and the pairs that were scored."""
    build_person_records(con, CONTRACTS, keys, opt_outs=NOT_ASKED)
    train(con)
    predict(con)
    born = pl.Series([f"2012-03-{number + 1:02d}" for number in range(len(RULES))])
    tokens = pl.Series(Encoder(keys).tokens("birth_date", born))
    persons = con.execute(
        "SELECT record_key, birth_date, exclusion FROM linkage.main.person_record"
        " WHERE alternative = 0"
    ).pl()
    number = pl.col("birth_date").replace_strict(tokens, range(len(RULES)))
    pairs = con.execute("SELECT record_key_l, record_key_r FROM linkage.main.pairs").pl()
    return persons.with_columns(number.alias("child")), pairs


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """For each rule a marked record beside two identical ones: linked with and without rules."""
    folder = tmp_path_factory.mktemp("exclusions")
    with opened(folder) as (con, keys), pytest.MonkeyPatch.context() as patch:
        for number, rule in enumerate(RULES):
            for place in ("brent", "ealing", "harrow"):
                marked = rule if place == "brent" else None
                deliver(con, f"{place}_{number}", rule.feed, number, marked)
        with_rules = linked(con, keys)
        patch.setattr(identities, "exclusions", tuple)
        return with_rules, linked(con, keys)


@pytest.mark.parametrize(
    "number", range(len(RULES)), ids=[f"{r.feed}-{r.table}-{r.column}" for r in RULES]
)
def test_a_marked_child_has_no_edge_to_identical_records(runs, number):
    (persons, pairs), (unmarked, all_pairs) = runs
    rule = RULES[number]
    mine = persons.filter(child=number)
    # Some reasons hold for the identical records too, because they share a number with this one.
    spreads = rule.reason in spreading_reasons()
    assert mine["exclusion"].drop_nulls().to_list() == [rule.reason] * (3 if spreads else 1)
    excluded = mine.filter(pl.col("exclusion").is_not_null())["record_key"].implode()
    touching = pl.any_horizontal(pl.col("record_key_l", "record_key_r").is_in(excluded))
    assert pairs.filter(touching).is_empty()
    # Without the rules the same records pair, each with each.
    everyone = unmarked.filter(child=number)["record_key"]
    assert set(everyone) == set(mine["record_key"])
    both = pl.all_horizontal(pl.col("record_key_l", "record_key_r").is_in(everyone.implode()))
    assert all_pairs.filter(both).height == 3
    assert pairs.filter(both).height == (0 if spreads else 1)


def test_adoption_spreads_along_numbers_and_no_further(tmp_path):
    adopted = next(rule for rule in RULES if rule.reason == "adoption")
    with opened(tmp_path) as (con, keys):
        deliver(con, "brent", "ssda903", 0, marked=adopted)  # C0 of Brent, with a UPN
        deliver(con, "brent", "cin_census", 0)  # the same child id
        pupil = {"upn": UPN[0], "forename": "Ada", "surname": "Neill"}
        pupil["birth_date"] = date(2012, 3, 1)
        put(con, "ealing.2024-autumn.ee", "school_census", "pupil_on_roll", [pupil])
        deliver(con, "nwl_icb", "pds_demographics", 0)  # no number in common: names and date
        persons, pairs = linked(con, keys)
    reasons = persons["exclusion"].fill_null("none").sort().to_list()
    assert reasons == ["adoption", "adoption", "adoption", "none"]
    assert pairs.is_empty()


def test_who_is_sensitive_has_no_person_wherever_a_number_is_known(tmp_path):
    """The spine protects the first child; social care leads from its NHS number to the UPN under
    which the child was adopted. The second child is nobody's concern."""
    sensitive = next(rule for rule in RULES if rule.reason == "sensitive")
    adopted = next(rule for rule in RULES if rule.reason == "adoption")
    with opened(tmp_path) as (con, keys):
        deliver(con, "nwl_icb", "pds_demographics", 0, marked=sensitive)
        deliver(con, "harrow_icb", "pds_demographics", 1)
        for number, (council, hospital) in enumerate((("brent", "lnwh"), ("ealing", "imperial"))):
            deliver(con, hospital, "sus_apc", number)
            deliver(con, council, "ssd", number)
        deliver(con, "acton", "ssda903", 0, marked=adopted)
        deliver(con, "acton", "cin_census", 0)
        persons, _ = linked(con, keys)
        resolve(con)
        update_registry(con)
        con.execute("ATTACH ':memory:' AS warehouse")
        publish_bridge(con)
        feeds = con.execute("SELECT feed FROM warehouse.linkage.bridge ORDER BY 1").fetchall()
        out = con.execute(
            "SELECT feed, opt_out FROM warehouse.linkage.opted_out ORDER BY 1"
        ).fetchall()
    assert persons.filter(child=0)["exclusion"].to_list() == ["sensitive"] * 5
    assert feeds == [("pds_demographics",), ("ssd",), ("sus_apc",)]
    assert out == [
        (feed, "sensitive")
        for feed in ("cin_census", "pds_demographics", "ssd", "ssda903", "sus_apc")
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"feed": "gp_extract", "table": "journal"},  # no contract yet
        {"table": "no_such_table"},
        {"column": "no_such_column"},
        {"feed": "cin_census", "table": "header", "column": "collection"},  # of no person
    ],
)
def test_a_rule_that_cannot_hold_is_refused(change):
    rule = replace(exclusions()[0], **change)
    with pytest.raises(LinkedCypError, match=r"exclusions\.toml names"):
        check([rule], CONTRACTS, {})


def test_a_refused_rule_stops_the_build(tmp_path, monkeypatch):
    unknown = Exclusion("gp_extract", "journal", "code", "adoption", ("160499008",))
    monkeypatch.setattr(identities, "exclusions", lambda: (*exclusions(), unknown))
    with opened(tmp_path) as (con, keys):
        deliver(con, "brent", "ssda903", 0)
        with pytest.raises(LinkedCypError, match="gp_extract"):
            build_person_records(con, CONTRACTS, keys, opt_outs=NOT_ASKED)


def test_a_raw_table_without_the_column_is_refused():
    rule = exclusions()[0]
    table = CONTRACTS[rule.feed].tables[rule.table].table_name
    check([rule], CONTRACTS, {})  # nothing stored, nobody to exclude
    with pytest.raises(LinkedCypError, match="nobody is excluded"):
        check([rule], CONTRACTS, {table: {"child_id"}})


def test_every_rule_stands_on_a_table_of_persons():
    for rule in exclusions():
        contract = CONTRACTS[rule.feed]
        assert keyed_table(contract, contract.tables[rule.table])[0] is not None
