"""SSDA903 return: twelve CSV tables for one local authority and year, dates dd/mm/yyyy.

A return covers 1 April to 31 March: what ends later is still open in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import polars as pl

from linked_cyp.synthetic.parameters import age_at, as_days, birthday, date_column, pick, text
from linked_cyp.synthetic.records import recorded_upn
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import LOCAL_ID, PERSON, Sent, Style, returns
from linked_cyp.synthetic.writers.ssda903_xml import write_xml_return

STEMS = {
    "header": "header",
    "episodes": "episodes",
    "uasc": "uasc",
    "oc2": "oc2",
    "oc3": "oc3",
    "ad1": "ad1",
    "placed_for_adoption": "placed_for_adoption",
    "previous_permanence": "previous_permanence",
    "missing": "missing",
    "reviews": "reviews",
    "social_worker": "sw_episodes",
    "deprivation_of_liberty": "dolo",
}


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """The last year of every authority, earlier ones of some; one sends the last again, as XML."""
    rules = world.parameters.deliveries["feeds"]["ssda903"]
    for area, year in returns(world, rules):
        yield partial(ssda903, world, area, year)
    again = world.parameters.deliveries["resubmitted"]["authority"]
    if again < world.places.outside:
        yield partial(ssda903, world, again, world.years[-1], version="2")


def ssda903(world: World, area: int, year: int, *, version: str | None = None) -> Sent:
    """One authority's return for the year ending 31 March ``year``."""
    first, last = as_days(f"{year - 1}-04-01"), as_days(f"{year}-03-31")
    supplier = world.places.areas["slug"][area]
    look = world.parameters.deliveries["styles"][area % 3]
    style = Style(
        date="%d/%m/%Y",
        encoding=look["encoding"],
        manifest=look["manifest"] or version is not None,
        file_name=lambda table: look["ssda903_names"].format(table=table, year=year),
    )
    return_ = _Return(world, area, year, first, last)
    return Sent(
        feed="ssda903",
        supplier=supplier,
        period=str(year),
        version=version,
        produced=f"{year}-06-{14 if version is None else 28}T10:15:00",
        tables=return_.tables(),
        style=style,
        names=STEMS,
        write=None if version is None else write_xml_return,
    )


