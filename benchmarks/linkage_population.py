"""A realistic population for measuring linkage: five sources, known truth, a million records.

English children under 20 in seven areas, in households with brothers, sisters and twins, recorded
by a GP (spine), schools and social care (with names), hospitals and mental health services (no
names). Names, origins, ethnic mixes and most error rates are those of :mod:`linked_cyp.synthetic`
(``parameters/``, where each says where it comes from); what that population has no need of is in
the constants below. Values come out standardised, as linkage sees them: a placeholder (BABY, ZZ99,
UN1, 1 January 1900) or a number that fails its check digit is null.

Errors strike a record with its source's rate times a multiplier of ethnicity, deprivation and
local authority, because published linkages lose children of ethnic minorities and poor families
first (ECHILD, Libuy 2021; Harron 2017): differences between groups are in the data, not only in
the method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.identifiers import IDENTIFIERS, on_series
from linked_cyp.linkage.person_records import IDENTITY_SCHEMA, per_distinct
from linked_cyp.names import standardise_forename, standardise_surname
from linked_cyp.synthetic.errors import (
    part_only,
    punctuation,
    transposed_day,
    typing_error,
    wrong_digit,
)
from linked_cyp.synthetic.households import draw_births
from linked_cyp.synthetic.names import draw_forenames, draw_surnames, variants
from linked_cyp.synthetic.numbers import temporary_upns, upns
from linked_cyp.synthetic.parameters import (
    Parameters,
    Streams,
    as_days,
    date_column,
    load_parameters,
    pick_by,
    pick_index,
    text,
)
from linked_cyp.synthetic.places import INWARD_LETTERS

FEEDS = ("gp", "education", "social_care", "hospital", "mental_health")
FIRST_BIRTH, LAST_BIRTH = as_days("2004-09-01"), as_days("2024-08-31")
LETTERS = ("AY", "BU", "CY", "DW", "EV", "HY", "KE")  # not allocated by Royal Mail
POSTCODES_PER_AREA = 990 * 150
POSTCODES_PER_SECTOR = 150  # 1.7 million live postcodes in 11,200 sectors
HOUSEHOLDS_PER_POSTCODE = 3
SPINE_SUPPLIER, HOSPITAL_SUPPLIER, MENTAL_HEALTH_SUPPLIER = 0, 21, 31

# Share of children whom a feed knows; so many that 418,000 children have 1 million records.
COVERAGE = {
    "gp": 0.975,
    "education": 0.90,  # from the fifth birthday
    "social_care": 0.125,
    "hospital": 0.45,
    "mental_health": 0.17,  # from the eighth birthday
}
# A second record of a child in the same feed: another authority, registered twice in hospital.
SECOND = {"education": 0.04, "social_care": 0.05, "hospital": 0.01, "mental_health": 0.01}
# Two ids of one authority for one child. Its ids are taken to tell children apart, so these are
# lost by design.
REISSUED_ID = 0.001
# A record holds another of the household's addresses (former, or the other parent's). Usual: the
# GP and the school disagree on 18 % of children; harsh: on 44 % (LINKAGE.md; over a childhood
# Harron 2017 found 53 % of postcodes to differ).
ELSEWHERE = {
    False: {
        "gp": 0.10,
        "education": 0.09,
        "social_care": 0.12,
        "hospital": 0.12,
        "mental_health": 0.12,
    },
    True: {
        "gp": 0.27,
        "education": 0.26,
        "social_care": 0.28,
        "hospital": 0.28,
        "mental_health": 0.28,
    },
}
KNOWS_FORMER_POSTCODE = {"gp": 0.6, "social_care": 0.5}  # where the household has moved
KNOWS_FORMER_SURNAME = {"gp": 0.3, "education": 0.5, "social_care": 0.6}
KNOWS_ALIAS = {"social_care": 0.04, "education": 0.02}  # another forename as an alternative
HAS_NHS_NUMBER = {"gp": 0.998, "social_care": 0.35, "hospital": 0.978, "mental_health": 0.96}
HAS_UPN = {"education": 0.997, "social_care": 0.90}  # from the fifth birthday
TEMPORARY_UPN = 0.012  # of pupils; of those who have a permanent one, so many held one before:
FORMER_TEMPORARY_UPN = 0.015
REUSED_UPN = 0.0002  # another child's, typed or allotted again
SECOND_NHS_NUMBER = 0.004  # superseded later; the spine says so for most
SPINE_TELLS = 0.85
SUPERSEDED_IN_USE = 0.25  # by another source, of children with two
NO_FIXED_ABODE = 0.002  # ZZ99 and the like, besides what each source lacks
# How well each authority keeps its records (local authorities in order, then elsewhere).
AUTHORITY = np.array([1.4, 0.75, 1.2, 0.9, 1.0, 0.85, 1.1])
# Model of errors in parameters/errors.yaml by feed, and a factor.
MODELS = {
    "gp": ("spine", 1.0),
    "education": ("school", 1.0),
    "social_care": ("social_care", 1.0),
    "hospital": ("hospital", 1.0),
    "mental_health": ("hospital", 1.3),
}
SEX_WRONG = 0.0011  # Harron 2017, HES; all feeds
ALTERNATIVE_COLUMNS = (
    "other_forenames",
    "other_surnames",
    "other_postcodes",
    "other_upns",
    "other_nhs_numbers",
)


@dataclass(frozen=True)
class Population:
    """Records as linkage takes them, and what is true of them."""

    identities: pl.DataFrame  # IDENTITY_SCHEMA and the list columns of ALTERNATIVE_COLUMNS
    sources: pl.DataFrame  # source, feed, supplier, tells_apart
    aliases: pl.DataFrame  # identifier, former, present
    truth: pl.DataFrame  # record_key, child
    people: pl.DataFrame  # child, sex, ethnicity, name_origin, imd_decile, local_authority, ...


def population(children: int, seed: int = 1, harsh: bool = False) -> Population:
    """Draw a population.

    Args:
        children: how many; each has 2.4 records on average.
        seed: the same seed draws the same population.
        harsh: addresses disagree between sources more than twice as often.

    Returns:
        Record keys are random, records in no order that tells anything.
    """
    parameters, streams = load_parameters(), Streams(seed)
    people = _people(parameters, streams, children)
    numbers = _numbers(streams("numbers"), people)
    frames = [
        _feed(feed, people, numbers, parameters, streams(feed), ELSEWHERE[harsh][feed])
        for feed in FEEDS
    ]
    records = pl.concat(frames)
    rng = streams("keys")
    order = rng.permutation(records.height)
    keys = np.sort(rng.integers(0, 2**62, records.height, dtype=np.int64))
    records = records[order].with_columns(pl.Series("record_key", keys))
    return Population(
        identities=records.select(*IDENTITY_SCHEMA, *ALTERNATIVE_COLUMNS),
        sources=_sources(),
        aliases=numbers.aliases,
        truth=records.select("record_key", "child"),
        people=people.select(
            "child",
            "sex",
            "ethnicity",
            "name_origin",
            "imd_decile",
            "local_authority",
            "birth_date",
            "is_twin",
            "household",
        ),
    )


def _sources() -> pl.DataFrame:
    places = range(1, len(LETTERS) + 1)
    rows = [(0, "gp", SPINE_SUPPLIER, False)]
    rows += [(n, "education", n, False) for n in places]
    rows += [(10 + n, "social_care", n, True) for n in places]
    rows += [
        (HOSPITAL_SUPPLIER, "hospital", HOSPITAL_SUPPLIER, False),
        (MENTAL_HEALTH_SUPPLIER, "mental_health", MENTAL_HEALTH_SUPPLIER, False),
    ]
    return pl.DataFrame(
        rows,
        schema={
            "source": pl.Int16,
            "feed": pl.String,
            "supplier": pl.Int16,
            "tells_apart": pl.Boolean,
        },
        orient="row",
    )


def _people(parameters: Parameters, streams: Streams, children: int) -> pl.DataFrame:
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
        text(_only(changed & (own != other), other)).alias("earlier_surname"),
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
            "multiplier": multiplier,
            "mobility": rng.gamma(2.0, 0.5, count),  # some move often: their records all differ
            **columns,
        }
    )


def _postcode_texts(numbers: np.ndarray) -> pl.Series:
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
class _Numbers:
    """Identifiers by child; null where there is none."""

    nhs: np.ndarray
    former_nhs: np.ndarray
    upn: np.ndarray  # permanent
    temporary_upn: np.ndarray  # what the child would hold before it has a permanent one
    former_upn: np.ndarray
    aliases: pl.DataFrame


def _numbers(rng: np.random.Generator, people: pl.DataFrame) -> _Numbers:
    n = people.height
    all_nhs = nhs_numbers(rng, n + n // 100 + 10)
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
    return _Numbers(nhs, former_nhs, upn, temporary, former_temporary, aliases)


def nhs_numbers(rng: np.random.Generator, size: int) -> np.ndarray:
    """Distinct valid NHS numbers of the range 900 to 999, which no person is issued."""
    stems = 900_000_000 + rng.choice(100_000_000, size=int(size * 1.12) + 200, replace=False)
    digits = stems[:, None] // 10 ** np.arange(8, -1, -1) % 10
    check = (11 - digits @ np.arange(10, 1, -1) % 11) % 11
    numbers = (stems * 10 + check)[(check != 10) & (stems % 111_111_111 != 0)]
    return numbers[:size].astype(str).astype(object)


class _Records:
    """Records of one feed: a child each, and whom an error strikes."""

    def __init__(
        self, feed: str, people: pl.DataFrame, parameters: Parameters, rng: np.random.Generator
    ) -> None:
        name, factor = MODELS[feed]
        self.feed, self.people, self.parameters, self.rng = feed, people, parameters, rng
        self.model = parameters.errors["sources"][name]
        self.factor = factor
        first = np.flatnonzero(rng.random(people.height) < _coverage(feed, people))
        area = people.select("area_0", "area_1").to_numpy()
        can_move = area[:, 0] != area[:, 1]
        again = first[rng.random(len(first)) < SECOND.get(feed, 0.0)]
        if feed in ("education", "social_care"):
            again = again[can_move[again]]
        reissued = first[rng.random(len(first)) < REISSUED_ID * (feed == "social_care")]
        self.child = np.concatenate([first, again, reissued])
        self.turn = np.repeat([0, 1, 2], [len(first), len(again), len(reissued)])
        self.multiplier = people["multiplier"].to_numpy()[self.child]

    def __len__(self) -> int:
        return len(self.child)

    def of(self, column: str) -> np.ndarray:
        """A child's values, one for each record, to be changed."""
        return self.people[column].to_numpy()[self.child].copy()

    def struck(self, rate: float) -> np.ndarray:
        """Row numbers that an error of this base rate strikes."""
        return np.flatnonzero(self.rng.random(len(self)) < rate * self.factor * self.multiplier)

    def rewrite(self, values: np.ndarray, rate: float, rule: Callable[..., Any]) -> np.ndarray:
        """Replace values that an error strikes; the rows struck."""
        rows = self.struck(rate)
        for row in rows.tolist():
            if values[row] is not None:
                values[row] = rule(values[row], self.rng) or values[row]
        return rows


