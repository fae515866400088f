"""Observers that do more than look."""

from __future__ import annotations

from typing import Any

from moorage import ConnectorManager, Event, Service


def test_an_observer_may_call_what_it_observes() -> None:
    """An observer that calls its own manager is told of other calls, and of none of its own."""
    told: list[str] = []

    def alert(event: Event) -> None:
        told.append(type(event).__name__)
        assert "alerted" == manager.run("alerts", lambda: "alerted")

    seen: list[Any] = []
    manager = ConnectorManager([Service("a"), Service("alerts")], observers=[alert, seen.append])

    manager.run("a", lambda: None)

    assert ["CallStarted", "AttemptFinished", "CallFinished"] == told
    assert {"a", "alerts"} == {event.service for event in seen}


def test_an_observer_that_fails_is_told_of_again() -> None:
    """An observer that raised once is told of the next event all the same."""
    told: list[str] = []

    def broken(event: Event) -> None:
        told.append(type(event).__name__)
        raise ValueError

    manager = ConnectorManager([Service("a")], observers=[broken])

    manager.run("a", lambda: None)

    assert ["CallStarted", "AttemptFinished", "CallFinished"] == told
