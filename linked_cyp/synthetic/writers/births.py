"""Births as the register, the notification and the maternity data set tell of them.

The first extract of each holds everything since the oldest children were born.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.births import build_births
from linked_cyp.synthetic.parameters import as_days, date_column, pick, text
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import LOCAL_ID, PERSON, Sent, Style
from linked_cyp.synthetic.writers.sus import ethnic_category

ISO = Style(date="%Y-%m-%d", true="True", false="False", manifest=True)
SEXES = {"M": "1", "F": "2"}


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """One extract of the register, one of the notifications, one year of maternity records."""
    yield partial(births_registration, world)
    yield partial(birth_notification, world)
    yield partial(msds, world)


def births_registration(world: World) -> Sent:
    """The register up to the end of a month, with earlier versions and re-registrations."""
    settings = _settings(world)["register"]
    period, end = to_month(world, settings["month"])
    rng = world.streams("birth register")
    babies = _babies(world).filter(pl.col("registered") <= end)
    size = babies.height
    area = la_codes(world, babies)
    still = pl.col("person_id").is_null()
    current = babies.select(
        pl.Series("DMIC_ROW_ID", (70_000_000 + np.arange(size) * 3).astype(str)),
        pl.col("nhs_number").alias("NHS Number"),
        date_column("BABY_DATE_OF_BIRTH", babies["written_birth"].to_numpy()),
        date_column("DMIC_BABY_MONTH_OF_BIRTH", babies["written_birth"].to_numpy()).dt.strftime(
            "%Y%m"
        ),
        pl.col("written_sex").replace_strict(SEXES).alias("BABY_SEX"),
        date_column("BIRTH_DOR", babies["registered"].to_numpy()),
        pl.lit(True).alias("DMIC_RECORD_VALID_IS_LATEST"),
        text(np.where(rng.random(size) < settings["cancelled"], "Y", None)).alias("CANCELLED_FLAG"),
        pl.when(pl.col("confinement") > 1).then(pl.lit("1")).alias("MULTIPLE_INDICATOR"),
        pl.when(still).then(0).otherwise(pl.col("confinement")).alias("NUMBER_LIVE_BIRTHS"),
        pl.when(still).then(1).otherwise(0).alias("NUMBER_STILL_BIRTHS"),
        pl.when(still).then(pl.lit("P95X")).alias("STILLBIRTH_ICD10_1"),
        pl.col("mother_age").alias("MOTHER_AGEATBIRTH"),
        pl.col("earlier_children").alias("MOTHER_PREVLIVECHILD"),
        pl.when(pl.col("provider").is_null())
        .then(pl.lit("H"))
        .otherwise(pl.lit("1"))
        .alias("POB_ESTTYPE"),
        area.alias("LA_CODE_BIRTH_PLACE"),
        area.alias("LA_CODE_RES_MOTHER"),
        pl.col("lsoa_code").alias("LSOA_MOTHER"),
        pl.col("person_id").alias(PERSON),
        pl.col("nhs_number").alias(LOCAL_ID),
    )
    older = _again(current, rng, settings["older_version"], 1).with_columns(
        DMIC_RECORD_VALID_IS_LATEST=pl.lit(False), MOTHER_PREVLIVECHILD=pl.lit(None, dtype=pl.Int64)
    )
    again = _again(current, rng, settings["reregistered"], 2).with_columns(
        BIRTH_REREGIND=pl.lit("1"), BIRTH_DOR=pl.col("BIRTH_DOR") + pl.duration(days=120)
    )
    again = again.filter(pl.col("BIRTH_DOR").cast(pl.Int32) <= end)
    rows = pl.concat([current, older, again], how="diagonal_relaxed")
    return extract(world, "births_registration", period, {"birth": rows})


def birth_notification(world: World) -> Sent:
    """Notifications up to the end of a month; a correction repeats the baby further down."""
    settings = _settings(world)
    period, end = to_month(world, settings["notification"]["month"])
    rng = world.streams("birth notifications")
    babies = _babies(world).filter(pl.col("birth") <= end)
    size = babies.height
    weeks = babies["gestation_days"].to_numpy() // 7
    unknown = rng.random(size) < settings["gestation_unknown"]
    minutes = pl.format(
        "{}:{}:00",
        (pl.col("minute") // 60).cast(pl.String).str.zfill(2),
        (pl.col("minute") % 60).cast(pl.String).str.zfill(2),
    )
    written = date_column("day", babies["written_birth"].to_numpy())
    still = pl.col("person_id").is_null()
    early = (pl.col("death_day") - pl.col("birth")).fill_null(9) <= 1
    providers = [p["site"] for p in world.parameters.hospital["providers"]]
    first = babies.select(
        pl.col("nhs_number").alias("BabyNHSNumber"),
        pl.col("forename").alias("BabyForename"),
        pl.col("middle_names").alias("BabyOtherName"),
        pl.col("surname").alias("BabySurname"),
        pl.col("written_sex").replace_strict(SEXES).alias("BabySex"),
        pl.concat_str(written.dt.strftime("%Y-%m-%d"), pl.lit(" "), minutes).alias(
            "BabyDateTimeOfBirth"
        ),
        pl.col("weight").alias("BirthWeightGrams"),
        pl.col("number").alias("BirthOrder"),
        pl.col("confinement").alias("NumberOfBirthsInConfinement"),
        pl.Series("GestationWeeks", np.where(unknown, 99, weeks)),
        pl.when("has_anomaly")
        .then(pl.lit("Y"))
        .otherwise(pl.lit("N"))
        .alias("SuspectedCongenitalAnomalyIndicator"),
        ethnic_category(world).alias("EthnicCategory"),
        pl.when(still).then(pl.lit("2")).otherwise(pl.lit("1")).alias("LiveOrStillBirth"),
        pl.when(still)
        .then(pl.col("birth"))
        .when(early)
        .then("death_day")
        .cast(pl.Int32)
        .cast(pl.Date)
        .alias("DateOfStillbirthOrDeath"),
        pl.col("provider")
        .replace_strict(dict(enumerate(providers)), default=None, return_dtype=pl.String)
        .alias("PlaceOfBirthOrganisationCode"),
        pl.when(pl.col("provider").is_null())
        .then(pl.lit("1"))
        .otherwise(pl.lit("4"))
        .alias("DeliveryPlaceType"),
        pl.col("person_id").alias(PERSON),
        pl.col("nhs_number").alias(LOCAL_ID),
    )
    corrected = first.filter(
        pl.Series(rng.random(size) < settings["notification"]["corrected"])
    ).with_columns(BirthWeightGrams=pl.col("BirthWeightGrams") + 100)
    rows = pl.concat([first, corrected])
    return extract(world, "birth_notification", period, {"notification": rows})


def msds(world: World) -> Sent:
    """One year of maternity records in the flat layout, and the bridge to NHS numbers."""
    settings = _settings(world)
    year = settings["maternity"]["year"]
    rng = world.streams("maternity records")
    span = as_days(f"{year - 1}-04-01"), as_days(f"{year}-03-31")
    babies = _babies(world).filter(
        pl.col("birth").is_between(*span), pl.col("person_id").is_not_null()
    )
    babies = babies.filter(pl.Series(rng.random(babies.height) >= settings["maternity"]["missing"]))
    size = babies.height
    homes = babies["household_id"].unique(maintain_order=True)
    mothers = dict(zip(homes, rng.choice(900_000, homes.len(), replace=False), strict=True))
    baby = np.char.mod("B%06d", rng.choice(900_000, size, replace=False))
    born = date_column("born", babies["birth"].to_numpy())
    poor = (10 - babies["decile"].to_numpy()) / 9
    rates = settings["smoking_at_delivery"]
    smokes = rng.random(size) < rates["decile_10"] + (rates["decile_1"] - rates["decile_10"]) * poor
    early = (babies["gestation_days"] < 245).to_numpy()
    providers = world.parameters.hospital["providers"]
    code, site = (
        pl.col("provider").replace_strict(
            {n: p[key] for n, p in enumerate(providers)}, default=None, return_dtype=pl.String
        )
        for key in ("code", "site")
    )
    height = rng.normal(1.64, 0.066, size).round(2)
    records = babies.select(
        pl.col("household_id")
        .replace_strict(mothers, return_dtype=pl.Int64)
        .map_elements("M{:06d}".format, return_dtype=pl.String)
        .alias("record_id_mother"),
        pl.Series("record_id_baby", baby.astype(str)),
        pl.col("written_sex").replace_strict(SEXES).alias("personphenotypicsex"),
        born.dt.year().alias("yearofbirthbaby"),
        born.dt.month().cast(pl.Int64).alias("monthofbirthbaby"),
        born.dt.day().cast(pl.Int64).alias("dayofbirthbaby"),
        pl.col("gestation_days").alias("gestationlengthbirth"),
        pl.col("weight").alias("birthweight"),
        pl.col("number").alias("birthordermaternitysus"),
        pl.Series("apgarscore5", (10 - rng.poisson(np.where(early, 2.2, 0.7))).clip(0, 10)),
        text(pick(rng, {0: 58, 4: 12, 7: 13, 8: 17}, size)).alias("deliverymethodbaby"),
        text(pick(rng, {"01": 68, "02": 32}, size)).alias("babyfirstfeedbreastmilkstatus"),
        text(np.where(rng.random(size) < 0.3, None, pick(rng, {"01": 50, "03": 50}, size))).alias(
            "babybreastmilkstatusdischarge"
        ),
        text(pick(rng, {"Y": 80, "N": 20}, size)).alias("skintoskincontact1hour"),
        # lists in one cell, set apart by bars
        text(np.where(early & (rng.random(size) < 0.5), "01|03", None)).alias(
            "neonatalresuscitationmethod"
        ),
        code.alias("orgcodeprovider"),
        site.alias("sitecodeactualdelivery"),
        pl.col("mother_age").alias("ageatbirthmother"),
        pl.col("lsoa_code").alias("lsoamother2011"),
        text(np.where(smokes, "01|01", "04")).alias("eopsmokingstatus"),
        text(np.where(smokes, "01", "04")).alias("smokingstatus"),
        pl.Series("personheight", height),
        pl.Series("personweight", (rng.normal(26.5, 5, size).clip(16, 50) * height**2).round(1)),
        text(pick(rng, {"Y": 12, "N": 88}, size)).alias("complexsocialfactorsind"),
        pl.Series("gestageformalantenatalbooking", rng.integers(50, 120, size)),
        pl.col("earlier_children").alias("previouslivebirths"),
        pl.col("person_id").alias(PERSON),
        pl.Series(LOCAL_ID, baby.astype(str)),
    )
    traced = rng.random(size) >= settings["maternity"]["without_number"]
    bridge = babies.select(
        pl.Series("record_id", baby.astype(str)),
        pl.col("nhs_number").alias("tokenid"),
        pl.col("person_id").alias(PERSON),
        pl.Series(LOCAL_ID, baby.astype(str)),
    ).filter(pl.Series(traced), pl.col("tokenid").is_not_null())
    return Sent(
        feed="msds",
        supplier=world.parameters.deliveries["nhs_supplier"],
        period=str(year),
        tables={"maternity_record": records, "bridge": bridge},
        style=Style(date="%Y-%m-%d", manifest=True, file_name="{}.txt".format),
        produced=f"{year}-11-30T02:00:00",
        delimiters={"bridge": "|"},
    )


def _settings(world: World) -> Any:
    return world.parameters.part("births_deaths_growth")["births"]


def _babies(world: World) -> pl.DataFrame:
    """Babies with what was written of each; of a stillborn only sex and day."""
    births = world.part(build_births)
    written = births.written.rename({"birth": "written_birth", "sex": "written_sex"})
    deaths = world.population.persons.select("person_id", "death_day")
    return (
        births.babies.drop("ethnicity")
        .join(
            written.drop("household_id", "errors", "earlier_surname", "is_newborn"),
            on="person_id",
            how="left",
            maintain_order="left",
        )
        .join(deaths, on="person_id", how="left", maintain_order="left")
        .with_columns(
            pl.col("written_birth").fill_null(pl.col("birth")),
            pl.col("written_sex").fill_null(pl.col("sex")),
            pl.col("ethnicity").fill_null("NOBT"),
        )
    )


def la_codes(world: World, frame: pl.DataFrame) -> pl.Series:
    """The local authority of each row's area."""
    areas = world.places.areas
    codes = dict(zip(areas["area"], areas["ons_code"], strict=True))
    return frame["area"].replace_strict(codes, return_dtype=pl.String)


def _again(rows: pl.DataFrame, rng: np.random.Generator, share: float, number: int) -> pl.DataFrame:
    """Some of the rows under keys of their own."""
    chosen = rows.filter(pl.Series(rng.random(rows.height) < share))
    key = pl.col("DMIC_ROW_ID").cast(pl.Int64) + number
    return chosen.with_columns(DMIC_ROW_ID=key.cast(pl.String))


def to_month(world: World, month: int) -> tuple[str, int]:
    """The period of a month of the last collection year, and its last day."""
    year = world.years[-1] if month <= 3 else world.years[-1] - 1
    following = np.datetime64(f"{year}-{month:02d}") + 1
    return f"{year}-{month:02d}", as_days(following) - 1


def extract(world: World, feed: str, period: str, tables: dict[str, pl.DataFrame]) -> Sent:
    """A month's extract of the integrated care board."""
    return Sent(
        feed=feed,
        supplier=world.parameters.deliveries["nhs_supplier"],
        period=period,
        tables=tables,
        style=ISO,
        produced=f"{period}-28T03:00:00",
    )
