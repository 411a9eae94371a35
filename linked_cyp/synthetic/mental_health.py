"""Mental health care: referrals, contacts, diagnoses, scores and the few stays in hospital.

Referrals follow a child's risk (age, sex, deprivation, social care, its own tendency); admissions
for self-harm lead to a crisis referral. Rates and codes are in ``parameters/mental_health.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.households import FOREVER
from linked_cyp.synthetic.parameters import as_days, gamma_days, pick, pick_by, pick_index
from linked_cyp.synthetic.risk import Kind, children_at_risk
from linked_cyp.synthetic.submissions import chosen, coded, patients
from linked_cyp.synthetic.world import World


@dataclass(frozen=True)
class MentalHealth:
    """What happened. Every table has person_id and provider (number); all but ``referrals`` and
    ``patients`` have referral_id and day.

    ``referrals``: referral_id, kind, day, end (FOREVER while open), is_rejected, rejection, reason,
    team, source, priority. ``contacts``: contact_id, mechanism, status, minutes, is_seen.
    ``diagnoses``: position (1 primary), code. ``scores``: contact_id (null: of the referral), code,
    score. ``stays``: spell_id, end, section (null), restrained and self_harm (day or null).
    ``patients``: see :func:`linked_cyp.synthetic.submissions.patients`."""

    referrals: pl.DataFrame
    contacts: pl.DataFrame
    diagnoses: pl.DataFrame
    scores: pl.DataFrame
    stays: pl.DataFrame
    patients: pl.DataFrame


def build_mental_health(world: World) -> MentalHealth:
    """All mental health care of children living in the area in the collection years."""
    settings = world.parameters.part("mental_health")
    rng = world.streams("mental health care")
    referrals = _referrals(world, settings, rng)
    contacts = _contacts(settings, rng, referrals)
    referrals = _discharged(settings, rng, referrals, contacts)
    return MentalHealth(
        referrals=referrals,
        contacts=contacts,
        diagnoses=_diagnoses(settings, rng, referrals, contacts),
        scores=_scores(settings, rng, contacts),
        stays=_stays(settings, rng, referrals),
        patients=patients(
            world,
            "mental_health",
            referrals.select("person_id", "provider", "day"),
            settings,
        ),
    )


def period(world: World) -> tuple[int, int]:
    """First and last day of the collection years."""
    return as_days(f"{world.years[0] - 1}-04-01"), as_days(f"{world.years[-1]}-03-31")


def drawn_referrals(
    world: World, settings: Mapping[str, Any], rng: np.random.Generator
) -> pl.DataFrame:
    """Referrals by risk: person_id, household_id, birth, to_day, kind, day."""
    first_day, last_day = period(world)
    at_risk = children_at_risk(
        rng,
        settings["frailty_shape"],
        world.population,
        world.care,
        world.need,
        first_day,
        last_day,
    )
    kinds = [
        Kind(name, **{**k, "rates": tuple(k["rates"])}) for name, k in settings["kinds"].items()
    ]
    frames = [
        at_risk.persons.gather(row)
        .select("person_id", "household_id", "birth", "to_day")
        .with_columns(kind=pl.lit(kind.name), day=pl.Series(day))
        for kind, row, day in at_risk.events(rng, kinds)
    ]
    return pl.concat(frames)


def in_the_area(world: World, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of children who live in the area on the row's ``day``."""
    here = world.population.addresses_at(frame, "day")
    return here.filter(pl.col("area") != world.places.outside).drop("postcode_id", "house")


def _referrals(world: World, settings: Mapping[str, Any], rng: np.random.Generator) -> pl.DataFrame:
    drawn = pl.concat(
        [drawn_referrals(world, settings, rng), _after_self_harm(world, settings, rng)]
    )
    frame = in_the_area(world, drawn).sort("day", "person_id", "kind", maintain_order=True)
    size = frame.height
    kind = frame["kind"].to_numpy().astype(object)
    detail = settings["detail"]
    provider = pick_index(rng, [p["weight"] for p in settings["providers"]], size)
    rejected = (rng.random(size) < settings["rejected"]["share"]) & (kind != "crisis")
    return frame.drop("area", "household_id").with_columns(
        referral_id=pl.int_range(pl.len()),
        # what is urgent goes to the first provider
        provider=pl.Series(np.where(np.isin(kind, ["emotional", "conduct"]), provider, 0)),
        is_rejected=pl.Series(rejected),
        rejection=coded(np.where(rejected, pick(rng, settings["rejected"]["reason"], size), None)),
        reason=coded(pick_by(rng, kind, {k: d["reason"] for k, d in detail.items()})),
        team=coded(pick_by(rng, kind, {k: d["team"] for k, d in detail.items()})),
        source=coded(np.where(kind == "crisis", "H1", pick(rng, settings["source"], size))),
        priority=coded(np.where(kind == "crisis", "1", pick(rng, settings["priority"], size))),
    )


def _after_self_harm(
    world: World, settings: Mapping[str, Any], rng: np.random.Generator
) -> pl.DataFrame:
    rule = settings["after_self_harm"]
    spells = world.hospital.spells.filter(pl.col("condition") == "self_harm")
    spells = chosen(rng, spells, rule["share"]).join(
        world.population.persons.select("person_id", "to_day"),
        on="person_id",
        how="left",
        maintain_order="left",
    )
    after = pl.Series(rng.integers(0, rule["within_days"], spells.height))
    return spells.select(
        "person_id",
        "household_id",
        "birth",
        "to_day",
        kind=pl.lit("crisis"),
        day=pl.col("discharged") + after,
    ).filter(pl.col("day") < pl.min_horizontal("to_day", pl.lit(period(world)[1] + 1)))


