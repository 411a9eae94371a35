"""The cohorts' pages (``docs/cohorts``): a question, its definition, a query and a chart.

A page is Markdown for people. What runs in it is one ``sql`` block, a query on a release, and one
``json`` block, a Vega-Lite specification of the chart of what the query returns, without its data.
``python -m linked_cyp.research.cohort_pages <release's file> <folder>`` draws every chart of a
release.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup
from polars import selectors

from linked_cyp.core.disclosure import SMALLEST, rounded
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.pages.charts import svg
from linked_cyp.research import Release, open_release

FOLDER = PROJECT_ROOT / "docs" / "cohorts"
# Every query counts the children behind each of its rows in a column of this name.
CHILDREN = "children"


@dataclass(frozen=True)
class CohortPage:
    """What a page says that a program can use.

    Attributes:
        name: of the page, and of its table in ``cohort``.
        title: its heading.
        asks: one sentence on what the query finds.
        sql: the query; one of its columns is ``children``.
        chart: Vega-Lite specification without ``data``.
    """

    name: str
    title: str
    asks: str
    sql: str
    chart: dict[str, Any]


def pages(folder: Path = FOLDER) -> list[CohortPage]:
    """Every cohort's page, by name.

    Raises:
        LinkedCypError: a page lacks its query or its chart.
    """
    return [page(p.stem, folder) for p in sorted(folder.glob("*.md")) if p.stem != "README"]


def page(name: str, folder: Path = FOLDER) -> CohortPage:
    """The page of one cohort.

    Raises:
        LinkedCypError: there is no such page, or it lacks its query or its chart.
    """
    path = folder / f"{name}.md"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.md") if p.stem != "README"))
        raise LinkedCypError(f"there is no page of a cohort {name}; there are {known}")
    text = path.read_text(encoding="utf-8")
    heading = re.search(r"^# (.+)$", text, re.MULTILINE)
    query = re.search(r"^## Query\n\n(.+?)\n\n```sql\n(.+?)^```", text, re.MULTILINE | re.DOTALL)
    chart = re.search(r"^```json\n(.+?)^```", text, re.MULTILINE | re.DOTALL)
    if not (heading and query and chart):
        raise LinkedCypError(f"{path.name} lacks its heading, its query or its chart")
    return CohortPage(
        name=name,
        title=heading[1].strip(),
        asks=" ".join(query[1].split()),
        sql=query[2].strip(),
        chart=json.loads(chart[1]),
    )


def draw(release: Release, page: CohortPage, *, smallest: int = SMALLEST) -> Markup:
    """The page's chart of a release, as SVG.

    Args:
        release: an open release that holds the page's table.
        page: the page.
        smallest: rows of fewer children are left out and the count of the others is rounded; 0
            draws every row as it is, for the secure environment only.

    Raises:
        LinkedCypError: the chart cannot be drawn.
        duckdb.Error: the release does not hold what the query asks for.
    """
    rows = release.query(page.sql)
    if smallest:
        rows = rows.filter(pl.col(CHILDREN) >= max(smallest, SMALLEST)).with_columns(
            pl.col(CHILDREN).map_elements(rounded, return_dtype=pl.Int64)
        )
    # what SQL sums is decimal, which JSON does not know
    values = rows.with_columns(selectors.decimal().cast(pl.Float64)).to_dicts()
    return svg(
        {**page.chart, "data": {"values": values}},
        title=page.title,
        description=page.asks,
    )


def main(arguments: list[str] | None = None) -> int:
    """Draw every page's chart of a release (exit 2 if one cannot be drawn)."""
    parser = argparse.ArgumentParser(
        prog="python -m linked_cyp.research.cohort_pages", description=__doc__
    )
    parser.add_argument("release", type=Path, help="a release's file")
    parser.add_argument("folder", type=Path, help="where the pictures go, as SVG")
    options = parser.parse_args(arguments)
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        with open_release(options.release) as release:
            for each in pages():
                picture = draw(release, each)
                (options.folder / f"{each.name}.svg").write_text(f"{picture}\n", encoding="utf-8")
    except LinkedCypError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
