"""SUS admitted patient care: spells, their episodes and all that hangs on them.

A delivery named for a month holds the spells discharged since the delivery before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import polars as pl

from linked_cyp.synthetic.births import build_births
from linked_cyp.synthetic.parameters import age_at, date_column, pick_by
from linked_cyp.synthetic.records import postcode_on
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import LOCAL_ID, PERSON, Sent
from linked_cyp.synthetic.writers.sus import (
    EPISODE,
    KEY,
    clock,
    icd10,
    key_column,
    monthly_deliveries,
    patient,
    provider,
    recorded,
    sex_code,
    small_area,
    with_style,
)

PATIENT = "spell.patient.identity"


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """A delivery for each month that the parameters name, each since the one before."""
    yield from monthly_deliveries(world, "sus_apc", spell_table(world), _tables)


def _tables(world: World, sent: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    return {
        "spell": _spells(world, sent),
        "episode": _episodes(world, sent),
        "diagnosis": _diagnoses(world, sent),
        "procedure": _procedures(world, sent),
        "critical_care": _critical_care(world, sent),
        "birth": _births(world, sent),
        "social_circumstance": _circumstances(world, sent),
        "derived_area": sent.select(
            key_column(), dmicLSOA2021=small_area(world, "written_postcode")
        ),
    }


def spell_table(world: World) -> pl.DataFrame:
    """Spells with what was written of the patient, and when each was sent and struck out."""
    hospital, registrations = world.hospital, world.registrations
    rng = world.streams("sus")
    spells = hospital.spells.join(
        registrations.hospital.drop("household_id", "day", "errors").rename(
            {"birth": "written_birth"}
        ),
        on=["person_id", "provider"],
        how="left",
        maintain_order="left",
    ).join(
        registrations.spells.select("spell_id", "nhs_number"),
        on="spell_id",
        how="left",
        maintain_order="left",
    )
    # the address at admission is settled already; only the recorded postcode is wanted
    spells = spells.drop("postcode_id", "house").with_columns(
        written_postcode=postcode_on(spells, world.population, world.places, "admitted")
    )
    # births carry the mother's number; one household's births have one mother
    homes = spells.filter(pl.col("condition") == "birth")["household_id"].unique().sort()
    mothers = dict(zip(homes, world.population.spare_nhs_numbers, strict=False))
    deleted = world.parameters.hospital["deleted"]
    spells = recorded(rng, spells, day="discharged", first_key=600_000_001, deleted=deleted)
    size = spells.height
    return spells.with_columns(
        mother=pl.when(pl.col("condition") == "birth").then(
            pl.col("household_id").replace_strict(mothers, default=None, return_dtype=pl.String)
        ),
        hour=pl.Series(rng.integers(0, 24, size)),
        minute=pl.Series(rng.integers(0, 60, size)),
    )


def _patient(world: World, prefix: str) -> dict[str, pl.Expr]:
    """The patient's columns, and those of the mother on a birth."""
    return patient(world, prefix) | {
        f"{prefix}patient.mother.nhs_number.value": pl.col("mother"),
        f"{prefix}patient.mother.postcode": pl.when(pl.col("mother").is_not_null()).then(
            "written_postcode"
        ),
    }


