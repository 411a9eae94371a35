"""All attacks on one population, and what came of them: ``linkage.main.attack``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from linked_cyp.core.errors import value_free
from linked_cyp.identity.keys import Keys
from linked_cyp.linkage.attacks import patterns, tokens
from linked_cyp.linkage.attacks.cases import (
    FIELDS,
    Case,
    commonest,
    crowd,
    imitate,
    make_case,
    named,
    stored_case,
    token_columns,
)

SCHEMA = {
    "attack": pl.String,
    "encoding": pl.String,
    "field": pl.String,
    "column": pl.String,  # of person_record, where the attack is on one
    "known": pl.Int64,  # children whose names the attacker knows; at most half of those attacked
    "seed": pl.Int64,
    "attacked": pl.Int64,  # records (or pairs)
    "correct": pl.Int64,
    "rate": pl.Float64,
    "baseline": pl.Float64,  # what guessing the commonest gives, without any record
}
ENCODINGS = ("plain", "birth_date_salt", "hardened")
KNOWN = (30, 100)
KNOWN_IN_SALT = (2, 10)
BORN_A_DAY = 1640  # 600,000 births a year in England and Wales (ONS)
BIRTH_DATES, SALTS = 2, 8  # strata attacked of each encoding and field: the largest
_GROUPINGS = {
    "rank": [],
    "rank within sex": ["sex"],
    "rank within sex and birth date": ["sex", "birth_date"],
    "rank within sex and postcode": ["sex", "postcode"],
}
Row = dict[str, object]


@dataclass(frozen=True)
class _Target:
    """One field of one case, and what counts as a right guess."""

    case: Case
    field: str
    seed: int

    def row(
        self,
        attack: str,
        guess: pl.Series | np.ndarray,
        attacked: np.ndarray | None = None,
        *,
        column: str | None = None,
        known: int = 0,
    ) -> Row:
        people = self.case.people
        true = people[self.field]
        here = np.ones(len(true), dtype=bool) if attacked is None else attacked
        right = (pl.Series(guess) == true).fill_null(False).to_numpy()
        return {
            "attack": attack,
            "encoding": self.case.encoding,
            "field": self.field,
            "column": column,
            "known": known,
            "seed": self.seed,
            **_rate(int(right[here].sum()), int(here.sum())),
            "baseline": float(self.usual[here].mean()) if here.any() else None,
        }

    @cached_property
    def usual(self) -> np.ndarray:
        """Whether guessing the commonest name of the sex is right."""
        people = self.case.people
        return (commonest(people, self.field) == people[self.field]).fill_null(False).to_numpy()


def run_attacks(
    identities: pl.DataFrame,
    persons: pl.DataFrame,
    seeds: Sequence[int],
    *,
    records: pl.DataFrame | None = None,
    is_hardened: bool = True,
    encodings: Sequence[str] = ENCODINGS,
    born_a_day: int = BORN_A_DAY,
) -> pl.DataFrame:
    """Attack the records of a population whose names are known to us, and count.

    Args:
        identities: standardised identities (:data:`IDENTITY_SCHEMA`), one per source person.
        persons: record_key, child and, where known, household.
        seeds: each draws another key, other known children and other orders of ties.
        records: ``linkage.main.person_record`` of the same identities: attacked as they are
            (encoding ``stored``), besides those encoded here.
        is_hardened: whether those records are (else their encoding is ``stored_plain``).
        born_a_day: the population's birth dates are made so few that each has as many children.

    Returns:
        :data:`SCHEMA`, a row per attack, encoding, field, column, number known and seed.
    """
    with value_free("attacking person records"):
        people = named(identities, persons)
        days = max(1, round(people["child"].n_unique() / born_a_day))
        crowded = crowd(identities.filter(pl.col("birth_date").is_not_null()), days)
        crowded_people = named(crowded, persons)
        rows: list[Row] = []
        for seed in seeds:
            keys = Keys(np.random.default_rng([seed, 1]).bytes(32))
            for encoding in encodings:
                case = make_case(encoding, crowded, crowded_people, keys)
                for field in FIELDS:
                    rows += _attacks_on_field(_Target(case, field, seed))
                if encoding == "hardened":
                    rows += _attacks_on_both_names(_Target(case, "names", seed))
            if records is None:
                case = make_case("hardened", identities, people, keys)
            else:
                case = stored_case(records, people, is_hardened=is_hardened)
                for field in FIELDS:
                    rows += _attacks_on_field(_Target(case, field, seed))
            rows += _attacks_on_dates(case, seed)
            rows += _attacks_on_households(case, seed)
        return pl.DataFrame(rows, schema=SCHEMA)


def _attacks_on_field(target: _Target) -> Iterator[Row]:
    case, field, seed = target.case, target.field, target.seed
    names = patterns.list_names(case.people[field], case.people["sex"], field, seed)
    if case.encoding == "birth_date_salt":  # a control of the attacks inside a salt, no more
        yield from _bits_of_strata(target, names, "birth_date", BIRTH_DATES, (0, *KNOWN))
        return
    yield from _by_frequency(target)
    yield target.row("missing values and lengths", tokens.by_profile(case, field, seed))
    yield from _by_known_tokens(target)
    if not case.hardened:
        for known in (0, *KNOWN):
            yield _bits(target, names, np.ones(case.people.height, bool), "bits", known)
        return
    other = next(f for f in FIELDS if f != field)
    salt = f"{other}_sound_birth_date"
    yield from _counts_and_lengths(target, names)
    yield from _bits_of_strata(target, names, "birth_date", BIRTH_DATES, (0, *KNOWN))
    yield from _bits_of_strata(target, names, salt, SALTS, (0, *KNOWN_IN_SALT))


def _attacks_on_both_names(target: _Target) -> Iterator[Row]:
    yield from _by_frequency(target)
    yield from _by_known_tokens(target)


def _by_frequency(target: _Target) -> Iterator[Row]:
    case, field, seed = target.case, target.field, target.seed
    own = imitate(case.people, case.hardened, seed, one_salt=True)
    for column in token_columns(field):
        present = case.records[column].is_not_null().to_numpy()
        for attack, by in _GROUPINGS.items():
            guess = tokens.by_rank(case, own, column, field, by, seed)
            yield target.row(attack, guess, present, column=column)


def _by_known_tokens(target: _Target) -> Iterator[Row]:
    for known in KNOWN:
        is_known, rest = _draw_known(target.case.people, known, [target.seed, known])
        guess = tokens.by_known_tokens(target.case, target.field, is_known)
        yield target.row("known plaintext, tokens", guess, rest, known=known)


def _counts_and_lengths(target: _Target, names: patterns.Names) -> Iterator[Row]:
    for attacked in _largest(target.case, "birth_date", BIRTH_DATES):
        guess = np.full(len(attacked), "", dtype=object)
        guess[attacked] = tokens.by_count_and_length(
            target.case, target.field, names, pl.Series(attacked)
        )
        yield target.row("counts and lengths in a birth date", guess, attacked)


def _bits_of_strata(
    target: _Target, names: patterns.Names, column: str, strata: int, numbers: Sequence[int]
) -> Iterator[Row]:
    what = "birth date" if column == "birth_date" else "salt"
    for known in numbers:
        for group in _largest(target.case, column, strata):
            yield _bits(target, names, group, f"bits in a {what}", known)


def _bits(
    target: _Target, names: patterns.Names, group: np.ndarray, attack: str, known: int
) -> Row:
    """Decode the encodings of a group of records, some of which are known."""
    case, field = target.case, target.field
    people = case.people.filter(group)
    lanes = case.records.filter(group).select(f"{field}_lane_0", f"{field}_lane_1").to_numpy()
    nodes = patterns.list_nodes(lanes, case.records.filter(group)["sex"])
    is_known, rest = _draw_known(people, known, target.seed)
    told = np.full(len(nodes.bits), -1)
    told[nodes.of_row[is_known]] = np.searchsorted(
        names.values, people.filter(is_known)[field].to_numpy().astype(str)
    )
    guess = np.full(len(group), "", dtype=object)
    guess[group] = names.values[patterns.decode(nodes, names, told)][nodes.of_row]
    attacked = group.copy()
    attacked[group] = rest
    return target.row(
        attack if known == 0 else f"known plaintext, {attack}", guess, attacked, known=known
    )


def _largest(case: Case, column: str, strata: int) -> list[np.ndarray]:
    """Which records are in each of the largest groups of a column."""
    counts = case.records[column].drop_nulls().value_counts(sort=True)
    values = counts.sort("count", column, descending=[True, False])[column].head(strata)
    return [(case.records[column] == v).fill_null(False).to_numpy() for v in values.to_list()]


def _draw_known(
    people: pl.DataFrame, known: int, seed: int | list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Records of ``known`` children drawn at random, at most half; records of all the others."""
    children = people["child"].unique().sort().to_numpy()
    chosen = np.random.default_rng(seed).choice(
        children, min(known, len(children) // 2), replace=False
    )
    is_known = np.isin(people["child"].to_numpy(), chosen)
    return is_known, ~is_known


def _attacks_on_dates(case: Case, seed: int) -> Iterator[Row]:
    for column in tokens.DATE_COLUMNS:
        guess, true = tokens.dates_by_rank(case, column, seed)
        right = int((guess == true).fill_null(False).sum())
        usual = int(true.value_counts()["count"].to_numpy().max())
        yield {
            "attack": "rank",
            "encoding": case.encoding,
            "field": "birth_date",
            "column": column,
            "known": 0,
            "seed": seed,
            **_rate(right, len(true)),
            "baseline": usual / len(true),
        }


def _attacks_on_households(case: Case, seed: int) -> Iterator[Row]:
    if case.people["household"].null_count():
        return
    pairs, right = tokens.household_pairs(case, ["postcode"])
    by_postcode = right / pairs if pairs else None
    pairs, right = tokens.household_pairs(case, ["surname_postcode"])
    yield {
        "attack": "household pairs",
        "encoding": case.encoding,
        "field": "household",
        "column": "surname_postcode",
        "known": 0,
        "seed": seed,
        **_rate(right, pairs),
        "baseline": by_postcode,
    }


def _rate(correct: int, attacked: int) -> Row:
    rate = correct / attacked if attacked else None
    return {"attacked": attacked, "correct": correct, "rate": rate}


def summarise(attacks: pl.DataFrame) -> pl.DataFrame:
    """Each attack at its best: the column that gave the highest mean rate over the seeds.

    Returns:
        attack, encoding, field, known, column, seeds, attacked (per seed), rate, low, high (95 %,
        Student's t over the seeds; null for one seed), baseline.
    """
    keys = ["attack", "encoding", "field", "known"]
    per_seed = (
        attacks.filter(pl.col("attacked") > 0)
        .group_by(*keys, "column", "seed")
        .agg(
            pl.col("correct", "attacked").sum(),
            (pl.col("baseline") * pl.col("attacked")).sum() / pl.col("attacked").sum(),
        )
        .with_columns((pl.col("correct") / pl.col("attacked")).alias("rate"))
    )
    over_seeds = per_seed.group_by(*keys, "column").agg(
        pl.len().alias("seeds"),
        pl.col("attacked").mean().round().cast(pl.Int64),
        pl.col("rate").mean(),
        (pl.col("rate").std() / pl.len().sqrt()).alias("error"),
        pl.col("baseline").mean(),
    )
    reach = pl.col("error") * pl.col("seeds").replace_strict(_STUDENT, default=2.0)
    return (
        over_seeds.sort(*keys, "rate", "column", descending=[False] * 4 + [True, False])
        .unique(keys, keep="first", maintain_order=True)
        .with_columns(
            (pl.col("rate") - reach).clip(0, 1).alias("low"),
            (pl.col("rate") + reach).clip(0, 1).alias("high"),
        )
        .select(*keys, "column", "seeds", "attacked", "rate", "low", "high", "baseline")
    )


# 97.5 % quantile of Student's t by number of seeds.
_STUDENT = {
    2: 12.706,
    3: 4.303,
    4: 3.182,
    5: 2.776,
    6: 2.571,
    7: 2.447,
    8: 2.365,
    9: 2.306,
    10: 2.262,
}
