"""Who is recorded: children, households, addresses and numbers of the benchmark's population.

See :mod:`benchmarks.linkage_population`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from benchmarks.linkage_levels import Level
from linked_cyp.synthetic.households import draw_births
from linked_cyp.synthetic.names import draw_forenames, draw_surnames
from linked_cyp.synthetic.numbers import temporary_upns, upns
from linked_cyp.synthetic.parameters import (
    Parameters,
    Streams,
    as_days,
    date_column,
    pick_by,
    pick_index,
    text,
)
from linked_cyp.synthetic.places import INWARD_LETTERS

FIRST_BIRTH, LAST_BIRTH = as_days("2004-09-01"), as_days("2024-08-31")
LETTERS = ("AY", "BU", "CY", "DW", "EV", "HY", "KE")  # not allocated by Royal Mail
POSTCODES_PER_AREA = 990 * 150
POSTCODES_PER_SECTOR = 150  # 1.7 million live postcodes in 11,200 sectors
HOUSEHOLDS_PER_POSTCODE = 3
# How well each authority keeps its records (local authorities in order, then elsewhere).
AUTHORITY = np.array([1.4, 0.75, 1.2, 0.9, 1.0, 0.85, 1.1])
SECOND_NHS_NUMBER = 0.004  # superseded later; the spine says so for most
SPINE_TELLS = 0.85  # which number replaced which
FORMER_TEMPORARY_UPN = 0.015  # of children; before the permanent one


def draw_people(parameters: Parameters, streams: Streams, children: int) -> pl.DataFrame:
    """One row per child: who they are, their names, their household's four addresses."""
    births = draw_births(parameters, streams, children, FIRST_BIRTH, LAST_BIRTH)
    home = births["household_id"].to_numpy()
    rng = streams("households")
    households = _households(parameters, rng, int(home.max()) + 1)
    area, origin = (households[c].to_numpy() for c in ("area_0", "origin"))
    surname, other = (draw_surnames(rng, parameters, origin)[home] for _ in range(2))

    rng = streams("children")
    n = births.height
    sex, forename = _sex_and_forename(parameters, rng, births["twin"].to_numpy(), origin[home])
    rates = parameters.population["surnames"]
    own = np.where(rng.random(n) < rates["sibling_differs"], other, surname)
    double = np.flatnonzero(rng.random(n) < rates["double_barrelled"])
    own[double] = [f"{a}-{b}" for a, b in zip(own[double], other[double], strict=True)]
    age = (LAST_BIRTH - births["birth"].to_numpy()) / 365.25
    changed = rng.random(n) < 1 - (1 - rates["change"]) ** age
    people = births.select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("child"),
        pl.col("household_id").alias("household"),
        pl.col("birth").alias("day"),
        date_column("birth_date", births["birth"].to_numpy()),
        (pl.len().over("household_id", "birth") > 1).alias("is_twin"),
        pl.Series("age", age),
        pl.Series("sex", sex),
        text(forename).alias("forename"),
        text(own).alias("surname"),
        text(only(changed & (own != other), other)).alias("earlier_surname"),
    )
    names = pl.Series([*parameters.local_authorities["name"], "Elsewhere"])
    return people.with_columns(
        households.select(
            "ethnicity",
            pl.col("origin").alias("name_origin"),
            pl.col("decile").alias("imd_decile"),
            names.gather(area).alias("local_authority"),
            pl.selectors.starts_with("area_", "postcode_", "multiplier", "mobility"),
        )[home]
    )


HOSTELS_PER_AREA = 3
BOARDING_SCHOOLS = 40


