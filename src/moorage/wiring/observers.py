"""Observers around a host's own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from moorage.domain.names import name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.events import Event
    from moorage.ports.observer import Observer


class NotItself:
    """An observer that is not told of the calls which it makes itself, while it is being told.

    Else one that calls the manager it observes would never come to an end.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._inside = threading.local()
        self.__qualname__ = name_of(observer)

    def __call__(self, event: Event) -> None:
        """Tell, unless this thread is telling it something already."""
        inside = self._inside
        if getattr(inside, "telling", False):
            return
        inside.telling = True
        try:
            self._observer(event)
        finally:
            inside.telling = False


class LogObserver:
    """Writes an entry of the integration log for every call that finished."""

    def __init__(self, write: Callable[[Any], None]) -> None:
        from moorage.domain.integration_log import entry_of

        self._entry_of = entry_of
        self._write = write

    def __call__(self, event: Event) -> None:
        """Write, if a call finished."""
        entry = self._entry_of(event)
        if entry is not None:
            self._write(entry)
