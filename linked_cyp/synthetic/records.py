"""Registrations: each child as each source system first wrote him or her down.

One table for each source, one row for each registration (child and school, child and authority,
child and hospital provider, child on the spine), the recording errors applied once so that what a
source got wrong stays wrong in every delivery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from linked_cyp.synthetic.care import Care
from linked_cyp.synthetic.education import Education
from linked_cyp.synthetic.errors import observe
from linked_cyp.synthetic.hospital import Hospital
from linked_cyp.synthetic.need import Need
from linked_cyp.synthetic.parameters import Parameters, Streams, age_at, text
from linked_cyp.synthetic.places import Places
from linked_cyp.synthetic.population import Population

if TYPE_CHECKING:
    from linked_cyp.synthetic.world import World


@dataclass(frozen=True)
class Registrations:
    """``school`` by enrolment_id, ``social_care`` by person_id and area (with child_local_id),
    ``spine`` by person_id, ``hospital`` by person_id and provider (with local_patient_id),
    ``spells`` by spell_id (NHS number and postcode as written for that spell)."""

    school: pl.DataFrame
    social_care: pl.DataFrame
    spine: pl.DataFrame
    hospital: pl.DataFrame
    spells: pl.DataFrame


def register(
    parameters: Parameters,
    streams: Streams,
    places: Places,
    population: Population,
    education: Education,
    care: Care,
    need: Need,
    hospital: Hospital,
    *,
    snapshot: int,
) -> Registrations:
    """Register every child with every source that meets him or her."""
    identities = _identities(population, education)
    make = _Register(parameters, streams, places, population, identities)
    return Registrations(
        school=make.school(education),
        social_care=make.social_care(care, need),
        spine=make.spine(snapshot),
        hospital=make.hospital(hospital),
        spells=make.spells(hospital),
    )


def registered(
    world: World,
    frame: pl.DataFrame,
    source: str,
    columns: tuple[str, ...],
    keys: tuple[str, ...],
) -> pl.DataFrame:
    """Register persons with a source of their own feed, as those of :class:`Registrations` are.

    ``frame`` has person_id, ``day`` (of registration) and ``keys``, which are carried along. Of
    the identity the ``columns`` are written down, with the errors of ``source`` in errors.yaml.
    """
    register = _Register(
        world.parameters,
        world.streams,
        world.places,
        world.population,
        _identities(world.population, world.education),
    )
    return register.observed(frame, source, columns, keys)


def postcode_on(frame: pl.DataFrame, population: Population, places: Places, day: str) -> pl.Series:
    """The postcode to write on a day: the current one, unless the registration's was frozen.

    ``frame`` holds household_id, postcode, postcode_frozen and the column ``day``.
    """
    now = population.addresses_at(frame.select("household_id", day), day).join(
        places.postcodes.select("postcode_id", _now="postcode"),
        on="postcode_id",
        how="left",
        maintain_order="left",
    )["_now"]
    return frame.select(
        pl.when("postcode_frozen").then("postcode").otherwise(now).alias("postcode")
    )["postcode"]


def recorded_upn(frame: pl.DataFrame, day: int, *, codes: int) -> pl.Series:
    """The UPN as recorded, or the reason code for having none: UN1 is a child not yet at school.

    ``frame`` holds person_id, birth (true) and upn (as registered); ``codes`` is the highest
    reason code of the return.
    """
    age = age_at(frame["birth"].to_numpy(), day)
    reasons = np.array([f"UN{2 + int(p) % (codes - 1)}" for p in frame["person_id"]], dtype=object)
    upn = np.array(frame["upn"].to_list(), dtype=object)
    young = age < 5
    blank = np.array([u is None for u in upn], dtype=bool)
    upn = np.where(young & (blank | (age < 4)), "UN1", np.where(blank, reasons, upn))
    return text(upn)


def _identities(population: Population, education: Education) -> pl.DataFrame:
    """Persons with the identifiers of siblings and twins that a slip might put in their record."""
    persons = population.persons.join(
        education.pupils.select("person_id", "upn", "former_upn", "uln"),
        on="person_id",
        how="left",
        maintain_order="left",
    )
    following = {"nhs_number": "sibling_nhs_number", "upn": "sibling_upn"}
    siblings = [
        pl.coalesce(
            pl.col(column).shift(-1).over("household_id"),
            pl.col(column).shift(1).over("household_id"),
        ).alias(name)
        for column, name in following.items()
    ]
    twins = [
        pl.when(pl.col("twin_group").is_not_null())
        .then(
            pl.coalesce(
                pl.col(column).shift(-1).over("twin_group"),
                pl.col(column).shift(1).over("twin_group"),
            )
        )
        .alias(f"twin_{column}")
        for column in ("nhs_number", "upn", "forename")
    ]
    return persons.with_columns(*siblings, *twins)


@dataclass(frozen=True)
class _Register:
    parameters: Parameters
    streams: Streams
    places: Places
    population: Population
    identities: pl.DataFrame

    def observed(
        self, frame: pl.DataFrame, source: str, columns: tuple[str, ...], keys: tuple[str, ...]
    ) -> pl.DataFrame:
        """Join identities to registrations (person_id and ``day``) and apply the error model.

        Of the identity only ``columns`` are kept; ``keys`` are carried from ``frame``.
        """
        registered = frame.join(self.identities, on="person_id", how="left", maintain_order="left")
        changed = pl.col("later_surname").is_not_null() & (pl.col("change_day") <= pl.col("day"))
        registered = registered.with_columns(
            earlier_surname=pl.when(changed).then("surname"),
            surname=pl.when(changed).then("later_surname").otherwise("surname"),
        )
        if "postcode" in columns:
            registered = self.population.addresses_at(registered, "day").join(
                self.places.postcodes.select("postcode_id", "postcode"),
                on="postcode_id",
                how="left",
                maintain_order="left",
            )
        helpers = ("decile", "earlier_surname", "is_newborn", "household_id")
        wanted = [*keys, *columns, *helpers]
        for column in ("nhs_number", "upn"):
            if column in columns:
                wanted += [f"sibling_{column}", f"twin_{column}"]
        if "forename" in columns:
            wanted += ["twin_forename"]
        wanted.append("ethnicity")  # error rates differ between groups
        present = [c for c in dict.fromkeys(wanted) if c in registered.columns]
        observed = observe(
            registered.select(
                *present,
                *([pl.lit(True).alias("record_ethnicity")] if "ethnicity" in columns else []),
            ),
            self.parameters,
            source,
            self.streams(f"errors {source} {' '.join(keys)}"),
        )
        keep = [*keys, *columns, "household_id", "errors"]
        extra = ["earlier_surname"] if "forename" in columns else []
        extra += ["postcode_frozen"] if "postcode" in columns else []
        return observed.select(list(dict.fromkeys([*keep, *extra])))

    def school(self, education: Education) -> pl.DataFrame:
        frame = education.enrolments.select("enrolment_id", "person_id", day="from_day")
        columns = (
            "forename",
            "middle_names",
            "surname",
            "later_surname",
            "change_day",
            "known_as",
            "birth",
            "sex",
            "ethnicity",
            "upn",
            "former_upn",
            "uln",
            "postcode",
        )
        observed = self.observed(frame, "school", columns, ("enrolment_id", "person_id", "day"))
        rng = self.streams("school records")
        extended = dict(
            zip(
                self.parameters.ethnicity["ethnicity"],
                self.parameters.ethnicity["school_extended"],
                strict=True,
            )
        )
        draw = rng.random(observed.height)
        codes = [
            (options := extended.get(e, e).split("|"))[int(d * len(options))]
            for e, d in zip(observed["ethnicity"], draw, strict=True)
        ]
        missed = self.parameters.errors["sources"]["school"]["surname_change_missed"]
        return observed.with_columns(
            ethnicity=text(codes),
            uses_known_as=pl.Series(rng.random(observed.height) < 0.5),
            follows_change=pl.Series(rng.random(observed.height) >= missed),
        )

    def social_care(self, care: Care, need: Need) -> pl.DataFrame:
        met = pl.concat(
            [
                need.referrals.select("person_id", "area", "day"),
                care.periods.select("person_id", "area", day="start"),
            ]
        )
        met = (
            met.group_by("person_id", "area", maintain_order=True)
            .agg(pl.col("day").min())
            .sort("area", "person_id")
        )
        columns = ("birth", "sex", "ethnicity", "upn", "former_upn")
        observed = self.observed(met, "social_care", columns, ("person_id", "area", "day"))
        rng = self.streams("child ids")
        styles = self.parameters.deliveries["styles"]
        numbers = rng.choice(900_000, size=observed.height, replace=False) + 50_000
        later = rng.choice(900_000, size=observed.height, replace=False) + 1_000_000
        model = self.parameters.errors["sources"]["social_care"]
        reissued = rng.random(observed.height) < model["id_reissued"]
        patterns = [styles[a % len(styles)]["child_id"] for a in observed["area"]]
        return observed.with_columns(
            child_local_id=pl.Series(
                [p.format(n) for p, n in zip(patterns, numbers, strict=True)], dtype=pl.String
            ),
            reissued_local_id=text(
                [
                    p.format(n) if r else None
                    for p, n, r in zip(patterns, later, reissued, strict=True)
                ]
            ),
        )

    def spine(self, snapshot: int) -> pl.DataFrame:
        """Persons who have lived in the area by the day of the snapshot."""
        local = self.population.addresses.filter(
            pl.col("area") != self.places.outside, pl.col("from_day") <= snapshot
        ).select("household_id", from_home="from_day", to_home="to_day")
        frame = (
            self.population.persons.filter(pl.col("from_day") <= snapshot)
            .join(local, on="household_id", how="inner", maintain_order="left")
            .filter(pl.col("to_home") > pl.col("from_day"), pl.col("from_home") < pl.col("to_day"))
            .group_by("person_id", maintain_order=True)
            .agg(pl.col("birth").first())
            .with_columns(
                day=pl.lit(snapshot, dtype=pl.Int64),
                is_newborn=pl.col("birth") > snapshot - 180,
            )
            .drop("birth")
        )
        columns = (
            "forename",
            "middle_names",
            "surname",
            "later_surname",
            "change_day",
            "birth",
            "sex",
            "ethnicity",
            "nhs_number",
            "second_nhs_number",
            "postcode",
            "death_day",
        )
        return self.observed(frame, "spine", columns, ("person_id", "is_newborn"))

    def hospital(self, hospital: Hospital) -> pl.DataFrame:
        frame = hospital.spells.group_by("person_id", "provider", maintain_order=True).agg(
            day=pl.col("admitted").min()
        )
        columns = ("birth", "sex", "ethnicity", "postcode")
        observed = self.observed(frame, "hospital", columns, ("person_id", "provider", "day"))
        numbers = self.streams("patient ids").choice(9_000_000, size=observed.height, replace=False)
        return observed.with_columns(
            local_patient_id=pl.Series(numbers + 1_000_000).cast(pl.String)
        )

    def spells(self, hospital: Hospital) -> pl.DataFrame:
        frame = hospital.spells.select(
            "spell_id", "person_id", day="admitted", is_newborn=pl.col("condition") == "birth"
        )
        return self.observed(
            frame, "hospital", ("nhs_number",), ("spell_id", "person_id", "is_newborn")
        )


def counts_of_errors(registrations: Registrations) -> pl.DataFrame:
    """How often each error was made, by source: source, error, records."""
    frames = [
        getattr(registrations, source)
        .select(pl.col("errors").drop_nulls().str.split(" ").explode())
        .group_by("errors")
        .len()
        .select(source=pl.lit(source), error="errors", records=pl.col("len").cast(pl.Int64))
        for source in ("school", "social_care", "spine", "hospital", "spells")
    ]
    return pl.concat(frames).sort("source", "error")
