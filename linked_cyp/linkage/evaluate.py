"""How good the persons are, against known truth: pairwise precision, recall and F1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from linked_cyp.contracts import Contract
from linked_cyp.errors import value_free
from linked_cyp.keys import Keys
from linked_cyp.sql import quoted
from linked_cyp.tokenise import record_key_table


@dataclass(frozen=True)
class Quality:
    """Counts of pairs of records and the shares that follow from them."""

    correct: int  # pairs put together that belong together
    linked: int  # pairs put together
    true: int  # pairs that belong together

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
    both = persons.select("record_key", "person").join(
        truth.select("record_key", "child"), on="record_key"
    )
    return Quality(
        correct=_pairs(both, "person", "child"),
        linked=_pairs(both, "person"),
        true=_pairs(both, "child"),
    )


def pairwise_by(
    persons: pl.DataFrame, truth: pl.DataFrame, group: pl.DataFrame
) -> dict[str, Quality]:
    """:func:`pairwise` within each group of children.

    Args:
        group: ``child`` and ``group``, such as ethnicity or authority.

    A wrong link between children of two groups counts in neither.
    """
    labelled = truth.join(group, on="child")
    return {
        str(name[0]): pairwise(persons, part)
        for name, part in sorted(
            labelled.partition_by("group", as_dict=True).items(), key=lambda item: str(item[0])
        )
    }


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
            if not table.person_key or not deliveries or not _is_stored(con, table.table_name):
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


def _is_stored(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    return bool(
        con.execute(
            "SELECT 1 FROM duckdb_tables() WHERE database_name = 'identifiable'"
            " AND schema_name = 'raw' AND table_name = ?",
            [table],
        ).fetchall()
    )


def _pairs(frame: pl.DataFrame, *columns: str) -> int:
    sizes = frame.group_by(columns).agg(pl.len().cast(pl.Int64).alias("n"))["n"]
    return int((sizes * (sizes - 1) // 2).sum())
