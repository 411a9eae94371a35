"""What pupils achieved: EYFSP, phonics, key stages 1, 2 and 4 and the multiplication check.

One latent ability for each child runs through all results, less for need, poverty and absence, so
that results of one child hang together and with the rest of his or her life.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.education import year_group
from linked_cyp.synthetic.parameters import day_of
from linked_cyp.synthetic.world import World

# The twelve goals of the prime areas, literacy and mathematics make the good level of development.
GOALS = 17
PRIME_GOALS = 12


@dataclass(frozen=True)
class Attainment:
    """Frames of results with enrolment_id (where the pupil was), person_id and academic_year.

    ``eyfsp``: goals (codes, one text), good. ``phonics``: group, mark, outcome. ``ks1``: reading,
    writing, maths, science. ``mtc``: mark. ``ks2``: reading, maths, grammar (scaled scores), each
    with ``_outcome``, writing, science. ``ks4``: attainment_8, progress_8, english, maths (grades),
    passes. ``premium``: group, fsm, looked_after, amount."""

    eyfsp: pl.DataFrame
    phonics: pl.DataFrame
    ks1: pl.DataFrame
    mtc: pl.DataFrame
    ks2: pl.DataFrame
    ks4: pl.DataFrame
    premium: pl.DataFrame


def build_attainment(world: World) -> Attainment:
    """The results of the last year, and of the last year in which key stage 1 was statutory."""
    rules = world.parameters.part("attainment")
    year = world.years[-1]
    pupils = _pupils(rules, world, year)
    primary = pupils.filter(pl.lit(year not in rules["no_results"]))
    earlier = min(year, rules["last_statutory_ks1"])
    ks1 = pupils if earlier == year else _pupils(rules, world, earlier)
    return Attainment(
        eyfsp=_eyfsp(rules, world, _in_year(primary, 0)),
        phonics=_phonics(rules, world, primary),
        ks1=_ks1(rules, world, _in_year(ks1, 2)),
        mtc=_mtc(rules, world, _in_year(primary, 4)),
        ks2=_ks2(rules, world, _in_year(primary, 6)),
        ks4=_ks4(rules, world, _in_year(pupils, 11), year),
        premium=_premium(rules, pupils),
    )


def _in_year(pupils: pl.DataFrame, group: int) -> pl.DataFrame:
    return pupils.filter(pl.col("group") == group)


def _pupils(rules: Mapping[str, Any], world: World, year: int) -> pl.DataFrame:
    """Pupils on the day that counts, with their year group, ability and marks of need."""
    day = day_of(year, rules["assessed"])
    held = world.education.enrolments.filter(
        pl.col("from_day") <= day, pl.col("to_day") > day, ~pl.col("subsidiary")
    )
    held = (
        held.select("enrolment_id", "person_id", "birth", "school_id", "area")
        .join(
            world.education.pupils.select("person_id", "sen", "fsm_from"),
            on="person_id",
            how="left",
            maintain_order="left",
        )
        .join(
            world.population.persons.select("person_id", "sex"),
            on="person_id",
            how="left",
            maintain_order="left",
        )
        .join(_absence(world, year), on="person_id", how="left", maintain_order="left")
    )
    birth = held["birth"].to_numpy()
    flags = {
        "fsm": (pl.col("fsm_from") <= day).fill_null(False),
        "sen_support": pl.col("sen") == "K",
        "sen_plan": pl.col("sen") == "E",
        "in_need": pl.col("person_id").is_in(_ever(world.need.referrals, "day", day).implode()),
        "looked_after": pl.col("person_id").is_in(
            _ever(world.care.periods, "start", day).implode()
        ),
        "girl": pl.col("sex") == "F",
    }
    held = held.with_columns(
        group=pl.Series(year_group(birth, day)),
        academic_year=pl.lit(year, dtype=pl.Int64),
        # 0 for a child born on 1 September, 1 for one born a year later
        youngest=pl.Series(
            ((birth.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) - 8) % 12)
            / 12.0
        ),
        **flags,
    )
    persons = int(world.population.persons["person_id"].max()) + 1  # type: ignore[arg-type]
    own = world.streams("ability").normal(0, 1, persons)
    ability = own[held["person_id"].to_numpy()]
    effects = rules["effects"]
    for name in ("fsm", "sen_support", "sen_plan", "in_need", "looked_after", "girl", "youngest"):
        ability = ability + effects[name] * held[name].cast(pl.Float64).to_numpy()
    ability = ability + effects["absence"] * (held["absence"].fill_null(0.06).to_numpy() - 0.06)
    return held.with_columns(ability=pl.Series(ability))


def _absence(world: World, year: int) -> pl.DataFrame:
    """Share of sessions each pupil missed in an academic year: person_id, absence."""
    terms = [i for i, term in enumerate(world.terms) if term.academic_year == year]
    held = world.education.enrolments.select("enrolment_id", "person_id")
    missed = world.absence.reasons.filter(pl.col("term").is_in(terms))
    possible = world.absence.sessions.filter(pl.col("term").is_in(terms))
    return (
        pl.concat(
            [
                missed.select("enrolment_id", missed="sessions", possible=pl.lit(0, pl.Int64)),
                possible.select("enrolment_id", missed=pl.lit(0, pl.Int64), possible="possible"),
            ],
            how="vertical_relaxed",
        )
        .join(held, on="enrolment_id", how="left", maintain_order="left")
        .group_by("person_id", maintain_order=True)
        .agg(absence=pl.col("missed").sum() / pl.col("possible").sum().clip(lower_bound=1))
    )


def _ever(frame: pl.DataFrame, start: str, day: int) -> pl.Series:
    return frame.filter(pl.col(start) <= day)["person_id"].unique()


def _keys(pupils: pl.DataFrame) -> pl.DataFrame:
    return pupils.select("enrolment_id", "person_id", "academic_year")


def _draw(rules: Mapping[str, Any], rng: np.random.Generator, pupils: pl.DataFrame) -> np.ndarray:
    noise = rng.normal(0, rules["noise"], pupils.height)
    return rules["own"] * pupils["ability"].to_numpy() + noise


def _eyfsp(rules: Mapping[str, Any], world: World, pupils: pl.DataFrame) -> pl.DataFrame:
    rules, rng = rules["eyfsp"], world.streams("eyfsp")
    own = rules["own"] * pupils["ability"].to_numpy()[:, None]
    latent = own + rng.normal(0, rules["noise"], (pupils.height, GOALS)) + rules["level"] + 0.55
    goals = np.where(latent > 0, "2", "1").astype(object)
    goals[rng.random(pupils.height) < rules["not_assessed"]] = "A"
    good = (goals[:, :PRIME_GOALS] == "2").all(axis=1)
    return _keys(pupils).with_columns(
        goals=pl.Series(["".join(row) for row in goals], dtype=pl.String), good=pl.Series(good)
    )


def _phonics(rules: Mapping[str, Any], world: World, pupils: pl.DataFrame) -> pl.DataFrame:
    """Year 1, and again in year 2 by those below the threshold."""
    rules, rng = rules["phonics"], world.streams("phonics")
    pupils = pupils.filter(pl.col("group").is_between(1, 2))
    again = (pupils["group"] == 2).to_numpy()
    first = _draw(rules, rng, pupils) + rules["level"]
    mark = first + np.where(again, 5.0, 0.0) + np.where(again, rng.normal(0, 2, len(first)), 0)
    repeats = again & (first < 32) & (rng.random(len(first)) < rules["repeats"])
    mark = np.clip(np.rint(mark), 0, 40).astype(np.int64)
    draw = rng.random(len(mark))
    outcome = np.where(mark >= 32, "WA", "WT").astype(object)
    outcome[draw < rules["absent"] + rules["disapplied"]] = "D"
    outcome[draw < rules["absent"]] = "A"
    taken = np.isin(outcome.astype(str), ["WA", "WT"])
    return (
        _keys(pupils)
        .with_columns(
            group=pupils["group"],
            mark=pl.Series(mark).set(pl.Series(~taken), None),
            outcome=pl.Series(outcome.tolist(), dtype=pl.String),
        )
        .filter(pl.Series(~again | repeats))
    )


def _ks1(rules: Mapping[str, Any], world: World, pupils: pl.DataFrame) -> pl.DataFrame:
    rules, rng = rules["ks1"], world.streams("ks1")
    columns = {}
    for subject, shift in (("reading", 0.0), ("writing", -0.25), ("maths", 0.05), ("science", 0.4)):
        columns[subject] = _judged(
            _draw(rules, rng, pupils) + rules["level"] + shift, rules["depth"]
        )
    return _keys(pupils).with_columns(**columns)


def _judged(latent: np.ndarray, depth: float) -> pl.Series:
    """Teacher assessment: expected above 0, greater depth above ``depth`` more."""
    codes = np.select(
        [latent > depth, latent > 0, latent > -1.4, latent > -2.4],
        ["GDS", "EXS", "WTS", "PK3"],
        "BLW",
    )
    return pl.Series(codes.tolist(), dtype=pl.String)


def _mtc(rules: Mapping[str, Any], world: World, pupils: pl.DataFrame) -> pl.DataFrame:
    rules, rng = rules["mtc"], world.streams("mtc")
    mark = np.clip(np.rint(_draw(rules, rng, pupils) + rules["level"]), 0, 25).astype(np.int64)
    missed = pl.Series(rng.random(pupils.height) < rules["not_taken"])
    return _keys(pupils).with_columns(mark=pl.Series(mark).set(missed, None))


def _ks2(rules: Mapping[str, Any], world: World, pupils: pl.DataFrame) -> pl.DataFrame:
    rules, rng = rules["ks2"], world.streams("ks2")
    size = pupils.height
    below = np.zeros(size)
    for name, share in rules["below_test"].items():
        below = np.where(pupils[name].to_numpy(), share, below)
    not_entered = rng.random(size) < below
    columns = {}
    for subject in ("reading", "maths", "grammar"):
        score = np.clip(np.rint(_draw(rules, rng, pupils) + rules[subject]), 80, 120)
        absent = rng.random(size) < rules["absent"]
        none = not_entered | absent
        outcome = np.where(score >= 100, "AS", "NS")
        outcome = np.where(not_entered, "B", np.where(absent, "A", outcome))
        columns[subject] = pl.Series(score.astype(np.int64)).set(pl.Series(none), None)
        columns[f"{subject}_outcome"] = pl.Series(outcome.tolist(), dtype=pl.String)
    for subject in ("writing", "science"):
        latent = pupils["ability"].to_numpy() + rng.normal(0, 0.5, size) + rules["writing"]
        columns[subject] = _judged(latent, 1.6)
    return _keys(pupils).with_columns(**columns)


def _ks4(rules: Mapping[str, Any], world: World, pupils: pl.DataFrame, year: int) -> pl.DataFrame:
    progress = year not in rules["no_progress_8"]
    rules, rng = rules["ks4"], world.streams("ks4")
    score = np.clip(_draw(rules, rng, pupils) + rules["level"], 0, 90)
    grades = {
        subject: np.clip(np.rint(score / 10 + rng.normal(0, 0.8, len(score))), 0, 9).astype(
            np.int64
        )
        for subject in ("english", "maths")
    }
    p8 = rng.normal(0, rules["progress"], len(score)) + (score - 46) / 40
    return _keys(pupils).with_columns(
        attainment_8=pl.Series(np.round(score * 2) / 2),
        progress_8=pl.Series(
            np.round(p8, 2) if progress else [None] * len(score), dtype=pl.Float64
        ),
        passes=pl.Series(np.rint(score / 10).astype(np.int64)),
        **{subject: pl.Series(grade) for subject, grade in grades.items()},
    )


def _premium(rules: Mapping[str, Any], pupils: pl.DataFrame) -> pl.DataFrame:
    """Pupils of compulsory age who attract the premium; looked-after children attract their own."""
    rates = rules["premium"]
    return pupils.filter(
        pl.col("group").is_between(0, 11), pl.col("fsm") | pl.col("looked_after")
    ).select(
        "enrolment_id",
        "person_id",
        "academic_year",
        "group",
        fsm=pl.col("fsm") & ~pl.col("looked_after"),
        looked_after="looked_after",
        amount=pl.when("looked_after")
        .then(pl.lit(rates["looked_after"]))
        .when(pl.col("group") < 7)
        .then(pl.lit(rates["primary"]))
        .otherwise(pl.lit(rates["secondary"])),
    )
