"""General practice: registrations, coded entries, medicines, contacts.

A child has a patient record at each practice it was registered with; most earlier entries are
copied to the next one. Days are day numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.households import FOREVER
from linked_cyp.synthetic.opt_outs import build_opt_outs
from linked_cyp.synthetic.parameters import as_days, day_of, pick, text
from linked_cyp.synthetic.records import registered
from linked_cyp.synthetic.risk import AtRisk, Kind, children_at_risk
from linked_cyp.synthetic.world import World

# Medians by age in years, rounded from general knowledge; good enough to be plausible.
_AGES = [0, 1, 2, 5, 10, 13, 16, 19]
_HEIGHTS = [50, 75, 87, 110, 139, 157, 170, 173]
_WEIGHTS = [3.4, 9.8, 12.3, 18.5, 32, 46, 60, 67]
WEIGHT, HEIGHT, ADOPTED = "27113001", "50373000", "393547004"
DISSENT, WITHDRAWAL = "827241000000103", "827261000000102"  # Type 1 opt-out


@dataclass(frozen=True)
class PrimaryCare:
    """``patients``: patient, person_id, household_id, practice, begin, finish (FOREVER while
    registered), birth, sex, nhs_number (all three as written), type, is_sensitive,
    is_confidential. ``addresses``: patient, postcode_id, home, from_day, to_day. ``observations``:
    patient, day, code, value, unit, is_problem, is_confidential, is_deleted. ``statements``:
    statement, patient, day, bnf, active. ``orders``: statement, patient, day, bnf, days.
    ``encounters``: patient, day, kind. ``appointments``: patient, day, minute, status.
    ``referrals``: patient, day. ``allergies``: patient, day, code. ``snapshot``: the last day."""

    patients: pl.DataFrame
    addresses: pl.DataFrame
    observations: pl.DataFrame
    statements: pl.DataFrame
    orders: pl.DataFrame
    encounters: pl.DataFrame
    appointments: pl.DataFrame
    referrals: pl.DataFrame
    allergies: pl.DataFrame
    snapshot: int


def build_primary_care(world: World) -> PrimaryCare:
    """Everybody who has been registered in the area, and their records up to the snapshot."""
    settings = world.parameters.part("primary_care")
    rng = world.streams("primary care")
    snapshot = day_of(world.years[-1], world.parameters.deliveries["feeds"]["gp_olids"]["snapshot"])
    addresses, patients = _registrations(world, settings, rng, snapshot)
    at_risk = children_at_risk(
        world.streams("admissions"),
        world.parameters.hospital["frailty_shape"],
        world.population,
        world.care,
        world.need,
        as_days(f"{world.years[0] - 1}-04-01"),
        snapshot,
    )
    contacts, conditions = _contacts(settings, rng, at_risk)
    measured = contacts.filter(pl.Series(rng.random(contacts.height) < settings["measured"]))
    entries = pl.concat(
        [
            conditions.select(*_ENTRY),
            _measurements(world, settings, rng, measured),
            _immunisations(world, settings, rng, snapshot),
            _adoptions(world, settings, rng),
            _ethnicity(world, settings, rng),
            *_dissents(world, snapshot),
        ]
    )
    observations = _copied(settings, rng, patients, _at_practice(entries, patients))
    size = observations.height
    code = np.array(observations["code"].to_list(), dtype=object)
    code[rng.random(size) < settings["unmapped"]] = None
    early = rng.random(size) < settings["wrong_date"]
    observations = observations.with_columns(
        code=text(code),
        day=pl.Series(np.where(early, as_days("1900-01-01"), observations["day"].to_numpy())),
        is_confidential=pl.Series(rng.random(size) < settings["confidential_entry"]),
        is_deleted=pl.Series(rng.random(size) < settings["deleted_entry"]),
    )
    encounters = _at_practice(contacts, patients)
    statements, orders = _medicines(
        settings, rng, _at_practice(conditions, patients), patients, snapshot
    )
    number = encounters.height
    appointments = encounters.with_columns(
        minute=pl.Series(rng.integers(16 * 30, 36 * 30, number)),
        status=text(pick(rng, settings["kept"], number)),
    )
    return PrimaryCare(
        patients=patients,
        addresses=addresses,
        observations=observations,
        statements=statements,
        orders=orders,
        encounters=encounters.filter(appointments["status"] == "fulfilled"),
        appointments=appointments.drop("kind"),
        referrals=encounters.filter(
            pl.Series(rng.random(number) < settings["referral"]["chance"])
        ).drop("kind"),
        allergies=_allergies(settings, rng, patients),
        snapshot=snapshot,
    )


_ENTRY = ("person_id", "day", "code", "value", "unit", "is_problem")


def _registrations(
    world: World, settings: Mapping[str, Any], rng: np.random.Generator, snapshot: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Addresses of patients, and patients: a row for each spell at one practice."""
    persons = world.population.persons.select(
        "person_id", "household_id", begin="from_day", gone="to_day"
    )
    persons = persons.filter(pl.Series(rng.random(persons.height) >= settings["unregistered"]))
    lived = (
        persons.join(world.population.addresses, on="household_id", maintain_order="left_right")
        .filter(pl.col("area") != world.places.outside)
        .with_columns(
            begin=pl.max_horizontal("begin", "from_day") + settings["registration_after"],
            finish=pl.min_horizontal("gone", "to_day"),
            practice="Y9"
            + (pl.col("area") * 100 + pl.col("postcode_id") % settings["practices"] + 1)
            .cast(pl.String)
            .str.zfill(4),
        )
        .filter(pl.col("begin") < pl.col("finish"), pl.col("begin") <= snapshot)
        .sort("person_id", "begin", maintain_order=True)
        .with_columns(run=pl.struct("person_id", "practice").rle_id())
    )
    patients = (
        lived.group_by("run", maintain_order=True)
        .agg(
            pl.col("person_id", "household_id", "practice", "begin").first(),
            pl.col("finish").last(),
        )
        .with_columns(patient=pl.int_range(1, pl.len() + 1), day=pl.col("begin"))
    )
    written = registered(
        world,
        patients.select("patient", "person_id", "day"),
        "general_practice",
        ("birth", "sex", "nhs_number"),
        ("patient", "person_id", "day"),
    )
    size = patients.height
    share = world.parameters.population["sensitive_flag"]
    patients = patients.join(
        written.select("patient", "birth", "sex", "nhs_number"),
        on="patient",
        maintain_order="left",
    ).with_columns(
        type=text(pick(rng, settings["registration"], size)),
        is_sensitive=pl.Series(rng.random(size) < share),
        is_confidential=pl.Series(rng.random(size) < settings["confidential"]),
    )
    addresses = lived.join(
        patients.select("run", "patient"), on="run", maintain_order="left"
    ).select(
        "patient",
        "postcode_id",
        home=pl.col("postcode_id") * 1000 + pl.col("house").cast(pl.Int64),
        from_day="begin",
        to_day="finish",
    )
    return addresses, patients.drop("run", "day")


