"""The charts of the report, as Altair charts or Splink's own Vega-Lite specifications.

They are drawn from counts and rates fit to be shown; Splink's charts hold the model's parameters
and, of records, only how many reach which weight.
"""

from __future__ import annotations

from typing import Any

import duckdb
import polars as pl
from markupsafe import Markup

from linked_cyp.linkage.model.splink_session import linker, unlinkables_chart
from linked_cyp.linkage.model.training import current_model
from linked_cyp.pages import charts
from linked_cyp.pages.figures import INK, LOW, PADDING, SOFT, WIDTH

SPACING = 18
SPLINK = {
    "match_weights": (
        "Match weights of the model",
        "How much each level of agreement adds to or takes from the match weight, in bits.",
    ),
    "m_u_parameters": (
        "m and u probabilities of the model",
        "How often each level of agreement is found among true pairs (m) and among others (u).",
    ),
    "unlinkables": (
        "Records that could not be linked, by threshold",
        "Share of records that would not reach each match weight even against themselves.",
    ),
}


def dots(rows: pl.DataFrame, overall: float | None, *, title: str, description: str) -> Markup:
    """Rates of groups with their intervals, and a line at the overall rate.

    Args:
        rows: ``group_kind``, ``group_value``, ``value``, ``low``, ``high`` (shares; as shown) and
            ``is_below``; at least one row.
    """
    import altair as alt

    frame = rows.select("group_kind", "group_value", "is_below", pl.col("value", "low", "high"))
    edge = min(frame["low"].drop_nulls().to_list() or [0.9])
    scale = alt.Scale(domain=[max(min(edge, 0.95) - 0.005, 0.0), 1.0], nice=False, clamp=True)
    base = alt.Chart(alt.Data(values=frame.to_dicts()))
    y = alt.Y("group_value:N", title=None, sort=None)
    x_axis = alt.Axis(format=".0%" if edge < 0.95 else ".1%", tickCount=5, labelOverlap=True)
    colour = alt.condition("datum.is_below", alt.value(LOW), alt.value(INK))
    layers = [
        base.mark_rule(strokeWidth=2).encode(
            x=alt.X("low:Q", title=None, scale=scale, axis=x_axis), x2="high:Q", y=y, color=colour
        ),
        base.mark_point(filled=True, size=70, opacity=1).encode(
            x=alt.X("value:Q", scale=scale),
            y=y,
            color=colour,
            shape=alt.condition("datum.is_below", alt.value("diamond"), alt.value("circle")),
        ),
    ]
    if overall is not None:
        layers.append(
            base.mark_rule(strokeDash=[4, 3], color=SOFT)
            .encode(x=alt.X("overall:Q", scale=scale))
            .transform_calculate(overall=str(overall))
        )
    chart = (
        alt.layer(*layers)
        .properties(width=WIDTH, height={"step": 22})
        .facet(
            row=alt.Row(
                "group_kind:N",
                sort=frame["group_kind"].unique(maintain_order=True).to_list(),
                title=None,
                header=alt.Header(
                    labelAngle=0,
                    labelAlign="left",
                    labelAnchor="start",
                    labelOrient="top",
                    labelFontWeight="bold",
                    labelPadding=2,
                ),
            ),
            spacing=SPACING,
        )
        .resolve_scale(y="independent")
    )
    return charts.svg(chart.properties(padding=PADDING), title=title, description=description)


def curve(rows: pl.DataFrame, threshold: float, *, title: str, description: str) -> Markup:
    """Precision and recall by threshold.

    Args:
        rows: ``weight``, ``measure`` (text), ``value``, ``low``, ``high``.
    """
    import altair as alt

    base = alt.Chart(alt.Data(values=rows.to_dicts()))
    lowest = min(rows["low"].drop_nulls().to_list() or [0.0])
    x = alt.X("weight:Q", title="match weight (bits)")
    y_scale = alt.Scale(domain=[lowest, 1.0])
    colour = alt.Color("measure:N", title=None, legend=alt.Legend(orient="top"))
    chart = alt.layer(
        base.mark_area(opacity=0.2).encode(
            x=x, y=alt.Y("low:Q", scale=y_scale), y2="high:Q", color=colour
        ),
        base.mark_line(point=True).encode(
            x=x,
            y=alt.Y("value:Q", title=None, scale=y_scale, axis=alt.Axis(format=".0%")),
            color=colour,
            strokeDash=alt.StrokeDash("measure:N", legend=None),
        ),
        alt.Chart(alt.Data(values=[{"weight": threshold}]))
        .mark_rule(strokeDash=[4, 3], color=SOFT)
        .encode(x="weight:Q"),
    ).properties(width=WIDTH + 120, height=240)
    return charts.svg(chart.properties(padding=PADDING), title=title, description=description)


