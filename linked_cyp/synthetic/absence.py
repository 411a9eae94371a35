"""Absence and suspensions by enrolment and reporting period.

Sessions are half days. Absence is drawn from one propensity for each pupil, so a pupil's terms
hang together, and never exceeds the sessions that were possible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.care import Care
from linked_cyp.synthetic.education import Education, year_group
from linked_cyp.synthetic.need import Need
from linked_cyp.synthetic.parameters import Parameters, Streams, as_days, day_of, pick
from linked_cyp.synthetic.population import Population


@dataclass(frozen=True)
class Term:
    """A reporting period: ``name`` as in education.yaml, and the census that reports it."""

    name: str
    academic_year: int
    from_day: int
    to_day: int
    sessions: int
    census: tuple[int, str]
    half: str


@dataclass(frozen=True)
class Absence:
    """``sessions``: enrolment_id, term, possible. ``reasons``: enrolment_id, term, code, sessions.
    ``exclusions``: enrolment_id, person_id, term, day, sessions, category, reason1, reason2."""

    sessions: pl.DataFrame
    reasons: pl.DataFrame
    exclusions: pl.DataFrame


def terms_of(parameters: Parameters, years: range) -> list[Term]:
    """Reporting periods of academic years named by the calendar year in which they end."""
    terms = []
    for year in years:
        for name, rules in parameters.education["terms"].items():
            # the summer periods of the year before are reported in this year's autumn census
            from_day, to_day = (day_of(year, rules[k]) for k in ("from", "to"))
            census_year = year - 1 if rules["reported"] == "autumn" else year
            ends = year - 1 if rules["reported"] == "autumn" else year
            terms.append(
                Term(
                    name,
                    ends,
                    from_day,
                    to_day + 1,
                    rules["sessions"],
                    (census_year, rules["reported"]),
                    rules["half"],
                )
            )
    return terms


def build_absence(
    parameters: Parameters,
    streams: Streams,
    population: Population,
    education: Education,
    care: Care,
    need: Need,
    terms: list[Term],
) -> Absence:
    settings = parameters.education
    enrolments = education.enrolments
    facts = enrolments.join(
        education.pupils.select("person_id", "fsm_from", "sen"),
        on="person_id",
        how="left",
        maintain_order="left",
    ).join(
        population.persons.select("person_id", "sex"),
        on="person_id",
        how="left",
        maintain_order="left",
    )
    rng = streams("absence propensity")
    persons = int(population.persons["person_id"].max()) + 1
    own = rng.normal(0, settings["absence"]["spread"], persons)
    severe = rng.random(persons) < settings["absence"]["severe"]
    parts: list[tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]] = []
    for index, term in enumerate(terms):
        rng = streams(f"absence {term.academic_year} {term.name}")
        overlap = np.minimum(facts["to_day"].to_numpy(), term.to_day) - np.maximum(
            facts["from_day"].to_numpy(), term.from_day
        )
        group = year_group(facts["birth"].to_numpy(), term.from_day)
        rows = np.flatnonzero((overlap > 0) & (group >= 0))
        here = facts.gather(rows)
        group = group[rows]
        full = term.to_day - term.from_day
        possible = np.rint(term.sessions * overlap[rows] / full).astype(int)
        possible = np.where(here["subsidiary"].to_numpy(), possible // 3, possible)
        status = _statuses(here, care, need, term)
        exclusions = _suspensions(settings, rng, here, group, status, term)
        level = _level(settings, here, group, status)
        pupil = here["person_id"].to_numpy()
        level = level + own[pupil] + rng.normal(0, settings["absence"]["term_spread"], len(rows))
        level = np.where(severe[pupil], settings["absence"]["severe_level"], level)
        suspended = _sessions_by_row(exclusions, here, len(rows))
        suspended = np.minimum(suspended, possible)
        absent = rng.binomial(possible - suspended, 1 / (1 + np.exp(-level)))
        parts.append(
            (
                pl.DataFrame(
                    {"enrolment_id": here["enrolment_id"], "possible": possible}
                ).with_columns(term=pl.lit(index)),
                _reasons(settings, rng, here, absent, suspended, term).with_columns(
                    term=pl.lit(index)
                ),
                exclusions.with_columns(term=pl.lit(index)),
            )
        )
    sessions, reasons, exclusions = (pl.concat(frames) for frames in zip(*parts, strict=True))
    return Absence(sessions, reasons, exclusions)


def _statuses(here: pl.DataFrame, care: Care, need: Need, term: Term) -> dict[str, np.ndarray]:
    def during(frame: pl.DataFrame, start: str, end: str) -> np.ndarray:
        known = frame.filter(pl.col(start) < term.to_day, pl.col(end) > term.from_day)
        return here["person_id"].is_in(known["person_id"].unique().implode()).to_numpy()

    protection = need.protection.join(
        need.referrals.select("referral_id", "person_id"), on="referral_id"
    )
    return {
        "in_need": during(need.referrals.filter(pl.col("path") != "nfa"), "day", "close"),
        "child_protection": during(protection, "start", "end"),
        "looked_after": during(care.periods, "start", "end"),
    }


def _level(
    settings: Mapping[str, Any],
    here: pl.DataFrame,
    group: np.ndarray,
    status: dict[str, np.ndarray],
) -> np.ndarray:
    effects = settings["absence"]["effects"]
    sen = here["sen"].to_numpy()
    flags = {
        "fsm": here["fsm_from"].is_not_null().to_numpy(),
        "sen_support": sen == "K",
        "sen_plan": sen == "E",
        "secondary": group >= 7,
        "year_10_11": (group == 10) | (group == 11),
        "sixth_form": group >= 12,
        **status,
    }
    return settings["absence"]["level"] + sum(effects[name] * flag for name, flag in flags.items())


def _suspensions(
    settings: Mapping[str, Any],
    rng: np.random.Generator,
    here: pl.DataFrame,
    group: np.ndarray,
    status: dict[str, np.ndarray],
    term: Term,
) -> pl.DataFrame:
    rules = settings["suspension"]
    effects = rules["effects"]
    sen = here["sen"].to_numpy()
    multiplier = np.ones(here.height)
    for name, flag in {
        "fsm": here["fsm_from"].is_not_null().to_numpy(),
        "sen_support": sen == "K",
        "sen_plan": sen == "E",
        "in_need": status["in_need"],
        "looked_after": status["looked_after"],
        "boy": (here["sex"] == "M").to_numpy(),
    }.items():
        multiplier *= np.where(flag, effects[name], 1.0)
    base = np.where(group >= 7, rules["secondary"], rules["primary"]) * (group < 12) * 0.55
    base = base * (term.to_day - term.from_day) / 100
    row = np.repeat(np.arange(here.height), rng.poisson(base * multiplier))
    start = np.maximum(here["from_day"].to_numpy()[row], term.from_day)
    end = np.minimum(here["to_day"].to_numpy()[row], term.to_day)
    day = start + (rng.random(len(row)) * (end - start)).astype(int)
    weekday = (day + 3) % 7  # 1 January 1970 was a Thursday; Monday is 0
    day = np.maximum(start, day - np.maximum(weekday - 4, 0))
    second = rng.random(len(row)) < rules["second_reason"]
    reasons = pick(rng, rules["reasons"], len(row))
    more = pick(rng, rules["reasons"], len(row))
    suspensions = pl.DataFrame(
        {
            "enrolment_id": here["enrolment_id"].gather(row),
            "person_id": here["person_id"].gather(row),
            "day": day,
            "sessions": pick(rng, rules["sessions"], len(row)).astype(int).astype(np.int64),
            "category": ["SUSP"] * len(row),
            "reason1": reasons.tolist(),
            "reason2": np.where(second & (more != reasons), more, None).tolist(),
        },
        schema_overrides={"category": pl.String, "reason1": pl.String, "reason2": pl.String},
    )
    permanent = here.filter(
        pl.col("permanently_excluded").is_between(term.from_day, term.to_day - 1)
    )
    return pl.concat(
        [
            suspensions,
            permanent.select(
                "enrolment_id",
                "person_id",
                day="permanently_excluded",
                sessions=pl.lit(None, dtype=pl.Int64),
                category=pl.lit("PERM"),
                reason1=pl.Series(
                    pick(rng, rules["reasons"], permanent.height).tolist(), dtype=pl.String
                ),
                reason2=pl.lit(None, dtype=pl.String),
            ),
        ]
    )


def _sessions_by_row(exclusions: pl.DataFrame, here: pl.DataFrame, size: int) -> np.ndarray:
    total = exclusions.group_by("enrolment_id").agg(pl.col("sessions").sum())
    joined = here.select("enrolment_id").join(
        total, on="enrolment_id", how="left", maintain_order="left"
    )
    return joined["sessions"].fill_null(0).to_numpy()


def _reasons(
    settings: Mapping[str, Any],
    rng: np.random.Generator,
    here: pl.DataFrame,
    absent: np.ndarray,
    suspended: np.ndarray,
    term: Term,
) -> pl.DataFrame:
    """Absent sessions by register code: rows only where there are some."""
    rules = settings["absence"]
    old = term.to_day <= as_days("2024-08-19")
    suffix = "_before_august_2024" if old else ""
    weights = np.array(list(rules[f"reasons{suffix}"].values()), dtype=float)
    codes = list(rules[f"reasons{suffix}"])
    # each pupil has reasons of his or her own: a mix drawn round the general one
    mixes = rng.gamma(np.maximum(weights / weights.sum() * 6, 1e-3), size=(here.height, len(codes)))
    split = rng.multinomial(absent, mixes / mixes.sum(axis=1, keepdims=True))
    columns = {code: split[:, i] for i, code in enumerate(codes)}
    columns["E"] = suspended
    for code, share in rules[f"not_possible{suffix}"].items():
        columns[code] = np.where(
            rng.random(here.height) < share, rng.integers(1, 6, here.height), 0
        )
    return (
        pl.DataFrame(columns)
        .with_columns(enrolment_id=here["enrolment_id"])
        .unpivot(index="enrolment_id", variable_name="code", value_name="sessions")
        .filter(pl.col("sessions") > 0)
        .sort("enrolment_id", "code", maintain_order=True)
    )
