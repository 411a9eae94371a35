"""What each source knows and gets wrong: the error model of the benchmark's population.

See :mod:`benchmarks.linkage_population`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl

from benchmarks.linkage_levels import Level
from benchmarks.linkage_people import SPINE_TELLS, Numbers, beside, only, postcode_texts
from linked_cyp.identity.identifiers import IDENTIFIERS, UPN_LETTERS, on_series
from linked_cyp.identity.names import standardise_forename, standardise_surname
from linked_cyp.identity.person_records import per_distinct
from linked_cyp.synthetic.errors import (
    part_only,
    punctuation,
    transposed_day,
    typing_error,
    wrong_digit,
)
from linked_cyp.synthetic.names import variants
from linked_cyp.synthetic.parameters import Parameters, date_column, pick_index, text

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
# A record holds another of the household's addresses (former, or the other parent's):
# linkage_levels.toml.
KNOWS_FORMER_POSTCODE = {"gp": 0.6, "social_care": 0.5}  # where the household has moved
KNOWS_FORMER_SURNAME = {"gp": 0.3, "education": 0.5, "social_care": 0.6}
KNOWS_ALIAS = {"social_care": 0.04, "education": 0.02}  # another forename as an alternative
# Hospital: HES rows whose patient the NHS's own matching could confirm (98.3 % of 21 million).
HAS_NHS_NUMBER = {"gp": 0.998, "social_care": 0.35, "hospital": 0.983, "mental_health": 0.975}
HAS_UPN = {"education": 0.997, "social_care": 0.90}  # from the fifth birthday
TEMPORARY_UPN = 0.012  # of pupils
REUSED_UPN = 0.0002  # another child's, typed or allotted again
SUPERSEDED_IN_USE = 0.25  # by another source, of children with two
NO_FIXED_ABODE = 0.002  # ZZ99 and the like, besides what each source lacks
# Model of errors in parameters/errors.yaml by feed, and a factor.
MODELS = {
    "gp": ("spine", 1.0),
    "education": ("school", 1.0),
    "social_care": ("social_care", 1.0),
    "hospital": ("hospital", 1.0),
    "mental_health": ("hospital", 1.3),
}
SEX_WRONG = 0.0011  # Harron 2017, HES; all feeds


class Records:
    """Records of one feed: a child each, and whom an error strikes."""

    def __init__(
        self,
        feed: str,
        people: pl.DataFrame,
        parameters: Parameters,
        rng: np.random.Generator,
        level: Level,
    ) -> None:
        name, factor = MODELS[feed]
        self.feed, self.people, self.parameters, self.rng = feed, people, parameters, rng
        self.model = parameters.errors["sources"][name]
        self.factor, self.level = factor, level
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
        if level.hanging_together:  # some offices are worse than others, in every field
            shape = 2 / level.hanging_together
            area = people["area_0"].to_numpy()[self.child]
            offices = 20 * area + rng.integers(0, 20, len(self.child))
            self.multiplier = self.multiplier * rng.gamma(shape, 1 / shape, 200)[offices]

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


def la_child_ids(records: Records, supplier: np.ndarray) -> pl.Series:
    if records.feed != "social_care":
        return pl.Series("la_child_id", [None] * len(records), dtype=pl.String)
    parts = pl.DataFrame({"s": supplier, "t": records.turn == 2, "c": records.child})
    letter = pl.when("t").then(pl.lit("D")).otherwise(pl.lit("C"))
    return parts.select(pl.format("{}|{}{}", "s", letter, "c").alias("la_child_id")).to_series()


def sexes(records: Records) -> pl.Series:
    male = records.of("sex") == "M"
    wrong = records.struck(SEX_WRONG)
    male[wrong] = ~male[wrong]
    return pl.Series("sex", np.where(male, 1, 2))


def birth_dates(records: Records) -> pl.Series:
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


def nhs_numbers(records: Records, numbers: Numbers) -> tuple[pl.Series, pl.Series]:
    share = HAS_NHS_NUMBER.get(records.feed, 0.0)
    former = numbers.former_nhs[records.child]
    known = text(former).is_not_null().to_numpy()
    # Superseded: the spine has both, others sometimes only the old one.
    old = known & (records.rng.random(len(records)) < SUPERSEDED_IN_USE * (records.feed != "gp"))
    values = np.where(old, former, numbers.nhs[records.child])
    rates = records.model.get("nhs_number", {"sibling": 0.0002, "digit": 0.0001})
    values = _mistaken(records, values, numbers.nhs, rates, "nhs_number")
    lacking = share ** (records.multiplier * records.level.no_number)
    values[records.rng.random(len(records)) >= lacking] = None
    told = known & (records.feed == "gp") & (records.rng.random(len(records)) < SPINE_TELLS)
    return text(values).alias("nhs_number"), _lists(only(told, former), "other_nhs_numbers")


def pupil_numbers(records: Records, numbers: Numbers) -> tuple[pl.Series, pl.Series]:
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
    second = np.flatnonzero(records.of("second_upn") & (records.turn == 1))
    values[second] = _another_upn(values[second])
    has = share ** (records.multiplier * records.level.no_number)
    lacking = (rng.random(n) >= has) | (records.of("age") < 4.5)
    values[lacking] = None
    former = only(rng.random(n) < 0.7, numbers.former_upn[records.child])
    former[lacking] = None
    former[temporary] = None
    return text(values).alias("upn"), _lists(former, "other_upns")


def _another_upn(values: np.ndarray) -> np.ndarray:
    """A second permanent UPN: the same serial number at a school nobody else has."""
    digits = np.array([[int(d) for d in value[1:]] for value in values]).reshape(-1, 12)
    digits[:, 3:7] = 9 - digits[:, 3:7]
    check = digits @ np.arange(2, 14) % 23
    letters = np.array(list(UPN_LETTERS))
    return np.array(
        [letters[c] + "".join(map(str, row)) for c, row in zip(check, digits, strict=True)],
        dtype=object,
    )


def _mistaken(
    records: Records,
    values: np.ndarray,
    everyone: np.ndarray,
    rates: Mapping[str, float],
    kind: str,
) -> np.ndarray:
    """A brother's or sister's number, a twin's more often; a digit wrong (null if it shows)."""
    values = values.copy()
    sibling, twin = beside(records.people)
    twin_rate = records.model["twin_mix_up"] / (4 if records.feed == "gp" else 2)
    for other, rate in ((sibling, rates["sibling"]), (twin, twin_rate)):
        rows = records.struck(rate * records.level.numbers)
        theirs = other[records.child[rows]]
        rows, theirs = rows[theirs >= 0], theirs[theirs >= 0]
        values[rows] = everyone[theirs]
    rows = records.rewrite(values, rates["digit"] * records.level.numbers, wrong_digit)
    values[rows] = on_series(IDENTIFIERS[kind].usable, text(values[rows])).to_list()
    return values


