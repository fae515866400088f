"""Observers of events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from moorage.domain.observation.events import Event


class Observer(Protocol):
    """Receives every event, in the thread or task in which it happens.

    It must return quickly and not block: slow work belongs elsewhere. An observer that raises
    breaks no call; the other observers receive an `ObserverFailed` event.
    """

    def __call__(self, event: Event, /) -> None: ...
