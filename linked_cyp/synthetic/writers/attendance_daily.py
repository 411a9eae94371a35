"""Daily attendance: the register codes of one authority's schools, session by session.

The layout is a guess from the published list of data items (see the contract).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import polars as pl

from linked_cyp.synthetic.education import year_group
from linked_cyp.synthetic.parameters import as_days, date_column
from linked_cyp.synthetic.registers import registers
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import PERSON, Sent, Style, monthly


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """The months named for the last year, of the first authorities."""
    rules = world.parameters.deliveries["feeds"]["attendance_daily"]
    last = monthly(world, rules)[len(world.years) - 1 :]
    for area in range(min(rules["authorities"], world.places.outside)):
        for month in last:
            yield partial(attendance_daily, world, area, month)


def attendance_daily(world: World, area: int, month: str) -> Sent:
    """One authority's registers of a month, written ``2025-03``."""
    look = world.parameters.deliveries["styles"][area % 3]
    first = as_days(f"{month}-01")
    until = int((np.datetime64(month, "M") + 1).astype("datetime64[D]").astype(np.int64))
    found = [
        registers(world, area, number).filter(pl.col("day").is_between(first, until - 1))
        for number, term in enumerate(world.terms)
        if term.from_day < until and term.to_day > first
    ]
    return Sent(
        feed="attendance_daily",
        supplier=world.places.areas["slug"][area],
        period=month,
        produced=f"{np.datetime64(until + 4, 'D')}T06:00:00",
        tables={"sessions": _sessions(world, pl.concat(found), first)},
        style=Style(
            date="%d/%m/%Y",
            encoding=look["encoding"],
            manifest=look["manifest"],
            file_name=f"attendance_{month}_{{}}.csv".format,
        ),
    )


def _sessions(world: World, rows: pl.DataFrame, day: int) -> pl.DataFrame:
    facts = _facts(world, rows["enrolment_id"].unique(), day)
    rows = rows.join(facts, on="enrolment_id", how="left", maintain_order="left").sort(
        "urn", "day", "enrolment_id", "session", maintain_order=True
    )
    group = pl.col("group")
    leaving = rows["to_day"].to_numpy() - 1
    return rows.select(
        UPN="upn",
        URN=pl.col("urn").cast(pl.String),
        LACode=pl.col("authority").cast(pl.String),
        Forename="forename",
        Surname="surname",
        DateOfBirth=date_column("birth", rows["birth"].to_numpy()),
        Sex="sex",
        Ethnicity="ethnicity",
        NCYear=pl.when(group == 0).then(pl.lit("R")).otherwise(group.clip(1, 14).cast(pl.String)),
        FSM="fsm",
        SENSupport=pl.col("sen") == "K",
        EHCP=pl.col("sen") == "E",
        LookedAfter="looked_after",
        ChildInNeed="in_need",
        ChildProtectionPlan="protected",
        AdmissionDate=date_column("from", rows["from_day"].to_numpy()),
        LeavingDate=date_column("to", leaving, leaving > rows["day"].to_numpy()),
        Date=date_column("day", rows["day"].to_numpy()),
        Session="session",
        Code="code",
        **{PERSON: "person_id"},
    )


def _facts(world: World, enrolments: pl.Series, day: int) -> pl.DataFrame:
    """Who each registration is of, as the school wrote it down, and what it knows of the pupil."""
    need, care = world.need, world.care
    referrals = need.referrals.filter(
        pl.col("path") != "nfa", pl.col("day") <= day, pl.col("close") > day
    )
    protected = need.protection.filter(pl.col("start") <= day, pl.col("end") > day).join(
        need.referrals.select("referral_id", "person_id"), on="referral_id"
    )
    looked_after = care.periods.filter(pl.col("start") <= day, pl.col("end") > day)
    held = (
        world.education.enrolments.filter(pl.col("enrolment_id").is_in(enrolments.implode()))
        .select("enrolment_id", "person_id", "school_id", "from_day", "to_day", true_birth="birth")
        .join(
            world.education.schools.select("school_id", "urn", "authority"),
            on="school_id",
            how="left",
            maintain_order="left",
        )
        .join(
            world.registrations.school.select(
                "enrolment_id", "forename", "surname", "birth", "sex", "ethnicity", "upn"
            ),
            on="enrolment_id",
            how="left",
            maintain_order="left",
        )
        .join(
            world.education.pupils.select("person_id", "sen", "fsm_from", "fsm_to"),
            on="person_id",
            how="left",
            maintain_order="left",
        )
    )
    return held.with_columns(
        group=pl.Series(year_group(held["true_birth"].to_numpy(), day)),
        fsm=(
            (pl.col("fsm_from") <= day) & (pl.col("fsm_to").is_null() | (pl.col("fsm_to") > day))
        ).fill_null(False),
        in_need=pl.col("person_id").is_in(referrals["person_id"].unique().implode()),
        protected=pl.col("person_id").is_in(protected["person_id"].unique().implode()),
        looked_after=pl.col("person_id").is_in(looked_after["person_id"].unique().implode()),
    )
