"""Measurements of the school year, as the national system returns them to each authority.

The scores are against the invented reference of the population, not against UK90.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import erf, sqrt

import numpy as np
import polars as pl

from linked_cyp.synthetic.growth import build_growth
from linked_cyp.synthetic.parameters import date_column, text
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.births import la_codes
from linked_cyp.synthetic.writers.delivery import LOCAL_ID, PERSON, Sent, Style
from linked_cyp.synthetic.writers.sus import ethnic_category

# Centiles from which a category begins, lowest first (National Child Measurement Programme).
CLINICAL = {0.02: "healthy", 0.91: "overweight", 0.98: "very overweight", 0.996: "severely obese"}
POPULATION = {
    0.02: "healthy weight",
    0.85: "overweight",
    0.95: "very overweight (obese)",
    0.996: "severely obese",
}


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """One delivery of the last school year for each local authority."""
    for area in range(world.places.outside):
        yield partial(ncmp, world, area)


def ncmp(world: World, area: int) -> Sent:
    """The enhanced dataset of an authority, and for one what its schools uploaded."""
    settings = world.parameters.part("births_deaths_growth")["growth"]
    year = world.years[-1]
    slug = world.places.areas["slug"][area]
    rng = world.streams(f"ncmp {slug}")
    measured = world.part(build_growth).measurements.filter(pl.col("area") == area)
    measured = measured.with_columns(system=pl.int_range(pl.len()) + 9_000_000 + area * 100_000)
    uploads = area == settings["upload_authority"]
    taken = np.ones(measured.height, dtype=bool)
    if uploads:
        taken = rng.random(measured.height) >= settings["upload_only"]
    tables = {"enhanced": _enhanced(world, measured.filter(pl.Series(taken)))}
    if uploads:
        swapped = pl.Series(rng.random(measured.height) < settings["swapped"])
        tables["upload"] = _upload(world, measured, swapped)
    style = world.parameters.deliveries["styles"]
    style = style[area % len(style)]
    return Sent(
        feed="ncmp",
        supplier=slug,
        period=str(year),
        tables=tables,
        style=Style(
            date="%d/%m/%Y",
            encoding=style["encoding"],
            manifest=style["manifest"],
            file_name=f"ncmp_{year}_{{}}.csv".format,
        ),
        produced=f"{year}-10-20T12:00:00",
    )


def _identity(measured: pl.DataFrame) -> list[pl.Expr | pl.Series]:
    return [
        ("P" + pl.col("system").cast(pl.String)).alias("PupilReference"),
        pl.col("nhs_number").alias("NHSNumber"),
        pl.col("forename").alias("FirstName"),
        pl.col("surname").alias("LastName"),
        date_column("DateOfBirth", measured["birth"].to_numpy()),
        pl.col("postcode").alias("PupilPostcode"),
        date_column("DateOfMeasurement", measured["day"].to_numpy()),
        pl.col("urn").cast(pl.String).alias("SchoolURN"),
        pl.col("person_id").alias(PERSON),
    ]


def _enhanced(world: World, measured: pl.DataFrame) -> pl.DataFrame:
    centiles = {
        name: np.array([0.5 * (1 + erf(z / sqrt(2))) for z in measured[f"{name}_z"]])
        for name in ("height", "weight", "bmi")
    }
    names = {"height": "Height", "weight": "Weight", "bmi": "Bmi"}
    return measured.select(
        pl.col("system").cast(pl.String).alias("NCMPSystemId"),
        *_identity(measured),
        pl.col("year").alias("SchoolYear"),
        pl.col("sex").alias("Sex"),
        ethnic_category(world).alias("NHSEthnicCode"),
        pl.col("height").alias("Height"),
        pl.col("weight").alias("Weight"),
        pl.col("bmi").alias("Bmi"),
        *(pl.col(f"{k}_z").round(3).alias(f"{v}ZScore") for k, v in names.items()),
        *(pl.Series(f"{v}PScore", centiles[k].round(4)) for k, v in names.items()),
        _category("ClinicalBMIcategory", centiles["bmi"], CLINICAL),
        _category("PopulationBMIcategory", centiles["bmi"], POPULATION),
        pl.col("lsoa_code").alias("PupilLSOA"),
        la_codes(world, measured).alias("PupilLocalAuthorityCode"),
        pl.col("decile").alias("PupilIMDDecile"),
        pl.col("system").cast(pl.String).alias(LOCAL_ID),
    )


def _upload(world: World, measured: pl.DataFrame, swapped: pl.Series) -> pl.DataFrame:
    height, weight = (
        pl.when(swapped).then(a).otherwise(b)
        for a, b in (("weight", "height"), ("height", "weight"))
    )
    return measured.select(
        *_identity(measured),
        # some schools write the codes, some the letters
        pl.when(pl.col("system") % 5 == 0)
        .then(pl.col("sex").replace_strict({"M": "1", "F": "2"}))
        .otherwise("sex")
        .alias("Sex"),
        ethnic_category(world).alias("Ethnicity"),
        height.alias("Height"),
        weight.alias("Weight"),
        ("P" + pl.col("system").cast(pl.String)).alias(LOCAL_ID),
    )


def _category(name: str, centiles: np.ndarray, begins: dict[float, str]) -> pl.Series:
    """At or below the 2nd centile is underweight; from there each category begins in turn."""
    labels = np.array(["underweight", *begins.values()], dtype=object)
    edges = np.array(list(begins))
    place = np.searchsorted(edges, centiles, side="right")
    place[centiles == edges[0]] = 0
    return text(labels[place]).alias(name)
