"""Observers that do more than look."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from moorage import ConnectorManager, Event, ObserverFailed, Service


def test_an_observer_may_call_what_it_observes() -> None:
    """An observer that calls its own manager is told of other calls, and of none of its own."""
    reports: list[str] = []

    def alert(event: Event) -> None:
        reports.append(type(event).__name__)
        assert "alerted" == manager.run("alerts", lambda: "alerted")

    seen: list[Any] = []
    manager = ConnectorManager([Service("a"), Service("alerts")], observers=[alert, seen.append])

    manager.run("a", lambda: None)

    assert ["CallStarted", "AttemptFinished", "CallFinished"] == reports
    assert {"a", "alerts"} == {event.service for event in seen}


def test_an_observer_that_fails_is_told_of_again() -> None:
    """An observer that raised once is told of the next event all the same."""
    reports: list[str] = []

    def broken(event: Event) -> None:
        reports.append(type(event).__name__)
        raise ValueError

    manager = ConnectorManager([Service("a")], observers=[broken])

    manager.run("a", lambda: None)

    assert ["CallStarted", "AttemptFinished", "CallFinished"] == reports


def test_a_lone_observer_that_fails_is_warned_of() -> None:
    """An observer that fails where nobody else listens is warned of, once for each error."""

    def exporter(_: Event) -> None:
        raise RuntimeError("my exporter has a bug")

    manager = ConnectorManager([Service("a")], observers=[exporter])
    with pytest.warns(RuntimeWarning, match=r"exporter failed \(RuntimeError\)") as reports:
        manager.run("a", lambda: None)
    with warnings.catch_warnings(record=True) as again:
        warnings.simplefilter("always")
        manager.run("a", lambda: None)

    assert (1, []) == (len(reports), again)


def test_an_observer_that_fails_beside_another_is_reported_there() -> None:
    """Another observer is told instead; if that one fails as well, a warning is."""
    seen: list[Any] = []

    def broken(_: Event) -> None:
        raise ValueError

    manager = ConnectorManager([Service("a")], observers=[broken, seen.append])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        manager.run("a", lambda: None)
    assert 3 == sum(isinstance(event, ObserverFailed) for event in seen)

    with pytest.warns(RuntimeWarning, match="broken failed"):
        ConnectorManager([Service("a")], observers=[broken, broken]).run("a", lambda: None)
