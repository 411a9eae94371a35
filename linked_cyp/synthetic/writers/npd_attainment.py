"""Pupil attainment as the department's pupil download gives it: unquoted text, dates dd/MM/yyyy.

One authority keeps npd_results.zip as it came, one saves tab-delimited files, one CSV files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl

from linked_cyp.synthetic.attainment import GOALS, build_attainment
from linked_cyp.synthetic.parameters import date_column
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import PERSON, Sent, Style


def _areas(**goals: int) -> list[str]:
    """The area of learning of each goal in turn, from how many goals each area has."""
    return [area for area, count in goals.items() for _ in range(count)]


FORMS = (
    Style(date="%d/%m/%Y", zipped="npd_results.zip"),
    Style(date="%d/%m/%Y", file_name="{}.tab".format),
    Style(date="%d/%m/%Y"),
)
AREAS = _areas(COM=2, PSE=3, PHY=2, LIT=3, MAT=2, UTW=3, EXP=2)
OLD_AREAS = _areas(COM=3, PHY=2, PSE=3, LIT=2, MAT=2, UTW=3, EXP=2)


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """The download of the last year of every authority."""
    for area in range(world.places.outside):
        yield partial(npd_attainment, world, area, world.years[-1])


def npd_attainment(world: World, area: int, year: int) -> Sent:
    """One authority's download, made in the autumn after a school year."""
    look = world.parameters.deliveries["styles"][area % 3]
    made = world.part(build_attainment)
    facts = _facts(world, area)
    tables = {
        "eyfsp": _eyfsp(facts, made.eyfsp, year),
        "phonics": _phonics(facts, made.phonics),
        "ks1": _ks1(facts, made.ks1),
        "mtc": _mtc(facts, made.mtc),
        "ks2": _ks2(facts, made.ks2),
        "ks4": _ks4(facts, made.ks4),
        "pupil_premium": _premium(facts, made.premium),
    }
    return Sent(
        feed="npd_attainment",
        supplier=world.places.areas["slug"][area],
        period=str(year),
        produced=f"{year}-11-20T10:00:00",
        tables=tables,
        style=replace(FORMS[area % 3], encoding=look["encoding"], manifest=look["manifest"]),
        delimiters=dict.fromkeys(tables, "\t") if area % 3 == 1 else {},
    )


def _facts(world: World, area: int) -> pl.DataFrame:
    """Registrations at schools of an authority, as those schools wrote the pupils down."""
    return (
        world.education.enrolments.filter(pl.col("area") == area)
        .select("enrolment_id", "school_id")
        .join(
            world.education.schools.select("school_id", "laestab", "urn", "authority", "estab"),
            on="school_id",
            how="left",
            maintain_order="left",
        )
        .join(
            world.registrations.school.select(
                "enrolment_id", "forename", "surname", "birth", "sex", "upn"
            ),
            on="enrolment_id",
            how="left",
            maintain_order="left",
        )
        .with_columns(pl.col("urn", "authority", "estab").cast(pl.String))
    )


def _table(
    facts: pl.DataFrame,
    results: pl.DataFrame,
    names: tuple[str, ...],
    columns: dict[str, pl.Expr | str],
    year: str | None = "slash",
) -> pl.DataFrame:
    """Results with who and where; ``names`` are the headers of year, UPN, surname, forename, birth
    date, sex, LAESTAB and URN in turn (an empty one is not written)."""
    rows = results.join(facts, on="enrolment_id", how="inner", maintain_order="left")
    ends = pl.col("academic_year")
    written = pl.format("{}/{}", ends - 1, ends) if year == "slash" else ends.cast(pl.String)
    common = (
        written,
        pl.col("upn"),
        pl.col("surname"),
        pl.col("forename"),
        pl.lit(date_column("birth", rows["birth"].to_numpy())),
        pl.col("sex"),
        pl.col("laestab"),
        pl.col("urn"),
    )
    return rows.select(
        *(value.alias(name) for name, value in zip(names, common, strict=True) if name),
        *(
            (pl.col(value) if isinstance(value, str) else value).alias(name)
            for name, value in columns.items()
        ),
        pl.col("person_id").alias(PERSON),
    )


def _eyfsp(facts: pl.DataFrame, results: pl.DataFrame, year: int) -> pl.DataFrame:
    letter, areas = ("E", AREAS) if year >= 2022 else ("G", OLD_AREAS)
    goals: dict[str, pl.Expr | str] = {
        f"FSP_{areas[i]}_{letter}{i + 1:02d}": pl.col("goals").str.slice(i, 1) for i in range(GOALS)
    }
    goals["FSP_GLD"] = pl.col("good").cast(pl.Int8)
    return _table(
        facts,
        results,
        (
            "FSP_ACADYR",
            "FSP_UPN",
            "FSP_SURNAME",
            "FSP_FORENAME",
            "FSP_DOB",
            "FSP_SEX",
            "FSP_LAESTAB",
            "FSP_URN",
        ),
        goals,
    )


def _phonics(facts: pl.DataFrame, results: pl.DataFrame) -> pl.DataFrame:
    return _table(
        facts,
        results,
        (
            "Phonics_ACADYR",
            "Phonics_UPN",
            "Phonics_SURNAME",
            "Phonics_FORENAMES",
            "Phonics_DOB",
            "Phonics_SEX",
            "",
            "Phonics_URN",
        ),
        {
            "Phonics_LA": "authority",
            "Phonics_ESTAB": "estab",
            "Phonics_NCYEARACTUAL": pl.col("group").cast(pl.String),
            "Phonics_PHONICS_MARK": "mark",
            "Phonics_PHONICS_OUTCOME": "outcome",
        },
    )


