"""The truth hangs together: households, twins, care, cases, schools and hospital."""

from __future__ import annotations

import polars as pl
import pytest

from linked_cyp.synthetic.households import FOREVER
from linked_cyp.synthetic.parameters import Streams, load_parameters
from linked_cyp.synthetic.world import World, build_world


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(
        load_parameters(), Streams(11), children=4000, authorities=3, years=range(2024, 2026)
    )


def test_twins_share_a_birthday_and_a_household(world: World) -> None:
    twins = world.population.persons.filter(pl.col("twin_group").is_not_null())
    groups = twins.group_by("twin_group").agg(
        pl.len(), pl.col("birth").n_unique(), home=pl.col("household_id").n_unique()
    )
    assert groups.filter(pl.col("len") > 1).height > 20
    assert groups["birth"].max() == 1
    assert groups["home"].max() == 1
    names = twins.group_by("twin_group").agg(pl.len(), pl.col("forename").n_unique())
    assert names.filter(pl.col("len") != pl.col("forename")).is_empty()


def test_siblings_share_surnames_mostly_and_addresses_always(world: World) -> None:
    persons = world.population.persons.filter(pl.col("person_id") == pl.col("child_id"))
    homes = persons.group_by("household_id").agg(pl.len(), same=pl.col("surname").n_unique() == 1)
    several = homes.filter(pl.col("len") > 1)
    assert 0.8 < several["same"].mean() < 1
    assert set(persons["household_id"]) <= set(world.population.addresses["household_id"])


def test_addresses_follow_one_another(world: World) -> None:
    addresses = world.population.addresses
    following = addresses.select(
        same=pl.col("household_id") == pl.col("household_id").shift(-1),
        gap=pl.col("from_day").shift(-1) - pl.col("to_day"),
    ).filter("same")
    assert following["gap"].unique().to_list() == [0]
    assert (addresses["to_day"] > addresses["from_day"]).all()


def test_an_adopted_child_has_two_identities_that_share_nothing(world: World) -> None:
    persons = world.population.persons
    adopted = persons.filter(pl.col("person_id") != pl.col("child_id"))
    first = persons.filter(pl.col("person_id").is_in(adopted["child_id"].implode()))
    assert adopted.height == world.care.adoptions.height > 0
    both = first.join(adopted, on="child_id", suffix="_after")
    assert (both["nhs_number"] != both["nhs_number_after"]).all()
    assert (both["household_id"] != both["household_id_after"]).all()
    assert (both["to_day"] == both["from_day_after"]).all()
    assert persons["nhs_number"].n_unique() == persons.height


def test_episodes_fill_their_period_of_care(world: World) -> None:
    chains = world.care.episodes.group_by("period_id", maintain_order=True).agg(
        first=pl.col("reason").first(),
        later=pl.col("reason").slice(1).is_in(["S"]).any(),
        inner=(pl.col("exit").head(pl.len() - 1) == "X1").all(),
        last=pl.col("exit").last(),
        start=pl.col("start").min(),
        end=pl.col("end").max(),
        joined=(pl.col("start").slice(1) == pl.col("end").head(pl.len() - 1)).all(),
        long=(pl.col("end") > pl.col("start")).all(),
    )
    assert (chains["first"] == "S").all()
    assert not chains["later"].any()
    for law in ("inner", "joined", "long"):
        assert chains[law].all(), law
    both = chains.join(world.care.periods, on="period_id", suffix="_period")
    assert both.height == world.care.periods.height > 40
    assert (both["start"] == both["start_period"]).all()
    closed = both.filter(pl.col("end_period") < FOREVER)
    assert (closed["end"] == closed["end_period"]).all()
    assert (closed["last"] == closed["exit"]).all()
    assert (closed["last"] != "X1").all()


def test_no_child_is_looked_after_before_birth_or_twice_at_once(world: World) -> None:
    periods = world.care.periods.sort("person_id", "start")
    assert (periods["start"] >= periods["birth"]).all()
    overlaps = periods.filter(
        pl.col("person_id") == pl.col("person_id").shift(), pl.col("start") <= pl.col("end").shift()
    )
    assert overlaps.is_empty()


