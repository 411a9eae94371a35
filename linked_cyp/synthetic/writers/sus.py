"""What the Secondary Uses Service extracts share: record keys, corrections, their log, the patient.

A record struck out later stays in its delivery; the log of the delivery that strikes it out says
that it is deleted, and the corrected record follows there under a new key.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import polars as pl

from linked_cyp.synthetic.parameters import as_days
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import Sent, Style, monthly

KEY, EPISODE = "PRIMARYKEY_ID", "EPISODES_ID"
CORRECTED = 500_000_000  # added to the key of a record when it comes again


Tables = Callable[[World, pl.DataFrame], Mapping[str, pl.DataFrame]]


def monthly_deliveries(
    world: World, feed: str, records: pl.DataFrame, tables: Tables
) -> Iterator[Callable[[], Sent]]:
    """A delivery for each month that the parameters name.

    Each holds what was recorded since the one before, the corrections and the log. ``tables``
    makes the feed's other tables of the records sent.
    """
    before: str | None = None
    for month in monthly(world, world.parameters.deliveries["feeds"][feed]):
        yield partial(_send, world, feed, records, tables, before, month)
        before = month


def _send(
    world: World,
    feed: str,
    records: pl.DataFrame,
    tables: Tables,
    since: str | None,
    month: str,
) -> Sent:
    sent, struck = due(records, since, month)
    return Sent(
        feed=feed,
        supplier=world.parameters.deliveries["nhs_supplier"],
        period=month,
        produced=f"{month}-28T04:00:00",
        tables={
            **tables(world, sent),
            "insert_delete_log": log(sent, struck, int(month.replace("-", ""))),
        },
        style=Style(date="%Y-%m-%dT00:00:00", manifest=True),
    )


def recorded(
    rng: np.random.Generator, frame: pl.DataFrame, *, day: str, first_key: int, deleted: float
) -> pl.DataFrame:
    """``frame`` with each record's key, the day it was sent, and whether and when struck out."""
    size = frame.height
    return frame.with_columns(
        deleted=pl.Series(rng.random(size) < deleted),
        struck_day=pl.col(day) + pl.Series(rng.integers(20, 200, size)),
        key=pl.Series(first_key + np.arange(size) * 7),
        sent_day=pl.col(day),
    )


def due(records: pl.DataFrame, since: str | None, month: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records to send after ``since`` up to ``month``, and those struck out in that time."""
    begin, end = _end_of(since) + 1 if since else 0, _end_of(month)
    here = records.filter(pl.col("sent_day").is_between(begin, end))
    struck = records.filter(pl.col("deleted"), pl.col("struck_day").is_between(begin, end))
    again = struck.with_columns(key=pl.col("key") + CORRECTED)
    return pl.concat([here, again]), struck


def log(sent: pl.DataFrame, struck: pl.DataFrame, number: int) -> pl.DataFrame:
    """Every key inserted by this delivery, and the keys it strikes out."""
    inserted = sent.select(
        key_column(),
        dmicImportLogId=pl.lit(number, dtype=pl.Int64),
        dmicIsDeleted=pl.lit(False),
        dmicDeletedImportLogId=pl.lit(None, dtype=pl.Int64),
    )
    deleted = struck.select(
        key_column(),
        dmicImportLogId=pl.lit(number * 10 + 1, dtype=pl.Int64),
        dmicIsDeleted=pl.lit(True),
        dmicDeletedImportLogId=pl.lit(number, dtype=pl.Int64),
    )
    return pl.concat([inserted, deleted])


def key_column() -> pl.Expr:
    return pl.col("key").cast(pl.String).alias(KEY)


def number_status() -> pl.Expr:
    """How far the NHS number was traced: present, or trace required."""
    return pl.when(pl.col("nhs_number").is_null()).then(pl.lit("03")).otherwise(pl.lit("01"))


def sex_code() -> pl.Expr:
    return pl.col("sex").replace_strict({"M": "1", "F": "2"})


def ethnic_category(world: World) -> pl.Expr:
    table = world.parameters.ethnicity
    codes = dict(zip(table["ethnicity"], table["nhs2001"], strict=True))
    return pl.col("ethnicity").replace_strict(codes | {"REFU": "Z", "NOBT": "99"})


def provider(world: World, what: str) -> pl.Expr:
    """The provider's code or site."""
    providers = world.parameters.hospital["providers"]
    return pl.col("provider").replace_strict(
        {i: p[what] for i, p in enumerate(providers)}, return_dtype=pl.String
    )


def patient(world: World, prefix: str) -> dict[str, pl.Expr]:
    """The patient's columns of admitted and outpatient care, the same but for their prefix."""
    identity = f"{prefix}patient.identity."
    return {
        f"{identity}nhs_number.value": pl.col("nhs_number"),
        f"{identity}nhs_number.status": number_status(),
        f"{identity}local_patient_identifier.value": pl.col("local_patient_id"),
        f"{identity}birth_date": pl.col("written_birth").cast(pl.Int32).cast(pl.Date),
        f"{identity}gender": sex_code(),
        f"{identity}ethnic_category": ethnic_category(world),
        f"{prefix}patient.residence.postcode": pl.col("written_postcode"),
        f"{prefix}commissioning.service_agreement.provider": provider(world, "code"),
    }


def small_area(world: World, postcode: str) -> pl.Expr:
    """The 2021 area of a postcode, as the supplier derives it; null where there is none."""
    places = world.places.postcodes
    areas = dict(zip(places["postcode"], places["lsoa_code"], strict=True))
    return pl.col(postcode).replace_strict(areas, default=None, return_dtype=pl.String)


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


def with_style(world: World, frame: pl.DataFrame) -> pl.DataFrame:
    """``frame`` with the way its provider writes ICD-10 codes."""
    looks = [s["icd"] for s in world.parameters.deliveries["styles"]]
    style = [looks[p % len(looks)] for p in frame["provider"]]
    return frame.with_columns(icd_style=pl.Series(style, dtype=pl.String))


def clock(minute: pl.Expr) -> pl.Expr:
    """Minutes after midnight as a time of day."""
    hour, rest = minute // 60 % 24, minute % 60
    parts = (part.cast(pl.String).str.zfill(2) for part in (hour, rest))
    return pl.format("{}:{}:00", *parts)


def moment(minute: pl.Expr) -> pl.Expr:
    """``day`` and the minutes after its midnight as a timestamp, as the extracts write one."""
    day = (pl.col("day") + minute // 1440).cast(pl.Int32).cast(pl.Date)
    return pl.format("{}T{}", day.dt.strftime("%Y-%m-%d"), clock(minute))


def _end_of(month: str) -> int:
    year, number = int(month[:4]), int(month[5:])
    return as_days(f"{month}-{monthrange(year, number)[1]}")
