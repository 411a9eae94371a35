"""Further evidence in a frame of records: ``identifier_<name>`` and ``place_<name>`` columns.

An identifier is a number that one person has (a learner number, a hospital's, another country's):
that it agrees speaks for one person, that it differs is evidence and never a conflict, because
nothing vouches for it. A place (a property number, a street) is shared by a household.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import duckdb
import polars as pl

from linked_cyp.identity import identifiers
from linked_cyp.identity.comparisons import level_number
from linked_cyp.identity.encodings import MISSING, Encoder
from linked_cyp.linkage.model.parameters import LevelParameters, Parameters
from linked_cyp.linkage.model.settings import FURTHER

IDENTIFIER, PLACE = FURTHER
# m is learnt where the data allow it. u of an identifier is fixed as that of the known numbers is.
M = {IDENTIFIER: 0.95, PLACE: 0.7}
U = {IDENTIFIER: 1e-6, PLACE: 1e-3}


def further_columns(columns: Sequence[str]) -> list[str]:
    return [name for name in columns if name.startswith(FURTHER)]


def warn_of_unused(columns: Sequence[str], used: Sequence[str]) -> None:
    """Say by name which columns take no part."""
    unused = sorted(set(columns) - set(used) - {"record_id", "source"})
    if unused:
        warnings.warn(f"columns that linkage does not know: {', '.join(unused)}", stacklevel=3)


def add_further(
    con: duckdb.DuckDBPyConnection, frame: pl.DataFrame, keys: pl.Series, encoder: Encoder
) -> None:
    """Tokens of further evidence, as columns of ``linkage.main.person_record``.

    Args:
        frame: the columns of :func:`further_columns`, of any type.
        keys: record keys, one for each row.
    """
    for name in frame.columns:
        text = frame.select(identifiers.standardise_id(pl.col(name).cast(pl.String)))
        tokens = encoder.tokens(name, text.to_series())
        values = pl.DataFrame({"record_key": keys, "token": tokens})
        con.execute(f'ALTER TABLE linkage.main.person_record ADD COLUMN "{name}" BIGINT')
        con.register("further", values.filter(pl.col("token") != int(MISSING)).to_arrow())
        con.execute(
            f'UPDATE linkage.main.person_record p SET "{name}" = f.token'
            " FROM further f WHERE f.record_key = p.record_key"
        )
        con.unregister("further")


def with_further(
    con: duckdb.DuckDBPyConnection, chosen: Parameters, columns: Sequence[str]
) -> Parameters:
    """The parameters with a comparison for each column."""
    levels = dict(chosen.levels)
    for name in columns:
        kind = IDENTIFIER if name.startswith(IDENTIFIER) else PLACE
        u = U[kind] if kind == IDENTIFIER else max(_shared(con, name), U[kind] / 100)
        levels[name] = {
            "exact": LevelParameters(M[kind], u),
            "differ": LevelParameters(1 - M[kind], 1 - u),
        }
    return replace(chosen, levels=levels, further=tuple(columns))


def _shared(con: duckdb.DuckDBPyConnection, name: str) -> float:
    """Share of all pairs of records that have one value."""
    pairs, records = con.execute(
        "SELECT coalesce(sum(n * (n - 1)), 0)::DOUBLE, coalesce(sum(n), 0)::DOUBLE FROM (SELECT"
        f' count(*) AS n FROM linkage.main.person_record WHERE "{name}" IS NOT NULL'
        f' AND alternative = 0 GROUP BY "{name}")'
    ).fetchall()[0]
    return min(pairs / (records * (records - 1)), 0.5) if records > 1 else 0.0


def count_as_numbers(con: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> None:
    """An identifier that agrees counts as a number that does, where pairs are classed."""
    exact = level_number("la_child", "exact")
    agree = [f'"gamma_{name}" = 1' for name in columns if name.startswith(IDENTIFIER)]
    if agree:
        con.execute(
            f"UPDATE linkage.main.pairs SET gamma_la_child = {exact} WHERE {' OR '.join(agree)}"
        )
