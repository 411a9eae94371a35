"""Link one frame of person records: no stores, no contracts, no orchestration."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.identity.comparisons import level_number
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys
from linked_cyp.linkage.link.frames import aliases, as_frame, batches, identities, role_columns
from linked_cyp.linkage.link.further import (
    add_further,
    count_as_numbers,
    further_columns,
    warn_of_unused,
    with_further,
)
from linked_cyp.linkage.model.parameters import Parameters, parameters
from linked_cyp.linkage.model.training import train
from linked_cyp.linkage.pairs.edges import LOCAL, prior_weight
from linked_cyp.linkage.pairs.prediction import predict
from linked_cyp.linkage.persons.resolution import resolve
from linked_cyp.linkage.records.writing import write_person_records
from linked_cyp.stores.door import open_engine


@dataclass(frozen=True)
class Linked:
    """What :func:`link` finds. Records go by the ids given.

    Where ids repeat from source to source, ``source`` stands beside them (``source_l`` and
    ``source_r`` in pairs).
    """

    persons: pl.DataFrame  # record_id, person_id: every record once, sorted; persons from 0
    pairs: pl.DataFrame | None  # record_id_l, record_id_r, match_weight, gamma_<comparison>
    households: bool  # whether relatives were reckoned with


def link(
    records: Any,
    key: Keys | bytes,
    *,
    hardened: bool = True,
    with_pairs: bool = False,
    threshold: float | None = None,
    households: bool | None = None,
    one_record_each: Collection[str] = (),
    memory_limit: str | None = None,
) -> Linked:
    """Which records are the same person.

    Names are compared only as keyed encodings, exactly as in a whole installation: same model,
    same resolution, same parameters. Nothing is written to disk but DuckDB's encrypted spill. The
    result does not depend on the order of the rows.

    Args:
        records: a frame of Polars, pandas or Arrow, or a mapping of columns. ``record_id`` (any
            type) is needed and must be unique, at least within each ``source`` (text: where the
            record comes from; one source when it is missing). Every other column is optional and
            may hold nulls: nhs_number, former_nhs_number, upn, former_upn, la_child_id (counts
            within its source), forename, preferred_forename, middle_names, surname,
            preferred_surname, former_surname, birth_date, sex, postcode, former_postcode.
            Several values of one kind may stand in a list column or in numbered ones
            (``former_surname_1``, ``former_surname_2``); those after the first are alternatives.
            Further numbers that one person has go by ``identifier_<name>`` (a learner number, a
            hospital's, another country's): evidence, and never a conflict. Further places go
            by ``place_<name>`` (a property number, a street). A warning names all other columns.

            Values may be written as they come: dates as dates, date-times, ISO texts, YYYYMMDD or
            DD/MM/YYYY (month first, if that makes sense of more of them); sex as M, F, 1, 2,
            male, female; names with accents, titles, hyphens. Placeholders and what cannot be
            read are null. Where most numbers fail their check digit, or most postcodes are not
            British, they are taken to be codes of another kind and compared as they are.
        key: key of the encodings, at least 32 random bytes; only records encoded under one key can
            be compared.
        hardened: encodings salted by date of birth (see :mod:`linked_cyp.identity.encodings`).
        with_pairs: return the scored pairs as well.
        threshold: match weight (log2 odds) from which pairs join, in place of those of
            ``parameters.toml``, which differ by what a pair stands on.
        households: whether brothers, sisters and twins are among the people, who share surname,
            address and birth date and must not be joined. By default so unless the data show that
            there are none (see :func:`has_relatives`).
        one_record_each: sources in which nobody has two records; their records are never joined.
        memory_limit: of the database, such as ``"4GB"``; by default most of what there is.

    Raises:
        LinkedCypError: record_id is missing, null or repeated, a list is not one of texts, or
            linking failed; with counts and column names, never with a value.
    """
    with value_free("reading a frame of records"):
        frame = as_frame(records)
        ids, id_columns = _ids(frame)
        known = [c for cs in role_columns(frame.columns).values() for c in cs]
        more = further_columns(frame.columns)
        warn_of_unused(frame.columns, [*known, *more])
        frame = frame.select(*known, *more)
        frame = frame[ids["row"]] if frame.width else frame
        further, frame = frame.select(more), frame.select(known)
        found = identities(frame, ids["record_key"], ids["source"])
    keys = key if isinstance(key, Keys) else Keys(key)
    with value_free("linking a frame of records"), tempfile.TemporaryDirectory() as spill:
        con = open_engine(Path(spill), memory_limit)
        try:
            con.execute("ATTACH ':memory:' AS linkage")
            write_person_records(
                con,
                batches(found),
                _sources(ids, one_record_each),
                aliases(found),
                Encoder(keys, hardened=hardened),
            )
            add_further(con, further, ids["record_key"], Encoder(keys, hardened=hardened))
            if households is None:
                households = has_relatives(con)
            chosen = parameters() if households else without_households(parameters())
            chosen = with_further(con, chosen, more)
            train(con, given=chosen)
            if not households:
                _pool_twins(con)
            predict(con, given=chosen, use_state=False)
            pairs = con.execute("FROM linkage.main.pairs").pl() if with_pairs else None
            count_as_numbers(con, more)
            if not households:
                _forget_twins(con)
                threshold = chosen.thresholds["named"] if threshold is None else threshold
            resolve(con, given=_with_threshold(con, chosen, threshold))
            person = con.execute(
                "SELECT record_key, dense_rank() OVER (ORDER BY cluster) - 1 AS person_id"
                " FROM linkage.main.person"
            ).pl()
        finally:
            con.close()
    persons = ids.join(person, on="record_key").sort("record_key")
    return Linked(
        persons.select("record_id", "person_id", *id_columns),
        None if pairs is None else _by_id(pairs, ids, id_columns),
        households,
    )


FEWEST_RECORDS = 500  # with names and place; fewer say too little about households
FEWEST_RELATIVES = 0.05  # pairs of relatives per record


def has_relatives(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether records show people of one surname and address with other names and birth dates.

    Every child population does (a British one has about 0.3 such pairs per record and source); test
    data of strangers do not, and there a twin is a spelling mistake. What chance brings together
    (a common surname in a large postcode area) is taken off.
    """
    con.execute("""
        CREATE OR REPLACE TEMP TABLE at_home AS
        SELECT surname_postcode AS home, forename_postcode AS forename, birth_date, postcode
        FROM linkage.main.person_record
        WHERE alternative = 0 AND surname_postcode IS NOT NULL
            AND forename_postcode IS NOT NULL AND birth_date IS NOT NULL
    """)
    records, surname = con.execute("""
        SELECT (SELECT count(*) FROM at_home), coalesce(max(share), 0)
        FROM linkage.main.name_agreement WHERE field = 'surname' AND level = 'exact'
    """).fetchall()[0]
    if records < FEWEST_RECORDS:
        return True

    def pairs(*columns: str) -> float:
        groups = f"SELECT count(*) AS n FROM at_home GROUP BY {', '.join(columns)}"
        query = f"SELECT coalesce(sum(n * (n - 1) / 2), 0)::DOUBLE FROM ({groups})"
        return float(con.execute(query).fetchall()[0][0])

    # Of one surname and place, without those of one forename or one birth date.
    found = pairs("home") - pairs("home", "forename") - pairs("home", "birth_date")
    found += pairs("home", "forename", "birth_date")
    return bool(found - pairs("postcode") * surname >= FEWEST_RELATIVES * records)


