"""Charts as inline SVG: Altair draws, vl-convert renders, no script is left in the page."""

from __future__ import annotations

import re
from itertools import count
from typing import Any

from markupsafe import Markup, escape

from linked_cyp.core.errors import value_free

_numbers = count(1)

# One look for every chart; colours that differ in lightness too, text no smaller than the page's.
THEME = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 13,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "gridColor": "#dddddd",
        "labelColor": "#333333",
        "titleColor": "#333333",
        "labelLimit": 260,
    },
    "legend": {"labelFontSize": 13, "titleFontSize": 13, "labelLimit": 260},
    "header": {"labelFontSize": 13, "titleFontSize": 13},
    "title": {"fontSize": 15, "anchor": "start"},
    "range": {"category": ["#00527a", "#c75300", "#3f7f3f", "#7a3b8f", "#8a6d00", "#555555"]},
}


def svg(chart: Any, *, title: str, description: str) -> Markup:
    """A chart as an SVG element that screen readers can name and print keeps sharp.

    Args:
        chart: an Altair chart, or a Vega-Lite specification as a dictionary with its data inline.
        title: what the chart shows, in a few words; its accessible name.
        description: what is to be seen in it, for those who cannot see it.

    Raises:
        LinkedCypError: the specification cannot be drawn.
    """
    import vl_convert

    with value_free("drawing a chart"):
        spec = chart if isinstance(chart, dict) else chart.to_dict()
        spec = {**spec, "config": {**spec.get("config", {}), **THEME}}
        drawn = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    number = next(_numbers)
    head = (
        f'<svg role="img" aria-labelledby="chart-{number}-title chart-{number}-text" class="chart" '
    )
    names = (
        f'<title id="chart-{number}-title">{escape(title)}</title>'
        f'<desc id="chart-{number}-text">{escape(description)}</desc>'
    )
    # vl-convert labels the parts of a chart for assistive technology; the whole is enough.
    body = re.sub(r' (?:role|aria-[a-z]+)="[^"]*"', "", drawn)
    body = re.sub(
        r'(<svg[^>]*?) width="\d+(?:\.\d+)?" height="\d+(?:\.\d+)?"', r"\1", body, count=1
    )
    width = re.search(r'<svg[^>]* width="([0-9.]+)"', drawn)
    style = f'style="max-width:{width.group(1)}px" ' if width else ""
    opening = re.match(r"<svg ", body)
    if opening is None:
        return Markup(body)
    body = head + style + body[opening.end() :]
    return Markup(body.replace(">", ">" + names, 1))
