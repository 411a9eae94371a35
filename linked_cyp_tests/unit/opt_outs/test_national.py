"""The national data opt-out: who is not on the newest reply is in no link and no bridge."""

from __future__ import annotations

import pytest

from linked_cyp_tests.unit.opt_outs.world import NATIONAL, NHS, World


def test_who_is_not_on_the_reply_is_out_of_health_and_stays_in_education(world: World) -> None:
    world.spine(0, 1)
    world.hospital(0, 1)
    world.school(0, 1)
    world.remain(NHS[0])
    counts = world.records(NATIONAL)
    assert world.linked("pds_demographics") == world.linked("sus_apc") == {0}
    assert world.linked("school_census") == {0, 1}
    assert (counts["persons"], counts["opted out"]) == (4, 2)


def test_without_a_usable_number_nobody_can_be_asked_so_the_record_is_out(world: World) -> None:
    typing_error = NHS[1][:-1] + str((int(NHS[1][-1]) + 1) % 10)
    world.hospital(0, 1, 2, numbers=[NHS[0], typing_error, None])
    world.remain(NHS[0], typing_error)
    world.records(NATIONAL)
    assert world.linked("sus_apc") == {0}
    reasons = world.con.execute("SELECT reason FROM linkage.main.opted_out").fetchall()
    assert reasons == [("no NHS number to ask about",)] * 2


def test_an_empty_reply_leaves_nobody(world: World) -> None:
    world.spine(0, 1)
    world.remain()
    assert world.records(NATIONAL)["persons"] == 0


def test_the_newest_reply_counts_alone(world: World) -> None:
    world.spine(0, 1)
    world.remain(NHS[0], NHS[1], period="2025-04-01")
    world.remain(NHS[0], period="2025-04-15")
    world.records(NATIONAL)
    assert world.linked("pds_demographics") == {0}


def test_of_two_replies_of_a_day_both_must_have_the_number(world: World) -> None:
    world.spine(0, 1)
    world.remain(NHS[0], NHS[1], supplier="one")
    world.remain(NHS[0], supplier="two")
    world.records(NATIONAL)
    assert world.linked("pds_demographics") == {0}


@pytest.mark.parametrize(("remaining", "kept"), [((0,), set()), ((1,), {0}), ((0, 1), {0, 1})])
def test_a_replaced_number_does_not_keep_who_opted_out_under_the_new_one(
    world: World, remaining: tuple[int, ...], kept: set[int]
) -> None:
    """Child 0 had the number of child 1 of the list; a hospital still uses the old one."""
    old, new = NHS[0], NHS[1]
    world.spine(0, nhs={0: new})
    merger = {"nhs_number": new, "superseded_nhs_number": old}
    world.put("pds_demographics", "person_merger", [merger])
    world.hospital(0, numbers=[old])
    world.remain(*(NHS[number] for number in remaining))
    world.records(NATIONAL)
    found = {0} if world.linked("pds_demographics") else set()
    found |= {1} if world.linked("sus_apc") else set()
    assert found == kept
