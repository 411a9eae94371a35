"""Monthly submissions of providers, as the national data sets of mental health and community care.

A provider sends every month what happened and, again, what is still open. One month is sent a
second time, corrected, and the first sending of it no longer counts. Months are numbered as NHS
England numbers them: from April 1900.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.households import FOREVER
from linked_cyp.synthetic.parameters import Streams, as_days, text
from linked_cyp.synthetic.records import postcode_on, registered
from linked_cyp.synthetic.world import World

APRIL_1900 = 838  # number of January 1970, less one


@dataclass(frozen=True)
class Submissions:
    """``sent``: provider (number), month, version, submission_id, sent_month, sent_day."""

    sent: pl.DataFrame

    def carry(self, rows: pl.DataFrame, since: int, until: int) -> pl.DataFrame:
        """The rows (with provider and month) as often as submissions of a period carry them.

        The submissions are those sent after the month ``since`` up to the month ``until``.
        """
        here = self.sent.filter(pl.col("sent_month").is_between(since + 1, until))
        return rows.join(here, on=["provider", "month"], how="inner", maintain_order="left_right")

    def active(self, until: int) -> pl.DataFrame:
        """The last submission of each provider and month sent by the month ``until``."""
        known = self.sent.filter(pl.col("sent_month") <= until).sort("version")
        return known.unique(["provider", "month"], keep="last", maintain_order=True).sort(
            "month", "provider"
        )


def monthly_submissions(
    settings: Mapping[str, Any], first_month: int, last_month: int
) -> Submissions:
    """One submission of every provider and month, and the one that is sent again.

    ``settings`` has providers (a list) and refreshed: [provider, months before the last].
    """
    months = np.arange(first_month, last_month + 1)
    count = len(settings["providers"])
    sent = pl.DataFrame(
        {"provider": np.tile(np.arange(count), len(months)), "month": np.repeat(months, count)}
    ).with_columns(version=pl.lit(1, dtype=pl.Int64), sent_month=pl.col("month"))
    provider, back = settings["refreshed"]
    again = sent.filter(
        pl.col("provider") == provider, pl.col("month") == last_month - back
    ).with_columns(version=pl.lit(2, dtype=pl.Int64), sent_month=pl.col("month") + 1)
    sent = pl.concat([sent, again])
    # the window of a month closes in the third week of the next
    sent_day = days_of(sent["sent_month"].to_numpy() + 1) + 20
    number = pl.col("month") * 1000 + pl.col("provider") * 10 + pl.col("version")
    return Submissions(
        sent.with_columns(submission_id=number.cast(pl.String), sent_day=pl.Series(sent_day))
    )


def month_of(days: np.ndarray) -> np.ndarray:
    """Numbers of the months in which days lie."""
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return months + APRIL_1900


def days_of(months: np.ndarray) -> np.ndarray:
    """First days of numbered months."""
    return (
        (np.asarray(months) - APRIL_1900)
        .astype("datetime64[M]")
        .astype("datetime64[D]")
        .astype(np.int64)
    )


def month_number(month: str) -> int:
    """The number of a month written ``2025-03``."""
    return int(month_of(np.array([as_days(f"{month}-01")]))[0])


def reporting_months(world: World, feed: str) -> list[str]:
    """The months of the last year for which a feed's deliveries are named."""
    last = world.years[-1]
    months = world.parameters.deliveries["feeds"][feed]["months"]
    return [f"{last if month <= 3 else last - 1}-{month:02d}" for month in months]


def nhs_ethnicity(world: World, column: str) -> pl.Expr:
    """A recorded ethnicity in the NHS 2001 codes."""
    table = world.parameters.ethnicity
    codes = dict(zip(table["ethnicity"], table["nhs2001"], strict=True))
    return pl.col(column).replace_strict(codes | {"REFU": "Z", "NOBT": "99"}, default="99")


def while_open(frame: pl.DataFrame, first_month: int, last_month: int) -> pl.DataFrame:
    """Each row once for every month from its ``day`` to its ``end`` (FOREVER while open)."""
    begin = np.maximum(month_of(frame["day"].to_numpy()), first_month)
    end = np.minimum(month_of(frame["end"].to_numpy()), last_month)
    months = pl.int_ranges(pl.Series(begin), pl.Series(end) + 1, eager=True)
    return frame.with_columns(month=months).explode("month").filter(pl.col("month").is_not_null())