def postcodes(records: Records) -> tuple[pl.Series, pl.Series]:
    rng, n = records.rng, len(records)
    chance = (
        records.level.elsewhere[records.feed] * records.of("mobility") * np.sqrt(records.multiplier)
    )
    away = rng.random(n) < np.minimum(chance, 0.85)
    which = np.where(away, 1 + pick_index(rng, (0.6, 0.25, 0.15), n), 0)
    which = np.where(records.turn == 1, 1, which)
    known = np.stack([records.of(f"postcode_{k}") for k in range(4)])
    number = known[which, np.arange(n)]
    distinct, place = np.unique(known[:3], return_inverse=True)
    shown = postcode_texts(distinct).to_numpy().astype(object)
    distinct_here = np.searchsorted(distinct, number).clip(max=len(distinct) - 1)
    values = shown[distinct_here]
    if records.feed == "education":
        boarding = records.of("boarding")
        rows = np.flatnonzero(boarding >= 0)
        values[rows] = postcode_texts(boarding[rows]).to_numpy()
    other_parent = np.flatnonzero(which == 3)
    values[other_parent] = postcode_texts(number[other_parent]).to_numpy()
    rates = records.model["postcode"]
    records.rewrite(values, rates["digit"], wrong_digit)
    rows = np.union1d(records.struck(rates["missing"]), records.struck(NO_FIXED_ABODE))
    former = shown[place.reshape(3, n)[1]]
    told = (which == 0) & (rng.random(n) < KNOWS_FORMER_POSTCODE.get(records.feed, 0.0))
    told &= records.of("mobility") > 0.6
    values[rows] = None
    return text(values).alias("postcode"), _lists(only(told, former), "other_postcodes")


