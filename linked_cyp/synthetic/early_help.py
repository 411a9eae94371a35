"""Contacts with social care and early help, and every child an authority's own system holds.

Each referral begins with a contact; other contacts lead to early help or to nothing. Some closed
cases step down to early help.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from linked_cyp.synthetic.events import household_events
from linked_cyp.synthetic.households import FOREVER
from linked_cyp.synthetic.parameters import as_days, birthday, gamma_days, pick, text
from linked_cyp.synthetic.records import registered
from linked_cyp.synthetic.world import World


@dataclass(frozen=True)
class EarlyHelp:
    """``contacts``: contact_id, person_id, area, day, source, referral_id (null without one).
    ``episodes``: early_help_id, person_id, area, start, end (FOREVER while it goes on).
    ``children``: every child an authority knows: person_id, area, day (first met), child_id and
    the identity as written down: birth, sex, ethnicity, upn, former_upn, forename, surname,
    nhs_number, second_nhs_number, postcode, postcode_frozen, household_id."""

    contacts: pl.DataFrame
    episodes: pl.DataFrame
    children: pl.DataFrame


def build_early_help(world: World) -> EarlyHelp:
    """Simulate contacts and early help up to the end of the last year, and register the children.

    Child ids are those of the statutory returns, where the child is in one.
    """
    settings = world.parameters.part("early_help")
    last = as_days(f"{world.years[-1]}-03-31")
    contacts = _contacts(world, settings["contact"], last)
    episodes = _episodes(world, settings["early_help"], contacts, last)
    return EarlyHelp(contacts, episodes, _children(world, contacts, episodes))


def _contacts(world: World, rules: dict, last: int) -> pl.DataFrame:
    rng = world.streams("contacts")
    events = household_events(
        rng,
        world.population,
        rate=rules["household_rate"],
        by_decile=rules["by_decile"],
        first_day=as_days(f"{world.years[-1] - rules['from']}-04-01"),
        joins=rules["sibling_joins"],
        before_birth=0,
        oldest=17,
    )
    sources = pick(rng, rules["sources"], int(events["event"].max() or 0) + 1)
    alone = events.select(
        "household_id",
        "person_id",
        "day",
        source=text(sources[events["event"].to_numpy()]),
        referral_id=pl.lit(None, dtype=pl.UInt32),
    )
    alone = (
        world.population.addresses_at(alone, "day")
        .filter(pl.col("area") != world.places.outside)
        .select("person_id", "area", "day", "source", "referral_id")
    )
    referrals = world.need.referrals
    before = rng.poisson(rules["before_referral_days"], referrals.height)
    first = referrals.select(
        "person_id", "area", pl.col("day") - pl.Series(before), "source", "referral_id"
    )
    return (
        pl.concat([alone, first], how="vertical_relaxed")
        .filter(pl.col("day") <= last)
        .sort("person_id", "day", "referral_id", maintain_order=True)
        .with_row_index("contact_id")
    )


def _episodes(world: World, rules: dict, contacts: pl.DataFrame, last: int) -> pl.DataFrame:
    """At most one episode of a child at a time; the day one starts another has ended."""
    rng = world.streams("early help")
    alone = contacts.filter(pl.col("referral_id").is_null())
    after = alone.filter(pl.Series(rng.random(alone.height) < rules["after_contact"]))
    closed = world.need.referrals.filter(
        pl.col("close") <= last, pl.col("path").is_in(["plan", "protection"])
    )
    down = closed.filter(pl.Series(rng.random(closed.height) < rules["step_down"]))
    starts = pl.concat(
        [
            after.select("person_id", "area", start="day"),
            down.select("person_id", "area", start="close"),
        ]
    )
    births = world.population.persons.select("person_id", "birth", "to_day")
    starts = starts.join(births, on="person_id", how="left", maintain_order="left")
    begin = starts["start"].to_numpy() + rng.poisson(rules["wait_days"], starts.height)
    end = begin + gamma_days(rng, starts.height, **rules["length_days"])
    end = np.minimum(end, birthday(starts["birth"].to_numpy(), 18))
    end = np.minimum(end, starts["to_day"].to_numpy() - 1)
    return (
        starts.select(
            "person_id",
            "area",
            start=pl.Series(begin),
            end=pl.Series(np.where(end > last, FOREVER, end)),
        )
        .filter(pl.col("start") <= last, pl.col("end") > pl.col("start"))
        .sort("person_id", "start", "end", maintain_order=True)
        .filter(
            (pl.col("start") > pl.col("end").cum_max().shift(1).over("person_id")).fill_null(True)
        )
        .with_row_index("early_help_id")
    )


def _children(world: World, contacts: pl.DataFrame, episodes: pl.DataFrame) -> pl.DataFrame:
    keys = ("person_id", "area", "day")
    known = world.registrations.social_care
    met = (
        pl.concat(
            [
                contacts.select(*keys),
                episodes.select("person_id", "area", day="start"),
                known.select(*keys),
            ],
            how="vertical_relaxed",
        )
        .group_by("person_id", "area", maintain_order=True)
        .agg(pl.col("day").min())
        .sort("area", "person_id")
    )
    identity = ("birth", "sex", "ethnicity", "upn", "former_upn")
    new = met.join(known, on=["person_id", "area"], how="anti", maintain_order="left")
    others = registered(world, new, "social_care", identity, keys)
    styles = world.parameters.deliveries["styles"]
    # above every number that the returns use
    numbers = world.streams("early help ids").choice(900_000, others.height, replace=False)
    ids = [
        styles[area % len(styles)]["child_id"].format(2_000_000 + int(number))
        for area, number in zip(others["area"], numbers, strict=True)
    ]
    written = pl.concat(
        [
            known.select(
                "person_id",
                "area",
                *identity,
                child_id=pl.coalesce("reissued_local_id", "child_local_id"),
            ),
            others.select("person_id", "area", *identity, child_id=text(ids)),
        ],
        how="vertical_relaxed",
    )
    named = registered(
        world,
        met,
        "case_management",
        ("forename", "surname", "nhs_number", "second_nhs_number", "postcode"),
        keys,
    )
    return named.drop("errors").join(
        written, on=["person_id", "area"], how="left", maintain_order="left"
    )