def _coverage(feed: str, people: pl.DataFrame) -> np.ndarray:
    age, decile = people["age"].to_numpy(), people["imd_decile"].to_numpy()
    share = COVERAGE[feed]
    if feed == "gp":  # the unregistered are those whose records are poor anywhere
        return 1 - (1 - share) * people["multiplier"].to_numpy()
    if feed == "education":
        return np.where(age >= 5, share, 0.0)
    if feed == "social_care":
        return share * np.linspace(1.8, 0.4, 10)[decile - 1]
    if feed == "hospital":
        return share * np.linspace(1.2, 0.85, 10)[decile - 1]
    return np.where(age >= 8, share * np.linspace(1.3, 0.8, 10)[decile - 1], 0.0)


def _feed(
    feed: str,
    people: pl.DataFrame,
    numbers: _Numbers,
    parameters: Parameters,
    rng: np.random.Generator,
    elsewhere: float,
) -> pl.DataFrame:
    records = _Records(feed, people, parameters, rng)
    named = feed in KNOWS_FORMER_SURNAME
    supplier = np.where(records.turn == 1, records.of("area_1"), records.of("area_0")) + 1
    fixed = {
        "gp": (0, SPINE_SUPPLIER),
        "hospital": (HOSPITAL_SUPPLIER,) * 2,
        "mental_health": (MENTAL_HEALTH_SUPPLIER,) * 2,
    }
    first_source = {"education": 0, "social_care": 10}
    frame = pl.DataFrame({"child": records.child}).with_columns(
        pl.Series("source", supplier + first_source[feed])
        if feed in first_source
        else pl.lit(fixed[feed][0]).alias("source"),
        pl.Series("supplier", supplier)
        if feed in first_source
        else pl.lit(fixed[feed][1]).alias("supplier"),
        pl.lit(None, dtype=pl.String).alias("exclusion"),
        _la_child_ids(records, supplier),
        _sexes(records),
        _birth_dates(records),
        *_nhs_numbers(records, numbers),
        *_upns(records, numbers),
        *_postcodes(records, elsewhere),
        *(_names(records) if named else _no_names(len(records))),
    )
    return frame.select(
        "child",
        *(pl.col(n).cast(t) for n, t in IDENTITY_SCHEMA.items() if n != "record_key"),
        *ALTERNATIVE_COLUMNS,
    )


