"""Conflict-aware resolution: from scored pairs to persons.

In this order: what a clerical reviewer called the same person; pairs in which an identifier or
names agree, from the strongest down; and last, records without a forename (hospital, looked-after
children) that share no identifier with their candidate, only where one candidate leads all others
by a margin. Nothing is joined that would put together two valid NHS numbers, two permanent UPNs,
two ids that one source gives to different children, twins (two forenames under one surname and
birth date, unless an identifier says otherwise), two surnames that nothing but a forename and a
birth date connects (:mod:`linked_cyp.linkage.pairs.renamed`), or what a reviewer called different
people. All that is refused is kept with its reason, for review.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
import numpy as np
import polars as pl

from linked_cyp.core.errors import value_free
from linked_cyp.core.sql import transaction
from linked_cyp.identity.comparisons import level_number
from linked_cyp.linkage.model.parameters import Parameters, parameters
from linked_cyp.linkage.pairs.edges import (
    EDGE_CLASSES,
    classed_pairs_sql,
    other_twin_sql,
    perhaps_twin_sql,
    prior_weight,
    second_number_sql,
    twin_sql,
    vouching_sql,
)
from linked_cyp.linkage.pairs.renamed import renamed_pairs_sql
from linked_cyp.linkage.persons.joining import (
    CODE,
    REASONS,
    SINGLE,
    Apart,
    cluster_values,
    connected_components,
    join_without_conflict,
)
from linked_cyp.linkage.review.decisions import newest_decisions
from linked_cyp.linkage.review.tables import ensure_tables
from linked_cyp.linkage.review.thresholds import thresholds_in_force

__all__ = ["REASONS", "Resolution", "connected_components", "resolve", "resolve_pairs"]
DECIDED = "decided"  # edge class of what a reviewer called the same person


@dataclass(frozen=True)
class Resolution:
    """Cluster number per record, and what was refused."""

    cluster: np.ndarray  # int32, one per record; the smallest record number of the cluster
    refused: pl.DataFrame  # a, b, weight, edge_class, reason


def resolve(con: duckdb.DuckDBPyConnection, *, given: Parameters | None = None) -> dict[str, int]:
    """Write ``linkage.main.person`` (record_key, cluster) and ``linkage.main.refused``.

    ``cluster`` is the smallest record_key in it: stable for unchanged persons, but never
    published (see :mod:`linked_cyp.linkage.persons.registry`). Thresholds are those of
    ``linkage.main.threshold``, else of the parameters; clerical decisions are the newest for each
    pair in ``linkage.main.decision``. Decisions about records that are gone, or that may not be
    linked now (an adoption, a sensitive record), are left alone.

    Returns:
        Counts: records, persons, refused pairs, and of clerical decisions those applied, refused
        (they would join two NHS numbers, for example) and ignored.
    """
    chosen = given or parameters()
    with value_free("resolving pairs to persons"):
        ensure_tables(con)
        con.execute(_RECORDS)
        records = con.execute("FROM temp.resolving ORDER BY number").pl()
        pairs = con.execute(_pairs_sql(con, chosen)).pl()
        decided, ignored = _decisions(con)
        records = _with_one_upn(records, pairs)
        _write_second_upns(con, records)
        result = _resolved(con, records, pairs, decided, chosen)
        con.execute("DROP TABLE temp.resolving")
        _write(con, records["record_key"].to_numpy(), result)
    refused = result.refused.filter(pl.col("edge_class") == DECIDED).height
    return {
        "records": records.height,
        "persons": len(np.unique(result.cluster)),
        "refused": result.refused.height,
        "decisions_applied": decided.height - refused,
        "decisions_refused": refused,
        "decisions_ignored": ignored,
    }


# One row per source person, numbered by record_key so that ties fall alike in every run; former
# numbers stand for the present one, so they do not conflict. `local` is the source number where
# that source's own key tells children apart.
_RECORDS = """
    CREATE OR REPLACE TEMP TABLE resolving AS
    SELECT (row_number() OVER (ORDER BY record_key) - 1)::INTEGER AS number, record_key,
           coalesce(n.token, p.nhs, -1) AS nhs,
           coalesce(CASE WHEN is_upn_permanent THEN coalesce(u.token, p.upn) END, -1) AS upn,
           CASE WHEN s.tells_apart THEN p.source ELSE -1 END::BIGINT AS local,
           (forename_birth_date IS NOT NULL OR forename_postcode IS NOT NULL OR names IS NOT NULL)
               AS has_forename,
           p.exclusion IS NULL AS may_link
    FROM linkage.main.person_record p
    JOIN linkage.main.source s USING (source)
    LEFT JOIN linkage.main.identifier_alias n ON n.identifier = 'nhs' AND n.former = p.nhs
    LEFT JOIN linkage.main.identifier_alias u ON u.identifier = 'upn' AND u.former = p.upn
    WHERE alternative = 0
