"""Community care: health visitor reviews of every child, therapies, school nursing, immunisation.

Reviews follow the child's age, other referrals its risk. Rates and codes are in
``parameters/community.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.households import FOREVER
from linked_cyp.synthetic.mental_health import drawn_referrals, in_the_area, period
from linked_cyp.synthetic.parameters import birthday, gamma_days, pick, pick_by, pick_index
from linked_cyp.synthetic.submissions import chosen, coded, patients
from linked_cyp.synthetic.world import World

VISITING = "health_visiting"


@dataclass(frozen=True)
class Community:
    """What happened. Every table has person_id, provider (number) and day.

    ``referrals``: referral_id, kind, end (FOREVER while open), is_rejected, team, reason, source.
    ``contacts``: referral_id, contact_id, kind, review (care activity type or null), mechanism,
    status, minutes, location, is_seen, birth. ``immunisations``: procedure, type. ``newborns``:
    birth. ``patients``: see :func:`linked_cyp.synthetic.submissions.patients`."""

    referrals: pl.DataFrame
    contacts: pl.DataFrame
    immunisations: pl.DataFrame
    newborns: pl.DataFrame
    patients: pl.DataFrame


def build_community(world: World) -> Community:
    """All community care of children living in the area in the collection years."""
    settings = world.parameters.part("community")
    rng = world.streams("community care")
    visiting, reviews = _visiting(world, settings, rng)
    others = _others(world, settings, rng)
    appointments = _appointments(settings, rng, others)
    others = _discharged(settings, rng, others, appointments)
    start = others.height
    visiting = visiting.with_columns(referral_id=pl.int_range(pl.len()) + start)
    reviews = reviews.join(
        visiting.select("person_id", "referral_id", "provider"),
        on="person_id",
        how="inner",
        maintain_order="left",
    )
    contacts = _met(settings, rng, pl.concat([appointments, reviews], how="diagonal"))
    immunisations = _immunisations(world, settings, rng)
    referrals = pl.concat([others, visiting], how="diagonal").drop("birth", "to_day", "area")
    newborns = visiting.filter(pl.col("birth") >= period(world)[0]).select(
        "person_id", "provider", "birth", day="birth"
    )
    seen = ("person_id", "provider", "day")
    known = pl.concat([referrals.select(seen), immunisations.select(seen)])
    return Community(
        referrals, contacts, immunisations, newborns, patients(world, "community", known, settings)
    )


def _visiting(
    world: World, settings: Mapping[str, Any], rng: np.random.Generator
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A referral at birth and a contact at each review that falls into the period."""
    first_day, last_day = period(world)
    last_age = settings["health_visiting_ends_age"]
    born = world.population.persons.filter(
        pl.col("birth").is_between(first_day - last_age + 1, last_day),
        pl.col("to_day") > first_day,
        pl.col("from_day") <= last_day,
    ).select("person_id", "household_id", "birth", "from_day", "to_day", "decile")
    fixed = settings[VISITING]
    known = in_the_area(world, born.with_columns(day=pl.max_horizontal("birth", "from_day")))
    known = known.filter(pl.col("area") != settings["silent_area"])
    provider = pick_index(
        rng, [p["weight"] for p in settings["providers"]], known["area"].n_unique()
    )
    areas = dict(zip(known["area"].unique().sort().to_list(), provider.tolist(), strict=True))
    poor = (10 - known["decile"].to_numpy()) / 9
    reviews = []
    for code, rule in settings["reviews"].items():
        age = np.maximum(rng.normal(rule["age"], rule["spread"], known.height), 1).astype(int)
        reached = rng.random(known.height) < rule["reached"] * rule["deprived"] ** poor
        reviews.append(
            known.with_columns(
                day=pl.col("birth") + pl.Series(age), review=pl.lit(code), kind=pl.lit(VISITING)
            )
            .filter(pl.Series(reached))
            .filter(pl.col("day").is_between(first_day, last_day))
            .filter(pl.col("day").is_between("from_day", pl.col("to_day") - 1))
            .select("person_id", "birth", "day", "review", "kind")
        )
    ends = pl.min_horizontal(pl.col("birth") + last_age, "to_day")
    visiting = known.select(
        "person_id",
        "birth",
        "to_day",
        "area",
        "day",
        provider=pl.col("area").cast(pl.Int64).replace_strict(areas),
        kind=pl.lit(VISITING),
        end=pl.when(ends <= last_day).then(ends).otherwise(FOREVER),
        is_rejected=pl.lit(False),
        team=pl.lit(fixed["team"]),
        reason=pl.lit(fixed["reason"]),
        source=pl.lit(fixed["source"]),
    )
    return visiting, pl.concat(reviews).sort("day", "person_id")


def _others(world: World, settings: Mapping[str, Any], rng: np.random.Generator) -> pl.DataFrame:
    frame = in_the_area(world, drawn_referrals(world, settings, rng))
    frame = frame.sort("day", "person_id", "kind", maintain_order=True)
    size = frame.height
    kind = frame["kind"].to_numpy().astype(object)
    detail = settings["detail"]
    return frame.drop("household_id").with_columns(
        referral_id=pl.int_range(pl.len()),
        provider=pl.Series(pick_index(rng, [p["weight"] for p in settings["providers"]], size)),
        is_rejected=pl.Series(rng.random(size) < settings["rejected"]),
        team=pl.col("kind").replace_strict({k: d["team"] for k, d in detail.items()}),
        reason=coded(pick_by(rng, kind, {k: d["reason"] for k, d in detail.items()})),
        source=coded(pick(rng, settings["source"], size)),
    )


