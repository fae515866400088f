"""Observers around a host's own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from moorage.adapters.notices import give_notice
from moorage.domain.values.names import name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.observation.events import Event, ObserverFailed
    from moorage.ports.observer import Observer


class NonReentrantObserver:
    """An observer that receives no events of the calls that it makes while handling an event.

    Else one that calls the manager it observes would never come to an end.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._inside = threading.local()
        self.__qualname__ = name_of(observer)

    def __call__(self, event: Event) -> None:
        """Pass the event on, unless this thread is already passing one on."""
        inside = self._inside
        if getattr(inside, "telling", False):
            return
        inside.telling = True
        try:
            self._observer(event)
        finally:
            inside.telling = False


class UnobservedFailure:
    """Warns of an observer that failed where no other observer heard it, once for each error."""

    def __init__(self) -> None:
        self._warned: set[tuple[str, str]] = set()

    def __call__(self, failed: ObserverFailed) -> None:
        """Warn, unless this observer has failed in this way before."""
        failure = failed.observer, failed.error
        if failure in self._warned:
            return
        self._warned.add(failure)
        give_notice(
            f"the observer {failed.observer} failed ({failed.error}) and missed an event, and"
            " no other observer heard of it. Correct it, or add an observer that takes"
            " ObserverFailed.",
            stacklevel=2,
        )


class LogObserver:
    """Writes an entry of the integration log for every call that finished."""

    def __init__(self, write: Callable[[Any], None]) -> None:
        from moorage.domain.observation.integration_log import entry_of

        self._entry_of = entry_of
        self._write = write

    def __call__(self, event: Event) -> None:
        """Write, if a call finished."""
        entry = self._entry_of(event)
        if entry is not None:
            self._write(entry)