def test_every_period_of_care_lies_in_a_case_and_other_cases_do_not_overlap(world: World) -> None:
    cases = world.need.referrals.filter(pl.col("path") != "nfa").sort("person_id", "day")
    held = world.care.periods.join(cases, on="person_id", suffix="_case").filter(
        pl.col("day") <= pl.col("start"), pl.col("close") >= pl.col("end")
    )
    assert held["period_id"].n_unique() == world.care.periods.height
    ordinary = cases.filter(pl.col("path") != "care")
    overlaps = ordinary.filter(
        pl.col("person_id") == pl.col("person_id").shift(), pl.col("day") <= pl.col("close").shift()
    )
    assert overlaps.is_empty()


def test_protection_plans_follow_a_conference(world: World) -> None:
    plans = world.need.protection.join(world.need.referrals, on="referral_id", suffix="_case")
    assert plans.height > 10
    assert (plans["start"] == plans["conference"]).all()
    assert (plans["start"] >= plans["day"]).all()
    assert (plans["end"] >= plans["start"]).all()


def test_spells_lie_between_birth_and_death(world: World) -> None:
    spells = world.hospital.spells.join(
        world.population.persons.select("person_id", "death_day", "to_day"), on="person_id"
    )
    assert spells.height > 300
    assert (spells["admitted"] >= spells["birth"]).all()
    assert (spells["discharged"] >= spells["admitted"]).all()
    assert spells.filter(pl.col("discharged") > pl.col("death_day")).is_empty()
    harm = spells.filter(pl.col("condition") == "self_harm")
    assert ((harm["admitted"] - harm["birth"]) >= 10 * 365).all()
    assert (
        spells.filter(pl.col("condition") == "birth")["admitted"]
        == spells.filter(pl.col("condition") == "birth")["birth"]
    ).all()


def test_looked_after_children_are_admitted_more_often(world: World) -> None:
    spells = world.hospital.spells.filter(pl.col("condition") != "birth")
    known = world.care.periods.filter(pl.col("end") > 19_448)["person_id"].unique()
    inside = spells.filter(pl.col("person_id").is_in(known.implode())).height / len(known)
    everyone = spells.height / world.population.persons.height
    assert inside > everyone


def test_absence_never_exceeds_what_was_possible(world: World) -> None:
    uncounted = ["Y", "Y1", "Q"]
    absent = (
        world.absence.reasons.filter(~pl.col("code").is_in(uncounted))
        .group_by("enrolment_id", "term")
        .agg(pl.col("sessions").sum())
    )
    both = absent.join(world.absence.sessions, on=["enrolment_id", "term"], how="left")
    assert both.height > 1000
    assert both["possible"].null_count() == 0
    assert (both["sessions"] <= both["possible"]).all()
    overall = both["sessions"].sum() / world.absence.sessions["possible"].sum()
    assert 0.05 < overall < 0.10


def test_enrolments_lie_in_the_area_and_in_their_order(world: World) -> None:
    enrolments = world.education.enrolments
    assert (enrolments["to_day"] > enrolments["from_day"]).all()
    single = enrolments.filter(~pl.col("subsidiary")).sort("person_id", "from_day")
    overlaps = single.filter(
        pl.col("person_id") == pl.col("person_id").shift(),
        pl.col("from_day") < pl.col("to_day").shift(),
    )
    assert overlaps.is_empty()
    assert enrolments.filter(pl.col("subsidiary")).height > 0
    pupils = world.education.pupils
    assert pupils["upn"].n_unique() == pupils.height


def test_postcodes_belong_to_one_lsoa_and_to_no_real_area(world: World) -> None:
    postcodes = world.places.postcodes
    assert postcodes["postcode"].n_unique() == postcodes.height
    real = {"A", "B", "E", "N", "S", "W", "AL", "BA", "CA", "DE", "EX", "HA", "KT", "TN", "UB"}
    letters = postcodes["postcode"].str.extract(r"^([A-Z]+)").unique().to_list()
    assert not real & set(letters)
    assert set(letters) == set(world.places.areas["postcode_area"])