"""


def _pairs_sql(con: duckdb.DuckDBPyConnection, chosen: Parameters) -> str:
    """Pairs at or above the threshold of their kind, and every twin pattern.

    They are joined by match weight, whatever weight their threshold is counted in.
    """
    classes = ", ".join(f"'{name}'" for name in EDGE_CLASSES)
    thresholds = thresholds_in_force(con, chosen)
    enough = " ".join(f"WHEN '{n}' THEN '{w}'::DOUBLE" for n, w in thresholds.items())
    is_twin = twin_sql() if "twin" in chosen.conflicts else "FALSE"
    return f"""
        SELECT l.number AS a, r.number AS b, round(match_weight, 6) AS weight,
               edge_class::ENUM({classes}) AS edge_class, is_twin, is_enough, vouches,
               one_pupil, other_twin, alike, perhaps_twin
        FROM (SELECT *, {is_twin} AS is_twin, {vouching_sql()} AS vouches,
                     {second_number_sql()} AS one_pupil, {other_twin_sql()} AS other_twin,
                     {perhaps_twin_sql()} AS perhaps_twin,
                     gamma_forename >= {level_number("forename", "form")} AS alike,
                     weight >= CASE edge_class {enough} END AS is_enough
              FROM {classed_pairs_sql(prior_weight(con))}
              WHERE is_enough OR is_twin OR perhaps_twin)
        JOIN temp.resolving l ON l.record_key = record_key_l
        JOIN temp.resolving r ON r.record_key = record_key_r
    """


def _resolved(
    con: duckdb.DuckDBPyConnection,
    records: pl.DataFrame,
    pairs: pl.DataFrame,
    decided: pl.DataFrame,
    chosen: Parameters,
) -> Resolution:
    """Persons in which nobody holds two lives; again where the chain that vouched was refused."""
    held = {k: records[k].to_numpy() for k in ("nhs", "upn", "local") if k in chosen.conflicts}
    renamed = _renamed(con, records, pairs, decided)
    held_twins = _other_twins(pairs)
    while True:
        result = resolve_pairs(
            records.height,
            pairs,
            held,
            records["has_forename"].to_numpy(),
            chosen.nameless_margin,
            decided,
            renamed,
            held_twins,
        )
        inside = pairs.filter(
            result.cluster[pairs["a"].to_numpy()] == result.cluster[pairs["b"].to_numpy()]
        )
        more = _renamed(con, records, inside, decided).join(renamed, on=["a", "b"], how="anti")
        if more.is_empty():
            return result
        renamed = pl.concat([renamed, more])


def _with_one_upn(records: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """The UPNs that one pupil has under otherwise equal records count as one: the smallest.

    What was ``upn`` stands in ``own_upn``. Not where such a number is also with another forename.
    """
    upn = records["upn"].to_numpy()
    doubted = pairs.filter("other_twin").select(pl.concat_list("a", "b").alias("n")).explode("n")
    overwhelming = pairs.filter(
        pl.col("one_pupil")
        & pl.col("is_enough")
        & ~pl.any_horizontal(pl.col("a", "b").is_in(doubted["n"].implode()))
    )
    left, right = upn[overwhelming["a"].to_numpy()], upn[overwhelming["b"].to_numpy()]
    two = (left != -1) & (right != -1) & (left != right)
    tokens = np.unique(upn)
    component = connected_components(
        len(tokens),
        np.searchsorted(tokens, left[two]).astype(np.int32),
        np.searchsorted(tokens, right[two]).astype(np.int32),
    )
    one = tokens[component][np.searchsorted(tokens, upn)]
    return records.with_columns(pl.col("upn").alias("own_upn"), pl.Series("upn", one))


def _write_second_upns(con: duckdb.DuckDBPyConnection, records: pl.DataFrame) -> None:
    """``linkage.main.second_upn``: which UPN counts as which other one of the same pupil."""
    second = records.filter(pl.col("upn") != pl.col("own_upn")).select(
        pl.col("own_upn").alias("upn"), pl.col("upn").alias("counts_as")
    )
    con.register("second_upn", second.unique().sort("upn").to_arrow())
    con.execute("CREATE OR REPLACE TABLE linkage.main.second_upn AS FROM second_upn")
    con.unregister("second_upn")


def _other_twins(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs of a record that has one twin's number and the other twin's name, with either twin.

    Nothing in it tells whose it is: both are held for review.
    """
    twins = pl.concat(
        [pairs.filter("perhaps_twin").select(one=x, other=y) for x, y in (("a", "b"), ("b", "a"))]
    )
    sides = {
        kind: pl.concat(
            [
                pairs.filter(pl.col(kind) & pl.col("is_enough")).select(
                    pl.col(x).alias("record"), pl.col(y).alias(twin)
                )
                for x, y in (("a", "b"), ("b", "a"))
            ]
        )
        for kind, twin in (("other_twin", "one"), ("alike", "other"))
    }
    both = sides["other_twin"].join(twins, on="one").join(sides["alike"], on=["record", "other"])
    held = pl.concat(
        [both.select("record", twin=pl.col(side)) for side in ("one", "other")]
    ).unique()
    return held.select(
        a=pl.min_horizontal("record", "twin"), b=pl.max_horizontal("record", "twin")
    ).unique()


