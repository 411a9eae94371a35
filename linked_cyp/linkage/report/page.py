"""What the report's page shows, put together from measures fit to be shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
import polars as pl

from linked_cyp.contracts import Contract
from linked_cyp.linkage.edges import EDGE_CLASSES
from linked_cyp.linkage.model import BLOCKING_RULES
from linked_cyp.linkage.parameters import parameters
from linked_cyp.linkage.report import charts, counts, groups, guild
from linked_cyp.linkage.report.drift import LARGE_SHIFT, changes
from linked_cyp.linkage.report.estimates import FEWEST_DECISIONS
from linked_cyp.linkage.report.quality import (
    first,
    pick,
    shown_count,
    suppressed,
)
from linked_cyp.linkage.report.rates import SPINE
from linked_cyp.linkage.review.thresholds import thresholds_in_force
from linked_cyp.pages import render

TEMPLATE = "linkage/report/report.html.j2"
STEPS = {
    "step_records": "source persons",
    "step_linkable": "may be linked",
    "step_candidate": "in a scored pair",
    "step_linked": "linked to another record",
}
EVENTS = {
    "created": "new children",
    "merged": "two children found to be one",
    "split": "one child found to be two",
    "moved": "records moved from one child to another",
    "retired": "children whose last record left",
    "restored": "children who came back",
}
CONTRADICTIONS = {
    "contradiction_sex": "sex",
    "contradiction_birth_month": "month of birth",
    "contradiction_birth_date": "date of birth",
}
MERGED = {
    "merged_twins": "twins made one child",
    "merged_siblings": "brothers and sisters made one child",
    "merged_adoption": "children linked to their life before adoption",
}
MOST_CHANGES = 15


def page(
    con: duckdb.DuckDBPyConnection,
    contracts: Mapping[str, Contract],
    measures: pl.DataFrame,
    before: pl.DataFrame,
) -> str:
    """The HTML of the report.

    Args:
        con: connection with ``linkage`` and ``warehouse``.
        measures: of this run; before: of the last, empty where there was none.
    """
    titles = {c.feed: c.title for c in contracts.values()}
    has_truth = bool((measures["basis"] == "truth").any())
    return render(
        TEMPLATE,
        run=_run(con, measures),
        has_truth=has_truth,
        titles=titles,
        headline=_headline(measures, has_truth),
        facts=_facts(measures, has_truth),
        funnel=_funnel(measures, titles),
        scores=_scores(measures, "truth"),
        estimates=_scores(measures, "estimate"),
        evidence=_evidence(measures),
        edge_classes=EDGE_CLASSES,
        fewest_decisions=FEWEST_DECISIONS,
        source_pairs=_source_pairs(measures, titles),
        merged=_named(measures, MERGED, "truth"),
        reach=_named(
            measures,
            {
                "candidate_recall": "true pairs that were scored themselves",
                "candidate_reach": "true pairs that scored pairs connect",
            },
            "truth",
        ),
        curve=_curve(measures, con),
        panels=_panels(measures, titles, has_truth),
        splink=charts.splink_charts(con, _reached(measures)),
        splink_words=charts.SPLINK,
        unlinkable=_table(pick(measures, "unlinkable"), titles),
        thresholds=_thresholds(con),
        blocking=_blocking(measures),
        sizes=_table(pick(measures, "cluster_size"), titles),
        tiers=_table(pick(measures, "tier"), titles),
        excluded=_table(pick(measures, "excluded"), titles),
        refused=_table(pick(measures, "refused"), titles),
        contradictions=_named(measures, CONTRADICTIONS, "rate"),
        events=_events(measures),
        changes=_changes(measures, before, titles),
        shift=first(measures, "weight_shift").get("value"),
        large_shift=LARGE_SHIFT,
        model_changed=bool(first(measures, "model_changed").get("value")),
        is_first=before.is_empty(),
        attacks=counts.attacks(con).to_dicts(),
        sources=guild.sources(
            con,
            contracts,
            dict(pick(measures, "step_records").select("feed", "numerator").filter(
                pl.col("feed") != "").iter_rows()),
            _filled(measures),
        ),
    )  # fmt: skip


def _run(con: duckdb.DuckDBPyConnection, measures: pl.DataFrame) -> dict[str, Any]:
    model = con.execute(
        "SELECT model_id, created, splink_version, is_hardened, records, sessions, seed"
        " FROM linkage.main.model ORDER BY model_id DESC LIMIT 1"
    ).fetchall()
    names = ("model_id", "created", "splink", "is_hardened", "records", "sessions", "seed")
    found = dict(zip(names, model[0], strict=True)) if model else dict.fromkeys(names)
    found["records"] = shown_count(found["records"])
    return found | {
        "run_id": measures["run_id"][0],
        "date": measures["run_date"][0],
        "feeds": len(pick(measures, "step_records")) - 1,
    }


def _share(measures: pl.DataFrame, measure: str, **where: str) -> float | None:
    found = suppressed(pick(measures, measure, **where))
    return found["value"][0] if found.height else None


def _score(measures: pl.DataFrame, measure: str, basis: str) -> float | None:
    """The best known value of precision or recall: reviewed, where there were decisions."""
    reviewed = _share(measures, f"{measure}_reviewed", basis=basis, group_kind="")
    if reviewed is not None:
        return reviewed
    return _share(measures, measure, basis=basis, group_kind="")


def _headline(measures: pl.DataFrame, has_truth: bool) -> str:
    """The run in two or three plain sentences."""
    basis = "truth" if has_truth else "estimate"
    records = shown_count(first(measures, "step_records", feed="").get("numerator"))
    persons = shown_count(first(measures, "persons", feed="").get("numerator"))
    precision, recall = (_score(measures, m, basis) for m in ("precision", "recall"))
    said = [f"{records} records of {len(pick(measures, 'step_records')) - 1} sources were found to"
            f" be {persons} children."]  # fmt: skip
    if precision is not None and recall is not None:
        wrong, missed = _in_a_thousand(1 - precision), _in_a_thousand(1 - recall)
        start = "Measured on invented children" if has_truth else "By the model's own weights"
        said.append(
            f"{start}, {wrong} links are wrong and {missed} links that should be there are"
            " missing" + ("." if has_truth else "; such weights are over-confident.")
        )
    return " ".join(said)


def _in_a_thousand(share: float) -> str:
    return f"{1000 * share:.1f} in 1,000"


def _facts(measures: pl.DataFrame, has_truth: bool) -> list[tuple[str, str]]:
    def percent(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.1f} %"

    basis, word = ("truth", "") if has_truth else ("estimate", "estimated ")
    return [
        (shown_count(first(measures, "step_records", feed="").get("numerator")), "source persons"),
        (shown_count(first(measures, "persons", feed="").get("numerator")), "children"),
        (percent(_share(measures, "step_linked", feed="")), "of records linked to another"),
        (percent(_score(measures, "precision", basis)), f"{word}precision"),
        (percent(_score(measures, "recall", basis)), f"{word}recall"),
    ]


def _table(frame: pl.DataFrame, titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows as a page shows them."""
    rows = suppressed(frame).to_dicts()
    return [row | {"feed_title": titles.get(row["feed"], row["feed"] or "all")} for row in rows]


