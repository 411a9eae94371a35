"""Schools, enrolments and what pupils are entitled to.

An *enrolment* is one child's registration at one school from entry to leaving; its recorded
identity (see ``errors``) does not change while it lasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.parameters import Parameters, Streams, academic_year, first_september
from linked_cyp.synthetic.places import Places
from linked_cyp.synthetic.population import Population
from linked_cyp.synthetic.pupils import draw_pupils

PHASES = ("nursery", "primary", "secondary")


@dataclass(frozen=True)
class Education:
    """``schools``: school_id, area, kind, authority, estab, laestab, urn, name, postcode_id.
    ``enrolments``: enrolment_id, person_id, household_id, birth, school_id, area, phase,
    from_day, to_day (exclusive), moved_in (joined after the usual start of the phase),
    subsidiary, main_of (enrolment_id of the main registration), permanently_excluded (day).
    ``pupils``: person_id, upn, former_upn, uln, fsm_from, fsm_to, sen, sen_types, language."""

    schools: pl.DataFrame
    enrolments: pl.DataFrame
    pupils: pl.DataFrame


def build_education(
    parameters: Parameters,
    streams: Streams,
    places: Places,
    population: Population,
    *,
    first_day: int,
) -> Education:
    """Enrol every child of the area who goes to a state school; ``first_day`` opens the window
    in which dual registrations and permanent exclusions are made."""
    settings = parameters.education
    schools = _schools(settings, streams, places, population)
    spells = _spells(settings, streams, places, population)
    enrolments = _choose_schools(settings, streams, places, schools, spells)
    enrolments = _move_excluded(settings, streams, schools, enrolments, first_day, population)
    enrolments = _dual_registrations(settings, streams, schools, enrolments, first_day, population)
    pupils = draw_pupils(settings, streams, places, population, schools, enrolments)
    return Education(schools, enrolments, pupils)


def year_group(birth: np.ndarray, days: np.ndarray | int) -> np.ndarray:
    """National curriculum year by age: 0 is Reception, -1 and -2 nursery, 1 to 14."""
    return academic_year(np.asarray(days)) - academic_year(birth) - 5


def _schools(
    settings: Mapping[str, Any], streams: Streams, places: Places, population: Population
) -> pl.DataFrame:
    rng = streams("schools")
    shares = population.households["area"].value_counts(sort=True)
    children = population.persons.height
    counts = dict(zip(shares["area"], shares["count"], strict=True))
    total = sum(counts.values())
    rows = []
    for area in range(places.outside):
        number = int(places.areas["number"][area])
        pupils = children * counts.get(area, 0) / total
        postcodes = places.area_postcodes(area)["postcode_id"].to_numpy()
        for kind, rules in settings["schools"].items():
            share = {"primary": 0.42, "secondary": 0.37}.get(kind, 0.8)
            many = max(rules["least"], round(pupils * share / rules["pupils"]))
            where = postcodes[((np.arange(many) + 0.5) / many * len(postcodes)).astype(int)]
            for index in range(many):
                estab = rules["estab_from"] + index
                rows.append((area, kind, number, estab, f"{number}{estab}", where[index]))
    frame = pl.DataFrame(
        rows,
        schema={
            "area": pl.UInt32,
            "kind": pl.String,
            "authority": pl.Int64,
            "estab": pl.Int64,
            "laestab": pl.String,
            "postcode_id": pl.UInt32,
        },
        orient="row",
    )
    saints = (
        "St Aldric's",
        "Holy Cross",
        "Millbrook",
        "Highfield",
        "Oakbank",
        "Riverside",
        "The Grove",
        "Queen's Park",
        "Northgate",
        "Longmeadow",
        "Ferndale",
        "Kingsmead",
    )
    titles = {
        "primary": "Primary School",
        "secondary": "Academy",
        "special": "School",
        "alternative": "Pupil Referral Unit",
    }
    names = [f"{saints[int(rng.integers(len(saints)))]} {titles[kind]}" for kind in frame["kind"]]
    return frame.with_row_index("school_id").with_columns(
        name=pl.Series(names), urn=pl.int_range(pl.len()) + 990_001
    )


def _spells(
    settings: Mapping[str, Any], streams: Streams, places: Places, population: Population
) -> pl.DataFrame:
    """Stretches at one school, before the school is chosen: phases cut by moves of home."""
    rng = streams("spells")
    persons = population.persons
    size = persons.height
    households = population.households.height
    leaves_state = rng.random(households) < settings["not_in_state_school"]
    reception = academic_year(persons["birth"].to_numpy()) + 5
    nursery = rng.random(size) < settings["nursery"]
    stays_on = rng.random(size) < settings["sixth_form"]
    starts = {
        "nursery": (reception - 1, reception),
        "primary": (reception, reception + 7),
        "secondary": (reception + 7, reception + np.where(stays_on, 14, 12)),
    }
    frames = []
    for phase in PHASES:
        begin, end = starts[phase]
        has = nursery if phase == "nursery" else np.ones(size, dtype=bool)
        frames.append(
            persons.select(
                "person_id",
                "household_id",
                "birth",
                "from_day",
                "to_day",
                phase=pl.lit(phase),
                begin=pl.Series(first_september(begin) + 2),
                # a phase ends with the summer term
                finish=pl.Series(first_september(end) - 39),
            ).filter(pl.Series(has))
        )
    spells = pl.concat(frames)
    spells = (
        spells.filter(~pl.Series(leaves_state[spells["household_id"].to_numpy()]))
        .with_columns(
            begin=pl.max_horizontal("begin", "from_day"),
            finish=pl.min_horizontal("finish", "to_day"),
        )
        .filter(pl.col("begin") < pl.col("finish"), pl.col("begin") < population.last_day)
        .drop("from_day", "to_day")
    )
    cut = (
        spells.join(
            population.addresses, on="household_id", how="inner", maintain_order="left_right"
        )
        .with_columns(
            from_day=pl.max_horizontal("from_day", "begin"),
            to_day=pl.min_horizontal("to_day", "finish"),
        )
        .filter(pl.col("from_day") + 12 < pl.col("to_day"))
    )
    changes = pl.Series(rng.random(cut.height) < settings["school_change_at_move"])
    same_spell = pl.struct("person_id", "phase").rle_id()
    moved = (pl.col("area") != pl.col("area").shift(1)) | changes
    return (
        cut.with_columns(spell=same_spell)
        .with_columns(
            new=moved.fill_null(True)
            | (pl.col("spell") != pl.col("spell").shift(1)).fill_null(True)
        )
        .with_columns(stretch=pl.col("new").cum_sum())
        .group_by("stretch", maintain_order=True)
        .agg(
            pl.col(
                "person_id",
                "household_id",
                "birth",
                "phase",
                "area",
                "begin",
                "finish",
                "postcode_id",
            ).first(),
            pl.col("from_day").min(),
            pl.col("to_day").max(),
        )
        .filter(pl.col("area") != places.outside, pl.col("from_day") < population.last_day)
        .with_columns(moved_in=pl.col("from_day") > pl.col("begin") + 20)
        .drop("stretch", "begin")
    )


def _choose_schools(
    settings: Mapping[str, Any],
    streams: Streams,
    places: Places,
    schools: pl.DataFrame,
    spells: pl.DataFrame,
) -> pl.DataFrame:
    """Most go to the school nearest home; children of a household lean the same way."""
    rng = streams("school choice")
    position = spells.join(
        places.postcodes.select("postcode_id", "position"),
        on="postcode_id",
        how="left",
        maintain_order="left",
    )["position"].to_numpy()
    households = int(spells["household_id"].max() or 0) + 1
    lean = rng.normal(0, 0.25, households)
    away = rng.random(households) >= settings["nearest_school"]
    row_household = spells["household_id"].to_numpy()
    place = (position + np.where(away, lean, 0)[row_household]) % 1.0
    area = spells["area"].to_numpy()
    kind = np.where(spells["phase"].to_numpy() == "secondary", "secondary", "primary").astype(
        object
    )
    kind[rng.random(len(kind)) < 0.009] = "special"
    school = np.zeros(spells.height, dtype=np.uint32)
    for key, group in schools.group_by("area", "kind", maintain_order=True):
        rows = np.flatnonzero((area == key[0]) & (kind == key[1]))
        ids = group["school_id"].to_numpy()
        school[rows] = ids[(place[rows] * len(ids)).astype(int)]
    # nursery and primary of one child at one school make one registration
    return (
        spells.with_columns(school_id=pl.Series(school))
        .sort("person_id", "from_day", maintain_order=True)
        .with_columns(
            subsidiary=pl.lit(False),
            main_of=pl.lit(None, dtype=pl.Int64),
            permanently_excluded=pl.lit(None, dtype=pl.Int64),
            enrolment_id=pl.int_range(pl.len()),
        )
        .drop("postcode_id")
    )


def _move_excluded(
    settings: Mapping[str, Any],
    streams: Streams,
    schools: pl.DataFrame,
    enrolments: pl.DataFrame,
    first_day: int,
    population: Population,
) -> pl.DataFrame:
    """Permanently excluded pupils leave for their authority's alternative provision."""
    rng = streams("permanent exclusions")
    start = np.maximum(enrolments["from_day"].to_numpy() + 30, first_day)
    end = np.minimum(enrolments["to_day"].to_numpy() - 30, population.last_day - 30)
    years = np.maximum(end - start, 0) / 365.25
    secondary = (enrolments["phase"] == "secondary").to_numpy()
    chance = 1 - np.exp(-settings["permanent_exclusion"] * years * secondary)
    rows = np.flatnonzero(rng.random(enrolments.height) < chance)
    day = start[rows] + (rng.random(len(rows)) * (end - start)[rows]).astype(int)
    units = schools.filter(pl.col("kind") == "alternative").select("area", unit="school_id")
    moved = (
        enrolments.gather(rows)
        .with_columns(from_day=pl.Series(day + 8), moved_in=pl.lit(True))
        .join(
            units.unique("area", keep="first", maintain_order=True),
            on="area",
            how="left",
            maintain_order="left",
        )
        .with_columns(school_id="unit", enrolment_id=pl.int_range(pl.len()) + enrolments.height)
        .select(enrolments.columns)
    )
    excluded = pl.DataFrame({"enrolment_id": rows.astype(np.int64), "day": day.astype(np.int64)})
    ended = (
        enrolments.join(excluded, on="enrolment_id", how="left", maintain_order="left")
        .with_columns(
            permanently_excluded="day",
            to_day=pl.coalesce(pl.col("day") + 1, "to_day"),
        )
        .drop("day")
    )
    return pl.concat([ended, moved])


