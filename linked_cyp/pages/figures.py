"""The kinds of chart that several pages share. What they are given is fit to be shown."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from markupsafe import Markup

from linked_cyp.pages.charts import svg

INK, SOFT, LOW = "#00527a", "#8a8a8a", "#c75300"
WIDTH = 430
NARROWEST, WIDEST = 52, 700  # a column, and all of them with their names upright
LETTER = 8  # width of a letter, or a little more
# Fonts are measured where the chart is drawn and shown where they may be wider.
PADDING = {"left": 34, "right": 16, "top": 5, "bottom": 5}


def bars(rows: pl.DataFrame, *, title: str, description: str, log: bool = False) -> Markup:
    """Counts as horizontal bars with their numbers beside them.

    Args:
        rows: ``label``, ``count`` (as shown; 0 where suppressed) and ``text``.
    """
    import altair as alt

    base = alt.Chart(alt.Data(values=rows.to_dicts())).encode(
        y=alt.Y(
            "label:N",
            sort=None,
            title=None,
            axis=alt.Axis(domain=False, ticks=False, labelPadding=8),
        )
    )
    scale = alt.Scale(type="symlog") if log else alt.Scale()
    x = alt.X("count:Q", axis=None, scale=scale)
    chart = alt.layer(
        base.mark_bar(color=INK, height={"band": 0.7}).encode(x=x),
        base.mark_text(align="left", dx=5, fontSize=13).encode(x=x, text="text:N"),
    ).properties(width=WIDTH, height={"step": 26})
    return svg(chart.properties(padding=PADDING), title=title, description=description)


def grid(
    rows: pl.DataFrame,
    columns: Sequence[str],
    *,
    title: str,
    description: str,
    bad: bool = False,
) -> Markup:
    """A table as tinted cells with their numbers in them; what is missing stays blank.

    Args:
        rows: ``row`` and ``column`` (names; rows in the order to be shown), ``tint`` (0 to 1, or
            null for none) and ``text``.
        columns: their names in the order to be shown.
        bad: the tint is a warning's.
    """
    longest = max(map(len, columns)) * LETTER
    fits = longest * len(columns) <= WIDEST
    step = max(longest, NARROWEST) if fits else NARROWEST
    leaning = 0 if fits else max(longest * 3 // 4 - step // 2, 0)
    axis = {"title": None, "domain": False, "ticks": False}
    spec = {
        "data": {"values": rows.to_dicts()},
        "width": {"step": step},
        "height": {"step": 24},
        "padding": {**PADDING, "right": PADDING["right"] + leaning, "top": 5 if fits else 20},
        "encoding": {
            "x": {
                "field": "column",
                "type": "nominal",
                "sort": list(columns),
                "axis": {**axis, "orient": "top", "labelAngle": 0 if fits else -40},
            },
            "y": {
                "field": "row",
                "type": "nominal",
                "sort": rows["row"].unique(maintain_order=True).to_list(),
                "axis": axis,
            },
        },
        "layer": [
            {
                "mark": {"type": "rect", "stroke": "#ffffff", "strokeWidth": 2},
                "transform": [{"filter": "isValid(datum.tint)"}],
                "encoding": {
                    "color": {
                        "field": "tint",
                        "type": "quantitative",
                        "legend": None,
                        # light enough for black numbers to be read on it
                        "scale": {
                            "domain": [0, 1],
                            "range": ["#ffffff", "#f0a27e" if bad else "#8fc1dd"],
                            "interpolate": "rgb",
                        },
                    }
                },
            },
            {
                "mark": {"type": "text", "fontSize": 12, "color": "#1a1a1a"},
                "encoding": {"text": {"field": "text", "type": "nominal"}},
            },
        ],
    }
    return svg(spec, title=title, description=description)
