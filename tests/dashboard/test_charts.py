"""Charts of the calls of the last hours."""

from __future__ import annotations

import re

import pytest

from moorage import ConnectionFailed, Hub, Service
from moorage.adapters.metrics.memory import MemoryMetrics
from moorage.dashboard import Dashboard, DashboardApp
from moorage.dashboard.charts import calls_chart
from moorage.testing import VirtualClock
from tests.dashboard.world import ANN, SECRET, Visitor


def test_chart_has_a_bar_for_each_window_with_calls() -> None:
    """A bar's height is proportional to its calls; a small bar is still visible."""
    svg = calls_chart("words", [(0, 0), (1_000, 1), (500, 0)]).text
    heights = re.findall(r'height="([0-9.]+)" class="(\w+)"', svg)
    assert [("100.0", "calls"), ("2.0", "failed"), ("50.0", "calls")] == heights
    assert "style" not in svg
    assert "<rect" not in calls_chart("words", []).text


def test_page_charts_the_calls_of_the_last_hours() -> None:
    """The first page charts all services, and the page of a service its own calls."""
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
