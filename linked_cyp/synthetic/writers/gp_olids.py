"""General practice records as the One London Integrated Data Set exports them.

There is no name, day of birth or postcode: NHS numbers are pseudonymised with the supplier's key
(:func:`supplier_key`), postcodes with another of its keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from linked_cyp.identity import pseudonym_keys
from linked_cyp.synthetic.parameters import Streams, as_days, date_column, text
from linked_cyp.synthetic.primary_care import PrimaryCare, build_primary_care
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import LOCAL_ID, PERSON, Sent, Style

PRACTICE, TAKEN, DELETED = (
    *("RECORD_OWNER_ORGANISATION_CODE", "LDS_DATETIME_DATA_ACQUIRED", "LDS_IS_DELETED"),
)
DAY, CODE = "CLINICAL_EFFECTIVE_DATE", "MAPPED_CONCEPT_CODE"
SNOMED = "http://snomed.info/sct"
# Concepts that other tables refer to by key: of date precision (a local system), and of SNOMED CT.
PRECISIONS = ("day", "year")
SPECIALTIES = (
    "408440000",
    "394802001",
    "394537008",
)  # public health, general medicine, paediatrics


def supplier_key(streams: Streams) -> bytes:
    """The key with which the invented supplier pseudonymises NHS numbers."""
    return streams("general practice pseudonym key").bytes(32)


def hand_over_key(folder: Path, world: World) -> None:
    """Write :func:`supplier_key` to a folder, as the supplier hands it over."""
    file = pseudonym_keys.path(folder, world.parameters.deliveries["nhs_supplier"])
    file.write_text(supplier_key(world.streams).hex() + "\n", encoding="ascii")
    file.chmod(0o600)


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """One snapshot."""
    yield partial(gp_olids, world)


def gp_olids(world: World) -> Sent:
    """Every record of the area's practices on the day of the snapshot."""
    care = world.part(build_primary_care)
    day = str(np.datetime64(care.snapshot, "D"))
    tables = {
        "patient": _patients(world, care),
        "patient_person": _patient_person(care),
        "organisation": _organisations(care),
        "episode_of_care": _episodes(care),
        "patient_address": _addresses(world, care),
        "place": _places(world, care),
        "patient_uprn": _homes(care),
        "encounter": _encounters(care),
        "appointment": _appointments(care),
        "observation": _observations(care),
        "medication_statement": _statements(world, care),
        "medication_order": _orders(world, care),
        "allergy_intolerance": _allergies(care),
        "referral_request": _referrals(world, care),
        "concept": _concepts(world),
        "concept_map": _concept_maps(world),
    }
    return Sent(
        feed="gp_olids",
        supplier=world.parameters.deliveries["nhs_supplier"],
        period=day,
        produced=f"{day}T03:00:00",
        tables=tables,
        style=Style(date="%Y-%m-%d 00:00:00", true="TRUE", false="FALSE", manifest=True),
    )


def _key(prefix: str, column: str | pl.Expr) -> pl.Expr:
    number = pl.col(column) if isinstance(column, str) else column
    return pl.lit(prefix) + number.cast(pl.String).str.zfill(9)


def _numbered(prefix: str) -> pl.Expr:
    return _key(prefix, pl.int_range(1, pl.len() + 1))