def _la_child_ids(records: _Records, supplier: np.ndarray) -> pl.Series:
    if records.feed != "social_care":
        return pl.Series("la_child_id", [None] * len(records), dtype=pl.String)
    parts = pl.DataFrame({"s": supplier, "t": records.turn == 2, "c": records.child})
    letter = pl.when("t").then(pl.lit("D")).otherwise(pl.lit("C"))
    return parts.select(pl.format("{}|{}{}", "s", letter, "c").alias("la_child_id")).to_series()


def _sexes(records: _Records) -> pl.Series:
    male = records.of("sex") == "M"
    wrong = records.struck(SEX_WRONG)
    male[wrong] = ~male[wrong]
    return pl.Series("sex", np.where(male, 1, 2))


def _birth_dates(records: _Records) -> pl.Series:
    days = records.of("day")
    rates = records.model["birth_date"]
    slips = np.array([-365, 365, -10, 10, -1, 1])
    rows = records.struck(rates["digit"])
    days[rows] += records.rng.choice(slips, len(rows))
    for row in records.struck(rates["transposed"]).tolist():
        days[row] = transposed_day(int(days[row]), records.rng) or days[row]
    rows = records.struck(rates["first_of_january"])
    days[rows] = (
        days[rows]
        .astype("datetime64[D]")
        .astype("datetime64[Y]")
        .astype("datetime64[D]")
        .astype(np.int64)
    )
    return date_column("birth_date", days)