def _renamed(
    con: duckdb.DuckDBPyConnection,
    records: pl.DataFrame,
    pairs: pl.DataFrame,
    decided: pl.DataFrame,
) -> pl.DataFrame:
    """``a``, ``b``: records that may not meet through others, as they may not by themselves.

    Where a chain of numbers, full names and a reviewer's decisions leads from one to the other
    they may.
    """
    same = decided.filter("is_same").select("a", "b")
    usable = pairs.filter(pl.col("is_enough") & ~pl.col("is_twin"))
    groups, vouched = (
        connected_components(records.height, frame["a"].to_numpy(), frame["b"].to_numpy())
        for frame in (
            pl.concat([frame.select("a", "b"), same])
            for frame in (usable, usable.filter("vouches"))
        )
    )
    numbered = records.select("record_key", pl.Series("cluster", groups))
    con.register("renamed_group", numbered.filter(numbered["cluster"].is_duplicated()).to_arrow())
    found = con.execute(
        "SELECT l.number AS a, r.number AS b FROM"
        f" ({renamed_pairs_sql('FROM renamed_group', 'linkage.main', hardened=_hardened(con))})"
        " JOIN temp.resolving l ON l.record_key = record_key_l"
        " JOIN temp.resolving r ON r.record_key = record_key_r ORDER BY ALL"
    ).pl()
    con.unregister("renamed_group")
    return found.filter(vouched[found["a"].to_numpy()] != vouched[found["b"].to_numpy()])


def _hardened(con: duckdb.DuckDBPyConnection) -> bool:
    rows = con.execute("SELECT is_hardened FROM linkage.main.build LIMIT 1").fetchall()
    return bool(rows[0][0]) if rows else True


def _decisions(con: duckdb.DuckDBPyConnection) -> tuple[pl.DataFrame, int]:
    """Decisions about records that are here and may be linked, newest first; and the others."""
    con.register("decided_pairs", newest_decisions(con).to_arrow())
    found = con.execute(
        "SELECT l.number AS a, r.number AS b, match_weight AS weight, decision = 'same' AS is_same,"
        " coalesce(l.may_link AND r.may_link, FALSE) AS counts"
        " FROM decided_pairs d LEFT JOIN temp.resolving l ON l.record_key = d.record_key_l"
        " LEFT JOIN temp.resolving r ON r.record_key = d.record_key_r"
        " WHERE decision <> 'unsure' ORDER BY decided DESC, decision_id DESC"
    ).pl()
    con.unregister("decided_pairs")
    usable = found.filter("counts").drop("counts")
    return usable, found.height - usable.height


