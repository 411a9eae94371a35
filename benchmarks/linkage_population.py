"""A realistic population for measuring linkage: five sources, known truth, a million records.

English children under 20 in seven areas, in households with brothers, sisters and twins, recorded
by a GP (spine), schools and social care (with names), hospitals and mental health services (no
names). Names, origins, ethnic mixes and most error rates are those of :mod:`linked_cyp.synthetic`
(``parameters/``, where each says where it comes from); what that population has no need of is in
the constants of :mod:`benchmarks.linkage_people` and :mod:`benchmarks.linkage_errors`. Values come
out standardised, as linkage sees them: a placeholder (BABY, ZZ99, UN1, 1 January 1900) or a number
that fails its check digit is null.

Errors strike a record with its source's rate times a multiplier of ethnicity, deprivation and
local authority, because published linkages lose children of ethnic minorities and poor families
first (ECHILD, Libuy 2021; Harron 2017): differences between groups are in the data, not only in
the method.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from benchmarks import linkage_errors as errors
from benchmarks.linkage_levels import Level, levels
from benchmarks.linkage_people import LETTERS, Numbers, draw_numbers, draw_people, with_dirt
from linked_cyp.identity.person_records import IDENTITY_SCHEMA
from linked_cyp.synthetic.parameters import Parameters, Streams, load_parameters

FEEDS = tuple(errors.COVERAGE)
SPINE_SUPPLIER, HOSPITAL_SUPPLIER, MENTAL_HEALTH_SUPPLIER = 0, 21, 31
ALTERNATIVE_COLUMNS = (
    "other_forenames",
    "other_surnames",
    "other_postcodes",
    "other_upns",
    "other_nhs_numbers",
)


@dataclass(frozen=True)
class Population:
    """Records as linkage takes them, and what is true of them."""

    identities: pl.DataFrame  # IDENTITY_SCHEMA and the list columns of ALTERNATIVE_COLUMNS
    sources: pl.DataFrame  # source, feed, supplier, tells_apart
    aliases: pl.DataFrame  # identifier, former, present
    truth: pl.DataFrame  # record_key, child
    people: pl.DataFrame  # child, sex, ethnicity, name_origin, imd_decile, local_authority, ...


def population(children: int, seed: int = 1, level: str = "few") -> Population:
    """Draw a population.

    Args:
        children: how many; each has 2.4 records on average.
        seed: the same seed draws the same population.
        level: how dirty the records are: ``few``, ``realistic`` or ``harsh``
            (``linkage_levels.toml``).

    Returns:
        Record keys are random, records in no order that tells anything.
    """
    parameters, streams = load_parameters(), Streams(seed)
    dirt = levels()[level]
    people = with_dirt(draw_people(parameters, streams, children), dirt, streams("dirt"))
    numbers = draw_numbers(streams("numbers"), people)
    frames = [_feed(feed, people, numbers, parameters, streams(feed), dirt) for feed in FEEDS]
    records = pl.concat(frames)
    rng = streams("keys")
    order = rng.permutation(records.height)
    keys = np.sort(rng.integers(0, 2**62, records.height, dtype=np.int64))
    records = records[order].with_columns(pl.Series("record_key", keys))
    return Population(
        identities=records.select(*IDENTITY_SCHEMA, *ALTERNATIVE_COLUMNS),
        sources=_sources(),
        aliases=numbers.aliases,
        truth=records.select("record_key", "child"),
        people=people.select(
            "child",
            "sex",
            "ethnicity",
            "name_origin",
            "imd_decile",
            "local_authority",
            "birth_date",
            "is_twin",
            "household",
        ),
    )


def _sources() -> pl.DataFrame:
    places = range(1, len(LETTERS) + 1)
    rows = [(0, "gp", SPINE_SUPPLIER, False)]
    rows += [(n, "education", n, False) for n in places]
    rows += [(10 + n, "social_care", n, True) for n in places]
    rows += [
        (HOSPITAL_SUPPLIER, "hospital", HOSPITAL_SUPPLIER, False),
        (MENTAL_HEALTH_SUPPLIER, "mental_health", MENTAL_HEALTH_SUPPLIER, False),
    ]
    return pl.DataFrame(
        rows,
        schema={
            "source": pl.Int16,
            "feed": pl.String,
            "supplier": pl.Int16,
            "tells_apart": pl.Boolean,
        },
        orient="row",
    )


def _feed(
    feed: str,
    people: pl.DataFrame,
    numbers: Numbers,
    parameters: Parameters,
    rng: np.random.Generator,
    level: Level,
) -> pl.DataFrame:
    records = errors.Records(feed, people, parameters, rng, level)
    named = feed in errors.KNOWS_FORMER_SURNAME
    supplier = np.where(records.turn == 1, records.of("area_1"), records.of("area_0")) + 1
    fixed = {
        "gp": (0, SPINE_SUPPLIER),
        "hospital": (HOSPITAL_SUPPLIER,) * 2,
        "mental_health": (MENTAL_HEALTH_SUPPLIER,) * 2,
    }
    first_source = {"education": 0, "social_care": 10}
    frame = pl.DataFrame({"child": records.child}).with_columns(
        pl.Series("source", supplier + first_source[feed])
        if feed in first_source
        else pl.lit(fixed[feed][0]).alias("source"),
        pl.Series("supplier", supplier)
        if feed in first_source
        else pl.lit(fixed[feed][1]).alias("supplier"),
        pl.lit(None, dtype=pl.String).alias("exclusion"),
        errors.la_child_ids(records, supplier),
        errors.sexes(records),
        errors.birth_dates(records),
        *errors.nhs_numbers(records, numbers),
        *errors.pupil_numbers(records, numbers),
        *errors.postcodes(records),
        *(errors.names(records) if named else errors.no_names(len(records))),
    )
    return frame.select(
        "child",
        *(pl.col(n).cast(t) for n, t in IDENTITY_SCHEMA.items() if n != "record_key"),
        *ALTERNATIVE_COLUMNS,
    )
