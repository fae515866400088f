"""Charts of the calls of the last hours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from moorage import ConnectionFailed, Hub, Service
from moorage.adapters.metrics.memory import MemoryMetrics
from moorage.dashboard import Dashboard, DashboardApp
from moorage.dashboard.charts import calls_chart, durations_chart
from moorage.domain.observation.sketch import Sketch, SketchRecorder
from moorage.testing import VirtualClock
from tests.dashboard.harness import ANN, SECRET, Visitor

if TYPE_CHECKING:
    from collections.abc import Callable


def test_chart_has_a_bar_for_each_window_with_calls() -> None:
    """A bar's height is proportional to its calls; a small bar is still visible."""
    svg = calls_chart("words", [(0, 0), (1_000, 1), (500, 0)]).text
    heights = re.findall(r'height="([0-9.]+)" class="(\w+)"', svg)
    assert [("100.0", "calls"), ("2.0", "failed"), ("50.0", "calls")] == heights
    assert "style" not in svg
    assert "<rect" not in calls_chart("words", []).text


def test_page_charts_the_calls_of_the_last_hours() -> None:
    """The first page charts the calls of all services; a service's page charts its own calls."""
    clock = VirtualClock()

    def fail_to_connect() -> None:
        raise ConnectionFailed("gone")

    services = [
        Service(name, "http://127.0.0.1:9", circuit=None, retry=None) for name in ("vat", "other")
    ]
    metrics = MemoryMetrics()
    try:
        with Hub([], services=services, clock=clock, observers=[metrics]) as hub:
            page = Dashboard(hub, secret=SECRET, metrics=metrics)
            visitor = Visitor(DashboardApp(page, lambda _: ANN))
            hub.manager.run("vat", int)
            clock.advance(3_600)
            hub.manager.run("other", int)
            with pytest.raises(ConnectionFailed):
                hub.manager.run("vat", fail_to_connect)
            metrics.flush()
            first = visitor.get("/").text
            assert "3 calls, 1 failed." in first
            assert "the highest 2 calls" in first
            assert (2, 1) == (first.count('class="calls"'), first.count('class="failed"'))
            assert "2 calls, 1 failed." in visitor.get("/service?service=vat").text
            assert "0 calls, 0 failed." in visitor.get("/?tenant=acme").text
            assert (
                "The last 6 hours"
                not in Visitor(DashboardApp(Dashboard(hub, secret=SECRET), lambda _: ANN))
                .get("/")
                .text
            )
    finally:
        metrics.close()


def sketch_of(*durations: float) -> Sketch:
    """Return the distribution of these durations, which are given in seconds."""
    recorder = SketchRecorder()
    for duration in durations:
        recorder.add(duration)
    return recorder.freeze()


def test_durations_chart_has_a_line_for_each_percentile() -> None:
    """A line is as high as its duration on the scale, and interrupted by windows without calls."""
    windows = [sketch_of(1.0), sketch_of(2.0), Sketch(), sketch_of(0.0)]
    svg = durations_chart("words", windows, ("18:00", "18:15")).text
    lines = dict(re.findall(r'd="([^"]*)" class="(p\d+)"', svg))
    assert {"M0.0,50.0 180.0,0.0h180.0M540.0,100.0h180.0"} == set(lines)
    assert 3 == svg.count("<path")
    assert ["2 s", "1 s", "0", "18:00", "18:15"] == re.findall("<span>([^<]*)</span>", svg)
    assert 'role="img" aria-label="words"' in svg
    assert "style" not in svg


def test_percentiles_are_separate_lines() -> None:
    """The lines of the percentiles of one window are at different heights."""
    durations = [0.1] * 60 + [0.4] * 38 + [0.8] * 2
    svg = durations_chart("words", [sketch_of(*durations)], ("18:00", "18:00")).text
    heights = {
        name: 1 - float(height) / 100
        for height, name in re.findall(r'd="M0\.0,([0-9.]+)h720\.0" class="(p\d+)"', svg)
    }
    assert heights == pytest.approx({"p50": 0.1, "p95": 0.4, "p99": 0.8}, abs=0.02)


@pytest.mark.parametrize(
    "longest, labels",
    [
        (0.0001, ["2 ms", "1 ms", "0"]),
        (0.7, ["1 s", "500 ms", "0"]),
        (40.0, ["1 min", "30 s", "0"]),
        (36_000.0, ["10 h", "5 h", "0"]),
    ],
)
def test_scale_of_durations_ends_above_the_longest(longest: float, labels: list[str]) -> None:
    """A chart's scale ends at a round duration or, beyond an hour, at the longest duration."""
    html = durations_chart("words", [sketch_of(longest)], ("a", "b")).text
    assert [*labels, "a", "b"] == re.findall("<span>([^<]*)</span>", html)


def test_durations_chart_without_windows_has_no_points() -> None:
    """A chart without time windows is empty, and raises no error."""
    assert 3 == durations_chart("words", [], ("a", "b")).text.count('d=""')


def test_page_of_a_service_charts_its_durations() -> None:
    """A service's page names its percentiles and slowest window, and lists durations by hour."""
    clock = VirtualClock()

    def answer_after(seconds: float) -> Callable[[], None]:
        return lambda: clock.advance(seconds)

    services = [
        Service(name, "http://127.0.0.1:9", circuit=None, retry=None) for name in ("vat", "other")
    ]
    metrics = MemoryMetrics()
    try:
        with Hub([], services=services, clock=clock, observers=[metrics]) as hub:
            app = DashboardApp(Dashboard(hub, secret=SECRET, metrics=metrics), lambda _: ANN)
            visitor = Visitor(app)
            clock.advance(3_600 - clock.utc().timestamp() % 3_600)
            start = clock.utc()
            for _ in range(19):
                hub.manager.run("vat", answer_after(0.25))
            clock.advance(3_600)
            slow_start = clock.utc()
            hub.manager.run("vat", answer_after(3.0))
            text = visitor.get("/service?service=vat").text
            assert "p50 250 ms, p95 250 ms, p99 3 s of 20 calls with an attempt" in text
            slow_window = slow_start.replace(minute=slow_start.minute // 5 * 5)
            assert f"the highest p99 was 3 s, at {slow_window:%H:%M}." in text
            assert 2 == text.count("the highest p99"), "the label of the chart has the words too"
            rows = re.findall(r'<tr><th scope="row">(\d\d:\d\d)</th>(.*?)</tr>', text)
            cells = {hour: re.findall(r">([^<]+)</td>", row) for hour, row in rows}
            assert ["19", "250 ms", "250 ms", "250 ms"] == cells[f"{start:%H:00}"]
            assert ["1", "3 s", "3 s", "3 s"] == cells[f"{slow_start:%H:00}"]
            assert 7 >= len(cells)
            assert ["0", "none", "none", "none"] in cells.values()
            assert "no durations" in visitor.get("/service?service=other").text
            assert "<h3>Durations" not in visitor.get("/").text, "those of all services say little"
    finally:
        metrics.close()
