"""The data-quality report of a release: one page, with charts, of what is good and what is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from markupsafe import Markup

from linked_cyp import pages
from linked_cyp.contracts.model import Contract
from linked_cyp.expectations.rules import SUBJECTS
from linked_cyp.pages import figures
from linked_cyp.release.companions.completeness import Completeness, completeness
from linked_cyp.release.companions.quality import (
    Breach,
    FeedDeliveries,
    Sum,
    Tally,
    Verdicts,
    changes,
    deliveries,
    verdicts,
)
from linked_cyp.research.release import Release

# More lines than these are not read; the release holds all of them.
RULES = 15
BREACHES = 60
DELIVERIES = 400
TABLES = 20
SHORT = {
    "rows": "rows",
    "columns": "columns",
    "keys": "keys",
    "required": "required",
    "codes": "codes",
    "formats": "formats",
    "ranges": "ranges",
    "identifiers": "identifiers",
    "dfe": "DfE rules",
    "other": "other",
}
STEPS = {
    "deliveries": "Deliveries and the ledger",
    "linkage": "Linkage",
    "reference": "Reference tables",
    "dbt": "Curated and cohort tables: keys, definitions and invariants",
}
REACH = {
    "share_in_another_feed": "another source",
    "share_in_another_domain": "another kind of service",
}


def data_quality_report(release: Release, contracts: Mapping[str, Contract]) -> str:
    """The page (HTML, one file).

    Args:
        contracts: of the feeds, for the words of the rules that their returns are checked by.
    """
    titles = dict(release.query("SELECT feed, title FROM provenance.contract").rows())
    delivered = deliveries(release, titles)
    judged = verdicts(release, contracts)
    filling = completeness(release)
    totals = _totals(delivered)
    return pages.render(
        "release/companions/data_quality.html.j2",
        made=release.about["published_at"],
        about=release.about,
        totals=totals,
        judged=judged,
        titles=titles,
        delivered=delivered,
        coverage=_coverage(delivered),
        each=_each(release),
        each_left_out=max(sum(totals["statuses"].values()) - DELIVERIES, 0),
        subjects=SUBJECTS,
        matrix=_matrix(judged),
        steps=STEPS,
        breaches=judged.breaches[:BREACHES],
        breaches_left_out=max(len(judged.breaches) - BREACHES, 0),
        rules=_rules(judged.dfe_rules, titles),
        filling=_filling(filling),
        filled=_filled(filling),
        links=_links(release.link_quality(), titles),
        opt_outs=release.query("FROM provenance.opt_out ORDER BY opt_out").to_dicts(),
        problems=_problems(release, titles),
        changes=changes(release).to_dicts(),
    )


def _totals(delivered: Sequence[FeedDeliveries]) -> dict[str, Any]:
    statuses: dict[str, int] = {}
    received, accepted = Sum(), Sum()
    for feed in delivered:
        for status, number in feed.statuses.items():
            statuses[status] = statuses.get(status, 0) + number
        received.add(feed.received.count)
        accepted.add(feed.accepted.count)
    share = min(accepted.count / received.count, 1.0) if received.count else None
    return {"statuses": statuses, "received": received, "accepted": accepted, "share": share}


def _coverage(delivered: Sequence[FeedDeliveries]) -> Markup | None:
    """Which feed was delivered for which year, and by how many suppliers' deliveries."""
    years = sorted({year for feed in delivered for year in feed.years})
    if not years:
        return None
    most = max(number for feed in delivered for number in feed.years.values())
    rows = [
        {
            "row": feed.feed,
            "column": str(year),
            "tint": 0.25 + 0.75 * feed.years[year] / most if year in feed.years else None,
            "text": str(feed.years.get(year, "")),
        }
        for feed in delivered
        for year in years
    ]
    return figures.grid(
        pl.DataFrame(rows, infer_schema_length=None),
        [str(year) for year in years],
        title="Deliveries by feed and collection year",
        description="How many accepted deliveries there are of each feed for each collection year.",
    )


def _each(release: Release) -> list[dict[str, Any]]:
    """Single deliveries, those refused first."""
    return release.query(
        "FROM provenance.delivery ORDER BY status = 'accepted', feed, supplier, period, delivery_id"
        f" LIMIT {DELIVERIES}"
    ).to_dicts()


def _matrix(judged: Verdicts) -> Markup | None:
    """Broken rules by feed and subject."""
    feeds = sorted(judged.by_subject)
    held = {subject for feed in feeds for subject in judged.by_subject[feed]}
    columns = [name for subject, name in SHORT.items() if subject in held]
    if not feeds:
        return None
    rows = []
    for feed in feeds:
        for subject, name in SHORT.items():
            tally = judged.by_subject[feed].get(subject)
            if subject in held:
                rows.append(
                    {
                        "row": feed,
                        "column": name,
                        "tint": _warmth(tally),
                        "text": f"{tally.failed}" if tally else "",
                    }
                )
    return figures.grid(
        pl.DataFrame(rows, infer_schema_length=None),
        columns,
        title="Checks that failed, by feed and subject",
        description="The number of checks that failed; the darker a cell, the larger their share.",
        bad=True,
    )


