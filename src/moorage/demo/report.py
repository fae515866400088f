"""The demo's report: an HTML file with a table and charts."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Final

from moorage import CircuitState
from moorage.demo.narration import FOLDER, HEADINGS
from moorage.domain.observation.call_events import AttemptFinished
from moorage.domain.observation.events import CircuitChanged
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from moorage.demo.narration import DemoScene, Narrator
    from moorage.domain.observation.events import Event

_WIDE: Final = 940
_LANE: Final = 34
_BAR: Final = 26
_LEFT: Final = 160
_KINDS: Final = {"good": "answered", "bad": "refused or failed", "none": "without an answer"}
_LEGEND: Final = (
    "Each dot is an attempt: green was answered, red was refused or failed, and a ring got no"
    " answer. While a bar is red, the circuit is open and refuses calls."
)
_BARS: Final = (
    "The number of attempts of each scene, without token requests, by result: green was answered,"
    " red was refused or failed, and framed got no answer."
)
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2733; --faint: #6b7a89; --line: #d9e0e6;
  --paper: #fff; --good: #1f8a55; --bad: #c2362f; --none: #b27a00; --open: #c2362f33; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --faint: #93a1ae;
  --line: #33414e; --paper: #14191f; --good: #4cc38a; --bad: #ff7b72; --none: #e3b341; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 960px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } th, td { padding: .3rem .6rem;
  border-bottom: 1px solid var(--line); text-align: right; } th:first-child, td:first-child
  { text-align: left; } tfoot td { font-weight: 600; }
p, li { color: var(--ink); } .faint { color: var(--faint); } ul { padding-left: 1.2rem; }
.scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; min-width: 640px; }
.verdict { border-left: 4px solid var(--good); padding-left: .8rem; }
.verdict.wrong { border-color: var(--bad); }
text { fill: var(--ink); font-size: 13px; } text.faint { fill: var(--faint); font-size: 11px; }
td:first-child { white-space: nowrap; } li { overflow-wrap: anywhere; }
.good { fill: var(--good); } .bad { fill: var(--bad); }
.none { fill: var(--paper); stroke: var(--none); stroke-width: 2; }
.lane { stroke: var(--line); } .open { fill: var(--open); }
@media (max-width: 600px) { th, td { padding: .3rem; font-size: 13px; } }
"""


def check_report(path: Path) -> None:
    """Create the folder of the report, and check that the report can be written there.

    Raises:
        ConfigurationError: the report cannot be written there.
    """
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()


def write_report(path: Path, narrator: Narrator, contradictions: Sequence[str]) -> None:
    """Write the report.

    Raises:
        ConfigurationError: the report cannot be written there.
    """
    with _writing(path):
        path.write_text(page(narrator, contradictions), "utf-8")


@contextmanager
def _writing(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"The report cannot be written to {path} ({error.strerror}).",
            path="report",
            remedy="Name a file that can be written.",
        ) from error


def page(narrator: Narrator, contradictions: Sequence[str]) -> str:
    """Return the report as HTML."""
    verdict = (
        "; ".join(contradictions) or "Attempts and arrivals agree, and nothing happened twice."
    )
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        f"<title>A day at the moorage</title><style>{_STYLE}</style>",
        "<h1>A day at the moorage</h1>",
        f"<p class='verdict{' wrong' if contradictions else ''}'>{escape(verdict)}</p>",
        "<h2>Results by scene</h2>",
        f"<div class=scroll>{_table(narrator)}</div>",
        "<h2>Attempts over time</h2>",
        f"<p class=faint>{_LEGEND}</p>",
        f"<div class=scroll>{_timeline(narrator)}</div>",
        "<h2>Attempts by result</h2>",
        f"<p class=faint>{_BARS}</p>",
        f"<div class=scroll>{_bars(narrator.scenes)}</div>",
        "<h2>Scenes</h2>",
        *(_scene_html(number, scene) for number, scene in enumerate(narrator.scenes, 1)),
        "</html>",
    ]
    return "\n".join(parts)


def _table(narrator: Narrator) -> str:
    head = "".join(f"<th>{heading}" for heading in HEADINGS)
    rows = "".join(
        f"<tr><td>{escape(scene.title)}{''.join(f'<td>{cell}' for cell in scene.figures)}"
        for scene in narrator.scenes
    )
    footer_cells = "".join(f"<td>{cell}" for cell in narrator.totals)
    return f"<table><thead><tr><th>{head}<tbody>{rows}<tfoot><tr><td>in all{footer_cells}</table>"


