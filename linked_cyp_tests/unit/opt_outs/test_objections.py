"""Who objected to this data set is in no link and no bridge."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.expectations import run_rules
from linked_cyp.ingest import ledger
from linked_cyp.linkage.records.checks import person_record_rules
from linked_cyp.opt_outs.policy import MAX_AGE_DAYS, Rule
from linked_cyp.release.record import opt_out_table
from linked_cyp_tests.unit.opt_outs.world import BOTH_NHS, NHS, OBJECTION, UPN, World, _born, policy


def everybody(world: World, children: int = 5) -> None:
    """Children in four feeds; name, birth date and numbers lead from each to the next."""
    world.spine(*range(children))
    world.put(
        "pds_demographics",
        "address",
        [{"nhs_number": NHS[child], "postcode": f"NW{child + 1} 5AB"} for child in range(children)],
    )
    world.hospital(*range(children))
    world.school(*range(children))
    world.care(*range(children))


FEEDS = ("pds_demographics", "sus_apc", "school_census", "ssda903")
OBJECTIONS: tuple[dict[str, Any], ...] = (  # of child 0, 1, 2 ...
    {"scheme_code": "nhs", "subject_reference": NHS[0]},
    {"scheme_code": "NHS ", "subject_reference": f"{NHS[1][:3]} {NHS[1][3:6]} {NHS[1][6:]}"},
    {"scheme_code": "upn", "subject_reference": UPN[2].lower()},
    {"scheme_code": "la_child", "subject_reference": " c3", "authority_name": "Ashmere"},
    {"scheme_code": "nhs", "subject_reference": NHS[4], "scope_code": None},
    {"scheme_code": "nhs", "subject_reference": NHS[5], "scope_code": "all"},
    {"scheme_code": "upn", "subject_reference": UPN[6], "withdrawn_date": dt.date(2024, 1, 1)},
    # and these do not stand
    {"scheme_code": "nhs", "subject_reference": NHS[7], "scope_code": "direct_care"},
    {"scheme_code": "nhs", "subject_reference": NHS[8], "withdrawn_date": dt.date(2024, 6, 1)},
)


def test_an_objection_takes_out_everything_that_is_found_of_the_person(world: World) -> None:
    everybody(world, 12)
    world.object(*OBJECTIONS)
    world.link(OBJECTION)
    persons = world.persons()
    assert {feed: set(persons[feed]) for feed in FEEDS} == {
        feed: set(range(7, 12)) for feed in FEEDS
    }
    known = world.con.execute("SELECT feed, opt_out FROM warehouse.linkage.opted_out").fetchall()
    assert sorted(known) == [(f, "local_objection") for f in sorted(FEEDS) for _ in range(7)]
    (left,) = [r for r in opt_out_table(world.con).rows if r[0] == "local_objection"]
    assert left[1] is True
    assert left[6] == 30  # 28, rounded


def test_a_withdrawal_on_a_later_list_ends_the_objection_of_an_earlier_one(world: World) -> None:
    world.school(0, 1, 2)
    row = {"scheme_code": "upn", "subject_reference": UPN[0]}
    world.object(row, row | {"subject_reference": UPN[1]}, period="2025-03-15")
    world.object(row | {"withdrawn_date": dt.date(2025, 4, 1)}, period="2025-04-15")
    world.records(OBJECTION)
    assert world.objectors() == {1}


@pytest.mark.parametrize(
    "row",
    [
        {"scheme_code": "nhs", "subject_reference": NHS[0][:-1]},
        {"scheme_code": "upn", "subject_reference": "UN1"},
        {"scheme_code": "passport", "subject_reference": NHS[0]},
        {"scheme_code": "la_child", "subject_reference": "C0", "authority_name": "nowhere"},
        {"scheme_code": "la_child", "subject_reference": "C0"},  # of whoever sent the list
    ],
    ids=lambda row: f"{row['scheme_code']}-{row.get('authority_name', '')}",
)
def test_an_objection_that_names_nobody_stops_the_build(world: World, row: dict[str, Any]) -> None:
    world.school(0)
    world.object(row, supplier="linked_data_service")
    with pytest.raises(LinkedCypError, match="1 objections") as refused:
        world.records(OBJECTION)
    assert row["subject_reference"] not in str(refused.value)
    assert refused.value.__cause__ is refused.value.__context__ is None


@pytest.mark.parametrize("held", ["00101", "101", "101.0", "c-101"])
@pytest.mark.parametrize("said", ["101", "00101", " 101.0 ", "C101"])
def test_an_authoritys_number_objects_in_any_spelling(world: World, held: str, said: str) -> None:
    world.put(
        "ssda903",
        "header",
        [
            {"child_id": number, "birth_date": _born(child), "sex_code": "F"}
            for child, number in enumerate((held, "1101"))
        ],
    )
    row = {"scheme_code": "la_child", "subject_reference": said, "authority_name": "ashmere"}
    world.object(row)
    counts = world.records(OBJECTION)
    same = held.lower().startswith("c") == said.lower().startswith("c")
    assert world.objectors() == ({0} if same else set())
    assert counts["objections that name nobody known"] == (0 if same else 1)
    outcomes = run_rules(world.con, "linkage.main.person_record", person_record_rules())
    (told,) = [o.passed for o in outcomes if o.name == "objections__name_somebody"]
    assert told is same


@pytest.mark.parametrize("column", ["consent_93c1", "national_data_opted_in"])
def test_a_flag_that_says_no_of_a_number_that_cannot_be_read_stops_the_build(
    world: World, column: str
) -> None:
    """A spreadsheet has written the number as 9.99E+09. Whoever consents may be unreadable."""
    world.hospital(0, 1)
    world.remain(*NHS[:2])
    world.type_1()
    said = [(NHS[1], "TRUE"), ("9.99E+09", "FALSE"), ("9.98E+09", "TRUE"), ("9.97E+09", "n/k")]
    flags = [{"nhs_number": number, column: flag} for number, flag in said]
    world.put("type1_opt_out", "gp_flag", flags, supplier="icb")
    with pytest.raises(LinkedCypError, match=f"2 flags of {column}") as refused:
        world.records(BOTH_NHS)
    assert [n for n in range(1, 5) if f"file 0 row {n}" in str(refused.value)] == [2, 4]
    assert "9.9" not in str(refused.value)


def test_who_objects_later_is_gone_and_everybody_elses_id_stays(world: World) -> None:
    everybody(world)
    world.remain(*NHS[:5])
    both = policy(
        national_data_opt_out=Rule(MAX_AGE_DAYS["national_data_opt_out"]),
        local_objection=Rule(MAX_AGE_DAYS["local_objection"]),
    )
    world.object()
    world.link(both)
    before = world.persons()
    one = {"scheme_code": "la_child", "subject_reference": "C2", "authority_name": "ashmere"}
    world.object(one, period="2025-04-16")
    world.remain(*NHS[:1], *NHS[2:5], period="2025-04-16")  # child 1 opted out nationally
    world.link(both)
    after = world.persons()
    stay = {"pds_demographics": {0, 3, 4}, "sus_apc": {0, 3, 4}}
    stay |= {"school_census": {0, 1, 3, 4}, "ssda903": {0, 1, 3, 4}}
    assert {feed: set(after[feed]) for feed in FEEDS} == stay
    for feed, children in stay.items():
        assert {c: before[feed][c] for c in children} == after[feed]
    # and who withdraws is the same person again
    world.object(one | {"withdrawn_date": dt.date(2025, 4, 17)}, period="2025-04-17")
    world.remain(*NHS[:5], period="2025-04-17")
    world.link(both)
    assert world.persons() == before


def test_a_list_that_was_withdrawn_opts_nobody_out(world: World) -> None:
    world.school(0, 1)
    row = {"scheme_code": "upn", "subject_reference": UPN[0]}
    world.object(row, period="2025-04-14")
    world.object(period="2025-04-15")
    (delivery,) = world.con.execute(
        "SELECT delivery_id FROM identifiable.ledger.current WHERE period = '2025-04-14'"
    ).fetchone() or ("",)
    world.con.execute(f"INSERT INTO {ledger.WITHDRAWAL} (delivery_id) VALUES (?)", [delivery])
    world.records(OBJECTION)
    assert world.objectors() == set()