def _spells(world: World, sent: pl.DataFrame) -> pl.DataFrame:
    primary = world.hospital.diagnoses.filter(pl.col("position") == 1, pl.col("episode") == 1)
    second = world.hospital.diagnoses.filter(pl.col("position") == 2, pl.col("episode") == 1)
    dominant = world.hospital.procedures.filter(pl.col("position") == 1)
    frame = with_style(world, sent)
    for name, codes in (("first", primary), ("second", second), ("operation", dominant)):
        frame = frame.join(
            codes.select("spell_id", pl.col("code").alias(name)),
            on="spell_id",
            how="left",
            maintain_order="left",
        )
    birth = pl.col("condition") == "birth"
    age = age_at(frame["written_birth"].to_numpy(), frame["admitted"].to_numpy())
    died = (
        frame.select("person_id", "discharged")
        .join(
            world.population.persons.select("person_id", "death_day"),
            on="person_id",
            how="left",
            maintain_order="left",
        )
        .select(pl.col("death_day") == pl.col("discharged"))
        .to_series()
        .fill_null(False)
    )
    method = pl.when(died).then(pl.lit("4")).otherwise(pl.lit("1"))
    same_day = pl.col("discharged") == pl.col("admitted")
    planned = pl.col("method").is_in(["11", "12", "13"])
    columns = {
        KEY: key_column(),
        "spell.hospital_provider_spell_number": "SP" + (pl.col("key") % 10_000_000).cast(pl.String),
        **_patient(world, "spell."),
        "spell.admission.date": date_column("a", frame["admitted"].to_numpy()),
        "spell.admission.time": clock(pl.col("hour") * 60 + pl.col("minute")),
        "spell.admission.method": pl.col("method"),
        "spell.admission.source": pl.when(birth).then(pl.lit("79")).otherwise(pl.lit("19")),
        "spell.admission.patient_classification": pl.when(same_day & planned)
        .then(pl.lit("2"))
        .otherwise(pl.lit("1")),
        "spell.discharge.date": date_column("d", frame["discharged"].to_numpy()),
        "spell.discharge.time": pl.lit("15:30:00"),
        "spell.discharge.method": method,
        "spell.discharge.destination": pl.when(died).then(pl.lit("79")).otherwise(pl.lit("19")),
        "spell.discharge.length_of_hospital_stay": pl.col("discharged") - pl.col("admitted"),
        f"{PATIENT}.age_on_admission": pl.Series(np.maximum(age, 0)),
        "spell.care_location.site_code_of_treatment": provider(world, "site"),
        "spell.clinical_coding.grouper_derived.primary_diagnosis": icd10(
            pl.col("first"), pl.col("icd_style")
        ),
        "spell.clinical_coding.grouper_derived.secondary_diagnosis": icd10(
            pl.col("second"), pl.col("icd_style")
        ),
        "spell.clinical_coding.grouper_derived.dominant_procedure": pl.col("operation"),
        PERSON: pl.col("person_id"),
        LOCAL_ID: pl.col("key").cast(pl.String),
    }
    return frame.select(**columns)


