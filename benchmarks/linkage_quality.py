"""How good an answer is, and for whom: overall, by source pair and by group of children."""

from __future__ import annotations

from typing import Any

import polars as pl

from linked_cyp.linkage.report.evaluate import pairwise

GROUPS = ("sex", "ethnicity", "name_origin", "imd_decile", "local_authority", "short_name", "age")


def quality(persons: pl.DataFrame, records: pl.DataFrame, people: pl.DataFrame) -> dict[str, Any]:
    """Pairwise precision, recall and F1; twins and siblings put together; recall by group.

    Args:
        persons: ``record_key``, ``person`` as answered.
        records: ``record_key``, ``child`` (the truth), ``feed``, ``is_named``.
        people: one row per child: ``household``, ``birth_date`` and :data:`GROUPS`.
    """
    answer = records.join(persons, on="record_key")
    found = pairwise(persons, records)
    return {
        "records": records.height,
        "children": records["child"].n_unique(),
        "true_pairs": found.true,
        "precision": found.precision,
        "recall": found.recall,
        "f1": found.f1,
        **_together(answer, people),
        "groups": {
            "source pair": _by_source_pair(answer),
            **{name: _by_group(answer, people, name) for name in GROUPS},
        },
    }


def _together(answer: pl.DataFrame, people: pl.DataFrame) -> dict[str, float]:
    """Shares of pairs of twins, and of other siblings, who are one person in the answer.

    A child is the person who has most of its records with a name: a hospital's record that carries
    the other twin's number is a wrong link, but does not make the twins one.
    """
    of_child = (
        answer.filter("is_named")
        .group_by("child", "person")
        .len()
        .sort("child", "len", "person", descending=[False, True, False])
        .group_by("child", maintain_order=True)
        .agg(pl.col("person").first())
        .join(people.select("child", "household", "birth_date"), on="child")
    )
    twins = _pairs(of_child, "household", "birth_date")
    siblings = _pairs(of_child, "household") - twins
    merged_twins = _pairs(of_child, "household", "birth_date", "person")
    merged = _pairs(of_child, "household", "person") - merged_twins
    return {
        "twins_merged": merged_twins / max(twins, 1),
        "siblings_merged": merged / max(siblings, 1),
    }


def _by_source_pair(answer: pl.DataFrame) -> dict[str, list[float]]:
    feeds = sorted(answer["feed"].unique())
    found = _feed_pairs(answer, ["child", "person"], feeds)
    true = _feed_pairs(answer, ["child"], feeds)
    return {name: [found[name] / true[name], true[name]] for name in true if true[name]}


def _feed_pairs(answer: pl.DataFrame, by: list[str], feeds: list[str]) -> dict[str, float]:
    """Pairs of records of one group, by the feeds of the two."""
    counts = answer.group_by(by).agg(
        (pl.col("feed") == f).sum().cast(pl.Float64).alias(f) for f in feeds
    )
    pairs = {
        f"{a} - {b}": counts[a] * (counts[a] - 1) / 2 if a == b else counts[a] * counts[b]
        for i, a in enumerate(feeds)
        for b in feeds[i:]
    }
    return {name: float(series.sum()) for name, series in pairs.items()}


def _by_group(answer: pl.DataFrame, people: pl.DataFrame, name: str) -> dict[str, list[float]]:
    labelled = answer.select("child", "person").join(
        people.select("child", pl.col(name).cast(pl.String).alias("group")), on="child"
    )
    pairs = pl.col("n") * (pl.col("n") - 1) / 2
    sides = [
        labelled.group_by("group", *by)
        .agg(pl.len().cast(pl.Float64).alias("n"))
        .group_by("group")
        .agg(pairs.sum().alias(side))
        for side, by in (("found", ("child", "person")), ("true", ("child",)))
    ]
    table = sides[0].join(sides[1], on="group").filter(pl.col("true") > 0).sort("group")
    return {group: [found / true, true] for group, found, true in table.iter_rows()}


def _pairs(frame: pl.DataFrame, *columns: str) -> float:
    n = frame.group_by(columns).agg(pl.len().cast(pl.Float64).alias("n"))["n"]
    return float((n * (n - 1) / 2).sum())
