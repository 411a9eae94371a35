"""NHS numbers of records without a date of birth, which alone cannot vouch for a number.

Some records carry only their supplier's pseudonym of it. The pseudonym of every NHS number known in
clear is made with the supplier's key (see :mod:`linked_cyp.identity.pseudonym_keys`); a record
with the same
pseudonym gets that number. It fails closed: without the key, without such a number, or where nobody
who has the number was born in the same year and month, it links to nobody. It has no date of birth
to be compared, so of several who have the number (a sibling's, by a slip) it is linked only with
those: :data:`HOLDERS`. The same holds for a feed that sends numbers in clear and of the birth only
year and month: what has the number of somebody else (a baby's record that of the mother) stays
alone.

One difference is not borne: in an invented population of 5,000 children with 2 % of wrong numbers,
5 of 7,400 records have a mistyped month or year and 2 a sibling's number and month, or year, and a
wrong link costs as much as 20 missed ones (``linkage/parameters.toml``).
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl

from linked_cyp.identity import pseudonym_keys

ROLES = ("nhs_number_hash", "birth_year", "birth_month")
CHUNK = 250_000  # NHS numbers hashed at once
HOLDERS = "pseudonym_holder"  # temporary table: record_key, holder
TABLES = ("pseudonym", "pseudonym_number", "pseudonym_met", "pseudonym_found")


def find_numbers(
    con: duckdb.DuckDBPyConnection, folder: Path | None, sources: pl.DataFrame
) -> dict[str, int]:
    """Add the NHS numbers found to ``identity_fact`` and ``identity_clean``.

    Leaves :data:`HOLDERS`: each record without a date of birth, in feeds that send year and month,
    and each that has its number and was born in the same month; itself where there is none.

    Args:
        con: has these temporary tables of :mod:`linked_cyp.linkage.records.identities`.
        folder: where suppliers' pseudonym keys lie; None where there are none.
        sources: ``source`` and ``supplier_name``.

    Returns:
        Counts of source persons: with a pseudonym, of suppliers without a key, without a match,
        refused by birth. Empty where no record has a pseudonym.
    """
    con.execute(f"CREATE OR REPLACE TEMP TABLE {HOLDERS} (record_key BIGINT, holder BIGINT)")
    con.execute(f"INSERT INTO {HOLDERS} {_IN_CLEAR}")
    con.execute(f"CREATE OR REPLACE TEMP TABLE pseudonym AS {_PSEUDONYMS}")
    try:
        if not _count(con, "pseudonym"):
            return {}
        con.execute(
            "CREATE OR REPLACE TEMP TABLE pseudonym_number"
            " (source SMALLINT, hash VARCHAR, number VARCHAR)"
        )
        without = 0
        for source, supplier in sources.select("source", "supplier_name").unique().iter_rows():
            mine = _count(con, f"pseudonym WHERE source = {int(source)}")
            key = pseudonym_keys.load(folder, supplier) if mine else None
            if key is None:
                without += mine
            else:
                _try_all(con, source, key)
        con.execute(f"CREATE OR REPLACE TEMP TABLE pseudonym_met AS {_MET}")
        con.execute(f"CREATE OR REPLACE TEMP TABLE pseudonym_found AS {_FOUND}")
        con.execute(
            f"INSERT INTO {HOLDERS} SELECT DISTINCT record_key, holder FROM pseudonym_met"
            " WHERE agrees AND record_key <> holder"
        )
        con.execute(
            "INSERT INTO identity_fact SELECT record_key, source, 'nhs_number', number, seen"
            " FROM pseudonym_found WHERE agrees"
        )
        con.execute(
            "INSERT INTO identity_clean SELECT DISTINCT 'nhs_number', 'nhs_number', 0, number,"
            " number FROM pseudonym_found WHERE number NOT IN"
            " (SELECT value FROM identity_clean WHERE role = 'nhs_number')"
        )
        persons, found = _count(con, "pseudonym"), _count(con, "pseudonym_found")
        return {
            "pseudonymised numbers": persons,
            "pseudonymised numbers of suppliers without a key": without,
            "pseudonymised numbers without a match": persons - without - found,
            "pseudonymised numbers refused by birth": _count(
                con, "pseudonym_found WHERE NOT agrees"
            ),
        }
    finally:
        for name in TABLES:
            con.execute(f"DROP TABLE IF EXISTS temp.{name}")


# What each record says now; a pseudonym may be written as a binary literal.
_PSEUDONYMS = """
    SELECT record_key, source,
        regexp_replace(lower(trim(arg_max(value, seen) FILTER (role = 'nhs_number_hash'))),
            '^0x', '') AS hash,
        arg_max(value, seen) FILTER (role = 'birth_year') AS birth_year,
        lpad(arg_max(value, seen) FILTER (role = 'birth_month'), 2, '0') AS birth_month,
        max(seen) AS seen
    FROM identity_fact GROUP BY record_key, source HAVING hash <> ''