def without_households(chosen: Parameters) -> Parameters:
    """The parameters where nobody is related: the twin pattern is learnt as any other level."""
    forename = chosen.levels["forename"] | {"twin": replace(chosen.levels["forename"]["differ"])}
    levels = chosen.levels | {"forename": forename}
    return replace(chosen, levels=levels)


def _pool_twins(con: duckdb.DuckDBPyConnection) -> None:
    """One weight for another forename, whether the surname agrees or not."""
    number, text = con.execute(
        "SELECT model_id, settings FROM linkage.main.model ORDER BY model_id DESC LIMIT 1"
    ).fetchall()[0]
    settings = json.loads(text)
    (forename,) = (c for c in settings["comparisons"] if c["output_column_name"] == "forename")
    levels = [
        level
        for level in forename["comparison_levels"]
        if level["label_for_charts"] in ("twin", "differ")
    ]
    for kind in ("m_probability", "u_probability"):
        together = min(sum(level[kind] for level in levels), 1.0)
        for level in levels:
            level[kind] = together
    con.execute(
        "UPDATE linkage.main.model SET settings = ? WHERE model_id = ?",
        [json.dumps(settings), number],
    )


def _forget_twins(con: duckdb.DuckDBPyConnection) -> None:
    """A pair with the twin pattern is one with another forename."""
    con.execute(
        "UPDATE linkage.main.pairs SET gamma_forename = $differ WHERE gamma_forename = $twin",
        {label: level_number("forename", label) for label in ("differ", "twin")},
    )