def _warmth(tally: Tally | None) -> float | None:
    """How dark a cell is: one failure can be told from none, and more are darker."""
    if tally is None or not tally.failed:
        return None
    return 0.3 + 0.7 * tally.failed / tally.checks


def _rules(broken: Sequence[Breach], titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """The published rules that fail most, by return, with a chart of what can be counted."""
    found = []
    for feed in sorted({breach.feed for breach in broken}):
        all_of = [b for b in broken if b.feed == feed]
        top = all_of[:RULES]
        bars = [
            {"label": b.code, "count": b.rows.count, "text": str(b.rows)}
            for b in top
            if b.rows.count
        ]
        chart = bars and figures.bars(
            pl.DataFrame(bars),
            title=f"Rules that fail most: {titles.get(feed, feed)}",
            description="Rows that each rule marks, added up over the deliveries in the release.",
        )
        found.append(
            {"title": titles.get(feed, feed), "rules": top, "of": len(all_of), "chart": chart}
        )
    return found


def _mean(table: Completeness) -> float | None:
    """Mean share of values that are filled, over the columns of which it is told."""
    shares = [s for s in table.everything.filled.values() if s is not None]
    return sum(shares) / len(shares) if shares else None


def _filling(filling: Mapping[str, Completeness]) -> Markup | None:
    """The tables with the most empty values."""
    means = [(name, mean) for name, t in filling.items() if (mean := _mean(t)) is not None]
    least = sorted(means, key=lambda pair: (pair[1], pair[0]))[:TABLES]
    if not least:
        return None
    rows = [
        {"label": name, "count": round(100 * mean), "text": f"{100 * mean:.0f} %"}
        for name, mean in least
    ]
    return figures.bars(
        pl.DataFrame(rows),
        title="Tables with the most empty values",
        description="Share of values that are filled, over all variables of the table.",
    )


def _filled(filling: Mapping[str, Completeness]) -> list[dict[str, Any]]:
    """Every table: how many of its variables are filled how far."""
    found = []
    for name, table in filling.items():
        shares = list(table.everything.filled.values())
        found.append(
            {
                "name": name,
                "rows": table.everything.rows,
                "mean": _mean(table),
                "variables": len(shares),
                "full": sum(s == 1 for s in shares),
                "half": sum(s is not None and 0.5 <= s < 1 for s in shares),
                "less": sum(s is not None and 0 < s < 0.5 for s in shares),
                "empty": sum(s == 0 for s in shares),
                "hidden": sum(s is None for s in shares),
            }
        )
    return found


def _links(quality: pl.DataFrame, titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """One panel for each breakdown of the link quality: a chart of shares, and the same in rows."""
    panels = []
    for (breakdown,), rows in quality.group_by("breakdown", maintain_order=True):
        measures = list(REACH) if breakdown == "all" else ["share_in_another_domain"]
        cells = pl.concat(
            [
                rows.select(
                    row="feed",
                    column=pl.lit(REACH[measure]) if breakdown == "all" else pl.col("category"),
                    tint=pl.col(measure),
                    text=pl.when(pl.col(measure).is_null())
                    .then(pl.lit("-"))
                    .otherwise((100 * pl.col(measure)).round(0).cast(pl.Int64).cast(pl.String)),
                )
                for measure in measures
            ]
        ).sort("row", maintain_order=True)
        columns = cells["column"].unique(maintain_order=True).to_list()
        title = "all children" if breakdown == "all" else f"by {breakdown}"
        panels.append(
            {
                "title": title,
                "is_all": breakdown == "all",
                "rows": rows.to_dicts(),
                "chart": figures.grid(
                    cells,
                    columns,
                    title=f"Children found in another kind of service, {title}",
                    description="Per cent of the children of each source; the darker, the more.",
                ),
            }
        )
    return panels


def _problems(release: Release, titles: Mapping[str, str]) -> dict[str, dict[str, list[str]]]:
    """Known problems, found in this release or declared, by what they concern."""
    found: dict[str, dict[str, list[str]]] = {}
    for concern, problem, origin in release.query(
        "SELECT concerns, problem, origin FROM main.known_problem"
        " ORDER BY origin <> 'found', concerns <> 'release', concerns, problem"
    ).rows():
        found.setdefault(origin, {}).setdefault(titles.get(concern, concern), []).append(problem)
    return found
