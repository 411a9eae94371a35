"""SEN2: nine COLLECT-style CSV files for each authority and year, from person to need.

The return of January reports the calendar year before: what was asked for, decided, issued or ended
in it, and every plan active on census day. A request decided earlier is there with outcome H.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import polars as pl

from linked_cyp.synthetic.education import year_group
from linked_cyp.synthetic.numbers import hexadecimal
from linked_cyp.synthetic.parameters import as_days, date_column, day_of, pick, text
from linked_cyp.synthetic.plans import build_plans
from linked_cyp.synthetic.records import postcode_on
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import LOCAL_ID, PERSON, Sent, Style


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """The return of the last year of every authority."""
    for area in range(world.places.outside):
        yield partial(sen2, world, area, world.years[-1])


def sen2(world: World, area: int, year: int) -> Sent:
    """One authority's return of January of a year."""
    look = world.parameters.deliveries["styles"][area % 3]
    census = day_of(year, world.parameters.part("plans")["census_day"])
    written = np.datetime64(census + 30, "D").item()
    return Sent(
        feed="sen2",
        supplier=world.places.areas["slug"][area],
        period=str(year),
        produced=f"{written:%Y-%m-%d}T15:00:00",
        tables=_Return(world, area, year, census).tables(),
        style=Style(
            date="%Y-%b-%d 00:00:00",
            encoding=look["encoding"],
            manifest=look["manifest"],
            file_name=f"Blade-Export_{written:%d-%m-%Y}_{{}}.csv".format,
        ),
    )


