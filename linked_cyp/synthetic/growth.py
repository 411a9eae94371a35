"""Height and weight of children, and the measurements of the school year.

A child keeps its place among children of its age, so that measurements of different ages and
sources agree. The reference is invented (``parameters/births_deaths_growth.yaml``), not UK90.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from linked_cyp.synthetic.education import year_group
from linked_cyp.synthetic.parameters import day_of, first_september
from linked_cyp.synthetic.records import postcode_on, registered
from linked_cyp.synthetic.world import World

MEASURED = {0: "R", 6: "6"}  # year groups of the National Child Measurement Programme


@dataclass(frozen=True)
class Growth:
    """``tendency``: person_id, height_z, bmi_z against the invented reference. ``measurements`` of
    the last school year: person_id, area (of the school), urn, year (R or 6), day, height (cm),
    weight (kg), bmi, their scores height_z, weight_z and bmi_z, lsoa_code and decile of the home,
    and what the school list says: forename, surname, birth, sex, ethnicity, nhs_number,
    postcode."""

    tendency: pl.DataFrame
    measurements: pl.DataFrame


def build_growth(world: World) -> Growth:
    """How every child grows, and the measurements in state schools of the last school year."""
    settings = world.parameters.part("births_deaths_growth")["growth"]
    persons = world.population.persons
    rng = world.streams("growth")
    poor = (5.5 - persons["decile"].to_numpy()) / 4.5
    draw = rng.normal(0, 1, persons.height)
    heavy = settings["bmi"]["deprived"] * poor + draw + settings["bmi"]["skew"] * (draw**2 - 1)
    tendency = persons.select(
        "person_id",
        height_z=pl.Series(rng.normal(0, 1, persons.height)),
        bmi_z=pl.Series(heavy),
    )
    return Growth(tendency, _measurements(world, tendency))


def body(world: World, frame: pl.DataFrame) -> pl.DataFrame:
    """Height (cm), weight (kg) and bmi at ``age`` (years) of rows with height_z and bmi_z."""
    settings = world.parameters.part("births_deaths_growth")["growth"]
    age = frame["age"].to_numpy()
    tall, wide = settings["height"], settings["bmi"]
    mean = tall["at_birth"] + tall["by_year"] * age
    height = (mean * (1 + tall["sd"] * frame["height_z"].to_numpy())).round(1)
    median = np.interp(age, wide["age"], wide["median"])
    spread = np.interp(age, wide["age"], wide["sd_log"])
    bmi = median * np.exp(spread * frame["bmi_z"].to_numpy())
    weight = (bmi * (height / 100) ** 2).round(1)
    return frame.with_columns(height=pl.Series(height), weight=pl.Series(weight)).with_columns(
        bmi=(pl.col("weight") / (pl.col("height") / 100) ** 2).round(2)
    )


def _measurements(world: World, tendency: pl.DataFrame) -> pl.DataFrame:
    settings = world.parameters.part("births_deaths_growth")["growth"]
    rng = world.streams("school measurements")
    last = world.years[-1]
    begin, end = (day_of(last, day) for day in settings["season"])
    september = int(first_september(np.array([last - 1]))[0])
    listed = world.education.enrolments.filter(
        ~pl.col("subsidiary"), pl.col("from_day") <= begin, pl.col("to_day") > begin
    ).unique("person_id", keep="first", maintain_order=True)
    group = year_group(listed["birth"].to_numpy(), september)
    listed = listed.with_columns(group=pl.Series(group)).filter(
        pl.col("group").is_in(list(MEASURED))
    )
    listed = listed.filter(pl.Series(rng.random(listed.height) < settings["taking_part"]))
    day = rng.integers(begin, end, listed.height)
    schools = world.education.schools.select("school_id", "urn")
    frame = (
        listed.select("person_id", "school_id", "area", "birth", "group")
        .with_columns(day=pl.Series(day), age=(pl.Series(day) - pl.col("birth")) / 365.25)
        .join(tendency, on="person_id", how="left", maintain_order="left")
        .join(schools, on="school_id", how="left", maintain_order="left")
    )
    frame = body(world, frame).with_columns(
        year=pl.col("group").replace_strict(MEASURED, return_dtype=pl.String),
        # heavy for the age by being tall or by being wide, in about equal parts
        weight_z=(0.6 * pl.col("height_z") + 0.8 * pl.col("bmi_z")),
    )
    columns = ("forename", "surname", "birth", "sex", "ethnicity", "nhs_number", "postcode")
    written = registered(
        world, frame.select("person_id", "day"), "measurement", columns, ("person_id",)
    )
    measured = frame.drop("birth", "school_id", "group", "age").join(
        written.drop("errors", "earlier_surname"),
        on="person_id",
        how="left",
        maintain_order="left",
    )
    return _homes(world, measured)


def _homes(world: World, measured: pl.DataFrame) -> pl.DataFrame:
    """The postcode written down, and the small area and decile that follow from it."""
    postcode = postcode_on(measured, world.population, world.places, "day")
    areas = world.places.postcodes.select("postcode", "lsoa_code", "decile")
    return (
        measured.drop("postcode", "postcode_frozen", "household_id")
        .with_columns(postcode=postcode)
        .join(areas, on="postcode", how="left", maintain_order="left")
    )
