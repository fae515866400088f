"""Observers that choose, for each call, which events they receive if the call succeeds."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AsyncConnectorManager,
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallStarted,
    ConnectorManager,
    Event,
    ObserverFailed,
    Request,
    Response,
    Service,
)
from moorage.adapters.logs.memory import MemoryIntegrationLogger
from moorage.adapters.observers.standard_logging import LoggingObserver
from moorage.domain.observation.integration_log import LogQuery
from moorage.testing import FakeVendor, RecordingObserver, ScriptedHttpClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.observation.call_events import SuccessFacts

ALL = (CallStarted, AttemptStarted, AttemptFinished, CallFinished)


class SwitchableObserver:
    """An observer whose `current_event_classes` returns its attribute `wishes`."""

    event_classes = (Event, AttemptStarted)

    def __init__(self, *wishes: type[Event]) -> None:
        self.wishes: Any = wishes
        self.asked = 0
        self.kinds: list[str] = []

    def current_event_classes(self) -> tuple[type[Event], ...]:
        """Return the event classes that the observer wants now."""
        self.asked += 1
        if isinstance(self.wishes, Exception):
            raise self.wishes
        wishes: tuple[type[Event], ...] = self.wishes
        return wishes

    def __call__(self, event: Event, /) -> None:
        """Record the class of the event."""
        self.kinds.append(type(event).__name__)


class Reader(SwitchableObserver):
    """An observer that reads the details of a successful call."""

    def __init__(self, read: Callable[[SuccessFacts], object] | None = None) -> None:
        super().__init__(*ALL)
        self.read = read
        self.facts: list[SuccessFacts] = []

    def read_success(self, facts: SuccessFacts, /) -> None:
        """Record the details of the success."""
        self.facts.append(facts)
        if self.read is not None:
            self.read(facts)


def run(*observers: Any, calls: int = 2) -> None:
    """Make successful calls: the first on the general path, all others on the fast path."""
    manager = ConnectorManager([Service("a")], observers=observers)
    manager.run("a", lambda: None)
    for observer in observers:
        if hasattr(observer, "kinds"):
            observer.kinds.clear()
            observer.asked = 0
    for _ in range(calls - 1):
        manager.run("a", lambda: None)


@pytest.mark.parametrize(
    "wishes", [(), (CallFinished,), (CallStarted, AttemptStarted), (AttemptFinished,), ALL]
)
def test_observer_receives_what_it_wants_of_a_success(wishes: tuple[type[Event], ...]) -> None:
    """A success emits only the events in `current_event_classes`, once for each call."""
    observer, other = SwitchableObserver(*wishes), RecordingObserver()

    run(observer, other)

    assert [kind.__name__ for kind in wishes] == observer.kinds
    assert 1 == observer.asked
    assert ["CallStarted", "AttemptFinished", "CallFinished"] * 2 == [
        type(event).__name__ for event in other.events
    ]


@pytest.mark.parametrize("wishes", [(), (CallFinished,), ALL])
def test_chosen_event_classes_apply_to_requests_and_to_asynchronous_functions(
    wishes: tuple[type[Event], ...],
) -> None:
    """The chosen event classes apply to requests and to asynchronous functions, too."""
    sync_observer, async_observer = SwitchableObserver(*wishes), SwitchableObserver(*wishes)
    vendor = FakeVendor([Response(200)] * 2)
    manager = ConnectorManager(
        [Service("a", base_url="https://a.example")],
        http=ScriptedHttpClient(vendor),
        observers=[sync_observer],
    )
    async_manager = AsyncConnectorManager([Service("a")], observers=[async_observer])

    async def do_nothing() -> None:
        """Do nothing."""

    async def make_calls() -> None:
        for _ in range(2):
            async_observer.kinds.clear()
            await async_manager.run("a", do_nothing)

    for _ in range(2):
        sync_observer.kinds.clear()
        manager.call("a", Request.get("/x"))
    asyncio.run(make_calls())

    names = [kind.__name__ for kind in wishes]
    assert (names, names) == (sync_observer.kinds, async_observer.kinds)


def test_observer_that_wants_no_successes_receives_failures() -> None:
    """An observer that wants no events of successes still gets the event of a failed call's end."""
    observer = SwitchableObserver()
    manager = ConnectorManager([Service("a", retry=None)], observers=[observer])
    manager.run("a", lambda: None)
    observer.kinds.clear()

    with pytest.raises(ZeroDivisionError):
        manager.run("a", lambda: 1 / 0)

    assert ["AttemptFinished", "CallFinished"] == observer.kinds


def test_chosen_event_classes_may_change_between_calls() -> None:
    """A change of the chosen event classes applies from the next call on."""
    observer = SwitchableObserver()
    manager = ConnectorManager([Service("a")], observers=[observer])
    manager.run("a", lambda: None)
    observer.kinds.clear()

    def change() -> None:
        observer.wishes = (CallFinished,)

    manager.run("a", change)
    assert [] == observer.kinds
    manager.run("a", lambda: None)

    assert ["CallFinished"] == observer.kinds


