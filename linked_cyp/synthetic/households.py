"""Households: how many children when, where they live and move, what they are called and of what
origin. Days are day numbers (days since 1 January 1970) throughout.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.names import draw_surnames
from linked_cyp.synthetic.parameters import (
    Parameters,
    Streams,
    as_days,
    gamma_days,
    pick_by,
    pick_index,
    text,
)
from linked_cyp.synthetic.places import Places

FOREVER = as_days("2999-12-31")


def expected_households(parameters: Parameters, children: int) -> int:
    sizes = parameters.population["households"]["children"]
    mean = sum(k * w for k, w in sizes.items()) / sum(sizes.values())
    return int(children / mean)


def draw_births(
    parameters: Parameters, streams: Streams, children: int, first: int, last: int
) -> pl.DataFrame:
    """Birth days by household: children of one household spaced as siblings are, some twins."""
    settings = parameters.population["households"]
    rng = streams("births")
    surplus = int(children * 1.3) + 50
    sizes = pick_index(rng, list(settings["children"].values()), surplus) + 1
    household = np.repeat(np.arange(surplus), sizes)
    position = np.arange(len(household)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    spacing = settings["spacing_years"]
    gaps = gamma_days(
        rng, len(household), shape=spacing["shape"], mean=spacing["mean"] * 365.25
    ).clip(min=int(spacing["least"] * 365.25))
    twin = (position > 0) & (rng.random(len(household)) < _twin_chance(settings))
    gaps[twin] = 0
    gaps[position == 0] = 0
    elapsed = np.cumsum(gaps)
    elapsed -= np.repeat(elapsed[position == 0], sizes)
    # any one child of the household, not always the eldest, is born uniformly over the window
    anchor_child = (rng.random(surplus) * sizes).astype(int)
    starts = np.cumsum(sizes) - sizes
    anchor = first + (rng.random(surplus) * (last - first + 1)).astype(int)
    birth = elapsed + np.repeat(anchor - elapsed[starts + anchor_child], sizes)
    frame = pl.DataFrame({"household": household, "birth": birth, "twin": twin})
    frame = frame.filter(pl.col("birth").is_between(first, last)).head(children)
    return frame.with_columns(
        household_id=pl.col("household").rle_id().cast(pl.Int64),
        order=pl.int_range(pl.len()).over("household"),
    ).select("household_id", "order", "birth", "twin")


def _twin_chance(settings: dict[str, Any]) -> float:
    """The chance that a later child of a household is the second twin, from the rate by birth."""
    sizes = settings["children"]
    total = sum(k * w for k, w in sizes.items())
    later = sum((k - 1) * w for k, w in sizes.items())
    return settings["twin_birth"] * total / later


def draw_households(
    parameters: Parameters, streams: Streams, places: Places, births: pl.DataFrame
) -> pl.DataFrame:
    """One row for each household: area, ethnicity, name origin, surnames, frailty, first birth."""
    rng = streams("households")
    first = births.group_by("household_id", maintain_order=True).agg(
        first_birth=pl.col("birth").min()
    )
    size = first.height
    homes = places.areas.head(places.outside)
    area = pick_index(rng, homes["weight"].to_list(), size)
    profiles = homes["ethnic_profile"].to_numpy()[area]
    table = parameters.ethnicity
    mixes = {
        profile: dict(zip(table["ethnicity"], table[profile], strict=True))
        for profile in set(homes["ethnic_profile"])
    }
    ethnicity = pick_by(rng, profiles, {k: mixes[k] for k in sorted(mixes)})
    origins = parameters.name_origins
    origin = pick_by(
        rng,
        ethnicity,
        {
            key[0]: dict(zip(group["origin"], group["weight"], strict=True))
            for key, group in origins.group_by("ethnicity", maintain_order=True)
        },
    )
    shape = parameters.population["households"]["frailty_shape"]
    tilt = dict(zip(table["ethnicity"], table["deprivation_tilt"], strict=True))
    return first.with_columns(
        pl.Series("area", area.astype(np.uint32)),
        text(ethnicity).alias("ethnicity"),
        text(origin).alias("origin"),
        text(draw_surnames(rng, parameters, origin)).alias("surname"),
        text(draw_surnames(rng, parameters, origin)).alias("other_surname"),
        pl.Series("frailty", rng.gamma(shape, 1 / shape, size)),
        pl.Series("tilt", np.array([tilt[e] for e in ethnicity]))
        + pl.Series(homes["deprivation_tilt"].to_numpy()[area]),
    )


def draw_addresses(
    parameters: Parameters,
    streams: Streams,
    places: Places,
    households: pl.DataFrame,
    last_day: int,
) -> pl.DataFrame:
    settings = parameters.population["addresses"]
    rng = streams("addresses")
    first_birth = households["first_birth"].to_numpy()
    home = households["area"].to_numpy().astype(np.int64)
    start = first_birth - rng.integers(0, 1500, households.height)
    # households likelier to be deprived move more often
    rate = settings["move"] * settings["move_deprived"] ** np.clip(households["tilt"], -1, 1.5)
    moves = rng.poisson(rate * (last_day - start) / 365.25)
    household = np.repeat(np.arange(households.height), moves + 1)
    is_first = np.append(True, household[1:] != household[:-1])
    day = start[household] + (
        rng.random(len(household)) * (last_day - start[household] - 1)
    ).astype(int)
    day[is_first] = start
    order = np.lexsort((day, household))
    household, day = household[order], day[order]
    draw = rng.random(len(household))
    elsewhere = rng.integers(0, max(places.outside, 1), len(household))
    area = home[household].copy()
    area[is_first & (draw < settings["first_address_out_of_area"])] = places.outside
    # where a move leads depends on where the household was: settled move by move
    rank = np.arange(len(household)) - np.flatnonzero(is_first)[np.cumsum(is_first) - 1]
    for step in range(1, int(rank.max(initial=0)) + 1):
        rows = np.flatnonzero(rank == step)
        before = area[rows - 1]
        stays = before != places.outside
        area[rows] = np.where(
            stays,
            np.where(
                draw[rows] < settings["move_out_of_area"],
                places.outside,
                np.where(
                    draw[rows] < settings["move_out_of_area"] + settings["move_to_other_authority"],
                    elsewhere[rows],
                    before,
                ),
            ),
            np.where(
                draw[rows] < settings["return_to_area"], home[household[rows]], places.outside
            ),
        )
    frame = pl.DataFrame({"household_id": household, "from_day": day, "area": area}).with_columns(
        pl.Series(
            "postcode_id",
            draw_postcodes(rng, places, area, households["tilt"].to_numpy()[household]),
        ),
        pl.Series("house", rng.integers(1, 180, len(household))),
    )
    return (
        frame.unique(["household_id", "from_day"], keep="first", maintain_order=True)
        .with_columns(
            to_day=pl.col("from_day").shift(-1).over("household_id").fill_null(FOREVER),
            area=pl.col("area").cast(pl.UInt32),
        )
        .select("household_id", "from_day", "to_day", "area", "postcode_id", "house")
    )


def draw_postcodes(
    rng: np.random.Generator, places: Places, area: np.ndarray, tilt: np.ndarray
) -> np.ndarray:
    """A postcode id in each row's area; a positive ``tilt`` leans towards deprived ones."""
    chosen = np.zeros(len(area), dtype=np.uint32)
    place = rng.random(len(area)) ** np.exp(np.clip(tilt, -2, 2.5) * 0.6)
    for number in range(places.areas.height):
        rows = np.flatnonzero(area == number)
        ids = places.area_postcodes(number).sort("decile", "postcode_id")["postcode_id"].to_numpy()
        chosen[rows] = ids[np.minimum((place[rows] * len(ids)).astype(int), len(ids) - 1)]
    return chosen
