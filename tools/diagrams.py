"""Draws the state tables as SVG for the documentation.

The pictures are made from the tables that the code itself uses, so they are always up to date. Each
state is a column, each row of a table an arrow from its state to the next one. Nothing is fetched
and nothing is installed for it: the pictures are made of text.

`python -m tools.diagrams FOLDER` writes
them to a folder.
"""

import textwrap
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

from moorage.domain.idempotency.claims import TABLE
from moorage.domain.resilience.circuit import TRANSITIONS
from tools.command_line import tool_parser

HEAD: Final = 46
LINE: Final = 15
GAP: Final = 16
LOOP: Final = 16
PILL: Final = 92
CHARACTER: Final = 6.4
"""The approximate width of a letter in labels."""


class Row(NamedTuple):
    """A row in a table of states, which is drawn as an arrow."""

    state: str
    event: str
    then: str
    verdict: str = ""


def circuit_rows() -> list[Row]:
    """Return the transitions that a circuit makes by itself."""
    return [Row(_node_name(a.value), event, _node_name(b.value)) for a, event, b in TRANSITIONS]


def idempotency_rows() -> list[Row]:
    """Return the possible results of claiming an idempotency key."""
    return [
        Row(state, event, next_state, _node_name(verdict.value))
        for state, event, next_state, verdict in TABLE
    ]


def _node_name(value: str) -> str:
    return value.replace("_", " ")


def draw(title: str, rows: Iterable[Row], column: int) -> str:
    """Return a table of states as SVG, with this distance between its columns."""
    rows = list(rows)
    edge = column // 2 + 4
    states = list(dict.fromkeys(state for row in rows for state in (row.state, row.then)))
    centre = {state: edge + column * number for number, state in enumerate(states)}
    is_judged = any(row.verdict for row in rows)
    width = centre[states[-1]] + edge + (PILL if is_judged else 0)

    arrows: list[str] = []
    y = HEAD + GAP
    for row in rows:
        start_x, end_x = centre[row.state], centre[row.then]
        room = column - LOOP - GAP if start_x == end_x else abs(end_x - start_x) - GAP
        words = textwrap.wrap(row.event, max(8, int(room / CHARACTER)))
        y += LINE * len(words)
        arrows.append(
            _loop(start_x, y, words) if start_x == end_x else _arrow(start_x, end_x, y, words)
        )
        if row.verdict:
            arrows.append(_pill(width - PILL + 4, y, row.verdict))
        y += GAP + (LINE if start_x == end_x else 0)
    lines = [
        f'<line class="life" x1="{x}" y1="{HEAD}" x2="{x}" y2="{y}"/>' for x in centre.values()
    ]
    boxes = [_box(x, state, column) for state, x in centre.items()]
    message = "; ".join(
        f"{row.state}: {row.event} → {row.then}" + (f" ({row.verdict})" if row.verdict else "")
        for row in rows
    )
    size = f'width="{width}" height="{y + GAP}"'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + GAP}" {size}>',
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(message)}</desc>",
            _STYLE,
            f'<rect class="paper" {size}/>',
            *lines,
            *boxes,
            *arrows,
            "</svg>\n",
        )
    )


_STYLE: Final = """<style>
text { font: 12px sans-serif; fill: #222 }
.paper { fill: #fff }
.life { stroke: #bbb; stroke-dasharray: 3 4 }
.box { fill: #eef3f8; stroke: #4a6785 }
.name { font-weight: bold; text-anchor: middle }
.arrow { stroke: #4a6785; stroke-width: 1.5; fill: none }
.tip { fill: #4a6785 }
.word { text-anchor: middle; paint-order: stroke; stroke: #fff; stroke-width: 4px }
.beside { paint-order: stroke; stroke: #fff; stroke-width: 4px }
.pill { fill: #f3eee2; stroke: #9a8a5a }
.verdict { text-anchor: middle }
</style>"""


def _box(x: int, name: str, column: int) -> str:
    half = column // 2 - 5
    return (
        f'<rect class="box" x="{x - half}" y="8" width="{2 * half}" height="{HEAD - 12}" rx="6"/>'
        f'<text class="name" x="{x}" y="{HEAD // 2 + 6}">{escape(name)}</text>'
    )


def _arrow(here: int, there: int, y: int, words: list[str]) -> str:
    side = 1 if there > here else -1
    middle = (here + there) // 2
    text = "".join(
        f'<text class="word" x="{middle}" y="{y - 5 - LINE * (len(words) - 1 - number)}">'
        f"{escape(word)}</text>"
        for number, word in enumerate(words)
    )
    return (
        f'<path class="arrow" d="M{here} {y}H{there - 8 * side}"/>'
        f'<path class="tip" d="M{there} {y}l{-9 * side} -4v8z"/>{text}'
    )


def _loop(x: int, y: int, words: list[str]) -> str:
    top = y - LINE // 2
    first_y = y + 4 - 7 * (len(words) - 1)
    text = "".join(
        f'<text class="beside" x="{x + LOOP + 6}" y="{first_y + LINE * number}">'
        f"{escape(word)}</text>"
        for number, word in enumerate(words)
    )
    return (
        f'<path class="arrow" d="M{x} {top}h{LOOP - 6}q6 0 6 6v4q0 6 -6 6h{-(LOOP - 14)}"/>'
        f'<path class="tip" d="M{x} {top + 16}l9 -4v8z"/>{text}'
    )


def _pill(x: int, y: int, verdict: str) -> str:
    width = PILL - 12
    return (
        f'<rect class="pill" x="{x}" y="{y - 14}" width="{width}" height="20" rx="10"/>'
        f'<text class="verdict" x="{x + width // 2}" y="{y}">{escape(verdict)}</text>'
    )


def pictures() -> dict[str, str]:
    """Return all diagrams by their path in the site."""
    return {
        "diagrams/circuit.svg": draw("The states of a circuit", circuit_rows(), 180),
        "diagrams/idempotency.svg": draw(
            "The results of claiming an idempotency key", idempotency_rows(), 124
        ),
    }


def main(folder: Path) -> None:
    """Write all diagrams to `folder`."""
    for path, svg in pictures().items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(svg, encoding="utf-8")
        print(target)


if __name__ == "__main__":
    PARSER = tool_parser("diagrams", __doc__)
    PARSER.add_argument(
        "folder", nargs="?", type=Path, default="build/diagrams", help="build/diagrams by default"
    )
    main(PARSER.parse_args().folder)
