"""What is attacked: person records, with the true names beside them to count what came out."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys
from linked_cyp.identity.names import compact_name
from linked_cyp.identity.person_records import IDENTITY_SCHEMA, TOKENS, encode, expand, per_distinct

FIELDS = ("forename", "surname")
PLAIN = ("plain", "stored_plain")
_ONE_DATE = dt.date(2001, 2, 3)  # one that day and month can be exchanged in
_ONE_PLACE = "ZZ1 1AA"


@dataclass(frozen=True)
class Case:
    """Records under attack.

    Attributes:
        encoding: ``hardened`` (``stored`` where the records are a store's, ``stored_plain`` where
            that store is plain); or a control: ``plain``, or ``birth_date_salt`` (hardened, but
            the bits salted by birth date alone).
        records: every column of ``person_record`` that the store holds (not record_id), one row per
            record; all of it is the attacker's.
        people: the same rows in clear: child, household (may be null), forename, surname, names
            (both, in either order), sex, birth_date. Only what the attacker is said to know of it
            may be used to guess; the rest to count.
    """

    encoding: str
    records: pl.DataFrame
    people: pl.DataFrame

    @property
    def hardened(self) -> bool:
        return self.encoding not in PLAIN


def named(identities: pl.DataFrame, persons: pl.DataFrame) -> pl.DataFrame:
    """Identities with both names, as :class:`Case` has its people.

    Args:
        identities: standardised, as :func:`linked_cyp.identity.person_records.encode` takes them.
        persons: record_key, child and, where known, household.
    """
    compact = [per_distinct(identities[field], compact_name).alias(field) for field in FIELDS]
    people = (
        identities.select("record_key", *compact, "sex", "birth_date")
        .filter(*(pl.col(field).str.len_chars() > 0 for field in FIELDS))
        .filter(pl.col("birth_date").is_not_null())
        .join(persons, on="record_key")
        .sort("record_key")
    )
    if "household" not in people.columns:
        people = people.with_columns(pl.lit(None, dtype=pl.Int64).alias("household"))
    both = (pl.min_horizontal(*FIELDS), pl.max_horizontal(*FIELDS))
    return people.with_columns(pl.concat_str(*both, separator=" ").alias("names"))


def make_case(encoding: str, identities: pl.DataFrame, people: pl.DataFrame, keys: Keys) -> Case:
    """Encode people's records as the store does, or as a control.

    Args:
        people: from :func:`named`.
    """
    encoder = Encoder(keys, hardened=encoding != "plain")
    rows = people.select("record_key").join(
        identities.select(IDENTITY_SCHEMA.keys()), on="record_key", maintain_order="left"
    )
    records = encode(expand(rows), encoder)  # in the order of record_key
    if encoding == "birth_date_salt":
        salt = encoder.tokens("birth_date", people["birth_date"].dt.to_string("iso"))
        for field in FIELDS:
            bloom = encoder.bloom(field, people[field], salt)
            records = records.with_columns(
                pl.Series(f"{field}_lane_0", bloom.lane_0),
                pl.Series(f"{field}_lane_1", bloom.lane_1),
                pl.Series(f"{field}_bits", bloom.bits),
            )
    return Case(encoding, records, people)


def stored_case(records: pl.DataFrame, people: pl.DataFrame, *, is_hardened: bool = True) -> Case:
    """The rows of ``linkage.main.person_record`` themselves.

    Raises:
        LinkedCypError: some of the people have no record.
    """
    present = records.filter(pl.col("alternative") == 0).sort("record_key")
    present = present.join(people.select("record_key"), on="record_key", how="semi")
    if not present["record_key"].equals(people["record_key"]):
        raise LinkedCypError("the people attacked are not those of the records")
    return Case("stored" if is_hardened else "stored_plain", present, people)


def crowd(identities: pl.DataFrame, days: int) -> pl.DataFrame:
    """The same people, born on ``days`` dates only.

    A salt is shared by the children of one birth date: 1,600 in all of England and Wales, two or
    three in twenty thousand children. This gives a small population a large one's crowds.
    """
    first = dt.date(2010, 1, 1)
    day = (pl.col("birth_date") - first).dt.total_days() % days
    return identities.with_columns((pl.lit(first) + pl.duration(days=day)).alias("birth_date"))


def imitate(people: pl.DataFrame, hardened: bool, seed: int, *, one_salt: bool) -> pl.DataFrame:
    """The names that the attacker knows of, encoded by the attacker under a key of their own.

    Encodings under another key have the same frequencies, the same missing values and the same
    numbers of bits, whatever is encoded and however: so each column is attacked without the
    attack knowing how it is made.

    Args:
        people: as in :class:`Case`; of it the names with their sex are used.
        one_salt: with one birth date and postcode for all, so that a token stands for a name;
            else with dates drawn at random.
    """
    draw = np.random.default_rng(seed)
    days = np.zeros(people.height, np.int64) if one_salt else draw.integers(0, 7300, people.height)
    rows = people.select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("record_key"),
        "sex",
        *FIELDS,
        (pl.lit(_ONE_DATE) + pl.duration(days=pl.lit(pl.Series(days)))).alias("birth_date"),
        pl.lit(_ONE_PLACE).alias("postcode"),
    )
    missing = [
        pl.lit(None, dtype=t).alias(n) for n, t in IDENTITY_SCHEMA.items() if n not in rows.columns
    ]
    keys = Keys(draw.bytes(32))
    return encode(expand(rows.with_columns(missing)), Encoder(keys, hardened=hardened))


def token_columns(field: str) -> list[str]:
    """Columns of tokens that a name goes into; ``names`` stands for both names together."""
    return [c for c in TOKENS if c == field or c.startswith(f"{field}_")]


def commonest(people: pl.DataFrame, field: str, by: str = "sex") -> pl.Series:
    """For each row the commonest name among those of its sex: the guess without any record."""
    best = (
        people.group_by(by, field)
        .agg(pl.len().alias("n"))
        .sort("n", field, descending=[True, False])
        .unique(by, keep="first")
        .select(by, pl.col(field).alias("guess"))
    )
    return people.join(best, on=by, how="left", nulls_equal=True, maintain_order="left")["guess"]