PLAIN = ("ACADYR", "UPN", "SURNAME", "FORENAMES", "DOB", "SEX", "LAESTAB", "URN")


def _ks1(facts: pl.DataFrame, results: pl.DataFrame) -> pl.DataFrame:
    subjects = {"READ": "reading", "WRIT": "writing", "MATH": "maths", "SCI": "science"}
    return _table(facts, results, PLAIN, {f"{k}_OUTCOME": pl.col(v) for k, v in subjects.items()})


def _mtc(facts: pl.DataFrame, results: pl.DataFrame) -> pl.DataFrame:
    names = ("ACADYR", "UPN", "Surname", "Forename", "DOB", "Sex", "LAESTAB", "URN")
    return _table(
        facts,
        results,
        names,
        {
            "LA": "authority",
            "ESTAB": "estab",
            "FormMark": "mark",
            "PupilStatus": pl.when(pl.col("mark").is_null())
            .then(pl.lit("N"))
            .otherwise(pl.lit("C")),
            "ReasonNotTakingCheck": pl.when(pl.col("mark").is_null()).then(pl.lit("A")),
        },
        year="plain",
    )


def _ks2(facts: pl.DataFrame, results: pl.DataFrame) -> pl.DataFrame:
    reading, maths = pl.col("reading") >= 100, pl.col("maths") >= 100
    writing = pl.col("writing").is_in(["EXS", "GDS"])
    together = reading.fill_null(False) & maths.fill_null(False) & writing
    higher = (
        (pl.col("reading") >= 110).fill_null(False)
        & (pl.col("maths") >= 110).fill_null(False)
        & (pl.col("writing") == "GDS")
    )
    flags = {
        "READEXP": reading.fill_null(False),
        "MATEXP": maths.fill_null(False),
        "WRITTAEXP": writing,
        "RWMEXP": together,
        "RWMHIGH": higher,
    }
    return _table(
        facts,
        results,
        PLAIN,
        {
            "ENDKS": pl.lit(1),
            "READOUTCOME": "reading_outcome",
            "READSCORE": "reading",
            "MATOUTCOME": "maths_outcome",
            "MATSCORE": "maths",
            "GPSOUTCOME": "grammar_outcome",
            "GPSSCORE": "grammar",
            "WRITTAOUTCOME": "writing",
            "SCITAOUTCOME": pl.when(pl.col("science").is_in(["GDS", "EXS"]))
            .then(pl.lit("EXS"))
            .otherwise(pl.lit("HNM")),
            "ELIGRWM": pl.lit(1),
            **{name: flag.cast(pl.Int8) for name, flag in flags.items()},
        },
    )


def _ks4(facts: pl.DataFrame, results: pl.DataFrame) -> pl.DataFrame:
    both = {n: (pl.col("english") >= n) & (pl.col("maths") >= n) for n in (4, 5)}
    return _table(
        facts,
        results,
        tuple(f"KS4_{name}" for name in PLAIN),
        {
            "KS4_ENDKS": pl.lit(1),
            "KS4_PASS_94": "passes",
            "KS4_HGMATH_91": _grade("maths"),
            "KS4_APENG_91": _grade("english"),
            "KS4_L2BASICS_94": both[4].cast(pl.Int8),
            "KS4_L2BASICS_95": both[5].cast(pl.Int8),
            "KS4_ATT8": "attainment_8",
            "KS4_P8SCORE": "progress_8",
        },
    )


def _grade(subject: str) -> pl.Expr:
    grade = pl.col(subject)
    return pl.when(grade == 0).then(pl.lit("U")).otherwise(grade.cast(pl.String))


def _premium(facts: pl.DataFrame, results: pl.DataFrame) -> pl.DataFrame:
    group = pl.col("group")
    ends = results["academic_year"].to_numpy() - 1970
    first = (ends.astype("datetime64[Y]").astype("datetime64[M]") + 3).astype("datetime64[D]")
    last = (first.astype("datetime64[M]") + 12).astype("datetime64[D]") - np.timedelta64(1, "D")
    results = results.with_columns(
        first=pl.Series(first.astype(np.int64).astype(np.int32)).cast(pl.Date),
        last=pl.Series(last.astype(np.int64).astype(np.int32)).cast(pl.Date),
    )
    return _table(
        facts,
        results,
        ("", "UPN", "Surname", "Forename", "DOB", "Sex", "", ""),
        {
            "NCYear": pl.when(group == 0).then(pl.lit("R")).otherwise(group.cast(pl.String)),
            "DeprivationPupilPremium": pl.col("fsm").cast(pl.Int8),
            "ServiceChildPremium": pl.lit(0),
            "AdoptedfromCarePremium": pl.lit(0),
            "LookedAfterPremium": pl.col("looked_after").cast(pl.Int8),
            "PupilPremiumFTE": pl.lit(1.0),
            "PupilPremiumCashAmount": pl.col("amount").cast(pl.Float64),
            "PupilPremiumFYStartDate": "first",
            "PupilPremiumFYEndDate": "last",
        },
    )
