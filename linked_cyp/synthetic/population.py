"""Children and their households: siblings and twins, addresses, names and identifiers.

A *person* is an identity that may rightly be linked across sources. A child who is adopted gets a
new person (new names, NHS number, UPN, household): the two share ``child_id`` and must never be
linked. Days are day numbers (days since 1 January 1970) throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from linked_cyp.synthetic.names import draw_forenames, draw_middle_names, draw_surnames, variants
from linked_cyp.synthetic.numbers import nhs_numbers
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


@dataclass(frozen=True)
class Population:
    """Households, their addresses over time, and persons.

    ``addresses``: household_id, from_day, to_day (exclusive, FOREVER while current), area,
    postcode_id, house. Sorted by household and day; the intervals of a household do not overlap.
    ``persons``: person_id, child_id, household_id, birth, sex, ethnicity, origin, forename,
    middle_names, surname, later_surname with change_day, known_as, twin_group, from_day, to_day
    (when this identity exists), death_day, nhs_number, second_nhs_number, risk, decile, order.
    """

    last_day: int
    households: pl.DataFrame
    addresses: pl.DataFrame
    persons: pl.DataFrame
    spare_nhs_numbers: np.ndarray = field(repr=False)

    def addresses_at(self, frame: pl.DataFrame, day: str) -> pl.DataFrame:
        """``frame`` (with household_id and a day column) with the address that day.

        Adds area, postcode_id, house; rows before the household's first address get that one.
        """
        numbered = frame.with_row_index("_row")
        joined = numbered.sort(day, maintain_order=True).join_asof(
            self.addresses.select("household_id", "from_day", "area", "postcode_id", "house").sort(
                "from_day", maintain_order=True
            ),
            left_on=day,
            right_on="from_day",
            by="household_id",
            strategy="backward",
            check_sortedness=False,
            suffix="_address",
        )
        drop = [c for c in ("from_day_address",) if c in joined.columns]
        if "from_day" not in frame.columns:
            drop.append("from_day")
        return joined.sort("_row").drop("_row", *drop, strict=False)


def expected_households(parameters: Parameters, children: int) -> int:
    sizes = parameters.population["households"]["children"]
    mean = sum(k * w for k, w in sizes.items()) / sum(sizes.values())
    return int(children / mean)


def build_population(
    parameters: Parameters, streams: Streams, places: Places, *, children: int, last_year: int
) -> Population:
    """Make ``children`` children born in the years a delivery of ``last_year`` can hold."""
    last_day = as_days(f"{last_year}-10-31")
    first_birth = as_days(f"{last_year - parameters.population['ages']['oldest']}-09-01")
    births = _births(parameters, streams, children, first_birth, as_days(f"{last_year}-09-30"))
    households = _households(parameters, streams, places, births)
    addresses = _addresses(parameters, streams, places, households, last_day)
    persons = _persons(parameters, streams, households, births, last_day)
    first = addresses.group_by("household_id", maintain_order=True).agg(
        pl.col("postcode_id").last()
    )
    decile = first.join(
        places.postcodes.select("postcode_id", "decile"), on="postcode_id", how="left"
    ).select("household_id", "decile")
    persons = persons.join(decile, on="household_id", how="left", maintain_order="left")
    numbers = nhs_numbers(streams("nhs numbers"), int(children * 1.06) + 50)
    persons = persons.with_columns(
        text(numbers[:children]).alias("nhs_number"),
        _second_numbers(parameters, streams, numbers, children),
    )
    used = children + persons["second_nhs_number"].count()
    return Population(last_day, households, addresses, persons, numbers[used:])


def _second_numbers(
    parameters: Parameters, streams: Streams, numbers: np.ndarray, children: int
) -> pl.Series:
    share = parameters.population["nhs_number"]["second_number"]
    has = streams("second numbers").random(children) < share
    second = np.full(children, None, dtype=object)
    second[has] = numbers[children : children + int(has.sum())]
    return text(second).alias("second_nhs_number")


def _births(
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


def _twin_chance(settings: dict) -> float:
    """The chance that a later child of a household is the second twin, from the rate by birth."""
    sizes = settings["children"]
    total = sum(k * w for k, w in sizes.items())
    later = sum((k - 1) * w for k, w in sizes.items())
    return settings["twin_birth"] * total / later


def _households(
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


def _addresses(
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


def _persons(
    parameters: Parameters,
    streams: Streams,
    households: pl.DataFrame,
    births: pl.DataFrame,
    last_day: int,
) -> pl.DataFrame:
    settings = parameters.population
    rng = streams("persons")
    size = births.height
    household = births["household_id"].to_numpy()
    twin = births["twin"].to_numpy()
    birth = births["birth"].to_numpy()
    sex = np.where(rng.random(size) < settings["households"]["boys"], "M", "F").astype(object)
    # half of the twins whose sex is drawn afresh agree by chance
    follows = twin & (rng.random(size) < settings["households"]["twins_same_sex"] * 2 - 1)
    for row in np.flatnonzero(follows):
        sex[row] = sex[row - 1]
    home = households.gather(household)
    origin = home["origin"].to_numpy().astype(object)
    forename = _distinct_forenames(rng, parameters, sex, origin, household)
    surname = _surnames(rng, parameters, home, births)
    change = rng.random(size) < settings["surnames"]["change"] * (last_day - birth) / 365.25
    change_day = birth + (rng.random(size) * (last_day - birth)).astype(int)
    deaths = settings["deaths"]
    infant = rng.random(size) < deaths["infant"]
    later = rng.random(size) < deaths["later"] * (last_day - birth) / 365.25
    death = np.where(
        infant,
        birth + (rng.random(size) ** 3 * 364).astype(int),
        birth + (rng.random(size) * (last_day - birth)).astype(int),
    )
    dead = (infant | later) & (death <= last_day)
    group = np.cumsum(~twin)
    twins = np.isin(group, group[twin])
    return pl.DataFrame(
        {
            "person_id": np.arange(1, size + 1),
            "child_id": np.arange(1, size + 1),
            "household_id": household,
            "birth": birth,
            "sex": text(sex),
            "ethnicity": home["ethnicity"],
            "origin": home["origin"],
            "forename": text(forename),
            "middle_names": text(draw_middle_names(rng, parameters, sex, origin)),
            "surname": text(surname),
            "later_surname": text(np.where(change, home["other_surname"].to_numpy(), None)),
            "change_day": change_day,
            "known_as": text(_known_as(rng, parameters, forename)),
            "twin_group": pl.Series(group).set(pl.Series(~twins), None),
            "from_day": birth,
            "to_day": np.where(dead, death + 1, FOREVER),
            "death_day": pl.Series(death).set(pl.Series(~dead), None),
            "risk": home["frailty"],
            "order": births["order"],
        }
    )


def _distinct_forenames(
    rng: np.random.Generator,
    parameters: Parameters,
    sex: np.ndarray,
    origin: np.ndarray,
    household: np.ndarray,
) -> np.ndarray:
    """Forenames, drawn again while two children of a household share one."""
    names = draw_forenames(rng, parameters, sex, origin)
    for _ in range(12):
        repeated = (
            pl.DataFrame({"household": household, "name": text(names)})
            .select(~pl.struct("household", "name").is_first_distinct())
            .to_series()
            .to_numpy()
        )
        rows = np.flatnonzero(repeated)
        if not len(rows):
            break
        names[rows] = draw_forenames(rng, parameters, sex[rows], origin[rows])
    return names


def _surnames(
    rng: np.random.Generator, parameters: Parameters, home: pl.DataFrame, births: pl.DataFrame
) -> np.ndarray:
    """Surnames shared by a household's children, except where one carries the other parent's."""
    settings = parameters.population["surnames"]
    household = births["household_id"].to_numpy()
    first, other = (home[c].to_numpy().astype(object) for c in ("surname", "other_surname"))
    households = int(household.max(initial=-1)) + 1
    draw = rng.random(households)[household]
    hyphen = np.array([f"{a}-{b}" for a, b in zip(other, first, strict=True)], dtype=object)
    names = np.where(
        draw < settings["mother_surname"],
        other,
        np.where(draw < settings["mother_surname"] + settings["double_barrelled"], hyphen, first),
    )
    differs = (births["order"].to_numpy() > 0) & (
        rng.random(len(names)) < settings["sibling_differs"]
    )
    differs &= ~births["twin"].to_numpy()
    return np.where(differs, np.where(names == first, other, first), names)


def _known_as(rng: np.random.Generator, parameters: Parameters, forename: np.ndarray) -> np.ndarray:
    forms = variants(parameters, "nickname")
    share = parameters.population["forenames"]["known_as"]
    known = np.full(len(forename), None, dtype=object)
    for row in np.flatnonzero(rng.random(len(forename)) < share):
        options = forms.get(forename[row])
        if options:
            known[row] = options[int(rng.integers(len(options)))]
    return known


def adopt(
    parameters: Parameters,
    streams: Streams,
    places: Places,
    population: Population,
    adopted: pl.DataFrame,
) -> Population:
    """Give each adopted child a new identity from the day of adoption.

    ``adopted`` holds person_id and day. The old identity ends that day. The new one lives with a
    new household and carries new names, a new NHS number and no shared identifier.
    """
    rng = streams("adoption")
    persons = population.persons
    old = persons.join(adopted, on="person_id", how="inner", maintain_order="right")
    size = old.height
    day = old["day"].to_numpy()
    homes = places.areas.head(places.outside)
    area = pick_index(rng, homes["weight"].to_list(), size)
    first_household = population.households.height
    ids = first_household + np.arange(size)
    origin = np.full(size, "english", dtype=object)
    surnames = draw_surnames(rng, parameters, origin)
    forename = old["forename"].to_numpy().astype(object)
    renamed = rng.random(size) < 0.35
    fresh = draw_forenames(rng, parameters, old["sex"].to_numpy().astype(object), origin)
    forename = np.where(renamed, fresh, forename)
    new = old.drop("day").with_columns(
        person_id=pl.Series(persons.height + 1 + np.arange(size)),
        household_id=pl.Series(ids),
        forename=text(forename),
        surname=text(surnames),
        later_surname=pl.lit(None, dtype=pl.String),
        known_as=pl.lit(None, dtype=pl.String),
        from_day=pl.Series(day),
        risk=pl.lit(0.3),
        nhs_number=text(population.spare_nhs_numbers[:size]),
        second_nhs_number=pl.lit(None, dtype=pl.String),
        twin_group=pl.lit(None, dtype=persons["twin_group"].dtype),
        order=pl.lit(0, dtype=persons["order"].dtype),
    )
    ended = persons.join(adopted, on="person_id", how="left", maintain_order="left").with_columns(
        to_day=pl.min_horizontal("to_day", pl.col("day").fill_null(FOREVER))
    )
    households = pl.DataFrame(
        {
            "household_id": ids,
            "first_birth": day,
            "area": area.astype(np.uint32),
            "ethnicity": old["ethnicity"],
            "origin": text(origin),
            "surname": text(surnames),
            "other_surname": text(surnames),
            "frailty": np.full(size, 0.3),
            "tilt": np.full(size, -0.5),
        },
        schema=population.households.schema,
    )
    addresses = pl.DataFrame(
        {
            "household_id": ids,
            "from_day": day - 800,
            "to_day": np.full(size, FOREVER),
            "area": area.astype(np.uint32),
            "postcode_id": draw_postcodes(rng, places, area, np.full(size, -0.5)),
            "house": rng.integers(1, 180, size),
        },
        schema=population.addresses.schema,
    )
    return Population(
        population.last_day,
        pl.concat([population.households, households]),
        pl.concat([population.addresses, addresses]),
        pl.concat([ended.drop("day"), new.select(persons.columns)]),
        population.spare_nhs_numbers[size:],
    )
