"""Children in need: referrals and what follows from each (assessments, plans, enquiries).

One referral of a child is one case: it opens on the referral date and closes before the child's
next one opens. Cases that lead to care stay open while the child is looked after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.care import Care
from linked_cyp.synthetic.events import household_events
from linked_cyp.synthetic.households import FOREVER
from linked_cyp.synthetic.parameters import (
    Parameters,
    Streams,
    as_days,
    birthday,
    gamma_days,
    pick,
    pick_index,
    text,
)
from linked_cyp.synthetic.places import Places
from linked_cyp.synthetic.population import Population


@dataclass(frozen=True)
class Need:
    """``referrals``: referral_id, person_id, area, birth, day, source, need, path, close (FOREVER
    while open), closure_reason, conference (day or null). Child tables carry referral_id:
    ``assessments`` (start, review, authorised, factors), ``plans`` (start, end), ``enquiries``
    (start, target, conference, not_required), ``protection`` (plan_id, start, end, category,
    latest_category, earlier, reviews). ``disabilities``: person_id, codes."""

    referrals: pl.DataFrame
    assessments: pl.DataFrame
    plans: pl.DataFrame
    enquiries: pl.DataFrame
    protection: pl.DataFrame
    disabilities: pl.DataFrame


def build_need(
    parameters: Parameters,
    streams: Streams,
    places: Places,
    population: Population,
    care: Care,
    last_year: int,
) -> Need:
    settings = parameters.social_care
    rng = streams("referrals")
    referrals = _referrals(settings, rng, places, population, care, last_year)
    size = referrals.height
    day = referrals["day"].to_numpy()
    path = referrals["path"].to_numpy().astype(object)
    care_start = referrals["care_start"].fill_null(FOREVER).to_numpy()
    care_end = referrals["care_end"].fill_null(0).to_numpy()
    adult = birthday(referrals["birth"].to_numpy(), 18)
    # assessment
    rules = settings["assessment"]
    assess_start = day + rng.poisson(rules["wait_days"], size)
    authorised = assess_start + gamma_days(rng, size, **rules["length_days"])
    has_assessment = path != "nfa"
    # enquiry, conference and protection plan
    protected = (path == "protection") | (
        (path == "care") & (rng.random(size) < settings["care"]["protection_before"])
    )
    s47 = settings["section47"]
    enquiry = protected | ((path == "plan") & (rng.random(size) < s47["share_of_plans"]))
    enquiry &= day + 60 < care_start
    protected &= enquiry
    enquiry_day = day + rng.poisson(s47["wait_days"], size)
    conference_day = _working_days(enquiry_day, 15) - rng.integers(0, 5, size)
    not_required = ~protected
    protection = settings["protection"]
    protect_start = conference_day
    protect_end = protect_start + gamma_days(rng, size, **protection["days"])
    protect_end = np.where(
        care_start < FOREVER,
        np.minimum(protect_end, np.maximum(care_start, protect_start + 20)),
        protect_end,
    )
    protect_end = np.minimum(protect_end, adult)
    # plans and closure
    planned = (path == "plan") | (path == "care")
    plan_start = authorised + rng.integers(0, 8, size)
    plan_end = plan_start + gamma_days(rng, size, **settings["plan_days"])
    step_down = protect_end + rng.poisson(protection["step_down_days"], size)
    close = np.select(
        [path == "nfa", path == "assessed", path == "plan", path == "protection"],
        [
            np.full(size, FOREVER),
            authorised + rng.integers(0, 6, size),
            plan_end + rng.integers(0, 10, size),
            step_down,
        ],
        np.where(care_end >= FOREVER, FOREVER, care_end + rng.integers(0, 40, size)),
    )
    close = np.where(
        (path != "nfa") & (path != "care"),
        np.minimum(close, np.maximum(adult, authorised + 1)),
        close,
    )
    plan_end = np.minimum(plan_end, close)
    reason = np.where(
        path == "assessed",
        pick(rng, settings["referral"]["closures_after_assessment"], size),
        pick(rng, settings["referral"]["closures"], size),
    ).astype(object)
    adopted = referrals["care_exit"].is_in(["E11", "E12"]).fill_null(False).to_numpy()
    close = np.where(adopted, care_end, close)
    reason[adopted] = "RC1"
    reason[(referrals["care_exit"] == "E2").fill_null(False).to_numpy()] = "RC2"
    reason[(path == "nfa") | (close > population.last_day)] = None
    conference = np.where(protected, conference_day, 0)
    frame = referrals.with_columns(
        close=pl.Series(np.where(close > population.last_day, FOREVER, close)),
        closure_reason=text(reason),
        conference=pl.Series(conference).set(pl.Series(~protected), None),
    )
    keep = _without_overlaps(frame)
    frame = frame.with_columns(_keep=pl.Series(keep)).with_row_index("referral_id")

    def rows(mask: np.ndarray, **columns: np.ndarray) -> pl.DataFrame:
        chosen = mask & keep
        ids = frame["referral_id"].filter(pl.Series(chosen))
        held = {k: v[chosen] for k, v in columns.items()}
        typed = {k: text(v) if v.dtype == object else v for k, v in held.items()}
        return pl.DataFrame({"referral_id": ids, **typed})

    reviewed = rng.random(size) < rules["internal_review"]
    assessments = rows(
        has_assessment,
        start=assess_start,
        review=np.where(reviewed, (assess_start + authorised) // 2, 0),
        authorised=authorised,
        factors=_factors(rng, rules, size),
    ).with_columns(review=pl.when(pl.col("review") > 0).then("review"))
    categories = pick(rng, protection["categories"], size)
    changed = rng.random(size) < protection["category_changes"]
    latest = np.where(changed, pick(rng, protection["categories"], size), categories).astype(object)
    return Need(
        referrals=frame.filter("_keep").drop("_keep", "care_start", "care_end", "care_exit"),
        assessments=assessments,
        plans=rows(
            planned & (plan_start < close),
            start=plan_start,
            end=np.where(plan_end > population.last_day, FOREVER, plan_end),
        ),
        enquiries=rows(
            enquiry,
            start=enquiry_day,
            target=_working_days(enquiry_day, 15),
            conference=np.where(protected, conference_day, 0),
            not_required=not_required,
        ).with_columns(conference=pl.when(pl.col("conference") > 0).then("conference")),
        protection=rows(
            protected,
            start=protect_start,
            end=np.where(protect_end > population.last_day, FOREVER, protect_end),
            category=categories,
            latest_category=latest,
            earlier=pick(rng, protection["earlier_plans"], size),
        ).with_row_index("plan_id"),
        disabilities=_disabilities(settings["disability"], streams, population),
    )


def _referrals(
    settings: Mapping[str, Any],
    rng: np.random.Generator,
    places: Places,
    population: Population,
    care: Care,
    last_year: int,
) -> pl.DataFrame:
    """Referrals by household event, and one for each period of care, sorted by child and day."""
    rules = settings["referral"]
    events = household_events(
        rng,
        population,
        rate=rules["household_rate"],
        by_decile=rules["by_decile"],
        first_day=as_days(f"{last_year - rules['from']}-04-01"),
        joins=rules["sibling_joins"],
        before_birth=rules["before_birth_days"],
        oldest=17,
    )
    # children of one event share what was decided
    paths = pick(rng, rules["paths"], int(events["event"].max() or 0) + 1)
    needs = pick(rng, rules["needs"], len(paths))
    sources = pick(rng, rules["sources"], len(paths))
    event = events["event"].to_numpy()
    ordinary = events.select("household_id", "person_id", "birth", "day").with_columns(
        path=text(paths[event]),
        need=text(needs[event]),
        source=text(sources[event]),
        care_start=pl.lit(None, dtype=pl.Int64),
        care_end=pl.lit(None, dtype=pl.Int64),
        care_exit=pl.lit(None, dtype=pl.String),
    )
    periods = care.periods
    lead = gamma_days(rng, periods.height, **settings["care"]["referral_lead_days"])
    lead = np.where(periods["is_unaccompanied"].to_numpy(), 0, lead)
    day = np.maximum(periods["start"].to_numpy() - lead, periods["birth"].to_numpy())
    into_care = periods.select(
        "household_id",
        "person_id",
        "birth",
        day=pl.Series(day),
        path=pl.lit("care"),
        need="need",
        source=text(pick(rng, rules["sources"], periods.height)),
        care_start="start",
        care_end="end",
        care_exit="exit",
    )
    together = pl.concat([ordinary, into_care])
    return (
        population.addresses_at(together, "day")
        .filter(pl.col("area") != places.outside)
        .select(*together.columns, "area")
        .sort("person_id", "day", maintain_order=True)
    )


def _without_overlaps(frame: pl.DataFrame) -> np.ndarray:
    """Which referrals stay: those into care always, others only where no case is open."""
    # a referral with no further action is over the day it is made
    spans = frame.select(
        "person_id",
        is_care=pl.col("path") == "care",
        begin="day",
        finish=pl.when(pl.col("path") == "nfa").then(pl.col("day") + 3).otherwise("close"),
    ).with_row_index("row")
    for_care = spans.filter("is_care")
    clashes = (
        spans.filter(~pl.col("is_care"))
        .join(for_care, on="person_id", how="inner", suffix="_care")
        .filter(
            pl.col("begin") <= pl.col("finish_care") + 10,
            pl.col("finish") >= pl.col("begin_care") - 10,
        )["row"]
        .unique()
    )
    kept = spans.filter(~pl.col("row").is_in(clashes.implode()))
    latest = pl.col("finish").cum_max().shift(1).over("person_id").fill_null(0)
    kept = kept.sort("person_id", "begin", maintain_order=True).filter(
        pl.col("is_care") | (pl.col("begin") > latest + 3)
    )
    keep = np.zeros(frame.height, dtype=bool)
    keep[kept["row"].to_numpy()] = True
    return keep


def _working_days(days: np.ndarray, count: int) -> np.ndarray:
    """``count`` weekdays later (public holidays are not counted out)."""
    moved = np.busday_offset(days.astype("datetime64[D]"), count, roll="forward")
    return moved.astype(np.int64)


def _factors(rng: np.random.Generator, rules: Mapping[str, Any], size: int) -> np.ndarray:
    """Assessment factors, joined by spaces: one or more distinct codes in list order."""
    codes = [str(c) for c in rules["factors"]]
    counts = 1 + rng.poisson(rules["more_factors"], size)
    row = np.repeat(np.arange(size), counts)
    drawn = pick_index(rng, list(rules["factors"].values()), len(row))
    return (
        pl.DataFrame({"row": row, "code": drawn})
        .unique(maintain_order=True)
        .sort("row", "code")
        .with_columns(pl.col("code").replace_strict(dict(enumerate(codes)), return_dtype=pl.String))
        .group_by("row", maintain_order=True)
        .agg(pl.col("code").str.join(" "))["code"]
        .to_numpy()
    )


def _disabilities(
    settings: Mapping[str, Any], streams: Streams, population: Population
) -> pl.DataFrame:
    rng = streams("disabilities")
    persons = population.persons.select("person_id").filter(
        pl.Series(rng.random(population.persons.height) < settings["share"])
    )
    first = pick(rng, settings["codes"], persons.height)
    second = pick(rng, settings["codes"], persons.height)
    both = rng.random(persons.height) < 0.3
    codes = [
        f"{a} {b}" if more and a != b else a for a, b, more in zip(first, second, both, strict=True)
    ]
    return persons.with_columns(codes=text(codes))


def protection_reviews(protection: pl.DataFrame) -> pl.DataFrame:
    """Review conferences of protection plans: after three months, then every six. plan_id, day."""
    most = 8
    offsets = np.array([86 + 170 * k for k in range(most)])
    start, end = protection["start"].to_numpy(), protection["end"].to_numpy()
    days = start[:, None] + offsets[None, :] + (start[:, None] + np.arange(most)) % 9
    held = days < end[:, None]
    row, _ = np.nonzero(held)
    return pl.DataFrame({"plan_id": protection["plan_id"].to_numpy()[row], "day": days[held]})
