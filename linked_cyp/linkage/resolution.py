"""Conflict-aware resolution: from scored pairs to persons.

Pairs are taken in descending weight and two groups of records are joined unless that would put
together two valid NHS numbers, two permanent UPNs, or two ids that one source gives to different
children. Almost all groups hold no conflict at all, so they are found set-wise as connected
components; only contested components are walked pair by pair.

Two first names under one surname and birth date are two children, whatever else agrees, unless an
identifier says otherwise: in small data the weights alone do not keep twins apart.

A record without names (hospital, looked-after children) that shares no identifier with its
candidate is linked in a second step, and only when one candidate leads all others by a margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
import numpy as np
import polars as pl

from linked_cyp.errors import value_free
from linked_cyp.linkage.model import level_number
from linked_cyp.linkage.parameters import Parameters, parameters

IDENTIFIERS = ("nhs", "upn", "la_child")
REASONS = {
    "nhs": "two NHS numbers",
    "upn": "two permanent UPNs",
    "local": "two ids of one source",
    "twin": "another first name, same surname and birth date",
    "ambiguous": "no names, and another candidate is as good",
    "names_disagree": "no names here, and the names beside it do not support it",
}

_CODES = {kind: number for number, kind in enumerate(REASONS, 1)}  # 0: not refused


@dataclass(frozen=True)
class Resolution:
    """Cluster number per record, and what was refused."""

    cluster: np.ndarray  # int64, one per record; the smallest record number of the cluster
    refused: pl.DataFrame  # a, b, weight, reason


def resolve(con: duckdb.DuckDBPyConnection, *, given: Parameters | None = None) -> dict[str, int]:
    """Write ``linkage.main.person`` (record_key, cluster) and ``linkage.main.refused``.

    ``cluster`` is the smallest record_key in it: stable for unchanged persons, but never
    published (see :mod:`linked_cyp.linkage.registry`).

    Returns:
        Counts: records, persons, refused, contested_records.
    """
    chosen = given or parameters()
    with value_free("resolving pairs to persons"):
        records = con.execute(_RECORDS).pl()
        keys = records["record_key"].to_numpy()
        edges = con.execute(
            "SELECT record_key_l, record_key_r, match_weight,"
            " gamma_nhs, gamma_upn, gamma_la_child, gamma_forename FROM linkage.main.pairs"
            " WHERE match_weight >= ? ORDER BY match_weight DESC, 1, 2",
            [chosen.link_weight],
        ).pl()
        pairs = pl.DataFrame(
            {
                "a": np.searchsorted(keys, edges["record_key_l"].to_numpy()),
                "b": np.searchsorted(keys, edges["record_key_r"].to_numpy()),
                "weight": edges["match_weight"],
                "has_identifier": edges.select(
                    pl.any_horizontal(
                        pl.col(f"gamma_{n}") == level_number(n, "exact") for n in IDENTIFIERS
                    )
                ).to_series(),
                "is_twin": edges["gamma_forename"] == level_number("forename", "twin"),
            }
        )
        values = {n: records[n].to_numpy() for n in ("nhs", "upn", "local")}
        result = resolve_pairs(
            len(keys), pairs, values, records["is_named"].to_numpy(), chosen.nameless_margin
        )
        _write(con, keys, result)
    return {
        "records": len(keys),
        "persons": len(np.unique(result.cluster)),
        "refused": result.refused.height,
    }


# One row per source person; former numbers stand for the present one, so they do not conflict.
# `local` is the source number where that source's own key tells children apart, else null.
_RECORDS = """
    SELECT record_key, coalesce(n.token, p.nhs, -1) AS nhs,
           coalesce(CASE WHEN is_upn_permanent THEN coalesce(u.token, p.upn) END, -1) AS upn,
           CASE WHEN s.tells_apart THEN p.source ELSE -1 END::BIGINT AS local, is_named
    FROM linkage.main.person_record p
    JOIN linkage.main.source s USING (source)
    LEFT JOIN linkage.main.identifier_alias n ON n.identifier = 'nhs' AND n.former = p.nhs
    LEFT JOIN linkage.main.identifier_alias u ON u.identifier = 'upn' AND u.former = p.upn
    WHERE alternative = 0
    ORDER BY record_key