def with_dirt(people: pl.DataFrame, level: Level, rng: np.random.Generator) -> pl.DataFrame:
    """What a level adds to the children themselves, not to single records.

    Adds ``middle_name``, ``taken_surname`` (of another parent, in some sources), ``second_upn``
    (whether another school gave one), ``boarding`` (a postcode number, or -1); changes birth dates
    to 1 January, addresses to those of hostels, and households' error rates.
    """
    n = people.height
    homes = people["household"].to_numpy()
    forename = people["forename"].to_numpy()
    draw = rng.random(n)
    taken, added = draw < level.surname_taken, draw > 1 - level.surname_added
    day, area = people["day"].to_numpy().copy(), people["area_0"].to_numpy()
    unknown = rng.random(n) < level.first_of_january
    year = day.astype("datetime64[D]").astype("datetime64[Y]")
    day[unknown] = year.astype("datetime64[D]").astype(np.int64)[unknown]
    hostel = unknown & (rng.random(n) < level.hostels)
    places = area * POSTCODES_PER_AREA + POSTCODES_PER_AREA - 1
    places = places - rng.integers(0, HOSTELS_PER_AREA, n) * POSTCODES_PER_SECTOR
    schools = rng.integers(0, len(LETTERS) * POSTCODES_PER_AREA, BOARDING_SCHOOLS)
    boards = (rng.random(n) < level.boarding) & (people["age"].to_numpy() >= 11)
    multiplier = people["multiplier"].to_numpy()
    if level.hanging_together:
        shape = 1 / level.hanging_together
        multiplier = multiplier * rng.gamma(shape, 1 / shape, int(homes.max()) + 1)[homes]
    own = people["surname"].to_numpy()
    shuffled = own[rng.permutation(n)]
    joined = np.array([f"{a}-{b}" for a, b in zip(own, shuffled, strict=True)], dtype=object)
    return people.with_columns(
        pl.Series("day", day),
        date_column("birth_date", day),
        pl.Series("multiplier", multiplier),
        # Names of somebody else of the population: as often as they are.
        text(forename[rng.permutation(n)]).alias("middle_name"),
        text(only(taken | added, np.where(added, joined, shuffled))).alias("taken_surname"),
        pl.Series("second_upn", rng.random(n) < level.second_upn),
        pl.Series("boarding", np.where(boards, schools[rng.integers(0, BOARDING_SCHOOLS, n)], -1)),
        *(
            pl.Series(f"postcode_{k}", np.where(hostel, places, people[f"postcode_{k}"].to_numpy()))
            for k in range(2)
        ),
    )


