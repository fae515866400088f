"""Who is told what happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from moorage.domain.events import Event


class Observer(Protocol):
    """Is handed every event, in the thread or task in which it happens.

    It returns quickly and does not block: what takes time it hands on. An observer that raises
    breaks no call; the others are told with an `ObserverFailed` event.
    """

    def __call__(self, event: Event, /) -> None: ...