"""


def _write(con: duckdb.DuckDBPyConnection, keys: np.ndarray, result: Resolution) -> None:
    person = pl.DataFrame({"record_key": keys, "cluster": keys[result.cluster]})
    refused = result.refused.select(
        pl.Series("record_key_l", keys[result.refused["a"].to_numpy()], dtype=pl.Int64),
        pl.Series("record_key_r", keys[result.refused["b"].to_numpy()], dtype=pl.Int64),
        pl.col("weight").alias("match_weight"),
        "reason",
    )
    for name, frame in (("person", person), ("refused", refused)):
        con.register("resolved", frame.to_arrow())
        con.execute(f"CREATE OR REPLACE TABLE linkage.main.{name} AS FROM resolved")
        con.unregister("resolved")


def resolve_pairs(
    records: int,
    pairs: pl.DataFrame,
    values: Mapping[str, np.ndarray],
    is_named: np.ndarray,
    margin: float,
) -> Resolution:
    """Resolve pairs among records numbered from 0.

    Args:
        records: how many records there are.
        pairs: ``a``, ``b`` (record numbers), ``weight``, ``has_identifier`` (an identifier
            agrees) and ``is_twin`` (the twin pattern), in descending weight.
        values: for each kind of conflict one int64 per record, -1 where there is none. Two
            different ``nhs`` or ``upn`` conflict; two records of the same ``local`` source do.
        is_named: whether the record has a name.
        margin: lead in bits that the best candidate of a nameless person needs.
    """
    is_twin = pairs["is_twin"] & ~pairs["has_identifier"]
    twins = pairs.filter(is_twin).select(
        "a", "b", "weight", pl.lit(REASONS["twin"]).alias("reason")
    )
    pairs = pairs.filter(~is_twin)
    nameless = ~(is_named[pairs["a"].to_numpy()] & is_named[pairs["b"].to_numpy()])
    weak = pl.Series(nameless) & ~pairs["has_identifier"]
    first = join_without_conflict(records, pairs.filter(~weak), values)
    kept, doubtful = _unambiguous(pairs.filter(weak), first.cluster, is_named, margin)
    second = join_without_conflict(records, kept, values, start=first.cluster)
    refused = pl.concat([twins, first.refused, doubtful, second.refused])
    return Resolution(second.cluster, refused)


def join_without_conflict(
    records: int,
    pairs: pl.DataFrame,
    values: Mapping[str, np.ndarray],
    start: np.ndarray | None = None,
) -> Resolution:
    """Join records along pairs in descending weight, refusing every join that conflicts.

    Args:
        start: clusters that exist already (each named by its smallest record) and hold no
            conflict; each record alone when omitted.
    """
    a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
    begin = np.arange(records) if start is None else start
    reason = _direct_conflict(a, b, values)
    open_pairs = np.flatnonzero(reason == 0)
    component = connected_components(records, begin[a[open_pairs]], begin[b[open_pairs]])[begin]
    contested = _contested(component, values)
    cluster = np.where(contested[component], begin, component)
    walk = open_pairs[contested[component[a[open_pairs]]]]
    if len(walk):
        cluster, reasons = _walk(cluster, component, contested, a[walk], b[walk], values)
        reason[walk] = reasons
    texts = pl.Series("reason", ["", *REASONS.values()], dtype=pl.String).gather(pl.Series(reason))
    refused = pairs.select("a", "b", "weight").with_columns(texts)
    return Resolution(cluster, refused.filter(pl.col("reason") != ""))


def connected_components(records: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest record number that each record is connected with (pointer jumping)."""
    label = np.arange(records, dtype=np.int64)
    while True:
        low = np.minimum(label[a], label[b])
        before = label.copy()
        np.minimum.at(label, label[a], low)
        np.minimum.at(label, label[b], low)
        while True:
            jumped = label[label]
            if np.array_equal(jumped, label):
                break
            label = jumped
        if np.array_equal(before, label):
            return label


def _direct_conflict(a: np.ndarray, b: np.ndarray, values: Mapping[str, np.ndarray]) -> np.ndarray:
    reason = np.zeros(len(a), dtype=np.int64)
    for kind, value in values.items():
        known = (value[a] != -1) & (value[b] != -1)
        clash = (value[a] == value[b]) if kind == "local" else (value[a] != value[b])
        reason[known & clash & (reason == 0)] = _CODES[kind]
    return reason