class _Return:
    def __init__(self, world: World, area: int, year: int, census: int) -> None:
        self.world, self.area, self.year, self.census = world, area, year, census
        self.first, self.last = as_days(f"{year - 1}-01-01"), as_days(f"{year - 1}-12-31")
        self.rng = world.streams(f"sen2 {area} {year}")
        self.rules = world.parameters.part("plans")
        self.sen2_id = hexadecimal(self.rng, 1, 8)[0]

    def tables(self) -> dict[str, pl.DataFrame]:
        made = self.world.part(build_plans)
        held = made.requests.join(
            made.assessments, on="request_id", how="left", suffix="_assessment"
        ).join(made.plans.drop("person_id"), on="request_id", how="left")
        held = held.filter(pl.col("received") <= self.last, self._reported()).sort("request_id")
        held = held.join(self._homes(), on="person_id", how="inner", maintain_order="left")
        persons = held.unique("person_id", keep="first", maintain_order=True)
        persons = persons.with_columns(person_key=self._keys(persons.height))
        requests = held.join(
            persons.select("person_id", "person_key"), on="person_id", maintain_order="left"
        ).with_columns(request_key=self._keys(held.height))
        assessments = requests.filter(
            pl.col("outcome") == "Y",
            pl.col("decided") <= self.last,
            pl.col("decided_assessment").is_not_null(),
            (pl.col("decided_assessment") >= self.first) | self._in_year("start", "cease"),
        )
        assessments = assessments.with_columns(assessment_key=self._keys(assessments.height))
        named = assessments.filter(self._in_year("start", "cease"))
        named = named.with_columns(plan_key=self._keys(named.height))
        active = requests.filter(
            pl.col("start") <= self.census, pl.col("cease") > self.census
        ).drop("residential")
        active = active.with_columns(
            active_key=self._keys(active.height),
            residential=pl.Series(self.rng.random(active.height) < self.rules["residential"]),
        )
        return {
            "sen2": pl.DataFrame(
                {"sen2tableid": [self.sen2_id], **self._common("sen2", 1)}, strict=False
            ),
            "person": self._persons(persons),
            "requests": self._requests(requests),
            "assessment": self._assessments(assessments),
            "named_plan": self._named(named),
            "plan_detail": self._detail(named),
            "active_plans": self._active(active),
            "placement_detail": self._placements(active),
            "sen_need": self._needs(active),
        }

    def _reported(self) -> pl.Expr:
        happened = self._in_year("received", "decided", "decided_assessment", "start", "cease")
        active = (pl.col("start") <= self.census) & (pl.col("cease") > self.census)
        return (happened | active.fill_null(False)).fill_null(False)

    def _in_year(self, *columns: str) -> pl.Expr:
        return pl.any_horizontal(
            pl.col(c).is_between(self.first, self.last).fill_null(False) for c in columns
        )

    def _homes(self) -> pl.DataFrame:
        """The school of each pupil on census day (the last one before, or the first one after),
        if it is the authority's, and how that school wrote the pupil down."""
        order = (
            (pl.col("from_day") > self.census),
            (pl.col("to_day").clip(upper_bound=self.census + 1) * -1),
            pl.col("from_day"),
        )
        schools = self.world.education.schools.select("school_id", "urn")
        return (
            self.world.education.enrolments.filter(~pl.col("subsidiary"))
            .sort("person_id", *order, maintain_order=True)
            .unique("person_id", keep="first", maintain_order=True)
            .filter(pl.col("area") == self.area)
            .select("enrolment_id", "person_id", "school_id", "from_day", "to_day")
            .join(schools, on="school_id", how="left", maintain_order="left")
            .join(
                self.world.registrations.school.drop("person_id", "day"),
                on="enrolment_id",
                how="left",
                maintain_order="left",
            )
            .join(
                self.world.education.pupils.select("person_id", "sen_types"),
                on="person_id",
                how="left",
                maintain_order="left",
            )
        )

    def _keys(self, size: int) -> pl.Series:
        return pl.Series(hexadecimal(self.rng, size, 10) if size else [], dtype=pl.String)

    def _common(self, stem: str, size: int) -> dict[str, pl.Series]:
        return {
            "NativeId": text([str(self.world.places.areas["number"][self.area])] * size),
            f"{stem}orderseqcolumn": pl.Series(range(1, size + 1), dtype=pl.Int64),
            "sourceid": text([self.sen2_id] * size),
        }

    def _table(
        self, rows: pl.DataFrame, stem: str, key: str | None, **columns: object
    ) -> pl.DataFrame:
        """A table with the columns every one has; ``key`` names the rows' own key, if made."""
        own = rows[key] if key else self._keys(rows.height)
        common = pl.DataFrame(
            {f"{stem}tableid": own.alias(f"{stem}tableid"), **self._common(stem, rows.height)}
        )
        return pl.concat([common, rows.select(**columns)], how="horizontal")

    def _persons(self, rows: pl.DataFrame) -> pl.DataFrame:
        rows = rows.with_columns(
            census_day=pl.lit(self.census, dtype=pl.Int64),
        )
        group = year_group(rows["birth"].to_numpy(), self.census)
        table = self._table(
            rows,
            "person",
            "person_key",
            sen2tableid=pl.lit(self.sen2_id),
            surname="surname",
            forename="forename",
            personbirthdate=date_column("d", rows["birth"].to_numpy()),
            ethnicity=pl.col("ethnicity").replace(self._main_ethnicities()),
            postcode=postcode_on(rows, self.world.population, self.world.places, "census_day"),
            upn=pl.when(pl.Series(group >= 0)).then("upn"),
            uniquelearnernumber=pl.when(pl.Series(group >= 9)).then("uln"),
            upnunknown=pl.when(pl.Series(group < 0)).then(pl.lit("UN1")),
            **{PERSON: "person_id", LOCAL_ID: "person_key"},
        )
        if self.year >= 2025:
            return table.with_columns(sex=rows["sex"])
        return table.with_columns(sex=rows["sex"].replace({"M": "1", "F": "2", "U": "0"}))

    def _main_ethnicities(self) -> dict[str, str]:
        frame = self.world.parameters.ethnicity
        return {
            extended: main
            for main, options in zip(frame["ethnicity"], frame["school_extended"], strict=True)
            for extended in options.split("|")
        }

    def _requests(self, rows: pl.DataFrame) -> pl.DataFrame:
        return self._table(
            rows,
            "requests",
            "request_key",
            persontableid="person_key",
            receiveddate=_date(rows, "received"),
            rya=pl.lit(False),
            requestoutcomedate=_date(rows, "decided", self.last),
            requestoutcome=self._outcome("decided", "outcome"),
            requestmediation="mediation",
            requesttribunal="tribunal",
        )

    def _outcome(self, day: str, outcome: str) -> pl.Expr:
        """The outcome as the return of this year gives it."""
        return (
            pl.when(pl.col(day) > self.last)
            .then(pl.lit("A"))
            .when(pl.col(day) < self.first)
            .then(pl.lit("H"))
            .otherwise(pl.col(outcome))
        )

    def _assessments(self, rows: pl.DataFrame) -> pl.DataFrame:
        about = self.rules["about_plan"]
        return self._table(
            rows,
            "assessment",
            "assessment_key",
            requeststableid="request_key",
            assessmentoutcome=self._outcome("decided_assessment", "outcome_assessment"),
            assessmentoutcomedate=_date(rows, "decided_assessment", self.last),
            assessmentmediation=pl.col("outcome_assessment") == "N",
            assessmenttribunal=pl.lit(False),
            othermediation=pl.Series(self.rng.random(rows.height) < about["mediation"]),
            othertribunal=pl.Series(self.rng.random(rows.height) < about["tribunal"]),
            week20="exception",
        )

    def _named(self, rows: pl.DataFrame) -> pl.DataFrame:
        ended = pl.col("cease") <= self.last
        return self._table(
            rows,
            "namedplan",
            "plan_key",
            assessmenttableid="assessment_key",
            startdate=_date(rows, "start"),
            pb="budget",
            oa=pl.lit(False),
            ceasedate=_date(rows, "cease", self.last),
            ceasereason=pl.when(ended).then("cease_reason"),
        )

    def _detail(self, rows: pl.DataFrame) -> pl.DataFrame:
        return self._table(
            rows,
            "plandetail",
            None,
            namedplantableid="plan_key",
            urn=pl.col("urn").cast(pl.String),
            placementrank=pl.lit(1),
            senunitindicator=pl.lit(False),
            resourcedprovisionindicator=pl.lit(False),
        )

    def _active(self, rows: pl.DataFrame) -> pl.DataFrame:
        due = (pl.col("start") < self.last - 400) & pl.Series(
            self.rng.random(rows.height) < self.rules["review"]
        )
        review = self.first + self.rng.integers(0, 365, rows.height)
        outcome = pl.Series(pick(self.rng, self.rules["review_outcomes"], rows.height).astype(str))
        held = pl.Series(review.astype(np.int32)).cast(pl.Date)
        return self._table(
            rows,
            "activeplans",
            "active_key",
            requeststableid="request_key",
            res=pl.when("residential").then(pl.lit("1")),
            reviewmeeting=pl.when(due).then(held),
            reviewoutcome=pl.when(due).then(outcome),
            lastreview=pl.when(due).then(held),
        )

    def _placements(self, rows: pl.DataFrame) -> pl.DataFrame:
        there = (pl.col("from_day") <= self.census) & (pl.col("to_day") > self.census)
        return self._table(
            rows,
            "placementdetail",
            None,
            activeplanstableid="active_key",
            urn=pl.when(there).then(pl.col("urn").cast(pl.String)),
            sensetting=pl.when(~there).then(pl.lit("OTH")),
            placementrank=pl.lit(1),
            entrydate=pl.when(there).then(_date(rows, "from_day")),
            senunitindicator=pl.lit(False),
            resourcedprovisionindicator=pl.lit(False),
        )

    def _needs(self, rows: pl.DataFrame) -> pl.DataFrame:
        needs = (
            rows.select("active_key", sen_type=pl.col("sen_types").str.split(" "))
            .explode("sen_type")
            .with_columns(rank=pl.int_range(pl.len()).over("active_key") + 1)
        )
        return self._table(
            needs,
            "senneed",
            None,
            activeplanstableid="active_key",
            sentype="sen_type",
            sentyperank="rank",
        )


def _date(rows: pl.DataFrame, column: str, last: int | None = None) -> pl.Series:
    """A column of day numbers as dates; empty after the ``last`` day, when it is not known yet."""
    days = rows[column].fill_null(2_000_000)
    late = (days > (last if last is not None else 1_900_000)).to_numpy()
    return date_column(column, np.where(late, 0, days.to_numpy()), late)
