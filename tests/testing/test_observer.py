"""Observers for tests: they record events or fail."""

from datetime import UTC, datetime

import pytest

from moorage.domain.observation.call_events import CallStarted
from moorage.domain.observation.events import Event, RateLimitWaited
from moorage.testing.fakes.observer import FailingObserver, RecordingObserver

NOW = datetime(2030, 1, 1, tzinfo=UTC)
STARTED = CallStarted(at=NOW, service="a")
WAITED = RateLimitWaited(at=NOW, service="a", delay=1.0)


def test_events_are_kept_in_order() -> None:
    """A recording observer keeps events in order, and finds them by class."""
    observer = RecordingObserver()
    for event in (STARTED, WAITED):
        observer(event)

    assert [STARTED, WAITED] == observer.events == observer.of(Event)
    assert [WAITED] == observer.of(RateLimitWaited)


@pytest.mark.parametrize("error", [None, KeyError("a")])
def test_fails_every_time(error: Exception | None) -> None:
    """A failing observer raises an error at each event, and counts the events."""
    observer = FailingObserver(error)
    for _ in range(2):
        with pytest.raises(type(error or RuntimeError())):
            observer(STARTED)

    assert 2 == observer.told