def _write(con: duckdb.DuckDBPyConnection, keys: np.ndarray, result: Resolution) -> None:
    person = pl.DataFrame({"record_key": keys, "cluster": keys[result.cluster]})
    refused = result.refused.select(
        pl.Series("record_key_l", keys[result.refused["a"].to_numpy()], dtype=pl.Int64),
        pl.Series("record_key_r", keys[result.refused["b"].to_numpy()], dtype=pl.Int64),
        pl.col("weight").alias("match_weight"),
        "edge_class",
        "reason",
    )
    with transaction(con):
        for name, frame, order in (
            ("person", person, "record_key"),
            ("refused", refused, "match_weight DESC, record_key_l, record_key_r"),
        ):
            con.register("resolved", frame.to_arrow())
            con.execute(
                f"CREATE OR REPLACE TABLE linkage.main.{name} AS FROM resolved ORDER BY {order}"
            )
            con.unregister("resolved")


_NO_DECISIONS = pl.DataFrame(
    schema={"a": pl.Int32, "b": pl.Int32, "weight": pl.Float64, "is_same": pl.Boolean}
)
_NOT_RENAMED = pl.DataFrame(schema={"a": pl.Int32, "b": pl.Int32})


def resolve_pairs(
    records: int,
    pairs: pl.DataFrame,
    values: Mapping[str, np.ndarray],
    has_forename: np.ndarray,
    margin: float,
    decided: pl.DataFrame = _NO_DECISIONS,
    renamed: pl.DataFrame = _NOT_RENAMED,
    held: pl.DataFrame = _NOT_RENAMED,
) -> Resolution:
    """Resolve pairs among records numbered from 0.

    Args:
        records: how many records there are.
        pairs: ``a``, ``b`` (record numbers), ``weight``, ``edge_class``
            (:mod:`linked_cyp.linkage.pairs.edges`), ``is_twin`` (the twin pattern, without an
            identifier that agrees) and ``is_enough`` (at or above its threshold); any order.
        values: for each kind of conflict one int64 per record, -1 where there is none. Two
            different ``nhs`` or ``upn`` conflict; two records of the same ``local`` source do.
        has_forename: whether the record has a forename.
        margin: lead in bits that the best candidate of a nameless person needs.
        decided: clerical decisions, the most trusted first: ``a``, ``b``, ``weight`` (may be
            null) and ``is_same``.
        renamed: ``a``, ``b``: pairs that only forename and birth date connect.
        held: ``a``, ``b``: pairs that only a reviewer may join.
    """
    same, different = decided.filter("is_same"), decided.filter(~pl.col("is_same"))
    twins = pairs.filter("is_twin")
    parted = _apart(different)
    in_order = same.with_columns((-pl.int_range(pl.len())).alias("weight"))
    cluster, not_same = join_without_conflict(records, in_order, values, parted)

    parted = _apart(different, twins, renamed, held)
    candidates = pairs.filter(pl.col("is_enough") & ~pl.col("is_twin"))
    strong = candidates.filter(pl.col("edge_class") != "nameless")
    cluster, not_strong = join_without_conflict(records, strong, values, parted, cluster)

    weak = candidates.filter(pl.col("edge_class") == "nameless")
    weak = weak.filter(cluster[weak["a"].to_numpy()] != cluster[weak["b"].to_numpy()])
    doubt = doubtful(weak, cluster, values, has_forename, margin)
    cluster, not_weak = join_without_conflict(
        records, weak.filter(doubt == 0), values, parted, cluster
    )
    late = doubt.copy()
    late[doubt == 0] = not_weak
    decision = {"edge_class": pl.lit(DECIDED)}
    refused = pl.concat(
        [
            _refused(same.with_columns(**decision), not_same, cluster),
            _refused(twins.filter("is_enough"), None, cluster),
            _refused(strong, not_strong, cluster),
            _refused(weak, late, cluster),
        ]
    )
    return Resolution(cluster, refused)