class _Return:
    def __init__(self, world: World, area: int, year: int, first: int, last: int) -> None:
        self.world, self.area, self.year, self.first, self.last = world, area, year, first, last
        self.rules = world.parameters.social_care["care"]
        self.periods = world.care.periods.filter(pl.col("area") == area, pl.col("start") <= last)
        self.current = self.periods.filter(pl.col("end") > first)

    def tables(self) -> dict[str, pl.DataFrame]:
        leavers = self._leavers()
        header = self._header(leavers)
        return {
            "header": header,
            "episodes": self._episodes(),
            "uasc": self._uasc(),
            "oc2": self._oc2(),
            "oc3": self._oc3(leavers),
            "ad1": self._ad1(),
            "placed_for_adoption": self._placed(),
            "previous_permanence": self._previous(),
            "missing": self._missing(),
            "reviews": self._reviews(),
            "social_worker": self._social_workers(),
        }

    def _named(self, frame: pl.DataFrame, *, birth: bool = True) -> pl.DataFrame:
        """Add CHILD (and DOB) as the authority records them, and the truth columns."""
        known = self.world.registrations.social_care.filter(pl.col("area") == self.area)
        newest = self.year == self.world.years[-1]
        known = known.with_columns(
            CHILD=pl.coalesce("reissued_local_id", "child_local_id")
            if newest
            else pl.col("child_local_id")
        ).select("person_id", "CHILD", recorded_birth="birth")
        joined = frame.join(known, on="person_id", how="left", maintain_order="left")
        dob = [date_column("DOB", joined["recorded_birth"].to_numpy())] if birth else []
        return joined.with_columns(
            *dob, pl.col("person_id").alias(PERSON), pl.col("CHILD").alias(LOCAL_ID)
        ).drop("person_id", "recorded_birth")

    def _draw(self, name: str, frame: pl.DataFrame, key: str = "period_id") -> np.ndarray:
        """Uniform draws that depend on the key only: the same child, the same draw each year."""
        top = int(self.world.care.periods["period_id"].max() or 0) + 1
        top = max(top, int(self.world.population.persons["person_id"].max()) + 1)
        return self.world.streams(f"ssda903 {name}").random(top)[frame[key].to_numpy()]

    def _choice(
        self, name: str, weights: dict, frame: pl.DataFrame, key: str = "period_id"
    ) -> pl.Series:
        keys = [str(k) for k in weights]
        edges = np.cumsum(list(weights.values()))
        position = np.searchsorted(edges, self._draw(name, frame, key) * edges[-1], side="right")
        return text(np.array(keys, dtype=object)[position.clip(max=len(keys) - 1)])

    def _leavers(self) -> pl.DataFrame:
        """Former looked-after children who turned 17 to 21 in the year after leaving at 16 on."""
        ended = self.periods.filter(pl.col("end") <= self.last)
        birth, end = ended["birth"].to_numpy(), ended["end"].to_numpy()
        age = age_at(birth, self.last)
        eligible = (age >= 17) & (age <= 21) & (age_at(birth, end) >= 16)
        eligible &= birthday(birth, np.maximum(age, 0)) > np.maximum(end, self.first)
        leavers = ended.filter(pl.Series(eligible), pl.col("exit") != "E2")
        return leavers.unique("person_id", keep="last", maintain_order=True)

    def _header(self, leavers: pl.DataFrame) -> pl.DataFrame:
        rules = self.rules
        # care that ended on the first day has an episode in the year, and its child a row here
        cared_for = self.periods.filter(pl.col("end") >= self.first)
        children = pl.concat([cared_for, leavers]).unique(
            "person_id", keep="first", maintain_order=True
        )
        known = self.world.registrations.social_care.filter(pl.col("area") == self.area).select(
            "person_id", "sex", "ethnicity", "upn", recorded="birth"
        )
        frame = children.join(known, on="person_id", how="left", maintain_order="left")
        birth = frame["birth"].to_numpy()
        girl = (frame["sex"] == "F").to_numpy()
        chance = self._draw("mother", frame, "person_id") < rules["mother_girls_over_14"]
        mother = girl & chance & (age_at(birth, self.last) >= 15)
        own_child = birthday(birth, 15) + (self._draw("own child", frame, "person_id") * 300)
        own_child = np.minimum(own_child.astype(int), self.last)
        old = self.year < 2025
        upn = recorded_upn(frame, self.last, codes=5)
        return self._named(
            frame.select(
                "person_id",
                SEX=pl.col("sex").replace_strict({"M": "1", "F": "2"}) if old else pl.col("sex"),
                ETHNIC="ethnicity",
                UPN=upn,
                MOTHER=pl.when(pl.Series(girl & (age_at(birth, self.last) >= 12))).then(
                    pl.Series(mother)
                ),
                MC_DOB=date_column("MC_DOB", own_child, ~mother),
            )
        )

    def _episodes(self) -> pl.DataFrame:
        world = self.world
        spans = world.care.episodes.filter(
            pl.col("area") == self.area, pl.col("start") <= self.last, pl.col("end") >= self.first
        )
        closed = (spans["end"] <= self.last).to_numpy()
        postcodes = world.places.postcodes.select("postcode_id", "postcode")
        home = world.home_postcodes
        frame = (
            spans.join(postcodes, on="postcode_id", how="left", maintain_order="left")
            .join(home, on="period_id", how="left", maintain_order="left")
            .with_columns(_closed=pl.Series(closed))
        )
        switch = self.rules["supported_accommodation"]
        placement = (
            pl.col("placement").replace({switch["until_2024"]: switch["from_2025"]})
            if self.year >= 2025
            else pl.col("placement")
        )
        return self._named(
            frame.select(
                "person_id",
                DECOM=date_column("DECOM", frame["start"].to_numpy()),
                RNE="reason",
                LS="legal_status",
                CIN="need",
                PLACE=placement,
                PLACE_PROVIDER="provider",
                DEC=date_column("DEC", frame["end"].to_numpy(), ~closed),
                REC=pl.when("_closed").then("exit"),
                REASON_PLACE_CHANGE=pl.when("_closed").then("change_reason"),
                HOME_POST="home_postcode",
                PL_POST="postcode",
                URN="urn",
            ),
            birth=False,
        )

    def _uasc(self) -> pl.DataFrame:
        frame = self.current.filter("is_unaccompanied").join(
            self.world.registrations.social_care.filter(pl.col("area") == self.area).select(
                "person_id", "sex"
            ),
            on="person_id",
            how="left",
            maintain_order="left",
        )
        adult = birthday(frame["birth"].to_numpy(), 18)
        sex = pl.col("sex")
        return self._named(
            frame.select(
                "person_id",
                SEX=sex.replace_strict({"M": "1", "F": "2"}) if self.year < 2025 else sex,
                DUC=date_column("DUC", adult, adult > self.last),
            )
        )

    def _oc2(self) -> pl.DataFrame:
        """Outcomes of children looked after for the whole year."""
        rules = self.rules
        frame = self.current.filter(pl.col("start") <= self.last - 365, pl.col("end") > self.last)
        age = age_at(frame["birth"].to_numpy(), self.last)
        sdq = rules["sdq"]
        scored = (age >= 4) & (age <= 16)
        absent = scored & (self._draw(f"sdq missing {self.year}", frame) < sdq["missing"])
        spread = (self._draw(f"sdq {self.year}", frame) + self._draw("sdq", frame) - 1) * 1.8
        score = np.clip(np.rint(sdq["mean"] + sdq["spread"] * spread * 1.4), 0, 40).astype(int)
        yes = {
            name: pl.Series(self._draw(f"{name} {self.year}", frame) < rate)
            for name, rate in rules["outcomes"].items()
        }
        misuse = yes["SUBSTANCE_MISUSE"] & pl.Series(age >= 10)
        return self._named(
            frame.select(
                "person_id",
                SDQ_SCORE=pl.Series(score).set(pl.Series(~scored | absent), None),
                SDQ_REASON=pl.when(pl.Series(absent)).then(
                    self._choice("sdq reason", sdq["reasons"], frame)
                ),
                CONVICTED=yes["CONVICTED"] & pl.Series(age >= 10),
                HEALTH_CHECK=pl.when(pl.Series(age < 5)).then(yes["HEALTH_CHECK"]),
                IMMUNISATIONS=yes["IMMUNISATIONS"],
                TEETH_CHECK=yes["TEETH_CHECK"],
                HEALTH_ASSESSMENT=yes["HEALTH_ASSESSMENT"],
                SUBSTANCE_MISUSE=misuse,
                INTERVENTION_RECEIVED=pl.when(misuse).then(~yes["intervention_offered"]),
                INTERVENTION_OFFERED=pl.when(misuse).then(yes["intervention_offered"]),
            )
        )

    def _oc3(self, leavers: pl.DataFrame) -> pl.DataFrame:
        rules = self.rules["leavers"]
        touch = self._choice(f"touch {self.year}", rules["in_touch"], leavers)
        reached = touch == "YES"
        activity = self._choice(f"activity {self.year}", rules["activity"], leavers)
        home = self._choice(f"home {self.year}", rules["accommodation"], leavers)
        return self._named(
            leavers.select(
                "person_id",
                IN_TOUCH=touch,
                ACTIV=pl.when(reached).then(activity).otherwise(pl.lit("0")),
                ACCOM=pl.when(reached).then(home).otherwise(pl.lit("0")),
            )
        )

    def _ad1(self) -> pl.DataFrame:
        frame = self.current.filter("adopts", pl.col("end") <= self.last)
        order = frame["end"].to_numpy()
        foster = self._draw("foster carer", frame) < self.rules["adoption"]["same_carer"]
        couple = self._draw("adopters", frame)
        kinds = np.select([couple < 0.84, couple < 0.9, couple < 0.94], ["MF", "FF", "MM"], "F1")
        status = np.select([couple < 0.7, couple < 0.84, couple < 0.94], ["L11", "L3", "L12"], "L0")
        return self._named(
            frame.select(
                "person_id",
                DATE_INT=date_column("DATE_INT", order - 345),
                DATE_MATCH=date_column("DATE_MATCH", order - 235),
                FOSTER_CARE=pl.Series(foster),
                NB_ADOPTR=pl.Series(np.where(kinds == "F1", 1, 2)),
                SEX_ADOPTR=pl.Series(kinds.astype(str)),
                LS_ADOPTR=pl.Series(status.astype(str)),
            )
        )

    def _placed(self) -> pl.DataFrame:
        rules = self.rules["adoption"]
        day = pl.col("end") - rules["placed_before_days"]
        frame = self.current.filter("adopts", day <= self.last)
        placed = frame["end"].to_numpy() - rules["placed_before_days"]
        return self._named(
            frame.select("person_id", DATE_PLACED=date_column("DATE_PLACED", placed))
        )

    def _previous(self) -> pl.DataFrame:
        frame = self.current.filter(pl.col("start") >= self.first).unique(
            "person_id", keep="first", maintain_order=True
        )
        before = self._choice("previous permanence", self.rules["previous_permanence"], frame)
        birth, start = frame["birth"].to_numpy(), frame["start"].to_numpy()
        day = birth + ((start - birth) * self._draw("permanence day", frame)).astype(int)
        written = np.datetime_as_string(day.astype("datetime64[D]")).astype(str)
        partly = self._draw("permanence partly known", frame) < 0.3
        dates = [
            f"ZZ/ZZ/{d[:4]}" if p else f"{d[8:]}/{d[5:7]}/{d[:4]}"
            for d, p in zip(written, partly, strict=True)
        ]
        had = before != "Z1"
        return self._named(
            frame.select(
                "person_id",
                PREV_PERM=before,
                DATE_PERM=pl.when(had).then(pl.Series(dates, dtype=pl.String)),
            )
        )

    def _missing(self) -> pl.DataFrame:
        """Missing and away episodes in the year, more of them in the teens."""
        rules = self.rules["missing"]
        rng = self.world.streams(f"missing {self.area} {self.year}")
        frame = self.current
        start = np.maximum(frame["start"].to_numpy(), self.first)
        end = np.minimum(frame["end"].to_numpy(), self.last)
        teen = age_at(frame["birth"].to_numpy(), self.last) >= 12
        rate = np.where(teen, rules["rate_over_12"], rules["rate_under_12"])
        row = np.repeat(
            np.arange(frame.height), rng.poisson(rate * np.maximum(end - start, 0) / 365.25)
        )
        day = start[row] + (rng.random(len(row)) * (end - start)[row]).astype(int)
        back = np.minimum(day + rng.geometric(0.5, len(row)) - 1, end[row])
        away = rng.random(len(row)) < rules["away_share"]
        events = (
            frame.gather(row)
            .select("person_id")
            .with_columns(
                MISSING=pl.Series(np.where(away, "A", "M").astype(str)),
                MIS_START=date_column("MIS_START", day),
                MIS_END=date_column("MIS_END", back),
            )
            .unique(["person_id", "MIS_START"], keep="first", maintain_order=True)
        )
        return self._named(events.sort("person_id", "MIS_START"))

    def _reviews(self) -> pl.DataFrame:
        rules = self.rules["reviews"]
        frame = self.current
        most = 40
        offsets = np.concatenate(
            [
                [rules["first_days"], rules["second_days"]],
                rules["second_days"] + rules["then_days"] * np.arange(1, most - 1),
            ]
        )
        start, end = frame["start"].to_numpy(), frame["end"].to_numpy()
        days = start[:, None] + offsets[None, :] - (start[:, None] + np.arange(most)) % 8
        held = (days >= self.first) & (days <= self.last) & (days < end[:, None])
        row, number = np.nonzero(held)
        events = frame.gather(row)
        rng = self.world.streams(f"reviews {self.area} {self.year}")
        young = age_at(events["birth"].to_numpy(), days[row, number]) < 4
        codes = np.where(young, "PN0", pick(rng, self.rules["review_codes"], events.height))
        return self._named(
            events.select(
                "person_id",
                REVIEW=date_column("REVIEW", days[row, number]),
                REVIEW_CODE=text(codes),
            ).unique(["person_id", "REVIEW"], keep="first", maintain_order=True)
        )

    def _social_workers(self) -> pl.DataFrame:
        """A chain of social workers over each period of care, changing now and then."""
        mean = self.rules["social_worker_days"]
        frame = self.current
        most = 12
        rng = self.world.streams("social workers")
        top = int(self.world.care.periods["period_id"].max() or 0) + 1
        lengths = np.maximum(30, rng.exponential(mean, (top, most))).astype(int)
        people = rng.integers(1000, 9999, (top, most))
        reasons = pick(rng, self.rules["social_worker_reasons"], top * most).reshape(top, most)
        ids = frame["period_id"].to_numpy()
        last = np.minimum(frame["end"].to_numpy(), self.last + 1)
        # long periods: the chain is drawn for the years before the return ends
        start = np.maximum(frame["start"].to_numpy(), as_days("2021-04-01"))
        begins = start[:, None] + np.concatenate(
            [np.zeros((frame.height, 1), int), np.cumsum(lengths[ids], axis=1)[:, :-1]], axis=1
        )
        ends = np.minimum(begins + lengths[ids], last[:, None])
        ends[:, -1] = last
        shown = (begins < last[:, None]) & (ends >= self.first) & (ends > begins)
        row, number = np.nonzero(shown)
        begin, end = begins[row, number], ends[row, number]
        closes = end <= self.last
        first = number == 0
        why = np.where(first, "FCONTA", reasons[ids[row], number])
        return self._named(
            frame.gather(row).select(
                "person_id",
                SW_ID=pl.Series(np.char.add("SW", people[ids[row], number].astype(str))),
                SW_DECOM=date_column("SW_DECOM", begin),
                SW_DEC=date_column("SW_DEC", end, ~closes),
                SW_REASON=text(why),
            )
        )
