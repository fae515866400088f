"""Each chart on the site shows the values of the table below it."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from tools.charts import ChartBar, bars, draw, with_charts
from tools.site import DOCS

SVG = "{http://www.w3.org/2000/svg}"
PAGE = """# What it costs

## Limiter alone, sync (processor time)

The limit for moorage is 1 × the time of the first row.

| | µs | beside the first |
|---|---|---|
| limits <a & b> | 4.00 [3.00, 8.00] | 1.00 × [1.00, 1.00] |
| **moorage** | 2.00 [1.90, 2.10] | 0.50 × [0.50, 0.50] |
| limits <a & b> (control) | 4.10 [3.90, 4.20] | 1.00 × [0.99, 1.01] |

## Alone

| | µs |
|---|---|
| **moorage** | 2.00 [1.90, 2.10] |
"""


def test_bars_are_the_rows_with_figures() -> None:
    """A chart has a bar for each row of its table, except the control row."""
    expected = [
        ChartBar("limits <a & b>", 4.0, 3.0, 8.0, is_ours=False),
        ChartBar("moorage", 2.0, 1.9, 2.1, is_ours=True),
    ]

    assert expected == bars(PAGE.partition("## Alone")[0])


def test_lengths_are_in_proportion() -> None:
    """A bar for half the value is half as long, and names are shown as text, not as markup."""
    picture = ET.fromstring(draw("title", bars(PAGE.partition("## Alone")[0])))  # noqa: S314 - ours

    widths = {
        item.attrib["class"]: float(item.attrib["width"])
        for item in picture.iter(f"{SVG}rect")
        if item.attrib["class"] != "paper"
    }
    assert widths["bar"] == 2 * widths["ours"]
    assert "limits <a & b>" in [item.text for item in picture.iter(f"{SVG}text")]


def test_page_shows_its_charts_above_the_tables() -> None:
    """Only a table that compares rows has a chart, which is named by its heading."""
    page = with_charts(PAGE)

    path = "diagrams/speed/limiter-alone-sync-processor-time.svg"
    assert [path] == [*page.pictures]
    assert page.text.index(f"(../{path})") < page.text.index("| | µs | beside")
    assert PAGE.partition("## Alone")[2] == page.text.partition("## Alone")[2]


def test_every_table_of_the_figures_has_a_chart() -> None:
    """Every table of figures on the page about speed gets a chart."""
    text = (DOCS / "explanation" / "speed.md").read_text("utf-8")
    tables = text.count("| | µs |")

    page = with_charts(text)

    assert tables == len(page.pictures) == page.text.count("(../diagrams/speed/")
