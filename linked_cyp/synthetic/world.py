"""Everything that is true of one synthetic population, and how each source registered it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import polars as pl

from linked_cyp.synthetic.absence import Absence, Term, build_absence, terms_of
from linked_cyp.synthetic.care import Care, build_care
from linked_cyp.synthetic.education import Education, build_education
from linked_cyp.synthetic.errors import wrong_digit
from linked_cyp.synthetic.hospital import Hospital, build_hospital
from linked_cyp.synthetic.households import expected_households
from linked_cyp.synthetic.need import Need, build_need
from linked_cyp.synthetic.parameters import Parameters, Streams, as_days, day_of, text
from linked_cyp.synthetic.places import Places, build_places
from linked_cyp.synthetic.population import Population, adopt, build_population
from linked_cyp.synthetic.records import Registrations, register

Part = TypeVar("Part")


@dataclass(frozen=True)
class World:
    """The truth and the registrations; writers read it and add nothing but form.

    What only some feeds tell of (GP records, attainment) is a part, made when first asked for.
    """

    parameters: Parameters
    streams: Streams
    years: range
    places: Places
    population: Population
    care: Care
    need: Need
    education: Education
    terms: list[Term]
    absence: Absence
    hospital: Hospital
    registrations: Registrations
    home_postcodes: pl.DataFrame
    snapshot: int
    _parts: dict[Callable[[World], Any], Any] = field(default_factory=dict, repr=False)

    def part(self, build: Callable[[World], Part]) -> Part:
        """What ``build`` makes of this world, made once."""
        if build not in self._parts:
            self._parts[build] = build(self)
        return self._parts[build]


def build_world(
    parameters: Parameters, streams: Streams, *, children: int, authorities: int, years: range
) -> World:
    """Simulate the population for the collection years ``years`` (each the year it ends)."""
    last = years[-1]
    homes = expected_households(parameters, children)
    places = build_places(parameters, streams, authorities=authorities, households=homes)
    population = build_population(parameters, streams, places, children=children, last_year=last)
    care = build_care(parameters, streams, places, population)
    population = adopt(parameters, streams, places, population, care.adoptions)
    need = build_need(parameters, streams, places, population, care, last)
    first_day = as_days(f"{years[0] - 1}-04-01")
    education = build_education(parameters, streams, places, population, first_day=first_day)
    terms = terms_of(parameters, range(years[0], last + 2))
    absence = build_absence(parameters, streams, population, education, care, need, terms)
    hospital = build_hospital(
        parameters,
        streams,
        places,
        population,
        care,
        need,
        first_day=first_day,
        last_day=as_days(f"{last}-03-31"),
    )
    snapshot = day_of(last, parameters.deliveries["feeds"]["pds_demographics"]["snapshot"])
    registrations = register(
        parameters,
        streams,
        places,
        population,
        education,
        care,
        need,
        hospital,
        snapshot=snapshot,
    )
    return World(
        parameters,
        streams,
        years,
        places,
        population,
        care,
        need,
        education,
        terms,
        absence,
        hospital,
        registrations,
        _home_postcodes(parameters, streams, places, care),
        snapshot,
    )


def _home_postcodes(
    parameters: Parameters, streams: Streams, places: Places, care: Care
) -> pl.DataFrame:
    """Home postcode of each period of care as the authority wrote it: period_id, home_postcode."""
    rng = streams("home postcodes")
    model = parameters.errors["sources"]["social_care"]["postcode"]
    frame = care.periods.select("period_id", postcode_id="home_postcode_id").join(
        places.postcodes.select("postcode_id", "postcode"),
        on="postcode_id",
        how="left",
        maintain_order="left",
    )
    written = np.array(frame["postcode"].to_list(), dtype=object)
    for row in np.flatnonzero(rng.random(len(written)) < model["digit"]):
        written[row] = wrong_digit(written[row], rng) if written[row] else None
    written[rng.random(len(written)) < model["missing"]] = None
    return frame.select("period_id", home_postcode=text(written))