def _contacts(
    settings: Mapping[str, Any], rng: np.random.Generator, at_risk: AtRisk
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Contacts (person_id, day, kind) and the conditions coded in some of them."""
    table = settings["conditions"]
    kinds = [_kind("contact", settings["contacts"])]
    kinds += [_kind(name, row) for name, row in table.items()]
    contacts, conditions = [], []
    for kind, row, day in at_risk.events(rng, kinds):
        events = at_risk.persons.gather(row).select("person_id").with_columns(day=pl.Series(day))
        contacts.append(events)
        if kind.name != "contact":
            known = table[kind.name]
            conditions.append(
                events.select(
                    *_ENTRY[:2],
                    code=pl.lit(str(known["code"])),
                    value=pl.lit(None, dtype=pl.Float64),
                    unit=pl.lit(None, dtype=pl.String),
                    is_problem=pl.lit(bool(known.get("problem", False))),
                    condition=pl.lit(kind.name),
                )
            )
    met = pl.concat(contacts).sort("person_id", "day", maintain_order=True)
    how = text(pick(rng, settings["contact"], met.height))
    return met.with_columns(kind=how), pl.concat(conditions).sort(
        "person_id", "day", "condition", maintain_order=True
    )


def _kind(name: str, row: Mapping[str, Any]) -> Kind:
    girls, deprived, in_need, looked_after = row["factors"]
    rates = tuple(row["rates"])
    return Kind(name, rates, girls, deprived, in_need, looked_after, row.get("least", 0))


def _at_practice(events: pl.DataFrame, patients: pl.DataFrame) -> pl.DataFrame:
    """Events with the patient record of the day; earlier ones came along to the first record."""
    spells = patients.select("person_id", "patient", "begin", "finish").sort("begin")
    first = pl.col("patient").sort_by("begin").first()
    firsts = spells.group_by("person_id", maintain_order=True).agg(first=first)
    return (
        events.join(firsts, on="person_id", maintain_order="left")
        .sort("day", maintain_order=True)
        .join_asof(
            spells,
            left_on="day",
            right_on="begin",
            by="person_id",
            strategy="backward",
            check_sortedness=False,
        )
        .filter(pl.col("finish").is_null() | (pl.col("day") < pl.col("finish")))
        .with_columns(patient=pl.coalesce("patient", "first"))
        .drop("begin", "finish", "first")
        .sort("patient", "day", maintain_order=True)
    )


def _copied(
    settings: Mapping[str, Any],
    rng: np.random.Generator,
    patients: pl.DataFrame,
    entries: pl.DataFrame,
) -> pl.DataFrame:
    """Entries, and again those that came along when the child changed practice."""
    later = patients.select(
        "person_id", next_patient=pl.col("patient"), next_begin=pl.col("begin")
    ).filter(pl.Series(rng.random(patients.height) < settings["copied"]))
    copies = (
        entries.join(later, on="person_id", maintain_order="left_right")
        .filter(pl.col("patient") != pl.col("next_patient"), pl.col("day") < pl.col("next_begin"))
        .with_columns(patient=pl.col("next_patient"))
        .select(entries.columns)
    )
    return pl.concat([entries, copies])


def _measurements(
    world: World, settings: Mapping[str, Any], rng: np.random.Generator, contacts: pl.DataFrame
) -> pl.DataFrame:
    """Height and weight at contacts, in the units that practices write, slips included."""
    persons = world.population.persons.select("person_id", "birth", "sex", "decile")
    tall = rng.normal(0, 0.045, persons.height)
    heavy = 2 * tall + rng.normal(0, 0.13, persons.height)
    heavy = heavy + 0.008 * (5.5 - persons["decile"].to_numpy())
    taken = contacts.join(
        persons.with_columns(tall=pl.Series(tall), heavy=pl.Series(heavy)),
        on="person_id",
        maintain_order="left",
    )
    years = (taken["day"] - taken["birth"]).to_numpy() / 365.25
    girl = (taken["sex"] == "F").to_numpy() & (years > 13)
    height = np.interp(years, _AGES, _HEIGHTS) * (1 + taken["tall"].to_numpy()) - 7 * girl
    weight = np.interp(years, _AGES, _WEIGHTS) * np.exp(taken["heavy"].to_numpy()) - 4 * girl
    frames = []
    for code, value, kind in ((HEIGHT, height, "height"), (WEIGHT, weight, "weight")):
        slip = rng.random(len(value)) < settings["implausible"]
        unit = pick(rng, settings["units"][kind], len(value))
        value = np.where(unit == "m", value / 100, value) * np.where(slip, 10, 1)
        frames.append(
            taken.select(
                *_ENTRY[:2],
                code=pl.lit(code),
                value=pl.Series(np.round(value, 2)),
                unit=text(np.where(unit == "", None, unit)),
                is_problem=pl.lit(False),
            )
        )
    return pl.concat(frames)


def _immunisations(
    world: World, settings: Mapping[str, Any], rng: np.random.Generator, snapshot: int
) -> pl.DataFrame:
    persons = world.population.persons
    poor = np.maximum(5.5 - persons["decile"].to_numpy(), 0) * settings["later_in_deprived"]
    # who takes none of the schedule takes none of it: one draw for the child, one for each dose
    willing = rng.random(persons.height)
    frames = []
    for dose in settings["immunisations"]:
        given = persons["birth"].to_numpy() + dose["age"]
        given = given + rng.gamma(1.2, 12 + 0.03 * dose["age"], persons.height).astype(int)
        threshold = dose["coverage"] - poor
        taken = (willing < threshold + 0.03) & (rng.random(persons.height) < 0.97)
        taken &= (given <= snapshot) & (given < persons["to_day"].to_numpy())
        taken &= given >= persons["from_day"].to_numpy()
        frames.append(
            persons.select("person_id").with_columns(day=pl.Series(given)).filter(pl.Series(taken))
        )
    codes = [str(dose["code"]) for dose in settings["immunisations"]]
    return pl.concat([_entries(frame, code) for frame, code in zip(frames, codes, strict=True)])


def _adoptions(world: World, settings: Mapping[str, Any], rng: np.random.Generator) -> pl.DataFrame:
    """The code that says so in an adopted child's new record."""
    adopted = world.population.persons.filter(pl.col("person_id") != pl.col("child_id"))
    coded = adopted.filter(pl.Series(rng.random(adopted.height) < settings["adoption_coded"]))
    return _entries(coded.select("person_id", day=pl.col("from_day") + 60), ADOPTED)


def _ethnicity(world: World, settings: Mapping[str, Any], rng: np.random.Generator) -> pl.DataFrame:
    """What was asked at registration, where it was."""
    persons = world.population.persons
    asked = persons.filter(pl.Series(rng.random(persons.height) < settings["ethnicity_coded"]))
    codes = {group: str(code) for group, code in settings["ethnicity"].items()}
    written = asked["ethnicity"].replace_strict(codes, default=None, return_dtype=pl.String)
    return _entries(asked.select("person_id", day=pl.col("from_day") + 30), "").with_columns(
        code=written
    )


def _dissents(world: World, snapshot: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Type 1 opt-outs and their withdrawals stand in the record as well as in the list."""
    type_1 = world.part(build_opt_outs).type_1
    ended = type_1.select("person_id", day="ended").filter(pl.col("day") <= snapshot)
    begun = type_1.select("person_id", "day").filter(pl.col("day") <= snapshot)
    return _entries(begun, DISSENT), _entries(ended, WITHDRAWAL)


def _entries(events: pl.DataFrame, code: str) -> pl.DataFrame:
    return events.select(
        *_ENTRY[:2],
        code=pl.lit(code),
        value=pl.lit(None, dtype=pl.Float64),
        unit=pl.lit(None, dtype=pl.String),
        is_problem=pl.lit(False),
    )


def _medicines(
    settings: Mapping[str, Any],
    rng: np.random.Generator,
    conditions: pl.DataFrame,
    patients: pl.DataFrame,
    snapshot: int,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Statements and orders: one order of a short course, repeated ones of a lasting medicine."""
    table = {k: v for k, v in settings["conditions"].items() if "bnf" in v}
    told = conditions.filter(pl.col("condition").is_in(list(table)))

    def of(key: str, default: Any) -> pl.Series:
        values = {name: row.get(key, default) for name, row in table.items()}
        return told["condition"].replace_strict(values)

    told = told.with_columns(
        bnf=of("bnf", "").cast(pl.String).str.zfill(8),
        repeats=of("repeats", 0),
    ).filter(pl.Series(rng.random(told.height) < of("share", 1.0).to_numpy()))
    lasting = pl.col("repeats") > 0
    told = told.filter(~lasting | pl.struct("patient", "bnf").is_first_distinct())
    told = told.with_columns(statement=pl.int_range(1, pl.len() + 1)).join(
        patients.select("patient", "finish"), on="patient", maintain_order="left"
    )
    end = np.minimum(told["finish"].to_numpy(), snapshot + 1)
    repeats = told["repeats"].to_numpy()
    count = np.where(
        repeats > 0, 1 + np.maximum(end - told["day"].to_numpy(), 0) // np.maximum(repeats, 1), 1
    )
    row = np.repeat(np.arange(told.height), count)
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    orders = told.gather(row).select(
        "statement",
        "patient",
        "bnf",
        day=pl.col("day") + pl.Series(place * repeats[row]),
        days=pl.when(lasting).then("repeats").otherwise(7),
        end=pl.Series(end[row]),
    )
    orders = orders.filter(pl.col("day") < pl.col("end")).drop("end")
    statements = told.select(
        "statement", "patient", "day", "bnf", active=lasting & (pl.col("finish") == FOREVER)
    )
    return statements, orders


def _allergies(
    settings: Mapping[str, Any], rng: np.random.Generator, patients: pl.DataFrame
) -> pl.DataFrame:
    frames = [
        patients.select("patient", day=pl.col("begin") + 30, code=pl.lit(str(code))).filter(
            pl.Series(rng.random(patients.height) < share)
        )
        for code, share in settings["allergies"].items()
    ]
    return pl.concat(frames)
