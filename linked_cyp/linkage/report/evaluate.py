"""How good the persons are, against known truth: pairwise precision, recall and F1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from linked_cyp.contracts.model import Contract
from linked_cyp.core.errors import value_free
from linked_cyp.core.intervals import clustered, with_wilson
from linked_cyp.core.sql import exists, quoted
from linked_cyp.identity.keys import Keys
from linked_cyp.identity.tokenise import record_key_table
from linked_cyp.linkage.persons.joining import connected_components


@dataclass(frozen=True)
class Quality:
    """Counts of pairs of records and the shares that follow from them."""

    correct: float  # pairs put together that belong together
    linked: float  # pairs put together
    true: float  # pairs that belong together

    @property
    def precision(self) -> float:
        return self.correct / self.linked if self.linked else 1.0

    @property
    def recall(self) -> float:
        return self.correct / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        total = self.linked + self.true
        return 2 * self.correct / total if total else 1.0


def pairwise(persons: pl.DataFrame, truth: pl.DataFrame) -> Quality:
    """Compare a grouping of records with the true one.

    Args:
        persons: ``record_key`` and ``person`` (any number or text).
        truth: ``record_key`` and ``child``.

    Records that only one of the two knows are left out.
    """
    return _quality(contributions(persons, truth))


def pairwise_by(
    persons: pl.DataFrame, truth: pl.DataFrame, group: pl.DataFrame
) -> dict[str, Quality]:
    """:func:`pairwise` of each group of children.

    Args:
        group: ``child`` and ``group``, such as ethnicity or authority.

    A wrong link between children of two groups counts half in each.
    """
    labelled = contributions(persons, truth).join(group, on="child")
    return {
        str(name[0]): _quality(part)
        for name, part in sorted(
            labelled.partition_by("group", as_dict=True).items(), key=lambda item: str(item[0])
        )
    }


def contributions(persons: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """Each child's share of the pairs: ``child``, ``correct``, ``linked``, ``true``.

    A pair counts half for each of its records; a record's child is the true one. The sums over
    children are the counts of pairs, whichever children are summed.
    """
    return _shares(_cells(persons, truth), "n", "n", same=True).select(
        "child", *(pl.col(c).alias(c.removesuffix("_n_n")) for c in _columns("n", "n"))
    )


def scores(shares: pl.DataFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """Precision, recall and F1 with 95 % intervals (:mod:`linked_cyp.core.intervals`).

    Args:
        shares: what :func:`contributions` gives, with the columns of ``by``.

    Returns:
        ``measure`` (precision, recall, f1), the columns of ``by``, numerator, denominator, value,
        low, high. The numerator and denominator of F1 are correct pairs and the mean of linked
        and true pairs.
    """
    denominators = {
        "precision": pl.col("linked"),
        "recall": pl.col("true"),
        "f1": (pl.col("linked") + pl.col("true")) / 2,
    }
    return pl.concat(
        clustered(
            shares.select(*by, pl.col("correct").alias("numerator"), below.alias("denominator")), by
        ).select(pl.lit(measure).alias("measure"), pl.all())
        for measure, below in denominators.items()
    )


def scores_by_source_pair(persons: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """:func:`scores` of the pairs between two sources, or within one.

    Args:
        truth: ``record_key``, ``child`` and ``source`` (its name).

    Returns:
        As :func:`scores`, by ``source_l`` and ``source_r``, in alphabetical order.
    """
    names = sorted(truth["source"].unique().to_list())
    counted = _cells(
        persons,
        truth,
        *((pl.col("source") == name).sum().cast(pl.Int64).alias(name) for name in names),
    )
    found = []
    for left, right in combinations_with_replacement(names, 2):
        shares = _shares(counted, left, right, same=left == right).select(
            "child",
            *(
                pl.col(c).alias(new)
                for c, new in zip(_columns(left, right), ("correct", "linked", "true"), strict=True)
            ),
        )
        found.append(
            scores(shares).select(
                "measure",
                pl.lit(left).alias("source_l"),
                pl.lit(right).alias("source_r"),
                pl.all().exclude("measure"),
            )
        )
    return pl.concat(found).filter(pl.col("denominator") > 0)


def _cells(persons: pl.DataFrame, truth: pl.DataFrame, *counts: pl.Expr) -> pl.DataFrame:
    """Records by person and child: one row for each combination that has any."""
    return (
        persons.select("record_key", "person")
        .join(truth, on="record_key")
        .group_by("person", "child")
        .agg(*(counts or (pl.len().cast(pl.Int64).alias("n"),)))
    )


def _columns(left: str, right: str) -> list[str]:
    return [f"{kind}_{left}_{right}" for kind in ("correct", "linked", "true")]


def _shares(cells: pl.DataFrame, left: str, right: str, *, same: bool) -> pl.DataFrame:
    """Pairs of a record counted in one column with a record counted in another, by child."""
    a, b = pl.col(left), pl.col(right)

    def pairs(within: str | None) -> pl.Expr:
        of_a, of_b = (a, b) if within is None else (a.sum().over(within), b.sum().over(within))
        return a * (of_a - 1) / 2 if same else (a * of_b + b * of_a) / 2

    return (
        cells.with_columns(
            expression.alias(name)
            for name, expression in zip(
                _columns(left, right), (pairs(None), pairs("person"), pairs("child")), strict=True
            )
        )
        .group_by("child")
        .agg(pl.col(_columns(left, right)).sum())
    )


def merged(persons: pl.DataFrame, truth: pl.DataFrame, related: pl.DataFrame) -> pl.DataFrame:
    """Children wrongly made one person with a relation: twins, siblings, an adopted child's past.

    Args:
        related: ``child`` and ``family`` (a number of those who are related); null is nobody.

    Returns:
        One row: numerator (children merged with a relation), denominator (children who have a
        relation in the data), value, low, high.
    """
    cells = _cells(persons, truth).join(related.drop_nulls("family"), on="child")
    cells = cells.filter(pl.col("child").n_unique().over("family") > 1)
    flagged = cells.with_columns(
        (pl.col("child").n_unique().over("person", "family") > 1).alias("is_merged")
    )
    children = flagged.group_by("family", "child").agg(pl.col("is_merged").any())
    return clustered(
        children.group_by("family").agg(
            pl.col("is_merged").sum().alias("numerator"), pl.len().alias("denominator")
        )
    )


def candidates(pairs: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """How many true pairs were kept as candidates: the ceiling of recall.

    Args:
        pairs: ``record_key_l``, ``record_key_r``.

    Returns:
        Two rows by ``measure``: candidate_recall (the pair itself) and candidate_reach (the pair is
        connected through true candidate pairs of the same child), with intervals.
    """
    edges = _true_edges(pairs, truth)
    found = edges.group_by("child").agg(pl.len().alias("numerator"))
    whole = truth.group_by("child").agg((pl.len() * (pl.len() - 1) / 2).alias("denominator"))
    direct = clustered(
        whole.join(found, on="child", how="left").with_columns(pl.col("numerator").fill_null(0))
    )
    reach = scores(contributions(_connected(truth, edges), truth)).filter(
        pl.col("measure") == "recall"
    )
    return pl.concat(
        [
            direct.select(pl.lit("candidate_recall").alias("measure"), pl.all()),
            reach.with_columns(pl.lit("candidate_reach").alias("measure")),
        ]
    )


def threshold_curve(
    pairs: pl.DataFrame, truth: pl.DataFrame, weights: Sequence[float]
) -> pl.DataFrame:
    """What each threshold on the match weight would keep, before any conflict is resolved.

    Args:
        pairs: ``record_key_l``, ``record_key_r``, ``match_weight``.

    Returns:
        ``weight``, ``measure`` (precision: share of the pairs kept that are true; recall: share of
        true pairs connected through true pairs kept), numerator, denominator, value, low, high.
    """
    known = pairs.join(
        truth.select(pl.col("record_key").alias("record_key_l")), on="record_key_l"
    ).join(truth.select(pl.col("record_key").alias("record_key_r")), on="record_key_r")
    true_edges = _true_edges(known, truth)
    rows = []
    for weight in weights:
        right = true_edges.filter(pl.col("match_weight") >= weight)
        kept = int((known["match_weight"] >= weight).sum())
        precision = with_wilson(
            pl.DataFrame({"numerator": [float(right.height)], "denominator": [float(kept)]})
        ).select(pl.lit("precision").alias("measure"), pl.all())
        recall = scores(contributions(_connected(truth, right), truth)).filter(
            pl.col("measure") == "recall"
        )
        rows += [
            f.select(pl.lit(float(weight)).alias("weight"), pl.all()) for f in (precision, recall)
        ]
    return pl.concat(rows)


def _true_edges(pairs: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    sides = [
        truth.select(
            pl.col("record_key").alias(f"record_key_{s}"), pl.col("child").alias(f"child_{s}")
        )
        for s in "lr"
    ]
    return (
        pairs.join(sides[0], on="record_key_l")
        .join(sides[1], on="record_key_r")
        .filter(pl.col("child_l") == pl.col("child_r"))
        .rename({"child_l": "child"})
    )


def _connected(truth: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    keys = truth["record_key"].sort().to_numpy()
    a, b = (np.searchsorted(keys, edges[f"record_key_{s}"].to_numpy()) for s in "lr")
    return pl.DataFrame({"record_key": keys, "person": connected_components(len(keys), a, b)})


def _quality(shares: pl.DataFrame) -> Quality:
    correct, linked, true = shares.select("correct", "linked", "true").sum().row(0)
    return Quality(correct, linked, true)


def truth_of_records(
    con: duckdb.DuckDBPyConnection, contracts: Mapping[str, Contract], keys: Keys, folder: Path
) -> pl.DataFrame:
    """Which synthetic person each record key stands for.

    Args:
        con: connection with ``identifiable``, holding deliveries of a synthetic population.
        folder: its truth folder (:mod:`linked_cyp.synthetic.truth`).

    Returns:
        ``record_key``, ``feed``, ``child``. A key that errors in the data give to two persons
        stands for the one with most rows.
    """
    parts = []
    with value_free("reading the truth of a synthetic population"):
        con.register("true_record", pl.read_parquet(folder / "record.parquet").to_arrow())
        known = con.execute(
            'SELECT DISTINCT feed, "table" FROM true_record ORDER BY ALL'
        ).fetchall()
        for feed, name in known:
            table = contracts[feed].tables[name]
            deliveries = [
                row[0]
                for row in con.execute(
                    "SELECT delivery_id FROM identifiable.ledger.current WHERE feed = ?", [feed]
                ).fetchall()
            ]
            if (
                not table.person_key
                or not deliveries
                or not exists(con, f"identifiable.raw.{table.table_name}")
            ):
                continue
            record_key_table(con, contracts[feed], table, keys, deliveries, "true_key")
            parts.append(
                con.execute(
                    "SELECT record_key, k_feed AS feed, person_id AS child, count(*) AS n"
                    " FROM (SELECT k.record_key, k.row_number, c.feed AS k_feed, c.supplier,"
                    "  c.period, coalesce(nullif(c.version, ''), '1') AS version FROM true_key k"
                    "  JOIN identifiable.ledger.current c USING (delivery_id)) k"
                    " JOIN true_record t USING (supplier, period, version, row_number)"
                    f" WHERE t.feed = k_feed AND t.{quoted('table')} = ?"
                    " AND record_key IS NOT NULL GROUP BY ALL",
                    [name],
                ).pl()
            )
            con.execute("DROP TABLE temp.true_key")
        con.unregister("true_record")
    return (
        pl.concat(parts)
        .group_by("record_key", "feed", "child")
        .agg(pl.col("n").sum())
        .sort("record_key", "n", "child", descending=[False, True, False])
        .unique("record_key", keep="first", maintain_order=True)
        .drop("n")
    )