def no_names(n: int) -> list[pl.Series]:
    nothing = [None] * n
    return [
        *(pl.Series(name, nothing, dtype=pl.String) for name in ("forename", "surname")),
        *(_lists(np.array(nothing), name) for name in ("other_forenames", "other_surnames")),
    ]


def names(records: Records) -> list[pl.Series]:
    rng, n, model = records.rng, len(records), records.model
    known = {column: records.of(column) for column in ("forename", "surname")}
    earlier = records.of("earlier_surname")
    changed = text(earlier).is_not_null().to_numpy()
    behind = changed & (rng.random(n) < model.get("surname_change_missed", 0.3))
    told = changed & ~behind & (rng.random(n) < KNOWS_FORMER_SURNAME[records.feed])
    known["surname"][behind] = earlier[behind]
    taken = records.of("taken_surname")
    uses = np.flatnonzero(text(taken).is_not_null().to_numpy() & (rng.random(n) < 0.5))
    known["surname"][uses] = taken[uses]
    second = np.flatnonzero(rng.random(n) < records.level.second_forename)
    middle = records.of("middle_name")
    known["forename"][second] = [
        f"{a} {b}" for a, b in zip(known["forename"][second], middle[second], strict=True)
    ]
    twin = beside(records.people)[1][records.child]
    rows = records.struck(model["twin_mix_up"])
    rows = rows[twin[rows] >= 0]
    known["forename"][rows] = records.people["forename"].to_numpy()[twin[rows]]
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
    alias = known["forename"].copy()
    records.rewrite(alias, KNOWS_ALIAS.get(records.feed, 0.0) * 3, rules["nickname"])
    for column, values in known.items():
        # Social care writes names as schools do; diacritics fold in standardisation.
        rates = model.get(column) or records.parameters.errors["sources"]["school"][column]
        factor = records.level.names if column == "forename" else records.level.surnames
        for error, rate in rates.items():
            if error in rules:
                records.rewrite(values, min(rate * factor, 0.3), rules[error])
    rows = records.struck(model.get("names", {}).get("swapped", 0.0015))
    forename, surname = known["forename"], known["surname"]
    forename[rows], surname[rows] = surname[rows].copy(), forename[rows].copy()
    baby = records.struck(model.get("baby_forename", 0.0))
    forename[baby[records.of("age")[baby] < 0.5]] = None
    other = only(alias != forename, alias)
    keep = rng.random(n) < KNOWS_ALIAS.get(records.feed, 0.0)
    return [
        _standard(text(forename), "forename"),
        _standard(text(surname), "surname"),
        _lists(_standard(text(only(keep, other)), "forename").to_numpy(), "other_forenames"),
        _lists(_standard(text(only(told, earlier)), "surname").to_numpy(), "other_surnames"),
    ]


def _standard(values: pl.Series, field: str) -> pl.Series:
    rule = standardise_forename if field == "forename" else standardise_surname
    return per_distinct(values, rule).alias(field)


def _lists(values: np.ndarray, name: str) -> pl.Series:
    """One value or none as a list."""
    series = text(values) if values.dtype == object else pl.Series(values, dtype=pl.String)
    return (
        series.to_frame("v").select(pl.concat_list("v").list.drop_nulls().alias(name)).to_series()
    )