def _ids(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Records numbered in the order of their ids; and ``source``, if ids need it.

    Returns:
        ``row`` (in the frame), ``record_id``, ``source`` and ``record_key`` (from 1).
    """
    if "record_id" not in frame.columns:
        raise LinkedCypError("records need a column record_id")
    source = pl.col("source").cast(pl.String) if "source" in frame.columns else pl.lit("")
    ids = frame.select(
        pl.int_range(pl.len()).alias("row"), "record_id", source.fill_null("").alias("source")
    )
    missing = ids["record_id"].null_count()
    repeated = int(ids.select("record_id", "source").is_duplicated().sum())
    if missing or repeated:
        raise LinkedCypError(
            f"record_id must be there and unique within each source:"
            f" {missing} records without one, {repeated} that share one"
        )
    keyed = ids.sort("source", "record_id").with_columns(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("record_key")
    )
    return keyed, ["source"] if ids["record_id"].is_duplicated().any() else []


def _sources(ids: pl.DataFrame, one_record_each: Collection[str]) -> pl.DataFrame:
    number = pl.col("source").rank("dense").cast(pl.Int16)
    return (
        ids.select(number.alias("number"), pl.col("source").alias("feed"))
        .unique()
        .sort("number")
        .select(
            pl.col("number").alias("source"),
            "feed",
            pl.col("number").alias("supplier"),
            pl.col("feed").is_in(list(one_record_each)).alias("tells_apart"),
        )
    )


def _with_threshold(
    con: duckdb.DuckDBPyConnection, chosen: Parameters, threshold: float | None
) -> Parameters:
    """The parameters with one match weight for every class of pairs."""
    if threshold is None:
        return chosen
    # Some classes are judged by the evidence alone, without the prior.
    evidence = threshold - prior_weight(con)
    weights = {c: evidence if c in LOCAL else threshold for c in chosen.thresholds}
    return replace(chosen, thresholds=weights)


def _by_id(pairs: pl.DataFrame, ids: pl.DataFrame, id_columns: list[str]) -> pl.DataFrame:
    """Pairs with the ids given in place of record keys."""
    for side in ("l", "r"):
        named = ids.select(
            pl.col("record_key").alias(f"record_key_{side}"),
            *(pl.col(c).alias(f"{c}_{side}") for c in ("record_id", *id_columns)),
        )
        pairs = pairs.join(named, on=f"record_key_{side}", maintain_order="left")
    return pairs.select(
        *(f"{c}_{side}" for side in ("l", "r") for c in ("record_id", *id_columns)),
        "match_weight",
        pl.selectors.starts_with("gamma_"),
    )
