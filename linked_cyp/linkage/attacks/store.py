"""The attacks on a store's own records, with the names in the deliveries to count by.

Names are read into memory and stay there; what is kept are rates (``linkage.main.attack``). The
persons that linkage found stand for the children, whose names the attacker may know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import duckdb
import numpy as np
import polars as pl

from linked_cyp.contracts.model import Contract
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import exists
from linked_cyp.identity.keys import Keys
from linked_cyp.linkage.attacks.suite import run_attacks
from linked_cyp.linkage.records.identities import read_identities
from linked_cyp.stores.door import Stores

TABLE = "linkage.main.attack"
CHILDREN = 4_000  # some two minutes on two cores
SEEDS = 5
FIRST_SEED = 1
_NAMED = ("forename", "surname", "birth_date")


@dataclass(frozen=True)
class Attacked:
    """What was attacked, and when: columns of ``linkage.main.attack`` beside the rates.

    Attributes:
        run_id: linkage run that the records were in last; null before the first.
        run_date: of that run.
        model_id: linkage model of the store; null before the first.
        children: of which records were attacked.
        of_children: that have a record with both names and a birth date.
        made: when, in UTC.
    """

    run_id: int | None
    run_date: date | None
    model_id: int | None
    children: int
    of_children: int
    made: datetime


COLUMNS: dict[str, pl.DataType] = {
    "run_id": pl.Int64(),
    "run_date": pl.Date(),
    "model_id": pl.Int64(),
    "children": pl.Int64(),
    "of_children": pl.Int64(),
    "made": pl.Datetime("us"),
}


@dataclass(frozen=True)
class Sample:
    """Records of some of a store's children, and the same in clear.

    Attributes:
        identities: standardised identities.
        persons: record_key, child.
        records: rows of ``linkage.main.person_record``.
        is_hardened: how their names are encoded.
        of_children: children there are to draw from.
    """

    identities: pl.DataFrame
    persons: pl.DataFrame
    records: pl.DataFrame
    is_hardened: bool
    of_children: int


def attack_store(
    stores: Stores,
    contracts: Mapping[str, Contract],
    *,
    children: int = CHILDREN,
    seeds: int = SEEDS,
    on_seed: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Attack a store's person records as they stand, and controls made of the same identities.

    The stores are open while records are read and while rates are written, not in between.

    Args:
        children: at most so many; see :func:`draw`.
        seeds: how many; see :func:`linked_cyp.linkage.attacks.run_attacks`.
        on_seed: told of how many of how many seeds are done, at the beginning and after each.

    Returns:
        What ``linkage.main.attack`` holds now: the rates as ``run_attacks`` gives them, and
        :class:`Attacked`. Birth dates are attacked only where every child is.

    Raises:
        LinkedCypError: nothing has been linked, no name is known here (suppliers encode), or
            something was delivered since the records were built; never with a value.
    """
    with value_free("attacking the store's person records"):
        with stores.connect(identifiable="ro", linkage="ro") as con:
            sample = read_sample(con, contracts, stores.keys(), children, FIRST_SEED)
            about = _about(con, sample)
        results = []
        for done in range(seeds):
            if on_seed:
                on_seed(done, seeds)
            results.append(
                run_attacks(
                    sample.identities,
                    sample.persons,
                    [FIRST_SEED + done],
                    records=sample.records,
                    is_hardened=sample.is_hardened,
                )
            )
        if on_seed:
            on_seed(seeds, seeds)
        attacks = pl.concat(results)
        if about.children < about.of_children:
            attacks = attacks.filter(pl.col("field") != "birth_date")
        with stores.connect(linkage="rw") as con:
            return write_attacks(con, attacks, about)


def read_sample(
    con: duckdb.DuckDBPyConnection,
    contracts: Mapping[str, Contract],
    keys: Keys,
    children: int,
    seed: int,
) -> Sample:
    """Draw children, and read their records and names.

    Args:
        con: connection with ``identifiable`` and ``linkage`` after resolution.
    """
    if not exists(con, "linkage.main.person"):
        raise LinkedCypError("nothing has been linked yet: linked-cyp refresh first")
    persons = con.execute("SELECT record_key, cluster AS child FROM linkage.main.person").pl()
    with read_identities(con, contracts, keys) as read:
        nobody = pl.DataFrame(schema={"record_key": pl.Int64, "birth_date": pl.Date})
        named = [nobody]
        unknown = 0
        for batch in read.batches():
            unknown += batch.join(persons, on="record_key", how="anti").height
            named.append(batch.drop_nulls(_NAMED).select(nobody.columns))
        if unknown:
            raise LinkedCypError(
                f"{unknown:,} source persons have been delivered since the records were built:"
                " linked-cyp refresh first"
            )
        known = pl.concat(named).join(persons, on="record_key")
        if known.is_empty():
            raise LinkedCypError("there is no record whose names are known here")
        drawn = draw(known, children, seed)
        identities = pl.concat(
            batch.drop_nulls(_NAMED).join(drawn, on="record_key", how="semi")
            for batch in read.batches()
        )
    con.register("drawn", drawn.select("record_key").to_arrow())
    try:
        records = con.execute(
            "FROM linkage.main.person_record SEMI JOIN drawn USING (record_key)"
            " WHERE alternative = 0"
        ).pl()
    finally:
        con.unregister("drawn")
    (is_hardened,) = con.execute("SELECT is_hardened FROM linkage.main.build").fetchall()[0]
    return Sample(identities, drawn, records, is_hardened, known["child"].n_unique())


def draw(known: pl.DataFrame, children: int, seed: int) -> pl.DataFrame:
    """At most ``children`` children, of birth dates drawn at random: of each date all, or nearly.

    Children of one birth date share salts, and names are told by how often each occurs among them.
    Children drawn one by one would be thinned out and safer than in the store.

    Args:
        known: record_key, child, birth_date.

    Returns:
        record_key, child.
    """
    of_child = known.group_by("child").agg(pl.col("birth_date").min()).sort("birth_date", "child")
    dates = of_child["birth_date"].unique().sort()
    place = pl.Series(np.random.default_rng(seed).permutation(len(dates)))
    order = pl.DataFrame({"birth_date": dates, "place": place})
    chosen = of_child.join(order, on="birth_date").sort("place", "child").head(children)
    return known.join(chosen, on="child", how="semi").select("record_key", "child")


def _about(con: duckdb.DuckDBPyConnection, sample: Sample) -> Attacked:
    runs = models = []
    if exists(con, "linkage.main.run"):
        runs = con.execute(
            "SELECT run_id, run_date FROM linkage.main.run ORDER BY run_id DESC LIMIT 1"
        ).fetchall()
    if exists(con, "linkage.main.pairs"):
        models = con.execute("SELECT max(model_id) FROM linkage.main.pairs").fetchall()
    run_id, run_date = runs[0] if runs else (None, None)
    return Attacked(
        run_id,
        run_date,
        models[0][0] if models else None,
        sample.persons["child"].n_unique(),
        sample.of_children,
        datetime.now(UTC).replace(tzinfo=None),
    )


def write_attacks(
    con: duckdb.DuckDBPyConnection, attacks: pl.DataFrame, about: Attacked
) -> pl.DataFrame:
    """Replace ``linkage.main.attack`` and return it: rates only, no name and no record."""
    table = attacks.with_columns(
        pl.lit(getattr(about, name), dtype=kind).alias(name) for name, kind in COLUMNS.items()
    )
    con.register("attacks", table.to_arrow())
    con.execute(f"CREATE OR REPLACE TABLE {TABLE} AS FROM attacks")
    con.unregister("attacks")
    return table
