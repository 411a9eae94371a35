"""Children and their households: siblings and twins, addresses, names and identifiers.

A *person* is an identity that may rightly be linked across sources. A child who is adopted gets a
new person (new names, NHS number, UPN, household): the two share ``child_id`` and must never be
linked. Days are day numbers (days since 1 January 1970) throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from linked_cyp.synthetic.households import (
    FOREVER,
    draw_addresses,
    draw_births,
    draw_households,
    draw_postcodes,
)
from linked_cyp.synthetic.names import draw_forenames, draw_middle_names, draw_surnames, variants
from linked_cyp.synthetic.numbers import nhs_numbers
from linked_cyp.synthetic.parameters import Parameters, Streams, as_days, pick_index, text
from linked_cyp.synthetic.places import Places


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


def build_population(
    parameters: Parameters, streams: Streams, places: Places, *, children: int, last_year: int
) -> Population:
    """Make ``children`` children born in the years a delivery of ``last_year`` can hold."""
    last_day = as_days(f"{last_year}-10-31")
    first_birth = as_days(f"{last_year - parameters.population['ages']['oldest']}-09-01")
    births = draw_births(parameters, streams, children, first_birth, as_days(f"{last_year}-09-30"))
    households = draw_households(parameters, streams, places, births)
    addresses = draw_addresses(parameters, streams, places, households, last_day)
    persons = _persons(parameters, streams, households, births, last_day)
    first = addresses.group_by("household_id", maintain_order=True).agg(
        pl.col("postcode_id").last()
    )
    decile = first.join(
        places.postcodes.select("postcode_id", "decile"), on="postcode_id", how="left"
    ).select("household_id", "decile")
    persons = persons.join(decile, on="household_id", how="left", maintain_order="left")
    numbers = nhs_numbers(streams("nhs numbers"), int(children * 1.2) + 50)
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
