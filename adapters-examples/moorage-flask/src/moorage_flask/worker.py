"""The steps of the worker: handle webhooks, make stored calls, delete old entries."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

from moorage import LogQuery
from moorage.hub.worker import at_times

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.hub.inbox import Handled
    from moorage.hub.outbox import Delivered
    from moorage_flask.moored import Moored

Step: TypeAlias = "Callable[[], Handled | Delivered]"

_SETTLING: Final = 60.0
"""Seconds from one time that payments are settled to the next."""
_AT_ONCE: Final = 10


def steps(moored: Moored, limit: int) -> list[Step]:
    """Handle webhooks if there are handlers, and make calls if the application stores any.

    Before it makes calls, it settles at times what vendors can tell of unknown payments.

    Args:
        moored: whose.
        limit: how many of each at most.
    """
    taken_functions: list[Step] = []
    if moored.handled:
        taken_functions.append(lambda: moored.inbox.handle(limit=limit))
    if moored.host.database is not None:
        settle = at_times(lambda: moored.hub.settle_payments(limit=_AT_ONCE), _SETTLING)

        def make_calls() -> Delivered:
            settle()
            return moored.outbox.deliver(moored.hub, limit=limit)

        taken_functions.append(make_calls)
    return taken_functions


def deliver(moored: Moored, *, limit: int = 100) -> list[Handled | Delivered]:
    """Do all due work once; return whether anything was done."""
    return [done for step in steps(moored, limit) if (done := step())]


def tidy(moored: Moored) -> int:
    """Delete entries older than the settings allow; return their number.

    Of webhooks and calls only those go that have come to their end. How old something is the store
    says, and not the clock of whoever tidies.
    """
    previous_time = moored.stores.inbox.now() - timedelta(days=moored.settings.keep)
    gone = moored.log.remove(LogQuery(until=previous_time)) + moored.inbox.forget(previous_time)
    return gone if moored.host.database is None else gone + moored.outbox.forget(previous_time)