def _named(measures: pl.DataFrame, names: Mapping[str, str], basis: str) -> list[dict[str, Any]]:
    rows = []
    for measure, words in names.items():
        frame = pick(measures, measure, basis=basis)
        rows += [row | {"words": words} for row in suppressed(frame).to_dicts()]
    return rows


def _funnel(measures: pl.DataFrame, titles: Mapping[str, str]) -> dict[str, Any]:
    steps = {step: _table(pick(measures, step), titles) for step in STEPS}
    persons = {row["feed"]: row for row in _table(pick(measures, "persons"), titles)}
    bars = [
        {"label": words, "count": _count(row["shown_n"]), "text": row["shown_n"]}
        for step, words in STEPS.items()
        for row in steps[step]
        if row["feed"] == ""
    ]
    if "" in persons:
        text = persons[""]["shown_n"]
        bars.append({"label": "children", "count": _count(text), "text": text})
    rows = [
        {
            "feed_title": row["feed_title"],
            "cells": [next(r for r in steps[s] if r["feed"] == row["feed"]) for s in STEPS],
            "persons": persons.get(row["feed"], {}).get("shown_n", "-"),
        }
        for row in steps["step_records"]
    ]
    chart = charts.bars(
        pl.DataFrame(bars),
        title="From records to children",
        description="How many source persons remain at each step, and the children they make.",
    )
    return {"steps": list(STEPS.values()), "rows": rows, "chart": chart}


def _count(shown: str) -> int:
    return int(shown.replace(",", "")) if shown.replace(",", "").isdigit() else 0


def _scores(measures: pl.DataFrame, basis: str) -> list[dict[str, Any]]:
    names = ("precision", "recall", "f1", "precision_reviewed", "recall_reviewed")
    frame = measures.filter(
        (pl.col("basis") == basis) & (pl.col("group_kind") == "") & pl.col("measure").is_in(names)
    )
    return suppressed(frame).to_dicts()


def _evidence(measures: pl.DataFrame) -> list[dict[str, Any]]:
    return suppressed(measures.filter(pl.col("group_kind") == "evidence")).to_dicts()