def _nhs_numbers(records: _Records, numbers: _Numbers) -> tuple[pl.Series, pl.Series]:
    share = HAS_NHS_NUMBER.get(records.feed, 0.0)
    former = numbers.former_nhs[records.child]
    known = text(former).is_not_null().to_numpy()
    # Superseded: the spine has both, others sometimes only the old one.
    old = known & (records.rng.random(len(records)) < SUPERSEDED_IN_USE * (records.feed != "gp"))
    values = np.where(old, former, numbers.nhs[records.child])
    rates = records.model.get("nhs_number", {"sibling": 0.0002, "digit": 0.0001})
    values = _mistaken(records, values, numbers.nhs, rates, "nhs_number")
    values[records.rng.random(len(records)) >= share**records.multiplier] = None
    told = known & (records.feed == "gp") & (records.rng.random(len(records)) < SPINE_TELLS)
    return text(values).alias("nhs_number"), _lists(_only(told, former), "other_nhs_numbers")


def _upns(records: _Records, numbers: _Numbers) -> tuple[pl.Series, pl.Series]:
    share = HAS_UPN.get(records.feed, 0.0)
    n, rng = len(records), records.rng
    if not share:
        nothing = np.full(n, None, dtype=object)
        return text(nothing).alias("upn"), _lists(nothing, "other_upns")
    values = numbers.upn[records.child]
    values = _mistaken(records, values, numbers.upn, records.model["upn"], "upn")
    reused = np.flatnonzero(rng.random(n) < REUSED_UPN)
    values[reused] = numbers.upn[rng.integers(0, len(numbers.upn), len(reused))]
    # Newly arrived and not yet allotted a number, or the old school did not pass it on.
    temporary = records.struck(TEMPORARY_UPN)
    values[temporary] = numbers.temporary_upn[records.child][temporary]
    lacking = (rng.random(n) >= share**records.multiplier) | (records.of("age") < 4.5)
    values[lacking] = None
    former = _only(rng.random(n) < 0.7, numbers.former_upn[records.child])
    former[lacking] = None
    former[temporary] = None
    return text(values).alias("upn"), _lists(former, "other_upns")


