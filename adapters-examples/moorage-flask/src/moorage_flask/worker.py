"""The worker's steps: handle webhooks, make stored calls, delete old entries."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

from moorage import LogQuery
from moorage.hub.inbox import HandledWebhooks
from moorage.hub.outbox import DeliveredCalls
from moorage.hub.worker import at_times

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.contracts.payments import SettledPayment
    from moorage_flask.moored import MoorageObjects

Round: TypeAlias = "HandledWebhooks | DeliveredCalls | Sequence[SettledPayment]"
Step: TypeAlias = "Callable[[], Round]"

_SETTLING: Final = 60.0
"""Seconds between two attempts to settle payments."""
_AT_ONCE: Final = 10


def steps(moored: MoorageObjects, limit: int, at_once: int = 1) -> list[Step]:
    """Yield the worker's steps: handle webhooks if there are handlers, and make stored calls.

    Before stored calls, the worker regularly asks vendors for the outcomes of unknown payments.

    Args:
        moored: the application's moorage objects.
        limit: the maximum number of webhooks and of calls.
        at_once: the number of concurrent calls.
    """
    worker_steps: list[Step] = []
    if moored.handled:
        worker_steps.append(lambda: moored.inbox.handle(limit=limit))
    if moored.host.database is not None:
        worker_steps += (
            at_times(lambda: moored.hub.settle_payments(limit=_AT_ONCE), _SETTLING),
            lambda: moored.outbox.deliver(moored.hub, limit=limit, at_once=at_once),
        )
    return worker_steps


def run_once(moored: MoorageObjects, *, limit: int = 100, at_once: int = 1) -> list[Round]:
    """Do all due work once; return the counts of webhooks, settled payments and calls, if any."""
    return [outcome for step in steps(moored, limit, at_once) if (outcome := step())]


def deliver(moored: MoorageObjects, *, limit: int = 100) -> list[HandledWebhooks | DeliveredCalls]:
    """Do all due work once; return the counts of webhooks and calls, if any."""
    rounds = run_once(moored, limit=limit)
    return [outcome for outcome in rounds if isinstance(outcome, (HandledWebhooks, DeliveredCalls))]


def delete_old_entries(moored: MoorageObjects) -> int:
    """Delete entries older than the settings allow, and return their number.

    Webhooks that are not handled and calls that are not finished are kept. The age of an entry is
    measured with the store's clock.
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
