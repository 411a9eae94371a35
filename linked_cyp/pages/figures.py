"""The kinds of chart that several pages share. What they are given is fit to be shown."""

from __future__ import annotations

import polars as pl
from markupsafe import Markup

from linked_cyp.pages.charts import svg

INK, SOFT, LOW = "#00527a", "#8a8a8a", "#c75300"
WIDTH = 430
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
    rows: pl.DataFrame, *, title: str, description: str, bad: bool = False, step: int = 52
) -> Markup:
    """A table as tinted cells with their numbers in them; what is missing stays blank.

    Args:
        rows: ``row`` and ``column`` (names, in the order to be shown), ``tint`` (0 to 1, or null
            for none) and ``text``.
        bad: the tint is a warning's.
        step: width of a column.
    """
    import altair as alt

    base = alt.Chart(alt.Data(values=rows.to_dicts())).encode(
        x=alt.X(
            "column:N",
            sort=None,
            title=None,
            axis=alt.Axis(orient="top", domain=False, ticks=False, labelAngle=-40),
        ),
        y=alt.Y("row:N", sort=None, title=None, axis=alt.Axis(domain=False, ticks=False)),
    )
    # light enough for black numbers to be read on it
    colours = ["#ffffff", "#f0a27e" if bad else "#8fc1dd"]
    scale = alt.Scale(domain=[0, 1], range=colours)
    chart = alt.layer(
        base.mark_rect(stroke="#ffffff", strokeWidth=2)
        .encode(color=alt.Color("tint:Q", scale=scale, legend=None))
        .transform_filter("isValid(datum.tint)"),
        base.mark_text(fontSize=12, color="#1a1a1a").encode(text="text:N"),
    ).properties(width={"step": step}, height={"step": 24})
    return svg(chart.properties(padding=PADDING), title=title, description=description)