def _sex_and_forename(
    parameters: Parameters, rng: np.random.Generator, is_second: np.ndarray, origin: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Twins stand behind one another: some have to share their sex, none a forename."""
    settings = parameters.population["households"]
    sex = np.where(rng.random(len(origin)) < settings["boys"], "M", "F")
    same = is_second & (rng.random(len(origin)) < 2 * settings["twins_same_sex"] - 1)
    sex[same] = sex[np.flatnonzero(same) - 1]
    forename = draw_forenames(rng, parameters, sex, origin)
    while len(again := np.flatnonzero(is_second & (forename == np.roll(forename, 1)))):
        forename[again] = draw_forenames(rng, parameters, sex[again], origin[again])
    return sex, forename


def _households(parameters: Parameters, rng: np.random.Generator, count: int) -> pl.DataFrame:
    """Ethnicity, origin of names and four addresses: now, two former ones, another parent's."""
    authorities, table = parameters.local_authorities, parameters.ethnicity
    area = pick_index(rng, [*authorities["weight"], 1.0], count)
    profile = np.array([*authorities["ethnic_profile"], "shire"], dtype=object)[area]
    mixes = {p: dict(table.select("ethnicity", p).iter_rows()) for p in sorted(set(profile))}
    ethnicity = pick_by(rng, profile, mixes)
    origins = {
        str(key[0]): dict(group.select("origin", "weight").iter_rows())
        for key, group in parameters.name_origins.group_by("ethnicity", maintain_order=True)
    }
    origin = pick_by(rng, ethnicity, origins)
    tilts = dict(table.select("ethnicity", "deprivation_tilt").iter_rows())
    poor = np.array([*authorities["deprivation_tilt"], 0.0])
    tilt = np.array([tilts[e] for e in ethnicity])
    columns: dict[str, np.ndarray] = {}
    for k in range(4):
        # 19 moves in 100 lead to another authority (parameters/population.yaml).
        moved = (rng.random(count) < 0.19) & (k > 0)
        here = np.where(moved, rng.integers(0, len(LETTERS), count), area)
        per_area = max(count // HOUSEHOLDS_PER_POSTCODE // len(LETTERS), 120)
        place = rng.random(count) ** np.exp(np.clip(tilt, -2, 2.5) * 0.6)  # 0 most deprived
        columns[f"area_{k}"] = here
        columns[f"postcode_{k}"] = here * POSTCODES_PER_AREA + (place * per_area).astype(np.int64)
        if k == 0:
            decile = (10 * place ** np.exp(0.5 * poor[area])).astype(np.int64) + 1
    multipliers = parameters.errors["multipliers"]
    by_group = np.array([multipliers["ethnicity"][e] for e in ethnicity])
    multiplier = by_group * np.array(multipliers["decile"])[decile - 1] * AUTHORITY[area]
    return pl.DataFrame(
        {
            "ethnicity": text(ethnicity),
            "origin": text(origin),
            "decile": decile,
            # Rates stay what they are on average; groups differ in their share of the errors.
            "multiplier": multiplier / multiplier.mean(),
            "mobility": rng.gamma(2.0, 0.5, count),  # some move often: their records all differ
            **columns,
        }
    )


def postcode_texts(numbers: np.ndarray) -> pl.Series:
    """Invented postcodes; numbers next to one another share a sector."""
    area, place = np.divmod(numbers, POSTCODES_PER_AREA)
    sector, unit = np.divmod(place, POSTCODES_PER_SECTOR)
    first, second = np.divmod(unit * 7 % len(INWARD_LETTERS) ** 2, len(INWARD_LETTERS))
    parts = pl.DataFrame(
        {
            "letters": np.array(LETTERS)[area],
            "district": sector // 10 + 1,
            "sector": sector % 10,
            "first": INWARD_LETTERS[first],
            "second": INWARD_LETTERS[second],
        }
    )
    return parts.select(
        pl.format("{}{} {}{}{}", "letters", "district", "sector", "first", "second")
    ).to_series()


@dataclass(frozen=True)
class Numbers:
    """Identifiers by child; null where there is none."""

    nhs: np.ndarray
    former_nhs: np.ndarray
    upn: np.ndarray  # permanent
    temporary_upn: np.ndarray  # what the child would hold before it has a permanent one
    former_upn: np.ndarray
    aliases: pl.DataFrame


def draw_numbers(rng: np.random.Generator, people: pl.DataFrame) -> Numbers:
    """Every child's numbers, and which of them replaced another."""
    n = people.height
    all_nhs = nhsdraw_numbers(rng, n + n // 100 + 10)
    has_two = np.flatnonzero(rng.random(n) < SECOND_NHS_NUMBER)
    nhs = all_nhs[:n]
    former_nhs = np.full(n, None, dtype=object)
    former_nhs[has_two] = all_nhs[n : n + len(has_two)]
    # School and serial number tell children of one year and authority apart.
    place, area = np.arange(n), 991 + people["area_0"].to_numpy()
    year = (2004 + (LAST_BIRTH - people["day"].to_numpy()) // 366).astype(np.int64)
    upn = upns(area, place // 1000, year, place % 1000)
    temporary = temporary_upns(area, place // 2300, year, place % 2300)
    held_one = np.flatnonzero(rng.random(n) < FORMER_TEMPORARY_UPN)
    told = has_two[rng.random(len(has_two)) < SPINE_TELLS]
    aliases = pl.DataFrame(
        {
            "identifier": ["nhs"] * len(told) + ["upn"] * len(held_one),
            "former": text(np.concatenate([former_nhs[told], temporary[held_one]])),
            "present": text(np.concatenate([nhs[told], upn[held_one]])),
        }
    )
    former_temporary = np.full(n, None, dtype=object)
    former_temporary[held_one] = temporary[held_one]
    return Numbers(nhs, former_nhs, upn, temporary, former_temporary, aliases)


def nhsdraw_numbers(rng: np.random.Generator, size: int) -> np.ndarray:
    """Distinct valid NHS numbers of the range 900 to 999, which no person is issued."""
    stems = 900_000_000 + rng.choice(100_000_000, size=int(size * 1.12) + 200, replace=False)
    digits = stems[:, None] // 10 ** np.arange(8, -1, -1) % 10
    check = (11 - digits @ np.arange(10, 1, -1) % 11) % 11
    numbers = (stems * 10 + check)[(check != 10) & (stems % 111_111_111 != 0)]
    return numbers[:size].astype(str).astype(object)


def beside(people: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """For each child the next sibling, and the twin; -1 without one."""
    home, day = people["household"].to_numpy(), people["day"].to_numpy()
    n = np.arange(len(home))
    before, after = np.maximum(n - 1, 0), np.minimum(n + 1, len(home) - 1)
    found = []
    for alike in (lambda a: home[a] == home, lambda a: (home[a] == home) & (day[a] == day)):
        low = np.where(alike(before) & (before != n), before, -1)
        found.append(np.where(alike(after) & (after != n), after, low))
    return found[0], found[1]


def only(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values of some rows, None elsewhere."""
    some = np.full(len(values), None, dtype=object)
    some[rows] = values[rows]
    return some