def _contested(component: np.ndarray, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """For each component number, whether it holds a conflict anywhere."""
    contested = np.zeros(len(component), dtype=bool)
    for kind, value in values.items():
        known = value != -1
        frame = pl.DataFrame({"component": component[known], "value": value[known]})
        groups = frame.group_by("component").agg(
            pl.len().alias("n"), pl.col("value").n_unique().alias("different")
        )
        clash = pl.col("different") < pl.col("n") if kind == "local" else pl.col("different") > 1
        contested[groups.filter(clash)["component"].to_numpy()] = True
    return contested


def _walk(
    cluster: np.ndarray,
    component: np.ndarray,
    contested: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    values: Mapping[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Union-find over contested components, one pair at a time, strongest first."""
    members = np.flatnonzero(contested[component])
    parent = dict(zip(members.tolist(), cluster[members].tolist(), strict=True))
    held: dict[str, dict[int, set[int]]] = {kind: {} for kind in values}
    for kind, value in values.items():
        for record in members.tolist():
            if value[record] != -1:
                held[kind].setdefault(parent[record], set()).add(int(value[record]))

    def root(record: int) -> int:
        while parent[record] != record:
            parent[record] = parent[parent[record]]
            record = parent[record]
        return record

    nothing: set[int] = set()
    reasons = np.zeros(len(a), dtype=np.int64)
    for number, (left, right) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        low, high = sorted((root(left), root(right)))
        if low == high:
            continue
        for kind, by_root in held.items():
            one, other = by_root.get(low, nothing), by_root.get(high, nothing)
            clash = one & other if kind == "local" else one and other and one != other
            if clash:
                reasons[number] = _CODES[kind]
                break
        else:
            parent[high] = low
            for by_root in held.values():
                if high in by_root:
                    by_root[low] = by_root.get(low, nothing) | by_root.pop(high)
    cluster = cluster.copy()
    cluster[members] = [root(record) for record in members.tolist()]
    return cluster, reasons


def _unambiguous(
    weak: pl.DataFrame, cluster: np.ndarray, is_named: np.ndarray, margin: float
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split weak pairs into those that may join persons and those that may not.

    A weak pair needs a person without any name on one side (where both sides have names, the
    names have already decided), and must lead that person's other candidates by the margin.
    """
    named = np.zeros(len(cluster), dtype=bool)
    np.logical_or.at(named, cluster, is_named)
    frame = weak.with_columns(
        pl.Series("ca", cluster[weak["a"].to_numpy()], dtype=pl.Int64),
        pl.Series("cb", cluster[weak["b"].to_numpy()], dtype=pl.Int64),
    ).filter(pl.col("ca") != pl.col("cb"))
    frame = frame.with_columns(
        pl.Series("named_a", named[frame["ca"].to_numpy()], dtype=pl.Boolean),
        pl.Series("named_b", named[frame["cb"].to_numpy()], dtype=pl.Boolean),
    )
    sides = [
        frame.select(
            pl.col(mine).alias("person"), pl.col(other).alias("candidate"), "weight"
        ).filter(~pl.Series(named[frame[mine].to_numpy()]))
        for mine, other in (("ca", "cb"), ("cb", "ca"))
    ]
    best = (
        pl.concat(sides)
        .group_by("person", "candidate")
        .agg(pl.col("weight").max())
        .sort("person", "weight", "candidate", descending=[False, True, False])
        .group_by("person", maintain_order=True)
        .agg(
            pl.col("candidate").first().alias("best"),
            (pl.col("weight").first() - pl.col("weight").slice(1).first()).alias("lead"),
        )
        .filter(pl.col("lead").is_null() | (pl.col("lead") >= margin))
        .select("person", "best")
    )
    checked = (
        frame.join(best, left_on="ca", right_on="person", how="left", maintain_order="left")
        .join(best, left_on="cb", right_on="person", how="left", suffix="_b", maintain_order="left")
        .with_columns(
            (pl.col("named_a") | (pl.col("best") == pl.col("cb")).fill_null(False)).alias("fa"),
            (pl.col("named_b") | (pl.col("best_b") == pl.col("ca")).fill_null(False)).alias("fb"),
        )
        .with_columns(
            pl.when(pl.col("named_a") & pl.col("named_b"))
            .then(pl.lit(REASONS["names_disagree"]))
            .when(~(pl.col("fa") & pl.col("fb")))
            .then(pl.lit(REASONS["ambiguous"]))
            .otherwise(pl.lit(""))
            .alias("reason")
        )
    )
    kept = checked.filter(pl.col("reason") == "").select("a", "b", "weight")
    refused = checked.filter(pl.col("reason") != "").select("a", "b", "weight", "reason")
    return kept, refused