def patients(
    world: World, source: str, seen: pl.DataFrame, settings: Mapping[str, Any]
) -> pl.DataFrame:
    """Who is known to each provider: person_id, provider, the identity as written, and its ids.

    Args:
        source: whose errors are made (``errors.yaml``).
        seen: person_id, provider, day.
        settings: second_identifier and no_identifier are shares of patients.

    Returns:
        One row for each person and provider: also patient_number (at the provider),
        national_person_id (null where there is none) and sibling columns of the identity.
    """
    first = seen.group_by("person_id", "provider", maintain_order=True).agg(pl.col("day").min())
    columns = ("birth", "sex", "ethnicity", "nhs_number", "postcode")
    found = registered(world, first, source, columns, ("person_id", "provider", "day"))
    return found.with_columns(
        patient_number=_numbers(world.streams, f"{source} patients", found.height),
        national_person_id=_national_ids(world.streams, source, found, settings),
    )


def _numbers(streams: Streams, name: str, size: int) -> pl.Series:
    drawn = streams(name).choice(9_000_000, size=size, replace=False) + 1_000_000
    return pl.Series(drawn).cast(pl.String)


def _national_ids(
    streams: Streams, source: str, found: pl.DataFrame, settings: Mapping[str, Any]
) -> pl.Series:
    """One identifier for each person, for some another at another provider, for some none."""
    rng = streams(f"{source} national ids")
    persons = found["person_id"].unique().sort()
    drawn = rng.choice(90_000_000, size=2 * len(persons), replace=False) + 10_000_000
    ids = pl.DataFrame(
        {
            "person_id": persons,
            "usual": drawn[: len(persons)].astype(str),
            "other": drawn[len(persons) :].astype(str),
            "is_double": rng.random(len(persons)) < settings["second_identifier"],
            "is_none": rng.random(len(persons)) < settings["no_identifier"],
        }
    )
    known = found.join(ids, on="person_id", how="left", maintain_order="left")
    return known.select(
        pl.when(~pl.col("is_none")).then(
            pl.when(pl.col("is_double") & (pl.col("provider") > 0)).then("other").otherwise("usual")
        )
    ).to_series()


def written_postcode(world: World, rows: pl.DataFrame, known: pl.DataFrame) -> pl.Series:
    """The postcode the provider had of each row's patient at the end of the row's month."""
    frame = rows.select("person_id", "provider", "month").join(
        known.select("person_id", "provider", "household_id", "postcode", "postcode_frozen"),
        on=["person_id", "provider"],
        how="left",
        maintain_order="left",
    )
    day = days_of(frame["month"].to_numpy() + 1) - 1
    return postcode_on(
        frame.with_columns(day=pl.Series(day)), world.population, world.places, "day"
    )


def first_days(frame: pl.DataFrame, months: str) -> pl.Series:
    """The first days of numbered months, as dates."""
    return pl.Series(days_of(frame[months].to_numpy()).astype(np.int32)).cast(pl.Date)


def last_days(frame: pl.DataFrame, months: str) -> pl.Series:
    """The last days of numbered months, as dates."""
    days = days_of(frame[months].to_numpy() + 1) - 1
    return pl.Series(days.astype(np.int32)).cast(pl.Date)


def moment(days: str) -> pl.Expr:
    """A day number as the timestamp of the night in which a warehouse loaded the row."""
    return pl.col(days).cast(pl.Int32).cast(pl.Date).dt.strftime("%Y-%m-%dT03:15:00")


def as_date(days: str) -> pl.Expr:
    """A day number as a date; none where it is open."""
    return pl.when(pl.col(days) < FOREVER).then(pl.col(days)).cast(pl.Int32).cast(pl.Date)


def chosen(rng: np.random.Generator, frame: pl.DataFrame, share: float) -> pl.DataFrame:
    """A random share of the rows."""
    return frame.filter(pl.Series(rng.random(frame.height) < share))


def coded(values: Sequence[Any] | np.ndarray) -> pl.Series:
    """Drawn codes as text."""
    return text(np.asarray(values, dtype=object))