def _appointments(
    settings: Mapping[str, Any], rng: np.random.Generator, referrals: pl.DataFrame
) -> pl.DataFrame:
    accepted = referrals.filter(~pl.col("is_rejected"))
    size = accepted.height
    count = rng.geometric(1 / (1 + settings["contacts"]["mean"]), size) - 1
    row = np.repeat(np.arange(size), count)
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    waited = gamma_days(rng, size, **settings["wait_days"])
    apart = settings["contacts"]["gap_days"] * place
    return (
        accepted.gather(row)
        .with_columns(day=pl.col("day") + pl.Series(waited[row] + apart))
        .filter(pl.col("day") < pl.col("to_day"))
        .select("referral_id", "person_id", "provider", "birth", "day", "kind")
    )


def _discharged(
    settings: Mapping[str, Any],
    rng: np.random.Generator,
    referrals: pl.DataFrame,
    contacts: pl.DataFrame,
) -> pl.DataFrame:
    last = contacts.group_by("referral_id").agg(last=pl.col("day").max())
    frame = referrals.join(last, on="referral_id", how="left", maintain_order="left")
    after = pl.Series(gamma_days(rng, frame.height, shape=1, mean=settings["discharge_after_days"]))
    open_ = pl.Series(rng.random(frame.height) < settings["still_open"])
    end = pl.when(open_).then(pl.lit(FOREVER)).otherwise(pl.coalesce("last", "day") + after)
    return frame.with_columns(end=pl.min_horizontal(end, _leaves())).drop("last")


def _leaves() -> pl.Expr:
    return pl.when(pl.col("to_day") < FOREVER).then("to_day").otherwise(pl.lit(FOREVER))


def _met(
    settings: Mapping[str, Any], rng: np.random.Generator, contacts: pl.DataFrame
) -> pl.DataFrame:
    size = contacts.height
    status = coded(pick(rng, settings["attendance"], size))
    return contacts.with_columns(
        contact_id=pl.int_range(pl.len()),
        mechanism=coded(pick(rng, settings["mechanism"], size)),
        # a review counts as reached, so it took place
        status=pl.when(pl.col("review").is_null()).then(status).otherwise(pl.lit("5")),
        minutes=coded(pick(rng, settings["minutes"], size)).cast(pl.Int64),
        location=coded(pick(rng, settings["location"], size)),
    ).with_columns(is_seen=pl.col("status").is_in(["5", "6"]))


def _immunisations(
    world: World, settings: Mapping[str, Any], rng: np.random.Generator
) -> pl.DataFrame:
    """Vaccines given at school, at a birthday within the ages and some days more."""
    first_day, last_day = period(world)
    persons = world.population.persons.select("person_id", "household_id", "birth", "to_day")
    frames = []
    for code, rule in settings["immunisations"].items():
        age = rng.integers(rule["ages"][0], rule["ages"][1] + 1, persons.height)
        day = birthday(persons["birth"].to_numpy(), age) + rng.integers(0, 300, persons.height)
        given = pl.Series(rng.random(persons.height) < rule["coverage"])
        frames.append(
            persons.with_columns(
                day=pl.Series(day), procedure=pl.lit(code), type=pl.lit(rule["type"])
            )
            .filter(given)
            .filter(pl.col("day").is_between(first_day, last_day), pl.col("day") < pl.col("to_day"))
        )
    found = in_the_area(world, pl.concat(frames)).sort("day", "person_id")
    provider = pick_index(rng, [p["weight"] for p in settings["providers"]], found.height)
    return found.select("person_id", "day", "procedure", "type", provider=pl.Series(provider))


def measured(world: World, contacts: pl.DataFrame) -> pl.DataFrame:
    """The contacts at which the child was measured: weight (kg), height (m), length (cm)."""
    settings = world.parameters.part("community")
    rng = world.streams("community measurements")
    growth = settings["growth"]
    what = contacts.select(pl.coalesce("review", "kind")).to_series()
    share = what.replace_strict(settings["measured"], default=0.0, return_dtype=pl.Float64)
    drawn = pl.Series(rng.random(contacts.height)) < share
    size = rng.normal(0, growth["variation"], contacts.height)

    def around(name: str, power: float, digits: int) -> pl.Series:
        middle = what.replace_strict(growth[name], default=None, return_dtype=pl.Float64)
        return (middle * pl.Series(np.exp(power * size))).round(digits)

    return contacts.with_columns(
        weight=around("weight", 1.0, 2),
        height=around("height", 0.4, 3),
        length=around("length", 0.4, 1),
    ).filter(drawn & contacts["is_seen"])


def asked(world: World, contacts: pl.DataFrame) -> pl.DataFrame:
    """Scores of the Ages and Stages Questionnaire at the review at 2 to 2.5 years: code, score."""
    rule = world.parameters.part("community")["asq"]
    rng = world.streams("community questionnaires")
    filled = chosen(rng, contacts.filter(pl.col("review") == "12"), rule["share"])
    each = filled.with_columns(code=pl.lit(list(rule["codes"]))).explode("code")
    score = 5 * rng.binomial(12, 0.8, each.height)
    return each.with_columns(score=pl.Series(score).cast(pl.String))
