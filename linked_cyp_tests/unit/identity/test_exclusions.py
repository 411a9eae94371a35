"""Who is marked has no edge, whatever agrees: real runs beside identical records."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from linked_cyp.contracts.facts import Excludes
from linked_cyp.contracts.model import load_codesets, load_contract
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.exclusions import (
    SPREADING,
    Exclusion,
    check,
    exclusions,
    keyed_table,
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
from linked_cyp_tests.contracts.common import FOLDER
from linked_cyp_tests.support import NOT_ASKED, with_exclusion
from linked_cyp_tests.unit.linkage.test_identities import CONTRACTS, opened, put

# General practice records have no birth date to know them by here: test_feed_gp_olids_linkage.py.
ALL = exclusions(CONTRACTS.values())
RULES = tuple(rule for rule in ALL if rule.feed != "gp_olids")


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


def mark(rule: Exclusion, number: int) -> dict:
    column = CONTRACTS[rule.feed].tables[rule.table].column(rule.column)
    known = {"BOOLEAN": True, "BIGINT": 1, "DATE": date(2020, 1, 1)}
    anything = known.get(column.sql_type, f"C{number}")
    return {rule.column: rule.values[0] if rule.values else anything}


def deliver(con, supplier: str, feed: str, number: int, marked: Exclusion | None = None) -> None:
    """A delivery of one child; the record is marked by a rule where one is given."""
    tables = child(number)[feed]
    if marked:
        row = tables.get(marked.table, {"child_id": f"C{number}"})
        tables[marked.table] = row | mark(marked, number)
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
        patch.setattr(identities, "exclusions", lambda contracts: ())
        return with_rules, linked(con, keys)


@pytest.mark.parametrize(
    "number", range(len(RULES)), ids=[f"{r.feed}-{r.table}-{r.column}" for r in RULES]
)
def test_a_marked_child_has_no_edge_to_identical_records(runs, number):
    (persons, pairs), (unmarked, all_pairs) = runs
    rule = RULES[number]
    mine = persons.filter(child=number)
    # Some reasons hold for the identical records too, because they share a number with this one.
    spreads = rule.reason in SPREADING
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
    adopted = next(e for e in exclusions([CONTRACTS["ssda903"]]) if e.reason == "adoption")
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
    adopted = next(e for e in exclusions([CONTRACTS["ssda903"]]) if e.reason == "adoption")
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


UNHELD = with_exclusion(
    CONTRACTS, "cin_census", "header", "collection_code", Excludes(reason="adoption")
)


def test_an_exclusion_on_rows_of_no_person_is_refused():
    check(CONTRACTS, {})
    with pytest.raises(LinkedCypError, match=r"cin_census\.header\.collection_code .*no person"):
        check(UNHELD, {})


def test_a_refused_exclusion_stops_the_build(tmp_path):
    with opened(tmp_path) as (con, keys):
        deliver(con, "brent", "ssda903", 0)
        with pytest.raises(LinkedCypError, match="belong to no person"):
            build_person_records(con, UNHELD, keys, opt_outs=NOT_ASKED)


def test_a_raw_table_without_the_column_is_refused():
    rule = ALL[0]
    table = CONTRACTS[rule.feed].tables[rule.table].table_name
    check(CONTRACTS, {})  # nothing stored, nobody to exclude
    with pytest.raises(LinkedCypError, match="nobody is excluded"):
        check(CONTRACTS, {table: {"child_id"}})


def test_every_rule_stands_on_a_table_of_persons():
    for rule in ALL:
        contract = CONTRACTS[rule.feed]
        assert keyed_table(contract, contract.tables[rule.table])[0] is not None


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("{reason: adopted, values: [E11, E12]}", "excludes.reason"),
        ("{reason: adoption, values: [E11, E99]}", "excludes names E99"),
        ("{reason: adoption, value: [E11]}", "excludes.value"),
    ],
)
def test_an_exclusion_that_would_not_hold_is_refused_with_its_contract(tmp_path, said, complaint):
    text = (FOLDER / "ssda903.odcs.yaml").read_text(encoding="utf-8")
    good = "{reason: adoption, values: [E11, E12]}"
    assert good in text
    path = tmp_path / "ssda903.odcs.yaml"
    path.write_text(text.replace(good, said), encoding="utf-8")
    with pytest.raises(LinkedCypError, match=complaint):
        load_contract(path, load_codesets(FOLDER / "codesets"))


# What no contract may lose by a slip: each keeps somebody apart or out. A rule that is added to a
# contract is added here, with eyes open.
REVIEWED = {
    ("cin_census", "cin_details", "closure_reason_code", "adoption", ("RC1",)),
    ("gp_olids", "observation", "snomed_code", "adoption", ("393547004", "160499008")),
    ("gp_olids", "patient", "is_confidential", "sensitive", ()),
    ("gp_olids", "patient", "is_deleted", "deleted", ()),
    ("gp_olids", "patient", "is_dummy_patient", "dummy", ()),
    ("gp_olids", "patient", "is_spine_sensitive", "sensitive", ()),
    ("npd_attainment", "pupil_premium", "adopted_from_care_premium_count", "adoption", ()),
    ("pds_demographics", "person", "is_superseded", "superseded", ()),
    ("pds_demographics", "person", "sensitivity_code", "sensitive", ()),
    ("school_census", "pupil_on_roll", "post_looked_after_code", "adoption", ("A", "O")),
    ("ssd", "cin_episodes", "closure_reason_code", "adoption", ("RC1",)),
    ("ssd", "cla_episodes", "episode_end_reason_code", "adoption", ("E11", "E12")),
    ("ssd", "cla_placement", "placement_type_code", "adoption", ("A3", "A4", "A5", "A6")),
    ("ssd", "cla_previous_permanence", "previous_permanence_code", "adoption", ("P1",)),
    ("ssd", "permanence", "adopter_count", "adoption", ()),
    ("ssd", "permanence", "adopter_legal_status_code", "adoption", ()),
    ("ssd", "permanence", "adopter_sex_code", "adoption", ()),
    (
        "ssd",
        "permanence",
        "permanence_order_type",
        "adoption",
        ("ADOPTION", "ADOPTION ORDER", "ADOPTED", "AO"),
    ),
    ("ssd", "permanence", "placed_for_adoption_date", "adoption", ()),
    ("ssda903", "ad1", "child_id", "adoption", ()),
    ("ssda903", "episodes", "episode_end_reason_code", "adoption", ("E11", "E12")),
    ("ssda903", "episodes", "placement_type_code", "adoption", ("A3", "A4", "A5", "A6")),
    ("ssda903", "placed_for_adoption", "placement_decision_date", "adoption", ()),
    ("ssda903", "previous_permanence", "previous_permanence_code", "adoption", ("P1",)),
    ("sus_apc", "episode", "withheld_identity_reason_code", "withheld", ()),
    ("sus_apc", "spell", "withheld_identity_reason_code", "withheld", ()),
    ("sus_ecds", "attendance", "withheld_identity_reason_code", "withheld", ()),
    ("sus_op", "appointment", "withheld_identity_reason_code", "withheld", ()),
}


def test_the_exclusions_in_force_are_those_that_were_reviewed():
    assert {(r.feed, r.table, r.column, r.reason, r.values) for r in ALL} == REVIEWED
