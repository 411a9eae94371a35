"""The tables of the report's page: measures as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
import polars as pl

from linked_cyp.linkage.model.parameters import parameters
from linked_cyp.linkage.model.settings import BLOCKING_RULES
from linked_cyp.linkage.pairs.edges import EDGE_CLASSES
from linked_cyp.linkage.report.drift import changes
from linked_cyp.linkage.report.quality import pick, shown_count, suppressed
from linked_cyp.linkage.review.thresholds import thresholds_in_force
from linked_cyp.pages import figures

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
CEILING = {
    "candidate_recall": "true pairs that were scored themselves",
    "candidate_reach": "true pairs that scored pairs connect",
}
MOST_CHANGES = 15


def table(frame: pl.DataFrame, titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows as a page shows them."""
    rows = suppressed(frame).to_dicts()
    return [row | {"feed_title": titles.get(row["feed"], row["feed"] or "all")} for row in rows]


def named(measures: pl.DataFrame, names: Mapping[str, str], basis: str) -> list[dict[str, Any]]:
    """Measures of the whole run under the words for them."""
    rows = []
    for measure, words in names.items():
        frame = pick(measures, measure, basis=basis, group_kind="")
        rows += [row | {"words": words} for row in suppressed(frame).to_dicts()]
    return rows


def funnel(measures: pl.DataFrame, titles: Mapping[str, str]) -> dict[str, Any]:
    """Steps from records to children: ``steps``, ``rows`` by source, and the ``chart``."""
    steps = {step: table(pick(measures, step), titles) for step in STEPS}
    persons = {row["feed"]: row for row in table(pick(measures, "persons"), titles)}
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
    chart = figures.bars(
        pl.DataFrame(bars),
        title="From records to children",
        description="How many source persons remain at each step, and the children they make.",
    )
    return {"steps": list(STEPS.values()), "rows": rows, "chart": chart}


def _count(shown: str) -> int:
    return int(shown.replace(",", "")) if shown.replace(",", "").isdigit() else 0


def scores(measures: pl.DataFrame, basis: str) -> list[dict[str, Any]]:
    """Precision, recall and F1 of all pairs, on one basis."""
    names = ("precision", "recall", "f1", "precision_reviewed", "recall_reviewed")
    frame = measures.filter(
        (pl.col("basis") == basis) & (pl.col("group_kind") == "") & pl.col("measure").is_in(names)
    )
    return suppressed(frame).to_dicts()


def evidence(measures: pl.DataFrame) -> list[dict[str, Any]]:
    """Estimates by kind of evidence."""
    return suppressed(measures.filter(pl.col("group_kind") == "evidence")).to_dicts()


def source_pairs(measures: pl.DataFrame, titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Precision and recall by pair of sources, with the sources' titles in ``words``."""
    found: dict[str, dict[str, Any]] = {}
    for row in suppressed(measures.filter(pl.col("group_kind") == "source pair")).to_dicts():
        left, right = row["group_value"].split(" + ")
        words = (
            f"Within {titles.get(left, left)}"
            if left == right
            else f"{titles.get(left, left)} and {titles.get(right, right)}"
        )
        nothing = {"words": words, "precision": None, "recall": None}
        found.setdefault(row["group_value"], nothing)[row["measure"]] = row
    return list(found.values())


def thresholds(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Thresholds in force by kind of evidence, the loss and the margins."""
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


def blocking(measures: pl.DataFrame) -> list[dict[str, Any]]:
    """Blocking rules, what must agree, and the pairs they find where counted."""
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


def events(measures: pl.DataFrame) -> list[dict[str, str]]:
    """Events of the registry in this run."""
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


def moved(
    measures: pl.DataFrame, before: pl.DataFrame, titles: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The rates that moved most, of those that moved by more than chance."""
    if before.is_empty():
        return []
    frame = changes(suppressed(measures), suppressed(before)).filter(
        pl.col("is_sure") & ~pl.col("group_kind").is_in(["weight", "threshold"])
    )
    rows = frame.sort(pl.col("change").abs(), descending=True).head(MOST_CHANGES).to_dicts()
    return [row | {"feed_title": titles.get(row["feed"], row["feed"] or "all")} for row in rows]


def filled(measures: pl.DataFrame) -> dict[str, tuple[tuple[str, str], ...]]:
    """By feed, how much of each linking field is filled."""
    found: dict[str, list[tuple[str, str]]] = {}
    for row in suppressed(pick(measures, "filled")).to_dicts():
        value = row["value"]
        found.setdefault(row["feed"], []).append(
            (row["group_value"], _filled_text(row["numerator"], value))
        )
    return {feed: tuple(rows) for feed, rows in found.items()}


def _filled_text(numerator: float, value: float | None) -> str:
    if not numerator:
        return "none"
    return "-" if value is None else f"{100 * value:.0f} %"
