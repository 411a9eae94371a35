"""Which groups are found less often than the rest: verdicts, charts and tables for the page."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
from markupsafe import Markup

from linked_cyp.linkage.report import charts
from linked_cyp.linkage.report.quality import pick, suppressed
from linked_cyp.linkage.report.rates import AGES

MARGIN = 0.01  # one point: what counts as below


@dataclass(frozen=True)
class Panel:
    """One rate by group: what is below, the chart, and the table behind it."""

    title: str
    meaning: str
    overall: float | None
    below: tuple[str, ...]  # surely: the interval lies below the overall rate; and why
    maybe: tuple[str, ...]  # more than a point below, but within chance
    chart: Markup | None
    rows: tuple[dict[str, object], ...]

    @property
    def verdict(self) -> str:
        """In plain words, without the groups' names."""
        if not any(row["value"] is not None for row in self.rows):
            return "There are too few children to tell groups apart."
        if self.below:
            return "These groups are below the whole by more than chance explains:"
        return "No group is below the whole by more than a point and more than chance explains."


def panel(
    measures: pl.DataFrame, measure: str, *, title: str, meaning: str, feed: str = "", basis: str
) -> Panel:
    """The panel of one measure of :mod:`linked_cyp.linkage.report.quality`.

    Verdicts rest on the exact rates, and only groups large enough to be shown have one.
    """
    chosen = pick(measures, measure, feed=feed, basis=basis)
    whole = chosen.filter(pl.col("group_kind") == "")
    overall = whole["value"][0] if whole.height else 0.0
    parts = _sorted(chosen.filter(~pl.col("group_kind").is_in(["", "source pair"])))
    lower = (overall - parts["value"]).fill_null(0.0)
    is_sure = (parts["high"] < overall).fill_null(False)
    shown = suppressed(parts).with_columns(
        *_NAMES,
        lower.alias("lower"),
        # as exact and as shown, or the chart would contradict the words
        ((lower > MARGIN) & is_sure & (pl.col("high") < overall))
        .fill_null(False)
        .alias("is_below"),
    )
    told = shown.filter(pl.col("value").is_not_null())
    why = _why(measures.filter((pl.col("feed") == feed) & (pl.col("basis") == basis)))
    below, maybe = (
        tuple(
            f"{row['group_kind']} {row['group_value']}, by {100 * row['lower']:.0f}"
            f" {'point' if round(100 * row['lower']) == 1 else 'points'}"
            + (why.get((row["group_kind"], row["group_value"]), "") if sure else "")
            for row in told.filter((pl.col("lower") > MARGIN) & (pl.col("is_below") == sure))
            .sort("lower", descending=True)
            .iter_rows(named=True)
        )
        for sure in (True, False)
    )
    rate = suppressed(whole)["value"][0] if whole.height else None
    chart = None
    if told.height:
        chart = charts.dots(
            told,
            rate,
            title=title,
            description=f"{meaning} One dot for each group with its 95 % interval; the dashed line"
            " is the rate of all. The same figures are in the table below.",
        )
    return Panel(title, meaning, rate, below, maybe, chart, tuple(shown.to_dicts()))


def _why(measures: pl.DataFrame) -> dict[tuple[str, str], str]:
    """By group, in what it differs most from all, of what makes links fail."""
    found: dict[tuple[str, str], str] = {}
    largest: dict[tuple[str, str], float] = {}
    for measure, words in REASONS.items():
        chosen = pick(measures, measure)
        whole = suppressed(chosen.filter(pl.col("group_kind") == ""))
        of_all = whole["value"][0] if whole.height else None
        if of_all is None:
            continue
        for row in suppressed(chosen).with_columns(*_NAMES).iter_rows(named=True):
            key = (row["group_kind"], row["group_value"])
            more = (row["value"] or 0.0) - of_all
            if more > max(largest.get(key, 0.0), MARGIN / 2):
                largest[key] = more
                found[key] = f": {100 * row['value']:.1f} % {words} ({100 * of_all:.1f} % of all)"
    return found


def _sorted(parts: pl.DataFrame) -> pl.DataFrame:
    """Groups as people list them: ages from young to old, what is not known last."""
    kinds = {kind: number for number, kind in enumerate(_KINDS)}
    ages = {label: number for number, (label, _) in enumerate(AGES)} | {"not known": 99}
    return parts.sort(
        pl.col("group_kind").replace_strict(kinds, default=99, return_dtype=pl.Int64),
        pl.col("group_value").replace_strict(ages, default=50, return_dtype=pl.Int64),
        "group_value",
    )


REASONS = {
    "poor_evidence": "have neither a name nor an NHS number or UPN in this source",
    "missed_unseen": "of true pairs were never compared, having nothing in common to compare by",
    "missed_weak": "of true pairs were compared and found too weak",
    "missed_refused": "of true pairs were refused for a conflict or doubt",
}
_KINDS = {
    "sex": "sex",
    "ethnicity": "ethnic group",
    "age": "age",
    "deprivation": "deprivation",
    "supplier": "supplier",
    "local authority": "local authority",
    "name origin": "origin of the name",
}
_NAMES = (pl.col("group_kind").replace(_KINDS), pl.col("group_value").str.replace_all("_", " "))
