"""The known truth of a synthetic population, written apart from the landing folder.

``record.parquet`` gives the true person of every row of every table that has a person key: feed,
supplier, period, version, table, row_number (1-based data row of its file), person_id, local_id.
``fault.parquet`` gives the rows spoiled on purpose. ``registration_error.parquet`` gives what each
source recorded wrongly. The other files are the truth itself; dates are dates, and an open end is
null. Two persons with one ``child_id`` are one child before and after adoption: not to be linked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from linked_cyp.synthetic.households import FOREVER
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import Written


def write_truth(folder: Path, world: World, written: Sequence[Written]) -> None:
    """Write every truth table as parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    places = world.places.postcodes.select("postcode_id", "postcode", "lsoa_code", "decile")
    tables = {
        "record": pl.concat([w.records for w in written]),
        "fault": pl.concat([w.faults for w in written]),
        "registration_error": _registration_errors(world),
        "person": world.population.persons.drop("risk", "order", "from_day", "to_day").join(
            world.education.pupils.select("person_id", "upn", "former_upn", "uln"),
            on="person_id",
            how="left",
            maintain_order="left",
        ),
        "address": world.population.addresses.join(
            places, on="postcode_id", how="left", maintain_order="left"
        ).drop("postcode_id"),
        "school": world.education.schools.drop("postcode_id"),
        "enrolment": world.education.enrolments.drop("phase", "finish", "moved_in"),
        "absence": _absence(world),
        "care_period": world.care.periods.drop("home_postcode_id", "household_id"),
        "care_episode": world.care.episodes.drop("postcode_id", "home_postcode_id", "birth"),
        "referral": world.need.referrals.drop("household_id"),
        "protection_plan": world.need.protection,
        "spell": world.hospital.spells.drop("postcode_id", "house"),
    }
    for name, frame in tables.items():
        _dated(frame).write_parquet(folder / f"{name}.parquet", statistics=False)


DAYS = {
    "birth",
    "death_day",
    "change_day",
    "from_day",
    "to_day",
    "start",
    "end",
    "day",
    "close",
    "conference",
    "admitted",
    "discharged",
    "permanently_excluded",
}


def _dated(frame: pl.DataFrame) -> pl.DataFrame:
    """Day numbers as dates, without the far-off day that stands for an open end."""
    columns = [c for c in frame.columns if c in DAYS and frame.schema[c].is_integer()]
    return frame.with_columns(
        pl.when(pl.col(c) < FOREVER).then(pl.col(c)).cast(pl.Int32).cast(pl.Date) for c in columns
    )


def _absence(world: World) -> pl.DataFrame:
    """Possible and absent sessions by registration and reporting period."""
    uncounted = {
        code
        for name in ("not_possible", "not_possible_before_august_2024")
        for code in world.parameters.education["absence"][name]
    }
    absent = (
        world.absence.reasons.filter(~pl.col("code").is_in(list(uncounted)))
        .group_by("enrolment_id", "term", maintain_order=True)
        .agg(absent=pl.col("sessions").sum())
    )
    terms = pl.DataFrame(
        {
            "term": range(len(world.terms)),
            "academic_year": [t.academic_year for t in world.terms],
            "period": [t.name for t in world.terms],
        },
        schema_overrides={"term": world.absence.sessions.schema["term"]},
    )
    return (
        world.absence.sessions.join(
            absent, on=["enrolment_id", "term"], how="left", maintain_order="left"
        )
        .with_columns(pl.col("absent").fill_null(0))
        .join(terms, on="term", how="left", maintain_order="left")
        .drop("term")
    )


def _registration_errors(world: World) -> pl.DataFrame:
    frames = []
    for source in ("school", "social_care", "spine", "hospital", "spells"):
        frame = getattr(world.registrations, source)
        frames.append(
            frame.filter(pl.col("errors").is_not_null())
            .select(
                source=pl.lit(source),
                person_id="person_id",
                error=pl.col("errors").str.split(" "),
            )
            .explode("error")
        )
    return pl.concat(frames)
