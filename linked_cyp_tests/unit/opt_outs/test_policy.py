"""Without a list that is needed and fresh there is no build and no release."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from linked_cyp.contracts.vocabulary import OPT_OUTS
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.ingest import ledger
from linked_cyp.opt_outs.policy import Policy, Rule, load_policy, not_applied
from linked_cyp.release import gate
from linked_cyp.release.record import opt_out_table
from linked_cyp_tests.unit.opt_outs.world import (
    NATIONAL,
    NHS,
    OBJECTION,
    REASON,
    TODAY,
    World,
    policy,
)


def test_without_its_list_nothing_is_built_and_the_list_is_named(world: World) -> None:
    world.hospital(0)
    world.school(0)
    with pytest.raises(LinkedCypError) as refused:
        world.records()
    for name in OPT_OUTS:
        assert f"no list of {name} has been accepted" in str(refused.value)
    assert "sus_apc" in str(refused.value)
    assert "school_census" in str(refused.value)
    tables = world.con.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main'")
    assert tables.fetchall() == []


def test_only_lists_that_some_feed_needs_are_asked_for(world: World) -> None:
    world.school(0)
    with pytest.raises(LinkedCypError, match="local_objection") as refused:
        world.records()
    assert "national" not in str(refused.value)
    world.object()  # a list of nobody is a list
    assert world.records()["persons"] == 1


@pytest.mark.parametrize(
    ("today", "complaint"),
    [
        (dt.date(2025, 5, 6), None),
        (dt.date(2025, 5, 7), "is of 2025-04-15, more than 21 days ago"),
        (dt.date(2025, 4, 14), "dated in the future"),
    ],
)
def test_a_list_has_its_time(world: World, today: dt.date, complaint: str | None) -> None:
    world.spine(0)
    world.remain(NHS[0])
    if complaint is None:
        assert world.records(NATIONAL, today)["persons"] == 1
    else:
        with pytest.raises(LinkedCypError, match=complaint):
            world.records(NATIONAL, today)


def test_of_lists_kept_by_several_the_oldest_tells(world: World) -> None:
    world.school(0)
    world.object(supplier="one", period="2025-04-15")
    world.object(supplier="two", period="2025-01-15")
    with pytest.raises(LinkedCypError, match="is of 2025-01-15"):
        world.records(OBJECTION)


def test_a_list_of_a_day_to_come_is_refused_beside_others_too(world: World) -> None:
    world.school(0)
    world.object(supplier="one", period="2025-04-15")
    world.object(supplier="two", period="2045-04-15")
    with pytest.raises(LinkedCypError, match="dated in the future: 2045-04-15"):
        world.records(OBJECTION)


# The list that was taken, then the one that was refused: supplier, day, version and hour of reading
TAKEN = ("one", "2025-04-15", "2", 9)
REFUSED = (
    (("one", "2025-04-16", "1", 10), True),
    (("one", "2025-04-15", "3", 10), True),  # of the same day, a newer version
    (("one", "2025-04-15", "3", 8), True),  # whichever came first
    (("one", "2025-04-15", "2", 10), True),
    (("two", "2025-04-01", "1", 10), True),  # another's, of whom nothing is known
    (("one", "2025-04-15", "2", 8), False),  # put right in its place
    (("one", "2025-04-15", "1", 10), False),
    (("one", "2025-04-01", "9", 10), False),
)


@pytest.mark.parametrize(("refused", "stops"), REFUSED)
def test_a_refused_list_stops_the_build_until_a_newer_is_taken_or_it_is_withdrawn(
    world: World, refused: tuple[str, str, str, int], stops: bool
) -> None:
    world.school(0)
    for outcome, (supplier, day, version, hour) in (("accepted", TAKEN), ("rejected", refused)):
        world.con.execute(
            f"INSERT INTO {ledger.DELIVERY} (delivery_id, supplier, feed, period, version_order,"
            " content_sha256, outcome, received_at)"
            " VALUES ($1, $2, 'local_objection', $3, $4, $1, $1, $5)",
            [outcome, supplier, day, version, dt.datetime(2025, 4, 20, hour)],
        )
    if stops:
        with pytest.raises(LinkedCypError, match=r"was refused and none taken since \(rejected\)"):
            world.records(OBJECTION)
        world.con.execute(f"INSERT INTO {ledger.WITHDRAWAL} (delivery_id) VALUES ('rejected')")
    assert world.records(OBJECTION)["persons"] == 1


def test_what_is_not_applied_says_why_all_the_way_into_the_release(world: World) -> None:
    world.hospital(0)
    world.link(not_applied(REASON))
    assert world.linked("sus_apc") == {0}
    (row, *_) = opt_out_table(world.con).rows
    assert (row[0], row[1], row[2]) == ("local_objection", False, REASON)
    assert [r for r in gate(world.con, not_applied(REASON), TODAY) if "opt" in r] == []
    changed = gate(world.con, Policy(), TODAY)
    assert "national_data_opt_out was not applied, and nothing says why: link again" in changed


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[national_data_opt_out]\napplied = false", "relaxed without saying why"),
        ("[national_data_opt_out]\nmax_age_days = 30", "relaxed without saying why"),
        ("[national_data_opt_out]\napplied = false\nbecause = 'test'", "without saying why"),
        ("[type_1]\napplied = false", "names type_1; there are national_data_opt_out"),
        ("[type1_opt_out]\napply = false", "takes applied, max_age_days and because"),
        ("[type1_opt_out]\napplied = 'no'", "applied is true or false"),
        ("[type1_opt_out]\nmax_age_days = -1", "not negative"),
        ("applied = false", "names applied"),
        ("[[", "cannot be read"),
    ],
)
def test_settings_that_relax_nothing_properly_are_refused(
    tmp_path: Path, text: str, complaint: str
) -> None:
    file = tmp_path / "opt_outs.toml"
    file.write_text(text)
    with pytest.raises(LinkedCypError, match=complaint):
        load_policy(file)


def test_settings_are_strict_unless_they_give_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "opt_outs.toml"
    assert load_policy(file) == Policy()
    assert all(rule.applied for rule in Policy().rules.values())
    file.write_text(f"[type1_opt_out]\napplied = false\nbecause = '''{REASON}\n  today'''")
    rules = load_policy(file).rules
    assert rules["type1_opt_out"] == Rule(45, False, f"{REASON} today")
    assert rules["national_data_opt_out"].applied


def test_a_release_needs_lists_that_are_fresh_on_its_own_day(world: World) -> None:
    world.spine(0)
    world.remain(NHS[0])
    world.link(NATIONAL)

    def reasons(day: dt.date, given: Policy | None = None) -> list[str]:
        return [r for r in gate(world.con, given, day) if "opt_out" in r]

    assert reasons(dt.date(2025, 5, 6)) == []
    late = "the list of national_data_opt_out is of 2025-04-15, more than 21 days ago"
    assert reasons(dt.date(2025, 5, 7)) == [f"{late}: ask again and link again"]
    longer = policy(national_data_opt_out=Rule(60, because=REASON))
    assert reasons(dt.date(2025, 5, 7), longer) == []
    assert (
        len(
            reasons(dt.date(2025, 5, 6), Policy({**longer.rules, "national_data_opt_out": Rule(7)}))
        )
        == 1
    )

    world.con.execute("DROP TABLE warehouse.linkage.opt_out")
    assert reasons(TODAY) == []
    assert "the bridge does not say which opt-outs were applied: link again" in gate(world.con)
