"""Observers for tests, which record events or raise errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from moorage.domain.observation.events import Event

Kind = TypeVar("Kind")


class RecordingObserver:
    """An observer that records all events.

    Attributes:
        events: every event so far, in order.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event, /) -> None:
        """Record an event."""
        self.events.append(event)

    def of(self, kind: type[Kind]) -> list[Kind]:
        """Return the recorded events of one class."""
        return [event for event in self.events if isinstance(event, kind)]


class FailingObserver:
    """An observer that raises an error for each event.

    Attributes:
        told: number of events that the observer received.
    """

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error or RuntimeError("This observer always fails.")
        self.told = 0

    def __call__(self, _: Event, /) -> None:
        """Count the event, and raise the error."""
        self.told += 1
        raise self._error
