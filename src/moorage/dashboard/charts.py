"""Charts of calls and durations as inline SVG, without scripts or styles."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from moorage.dashboard.layout import span
from moorage.dashboard.markup import tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moorage.dashboard.markup import Html
    from moorage.domain.observation.sketch import Sketch

PERCENTILES: Final = (50, 95, 99)
"""The percentiles of a chart of durations."""

_WIDTH: Final = 720
_HEIGHT: Final = 101
_BASE: Final = 100
_SCALE_TOPS: Final = (
    *(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0),
)
"""The durations in seconds at which the scale of a chart may end."""


def calls_chart(label: str, counts: Sequence[tuple[int, int]]) -> Html:
    """Return a bar chart of the calls in each time window, with failed calls marked.

    Args:
        label: the alternative text for people who cannot see the chart.
        counts: calls and failed calls of each window, oldest first.
    """
    most_calls = max((calls for calls, _ in counts), default=0) or 1
    step = _WIDTH / max(1, len(counts))
    bars = [
        bar
        for place, (calls, failed_calls) in enumerate(counts)
        for bar in (
            _bar(place * step, step, calls / most_calls, "calls"),
            _bar(place * step, step, failed_calls / most_calls, "failed"),
        )
    ]
    return tag(
        "svg",
        bars,
        tag("line", x1=0, y1=_BASE, x2=_WIDTH, y2=_BASE, class_="grid"),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=label,
    )


def _bar(left: float, step: float, share: float, kind: str) -> Html | None:
    """Return a chart's bar, at least two units high; None for zero."""
    if not share:
        return None
    height = max(2.0, share * _BASE)
    return tag(
        "rect",
        x=f"{left:.1f}",
        y=f"{_BASE - height:.1f}",
        width=f"{max(1.0, step - 1):.1f}",
        height=f"{height:.1f}",
        class_=kind,
    )


def durations_chart(label: str, windows: Sequence[Sketch], times: tuple[str, str]) -> Html:
    """Return a line chart of duration percentiles; windows without calls are gaps.

    Args:
        label: the alternative text for people who cannot see the chart.
        windows: the durations of each window, oldest first.
        times: the first and the last time, as the labels of the horizontal axis.
    """
    top = _top_of(window.percentile(max(PERCENTILES)) or 0.0 for window in windows)
    step = _WIDTH / max(1, len(windows))
    middle = _BASE // 2
    return tag(
        "div",
        tag(
            "div",
            [tag("span", words) for words in (span(top), span(top / 2), "0")],
            class_="scale",
            aria_hidden="true",
        ),
        tag(
            "svg",
            [
                tag("line", x1=0, y1=height, x2=_WIDTH, y2=height, class_="grid")
                for height in (1, middle, _BASE)
            ],
            [
                _line([window.percentile(percent) for window in windows], step, top, percent)
                for percent in PERCENTILES
            ],
            viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
            preserveAspectRatio="none",
            role="img",
            aria_label=label,
        ),
        tag("div", [tag("span", words) for words in times], class_="times", aria_hidden="true"),
        class_="plot",
    )


def _top_of(durations: Iterable[float]) -> float:
    """Return the top of a scale in seconds, above all durations."""
    longest_duration = max(durations, default=0.0)
    return next((top for top in _SCALE_TOPS if longest_duration <= top), longest_duration)


def _line(durations: Sequence[float | None], step: float, top: float, percent: int) -> Html:
    """Return the line of a percentile in a chart, with gaps where durations are missing.

    The line extends over the whole width of its windows, so that a single window is visible.
    """
    points = [
        None if duration is None else (place * step, _BASE * (1 - duration / top))
        for place, duration in enumerate(durations)
    ]
    parts: list[str] = []
    for is_gap, group in groupby(points, key=lambda point: point is None):
        if not is_gap:
            stretch = " ".join(f"{x:.1f},{y:.1f}" for x, y in filter(None, group))
            parts.append(f"M{stretch}h{step:.1f}")
    return tag("path", d="".join(parts), class_=f"p{percent}")
