"""Person records that came encoded join those made here, over the history of deliveries.

The rule is that of clear deliveries: what the newest delivery says is current, what it leaves open
is taken from older ones, and older states remain as alternatives. Two things differ, because names
cannot be combined here with dates and postcodes of another delivery. A composite that the newest
record lacks is taken from an older record only if that contradicts it in nothing; and an older
state is an alternative as a whole, where a clear history gives one alternative for each field that
changed. A child of whom one thing changed at a time gets the same records either way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb
import polars as pl

from linked_cyp.contracts.model import Contract
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity.exclusions import in_force
from linked_cyp.ingest.encoded import received
from linked_cyp.ingest.encoded.content import ALIAS, PERSON_RECORD, RECORD_COLUMNS
from linked_cyp.linkage.records.writing import NameAgreement

EARLIER_STATES = 8  # kept of one person; more rows cost pairs and find almost nothing
# Columns that stand for one value alone, each led by the one that is there when any is.
_ALONE = (
    ("nhs",),
    ("upn", "is_upn_permanent"),
    ("la_child",),
    ("sex",),
    (
        *("birth_date", "birth_date_swapped", "birth_year_month", "birth_year_day"),
        *("birth_month_day", "birth_year", "birth_year_only"),
    ),
    ("postcode", "postcode_sector", "postcode_district"),
)
_ABOUT_THE_ROW = ("record_key", "alternative", "exclusion", "is_named")
_BLOOMS = ("forename", "surname")


@dataclass(frozen=True)
class EncodedPersons:
    """Person records of the accepted deliveries that came encoded.

    ``deliveries`` has ``delivery_id``, ``source``, ``supplier`` and ``place`` (oldest first) of
    every accepted delivery. ``outdated`` are the ids of those encoded by an earlier version of
    linked-cyp, and ``unexcluded`` of those that were encoded before an exclusion of their feed was
    there: who it excludes cannot be seen in them.
    """

    deliveries: pl.DataFrame
    outdated: frozenset[str] = frozenset()
    unexcluded: frozenset[str] = frozenset()

    def add_records(self, con: duckdb.DuckDBPyConnection, table: str) -> None:
        """Add them to a table of person records, merging those of the same source person.

        Needs ``identity_fact`` (:mod:`linked_cyp.linkage.records.identities`), which tells how
        recent the
        clear records are.

        Raises:
            LinkedCypError: a record key came from two sources. Each source has a key of its own
                for them, so a delivery uses another's.
        """
        con.register("encoded_delivery", self.deliveries.to_arrow())
        try:
            _arrive(con)
            con.execute(
                "INSERT INTO arrived BY NAME SELECT t.*, f.place FROM"
                f" {table} t JOIN (SELECT record_key, max(seen) // 1000000000 AS place"
                " FROM identity_fact WHERE record_key IN (SELECT record_key FROM arrived)"
                " GROUP BY record_key) f USING (record_key)"
            )
            _refuse_shared_keys(con)
            con.execute(f"DELETE FROM {table} WHERE record_key IN (SELECT record_key FROM arrived)")
            con.execute(
                f"INSERT INTO {table} BY NAME SELECT * EXCLUDE (place) FROM arrived"
                " QUALIFY min(place) OVER (PARTITION BY record_key) = max(place) OVER"
                " (PARTITION BY record_key)"
            )
            for statement in _MERGE:
                con.execute(statement)
            con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM merged")
        finally:
            con.unregister("encoded_delivery")
            for name in ("arrived", "several", "alone", "filled", "present", "others", "merged"):
                con.execute(f"DROP TABLE IF EXISTS temp.{name}")

    def aliases(self, con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
        """Tokens of replaced numbers, the newest delivery's word on each: identifier, former,
        token."""
        con.register("encoded_delivery", self.deliveries.to_arrow())
        try:
            return con.execute(
                "SELECT identifier, former, arg_max(token, place) AS token"
                f" FROM {received.table(ALIAS)} JOIN encoded_delivery USING (delivery_id)"
                " GROUP BY identifier, former ORDER BY ALL"
            ).pl()
        finally:
            con.unregister("encoded_delivery")

    def name_agreement(self, con: duckdb.DuckDBPyConnection) -> list[NameAgreement]:
        """What the newest encoded delivery of each source says of its names, with its people."""
        con.register("encoded_delivery", self.deliveries.to_arrow())
        try:
            rows = con.execute(
                "SELECT arg_max(people, place), arg_max(name_agreement, place)"
                f" FROM {received.DELIVERY} JOIN encoded_delivery USING (delivery_id)"
                " GROUP BY source ORDER BY source"
            ).fetchall()
        finally:
            con.unregister("encoded_delivery")
        return [(people, json.loads(shares)) for people, shares in rows]


def encoded_persons(
    con: duckdb.DuckDBPyConnection, contracts: Mapping[str, Contract], deliveries: pl.DataFrame
) -> EncodedPersons | None:
    """The encoded ones of the accepted deliveries; None when there are none.

    Args:
        con: connection with the identifiable store.
        contracts: contracts by feed, which say who is excluded now.
        deliveries: ``delivery_id``, ``feed``, ``source``, ``supplier``, ``place``.
    """
    if not received.has_any(con):
        return None
    columns = {row[0] for row in con.execute(f"DESCRIBE {received.DELIVERY}").fetchall()}
    known = "exclusions" if "exclusions" in columns else "NULL::VARCHAR AS exclusions"
    versions = con.execute(f"SELECT delivery_id, encoding, {known} FROM {received.DELIVERY}").pl()
    held = deliveries.join(versions, on="delivery_id")
    if held.is_empty():
        return None
    from linked_cyp.ingest.encoded.compatibility import encoding_version

    outdated = held.filter(pl.col("encoding") != encoding_version())
    unexcluded = [
        delivery_id
        for delivery_id, feed, then in held.select("delivery_id", "feed", "exclusions").iter_rows()
        # Nobody knows those of a delivery that was taken before they were kept.
        if then is None or set(in_force(contracts[feed])) - set(json.loads(then))
    ]
    return EncodedPersons(
        held.select("delivery_id", "source", "supplier", "place"),
        frozenset(outdated["delivery_id"]),
        frozenset(unexcluded),
    )


def _arrive(con: duckdb.DuckDBPyConnection) -> None:
    """``arrived``: encoded records with their source, and the place of their delivery."""
    there = {row[0] for row in con.execute(f"DESCRIBE {received.table(PERSON_RECORD)}").fetchall()}
    columns = ", ".join(
        f"r.{name}" if name in there else f"NULL::{kind} AS {name}"
        for name, kind in RECORD_COLUMNS.items()
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE arrived AS SELECT {columns}, d.source, d.supplier, d.place"
        f" FROM {received.table(PERSON_RECORD)} r JOIN encoded_delivery d USING (delivery_id)"
    )


def _refuse_shared_keys(con: duckdb.DuckDBPyConnection) -> None:
    found = con.execute(
        "SELECT DISTINCT delivery_id FROM arrived JOIN encoded_delivery USING (place)"
        " WHERE record_key IN (SELECT record_key FROM arrived GROUP BY record_key"
        " HAVING count(DISTINCT source) > 1) ORDER BY ALL"
    ).fetchall()
    if found:
        names = ", ".join(delivery_id for (delivery_id,) in found)
        raise LinkedCypError(f"record keys of another source are in an encoded delivery: {names}")


def _blooms() -> Mapping[str, str]:
    """Every column of a Bloom encoding, and the column that counts its bits (0: there is none)."""
    parts = ("lane_0", "lane_1", "bits")
    return {f"{field}_{part}": f"{field}_bits" for field in _BLOOMS for part in parts}


def _statements() -> Iterable[str]:
    """SQL from ``arrived`` to ``merged``, for persons of whom several deliveries tell."""
    alone = {c: group[0] for group in _ALONE for c in group if c in RECORD_COLUMNS}
    blooms = _blooms()
    rest = [c for c in RECORD_COLUMNS if c not in {*_ABOUT_THE_ROW, *alone, *blooms}]

    def known(row: str, column: str) -> str:
        """A value, null where there is none."""
        bits = blooms.get(column)
        return f"CASE WHEN {row}.{bits} > 0 THEN {row}.{column} END" if bits else f"{row}.{column}"

    compared = [*(group[0] for group in _ALONE), *rest, *blooms]
    agrees = " AND ".join(
        f"({known('r', column)} = {known('p', column)}) IS NOT FALSE" for column in compared
    )
    adds_nothing = " AND ".join(
        f"({known('r', column)} IS NULL OR {known('r', column)} = {known('p', column)}) IS TRUE"
        for column in compared
    )
    yield """
        CREATE OR REPLACE TEMP TABLE several AS
        SELECT * REPLACE (min(exclusion) OVER person AS exclusion),
            row_number() OVER (PARTITION BY record_key ORDER BY place DESC, alternative) AS nth,
            max(place) OVER person AS newest
        FROM arrived WINDOW person AS (PARTITION BY record_key)
        QUALIFY min(place) OVER person < newest
    """
    # The newest word on each value that stands alone.
    firsts = ", ".join(
        f"first({column} ORDER BY nth) FILTER (alternative = 0 AND {lead} IS NOT NULL) AS {column}"
        for column, lead in alone.items()
    )
    yield f"""
        CREATE OR REPLACE TEMP TABLE alone AS
        SELECT record_key, {firsts} FROM several GROUP BY record_key
    """
    filled = ", ".join(
        f"CASE WHEN r.{lead} IS NULL THEN a.{column} ELSE r.{column} END AS {column}"
        for column, lead in alone.items()
    )
    yield f"""
        CREATE OR REPLACE TEMP TABLE filled AS
        SELECT r.* REPLACE ({filled}) FROM several r JOIN alone a USING (record_key)
    """
    # What the present record then lacks, from the newest older one that agrees with it.
    completed = [f"coalesce(p.{column}, o.{column}) AS {column}" for column in rest]
    completed += [
        f"CASE WHEN p.{bits} = 0 THEN coalesce(o.{column}, p.{column}) ELSE p.{column} END"
        f" AS {column}"
        for column, bits in blooms.items()
    ]
    yield f"""
        CREATE OR REPLACE TEMP TABLE present AS
        WITH p AS (FROM filled WHERE nth = 1), o AS (
            SELECT r.* FROM filled r JOIN p USING (record_key)
            WHERE r.alternative = 0 AND r.nth > 1 AND {agrees}
            QUALIFY row_number() OVER (PARTITION BY r.record_key ORDER BY r.nth) = 1
        )
        SELECT p.* REPLACE (
            {", ".join(completed)}, p.is_named OR coalesce(o.is_named, false) AS is_named)
        FROM p LEFT JOIN o USING (record_key)
    """
    told = ", ".join(f"r.{column}" for column in compared)
    yield f"""
        CREATE OR REPLACE TEMP TABLE others AS
        SELECT r.*, r.place = r.newest AS is_new FROM filled r JOIN present p USING (record_key)
        WHERE r.nth > 1 AND NOT ({adds_nothing})
        QUALIFY row_number() OVER (PARTITION BY r.record_key, hash({told}) ORDER BY r.nth) = 1
    """
    yield f"""
        CREATE OR REPLACE TEMP TABLE merged AS
        WITH numbered AS (
            SELECT *,
                row_number() OVER (PARTITION BY record_key, is_new ORDER BY nth) AS earlier,
                coalesce(max(CASE WHEN is_new THEN alternative END)
                    OVER (PARTITION BY record_key), 0) AS own
            FROM others
        )
        SELECT * EXCLUDE (place, nth, newest) FROM present
        UNION ALL BY NAME
        SELECT * EXCLUDE (place, nth, newest, is_new, earlier, own)
            REPLACE (CASE WHEN is_new THEN alternative ELSE own + earlier END AS alternative)
        FROM numbered WHERE is_new OR earlier <= {EARLIER_STATES}
    """


_MERGE = tuple(_statements())
