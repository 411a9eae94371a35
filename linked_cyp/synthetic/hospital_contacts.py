"""Care at a hospital without a bed: emergency attendances and outpatient appointments.

They hang together with the spells. Every emergency spell that began in the provider's own
emergency department has its attendance, planned admissions follow a first appointment, and both
draw on the child's own tendency to come to hospital.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.parameters import (
    age_at,
    as_days,
    gamma_days,
    pick,
    pick_by,
    pick_index,
    text,
)
from linked_cyp.synthetic.records import postcode_on, registered
from linked_cyp.synthetic.risk import AtRisk, Kind, children_at_risk
from linked_cyp.synthetic.world import World

NEW_PATIENT = 20_000_000  # above the hospital numbers of those who were ever admitted


@dataclass(frozen=True)
class HospitalContacts:
    """``attendances``: day and minute of arrival, complaint, diagnosis, comorbidity, finding,
    investigation, treatment, safeguarding, circumstance (SNOMED CT, null where there is none),
    is_injury, is_admitted, has_left_early, department, category, acuity, by_ambulance,
    seen_minutes and stay_minutes after arrival.

    ``appointments``: day, minute, clinic (treatment function), is_first, is_last, referred (day),
    source, priority, status, by_telephone, diagnosis (ICD-10) and procedure (OPCS-4), null where
    there is none.

    Both have contact_id (a number of its own), person_id, household_id, provider, in_need, and what
    the hospital wrote of the patient: nhs_number, local_patient_id, written_birth, sex, ethnicity,
    written_postcode, age.
    """

    attendances: pl.DataFrame
    appointments: pl.DataFrame


def build_hospital_contacts(world: World) -> HospitalContacts:
    """Every attendance and appointment of a child living in the area, as long as spells last."""
    settings = world.parameters.part("hospital_contacts")
    at_risk = _at_risk(world)
    attendances = _attendances(settings["emergency"], world, at_risk)
    appointments = _appointments(settings["outpatient"], world, at_risk)
    contacts = pl.concat(
        [
            attendances.select("contact_id", "person_id", "provider", "day"),
            appointments.select("contact_id", "person_id", "provider", "day"),
        ]
    )
    patients = _patients(world, contacts)
    numbers = registered(
        world,
        contacts.select("contact_id", "person_id", "day", is_newborn=pl.lit(False)),
        "hospital",
        ("nhs_number",),
        ("contact_id", "person_id", "is_newborn"),
    ).select("contact_id", "nhs_number")
    return HospitalContacts(
        *(_written(world, f, patients, numbers) for f in (attendances, appointments))
    )


def _at_risk(world: World) -> AtRisk:
    # the stream of the admissions from its start: the same children are frail
    years = world.years
    return children_at_risk(
        world.streams("admissions"),
        world.parameters.hospital["frailty_shape"],
        world.population,
        world.care,
        world.need,
        as_days(f"{years[0] - 1}-04-01"),
        as_days(f"{years[-1]}-03-31"),
    )


def _kinds(rows: list[Mapping[str, Any]]) -> list[Kind]:
    factors = ("girls", "deprived", "in_need", "looked_after")
    return [
        Kind(
            r["name"],
            tuple(r["rates"]),
            least_age=r.get("least_age", 0),
            **{f: r[f] for f in factors},
        )
        for r in rows
    ]


def _drawn(world: World, at_risk: AtRisk, rows: list[Mapping[str, Any]], name: str) -> pl.DataFrame:
    """Events of the kinds in ``rows``: person_id, household_id, day, to_day, name."""
    rng = world.streams(name)
    people = at_risk.persons.select("person_id", "household_id", "to_day")
    frames = [
        people.gather(row).with_columns(day=pl.Series(day), name=pl.lit(kind.name))
        for kind, row, day in at_risk.events(rng, _kinds(rows))
    ]
    return pl.concat(frames)


def _local(world: World, at_risk: AtRisk, events: pl.DataFrame, first: int) -> pl.DataFrame:
    """Events of children living in the area that day, in order and numbered, with a provider."""
    rng = world.streams(f"providers {first}")
    risk = at_risk.persons.select(
        "person_id", "decile", in_need=pl.Series(at_risk.in_need | at_risk.looked_after)
    )
    events = (
        world.population.addresses_at(events, "day")
        .filter(pl.col("area") != world.places.outside, pl.col("day") < pl.col("to_day"))
        .join(risk, on="person_id", how="inner", maintain_order="left")
        .sort("day", "person_id", "name", maintain_order=True)
        .drop("postcode_id", "house", "to_day")
    )
    weights = [p["weight"] for p in world.parameters.hospital["providers"]]
    usual = events["area"].to_numpy() % len(weights)
    drawn = pick_index(rng, weights, events.height)
    chosen = pl.Series(np.where(rng.random(events.height) < 0.75, usual, drawn))
    return events.with_columns(
        contact_id=pl.int_range(pl.len()) + first,
        provider=pl.coalesce("provider", chosen) if "provider" in events.columns else chosen,
    )


def _attendances(settings: Mapping[str, Any], world: World, at_risk: AtRisk) -> pl.DataFrame:
    events = _drawn(world, at_risk, settings["presentations"], "emergency attendances")
    spells = world.hospital.spells.filter(pl.col("method") == "21").join(
        world.population.persons.select("person_id", "to_day"), on="person_id", how="left"
    )
    admitted = spells.sort("spell_id").select(
        "person_id", "household_id", "to_day", "provider", day="admitted", name="condition"
    )
    both = pl.concat(
        [
            admitted.with_columns(is_admitted=pl.lit(True)),
            events.with_columns(is_admitted=pl.lit(False)),
        ],
        how="diagonal",
    )
    frame = _local(world, at_risk, both, first=0)
    rng = world.streams("attendances")
    size = frame.height
    is_admitted = frame["is_admitted"].to_numpy()
    rows = {r["name"]: r for r in settings["presentations"]}
    names = frame["name"].to_numpy()
    diagnoses = {n: r["diagnoses"] for n, r in rows.items()}
    coded = pick_by(rng, np.where(is_admitted, "", names), diagnoses)
    ward = frame["name"].replace_strict(
        settings["admitted"], default=settings["admitted"]["other"], return_dtype=pl.String
    )
    diagnosis = np.where(is_admitted, ward.to_numpy(), coded)
    complained = frame["name"].replace_strict(
        {n: r["complaint"] for n, r in rows.items()}, default=None, return_dtype=pl.String
    )
    complaint = np.where(is_admitted, ward.to_numpy(), complained.to_numpy())
    diagnosis[rng.random(size) < settings["uncoded"]["diagnosis"]] = None
    complaint[rng.random(size) < settings["uncoded"]["complaint"]] = None
    injuries = {n for n, r in rows.items() if r.get("injury")} | set(settings["injuries"])
    ambulance = np.where(
        is_admitted, settings["ambulance"]["admitted"], settings["ambulance"]["other"]
    )
    left = rng.random(size) < settings["left_early"]
    stay = rng.gamma(
        settings["minutes"]["left"]["shape"],
        settings["minutes"]["left"]["mean"] / settings["minutes"]["left"]["shape"],
        size,
    )
    seen = rng.exponential(settings["minutes"]["seen"], size).astype(int)
    vulnerable = frame["in_need"].to_numpy()
    return frame.with_columns(
        minute=pl.Series(
            pick_index(rng, settings["arrival_hours"], size) * 60 + rng.integers(0, 60, size)
        ),
        complaint=text(complaint),
        diagnosis=text(diagnosis),
        is_injury=pl.col("name").is_in(sorted(injuries)),
        has_left_early=pl.Series(left & ~is_admitted),
        department=text(np.where(is_admitted, "01", pick(rng, settings["department"], size))),
        category=text(np.where(is_admitted, "1", pick(rng, settings["category"], size))),
        acuity=text(pick(rng, settings["acuity"], size)),
        by_ambulance=pl.Series(rng.random(size) < ambulance),
        seen_minutes=pl.Series(seen),
        stay_minutes=pl.Series(seen + 5 + stay.astype(int)),
        **{
            name: _some(rng, size, settings[rule]["share"], settings[rule]["codes"])
            for name, rule in (
                ("comorbidity", "comorbidities"),
                ("finding", "findings"),
                ("investigation", "investigations"),
                ("treatment", "treatments"),
            )
        },
        **{
            name: _some(
                rng,
                size,
                np.where(vulnerable, settings[rule]["in_need"], settings[rule]["other"]),
                {settings[rule]["code"]: 1},
            )
            for name, rule in (("safeguarding", "safeguarding"), ("circumstance", "homeless"))
        },
    )


def _some(rng: np.random.Generator, size: int, share: Any, codes: Mapping[str, float]) -> pl.Series:
    """A code for a share of the rows, null for the others."""
    chosen = pick(rng, codes, size)
    chosen[rng.random(size) >= share] = None
    return text(chosen)


def _appointments(settings: Mapping[str, Any], world: World, at_risk: AtRisk) -> pl.DataFrame:
    rng = world.streams("appointments")
    asked = _drawn(world, at_risk, settings["clinics"], "outpatient referrals")
    asked = asked.with_columns(
        referred=pl.col("day") - pl.Series(gamma_days(rng, asked.height, **settings["wait_days"]))
    )
    clinics = [c["name"] for c in settings["clinics"]]
    planned = (
        world.hospital.spells.filter(
            pl.col("method").is_in(["11", "12", "13"]),
            pl.col("specialty").cast(pl.String).is_in(clinics),
        )
        .sort("spell_id")
        .join(
            world.population.persons.select("person_id", "from_day", "to_day"),
            on="person_id",
            how="left",
            maintain_order="left",
        )
    )
    before = gamma_days(rng, planned.height, **settings["before_admission_days"])
    wait = gamma_days(rng, planned.height, **settings["wait_days"])
    planned = planned.with_columns(day=pl.col("admitted") - pl.Series(before)).select(
        *("person_id", "household_id", "to_day", "provider", "day", "from_day"),
        name=pl.col("specialty").cast(pl.String),
        referred=pl.col("day") - pl.Series(wait),
    )
    planned = planned.filter(
        pl.col("day") >= pl.max_horizontal("from_day", pl.lit(at_risk.first_day))
    ).drop("from_day")
    first = pl.concat([asked, planned], how="diagonal").with_columns(
        is_first=pl.lit(True), referral=pl.int_range(pl.len())
    )
    weights = [p["weight"] for p in world.parameters.hospital["providers"]]
    # one referral is to one provider
    first = first.with_columns(
        provider=pl.coalesce("provider", pl.Series(pick_index(rng, weights, first.height)))
    )
    later = {c["name"]: c["later"] for c in settings["clinics"]}
    follow_ups = rng.poisson(
        first["name"].replace_strict(later, return_dtype=pl.Float64).to_numpy()
    )
    row = np.repeat(np.arange(first.height), follow_ups)
    gaps = gamma_days(rng, len(row), **settings["between_days"])
    again = (
        first.gather(row)
        .with_columns(gap=pl.Series(gaps), is_first=pl.lit(False))
        .with_columns(day=pl.col("day") + pl.col("gap").cum_sum().over("referral"))
        .drop("gap")
        .filter(pl.col("day") <= at_risk.last_day)
    )
    both = pl.concat([first, again]).drop("referral")
    frame = _local(world, at_risk, both, first=10_000_000)
    size = frame.height
    poor = (5.5 - frame["decile"].to_numpy()) / 4.5
    model = settings["did_not_attend"]
    away = (
        model["base"]
        * model["deprived"] ** poor
        * np.where(frame["in_need"].to_numpy(), model["in_need"], 1.0)
    )
    kept = pick(rng, settings["status"], size)
    return frame.rename({"name": "clinic"}).with_columns(
        minute=pl.Series(rng.integers(9 * 4, 17 * 4, size) * 15),
        status=text(np.where(rng.random(size) < away, "3", kept)),
        source=text(pick(rng, settings["source"], size)),
        priority=text(pick(rng, settings["priority"], size)),
        by_telephone=pl.Series(rng.random(size) < settings["by_telephone"]),
        is_last=pl.Series(rng.random(size) < settings["last"]),
        diagnosis=_some(rng, size, **settings["diagnoses"]),
        procedure=_some(rng, size, **settings["procedures"]),
    )


def _patients(world: World, contacts: pl.DataFrame) -> pl.DataFrame:
    """The hospital's registration of each patient; who was admitted there has one already."""
    known = world.registrations.hospital.drop("errors", "day")
    new = (
        contacts.group_by("person_id", "provider", maintain_order=True)
        .agg(pl.col("day").min())
        .join(known, on=["person_id", "provider"], how="anti", maintain_order="left")
    )
    columns = ("birth", "sex", "ethnicity", "postcode")
    keys = ("provider", "person_id", "day")
    written = registered(world, new, "hospital", columns, keys).drop("errors", "day")
    rng = world.streams("patient ids of contacts")
    numbers = rng.choice(9_000_000, size=written.height, replace=False) + NEW_PATIENT
    written = written.with_columns(local_patient_id=pl.Series(numbers).cast(pl.String))
    return pl.concat([known, written.select(known.columns)])


def _written(
    world: World, frame: pl.DataFrame, patients: pl.DataFrame, numbers: pl.DataFrame
) -> pl.DataFrame:
    """What the hospital wrote of the patient at each contact."""
    frame = frame.join(
        patients.drop("household_id").rename({"birth": "written_birth"}),
        on=["person_id", "provider"],
        how="left",
        maintain_order="left",
    ).join(numbers, on="contact_id", how="left", maintain_order="left")
    frame = frame.with_columns(
        written_postcode=postcode_on(frame, world.population, world.places, "day")
    )
    age = age_at(frame["written_birth"].to_numpy(), frame["day"].to_numpy())
    return frame.drop("postcode", "postcode_frozen").with_columns(age=pl.Series(np.maximum(age, 0)))
