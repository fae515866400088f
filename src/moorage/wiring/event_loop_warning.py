"""A warning where a synchronous call blocks an event loop."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from moorage.adapters.notices import give_notice

if TYPE_CHECKING:
    from collections.abc import Callable


class EventLoopWarning:
    """Warns once if a synchronous call that waits is made in the thread of an event loop.

    asyncio is not imported for this check: if nothing has imported it, no loop runs.
    """

    def __init__(self) -> None:
        self._warned = False

    def wrap(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method with a check for event loops, which runs at every call."""
        modules = sys.modules

        def warn_in_event_loop(*args: Any) -> Any:
            asyncio_events: Any = modules.get("asyncio.events")
            if asyncio_events is not None and asyncio_events._get_running_loop() is not None:  # noqa: SLF001 - the public one raises where no loop runs
                self._warn_once()
            return verb(*args)

        return warn_in_event_loop

    def _warn_once(self) -> None:
        if self._warned:
            return
        self._warned = True
        give_notice(
            "a synchronous call of moorage blocks a running event loop and all of its tasks."
            " Use AsyncConnectorManager or moorage.aopen, or make the call in a thread, as"
            " with asyncio.to_thread.",
            stacklevel=2,
        )
