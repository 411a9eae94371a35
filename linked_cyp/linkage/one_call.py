"""Link one frame of person records: no stores, no contracts, no orchestration."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from linked_cyp.errors import LinkedCypError, value_free
from linked_cyp.keys import Keys
from linked_cyp.linkage.encodings import Encoder
from linked_cyp.linkage.identities import ROLES
from linked_cyp.linkage.person_records import IDENTITY_SCHEMA
from linked_cyp.linkage.prediction import predict
from linked_cyp.linkage.records import write_person_records
from linked_cyp.linkage.resolution import resolve
from linked_cyp.linkage.training import train
from linked_cyp.stores import open_engine

_NO_ALIASES = pl.DataFrame(
    schema={"identifier": pl.String, "former": pl.String, "present": pl.String}
)


@dataclass(frozen=True)
class Linked:
    """What :func:`link` finds; record ids are those given."""

    persons: pl.DataFrame  # record_id, person_id (from 0, numbered by first record)
    pairs: pl.DataFrame | None  # record_id_l, record_id_r, match_weight, gamma_...


def link(
    records: pl.DataFrame, keys: Keys, *, hardened: bool = True, with_pairs: bool = False
) -> Linked:
    """Which records are the same person.

    Args:
        records: ``record_id`` (unique, any type) and identifier columns named by ``linkageRole``
            (nhs_number, upn, former_upn, la_child_id, forename, surname, former_surname,
            preferred_surname, birth_date, sex, postcode); any may be missing or null. Dates are
            dates or ISO texts. ``source`` (text) says where a record comes from; an LA child id
            counts within its source. Other columns are ignored.
        keys: a key for the encodings; only records encoded under one key can be compared.
        hardened: see :mod:`linked_cyp.linkage.encodings`.
        with_pairs: return the scored pairs as well.

    Raises:
        LinkedCypError: record_id is missing or repeated, or linking failed; never with a value.
    """
    if "record_id" not in records.columns or records["record_id"].is_duplicated().any():
        raise LinkedCypError("records need a record_id that is different for each")
    with value_free("linking a frame of records"), tempfile.TemporaryDirectory() as spill:
        identities, sources = _identities(records)
        con = open_engine(Path(spill))
        try:
            con.execute("ATTACH ':memory:' AS linkage")
            encoder = Encoder(keys, hardened=hardened)
            write_person_records(con, [identities], sources, _NO_ALIASES, encoder)
            train(con)
            predict(con)
            resolve(con)
            person = con.execute(
                "SELECT record_key, dense_rank() OVER (ORDER BY cluster) - 1 AS person_id"
                " FROM linkage.main.person"
            ).pl()
            pairs = con.execute("FROM linkage.main.pairs").pl() if with_pairs else None
        finally:
            con.close()
    ids = records.select(pl.int_range(1, pl.len() + 1).alias("record_key"), "record_id")
    persons = ids.join(person, on="record_key").select("record_id", "person_id")
    if pairs is not None:
        for side in ("l", "r"):
            named = ids.select(
                pl.col("record_key").alias(f"record_key_{side}"),
                pl.col("record_id").alias(f"record_id_{side}"),
            )
            pairs = pairs.join(named, on=f"record_key_{side}").drop(f"record_key_{side}")
        pairs = pairs.select(
            "record_id_l", "record_id_r", "match_weight", pl.selectors.starts_with("gamma_")
        )
    return Linked(persons, pairs)


def _identities(records: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Standardised identities and their sources."""
    given = {c for c in records.columns if c in ROLES}
    source = pl.col("source").cast(pl.String) if "source" in records.columns else pl.lit("")
    clean = records.select(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("record_key"),
        source.fill_null("").alias("source_name"),
        *(ROLES[c].rule(pl.col(c).cast(pl.String)).alias(c) for c in given),
    )
    number = pl.col("source_name").rank("dense").cast(pl.Int16)
    missing = [c for c in ROLES if c not in given]
    clean = clean.with_columns(
        number.alias("source"),
        number.alias("supplier"),
        pl.lit(None, dtype=pl.String).alias("exclusion"),
        *(pl.lit(None, dtype=pl.String).alias(c) for c in missing),
    ).with_columns(
        pl.col("birth_date").str.to_date("%Y-%m-%d"),
        pl.concat_str("source_name", "la_child_id", separator="|").alias("la_child_id"),
        pl.concat_list("preferred_surname", "former_surname")
        .list.drop_nulls()
        .alias("other_surnames"),
        pl.concat_list("former_upn").list.drop_nulls().alias("other_upns"),
    )
    sources = clean.select(
        "source",
        pl.col("source_name").alias("feed"),
        "supplier",
        pl.lit(False).alias("tells_apart"),
    ).unique()
    return clean.select(*IDENTITY_SCHEMA, "other_surnames", "other_upns"), sources
