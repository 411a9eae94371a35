"""Hospital spells: births, emergencies and planned care, with episodes, diagnoses, procedures.

Codes are ICD-10 and OPCS-4 without a dot (``J459``, ``H012``); writers format them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.care import Care
from linked_cyp.synthetic.need import Need
from linked_cyp.synthetic.parameters import Parameters, Streams, pick, pick_index, text
from linked_cyp.synthetic.places import Places
from linked_cyp.synthetic.population import Population
from linked_cyp.synthetic.risk import Kind, children_at_risk

BANDS = ("rate_0", "rate_1_4", "rate_5_9", "rate_10_14", "rate_15_19")
FIRST_AGES = {"self_harm": 10, "eating_disorder": 9, "substance_misuse": 10, "asthma": 1}


@dataclass(frozen=True)
class Hospital:
    """``spells``: spell_id, person_id, household_id, birth, area, postcode_id, condition, admitted,
    discharged, method, provider (number), specialty, is_birth, mother_nhs_number. ``episodes``:
    spell_id, episode, start, end, specialty, last. ``diagnoses``: spell_id, episode, position,
    code. ``procedures``: spell_id, episode, position, code, day."""

    spells: pl.DataFrame
    episodes: pl.DataFrame
    diagnoses: pl.DataFrame
    procedures: pl.DataFrame


def build_hospital(
    parameters: Parameters,
    streams: Streams,
    places: Places,
    population: Population,
    care: Care,
    need: Need,
    *,
    first_day: int,
    last_day: int,
) -> Hospital:
    """Every admission from ``first_day`` to ``last_day`` of a child living in the area."""
    settings = parameters.hospital
    admissions = pl.concat(
        [
            _births(streams, population, first_day, last_day),
            _admissions(parameters, streams, population, care, need, first_day, last_day),
        ]
    )
    spells = (
        population.addresses_at(admissions, "admitted")
        .filter(pl.col("area") != places.outside)
        .sort("admitted", "person_id", "condition", maintain_order=True)
    )
    rng = streams("spells of care")
    size = spells.height
    discharged = spells["admitted"].to_numpy() + np.where(
        spells["stay_days"].to_numpy() > 0,
        rng.exponential(np.maximum(spells["stay_days"].to_numpy(), 0.01)).round(),
        0,
    ).astype(int)
    gone = spells["to_day"].to_numpy() - 1
    emergency = (spells["kind"] == "emergency").to_numpy()
    method = np.where(
        (spells["kind"] == "birth").to_numpy(),
        pick(rng, settings["birth_method"], size),
        np.where(
            emergency,
            pick(rng, settings["emergency_methods"], size),
            pick(rng, settings["elective_methods"], size),
        ),
    )
    weights = [p["weight"] for p in settings["providers"]]
    # each area leans to one provider; the first serves everybody
    usual = spells["area"].to_numpy() % len(weights)
    provider = np.where(rng.random(size) < 0.55, usual, pick_index(rng, weights, size))
    spells = spells.with_columns(
        spell_id=pl.int_range(pl.len()),
        discharged=pl.Series(
            np.minimum(discharged, np.maximum(gone, spells["admitted"].to_numpy()))
        ),
        method=text(method),
        provider=pl.Series(provider),
    )
    episodes = _episodes(settings, rng, spells)
    diagnoses = _diagnoses(parameters, streams, population, spells, episodes)
    procedures = _procedures(parameters, streams, spells)
    return Hospital(
        spells.drop("stay_days", "kind", "to_day", "from_day", strict=False),
        episodes,
        diagnoses,
        procedures,
    )


_COLUMNS = (
    "person_id",
    "household_id",
    "birth",
    "to_day",
    "admitted",
    "condition",
    "kind",
    "stay_days",
    "specialty",
)


def _births(
    streams: Streams, population: Population, first_day: int, last_day: int
) -> pl.DataFrame:
    rng = streams("birth spells")
    # only a first identity is born; about one birth in fifty is at home
    born = population.persons.filter(
        pl.col("birth").is_between(first_day, last_day), pl.col("person_id") == pl.col("child_id")
    )
    born = born.filter(pl.Series(rng.random(born.height) < 0.975))
    return born.select(
        "person_id",
        "household_id",
        "birth",
        "to_day",
        admitted="birth",
        condition=pl.lit("birth"),
        kind=pl.lit("birth"),
        stay_days=pl.lit(1.5),
        specialty=pl.lit(422, dtype=pl.Int64),
    ).select(_COLUMNS)


def _admissions(
    parameters: Parameters,
    streams: Streams,
    population: Population,
    care: Care,
    need: Need,
    first_day: int,
    last_day: int,
) -> pl.DataFrame:
    rng = streams("admissions")
    shape = parameters.hospital["frailty_shape"]
    at_risk = children_at_risk(rng, shape, population, care, need, first_day, last_day)
    conditions = {row["condition"]: row for row in parameters.conditions.iter_rows(named=True)}
    frames = []
    for kind, row, day in at_risk.events(rng, map(_kind, conditions.values())):
        condition = conditions[kind.name]
        frames.append(
            at_risk.persons.gather(row)
            .select("person_id", "household_id", "birth", "to_day")
            .with_columns(
                admitted=pl.Series(day),
                condition=pl.lit(kind.name),
                kind=pl.lit(condition["kind"]),
                stay_days=pl.lit(float(condition["stay_days"])),
                specialty=pl.lit(int(condition["specialty"]), dtype=pl.Int64),
            )
            .select(_COLUMNS)
        )
    return pl.concat(frames).sort("person_id", "admitted", maintain_order=True)


def _kind(condition: Mapping[str, Any]) -> Kind:
    name = condition["condition"]
    factors = {f: float(condition[f]) for f in ("girls", "deprived", "in_need", "looked_after")}
    rates = tuple(float(condition[b]) for b in BANDS)
    return Kind(name, rates, least_age=FIRST_AGES.get(name, 0), **factors)


def _episodes(
    settings: Mapping[str, Any], rng: np.random.Generator, spells: pl.DataFrame
) -> pl.DataFrame:
    """One or two consultant episodes; the second begins on a day within the spell."""
    stay = (spells["discharged"] - spells["admitted"]).to_numpy()
    two = (rng.random(spells.height) < settings["extra_episode"]) & (stay > 0)
    split = spells["admitted"].to_numpy() + 1 + (rng.random(spells.height) * stay).astype(int)
    split = np.minimum(split, spells["discharged"].to_numpy())
    first = spells.select(
        "spell_id",
        "specialty",
        episode=pl.lit(1, dtype=pl.Int64),
        start="admitted",
        end=pl.Series(np.where(two, split, spells["discharged"].to_numpy())),
        last=pl.Series(~two),
    )
    second = first.filter(pl.Series(two)).with_columns(
        episode=pl.lit(2, dtype=pl.Int64),
        start=pl.Series(split[two]),
        end=spells["discharged"].filter(pl.Series(two)),
        last=pl.lit(True),
    )
    return pl.concat([first, second]).sort("spell_id", "episode")


def _diagnoses(
    parameters: Parameters,
    streams: Streams,
    population: Population,
    spells: pl.DataFrame,
    episodes: pl.DataFrame,
) -> pl.DataFrame:
    """Primary diagnosis, external cause, companion codes and comorbidities, in that order."""
    rng = streams("diagnoses")
    settings = parameters.hospital
    groups = spells["condition"].to_numpy().astype(object)
    table = {row["condition"]: row for row in parameters.conditions.iter_rows(named=True)}
    parts = []
    for rank, column in enumerate(("diagnoses", "causes", "also")):
        for name, row in table.items():
            rows = np.flatnonzero(groups == name)
            if row[column]:
                codes = pick(rng, code_weights(row[column]), len(rows))
                parts.append((rows, np.full(len(rows), rank), codes))
    twins = spells.join(
        population.persons.select("person_id", "twin_group", "decile"),
        on="person_id",
        how="left",
        maintain_order="left",
    )
    newborn = np.flatnonzero(groups == "birth")
    early = rng.random(len(newborn)) < np.where(
        twins["twin_group"].is_not_null().to_numpy()[newborn], 0.5, 0.065
    )
    single = twins["twin_group"].is_null().to_numpy()[newborn]
    parts.append((newborn, np.zeros(len(newborn), int), np.where(single, "Z380", "Z383")))
    parts.append((newborn[early], np.full(int(early.sum()), 1), np.full(int(early.sum()), "P073")))
    extra = np.repeat(
        np.arange(spells.height),
        pick(rng, settings["further_diagnosis"], spells.height).astype(int),
    )
    extra = extra[groups[extra] != "birth"]
    parts.append((extra, np.full(len(extra), 3), pick(rng, settings["further_codes"], len(extra))))
    frame = pl.concat(
        [
            pl.DataFrame({"spell_id": rows, "rank": ranks.astype(np.int64), "code": text(codes)})
            for rows, ranks, codes in parts
        ]
    ).with_columns(code=pl.col("code").str.replace_all(".", "", literal=True).str.strip_suffix("X"))
    frame = (
        frame.sort("spell_id", "rank", "code", maintain_order=True)
        .unique(["spell_id", "code"], keep="first", maintain_order=True)
        .with_columns(position=pl.int_range(pl.len()).over("spell_id") + 1)
        .select("spell_id", "position", "code")
    )
    # every episode repeats the codes of its spell; the second adds nothing new
    return episodes.select("spell_id", "episode").join(
        frame, on="spell_id", how="inner", maintain_order="left_right"
    )


def _procedures(parameters: Parameters, streams: Streams, spells: pl.DataFrame) -> pl.DataFrame:
    rng = streams("procedures")
    groups = spells["condition"].to_numpy().astype(object)
    parts = []
    for row in parameters.conditions.iter_rows(named=True):
        if row["procedures"]:
            rows = np.flatnonzero(groups == row["condition"])
            parts.append((rows, pick(rng, code_weights(row["procedures"]), len(rows))))
    wait = rng.integers(0, 2, spells.height)
    stay = (spells["discharged"] - spells["admitted"]).to_numpy()
    frame = pl.concat(
        [pl.DataFrame({"spell_id": rows, "code": text(codes)}) for rows, codes in parts]
    ).sort("spell_id", "code")
    day = spells["admitted"].to_numpy() + np.minimum(wait, stay)
    return frame.select(
        "spell_id",
        episode=pl.lit(1, dtype=pl.Int64),
        position=pl.int_range(pl.len()).over("spell_id") + 1,
        code=pl.col("code").str.replace_all(".", "", literal=True),
        day=pl.Series(day[frame["spell_id"].to_numpy()]),
    )


def code_weights(listed: str) -> dict[str, float]:
    """Read ``J459:72;J46X:14`` (or one bare code) as a weight table."""
    pairs = (item.partition(":") for item in listed.split(";"))
    return {code: float(weight or 1) for code, _, weight in pairs}
