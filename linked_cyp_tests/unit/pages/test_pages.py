"""The pages' common parts: one file, nothing fetched, charts that can be read aloud."""

import re

import altair as alt
import polars as pl
import pytest

from linked_cyp import pages
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.pages import charts


@pytest.fixture(scope="module")
def chart() -> str:
    data = pl.DataFrame({"group": ["a <b>", "c"], "share": [0.9, 0.95]})
    drawn = alt.Chart(data).mark_point().encode(x="share", y="group").properties(width=300)
    return charts.svg(drawn, title="Shares <by> group", description="Two groups.")


def test_a_chart_is_one_svg_with_a_name_and_a_description(chart):
    assert re.match(r'<svg role="img" aria-labelledby="chart-\d+-title chart-\d+-text"', chart)
    assert "<title" in chart
    assert "Shares &lt;by&gt; group" in chart
    assert "<script" not in chart
    assert not re.search(r'(?:href|src)="(?!#)', chart)


def test_a_chart_grows_and_shrinks_with_the_page(chart):
    opening = chart.split(">", 1)[0]
    assert "viewBox" in opening
    assert "max-width:" in opening
    assert not re.search(r' (?:width|height)="', opening)


def test_two_charts_do_not_share_an_id():
    spec = {"data": {"values": [{"x": 1}]}, "mark": "point", "encoding": {"x": {"field": "x"}}}
    first, second = (charts.svg(spec, title="t", description="d") for _ in range(2))
    assert set(re.findall(r'id="(chart-[^"]+)"', first)).isdisjoint(
        re.findall(r'id="(chart-[^"]+)"', second)
    )


def test_a_chart_never_fetches_its_data():
    spec = {"data": {"url": "https://example.org/x.csv"}, "mark": "point", "encoding": {}}
    with pytest.raises(LinkedCypError, match="drawing a chart"):
        charts.svg(spec, title="t", description="d")


def test_what_a_template_lacks_is_an_error_without_values():
    with pytest.raises(LinkedCypError, match="rendering pages/nowhere") as caught:
        pages.render("pages/nowhere.html.j2", secret="4857773456")
    assert "4857773456" not in str(caught.value)


def test_the_base_loads_nothing():
    page = pages.render("pages/base.html.j2")
    assert not re.search(r'(?:href|src)="(?!#)', page)
    assert "default-src 'none'" in page


def test_a_page_is_its_owners_alone_and_whole(tmp_path):
    path = pages.write_page("<p>", tmp_path / "reports" / "page.html")
    assert path.read_text() == "<p>"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "-"), (0.1234, "12.3 %"), (1, "100.0 %"), (0, "0.0 %")]
)
def test_percent(value, shown):
    assert pages.percent(value) == shown