"""
_PARTS = """
    holder AS (
        SELECT DISTINCT clean AS number, record_key AS holder
        FROM identity_fact JOIN identity_clean USING (role, value)
        WHERE field = 'nhs_number' AND clean <> ''
    ),
    part AS (
        SELECT record_key, source, arg_max(value, seen) FILTER (role = 'birth_year') || '-'
            || lpad(arg_max(value, seen) FILTER (role = 'birth_month'), 2, '0') AS born
        FROM identity_fact
        WHERE source IN (SELECT source FROM identity_fact WHERE role = 'birth_year')
        GROUP BY ALL HAVING count(*) FILTER (role = 'birth_date') = 0
    ),
    said AS (
        SELECT DISTINCT record_key, substr(clean, 1, 7) AS born
        FROM identity_fact JOIN identity_clean USING (role, value)
        WHERE field = 'birth_date' AND clean <> ''
        UNION SELECT record_key, born FROM part WHERE born IS NOT NULL
    )
"""
_IN_CLEAR = f"""
    WITH {_PARTS}
    SELECT DISTINCT p.record_key, CASE WHEN s.born = p.born THEN h.holder ELSE p.record_key END
    FROM part p
    JOIN holder mine ON mine.holder = p.record_key
    JOIN holder h ON h.number = mine.number
    LEFT JOIN said s ON s.record_key = h.holder
"""
_MET = f"""
    WITH {_PARTS}
    SELECT p.record_key, p.source, n.number, p.seen, h.holder,
        coalesce(bool_or(s.born = p.birth_year || '-' || p.birth_month), FALSE) AS agrees
    FROM pseudonym p
    JOIN pseudonym_number n USING (source, hash)
    JOIN holder h USING (number)
    LEFT JOIN said s ON s.record_key = h.holder
    GROUP BY ALL
"""
_FOUND = """
    SELECT record_key, source, number, seen, bool_or(agrees) AS agrees
    FROM pseudonym_met GROUP BY ALL
"""


def _try_all(con: duckdb.DuckDBPyConnection, source: int, key: pseudonym_keys.PseudonymKey) -> None:
    """Pseudonymise every NHS number that is known and keep those that a record of a source has."""
    known = con.execute(
        "SELECT DISTINCT clean AS number FROM identity_clean"
        " WHERE field = 'nhs_number' AND clean <> '' ORDER BY clean"
    ).pl()
    for chunk in known.iter_slices(CHUNK):
        made = chunk.with_columns(key.pseudonyms(chunk["number"]).alias("hash"))
        con.register("pseudonymised", made.to_arrow())
        con.execute(
            "INSERT INTO pseudonym_number SELECT ?, hash, number FROM pseudonymised"
            " WHERE hash IN (SELECT hash FROM pseudonym WHERE source = ?)",
            [source, source],
        )
        con.unregister("pseudonymised")


def _count(con: duckdb.DuckDBPyConnection, relation: str) -> int:
    return con.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0]