def _contacts(
    settings: Mapping[str, Any], rng: np.random.Generator, referrals: pl.DataFrame
) -> pl.DataFrame:
    """Appointments of accepted referrals, the first after the wait, until the child leaves."""
    accepted = referrals.filter(~pl.col("is_rejected"))
    size = accepted.height
    wait = settings["wait_days"]
    crisis = (accepted["kind"] == "crisis").to_numpy()
    waited = np.where(
        crisis,
        gamma_days(rng, size, shape=wait["shape"], mean=wait["crisis_mean"]) - 1,
        gamma_days(rng, size, shape=wait["shape"], mean=wait["mean"]),
    )
    # some are never seen
    count = rng.geometric(1 / (1 + settings["contacts"]["mean"]), size) - 1
    row = np.repeat(np.arange(size), count)
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    gap = settings["contacts"]["gap_days"]
    later = np.where(place > 0, np.rint(gap * place + rng.normal(0, 3, len(row))), 0).astype(int)
    frame = accepted.gather(row).select("referral_id", "person_id", "provider", "day", "to_day")
    frame = frame.with_columns(
        day=pl.col("day") + pl.Series(waited[row] + np.maximum(later, 0)),
        mechanism=coded(pick(rng, settings["mechanism"], len(row))),
        status=coded(pick(rng, settings["attendance"], len(row))),
        minutes=coded(pick(rng, settings["minutes"], len(row))).cast(pl.Int64),
    )
    return (
        frame.filter(pl.col("day") < pl.col("to_day"))
        .with_columns(contact_id=pl.int_range(pl.len()), is_seen=pl.col("status").is_in(["5", "6"]))
        .drop("to_day")
    )


def _discharged(
    settings: Mapping[str, Any],
    rng: np.random.Generator,
    referrals: pl.DataFrame,
    contacts: pl.DataFrame,
) -> pl.DataFrame:
    last = contacts.group_by("referral_id").agg(last=pl.col("day").max())
    frame = referrals.join(last, on="referral_id", how="left", maintain_order="left")
    size = frame.height
    after = gamma_days(rng, size, shape=1, mean=settings["discharge_after_days"])
    refused = gamma_days(rng, size, shape=1, mean=settings["rejected"]["after_days"])
    open_ = pl.Series(rng.random(size) < settings["still_open"])
    end = (
        pl.when("is_rejected")
        .then(pl.col("day") + pl.Series(refused))
        .when(open_)
        .then(pl.lit(FOREVER))
        .otherwise(pl.coalesce("last", pl.col("day") + 90) + pl.Series(after))
    )
    return frame.with_columns(
        end=pl.when(pl.col("to_day") < end).then("to_day").otherwise(end)
    ).drop("to_day", "last")


def _diagnoses(
    settings: Mapping[str, Any],
    rng: np.random.Generator,
    referrals: pl.DataFrame,
    contacts: pl.DataFrame,
) -> pl.DataFrame:
    """Diagnoses made at the second contact that the child came to."""
    second = (
        contacts.filter("is_seen")
        .group_by("referral_id", maintain_order=True)
        .agg(pl.col("day").sort().get(1, null_on_oob=True))
        .drop_nulls()
    )
    met = chosen(rng, second, settings["diagnosed"]).join(
        referrals.drop("day"), on="referral_id", how="left", maintain_order="left"
    )
    tables = {k: d["diagnosis"] for k, d in settings["detail"].items()}

    def of(rows: pl.DataFrame, position: int) -> pl.DataFrame:
        code = coded(pick_by(rng, rows["kind"].to_numpy().astype(object), tables))
        columns = ("referral_id", "person_id", "provider", "day")
        return rows.select(*columns, position=pl.lit(position), code=code)

    return pl.concat([of(met, 1), of(chosen(rng, met, settings["second_diagnosis"]), 2)])


def _scores(
    settings: Mapping[str, Any], rng: np.random.Generator, contacts: pl.DataFrame
) -> pl.DataFrame:
    """Questionnaires: at the first contact noted on the referral, later on the contact."""
    rule = settings["assessment"]
    filled = chosen(rng, contacts.filter("is_seen"), settings["assessed"])
    place = pl.int_range(pl.len()).over("referral_id")
    score = rng.binomial(rule["highest"], 0.45, filled.height)
    return filled.select(
        "referral_id",
        "person_id",
        "provider",
        "day",
        contact_id=pl.when(place > 0).then("contact_id"),
        code=coded(pick(rng, rule["codes"], filled.height)),
        score=pl.Series(score).cast(pl.String),
    )


def _stays(
    settings: Mapping[str, Any], rng: np.random.Generator, referrals: pl.DataFrame
) -> pl.DataFrame:
    rule = settings["inpatient"]
    share = referrals["kind"].replace_strict(rule["share"], default=0.0, return_dtype=pl.Float64)
    frame = referrals.filter(pl.Series(rng.random(referrals.height)) < share)
    size = frame.height
    end = frame["day"] + pl.Series(gamma_days(rng, size, shape=1, mean=rule["mean_days"]))
    end = pl.select(pl.min_horizontal(end, frame["end"])).to_series()
    inside = frame["day"] + pl.Series(rng.random(size)) * (end - frame["day"])

    def some(part: str) -> pl.Expr:
        return pl.when(pl.Series(rng.random(size) < rule[part])).then(inside.cast(pl.Int64))

    section = pick(rng, rule["section"], size)
    detained = rng.random(size) < rule["detained"]
    return frame.select(
        "referral_id",
        "person_id",
        "provider",
        "day",
        spell_id=pl.int_range(pl.len()),
        end=end,
        section=coded(np.where(detained, section, None)),
        restrained=some("restrained"),
        self_harm=some("self_harm"),
    )