def _owned(care: PrimaryCare, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows with the person, the practice and the keys that all tables of patients have."""
    known = care.patients.select("patient", "person_id", "practice")
    return frame.drop("person_id", strict=False).join(known, on="patient", maintain_order="left")


def _common(care: PrimaryCare, *, deleted: bool = True) -> dict[str, pl.Expr]:
    return {
        "PATIENT_ID": _key("PT", "patient"),
        PRACTICE: pl.col("practice"),
        TAKEN: pl.lit(care.snapshot).cast(pl.Int32).cast(pl.Date),
        **({DELETED: pl.lit(False)} if deleted else {}),
        PERSON: pl.col("person_id"),
        LOCAL_ID: _key("PT", "patient"),
    }


def _day(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Int32).cast(pl.Date)


def _patients(world: World, care: PrimaryCare) -> pl.DataFrame:
    key = pseudonym_keys.PseudonymKey(supplier_key(world.streams))
    written = care.patients["nhs_number"]
    numbers = written.drop_nulls().unique().sort()
    hashes = dict(zip(numbers, key.pseudonyms(numbers), strict=True))
    born = care.patients.select(_day("birth")).to_series()
    died = care.patients.join(
        world.population.persons.select("person_id", "death_day"),
        on="person_id",
        maintain_order="left",
    )["death_day"]
    dead = (died <= care.snapshot).fill_null(False)
    death = date_column("death", died.fill_null(0).to_numpy(), (~dead).to_numpy())
    common = _common(care)
    common["ID"] = common.pop("PATIENT_ID")
    frame = care.patients.select(
        NHS_NUMBER_HASH=written.replace_strict(hashes, default=None, return_dtype=pl.String),
        GENDER_CODE=pl.col("sex").replace_strict({"M": "male", "F": "female"}),
        BIRTH_YEAR=born.dt.year(),
        BIRTH_MONTH=born.dt.month(),
        DEATH_YEAR=death.dt.year(),
        DEATH_MONTH=death.dt.month(),
        IS_SPINE_SENSITIVE="is_sensitive",
        IS_CONFIDENTIAL="is_confidential",
        IS_DUMMY_PATIENT=pl.lit(False),
        **common,
    )
    # test patients of the practice systems: somebody's number, and no person
    dummies = world.parameters.part("primary_care")["dummies"]
    tests = frame.head(dummies).with_columns(
        ID=pl.lit("PTTEST") + pl.int_range(pl.len()).cast(pl.String),
        IS_DUMMY_PATIENT=pl.lit(True),
    )
    return pl.concat([frame, tests.with_columns(pl.col("ID").alias(LOCAL_ID))])


def _patient_person(care: PrimaryCare) -> pl.DataFrame:
    """Poorly filled, as it is: two records in three."""
    common = {k: v for k, v in _common(care).items() if k != PRACTICE}
    return care.patients.filter(pl.col("patient") % 3 > 0).select(
        ID=_key("PP", "patient"), PERSON_ID="person_id", **common
    )


def _practices(care: PrimaryCare) -> pl.DataFrame:
    return care.patients.select("practice").unique().sort("practice")


def _organisations(care: PrimaryCare) -> pl.DataFrame:
    return _practices(care).select(
        ID="OR" + pl.col("practice"),
        ORGANISATION_CODE="practice",
        IS_OBSOLETE=pl.lit(False),
        **{TAKEN: _common(care)[TAKEN], DELETED: pl.lit(False)},
    )


def _episodes(care: PrimaryCare) -> pl.DataFrame:
    common = _common(care)
    return care.patients.select(
        ID=_key("EC", "patient"),
        ORGANISATION_ID_MANAGING="OR" + pl.col("practice"),
        EPISODE_TYPE_SOURCE_DISPLAY="type",
        EPISODE_OF_CARE_START_DATE=_day("begin"),
        EPISODE_OF_CARE_END_DATE=pl.when(pl.col("finish") <= care.snapshot).then(_day("finish")),
        ORGANISATION_CODE_PUBLISHER=common.pop(PRACTICE),
        LDS_DATETIME_SOURCE_RECORD_ACQUIRED=common.pop(TAKEN),
        **common,
    )


def _masked(value: pl.Expr, what: str) -> pl.Expr:
    """A mask of the supplier's own: equal where the values are."""

    def mask(values: pl.Series) -> pl.Series:
        return text([hashlib.sha256(f"{what} {v}".encode()).hexdigest() for v in values])

    return value.map_batches(mask, return_dtype=pl.String)


def _addresses(world: World, care: PrimaryCare) -> pl.DataFrame:
    return _owned(care, care.addresses).select(
        ID=_numbered("AD"),
        POSTCODE_HASH=_masked(pl.col("postcode_id"), "postcode"),
        START_DATE=_day("from_day"),
        END_DATE=pl.when(pl.col("to_day") <= care.snapshot).then(_day("to_day")),
        **_common(care, deleted=False),
    )


def _homes(care: PrimaryCare) -> pl.DataFrame:
    common = _common(care)
    return _owned(care, care.addresses).select(
        ID=_numbered("AD"),
        MASKED_UPRN=_masked(pl.col("home"), "home"),
        **{name: common[name] for name in (TAKEN, DELETED)},
    )


def _places(world: World, care: PrimaryCare) -> pl.DataFrame:
    used = care.addresses["postcode_id"].unique().implode()
    places = world.places.postcodes.filter(pl.col("postcode_id").is_in(used))
    authority = dict(world.places.areas.select("area", "ons_code").iter_rows())
    return places.sort("postcode_id").select(
        POSTCODE_HASH=_masked(pl.col("postcode_id"), "postcode"),
        EFFECTIVE_FROM=pl.lit("2011-04-01 00:00:00"),
        YR2011_LSOA="lsoa_code",
        YR2021_LSOA="lsoa_code",
        LOCAL_AUTHORITY_ORGANISATION=pl.col("area").replace_strict(
            authority, return_dtype=pl.String
        ),
        IS_LATEST=pl.lit(True),
        **{DELETED: pl.lit(False)},
    )


def _entry(care: PrimaryCare) -> dict[str, pl.Expr]:
    """Date columns of an entry, beside the common ones."""
    early = pl.col("day") <= as_days("1900-01-01")
    precision = pl.when(early).then(pl.lit("CNyear")).otherwise(pl.lit("CNday"))
    return {DAY: _day("day"), "DATE_PRECISION_CONCEPT_ID": precision, **_common(care)}


def _encounters(care: PrimaryCare) -> pl.DataFrame:
    return _owned(care, care.encounters).select(
        ID=_numbered("EN"),
        EPISODE_OF_CARE_ID=_key("EC", "patient"),
        ENCOUNTER_SOURCE_CONCEPT_ID="CN" + pl.col("kind"),
        END_DATE=_day("day"),
        **_entry(care),
    )


def _appointments(care: PrimaryCare) -> pl.DataFrame:
    time = pl.format(
        "{}:{}:00",
        (pl.col("minute") // 60).cast(pl.String).str.zfill(2),
        (pl.col("minute") // 5 * 5 % 60).cast(pl.String).str.zfill(2),
    )
    return _owned(care, care.appointments).select(
        ID=_numbered("AP"),
        ORGANISATION_ID="OR" + pl.col("practice"),
        START_DATE=pl.concat_str(_day("day").dt.strftime("%Y-%m-%d"), time, separator=" "),
        APPOINTMENT_STATUS_CODE="status",
        IS_BLOCKED=pl.lit(False),
        **_common(care),
    )


def _observations(care: PrimaryCare) -> pl.DataFrame:
    columns = {
        "ID": _numbered("OB"),
        CODE: pl.col("code"),
        "RESULT_VALUE": pl.col("value"),
        "RESULT_UNIT_CODE": pl.col("unit"),
        "IS_PROBLEM": pl.col("is_problem"),
        "IS_PROBLEM_DELETED": pl.lit(False),
        "IS_REVIEW": pl.lit(False),
        "IS_CONFIDENTIAL": pl.col("is_confidential"),
        **_entry(care),
        DELETED: pl.col("is_deleted"),
    }
    return _owned(care, care.observations).select(**columns)


def _medicine(world: World) -> dict[str, pl.Expr]:
    products = world.parameters.part("primary_care")["medicine"]
    return {
        CODE: pl.col("bnf").replace_strict(products, default=None, return_dtype=pl.String),
        "BNF_REFERENCE": pl.col("bnf"),
        "QUANTITY_VALUE": pl.lit(1, dtype=pl.Int64),
        "IS_CONFIDENTIAL": pl.lit(False),
    }


def _statements(world: World, care: PrimaryCare) -> pl.DataFrame:
    return _owned(care, care.statements).select(
        ID=_key("MS", "statement"), IS_ACTIVE="active", **_medicine(world), **_entry(care)
    )


def _orders(world: World, care: PrimaryCare) -> pl.DataFrame:
    return _owned(care, care.orders).select(
        ID=_numbered("MO"),
        MEDICATION_STATEMENT_ID=_key("MS", "statement"),
        DURATION_DAYS="days",
        **_medicine(world),
        **_entry(care),
    )


def _allergies(care: PrimaryCare) -> pl.DataFrame:
    columns = {"ID": _numbered("AL"), CODE: pl.col("code"), **_entry(care)}
    return _owned(care, care.allergies).select(
        **columns, IS_REVIEW=pl.lit(False), IS_CONFIDENTIAL=pl.lit(False)
    )


def _referrals(world: World, care: PrimaryCare) -> pl.DataFrame:
    referrals = _owned(care, care.referrals)
    chosen = world.streams("specialties").choice(list(SPECIALTIES), referrals.height)
    return referrals.select(
        ID=_numbered("RR"),
        ORGANISATION_ID="OR" + pl.col("practice"),
        REFERRAL_REQUEST_SPECIALTY_CONCEPT_ID="CN" + text(chosen),
        IS_OUTGOING_REFERRAL=pl.lit(True),
        **_entry(care),
    )


def _codes(world: World) -> list[str]:
    settings = world.parameters.part("primary_care")
    coded = {*settings["contact"], *(dose["code"] for dose in settings["immunisations"])}
    coded |= {row["code"] for row in settings["conditions"].values()} | {*SPECIALTIES}
    return sorted(str(code) for code in coded)


def _concepts(world: World) -> pl.DataFrame:
    codes = _codes(world)
    return pl.DataFrame(
        {
            "ID": [f"CN{code}" for code in (*codes, *PRECISIONS)],
            "SYSTEM": [SNOMED] * len(codes)
            + ["http://olids.nhs.example/date-precision"] * len(PRECISIONS),
            "CODE": [*codes, *PRECISIONS],
            "IS_MAPPED": [True] * len(codes) + [False] * len(PRECISIONS),
        }
    )


def _concept_maps(world: World) -> pl.DataFrame:
    codes = _codes(world)
    return pl.DataFrame(
        {
            "ID": [f"CM{code}" for code in codes],
            "SOURCE_CODE_ID": [f"CL{code}" for code in codes],
            "TARGET_CODE_ID": [f"CN{code}" for code in codes],
            "TARGET_CODE": codes,
            "IS_PRIMARY": [True] * len(codes),
            "IS_ACTIVE": [True] * len(codes),
        }
    )
