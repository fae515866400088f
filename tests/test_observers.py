"""Observers that call, fail or wait."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from ulid import ULID

from moorage import ConfigurationError, ConnectorManager, Event, ObserverFailed, Service
from moorage.adapters.logs.memory import MemoryIntegrationLogger
from moorage.domain.observation.events import CallFinished, CallStarted
from moorage.domain.observation.integration_log import LogQuery


def test_observer_may_call_what_it_observes() -> None:
    """An observer that calls its own manager gets events of other calls, not of its own."""
    reports: list[str] = []

    def alert(event: Event) -> None:
        reports.append(type(event).__name__)
        assert "alerted" == manager.run("alerts", lambda: "alerted")

    seen: list[Any] = []
    manager = ConnectorManager([Service("a"), Service("alerts")], observers=[alert, seen.append])

    manager.run("a", lambda: None)

    assert ["CallStarted", "AttemptFinished", "CallFinished"] == reports
    assert {"a", "alerts"} == {event.service for event in seen}


def test_observer_that_fails_is_told_of_again() -> None:
    """An observer that raised once still gets the next event."""
    reports: list[str] = []

    def broken(event: Event) -> None:
        reports.append(type(event).__name__)
        raise ValueError

    manager = ConnectorManager([Service("a")], observers=[broken])

    manager.run("a", lambda: None)

    assert ["CallStarted", "AttemptFinished", "CallFinished"] == reports


def test_lone_observer_that_fails_is_warned_of() -> None:
    """The failure of a single observer causes a warning, once per error."""

    def exporter(_: Event) -> None:
        raise RuntimeError("my exporter has a bug")

    manager = ConnectorManager([Service("a")], observers=[exporter])
    with pytest.warns(RuntimeWarning, match=r"exporter failed \(RuntimeError\)") as reports:
        manager.run("a", lambda: None)
    with warnings.catch_warnings(record=True) as again:
        warnings.simplefilter("always")
        manager.run("a", lambda: None)

    assert (1, []) == (len(reports), again)


def test_observer_that_fails_beside_another_is_reported_there() -> None:
    """Another observer gets the failure; if that one fails too, a warning appears."""
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


class Selective:
    """An observer with wishes.

    Attributes:
        kinds: the names of the classes of the events that it received.
    """

    def __init__(self, hears: Any = (Event,), *, failures_only: bool = False) -> None:
        self.hears = hears
        self.failures_only = failures_only
        self.kinds: list[str] = []

    def __call__(self, event: Event) -> None:
        """Note the class of the event."""
        self.kinds.append(type(event).__name__)


@pytest.mark.parametrize(
    "observer, expected",
    [
        (Selective(), ["CallStarted", "AttemptFinished", "CallFinished"] * 2),
        (Selective(CallFinished), ["CallFinished"] * 2),
        (Selective([CallFinished, CallStarted]), ["CallStarted", "CallFinished"] * 2),
        (Selective(failures_only=True), ["AttemptFinished", "CallFinished"]),
        (Selective((CallFinished,), failures_only=True), ["CallFinished"]),
        (Selective((ObserverFailed,)), ["ObserverFailed"] * 6),
        (Selective(()), []),
    ],
)
def test_observer_receives_the_events_it_declares(observer: Selective, expected: list[str]) -> None:
    """An observer with `hears` or `failures_only` receives only these events."""

    def broken(_: Event) -> None:
        raise ValueError

    others = [broken] if observer.hears == (ObserverFailed,) else []
    manager = ConnectorManager([Service("a", retry=None)], observers=[observer, *others])

    manager.run("a", lambda: None)
    with pytest.raises(ZeroDivisionError):
        manager.run("a", lambda: 1 / 0)

    assert expected == observer.kinds


def test_observer_of_failures_beside_another_receives_no_success() -> None:
    """The events of a success go to the other observer only."""
    everything, failures = Selective(), Selective(failures_only=True)
    manager = ConnectorManager([Service("a")], observers=[everything, failures])

    manager.run("a", lambda: None)

    assert ["CallStarted", "AttemptFinished", "CallFinished"] == everything.kinds
    assert [] == failures.kinds


def test_observer_hears_no_failure_of_another_inside_its_own_call() -> None:
    """A failure of another observer in a call that an observer makes is not reported to it."""
    failures: list[str | None] = []

    def alert(event: Event) -> None:
        if isinstance(event, ObserverFailed):
            failures.append(event.service)
        elif isinstance(event, CallFinished):
            manager.run("alerts", lambda: None)

    def broken(event: Event) -> None:
        raise ValueError(event)

    services = [Service("a"), Service("alerts")]
    manager = ConnectorManager(services, observers=[alert, broken])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        manager.run("a", lambda: None)

    assert ["a"] * 3 == failures


@pytest.mark.parametrize("hears", [("CallFinished",), (int,), ("CallFinished", CallFinished)])
def test_observer_declares_classes_of_events(hears: Any) -> None:
    """Anything but classes of events is refused when the manager is made."""
    with pytest.raises(ConfigurationError, match="Selective must have classes of events only"):
        ConnectorManager([Service("a")], observers=[Selective(hears)])


def test_ids_of_the_host_are_made_at_the_start() -> None:
    """A source of ids that the host gave is asked in the call, even if nobody reads the id."""
    made: list[str] = []

    class ContextIds:
        def new(self) -> str:
            made.append("from the context")
            return made[-1]

    log = MemoryIntegrationLogger()
    ConnectorManager([Service("a")], log=log, ids=ContextIds()).run("a", lambda: None)

    assert ["from the context"] == made
    assert "from the context" == log.find(LogQuery()).items[0].id


def test_id_sorts_by_the_start_of_its_call() -> None:
    """An id that is read late has the time at which its call started."""
    log = MemoryIntegrationLogger()
    manager = ConnectorManager([Service("a")], log=log)
    manager.run("a", lambda: None)
    (entry,) = log.find(LogQuery()).items

    assert int(entry.started_at.timestamp() * 1000) == ULID.from_str(entry.id).milliseconds
