"""School census: a COLLECT-style CSV set for each authority and term.

Dates look like ``2024-Oct-16 00:00:00``, integers like ``10.0``, booleans ``True``/``False``.
Absence arrives a term in arrears: autumn brings both halves of the summer term before. A pupil who
left in the reported period is in the set as no longer on roll, with his or her absence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import polars as pl

from linked_cyp.synthetic.education import year_group
from linked_cyp.synthetic.numbers import hexadecimal
from linked_cyp.synthetic.parameters import date_column, day_of, pick
from linked_cyp.synthetic.records import postcode_on
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import LOCAL_ID, PERSON, Sent, Style

TERM_CODES = {"autumn": "AUT", "spring": "SPR", "summer": "SUM"}
# spring and summer sets use other names for two tables and their keys
PLAIN = {
    "addresses_on_roll": ("addresses", "addressesonroll"),
    "fsm_periods": ("fsmperiod", "fsmperiodsonroll"),
}


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """The terms of the last year of every authority, and those wanted of earlier years."""
    rules = world.parameters.deliveries["feeds"]["school_census"]
    for year in world.years:
        for term in rules["earlier_terms" if year < world.years[-1] else "terms"]:
            # the autumn census of an academic year is taken in the year before the one it ends in
            taken = {"autumn": year - 1, "next_autumn": year}.get(term, year)
            for area in range(world.places.outside):
                yield partial(school_census, world, area, taken, term.removeprefix("next_"))


def school_census(world: World, area: int, calendar_year: int, term: str) -> Sent:
    """One authority's set for the census of ``term`` taken in ``calendar_year``."""
    settings = world.parameters.education
    census_day = day_of(
        calendar_year - settings["census_days"][term][0], settings["census_days"][term]
    )
    look = world.parameters.deliveries["styles"][area % 3]
    written = np.datetime64(census_day + 20, "D").item()
    style = Style(
        date="%Y-%b-%d 00:00:00",
        true="True",
        false="False",
        integer_suffix=".0",
        encoding=look["encoding"],
        manifest=look["manifest"],
        file_name=lambda table: look["census_names"].format(
            table=table, year=calendar_year, term=term, day=written.strftime("%d-%m-%Y")
        ),
    )
    plain = {} if term == "autumn" else PLAIN
    return Sent(
        feed="school_census",
        supplier=world.places.areas["slug"][area],
        period=f"{calendar_year}-{term}",
        produced=f"{written:%Y-%m-%d}T16:00:00",
        tables=_Census(world, area, calendar_year, term, census_day).tables(),
        style=style,
        names={table: stem for table, (stem, _) in plain.items()},
        headers={
            table: {f"{old}{end}": f"{stem}{end}" for end in ("tableid", "orderseqcolumn")}
            for table, (stem, old) in plain.items()
        },
    )