def _mistaken(
    records: _Records,
    values: np.ndarray,
    everyone: np.ndarray,
    rates: Mapping[str, float],
    kind: str,
) -> np.ndarray:
    """A brother's or sister's number, a twin's more often; a digit wrong (null if it shows)."""
    values = values.copy()
    sibling, twin = _beside(records.people)
    twin_rate = records.model["twin_mix_up"] / (4 if records.feed == "gp" else 2)
    for other, rate in ((sibling, rates["sibling"]), (twin, twin_rate)):
        rows = records.struck(rate)
        theirs = other[records.child[rows]]
        rows, theirs = rows[theirs >= 0], theirs[theirs >= 0]
        values[rows] = everyone[theirs]
    rows = records.rewrite(values, rates["digit"], wrong_digit)
    values[rows] = on_series(IDENTIFIERS[kind].usable, text(values[rows])).to_list()
    return values


def _beside(people: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """For each child the next sibling, and the twin; -1 without one."""
    home, day = people["household"].to_numpy(), people["day"].to_numpy()
    n = np.arange(len(home))
    before, after = np.maximum(n - 1, 0), np.minimum(n + 1, len(home) - 1)
    found = []
    for alike in (lambda a: home[a] == home, lambda a: (home[a] == home) & (day[a] == day)):
        low = np.where(alike(before) & (before != n), before, -1)
        found.append(np.where(alike(after) & (after != n), after, low))
    return found[0], found[1]


def _postcodes(records: _Records, elsewhere: float) -> tuple[pl.Series, pl.Series]:
    rng, n = records.rng, len(records)
    chance = elsewhere * records.of("mobility") * np.sqrt(records.multiplier)
    away = rng.random(n) < np.minimum(chance, 0.85)
    which = np.where(away, 1 + pick_index(rng, (0.6, 0.25, 0.15), n), 0)
    which = np.where(records.turn == 1, 1, which)
    known = np.stack([records.of(f"postcode_{k}") for k in range(4)])
    number = known[which, np.arange(n)]
    distinct, place = np.unique(known[:3], return_inverse=True)
    shown = _postcode_texts(distinct).to_numpy().astype(object)
    distinct_here = np.searchsorted(distinct, number).clip(max=len(distinct) - 1)
    values = shown[distinct_here]
    other_parent = np.flatnonzero(which == 3)
    values[other_parent] = _postcode_texts(number[other_parent]).to_numpy()
    rates = records.model["postcode"]
    records.rewrite(values, rates["digit"], wrong_digit)
    rows = np.union1d(records.struck(rates["missing"]), records.struck(NO_FIXED_ABODE))
    former = shown[place.reshape(3, n)[1]]
    told = (which == 0) & (rng.random(n) < KNOWS_FORMER_POSTCODE.get(records.feed, 0.0))
    told &= records.of("mobility") > 0.6
    values[rows] = None
    return text(values).alias("postcode"), _lists(_only(told, former), "other_postcodes")


def _no_names(n: int) -> list[pl.Series]:
    nothing = [None] * n
    return [
        *(pl.Series(name, nothing, dtype=pl.String) for name in ("forename", "surname")),
        *(_lists(np.array(nothing), name) for name in ("other_forenames", "other_surnames")),
    ]


def _names(records: _Records) -> list[pl.Series]:
    rng, n, model = records.rng, len(records), records.model
    names = {column: records.of(column) for column in ("forename", "surname")}
    earlier = records.of("earlier_surname")
    changed = text(earlier).is_not_null().to_numpy()
    behind = changed & (rng.random(n) < model.get("surname_change_missed", 0.3))
    told = changed & ~behind & (rng.random(n) < KNOWS_FORMER_SURNAME[records.feed])
    names["surname"][behind] = earlier[behind]
    twin = _beside(records.people)[1][records.child]
    rows = records.struck(model["twin_mix_up"])
    rows = rows[twin[rows] >= 0]
    names["forename"][rows] = records.people["forename"].to_numpy()[twin[rows]]
    listed = {kind: variants(records.parameters, kind) for kind in ("nickname", "spelling")}

    def other_form(kind: str) -> Callable[..., str | None]:
        def choose(name: str, rng: np.random.Generator) -> str | None:
            forms = listed[kind].get(name)
            return forms[int(rng.integers(len(forms)))] if forms else None

        return choose

    rules: dict[str, Callable[..., Any]] = {
        "nickname": other_form("nickname"),
        "spelling": other_form("spelling"),
        "typo": typing_error,
        "punctuation": punctuation,
        "part_only": part_only,
    }
    alias = names["forename"].copy()
    records.rewrite(alias, KNOWS_ALIAS.get(records.feed, 0.0) * 3, rules["nickname"])
    for column, values in names.items():
        # Social care writes names as schools do; diacritics fold in standardisation.
        rates = model.get(column) or records.parameters.errors["sources"]["school"][column]
        for error, rate in rates.items():
            if error in rules:
                records.rewrite(values, rate, rules[error])
    rows = records.struck(model.get("names", {}).get("swapped", 0.0015))
    forename, surname = names["forename"], names["surname"]
    forename[rows], surname[rows] = surname[rows].copy(), forename[rows].copy()
    baby = records.struck(model.get("baby_forename", 0.0))
    forename[baby[records.of("age")[baby] < 0.5]] = None
    other = _only(alias != forename, alias)
    keep = rng.random(n) < KNOWS_ALIAS.get(records.feed, 0.0)
    return [
        _standard(text(forename), "forename"),
        _standard(text(surname), "surname"),
        _lists(_standard(text(_only(keep, other)), "forename").to_numpy(), "other_forenames"),
        _lists(_standard(text(_only(told, earlier)), "surname").to_numpy(), "other_surnames"),
    ]


def _standard(values: pl.Series, field: str) -> pl.Series:
    rule = standardise_forename if field == "forename" else standardise_surname
    return per_distinct(values, rule).alias(field)


def _only(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values of some rows, None elsewhere."""
    some = np.full(len(values), None, dtype=object)
    some[rows] = values[rows]
    return some


def _lists(values: np.ndarray, name: str) -> pl.Series:
    """One value or none as a list."""
    series = text(values) if values.dtype == object else pl.Series(values, dtype=pl.String)
    return (
        series.to_frame("v").select(pl.concat_list("v").list.drop_nulls().alias(name)).to_series()
    )
