"""What the report's page shows, put together from measures fit to be shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
import polars as pl

from linked_cyp.contracts.model import Contract, spine_of
from linked_cyp.linkage.model.parameters import parameters
from linked_cyp.linkage.pairs.edges import EDGE_CLASSES
from linked_cyp.linkage.report import charts, counts, groups, guild, tables
from linked_cyp.linkage.report.drift import LARGE_SHIFT
from linked_cyp.linkage.report.estimates import FEWEST_DECISIONS
from linked_cyp.linkage.report.quality import first, pick, shown_count, suppressed
from linked_cyp.linkage.report.truth import MISSED
from linked_cyp.linkage.review.thresholds import thresholds_in_force
from linked_cyp.pages import render

TEMPLATE = "linkage/report/report.html.j2"


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
        funnel=tables.funnel(measures, titles),
        scores=tables.scores(measures, "truth"),
        estimates=tables.scores(measures, "estimate"),
        evidence=tables.evidence(measures),
        edge_classes=EDGE_CLASSES,
        fewest_decisions=FEWEST_DECISIONS,
        source_pairs=tables.source_pairs(measures, titles),
        merged=tables.named(measures, tables.MERGED, "truth"),
        reach=tables.named(measures, tables.CEILING | MISSED, "truth"),
        curve=_curve(measures, con),
        panels=_panels(measures, contracts, has_truth),
        splink=charts.splink_charts(con, _reached(measures)),
        splink_words=charts.SPLINK,
        unlinkable=tables.table(pick(measures, "unlinkable"), titles),
        thresholds=tables.thresholds(con),
        blocking=tables.blocking(measures),
        sizes=tables.table(pick(measures, "cluster_size"), titles),
        tiers=tables.table(pick(measures, "tier"), titles),
        excluded=tables.table(pick(measures, "excluded"), titles),
        refused=tables.table(pick(measures, "refused"), titles),
        contradictions=tables.named(measures, tables.CONTRADICTIONS, "rate"),
        events=tables.events(measures),
        changes=tables.moved(measures, before, titles),
        shift=first(measures, "weight_shift").get("value"),
        large_shift=LARGE_SHIFT,
        model_changed=bool(first(measures, "model_changed").get("value")),
        is_first=before.is_empty(),
        attacks=counts.attacks(con),
        sources=guild.sources(
            con,
            contracts,
            dict(pick(measures, "step_records").select("feed", "numerator").filter(
                pl.col("feed") != "").iter_rows()),
            tables.filled(measures),
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
    measures: pl.DataFrame, contracts: Mapping[str, Contract], has_truth: bool
) -> list[groups.Panel]:
    found, spine = [], spine_of(contracts.values())
    if has_truth:
        meaning = "Share of a child's true pairs of records that were put together."
        found.append(
            groups.panel(
                measures, "recall", title="Recall by group", meaning=meaning, basis="truth"
            )
        )
    for feed in pick(measures, "step_records").filter(pl.col("feed") != "")["feed"]:
        title = contracts[feed].title if feed in contracts else feed
        if feed == spine or not spine:
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
