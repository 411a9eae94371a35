"""Periods of being looked after, and their episodes: consistent chains of orders and placements.

Follows the SSDA903 guide: the first episode has reason S, each later one begins the day the one
before ends with X1, and only the last carries the reason the period of care ceased.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.events import household_events
from linked_cyp.synthetic.households import FOREVER, draw_postcodes
from linked_cyp.synthetic.parameters import (
    Parameters,
    Streams,
    age_at,
    as_days,
    birthday,
    pick,
    pick_by,
    text,
)
from linked_cyp.synthetic.places import Places
from linked_cyp.synthetic.population import Population

PLACEMENT_KINDS = ("P", "B")
CARRIER_KINDS = ("T", "U")


@dataclass(frozen=True)
class Care:
    """``periods``: period_id, person_id, area, start, end (FOREVER while open), need, exit,
    is_unaccompanied, adoption_day. ``episodes``: period_id, person_id, area, number, start, end,
    reason, legal_status, need, placement, provider, postcode_id, urn, exit, change_reason."""

    periods: pl.DataFrame
    episodes: pl.DataFrame

    @property
    def adoptions(self) -> pl.DataFrame:
        return self.periods.filter(pl.col("exit").is_in(["E11", "E12"])).select(
            "person_id", day="end"
        )


def build_care(
    parameters: Parameters, streams: Streams, places: Places, population: Population
) -> Care:
    settings = parameters.social_care
    periods = pl.concat(
        [
            _family_starts(settings, streams, population),
            _unaccompanied(settings, streams, population),
        ]
    )
    periods = _settle(settings, streams, places, population, periods)
    return Care(periods, _episodes(settings, streams, places, periods))


def _family_starts(
    settings: Mapping[str, Any], streams: Streams, population: Population
) -> pl.DataFrame:
    rng = streams("care starts")
    rates = settings["care"]
    starts = household_events(
        rng,
        population,
        rate=rates["household_rate"],
        by_decile=rates["by_decile"],
        first_day=as_days(f"{settings['history_from']}-01-01"),
        joins=rates["sibling_joins"],
        before_birth=0,
        oldest=17,
    )
    duration = rates["duration_days"]
    short = rng.random(starts.height) < duration["short_share"]
    days = 1 + rng.exponential(
        np.where(short, duration["short_mean"], duration["long_mean"]), starts.height
    ).astype(int)
    return starts.select(
        "person_id",
        "household_id",
        "birth",
        start="day",
        length=pl.Series(days),
        is_unaccompanied=pl.lit(False),
    )


def _unaccompanied(
    settings: Mapping[str, Any], streams: Streams, population: Population
) -> pl.DataFrame:
    """Unaccompanied asylum-seeking children: mostly boys of 15 to 17, looked after until 18."""
    rng = streams("unaccompanied")
    rules = settings["unaccompanied"]
    ethnicity = list(rules["ethnicities"])
    persons = population.persons.filter(
        pl.col("ethnicity").is_in(ethnicity), pl.col("order") == 0, pl.col("death_day").is_null()
    )
    chance = np.where(persons["sex"].to_numpy() == "M", rules["boys"], 1 - rules["boys"])
    wanted = rng.poisson(rules["rate"] * population.persons.height)
    birth = persons["birth"].to_numpy()
    start = birthday(birth, 15) + rng.integers(60, 900, persons.height)
    weight = chance * (start < population.last_day - 30)
    if not weight.sum():
        return persons.clear().select(
            "person_id",
            "household_id",
            "birth",
            start=pl.lit(0, dtype=pl.Int64),
            length=pl.lit(0, dtype=pl.Int64),
            is_unaccompanied=pl.lit(True),
        )
    wanted = min(wanted, int((weight > 0).sum()))
    rows = np.sort(rng.choice(persons.height, size=wanted, replace=False, p=weight / weight.sum()))
    return persons.gather(rows).select(
        "person_id",
        "household_id",
        "birth",
        start=pl.Series(start[rows]),
        length=pl.lit(3000, dtype=pl.Int64),
        is_unaccompanied=pl.lit(True),
    )


def _settle(
    settings: Mapping[str, Any],
    streams: Streams,
    places: Places,
    population: Population,
    periods: pl.DataFrame,
) -> pl.DataFrame:
    """Fix ends and exits, drop overlaps and children living elsewhere; one row for each period."""
    rng = streams("care ends")
    rules = settings["care"]
    periods = (
        population.addresses_at(periods, "start")
        .filter(pl.col("area") != places.outside)
        .join(population.persons.select("person_id", "death_day"), on="person_id", how="left")
        .sort("person_id", "start", maintain_order=True)
    )
    birth, start = periods["birth"].to_numpy(), periods["start"].to_numpy()
    size = periods.height
    end = start + periods["length"].to_numpy()
    adulthood = birthday(birth, 18)
    adoption = rules["adoption"]
    adopted = (
        (age_at(birth, start) < adoption["under_age"])
        & (periods["length"].to_numpy() > adoption["least_days"])
        & (rng.random(size) < adoption["share"])
    )
    death = periods["death_day"].fill_null(FOREVER).to_numpy()
    of_age = end >= adulthood
    end = np.minimum(end, adulthood)
    dies = death <= end
    end = np.where(dies, death, end)
    exits = np.where(
        of_age, pick(rng, rules["ends_at_18"], size), pick(rng, rules["ends"], size)
    ).astype(object)
    adoption_code = np.where(rng.random(size) < adoption["opposed"], "E12", "E11")
    exits = np.where(adopted & ~of_age, adoption_code, exits)
    exits = np.where(dies, "E2", exits)
    is_open = end > population.last_day
    exits[is_open] = None
    end[is_open] = FOREVER
    settled = periods.with_columns(
        end=pl.Series(end),
        exit=text(exits),
        adopts=pl.Series(adopted & ~of_age & ~dies & ~is_open),
        need=text(pick(rng, rules["needs"], size)),
    ).filter(pl.col("end") > pl.col("start") + 1)
    latest = pl.col("end").cum_max().shift(1).over("person_id").fill_null(0)
    after_adoption = pl.col("adopts").cum_sum().shift(1).over("person_id").fill_null(0) > 0
    return (
        settled.filter(pl.col("start") > latest + 14, ~after_adoption)
        .with_columns(
            need=pl.when("is_unaccompanied").then(pl.lit("N8")).otherwise("need"),
            home_postcode_id=pl.when("is_unaccompanied").then(None).otherwise("postcode_id"),
        )
        .with_row_index("period_id")
        .select(
            "period_id",
            "person_id",
            "household_id",
            "birth",
            "area",
            "start",
            "end",
            "need",
            "exit",
            "is_unaccompanied",
            "adopts",
            "home_postcode_id",
        )
    )


def _episodes(
    settings: Mapping[str, Any], streams: Streams, places: Places, periods: pl.DataFrame
) -> pl.DataFrame:
    rng = streams("episodes")
    rules = settings["care"]
    steps = _change_days(rng, rules, periods)
    steps = _legal_statuses(rng, rules, periods, steps)
    steps = _placements(rng, rules, places, steps)
    following = pl.col("reason").shift(-1).over("period_id")
    is_last = following.is_null()
    change = text(pick(rng, rules["change_reasons"], steps.height))
    return steps.with_columns(
        end=pl.col("start").shift(-1).over("period_id").fill_null(pl.col("period_end")),
        exit=pl.when(is_last).then("period_exit").otherwise(pl.lit("X1")),
        change_reason=pl.when(following.is_in(PLACEMENT_KINDS))
        .then(change)
        .when(following.is_in(CARRIER_KINDS))
        .then(pl.lit("PLACE")),
        number=pl.int_range(pl.len()).over("period_id"),
    ).drop("period_end", "period_exit")


def _change_days(
    rng: np.random.Generator, rules: Mapping[str, Any], periods: pl.DataFrame
) -> pl.DataFrame:
    """One row for each episode with its first day and the kind of change that began it."""
    start, end = periods["start"].to_numpy(), periods["end"].to_numpy()
    horizon = np.minimum(end, start + 365 * 18)
    adopts = periods["adopts"].to_numpy()
    free_end = np.where(adopts, end - rules["adoption"]["order_before_days"], horizon)
    free = np.maximum(free_end - start - 2, 0)
    counts = rng.poisson(rules["changes_per_year"] * (free / 365.25) ** 0.85)
    row = np.repeat(np.arange(periods.height), counts)
    random_days = start[row] + 1 + (rng.random(len(row)) * free[row]).astype(int)
    kinds = pick(rng, rules["change_kinds"], len(row))
    order_rows = np.flatnonzero(adopts)
    adoption = rules["adoption"]
    same_carer = rng.random(len(order_rows)) < adoption["same_carer"]
    parts = [
        (np.arange(periods.height), start, np.full(periods.height, "S"), "start"),
        (row, random_days, kinds, "free"),
        (
            order_rows,
            end[order_rows] - adoption["order_before_days"],
            np.full(len(order_rows), "L"),
            "order",
        ),
        (
            order_rows,
            end[order_rows] - adoption["placed_before_days"],
            np.where(same_carer, "T", "P"),
            "adoptive",
        ),
    ]
    steps = pl.concat(
        [
            pl.DataFrame(
                {
                    "row": rows.astype(np.int64),
                    "start": days.astype(np.int64),
                    "reason": text(kind.astype(object)),
                    "source": text([source] * len(rows)),
                }
            )
            for rows, days, kind, source in parts
        ]
    ).sort("row", "start", maintain_order=True)
    return (
        steps.unique(["row", "start"], keep="first", maintain_order=True)
        .with_columns(
            period_id=pl.col("row").cast(pl.UInt32),
        )
        .join(
            periods.select(
                "period_id",
                "person_id",
                "birth",
                "area",
                "need",
                "is_unaccompanied",
                "home_postcode_id",
                period_end="end",
                period_exit="exit",
            ),
            on="period_id",
            how="left",
            maintain_order="left",
        )
    )


def _legal_statuses(
    rng: np.random.Generator, rules: Mapping[str, Any], periods: pl.DataFrame, steps: pl.DataFrame
) -> pl.DataFrame:
    """Legal status along each period; a legal change with no order left to make becomes a move."""
    opening = pick(rng, rules["legal_paths"], periods.height)
    stays = rng.random(periods.height) < rules["accommodated_stays"]
    asylum = periods["is_unaccompanied"].to_numpy()
    opening = np.where(asylum, "V2", opening)
    longest = max(len(p) for p in rules["legal_progress"].values())
    paths = np.full((periods.height, longest), None, dtype=object)
    length = np.zeros(periods.height, dtype=int)
    for key, path in rules["legal_progress"].items():
        rows = opening == key
        paths[rows, : len(path)] = path
        length[rows] = len(path)
    length[(opening == "V2") & (stays | asylum)] = 1
    row = steps["row"].to_numpy()
    legal = (
        steps["reason"].is_in(["L", "B", "U"]).to_numpy() & (steps["source"] == "free").to_numpy()
    )
    made = (
        pl.DataFrame({"row": row, "legal": legal})
        .select(pl.col("legal").cum_sum().over("row"))["legal"]
        .to_numpy()
        .astype(int)
    )
    beyond = legal & (made >= length[row])
    status = paths[row, np.minimum(made, length[row] - 1)]
    ordered = steps.select(pl.col("source").is_in(["order", "adoptive"]).cum_max().over("row"))[
        "source"
    ].to_numpy()
    status = np.where(ordered, "E1", status)
    reason = steps["reason"].to_numpy().astype(object)
    simpler = {"L": "P", "B": "P", "U": "T"}
    reason[beyond] = [simpler[r] for r in reason[beyond]]
    return steps.with_columns(reason=text(reason), legal_status=text(status))


def _placements(
    rng: np.random.Generator, rules: Mapping[str, Any], places: Places, steps: pl.DataFrame
) -> pl.DataFrame:
    """Placement type, provider, postcode and Ofsted URN, carried over changes without a move."""
    size = steps.height
    age = age_at(steps["birth"].to_numpy(), steps["start"].to_numpy())
    band = np.select([age < 10, age < 16], ["under_10", "10_to_15"], "over_15").astype(object)
    kind = pick_by(rng, band, rules["placements"])
    adoptive = (steps["source"] == "adoptive").to_numpy()
    with_carer = steps["reason"].to_numpy() == "T"
    kind = np.where(adoptive, np.where(with_carer, "A5", "A6"), kind)
    providers = rules["providers"]
    provider = pick_by(
        rng,
        np.array([k if k in providers else "own" for k in kind], dtype=object),
        providers,
    )
    area = steps["area"].to_numpy().astype(np.int64)
    local = rng.random(size) < rules["placed_in_authority"]
    other = rng.integers(0, places.areas.height, size)
    postcode = draw_postcodes(rng, places, np.where(local, area, other), np.full(size, 0.3))
    number = rng.integers(10_000, 99_999, size)
    urn = np.where(
        np.isin(kind, ["P1", "R2", "A5", "A6"]), "XXXXXXX", np.char.add("SC9", number.astype(str))
    )
    drawn = pl.DataFrame(
        {
            "placement": text(kind),
            "provider": text(provider),
            "postcode_id": pl.Series(postcode),
            "urn": text(urn.astype(object)),
        }
    )
    moves = steps["reason"].is_in(["S", *PLACEMENT_KINDS])
    # "placed with parents" is at the home address
    drawn = drawn.with_columns(
        postcode_id=pl.when(pl.col("placement") == "P1")
        .then(pl.coalesce(steps["home_postcode_id"], "postcode_id"))
        .otherwise("postcode_id")
    )
    # same carer, other status: an ordinary foster placement becomes a long-term one
    became = pl.col("reason").is_in(CARRIER_KINDS).cum_max().over("_home")
    return (
        pl.concat([steps, drawn], how="horizontal")
        .with_columns(_move=moves, _kind=drawn["placement"], _adoptive=pl.Series(adoptive))
        .with_columns(_home=pl.col("_move").cum_sum())
        .with_columns(pl.col(c).first().over("_home") for c in drawn.columns)
        .with_columns(
            placement=pl.when("_adoptive")
            .then("_kind")
            .when(became & pl.col("placement").is_in(["U6", "U5"]))
            .then(pl.lit("U4"))
            .when(became & pl.col("placement").is_in(["U3", "U2"]))
            .then(pl.lit("U1"))
            .otherwise("placement")
        )
        .drop("_home", "_move", "_kind", "_adoptive", "row", "source")
    )
