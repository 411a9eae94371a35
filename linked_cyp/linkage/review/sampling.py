"""Draw the pairs of a review sheet: around the thresholds, and among those refused."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import duckdb
import numpy as np
import polars as pl

from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import insert
from linked_cyp.linkage.model.parameters import Parameters, parameters
from linked_cyp.linkage.pairs.edges import EDGE_CLASSES, RENAMED, classed_pairs_sql, prior_weight
from linked_cyp.linkage.review.decisions import newest_decisions
from linked_cyp.linkage.review.tables import ensure_tables
from linked_cyp.linkage.review.thresholds import thresholds_in_force

REACH = 12.0  # bits on either side of a threshold within which pairs are drawn
BAND = 4.0  # bits: width of a weight band


def draw_sheet(
    con: duckdb.DuckDBPyConnection,
    *,
    pairs: int = 100,
    seed: int | None = None,
    given: Parameters | None = None,
    now: datetime | None = None,
) -> str:
    """Sample pairs for review into ``linkage.main.review_pair``.

    Strata are edge class by weight band, and edge class by reason for the pairs that resolution
    refused. Every stratum gets the same number as far as it has so many, so that rare kinds are
    seen too; ``fraction`` says how much of its stratum was drawn. Pairs that have been decided are
    left out. Numbers on the sheet follow no order.

    Args:
        con: connection with a writable ``linkage`` catalog in which resolution has run.
        pairs: how many pairs at most.
        seed: the same seed draws the same pairs from the same data; random when omitted.

    Returns:
        The new sheet's id.

    Raises:
        LinkedCypError: there is nothing to review.
    """
    if pairs < 1:
        raise LinkedCypError("a sheet needs at least one pair")
    chosen = given or parameters()
    seed = secrets.randbits(31) if seed is None else seed
    moment = (now or datetime.now(UTC)).replace(tzinfo=None)
    with value_free("drawing pairs for review"):
        ensure_tables(con)
        frame = reviewable(con, chosen)
        drawn = sample(frame, pairs, np.random.default_rng(seed))
    if drawn.is_empty():
        raise LinkedCypError("no undecided pair lies near a threshold and none was refused")
    with value_free("drawing pairs for review"):
        sheet_id = f"{moment:%Y%m%d}-{secrets.token_hex(3)}"
        con.register("drawn", drawn.to_arrow())
        con.execute(
            "INSERT INTO linkage.main.review_pair SELECT ?, number, record_key_l, record_key_r,"
            " edge_class, reason, stratum, stratum_pairs, fraction, weight, match_weight, model_id"
            " FROM drawn ORDER BY number",
            [sheet_id],
        )
        con.unregister("drawn")
        sheet = {
            "sheet_id": sheet_id,
            "created": moment,
            "seed": seed,
            "pairs": drawn.height,
            "model_id": drawn["model_id"][0],
        }
        insert(con, "linkage.main.review_sheet", sheet)
    return sheet_id


def reviewable(con: duckdb.DuckDBPyConnection, chosen: Parameters) -> pl.DataFrame:
    """Undecided pairs near their threshold or refused, with their stratum.

    Returns:
        ``record_key_l``, ``record_key_r``, ``edge_class``, ``reason`` (null: not refused),
        ``stratum``, ``weight`` (as thresholds count it), ``match_weight``, ``model_id``.
    """
    thresholds = thresholds_in_force(con, chosen)
    limits = pl.DataFrame(
        {"edge_class": list(EDGE_CLASSES), "threshold": [thresholds[c] for c in EDGE_CLASSES]}
    )
    found = con.execute(
        "SELECT p.record_key_l, p.record_key_r, p.edge_class, r.reason, p.weight,"
        f" p.match_weight, p.model_id FROM {classed_pairs_sql(prior_weight(con))} p"
        " LEFT JOIN linkage.main.refused r USING (record_key_l, record_key_r)"
        # Nobody is asked to join two lives.
        " WHERE r.reason IS DISTINCT FROM $renamed",
        {"renamed": RENAMED},
    ).pl()
    decided = newest_decisions(con).select("record_key_l", "record_key_r")
    threshold = pl.col("threshold")
    near = threshold.is_infinite() | ((pl.col("weight") - threshold).abs() <= REACH)
    return (
        found.join(decided, on=["record_key_l", "record_key_r"], how="anti")
        .join(limits, on="edge_class")
        .filter(near | pl.col("reason").is_not_null())
        .with_columns(stratum=pl.coalesce(_REFUSED, _BAND))
        .drop("threshold")
        .sort("record_key_l", "record_key_r")
    )


_REFUSED = pl.concat_str("edge_class", pl.lit(", refused: "), "reason")
_BAND = pl.concat_str("edge_class", pl.lit(" from "), (pl.col("weight") / BAND).floor() * BAND)


def sample(frame: pl.DataFrame, pairs: int, draw: np.random.Generator) -> pl.DataFrame:
    """At most so many rows, as evenly over the strata as their sizes allow, in random order.

    Returns:
        The rows drawn, with ``number`` (from 1), ``stratum_pairs`` and ``fraction``.
    """
    parts = frame.partition_by("stratum", as_dict=True, maintain_order=True)
    strata = sorted(parts.items(), key=lambda item: (item[1].height, str(item[0])))
    drawn, left = [], pairs
    for place, (_, part) in enumerate(strata):  # the smallest first: what they lack others get
        share = -(-left // (len(strata) - place))
        take = min(part.height, share, left)
        if take:
            rows = np.sort(draw.choice(part.height, take, replace=False))
            drawn.append(
                part[rows].with_columns(
                    pl.lit(part.height, dtype=pl.Int64).alias("stratum_pairs"),
                    pl.lit(take / part.height).alias("fraction"),
                )
            )
        left -= take
    if not drawn:
        return frame.clear()
    whole = pl.concat(drawn)
    return whole[draw.permutation(whole.height)].with_row_index("number", offset=1)
