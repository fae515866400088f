"""The page of service levels: objectives and their error budgets, by month."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from moorage import ConnectionFailed, Hub, Service
from moorage.adapters.metrics.memory import MemoryMetrics
from moorage.dashboard import Dashboard, DashboardApp
from moorage.domain.monitoring.objectives import Objective
from moorage.testing import VirtualClock
from tests.dashboard.harness import ANN, SECRET, Visitor

OBJECTIVES = (
    Objective(name="vat answers", service="vat", availability=0.9),
    Objective(name="all quick", latency=0.8, within=0.5),
)


def words_of(html: str) -> str:
    """Return the text of a page with single spaces between the words."""
    return " ".join(re.sub(r"<(style|title)>.*?</\1>|<[^>]+>", " ", html).split())


def test_page_shows_the_budget_left_by_month() -> None:
    """Each month shows whether its targets were met, and how much error budget is left."""
    clock, metrics = VirtualClock(), MemoryMetrics()

    def fail_to_connect() -> None:
        raise ConnectionFailed("gone")

    services = [Service("vat", "http://127.0.0.1:9", circuit=None, retry=None)]
    try:
        with Hub([], services=services, clock=clock, observers=[metrics]) as hub:
            hub.objectives = OBJECTIVES
            page = Dashboard(hub, secret=SECRET, metrics=hub.metrics)
            visitor = Visitor(DashboardApp(page, lambda _: ANN))
            assert (
                "No call to which an objective applies was counted" in visitor.get("/levels").text
            )
            start_moment = clock.utc()
            for _ in range(4):
                hub.manager.run("vat", int)
            with pytest.raises(ConnectionFailed):
                hub.manager.run("vat", fail_to_connect)
            metrics.flush()
            clock.advance(timedelta(days=32).total_seconds())
            for _ in range(3):
                hub.manager.run("vat", int)
            metrics.flush()
            text = visitor.get("/levels").text
            words = words_of(text)
            newest, oldest = (
                words.index(f"{clock.utc():%B %Y}"),
                words.index(f"{start_moment:%B %Y}"),
            )
            assert newest < oldest
            assert "vat answers met 100 % 90 % available 100 % vat 3 0.00" in words[newest:oldest]
            assert "vat answers missed -100 % 90 % available 80 % vat 5 2.00" in words[oldest:]
            assert "all quick met 100 % 50 % within 0.8 s 100 % all 3 0.00" in words[newest:oldest]
            assert 'href="/levels" aria-current="page"' in text
    finally:
        metrics.close()


def test_without_objectives_or_figures_page_says_what_to_configure() -> None:
    """Without objectives or metrics the page shows what to configure."""
    with Hub([]) as hub:
        visitor = Visitor(DashboardApp(Dashboard(hub, secret=SECRET), lambda _: ANN))
        assert "The configuration has no objectives." in visitor.get("/levels").text
        assert hub.metrics is None
        hub.objectives = OBJECTIVES
        assert "No metrics of calls are stored." in visitor.get("/levels").text
