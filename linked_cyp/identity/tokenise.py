"""From distinct values to tokens: the look-up tables that pseudonymisation and linkage join.

Keys never enter SQL and identifiers never leave DuckDB except as distinct values, a chunk at a
time, to be hashed in memory. What comes back is a temporary table from the value as supplied to
its token; temporary tables live in memory and spill encrypted.

A *source* is a raw table and its columns in the identifiable store, read for given deliveries.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import duckdb
import polars as pl

from linked_cyp.contracts.model import Column, Contract, Table
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import quoted
from linked_cyp.identity import identifiers, names
from linked_cyp.identity.keys import Keys

LOCAL_ID = "local_id"  # purpose of tokens of a supplier's own ids
SUPPLIER_PERSON = "supplier_person"  # purpose of record keys
CHUNK = 250_000  # distinct values in Python at once: tens of megabytes

_ROLES: dict[str, identifiers.Rule] = {
    "nhs_number": identifiers.standardise_nhs_number,
    "upn": identifiers.standardise_upn,
    "former_upn": identifiers.standardise_upn,
    "postcode": identifiers.standardise_postcode,
    "forename": lambda v: names.compact_name(names.standardise_forename(v)),
    "middle_names": lambda v: names.compact_name(names.standardise_forename(v)),
    "surname": lambda v: names.compact_name(names.standardise_surname(v)),
    "former_surname": lambda v: names.compact_name(names.standardise_surname(v)),
    "preferred_surname": lambda v: names.compact_name(names.standardise_surname(v)),
}


@dataclass(frozen=True)
class Source:
    """Columns of one raw table."""

    table: str
    columns: tuple[str, ...]

    def select(self) -> str:
        """SQL for the supplier and the columns as text, named ``c0``, ``c1`` and so on."""
        texts = (f"{quoted(name)}::VARCHAR AS c{n}" for n, name in enumerate(self.columns))
        return (
            f"SELECT split_part(delivery_id, '.', 1) AS supplier, {', '.join(texts)} "
            f"FROM {raw(self.table)} WHERE list_contains($deliveries, delivery_id)"
        )


def raw(table: str) -> str:
    """The qualified name of a raw table."""
    return f"identifiable.raw.{quoted(table)}"


def purpose(kind: str, feed: str, supplier: str) -> str:
    """The purpose of one supplier's tokens of a kind (see :mod:`linked_cyp.identity.keys`).

    A supplier that encodes its own return holds this key, and so can make no token of another's.
    """
    return f"{kind}:{feed}.{supplier}"


def own_tokens(keys: Keys, kind: str, feed: str, messages: pl.DataFrame) -> pl.Series:
    """Tokens of ``text`` under the keys of each row's ``supplier``, in order."""
    parts = [
        part.with_columns(keys.tokens(purpose(kind, feed, supplier), part["text"]).alias("token"))
        for (supplier,), part in messages.with_row_index().group_by("supplier")
    ]
    if not parts:
        return pl.Series("token", [], dtype=pl.Int64)
    return pl.concat(parts).sort("index")["token"]


def rule_for(column: Column) -> identifiers.Rule:
    """How a column's values are spelt before they are hashed, from what its contract says it is."""
    known = identifiers.IDENTIFIERS.get(column.identifier_type or "")
    if known:
        return known.standardise
    return _ROLES.get(column.linkage_role or "", identifiers.standardise_id)


def key_rule_for(column: Column) -> identifiers.Rule:
    """How a column names a person: as :func:`rule_for`, and an NHS number or UPN only when valid.

    A value that is none ("TBC", a number in scientific notation) would make one person of all who
    have it; the next alternative of the person key tells them apart.
    """
    known = identifiers.IDENTIFIERS.get(column.identifier_type or "")
    return known.usable if known else rule_for(column)


def message(feed: str, supplier: pl.Expr, context: pl.Expr | str, *values: pl.Expr) -> pl.Expr:
    """What is hashed: ``feed|supplier|context|value|...``; null when a value is null.

    A bar or backslash inside a value is escaped, so that no two lists of values read alike.
    """
    safe = (v.str.replace_all("\\", "\\\\", literal=True) for v in values)
    safe = (v.str.replace_all("|", "\\|", literal=True) for v in safe)
    context = pl.lit(context) if isinstance(context, str) else context
    return pl.concat_str(pl.lit(feed), supplier, context, *safe, separator="|", ignore_nulls=False)


def token_map(
    con: duckdb.DuckDBPyConnection,
    name: str,
    feed: str,
    scope: str,
    rule: identifiers.Rule,
    sources: Iterable[Source],
    deliveries: Sequence[str],
    keys: Keys,
) -> None:
    """Make the temporary table ``name (supplier, c0, token)`` for one scope of local ids."""
    text = message(feed, pl.col("supplier"), scope, rule(pl.col("c0")))

    def hashed(chunk: pl.DataFrame) -> pl.DataFrame:
        messages = chunk.lazy().select("supplier", text.alias("text")).collect()
        return chunk.with_columns(own_tokens(keys, LOCAL_ID, feed, messages).alias("token"))

    _look_up_table(con, name, sources, deliveries, hashed, "token BIGINT")


