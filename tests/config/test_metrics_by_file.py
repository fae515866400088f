"""The metrics that a configuration file sets."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError
from moorage.domain.observation.figures import FiguresQuery
from moorage.wiring.store_urls import open_metrics

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.observation.events import Event

SERVICES = {"vat": {"base_url": "https://vat.example"}}


def calls(url: str) -> list[tuple[str | None, int]]:
    """Return for each service how many calls are stored."""
    with open_metrics(url) as metrics:
        windows = metrics.figures(FiguresQuery(by="service"))
        return [(window.service, window.figures.calls) for window in windows]


@pytest.mark.parametrize("observed", [False, True])
def test_hub_creates_and_stores_its_configured_metrics(observed: bool, tmp_path: Path) -> None:
    """A hub creates its configured metrics table, and stores its metrics when it closes."""
    events: list[Event] = []
    url = f"sqlite:///{tmp_path}/metrics.db"
    options: dict[str, Any] = {"observers": [events.append]} if observed else {}
    with moorage.open({"services": SERVICES, "metrics": {"url": url}}, **options) as hub:
        hub.manager.run("vat", lambda: 1)

    assert [("vat", 1)] == calls(url)
    assert observed is bool(events)


def test_asynchronous_hub_closes_its_configured_metrics(tmp_path: Path) -> None:
    """An asynchronous hub also closes its configured metrics."""
    url = f"sqlite:///{tmp_path}/metrics.db"

    async def call() -> None:
        async with moorage.aopen({"services": SERVICES, "metrics": {"url": url}}) as hub:
            await hub.manager.run("vat", partial(asyncio.sleep, 0))

    asyncio.run(call())
    assert [("vat", 1)] == calls(url)


def test_reload_that_names_another_metrics_store_is_refused(tmp_path: Path) -> None:
    """A reload that changes the metrics store is refused."""
    source: dict[str, Any] = {"services": SERVICES, "metrics": {"url": "memory:"}}
    metrics_source = {**source, "metrics": {"url": f"sqlite:///{tmp_path}/metrics.db"}}
    with moorage.open(source) as hub:
        with pytest.raises(ConfigurationError, match="change the store of its metrics") as excinfo:
            hub.reload(metrics_source)
        assert "metrics.url" == excinfo.value.path


def test_unsupported_metrics_url_is_refused() -> None:
    """An unsupported URL is refused at the path `metrics.url`."""
    with pytest.raises(ConfigurationError, match="cannot be used for metrics") as excinfo:
        moorage.open({"services": SERVICES, "metrics": {"url": "redis://host"}})

    assert "metrics.url" == excinfo.value.path