def _apart(different: pl.DataFrame, *others: pl.DataFrame) -> Apart:
    """Pairs called different, and then those of the kinds ``twin`` and ``renamed``."""
    frames = [
        frame.select("a", "b", pl.lit(CODE[kind]).alias("code"))
        for kind, frame in zip(
            ("decision", "twin", "renamed", "other_twin"), (different, *others), strict=False
        )
    ]
    both = pl.concat(frames, how="vertical_relaxed")
    return Apart(both["a"].to_numpy(), both["b"].to_numpy(), both["code"].to_numpy())


def _refused(pairs: pl.DataFrame, reason: np.ndarray | None, cluster: np.ndarray) -> pl.DataFrame:
    """The refused pairs whose records did not come together in some other way."""
    codes = np.full(pairs.height, CODE["twin"], np.uint8) if reason is None else reason
    apart = cluster[pairs["a"].to_numpy()] != cluster[pairs["b"].to_numpy()]
    keep = (codes != 0) & apart
    texts = pl.Series("reason", ["", *REASONS.values()]).gather(pl.Series(codes[keep]))
    return pairs.filter(keep).select(
        pl.col("a", "b").cast(pl.Int32),
        pl.col("weight").cast(pl.Float64),
        pl.col("edge_class").cast(pl.String),
        texts,
    )


def doubtful(
    weak: pl.DataFrame,
    cluster: np.ndarray,
    values: Mapping[str, np.ndarray],
    has_forename: np.ndarray,
    margin: float,
) -> np.ndarray:
    """For each weak pair, the code of why it may not even be tried, or 0.

    A weak pair needs a person without any forename on one side (where both sides have forenames,
    these have already decided). It must lead that person's other candidates by the margin, and
    among those who have different numbers and want the same person it must lead as well: of two
    nameless twins who each have only one named twin as a candidate, at most one is that twin.
    """
    size = len(cluster)
    named = np.zeros(size, dtype=bool)
    named[cluster[has_forename]] = True
    left, right = cluster[weak["a"].to_numpy()], cluster[weak["b"].to_numpy()]
    reason = np.zeros(weak.height, dtype=np.uint8)
    held = {kind: cluster_values(cluster, values[kind]) for kind in SINGLE if kind in values}
    for kind, value in held.items():
        clash = (value[left] != -1) & (value[right] != -1) & (value[left] != value[right])
        reason[clash & (reason == 0)] = CODE[kind]
    both_named = named[left] & named[right]
    reason[both_named & (reason == 0)] = CODE["names_disagree"]
    # Who cannot be meant is no rival.
    possible = np.flatnonzero(reason == 0)
    weight = weak["weight"].to_numpy()[possible]
    sides = [
        pl.DataFrame({"mine": mine, "other": other, "weight": weight, "row": possible})
        for mine, other in (
            (left[possible], right[possible]),
            (right[possible], left[possible]),
        )
    ]
    both = pl.concat(sides)
    nameless = both.filter(~pl.Series(named[both["mine"].to_numpy()]))
    beaten = [_beaten(nameless.with_columns(pl.col("other").alias("rival")), margin)]
    for value in held.values():
        rival = pl.Series("rival", value[both["other"].to_numpy()])
        beaten.append(_beaten(both.with_columns(rival).filter(pl.col("rival") != -1), margin))
    reason[np.concatenate(beaten)] = CODE["ambiguous"]
    return reason


def _beaten(candidates: pl.DataFrame, margin: float) -> np.ndarray:
    """Rows of candidates that are not the best of their person by the margin.

    Args:
        candidates: ``mine``, ``rival`` (what tells candidates apart), ``weight``, ``row``.
    """
    best = candidates.group_by("mine", "rival").agg(pl.col("weight").max())
    ranked = best.group_by("mine").agg(
        pl.col("weight").max().alias("first"),
        pl.col("weight").top_k(2).min().alias("second"),
        pl.len().alias("candidates"),
    )
    losing = (pl.col("candidates") > 1) & (
        (pl.col("best") < pl.col("first")) | (pl.col("first") - pl.col("second") < margin)
    )
    return (
        candidates.join(best.rename({"weight": "best"}), on=["mine", "rival"])
        .join(ranked, on="mine")
        .filter(losing)["row"]
        .to_numpy()
    )
