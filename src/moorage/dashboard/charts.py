"""Charts of calls over time, as inline SVG without scripts or styles of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.dashboard.markup import tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.dashboard.markup import Html

_WIDTH: Final = 720
_HEIGHT: Final = 101
_BASE: Final = 100


def calls_chart(label: str, counts: Sequence[tuple[int, int]]) -> Html:
    """Return a bar for each window: its calls, and its failed calls within.

    Args:
        label: the words for those who do not see the chart.
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
    """Return a bar of a chart, at least two units high; None for zero."""
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
