"""NHS numbers of records that carry only their supplier's pseudonym of it.

The pseudonym of every NHS number known in clear is made with the supplier's key (see
:mod:`linked_cyp.pseudonym_keys`); a record with the same pseudonym gets that number. It fails
closed: without the key, without such a number, or where the record disagrees with everybody who
has the number in two of year of birth, month of birth and sex, it links to nobody.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl

from linked_cyp import pseudonym_keys

ROLES = ("nhs_number_hash", "birth_year", "birth_month")
AGREEMENTS = 2  # of year of birth, month of birth and sex, all of which may be wrong somewhere
CHUNK = 250_000  # NHS numbers hashed at once
TABLES = ("pseudonym", "pseudonym_number", "pseudonym_found")


def find_numbers(
    con: duckdb.DuckDBPyConnection, folder: Path | None, sources: pl.DataFrame
) -> dict[str, int]:
    """Add the NHS numbers found to ``identity_fact`` and ``identity_clean``.

    Args:
        con: has these temporary tables of :mod:`linked_cyp.linkage.identities`.
        folder: where suppliers' pseudonym keys lie; None where there are none.
        sources: ``source`` and ``supplier_name``.

    Returns:
        Counts of source persons: with a pseudonym, of suppliers without a key, without a match,
        refused by birth and sex. Empty where no record has a pseudonym.
    """
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
        con.execute(f"CREATE OR REPLACE TEMP TABLE pseudonym_found AS {_FOUND}")
        con.execute(
            "INSERT INTO identity_fact SELECT record_key, source, 'nhs_number', number, seen"
            f" FROM pseudonym_found WHERE agreements >= {AGREEMENTS}"
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
            "pseudonymised numbers refused by birth and sex": _count(
                con, f"pseudonym_found WHERE agreements < {AGREEMENTS}"
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
_HOLDERS = """
    SELECT DISTINCT clean AS number, record_key AS holder
    FROM identity_fact JOIN identity_clean USING (role, value)
    WHERE field = 'nhs_number' AND clean <> ''
"""
_FOUND = f"""
    WITH holder AS ({_HOLDERS}),
    said AS (
        SELECT DISTINCT record_key, field, clean
        FROM identity_fact JOIN identity_clean USING (role, value)
        WHERE field IN ('birth_date', 'sex') AND clean <> ''
    ),
    own_sex AS (SELECT record_key, min(clean) AS sex FROM said WHERE field = 'sex' GROUP BY ALL),
    met AS (
        SELECT p.record_key, p.source, n.number, p.seen, h.holder,
            coalesce(max((s.field = 'birth_date'
                AND split_part(s.clean, '-', 1) = p.birth_year)::INTEGER), 0)
            + coalesce(max((s.field = 'birth_date'
                AND split_part(s.clean, '-', 2) = p.birth_month)::INTEGER), 0)
            + coalesce(max((s.field = 'sex' AND s.clean = o.sex)::INTEGER), 0) AS agreements
        FROM pseudonym p
        JOIN pseudonym_number n USING (source, hash)
        JOIN holder h USING (number)
        LEFT JOIN own_sex o ON o.record_key = p.record_key
        LEFT JOIN said s ON s.record_key = h.holder
        GROUP BY ALL
    )
    SELECT record_key, source, number, seen, max(agreements) AS agreements FROM met GROUP BY ALL
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
