"""The registers behind the absence of a term: which session was missed, and with what code.

Absence is drawn by term (``absence``); here it is laid out over the school days of the term, whole
days together as a rule, so that the sessions of a term add up to what the census reports.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from linked_cyp.synthetic.absence import Term
from linked_cyp.synthetic.world import World

LATE, ELSEWHERE = 0.012, 0.004
PRESENT = ("/", "\\")


def school_days(term: Term) -> np.ndarray:
    """Day numbers of a term's school days: weekdays, without the half-term week in its middle."""
    days = np.arange(term.from_day, term.to_day)
    days = days[(days + 3) % 7 < 5]  # 1 January 1970 was a Thursday
    free = max(0, len(days) - term.sessions // 2)
    begin = (len(days) - free) // 2
    # the free days of a whole week are one week, not parts of two
    begin = begin // 5 * 5 if free >= 5 else begin
    return np.delete(days, np.arange(begin, begin + free))


def registers(world: World, area: int, term_number: int) -> pl.DataFrame:
    """The codes of every session of a term at an authority's schools: enrolment_id, day, session,
    code. Nursery classes do not report them."""
    term = world.terms[term_number]
    rng = world.streams(f"registers {area} {term.academic_year} {term.name}")
    days = school_days(term)
    sessions = world.absence.sessions.filter(pl.col("term") == term_number)
    held = (
        world.education.enrolments.filter(pl.col("area") == area)
        .join(sessions, on="enrolment_id", how="inner", maintain_order="left")
        .with_row_index("row")
    )
    size, width = held.height, 2 * len(days)
    on_roll = (days >= held["from_day"].to_numpy()[:, None]) & (
        days < held["to_day"].to_numpy()[:, None]
    )
    on_roll = np.repeat(on_roll, 2, axis=1)
    codes = np.where(np.arange(width) % 2 == 0, *PRESENT).astype(object)
    codes = np.tile(codes, (size, 1))
    draw = rng.random((size, width))
    codes[draw < LATE] = "L"
    codes[draw > 1 - ELSEWHERE] = "B"
    # the order in which sessions are missed: both halves of a day one after the other
    key = np.repeat(rng.random((size, len(days))), 2, axis=1) + rng.random((size, width)) * 0.004
    order = np.argsort(np.where(on_roll, key, np.inf), axis=1, kind="stable")
    missed = _missed(world, held, term_number)
    place = missed["place"].to_numpy()
    fits = place < on_roll.sum(axis=1)[missed["row"].to_numpy()]
    row = missed["row"].to_numpy()[fits]
    codes[row, order[row, place[fits]]] = missed["code"].to_numpy()[fits]
    # a subsidiary registration is for a third of the week: elsewhere on the other days
    elsewhere = held["subsidiary"].to_numpy()[:, None] & (np.arange(width) // 2 % 3 != 0)
    codes[elsewhere] = "D"
    row, column = np.nonzero(on_roll)
    return pl.DataFrame(
        {
            "enrolment_id": held["enrolment_id"].gather(row),
            "day": days[column // 2],
            "session": np.where(column % 2 == 0, "AM", "PM").tolist(),
            "code": codes[row, column].tolist(),
        },
        schema_overrides={"session": pl.String, "code": pl.String},
    )


def _missed(world: World, held: pl.DataFrame, term_number: int) -> pl.DataFrame:
    """Every missed session of each registration, in no particular days: row, place, code."""
    return (
        world.absence.reasons.filter(pl.col("term") == term_number)
        .join(held.select("row", "enrolment_id"), on="enrolment_id", how="inner")
        .sort("row", "code")
        .select(pl.col("row").cast(pl.Int64), "code", "sessions")
        .select(pl.all().repeat_by("sessions"))
        .explode("row", "code", "sessions")
        .with_columns(place=pl.int_range(pl.len()).over("row"))
    )