def splink_charts(con: duckdb.DuckDBPyConnection, reach: pl.DataFrame) -> dict[str, Markup]:
    """Splink's own charts of the model in force, by name; none before the first training.

    Args:
        reach: ``weight`` and ``share`` of the records that even against themselves reach no more,
            as shown; empty draws no such chart.
    """
    trained = current_model(con)
    if trained is None:
        return {}
    nobody = "(SELECT * FROM linkage.main.person_record LIMIT 0)"  # a chart needs no record
    with linker(con, nobody, trained.settings, doing="drawing the model's charts") as splink:
        drawn = {
            "match_weights": splink.visualisations.match_weights_chart().chart_dict,
            "m_u_parameters": splink.visualisations.m_u_parameters_chart().chart_dict,
        }
    if reach.height:
        records = [
            {"match_weight": w, "match_probability": 0, "prop": 0, "cum_prop": share}
            for w, share in reach.select("weight", "share").iter_rows()
        ]
        drawn["unlinkables"] = unlinkables_chart(records)
    return {
        name: charts.svg(still(spec), title=SPLINK[name][0], description=SPLINK[name][1])
        for name, spec in drawn.items()
    }


def still(spec: dict[str, Any]) -> dict[str, Any]:
    """Splink's specification for paper: nothing that needs a mouse, and our words and colours."""
    values = [
        value
        | {
            "comparison_name": _words(value.get("comparison_name", "")),
            "label_for_charts": _words(value.get("label_for_charts", "")),
        }
        for value in spec["data"]["values"]
    ]
    plain = _still({key: part for key, part in spec.items() if key not in ("data", "title")})
    if "params" in spec:  # the layers after the first follow the mouse
        plain["layer"] = plain["layer"][:1]
        plain["height"] = 220
    return {**plain, "padding": PADDING, "data": {"values": values}}


_SAID = {
    "nhs": "NHS number",
    "upn": "UPN",
    "la_child": "local authority child id",
    # The specification filters by this one.
    "probability_two_random_records_match": "probability_two_random_records_match",
    "exact": "agrees",
    "differ": "differs",
    "dice_80": "very much alike",
    "dice_60": "much alike",
    "dice_45": "somewhat alike",
    "sound": "sounds alike",
    "part": "shares a part",
    "twin": "twin pattern",
    "swapped": "day and month swapped",
    "two_parts": "two of three parts",
    "sector": "same sector",
}
_FOR_PAPER: dict[str, Any] = {
    "red": LOW,
    "green": INK,
    "Amongst matching record comparisons:": "Among true pairs (m)",
    "Amongst non-matching record comparisons:": "Among other pairs (u)",
    "Proportion of record comparisons": "share of pairs",
    "Comparison level match weight = log2(m/u)": "match weight = log2(m / u)",
    "Prior (starting) match weight": "starting weight",
}


def _words(name: str) -> str:
    return _SAID.get(name, name.replace("_", " "))


def _still(part: Any) -> Any:
    if isinstance(part, list):
        return [_still(each) for each in part]
    if not isinstance(part, dict):
        return _FOR_PAPER.get(part, part) if isinstance(part, str) else part
    kept = {k: _still(v) for k, v in part.items() if k not in ("tooltip", "params")}
    if kept.get("height") == {"step": 12}:
        kept["height"] = {"step": 19}
    if kept.get("width") == 150:
        kept["width"] = 190
    if isinstance(kept.get("color"), dict) and "field" in kept["color"]:
        kept["color"]["legend"] = None
    if "row" in kept:
        kept["row"]["header"] = {
            "title": None,
            "labelAngle": 0,
            "labelOrient": "top",
            "labelAnchor": "start",
            "labelFontWeight": "bold",
            "labelPadding": 2,
        }
        kept["row"]["spacing"] = SPACING
    if kept.get("field") in ("m_probability", "u_probability"):
        kept["axis"] = {**kept.get("axis", {}), "tickCount": 3, "format": ".0%"}
    return kept