class _Census:
    def __init__(self, world: World, area: int, year: int, term: str, day: int) -> None:
        self.world, self.area, self.year, self.term, self.day = world, area, year, term, day
        self.rng = world.streams(f"school census {area} {year} {term}")
        self.periods = [(i, t) for i, t in enumerate(world.terms) if t.census == (year, term)]
        schools = world.education.schools
        self.schools = schools.filter(pl.col("area") == area).with_columns(
            census_id=pl.Series(hexadecimal(self.rng, int((schools["area"] == area).sum()), 8)),
            source=pl.Series(hexadecimal(self.rng, int((schools["area"] == area).sum()), 8)),
        )
        self.pupils = self._pupils()

    def tables(self) -> dict[str, pl.DataFrame]:
        on, off = (self.pupils.filter(pl.col("on_roll") == flag) for flag in (True, False))
        sides = (
            ("on_roll", "onroll", on, "pupilonroll"),
            ("off_roll", "offroll", off, "pupilnolongeronroll"),
        )
        tables = {
            "school_census": self._headers(),
            "pupil_on_roll": self._on_roll(on),
            "pupil_no_longer_on_roll": self._off_roll(off),
        }
        for side, stem, pupils, parent in sides:
            if side == "on_roll" or self.term == "autumn":
                tables[f"addresses_{side}"] = self._addresses(pupils, stem, parent)
            for half, name, table in (
                ("termly", "termly_sessions", "termlysessiondetails"),
                ("summer_second", "summer_half_term_2_sessions", "summerhalfterm2sessiondetails"),
            ):
                if any(t.half == half for _, t in self.periods):
                    tables[f"{name}_{side}"] = self._sessions(pupils, half, table + stem, parent)
            tables[f"termly_exclusions_{side}"] = self._exclusions(pupils, stem, parent)
        tables["fsm_periods"] = self._fsm(on)
        if self.term == "spring":
            tables["sen_needs"] = self._sen(on)
        return tables

    def _pupils(self) -> pl.DataFrame:
        """Registrations the set reports, with facts on the day and their key in this set."""
        world = self.world
        since = min(t.from_day for _, t in self.periods)
        until = max(t.to_day for _, t in self.periods)
        held = world.education.enrolments.join(
            self.schools.select("school_id", "laestab", "census_id", "source", "kind"),
            on="school_id",
            how="inner",
            maintain_order="left",
        )
        on_roll = (pl.col("from_day") <= self.day) & (pl.col("to_day") > self.day)
        # gone since the reported period began; long gone pupils were reported before
        gone = (pl.col("to_day") > since) & (pl.col("from_day") < until)
        held = held.filter(on_roll | gone).with_columns(on_roll=on_roll)
        held = held.join(
            world.registrations.school.drop("person_id", "day", "household_id"),
            on="enrolment_id",
            how="left",
            maintain_order="left",
            suffix="_recorded",
        ).join(
            world.education.pupils.select(
                "person_id", "fsm_from", "fsm_to", "sen", "sen_types", "language"
            ),
            on="person_id",
            how="left",
            maintain_order="left",
        )
        held = self._known_names(held)
        held = held.with_columns(
            census_day=pl.when("on_roll")
            .then(pl.lit(self.day))
            .otherwise(pl.min_horizontal(pl.col("to_day") - 1, pl.lit(self.day)))
            .cast(pl.Int64)
        )
        held = held.with_columns(
            now_postcode=postcode_on(held, world.population, world.places, "census_day"),
            group=pl.Series(year_group(held["birth"].to_numpy(), held["census_day"].to_numpy())),
        )
        held = self._possible(held)
        key = hexadecimal(self.rng, held.height, 11)
        order = pl.int_range(pl.len()).over("school_id") + 1
        return held.sort("school_id", "enrolment_id", maintain_order=True).with_columns(
            key=pl.Series([f"{k[:8]}-{k[8:]}" for k in key], dtype=pl.String),
            seq=order.cast(pl.String),
        )

    def _known_names(self, held: pl.DataFrame) -> pl.DataFrame:
        """Names as now recorded: a change of surname since entry may have been entered."""
        changed = (
            pl.col("later_surname").is_not_null()
            & (pl.col("change_day") <= self.day)
            & pl.col("follows_change")
            & pl.col("earlier_surname").is_null()
        )
        return held.with_columns(
            surname=pl.when(changed).then("later_surname").otherwise("surname"),
            former_surname=pl.when(changed).then("surname").otherwise("earlier_surname"),
            forename=pl.when("uses_known_as")
            .then(pl.coalesce("known_as", "forename"))
            .otherwise("forename"),
        ).with_columns(
            former_surname=pl.when(pl.col("former_surname") != pl.col("surname")).then(
                "former_surname"
            )
        )

    def _possible(self, held: pl.DataFrame) -> pl.DataFrame:
        sessions = self.world.absence.sessions
        for half in ("termly", "summer_second"):
            numbers = [i for i, t in self.periods if t.half == half]
            held = held.join(
                sessions.filter(pl.col("term").is_in(numbers)).select(
                    "enrolment_id", pl.col("possible").alias(f"possible_{half}")
                ),
                on="enrolment_id",
                how="left",
                maintain_order="left",
            )
        return held

    def _headers(self) -> pl.DataFrame:
        codes = self.schools
        date = date_column("d", np.full(codes.height, self.day))
        stem = "schoolcensus"
        return codes.select(
            pl.col("census_id").alias(f"{stem}tableid"),
            NativeId="laestab",
            schoolcensusorderseqcolumn=pl.lit("1"),
            sourceid="source",
            name=pl.when(pl.col("kind") == "alternative")
            .then(pl.lit("PRU Census"))
            .otherwise(pl.lit("School Census")),
            collection=pl.lit("SC"),
            term=pl.lit(TERM_CODES[self.term]),
            year=pl.lit(self.year),
            referencedate=date,
            serialno=pl.lit(1),
            sourcelevel=pl.lit("L"),
            lea=pl.col("authority").cast(pl.String),
            estab=pl.col("estab").cast(pl.String),
            urn=pl.col("urn").cast(pl.String),
            softwarecode=pl.lit("Synthetic"),
            release=pl.lit("1.0"),
        )

    def _common(self, pupils: pl.DataFrame, stem: str) -> dict[str, pl.Expr | pl.Series]:
        group = pl.col("group")
        columns: dict[str, pl.Expr | pl.Series] = {
            f"{stem}tableid": pl.col("key"),
            "schoolcensustableid": pl.col("census_id"),
            "NativeId": pl.col("laestab"),
            f"{stem}orderseqcolumn": pl.col("seq"),
            "sourceid": pl.col("source"),
            "upn": pl.col("upn"),
            "formerupn": pl.col("former_upn"),
            "uniquelearnernumber": pl.when(
                group >= self.world.parameters.education["uln_from_year"]
            ).then("uln"),
            "surname": pl.col("surname"),
            "forename": pl.col("forename"),
            "middlenames": pl.col("middle_names"),
            "formersurname": pl.col("former_surname"),
            "dob": date_column("dob", pupils["birth_recorded"].to_numpy()),
            "sex": pl.col("sex"),
            "language": pl.col("language"),
            "entrydate": date_column("entry", pupils["from_day"].to_numpy()),
            "boarder": pl.lit("N"),
            "parttime": group < 0,
            "termlysessionspossible": pl.col("possible_termly"),
            "summerhalfterm2sessionspossible": pl.col("possible_summer_second"),
            PERSON: pl.col("person_id"),
            LOCAL_ID: pl.col("key"),
        }
        if self.term == "spring":
            columns["ethnicity"] = pl.col("ethnicity")
        return columns

    def _on_roll(self, pupils: pl.DataFrame) -> pl.DataFrame:
        rng = self.rng
        mains = set(pupils.filter("subsidiary")["main_of"].drop_nulls().to_list())
        status = (
            pl.when("subsidiary")
            .then(pl.lit("S"))
            .when(pl.col("enrolment_id").is_in(list(mains)))
            .then(pl.lit("M"))
            .otherwise(pl.lit("C"))
        )
        group = pl.col("group")
        taken = pl.Series(rng.random(pupils.height) < 0.82)
        unit = pl.Series(rng.random(pupils.height) < 0.12)
        columns = self._common(pupils, "pupilonroll") | {
            "preferredsurname": pl.coalesce("former_surname", "surname"),
            "enrolstatus": status,
            "ncyearactual": _year_code(group),
            "classtype": pl.when(group < 0).then(pl.lit("N")).otherwise(pl.lit("O")),
            "senprovision": pl.col("sen"),
            "senunitindicator": (pl.col("sen") == "E") & unit,
            "resourcedprovisionindicator": (pl.col("sen") == "E") & ~unit & taken.not_(),
            "topupfunding": pl.col("sen") == "E",
            "servicechild": pl.lit("N"),
            "schoollunchtaken": pl.when(group.is_between(0, 2)).then(taken),
            "hoursatsetting": pl.when(group < 0).then(pl.lit(15.0)),
            "fundedhours": pl.when(group < 0).then(pl.lit(15.0)),
        }
        if self.term == "spring":
            carer = pick(rng, {"N": 97.6, "S": 1.6, "P": 0.8}, pupils.height)
            columns["youngcarer"] = pl.Series(carer.astype(str))
        return pupils.select(**columns)

    def _off_roll(self, pupils: pl.DataFrame) -> pl.DataFrame:
        columns = self._common(pupils, "pupilnolongeronroll") | {
            "leavingdate": date_column("leaving", pupils["to_day"].to_numpy() - 1),
            "ncyearleaving": _year_code(pl.col("group")),
        }
        return pupils.select(**columns)

    def _child_table(
        self, rows: pl.DataFrame, table: str, parent: str
    ) -> tuple[pl.DataFrame, dict[str, pl.Expr | pl.Series]]:
        """Rows joined to their pupil, with the key columns every child table has."""
        keys = (
            pl.Series(hexadecimal(self.rng, rows.height, 10), dtype=pl.String)
            if rows.height
            else (pl.Series([], dtype=pl.String))
        )
        return rows, {
            f"{table}tableid": keys,
            "NativeId": pl.col("laestab"),
            f"{table}orderseqcolumn": (pl.int_range(pl.len()).over("key") + 1).cast(pl.String),
            "sourceid": pl.col("source"),
            f"{parent}tableid": pl.col("key"),
        }

    def _addresses(self, pupils: pl.DataFrame, stem: str, parent: str) -> pl.DataFrame:
        located = self.world.population.addresses_at(
            pupils.select(
                "household_id",
                "census_day",
                "key",
                "laestab",
                "source",
                "now_postcode",
                "postcode_frozen",
            ),
            "census_day",
        )
        rows, keys = self._child_table(located, f"addresses{stem}", parent)
        share = self.world.parameters.education["uprn"]
        known = pl.Series(self.rng.random(rows.height) < share)
        uprn = 9_900_000_000 + pl.col("postcode_id").cast(pl.Int64) * 200 + pl.col("house")
        house = pl.when(~pl.col("postcode_frozen")).then(pl.col("house").cast(pl.String))
        return rows.select(
            **keys,
            postcode="now_postcode",
            paon=house,
            street=pl.when(~pl.col("postcode_frozen")).then(pl.lit("Synthetic Street")),
            uniquepropertyreferencenumber=pl.when(known & ~pl.col("postcode_frozen")).then(
                uprn.cast(pl.String)
            ),
        )

    def _sessions(self, pupils: pl.DataFrame, half: str, table: str, parent: str) -> pl.DataFrame:
        numbers = [i for i, t in self.periods if t.half == half]
        rows = pupils.select("enrolment_id", "key", "laestab", "source").join(
            self.world.absence.reasons.filter(pl.col("term").is_in(numbers)),
            on="enrolment_id",
            how="inner",
            maintain_order="left_right",
        )
        rows, keys = self._child_table(rows, table, parent)
        return rows.select(**keys, attendancereason="code", sessions="sessions")

    def _exclusions(self, pupils: pl.DataFrame, stem: str, parent: str) -> pl.DataFrame:
        numbers = [i for i, _ in self.periods]
        rows = pupils.select("enrolment_id", "key", "laestab", "source", "sen").join(
            self.world.absence.exclusions.filter(pl.col("term").is_in(numbers)),
            on="enrolment_id",
            how="inner",
            maintain_order="left_right",
        )
        rows, keys = self._child_table(rows, f"termlyexclusions{stem}", parent)
        return rows.select(
            **keys,
            startdate=date_column("start", rows["day"].to_numpy()),
            category="category",
            sessions="sessions",
            reason1="reason1",
            reason2="reason2",
            senprovision="sen",
        )

    def _fsm(self, pupils: pl.DataFrame) -> pl.DataFrame:
        rows = pupils.filter(
            pl.col("fsm_from") <= self.day,
            # the guide asks for periods since the last census but one
            pl.col("fsm_to").is_null() | (pl.col("fsm_to") > self.day - 365),
        ).select("key", "laestab", "source", "fsm_from", "fsm_to")
        rows, keys = self._child_table(rows, "fsmperiodsonroll", "pupilonroll")
        end = rows["fsm_to"].fill_null(self.day + 1).to_numpy()
        return rows.select(
            **keys,
            fsmstartdate=date_column("start", rows["fsm_from"].to_numpy()),
            fsmenddate=date_column("end", end, end > self.day),
            ukcountry=pl.lit("ENG"),
        )

    def _sen(self, pupils: pl.DataFrame) -> pl.DataFrame:
        rows = (
            pupils.filter(pl.col("sen").is_in(["K", "E"]))
            .select("key", "laestab", "source", type=pl.col("sen_types").str.split(" "))
            .explode("type")
            .with_columns(rank=pl.int_range(pl.len()).over("key") + 1)
        )
        rows, keys = self._child_table(rows, "senneeds", "pupilonroll")
        return rows.select(**keys, sentyperank="rank", sentype="type")


def _year_code(group: pl.Expr) -> pl.Expr:
    """National curriculum year as the census writes it: N1, N2, R, 1 to 14."""
    return (
        pl.when(group < -1)
        .then(pl.lit("N1"))
        .when(group == -1)
        .then(pl.lit("N2"))
        .when(group == 0)
        .then(pl.lit("R"))
        .otherwise(group.clip(1, 14).cast(pl.String))
    )