def record_key_map(
    con: duckdb.DuckDBPyConnection,
    name: str,
    table: Table,
    sources: Iterable[Source],
    deliveries: Sequence[str],
    keys: Keys,
) -> None:
    """Make the temporary table ``name (supplier, c0, c1, ..., record_key)``.

    The columns are :func:`key_columns` of the table. A record key is the token of
    ``feed|supplier|alternative|value|...`` for the first alternative of the person key whose
    values can all name somebody (:func:`key_rule_for`); without one it is null.
    """
    place = {column: f"c{n}" for n, column in enumerate(key_columns(table))}
    alternatives = [
        message(
            table.feed,
            pl.col("supplier"),
            str(number),
            *(key_rule_for(table.column(name))(pl.col(place[name])) for name in alternative),
        )
        for number, alternative in enumerate(table.person_key)
    ]

    def hashed(chunk: pl.DataFrame) -> pl.DataFrame:
        text = pl.coalesce(alternatives).alias("text")
        messages = chunk.lazy().select("supplier", text).collect()
        tokens = own_tokens(keys, SUPPLIER_PERSON, table.feed, messages)
        return chunk.with_columns(tokens.alias("record_key"))

    _look_up_table(con, name, sources, deliveries, hashed, "record_key BIGINT")


def key_columns(table: Table) -> tuple[str, ...]:
    """Every column of the alternatives of a table's person key, each once."""
    return tuple(dict.fromkeys(name for names in table.person_key for name in names))


def place_map(
    con: duckdb.DuckDBPyConnection,
    name: str,
    sources: Iterable[Source],
    deliveries: Sequence[str],
    postcodes: pl.DataFrame,
) -> None:
    """Make ``name (supplier, c0, lsoa21_code, lsoa11_code, la_code)`` from postcodes as written."""
    codes = ("lsoa21_code", "lsoa11_code", "la_code")
    standard = identifiers.standardise_postcode(pl.col("c0")).alias("postcode")
    directory = postcodes.lazy().select("postcode", *codes)

    def placed(chunk: pl.DataFrame) -> pl.DataFrame:
        found = chunk.lazy().with_columns(standard).join(directory, on="postcode", how="left")
        return found.select(*chunk.columns, *codes).collect()

    _look_up_table(
        con, name, sources, deliveries, placed, ", ".join(f"{code} VARCHAR" for code in codes)
    )


def record_key_table(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    table: Table,
    keys: Keys,
    deliveries: Sequence[str],
    name: str = "record_keys",
) -> None:
    """Make the temporary table ``name (delivery_id, source_file, row_number, record_key)``.

    One row per raw row of the given deliveries; the record key is the one that the row's
    pseudonymised copy has. Linkage uses it to build person records.

    Raises:
        LinkedCypError: the table has no person key, or a delivery id is not written as one.
    """
    if not table.person_key:
        raise LinkedCypError(f"{table.table_name} has no person key")
    check_delivery_ids(deliveries)
    columns = key_columns(table)
    with value_free(f"making record keys of {table.table_name}"):
        look_up = f"{name}__values"
        source = Source(table.table_name, columns)
        record_key_map(con, look_up, table, [source], deliveries, keys)
        try:
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE {quoted(name)} AS "
                f"SELECT r.delivery_id, r.source_file, r.row_number, k.record_key "
                f"FROM {raw(table.table_name)} r LEFT JOIN {quoted(look_up)} k "
                f"ON {joined('r', 'k', columns)} "
                f"WHERE list_contains($deliveries, r.delivery_id)",
                {"deliveries": list(deliveries)},
            )
        finally:
            drop(con, look_up)


def joined(rows: str, look_up: str, columns: Sequence[str]) -> str:
    """SQL that joins raw rows to a look-up table over the columns as supplied, nulls included."""
    conditions = [f"split_part({rows}.delivery_id, '.', 1) = {look_up}.supplier"]
    conditions += [
        f"{rows}.{quoted(column)}::VARCHAR IS NOT DISTINCT FROM {look_up}.c{n}"
        for n, column in enumerate(columns)
    ]
    return " AND ".join(conditions)


def check_delivery_ids(deliveries: Iterable[str]) -> None:
    """Refuse an id that does not begin with the supplier: a token would name the wrong one.

    Raises:
        LinkedCypError: an id is not ``supplier.period.hash``.
    """
    for delivery in deliveries:
        if not re.fullmatch(r"[a-z0-9_]+\.[0-9a-z-]+\.[0-9a-f]+", delivery):
            raise LinkedCypError("a delivery id is written supplier.period.hash")


def drop(con: duckdb.DuckDBPyConnection, *look_ups: str) -> None:
    """Drop look-up tables: they hold identifiers in clear."""
    for name in look_ups:
        con.execute(f"DROP TABLE IF EXISTS temp.{quoted(name)}")


def _look_up_table(
    con: duckdb.DuckDBPyConnection,
    name: str,
    sources: Iterable[Source],
    deliveries: Sequence[str],
    work: Callable[[pl.DataFrame], pl.DataFrame],
    result: str,
) -> None:
    """Fill a temporary table with the sources' distinct rows and what ``work`` makes of them."""
    distinct = f"{name}__distinct"
    union = reduce(lambda left, right: f"{left} UNION ALL {right}", (s.select() for s in sources))
    try:
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE {quoted(distinct)} AS SELECT DISTINCT * FROM ({union})",
            {"deliveries": list(deliveries)},
        )
        columns = [row[0] for row in con.execute(f"DESCRIBE {quoted(distinct)}").fetchall()]
        texts = ", ".join(f"{column} VARCHAR" for column in columns)
        con.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(name)} ({texts}, {result})")
        (rows,) = con.execute(f"SELECT count(*) FROM {quoted(distinct)}").fetchone() or (0,)
        for start in range(0, rows, CHUNK):
            chunk = con.execute(
                f"SELECT * FROM {quoted(distinct)} WHERE rowid BETWEEN ? AND ?",
                [start, start + CHUNK - 1],
            ).pl()
            con.register("linked_cyp_chunk", work(chunk))
            con.execute(f"INSERT INTO {quoted(name)} SELECT * FROM linked_cyp_chunk")
            con.unregister("linked_cyp_chunk")
    except BaseException:
        drop(con, name)
        raise
    finally:
        con.unregister("linked_cyp_chunk")
        drop(con, distinct)