def _dual_registrations(
    settings: Mapping[str, Any],
    streams: Streams,
    schools: pl.DataFrame,
    enrolments: pl.DataFrame,
    first_day: int,
    population: Population,
) -> pl.DataFrame:
    """Some pupils are for a time also registered, as subsidiary, at a special or other unit."""
    rng = streams("dual registration")
    start = np.maximum(enrolments["from_day"].to_numpy() + 40, first_day)
    end = np.minimum(enrolments["to_day"].to_numpy(), population.last_day)
    years = np.maximum(end - 60 - start, 0) / 365.25
    rows = np.flatnonzero(
        rng.random(enrolments.height) < 1 - np.exp(-settings["dual_registration"] * years)
    )
    day = start[rows] + (rng.random(len(rows)) * (end - 60 - start)[rows]).astype(int)
    until = np.minimum(day + rng.integers(50, 240, len(rows)), end[rows])
    units = schools.filter(pl.col("kind").is_in(["special", "alternative"]))
    other = units.group_by("area", maintain_order=True).agg(unit="school_id")
    turn = rng.random(len(rows))
    second = (
        enrolments.gather(rows)
        .with_columns(
            main_of="enrolment_id",
            from_day=pl.Series(day),
            to_day=pl.Series(until),
            subsidiary=pl.lit(True),
            permanently_excluded=pl.lit(None, dtype=pl.Int64),
            moved_in=pl.lit(True),
            _turn=pl.Series(turn),
        )
        .join(other, on="area", how="left", maintain_order="left")
        .with_columns(
            unit=pl.col("unit").list.get(
                (pl.col("_turn") * pl.col("unit").list.len()).cast(pl.Int64)
            )
        )
        .filter(pl.col("unit") != pl.col("school_id"))
        .with_columns(school_id="unit", enrolment_id=pl.int_range(pl.len()) + enrolments.height)
        .select(enrolments.columns)
    )
    return pl.concat([enrolments, second])
