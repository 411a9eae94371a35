"""SUS admitted patient care: spells, episodes, diagnoses, procedures and the insert/delete log.

A delivery named for a month holds the spells discharged since the delivery before it. A spell
struck out later stays in its file; the log of the next delivery says that it is deleted, and the
corrected spell follows under a new key.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import polars as pl

from linked_cyp.synthetic.parameters import age_at, as_days, date_column
from linked_cyp.synthetic.records import postcode_on
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import LOCAL_ID, PERSON, Sent, Style, monthly

PATIENT = "spell.patient.identity"
KEY, EPISODE = "PRIMARYKEY_ID", "EPISODES_ID"


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """A delivery for each month that the parameters name, each since the one before."""
    before: str | None = None
    for month in monthly(world, world.parameters.deliveries["feeds"]["sus_apc"]):
        yield partial(sus_apc, world, before, month)
        before = month


def sus_apc(world: World, since: str | None, month: str) -> Sent:
    """Spells discharged after ``since`` (a month, or None: from the start) up to ``month``."""
    spells = spell_table(world)
    begin = _end_of(since) + 1 if since else 0
    end = _end_of(month)
    here = spells.filter(pl.col("sent_day").is_between(begin, end))
    # corrections: spells struck out since the last delivery come again under a new key
    struck = spells.filter(pl.col("deleted"), pl.col("struck_day").is_between(begin, end))
    again = struck.with_columns(key=pl.col("key") + 500_000_000)
    number = int(month.replace("-", ""))
    sent = pl.concat([here, again])
    tables = {
        "spell": _spells(world, sent),
        "episode": _episodes(world, sent),
        "diagnosis": _diagnoses(world, sent),
        "procedure": _procedures(world, sent),
        "insert_delete_log": _log(sent, struck, number),
    }
    return Sent(
        feed="sus_apc",
        supplier=world.parameters.deliveries["nhs_supplier"],
        period=month,
        produced=f"{month}-28T04:00:00",
        tables=tables,
        style=Style(date="%Y-%m-%dT00:00:00", manifest=True),
    )


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
    size = spells.height
    deleted = rng.random(size) < world.parameters.hospital["deleted"]
    return spells.with_columns(
        key=pl.Series(600_000_001 + np.arange(size) * 7),
        sent_day=pl.col("discharged"),
        mother=pl.when(pl.col("condition") == "birth").then(
            pl.col("household_id").replace_strict(mothers, default=None, return_dtype=pl.String)
        ),
        deleted=pl.Series(deleted),
        struck_day=pl.col("discharged") + pl.Series(rng.integers(20, 200, size)),
        hour=pl.Series(rng.integers(0, 24, size)),
        minute=pl.Series(rng.integers(0, 60, size)),
    )


def icd10(codes: pl.Expr, style: pl.Expr) -> pl.Expr:
    """ICD-10 codes as each provider writes them: plain, with a dot, or padded with X."""
    padded = pl.when(codes.str.len_chars() == 3).then(codes + "X").otherwise(codes)
    dotted = (
        pl.when(codes.str.len_chars() > 3)
        .then(codes.str.slice(0, 3) + "." + codes.str.slice(3))
        .otherwise(codes)
    )
    return (
        pl.when(style == "dotted")
        .then(dotted)
        .when(style == "padded")
        .then(padded)
        .otherwise(codes)
    )


def _with_style(world: World, frame: pl.DataFrame) -> pl.DataFrame:
    looks = [s["icd"] for s in world.parameters.deliveries["styles"]]
    style = [looks[p % len(looks)] for p in frame["provider"]]
    return frame.with_columns(icd_style=pl.Series(style, dtype=pl.String))


def _ethnic_categories(world: World) -> dict[str, str]:
    table = world.parameters.ethnicity
    return dict(zip(table["ethnicity"], table["nhs2001"], strict=True)) | {
        "REFU": "Z",
        "NOBT": "99",
    }


def _provider(world: World, column: str, what: str) -> pl.Expr:
    providers = world.parameters.hospital["providers"]
    return pl.col(column).replace_strict(
        {i: p[what] for i, p in enumerate(providers)}, return_dtype=pl.String
    )


def _patient(world: World, prefix: str) -> dict[str, pl.Expr]:
    """The patient's columns, the same on spells and episodes but for their prefix."""
    status = pl.when(pl.col("nhs_number").is_null()).then(pl.lit("03")).otherwise(pl.lit("01"))
    return {
        f"{prefix}patient.identity.nhs_number.value": pl.col("nhs_number"),
        f"{prefix}patient.identity.nhs_number.status": status,
        f"{prefix}patient.identity.local_patient_identifier.value": pl.col("local_patient_id"),
        f"{prefix}patient.identity.birth_date": pl.col("written_birth")
        .cast(pl.Int32)
        .cast(pl.Date),
        f"{prefix}patient.identity.gender": pl.col("sex").replace_strict({"M": "1", "F": "2"}),
        f"{prefix}patient.identity.ethnic_category": pl.col("ethnicity").replace_strict(
            _ethnic_categories(world)
        ),
        f"{prefix}patient.residence.postcode": pl.col("written_postcode"),
        f"{prefix}patient.mother.nhs_number.value": pl.col("mother"),
        f"{prefix}patient.mother.postcode": pl.when(pl.col("mother").is_not_null()).then(
            "written_postcode"
        ),
        f"{prefix}commissioning.service_agreement.provider": _provider(world, "provider", "code"),
    }


