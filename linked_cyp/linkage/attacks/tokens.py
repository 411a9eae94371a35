"""Attacks on tokens, missing values and numbers of bits: everything but the bits themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from linked_cyp.linkage.attacks.cases import Case, commonest, imitate, token_columns
from linked_cyp.linkage.attacks.patterns import Names, by_sex, likelihood_of_counts

DATE_COLUMNS = ("birth_date", "birth_year_month", "birth_month_day", "birth_year_day")
_DATE_FORMATS = ("%Y-%m-%d", "%Y-%m", "%m-%d", "%Y %d")


def align_ranks(
    tokens: pl.DataFrame, known: pl.DataFrame, by: Sequence[str], draw: np.random.Generator
) -> pl.Series:
    """Give the commonest token of a group the commonest value, the next the next, and so on.

    Args:
        tokens: ``token`` and the columns of ``by``, a row per record.
        known: ``token`` and ``value`` (what it stands for) and ``sex``, a row per person known of.
        by: columns that group the records; where ``sex`` is among them, frequencies are of the sex.

    Returns:
        The value guessed for each record; null where it has no token.
    """
    of_sex = ["sex"] if "sex" in by else []
    ranked = _ranked(known, of_sex, np.random.default_rng(0))
    means = (
        known.drop_nulls("token")
        .group_by(*of_sex, "token", "value")
        .agg(pl.len().alias("n"))
        .sort("n", "value", descending=[True, False])
        .unique([*of_sex, "token"], keep="first")
    )
    values = ranked.join(means.drop("n"), on=[*of_sex, "token"], nulls_equal=True).drop("token")
    guesses = _ranked(tokens, by, draw).join(
        values, on=[*of_sex, "rank"], how="left", nulls_equal=True
    )
    return tokens.join(
        guesses, on=[*by, "token"], how="left", nulls_equal=True, maintain_order="left"
    )["value"].set(tokens["token"].is_null(), None)


def _ranked(frame: pl.DataFrame, by: Sequence[str], draw: np.random.Generator) -> pl.DataFrame:
    """Tokens with their rank within a group, ties in random order."""
    counts = frame.drop_nulls("token").group_by(*by, "token").agg(pl.len().alias("n"))
    mixed = counts.sort("token").with_columns(pl.Series("tie", draw.permutation(counts.height)))
    ordered = mixed.sort("n", "tie", descending=[True, False])
    rank = pl.int_range(pl.len())
    return ordered.select(*by, "token", (rank.over(by) if by else rank).alias("rank"))


def by_rank(
    case: Case, known: pl.DataFrame, column: str, field: str, by: Sequence[str], seed: int
) -> pl.Series:
    """Names by frequency of one column's tokens; ``known`` from :func:`imitate`, one salt."""
    people = case.people.select("sex", pl.col(field).alias("value"), known[column].alias("token"))
    tokens = case.records.select(pl.col(column).alias("token"), *by)
    return align_ranks(tokens, people, by, np.random.default_rng(seed))


def dates_by_rank(case: Case, column: str, seed: int) -> tuple[pl.Series, pl.Series]:
    """Guessed and true dates, or parts of them, by frequency of one column's tokens."""
    text = _DATE_FORMATS[DATE_COLUMNS.index(column)]
    true = case.people["birth_date"].dt.strftime(text)
    known = pl.DataFrame({"token": true, "value": true, "sex": case.people["sex"]})
    tokens = case.records.select(pl.col(column).alias("token"))
    return align_ranks(tokens, known, [], np.random.default_rng(seed)), true


def by_profile(case: Case, field: str, seed: int) -> pl.Series:
    """Names by what needs no key at all: sex, number of bits, which columns are missing.

    The number of bits tells the length of a name, a second surname part that it is a double name.
    The guess is the commonest name of that profile, as the attacker's own encodings show it.
    """
    steady = imitate(case.people, case.hardened, seed, one_salt=True)
    own = imitate(case.people, case.hardened, seed, one_salt=False)
    told = [c for c in token_columns(field) if 0 < steady[c].null_count() < steady.height]
    profile = ["sex", f"{field}_bits", *(f"has_{c}" for c in told)]
    has = [pl.col(c).is_not_null().alias(f"has_{c}") for c in told]
    means = (
        own.with_columns(has)
        .with_columns(case.people[field].alias("value"))
        .group_by(*profile, "value")
        .agg(pl.len().alias("n"))
        .sort("n", "value", descending=[True, False])
        .unique(profile, keep="first")
    )
    guessed = case.records.with_columns(has).join(
        means.select(*profile, "value"),
        on=profile,
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )["value"]
    return guessed.fill_null(commonest(case.people, field))


def by_count_and_length(case: Case, field: str, names: Names, group: pl.Series) -> np.ndarray:
    """Names by how often a token occurs within one birth date, and the length that its bits tell.

    The bits of equal names differ from salt to salt, and their mean tells the length better than
    one encoding does.

    Args:
        group: which records have the birth date.
    """
    rows = case.records.filter(group)
    tokens, of_row = np.unique(rows[f"{field}_birth_date"].to_numpy(), return_inverse=True)
    counts = by_sex(of_row, rows["sex"], len(tokens))
    number = np.bincount(of_row)
    mean = np.bincount(of_row, weights=rows[f"{field}_bits"].to_numpy()) / number
    spread = names.spread[0] / np.sqrt(number)
    score = likelihood_of_counts(counts, names.counts)
    score -= 0.5 * ((mean[:, None] - names.features[None, :, 0]) / spread[:, None]) ** 2
    return names.values[score.argmax(axis=1)][of_row]


def by_known_tokens(case: Case, field: str, is_known: np.ndarray) -> pl.Series:
    """Names of records that share a token with a known record; the commonest name for the rest."""
    guess = pl.Series("guess", [None] * case.people.height, dtype=pl.String)
    for column in token_columns(field):
        told = pl.DataFrame({"token": case.records[column], "value": case.people[field]})
        told = told.filter(is_known).drop_nulls("token").unique("token", keep="first")
        tokens = case.records.select(pl.col(column).alias("token"))
        found = tokens.join(told, on="token", how="left", maintain_order="left")["value"]
        guess = guess.fill_null(found)
    return guess.fill_null(commonest(case.people, field))


def household_pairs(case: Case, columns: Sequence[str]) -> tuple[int, int]:
    """Pairs of records that share tokens but no birth date: how many, and of one household."""
    frame = case.records.select(*columns, "birth_date").with_columns(
        case.people["household"], case.people["child"]
    )
    pairs = frame.drop_nulls().join(frame.drop_nulls(), on=list(columns), suffix="_r")
    pairs = pairs.filter(
        pl.col("child") < pl.col("child_r"), pl.col("birth_date") != pl.col("birth_date_r")
    ).unique(["child", "child_r"])
    return pairs.height, int((pairs["household"] == pairs["household_r"]).sum())