def _source_pairs(measures: pl.DataFrame, titles: Mapping[str, str]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in suppressed(measures.filter(pl.col("group_kind") == "source pair")).to_dicts():
        left, right = row["group_value"].split(" + ")
        words = (
            f"within {titles.get(left, left)}"
            if left == right
            else f"{titles.get(left, left)} and {titles.get(right, right)}"
        )
        nothing = {"words": words, "precision": None, "recall": None}
        found.setdefault(row["group_value"], nothing)[row["measure"]] = row
    return list(found.values())


def _curve(measures: pl.DataFrame, con: duckdb.DuckDBPyConnection) -> Any:
    frame = measures.filter(pl.col("group_kind") == "threshold")
    if frame.is_empty():
        return None
    rows = suppressed(frame).filter(pl.col("value").is_not_null())
    return charts.curve(
        rows.select(
            pl.col("group_value").cast(pl.Float64).alias("weight"),
            pl.col("measure").str.strip_prefix("threshold_"),
            "value",
            "low",
            "high",
        ),
        thresholds_in_force(con, parameters())["named"],
        title="Precision and recall by threshold",
        description="With a higher threshold on the match weight fewer pairs are kept and more of"
        " them are true. The dashed line is the threshold for pairs whose names agree.",
    )


def _panels(
    measures: pl.DataFrame, titles: Mapping[str, str], has_truth: bool
) -> list[groups.Panel]:
    found = []
    if has_truth:
        meaning = "Share of a child's true pairs of records that were put together."
        found.append(
            groups.panel(
                measures, "recall", title="Recall by group", meaning=meaning, basis="truth"
            )
        )
    for feed in pick(measures, "step_records").filter(pl.col("feed") != "")["feed"]:
        title = titles.get(feed, feed)
        if feed == SPINE:
            measure, where = "linked_to_other", "any other source"
        else:
            measure, where = "linked_to_spine", "the NHS spine"
        if not pick(measures, measure, feed=feed).height or not first(
            measures, measure, feed=feed, group_kind=""
        ).get("denominator"):
            continue
        found.append(
            groups.panel(
                measures,
                measure,
                title=f"{title}: found in {where}",
                meaning=f"Share of the children in this source who are found in {where}.",
                feed=feed,
                basis="rate",
            )
        )
    return found


def _reached(measures: pl.DataFrame) -> pl.DataFrame:
    """Share of records that even against themselves stay below each weight."""
    frame = pick(measures, "self_weight").with_columns(
        pl.col("group_value").cast(pl.Float64).alias("weight")
    )
    frame = frame.sort("weight").with_columns(
        (pl.col("numerator").cum_sum() - pl.col("numerator")).alias("numerator")
    )
    shown = suppressed(frame).select("weight", pl.col("value").alias("share"))
    return shown.drop_nulls()


def _thresholds(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    chosen = parameters()
    weights = thresholds_in_force(con, chosen)
    return {
        "rows": [
            {"name": name, "words": words, "weight": weights.get(name)}
            for name, words in EDGE_CLASSES.items()
        ],
        "loss": chosen.loss,
        "margin": chosen.nameless_margin,
        "strong": chosen.strong_weight,
    }


def _blocking(measures: pl.DataFrame) -> list[dict[str, Any]]:
    counted = {
        row["group_value"]: row | {"is_used": row["group_kind"] == "rule"}
        for row in suppressed(pick(measures, "blocking")).to_dicts()
    }
    return [
        {"rule": name.replace("_", " "), "columns": _columns(parts), "counted": counted.get(name)}
        for name, parts in BLOCKING_RULES.items()
    ]


def _columns(parts: tuple[str, ...]) -> str:
    names = [part.split(" = ")[0].removeprefix("l.").replace("_", " ") for part in parts]
    return " and ".join(names)


def _events(measures: pl.DataFrame) -> list[dict[str, str]]:
    concerned = {row["group_value"]: row["numerator"] for row in
                 pick(measures, "event_records").iter_rows(named=True)}  # fmt: skip
    happened = {row["group_value"]: row["numerator"] for row in
                pick(measures, "event").iter_rows(named=True)}  # fmt: skip
    return [
        {
            "words": words,
            "ids": shown_count(happened.get(event, 0)),
            "records": shown_count(concerned.get(event, 0)),
        }
        for event, words in EVENTS.items()
    ]


def _changes(
    measures: pl.DataFrame, before: pl.DataFrame, titles: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The rates that moved most, of those that moved by more than chance."""
    if before.is_empty():
        return []
    frame = changes(suppressed(measures), suppressed(before)).filter("is_sure")
    rows = frame.sort(pl.col("change").abs(), descending=True).head(MOST_CHANGES).to_dicts()
    return [row | {"feed_title": titles.get(row["feed"], row["feed"] or "all")} for row in rows]


def _filled(measures: pl.DataFrame) -> dict[str, tuple[tuple[str, str], ...]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for row in suppressed(pick(measures, "filled")).to_dicts():
        value = row["value"]
        found.setdefault(row["feed"], []).append(
            (row["group_value"], "-" if value is None else f"{100 * value:.0f} %")
        )
    return {feed: tuple(rows) for feed, rows in found.items()}
