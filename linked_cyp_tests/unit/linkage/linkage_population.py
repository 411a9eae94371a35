"""A small population with known truth, as standardised identities (for tests of linkage only)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

from linked_cyp.identity.person_records import IDENTITY_SCHEMA

SYLLABLES = ("BA", "RO", "MI", "LEN", "KA", "TOR", "SU", "DAN", "PEL", "WY", "GRI", "HO", "ZEF")
SOURCES = pl.DataFrame(
    {
        "source": [0, 1, 2, 3],
        "feed": ["pds_demographics", "school_census", "ssda903", "sus_apc"],
        "supplier": [0, 1, 1, 0],
        "tells_apart": [False, False, True, False],
    },
    schema_overrides={"source": pl.Int16, "supplier": pl.Int16},
)
NO_ALIASES = pl.DataFrame(
    schema={"identifier": pl.String, "former": pl.String, "present": pl.String}
)


@dataclass(frozen=True)
class Population:
    identities: pl.DataFrame
    truth: pl.DataFrame  # record_key, child


def _names(draw: np.random.Generator, n: int) -> list[str]:
    return ["".join(draw.choice(SYLLABLES, size)) for size in draw.integers(2, 4, n)]


def _upn(number: int) -> str:
    return f"A{number:012d}"


def population(children: int = 400, seed: int = 7, twins: float = 0.05) -> Population:
    """Children in four sources with errors: the spine and schools have names, the others none."""
    draw = np.random.default_rng(seed)
    forenames, surnames = _names(draw, 300), _names(draw, 400)
    people = []
    while len(people) < children:
        inward = "".join(draw.choice(list("ABDEFGH"), 2))
        postcode = f"NW{draw.integers(1, 9)} {draw.integers(1, 9)}{inward}"
        birth = dt.date(2008, 1, 1) + dt.timedelta(days=int(draw.integers(0, 4000)))
        surname = str(draw.choice(surnames))
        for _ in range(2 if draw.random() < twins else 1):
            people.append((str(draw.choice(forenames)), surname, birth, postcode))
    rows, truth = [], []
    for child, (forename, surname, birth, postcode) in enumerate(people):
        sex = int(draw.integers(1, 3))
        nhs, upn = f"999{child:07d}", _upn(child)
        for source in SOURCES["source"].to_list():
            if draw.random() < (0.02, 0.1, 0.8, 0.4)[source]:
                continue
            key = child * 10 + source + 1
            named = source in (0, 1)
            row = {
                "record_key": key,
                "source": source,
                "supplier": SOURCES["supplier"][source],
                "exclusion": None,
                "nhs_number": nhs
                if source == 0 or (source == 3 and draw.random() < 0.95)
                else None,
                "upn": upn if source == 1 or (source == 2 and draw.random() < 0.8) else None,
                "la_child_id": f"1|C{child}" if source == 2 else None,
                "forename": forename if named else None,
                "surname": surname if named else None,
                "birth_date": birth,
                "sex": sex,
                "postcode": postcode,
            }
            rows.append(_with_errors(row, draw) if source else row)
            truth.append((key, child))
    return Population(
        pl.DataFrame(rows, schema=IDENTITY_SCHEMA).sort("record_key"),
        pl.DataFrame(truth, schema=["record_key", "child"], orient="row"),
    )


def _with_errors(row: dict, draw: np.random.Generator) -> dict:
    row = dict(row)
    if row["forename"] and draw.random() < 0.05:
        place = int(draw.integers(1, len(row["forename"])))
        row["forename"] = row["forename"][:place] + "X" + row["forename"][place:]
    if row["surname"] and draw.random() < 0.05:
        row["surname"] = f"{row['surname']} {draw.choice(SYLLABLES)}SON"
    if draw.random() < 0.01:
        row["birth_date"] += dt.timedelta(days=1)
    if draw.random() < 0.15:
        row["postcode"] = f"HA{draw.integers(1, 9)} {draw.integers(1, 9)}ZZ"
    return row