@pytest.mark.parametrize("wishes", [ValueError("a bug"), [CallFinished], 7])
def test_observer_gets_all_its_event_classes_if_current_event_classes_is_invalid(
    wishes: Any,
) -> None:
    """If `current_event_classes` is invalid, the observer gets all its `event_classes`."""
    observer = SwitchableObserver()
    observer.wishes = wishes

    run(observer)

    assert [kind.__name__ for kind in ALL] == observer.kinds


def test_observers_get_their_events_even_with_many_combinations() -> None:
    """Observers get their chosen events even if there are too many choices to be cached."""
    observer = SwitchableObserver()
    manager = ConnectorManager([Service("a")], observers=[observer])
    manager.run("a", lambda: None)
    observer.kinds.clear()

    for number in range(100):
        observer.wishes = (CallFinished,) * (number + 1)
        manager.run("a", lambda: None)

    assert ["CallFinished"] * 100 == observer.kinds


def test_observer_with_read_success_gets_call_start() -> None:
    """An observer with `read_success` gets the call's start, and then details of its success."""
    reader, other = Reader(), RecordingObserver()

    run(reader, other)

    assert ["CallStarted", "AttemptStarted"] == reader.kinds
    (facts,) = reader.facts
    (event,) = other.of(CallFinished)[1:]
    assert (event.request_id, event.attempts) == (facts[0].request_id, 1)


def test_failing_reader_is_reported() -> None:
    """If `read_success` raises an error, the call succeeds, and other observers are told."""

    def raise_error(_: SuccessFacts) -> None:
        raise ValueError

    reader, other = Reader(raise_error), RecordingObserver()

    run(reader, other)

    (failure,) = other.of(ObserverFailed)
    assert ("ValueError", 2) == (failure.error, len(other.of(CallFinished)))


def test_failing_listener_is_reported_with_the_facts_of_its_call() -> None:
    """If an observer raises at the end of a call on the fast path, the error is reported."""

    class FailingObserver(SwitchableObserver):
        def __call__(self, event: Event, /) -> None:
            if type(event) is CallFinished:
                raise ValueError

    other = RecordingObserver()

    run(FailingObserver(CallFinished), other, calls=3)

    failures = other.of(ObserverFailed)
    assert 3 == len(failures)
    assert [event.request_id for event in other.of(CallFinished)] == [
        failure.request_id for failure in failures
    ]


def test_reader_of_successes_gets_no_facts_of_its_own_calls() -> None:
    """If `read_success` makes calls itself, the observer gets no details of those calls."""
    reader = Reader(lambda _: manager.run("b", lambda: None))
    manager = ConnectorManager([Service("a"), Service("b")], observers=[reader])
    for _ in range(3):
        manager.run("b", lambda: None)
    reader.facts.clear()

    manager.run("a", lambda: None)
    manager.run("a", lambda: None)

    assert {"a"} == {facts[1].service.name for facts in reader.facts}


def test_call_without_observers_has_the_same_id_in_error_and_log() -> None:
    """If a call without observers fails, the error and the log contain the same call id."""
    observer, log = SwitchableObserver(), MemoryIntegrationLogger()
    manager = ConnectorManager([Service("a", retry=None)], observers=[observer], log=log)
    silent_manager = ConnectorManager(
        [Service("a", retry=None, base_url="https://a.example")],
        http=ScriptedHttpClient(FakeVendor([Response(200), Response(422)])),
        observers=[observer],
    )
    for _ in range(2):
        manager.run("a", lambda: None)
    ids = {entry.id for entry in log.find(LogQuery()).items}
    silent_manager.call("a", Request.get("/"))
    with pytest.raises(Exception, match="422") as failure:
        silent_manager.call("a", Request.get("/"))

    assert 2 == len(ids)
    assert 26 == len(failure.value.request_id)  # type: ignore[attr-defined]  # every error of moorage has one


@pytest.mark.parametrize(
    "level, expected",
    [
        (logging.DEBUG, ["CallStarted", "AttemptStarted", "AttemptFinished", "CallFinished"]),
        (logging.INFO, ["CallFinished"]),
        (logging.WARNING, []),
    ],
)
def test_logger_below_its_level_gets_no_events(
    level: int, expected: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The logger's level at the start of a call decides what is logged about its success."""
    logger = logging.getLogger("shop.listeners")
    manager = ConnectorManager([Service("a")], observers=[LoggingObserver(logger)])
    manager.run("a", lambda: None)
    caplog.set_level(level, "shop.listeners")
    caplog.clear()

    manager.run("a", lambda: None)

    assert expected == [record.moorage_event for record in caplog.records]  # type: ignore[attr-defined]  # an extra of the observer
