"""Draws bar charts of the benchmark tables in the documentation.

The page of the figures stays text; the site adds a picture above each of its tables. A bar ends at
the median, and a line over it shows the interval. Our own rows stand out from the rest.
"""

from __future__ import annotations

import re
from html import escape
from typing import Final, NamedTuple

FOLDER: Final = "diagrams/speed"
_TABLE: Final = re.compile(r"^\| \| µs \|.*\n(?:\|.*\n)+", re.MULTILINE)
_ROW: Final = re.compile(r"^\| (.+?) \| ([\d.]+) \[([\d.]+), ([\d.]+)\]", re.MULTILINE)
_CONTROL: Final = "(control)"
_WIDTH: Final = 720
_NAMES: Final = 280
_FIGURES: Final = 90
_HEIGHT: Final = 26
_MOST_LETTERS: Final = 42
_STYLE: Final = """<style>
text { font: 12px sans-serif; fill: #222 }
.paper { fill: #fff }
.bar { fill: #9fb3c8 }
.ours { fill: #0a6ebd }
.interval { stroke: #222; stroke-width: 1.5 }
.name { text-anchor: end }
</style>"""


class ChartBar(NamedTuple):
    """A table row with measured figures.

    Attributes:
        name: the name of the measured quantity.
        median: microseconds of one call.
        low: the lower end of the interval.
        high: its upper end.
        is_ours: whether it is a row of moorage.
    """

    name: str
    median: float
    low: float
    high: float
    is_ours: bool


def bars(table: str) -> list[ChartBar]:
    """Return a table's rows that have figures, without the control row."""
    return [
        ChartBar(
            name.replace("*", ""), float(median), float(low), float(high), name.startswith("**")
        )
        for name, median, low, high in _ROW.findall(table)
        if _CONTROL not in name
    ]


def draw(title: str, rows: list[ChartBar]) -> str:
    """Return the rows as a bar chart in SVG."""
    scale = (_WIDTH - _NAMES - _FIGURES) / max(row.high for row in rows)
    height = _HEIGHT * len(rows) + 8
    lines: list[str] = []
    for number, row in enumerate(rows):
        y = 4 + number * _HEIGHT
        end, low, high = (_NAMES + value * scale for value in (row.median, row.low, row.high))
        label = row.name if len(row.name) <= _MOST_LETTERS else f"{row.name[:_MOST_LETTERS]}…"
        kind = "ours" if row.is_ours else "bar"
        lines += [
            f'<text class="name" x="{_NAMES - 8}" y="{y + 17}">{escape(label)}</text>',
            (
                f'<rect class="{kind}" x="{_NAMES}" y="{y + 4}" width="{end - _NAMES:.1f}"'
                ' height="18"/>'
            ),
            f'<path class="interval" d="M{low:.1f} {y + 13}H{high:.1f}"/>',
            f'<text x="{high + 6:.1f}" y="{y + 17}">{row.median:,.2f}</text>',
        ]
    message = "; ".join(f"{row.name}: {row.median} µs" for row in rows)
    size = f'width="{_WIDTH}" height="{height}"'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {size}>',
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(message)}</desc>",
            _STYLE,
            f'<rect class="paper" {size}/>',
            *lines,
            "</svg>\n",
        )
    )


class Charts(NamedTuple):
    """A documentation page together with its charts.

    Attributes:
        text: the page, which shows them.
        pictures: the charts, by their paths in the site.
    """

    text: str
    pictures: dict[str, str]


def with_charts(text: str) -> Charts:
    """Return the page of figures, with a chart above each table with several rows."""
    pictures: dict[str, str] = {}

    def add(match: re.Match[str]) -> str:
        rows = bars(match[0])
        title = text[: match.start()].rpartition("\n## ")[2].partition("\n")[0]
        name = re.sub(r"\W+", "-", title.lower()).strip("-")
        if len(rows) < 2:
            return match[0]
        number_of_charts = sum(path.startswith(f"{FOLDER}/{name}") for path in pictures)
        path = f"{FOLDER}/{name}{f'-{number_of_charts + 1}' if number_of_charts else ''}.svg"
        pictures[path] = draw(f"{title}: microseconds, less is better", rows)
        return f"![{title}: microseconds, less is better](../{path})\n\n{match[0]}"

    return Charts(_TABLE.sub(add, text), pictures)