def _join(sent: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of the delivery's spells, in the order of the spells."""
    return sent.join(frame, on="spell_id", how="inner", maintain_order="left_right")


def _episodes(world: World, sent: pl.DataFrame) -> pl.DataFrame:
    frame = _join(sent.drop("specialty"), world.hospital.episodes)
    rng = world.streams("consultants")
    consultant = np.char.add("C9", rng.integers(100000, 999999, 40).astype(str))
    chosen = consultant[(frame["specialty"].to_numpy() * 7 + frame["provider"].to_numpy()) % 40]
    specialty = pl.col("specialty").cast(pl.String)
    columns = {
        KEY: key_column(),
        EPISODE: pl.col("episode"),
        **_patient(world, ""),
        "number": pl.col("episode"),
        "start_date": date_column("s", frame["start"].to_numpy()),
        "end_date": date_column("e", frame["end"].to_numpy()),
        "last_episode_indicator": pl.when("last").then(pl.lit("1")).otherwise(pl.lit("2")),
        "dominant_episode_flag": pl.when(pl.col("episode") == 1)
        .then(pl.lit("Y"))
        .otherwise(pl.lit("N")),
        "care_professional.main_specialty": pl.when(specialty == "422")
        .then(pl.lit("420"))
        .otherwise(specialty),
        "care_professional.treatment_function": specialty,
        "care_professional.consultant": pl.Series(chosen.astype(str)),
        PERSON: pl.col("person_id"),
        LOCAL_ID: pl.col("key").cast(pl.String),
    }
    return frame.select(**columns)


def _diagnoses(world: World, sent: pl.DataFrame) -> pl.DataFrame:
    frame = with_style(world, _join(sent, world.hospital.diagnoses))
    return frame.select(
        key_column(),
        pl.col("episode").alias(EPISODE),
        ICD_ID="position",
        code=icd10(pl.col("code"), pl.col("icd_style")),
    )


def _procedures(world: World, sent: pl.DataFrame) -> pl.DataFrame:
    frame = _join(sent, world.hospital.procedures)
    return frame.select(
        key_column(),
        pl.col("episode").alias(EPISODE),
        OPCS_ID="position",
        code="code",
        date=date_column("date", frame["day"].to_numpy()),
    )


def _critical_care(world: World, sent: pl.DataFrame) -> pl.DataFrame:
    """Some stays have a period of critical care: most of those of very preterm babies."""
    settings = world.parameters.hospital["critical_care"]
    spells = world.hospital.spells.join(_newborns(world), on="person_id", how="left")
    newborn = pl.col("condition") == "birth"
    early = newborn & (pl.col("weeks") < settings["early_weeks"])
    spells = spells.filter(pl.col("discharged") > pl.col("admitted")).sort("spell_id")
    share = spells.select(
        pl.when(early)
        .then(settings["early"])
        .when(newborn)
        .then(settings["newborn"])
        .otherwise(settings["other"])
    ).to_series()
    rng = world.streams("critical care")
    periods = spells.filter(pl.Series(rng.random(spells.height)) < share).select(
        "spell_id", "weeks", start="admitted", end="discharged", newborn=newborn
    )
    ventilated = pl.Series(rng.random(periods.height) < settings["ventilated"])
    days = pl.col("end") - pl.col("start")
    frame = _join(sent, periods.with_columns(ventilated=ventilated))
    support = {
        "advanced_respiratory": pl.when("ventilated").then(days).otherwise(0),
        "basic_respiratory": pl.when("ventilated").then(0).otherwise(days),
    }
    return frame.select(
        key_column(),
        CRITICAL_CARE_CONSOLIDATED_ID=pl.lit(1, dtype=pl.Int64),
        **{
            "identifier.cc_period_type": pl.when("newborn")
            .then(pl.lit("NCC"))
            .otherwise(pl.lit("PCC")),
            "admission.date": date_column("s", frame["start"].to_numpy()),
            "admission.gestation_length_at_delivery": pl.when("newborn").then("weeks"),
            "discharge.date": date_column("e", frame["end"].to_numpy()),
            **{f"organ_support_days.{name}": value for name, value in support.items()},
            "organ_support_days.maximum_systems": pl.lit(1, dtype=pl.Int64),
        },
    )


def _newborns(world: World) -> pl.DataFrame:
    """Gestation (weeks), weight (grams) and birth order by person_id."""
    babies = world.part(build_births).babies.filter(pl.col("person_id").is_not_null())
    return babies.select("person_id", "weight", order="number", weeks=pl.col("gestation_days") // 7)


def _births(world: World, sent: pl.DataFrame) -> pl.DataFrame:
    """The baby's own row of each birth episode."""
    settings = world.parameters.hospital
    born = (
        world.hospital.spells.filter(pl.col("condition") == "birth")
        .select("spell_id", "person_id")
        .join(_newborns(world), on="person_id", how="left", maintain_order="left")
        .drop("person_id")
    )
    group = np.where(born["weeks"].fill_null(40).to_numpy() < 37, "preterm", "term")
    method = pick_by(world.streams("delivery methods"), group, settings["delivery_method"])
    # "method" is the spell's admission method
    delivery = pl.Series("delivery", [str(code) for code in method.tolist()], dtype=pl.String)
    frame = _join(sent, born.with_columns(delivery))
    return frame.select(
        key_column(),
        pl.lit(1, dtype=pl.Int64).alias(EPISODE),
        BIRTHS_ID=pl.lit(1, dtype=pl.Int64),
        birth_order="order",
        delivery_method="delivery",
        gestation_length_assessment="weeks",
        live_or_still_birth=pl.lit("1"),
        birth_weight="weight",
        **{
            "baby.gender": sex_code(),
            "baby.local_patient_identifier.value": pl.col("local_patient_id"),
            "baby.nhs_number.value": pl.col("nhs_number"),
            "baby.birth_date": pl.col("written_birth").cast(pl.Int32).cast(pl.Date),
        },
    )


def _circumstances(world: World, sent: pl.DataFrame) -> pl.DataFrame:
    """A few episodes note the family's circumstances, more often of children in need."""
    settings = world.parameters.hospital["circumstances"]
    spells = world.hospital.spells.select("spell_id", "person_id")
    known = spells["person_id"].is_in(world.need.referrals["person_id"].unique().implode())
    rng = world.streams("circumstances")
    share = np.where(known.to_numpy(), settings["in_need"], settings["other"])
    noted = spells.filter(pl.Series(rng.random(spells.height) < share)).select("spell_id")
    codes = pick_by(rng, np.zeros(noted.height, int), {0: settings["codes"]})
    frame = _join(sent, noted.with_columns(code=pl.Series(codes.tolist(), dtype=pl.String)))
    return frame.select(
        key_column(),
        pl.lit(1, dtype=pl.Int64).alias(EPISODE),
        SOCIAL_AND_PERSONAL_CIRCUMSTANCES_ID=pl.lit(1, dtype=pl.Int64),
        code="code",
    )
