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
    worker_steps: list[Step] = []
    if moored.handled:
        worker_steps.append(lambda: moored.inbox.handle(limit=limit))
    if moored.host.database is not None:
        settle = at_times(lambda: moored.hub.settle_payments(limit=_AT_ONCE), _SETTLING)

        def make_calls() -> Delivered:
            settle()
            return moored.outbox.deliver(moored.hub, limit=limit)

        worker_steps.append(make_calls)
    return worker_steps


def deliver(moored: Moored, *, limit: int = 100) -> list[Handled | Delivered]:
    """Do all due work once; return whether anything was done."""
    return [outcome for step in steps(moored, limit) if (outcome := step())]


def tidy(moored: Moored) -> int:
    """Delete entries older than the settings allow; return their number.

    Of webhooks and calls only those go that have come to their end. How old something is the store
    says, and not the clock of whoever tidies.
    """
    oldest_time = moored.stores.inbox.now() - timedelta(days=moored.settings.keep)
    removed_entries = moored.log.remove(LogQuery(until=oldest_time)) + moored.inbox.forget(
        oldest_time
    )
    return (
        removed_entries
        if moored.host.database is None
        else removed_entries + moored.outbox.forget(oldest_time)
    )