def _spells(world: World, sent: pl.DataFrame) -> pl.DataFrame:
    primary = world.hospital.diagnoses.filter(pl.col("position") == 1, pl.col("episode") == 1)
    second = world.hospital.diagnoses.filter(pl.col("position") == 2, pl.col("episode") == 1)
    dominant = world.hospital.procedures.filter(pl.col("position") == 1)
    frame = _with_style(world, sent)
    for name, codes in (("first", primary), ("second", second), ("operation", dominant)):
        frame = frame.join(
            codes.select("spell_id", pl.col("code").alias(name)),
            on="spell_id",
            how="left",
            maintain_order="left",
        )
    time = pl.format(
        "{}:{}:00",
        pl.col("hour").cast(pl.String).str.zfill(2),
        pl.col("minute").cast(pl.String).str.zfill(2),
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
        KEY: pl.col("key").cast(pl.String),
        "spell.hospital_provider_spell_number": "SP" + (pl.col("key") % 10_000_000).cast(pl.String),
        **_patient(world, "spell."),
        "spell.admission.date": date_column("a", frame["admitted"].to_numpy()),
        "spell.admission.time": time,
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
        "spell.care_location.site_code_of_treatment": _provider(world, "provider", "site"),
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
        KEY: pl.col("key").cast(pl.String),
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
    frame = _with_style(world, _join(sent, world.hospital.diagnoses))
    return frame.select(
        pl.col("key").cast(pl.String).alias(KEY),
        pl.col("episode").alias(EPISODE),
        ICD_ID="position",
        code=icd10(pl.col("code"), pl.col("icd_style")),
    )


def _procedures(world: World, sent: pl.DataFrame) -> pl.DataFrame:
    frame = _join(sent, world.hospital.procedures)
    return frame.select(
        pl.col("key").cast(pl.String).alias(KEY),
        pl.col("episode").alias(EPISODE),
        OPCS_ID="position",
        code="code",
        date=date_column("date", frame["day"].to_numpy()),
    )


def _log(sent: pl.DataFrame, struck: pl.DataFrame, number: int) -> pl.DataFrame:
    """Every key inserted by this delivery, and the keys it strikes out."""
    inserted = sent.select(
        pl.col("key").cast(pl.String).alias(KEY),
        dmicImportLogId=pl.lit(number, dtype=pl.Int64),
        dmicIsDeleted=pl.lit(False),
        dmicDeletedImportLogId=pl.lit(None, dtype=pl.Int64),
    )
    deleted = struck.select(
        pl.col("key").cast(pl.String).alias(KEY),
        dmicImportLogId=pl.lit(number * 10 + 1, dtype=pl.Int64),
        dmicIsDeleted=pl.lit(True),
        dmicDeletedImportLogId=pl.lit(number, dtype=pl.Int64),
    )
    return pl.concat([inserted, deleted])


def _end_of(month: str) -> int:
    year, number = int(month[:4]), int(month[5:])
    return as_days(f"{month}-{monthrange(year, number)[1]}")