def _scene_html(number: int, scene: DemoScene) -> str:
    lines = "".join(f"<li>{escape(line)}" for line in scene.lines)
    return f"<h3>{number}. {escape(scene.title)}</h3><p>{escape(scene.about)}</p><ul>{lines}</ul>"


def _timeline(narrator: Narrator) -> str:
    attempts = _attempts(narrator.events)
    services = list(dict.fromkeys(attempt.service for attempt in attempts))
    start_time, last_time = attempts[0].at, attempts[-1].at
    span = max((last_time - start_time).total_seconds(), 0.001)

    def x_position(at: datetime) -> float:
        return _LEFT + (at - start_time).total_seconds() / span * (_WIDE - _LEFT - 20)

    height = len(services) * _LANE + 30
    parts = [f"<svg viewBox='0 0 {_WIDE} {height}' role=img aria-label='Attempts over time'>"]
    for lane, service in enumerate(services):
        y = lane * _LANE + 20
        parts.append(f"<text x=0 y={y + 4}>{escape(service)}</text>")
        parts.append(f"<line class=lane x1={_LEFT} x2={_WIDE - 20} y1={y} y2={y} />")
        parts.extend(
            f"<rect class=open x={x_position(opened_at):.1f} y={y - 9} height=18"
            f" width={max(x_position(closed_at) - x_position(opened_at), 2):.1f} rx=4 />"
            for opened_at, closed_at in _open_circuits(narrator, service, last_time)
        )
        parts.extend(
            f"<circle class={_event_kind(attempt)} cx={x_position(attempt.at):.1f} cy={y} r=4>"
            f"<title>{escape(attempt.error or str(attempt.status))}</title></circle>"
            for attempt in sorted(attempts, key=lambda attempt: attempt.error is not None)
            if attempt.service == service
        )
    parts.append(f"<text class=faint x={_LEFT} y={height - 4}>0 s</text>")
    parts.append(f"<text class=faint x={_WIDE - 50} y={height - 4}>{span:.1f} s</text></svg>")
    return "".join(parts)


def _bars(scenes: Sequence[DemoScene]) -> str:
    counters = [
        Counter(
            _event_kind(attempt) for attempt in _attempts(scene.events) if attempt.service != FOLDER
        )
        for scene in scenes
    ]
    maximum = max((sum(attempt.values()) for attempt in counters), default=0) or 1
    height = len(scenes) * _BAR
    parts = [f"<svg viewBox='0 0 {_WIDE} {height}' role=img aria-label='Attempts by result'>"]
    for number, (scene, kinds) in enumerate(zip(scenes, counters, strict=True)):
        y, x = number * _BAR, float(_LEFT)
        parts.append(f"<text x=0 y={y + 15}>{escape(scene.title)}</text>")
        for kind, meaning in _KINDS.items():
            width = kinds[kind] / maximum * (_WIDE - _LEFT - 40)
            if width:
                parts.append(
                    f"<rect class={kind} x={x + 1:.1f} y={y + 3} width={width - 2:.1f} height=15>"
                    f"<title>{kinds[kind]} {meaning}</title></rect>"
                )
            x += width
        total = sum(kinds.values())
        parts.append(f"<text class=faint x={x + 6:.1f} y={y + 15}>{total}</text>")
    return "".join((*parts, "</svg>"))


def _attempts(events: Iterable[Event]) -> list[AttemptFinished]:
    return [event for event in events if isinstance(event, AttemptFinished)]


def _event_kind(attempt: AttemptFinished) -> str:
    if attempt.error is None:
        return "good"
    return "none" if attempt.status is None else "bad"


def _open_circuits(
    narrator: Narrator, service: str, ended: datetime
) -> Iterator[tuple[datetime, datetime]]:
    opened_at = None
    for event in narrator.events:
        if isinstance(event, CircuitChanged) and event.service == service:
            if event.state is CircuitState.OPEN:
                opened_at = event.at
            elif opened_at is not None:
                yield opened_at, event.at
                opened_at = None
    if opened_at is not None:
        yield opened_at, ended
