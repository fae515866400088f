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
    from moorage_flask.objects import MoorageObjects

Round: TypeAlias = "HandledWebhooks | DeliveredCalls | Sequence[SettledPayment]"
Step: TypeAlias = "Callable[[], Round]"

_SETTLING: Final = 60.0
"""Seconds between two attempts to settle payments."""
_AT_ONCE: Final = 10


def steps(objects: MoorageObjects, limit: int, at_once: int = 1) -> list[Step]:
    """Yield the worker's steps: handle webhooks if there are handlers, and make stored calls.

    Before stored calls, the worker regularly asks vendors for the outcomes of unknown payments.

    Args:
        objects: the application's moorage objects.
        limit: the maximum number of webhooks and of calls.
        at_once: the number of concurrent calls.
    """
    worker_steps: list[Step] = []
    if objects.handled:
        worker_steps.append(lambda: objects.inbox.handle(limit=limit))
    if objects.host.database is not None:
        worker_steps += (
            at_times(lambda: objects.hub.settle_payments(limit=_AT_ONCE), _SETTLING),
            lambda: objects.outbox.deliver(objects.hub, limit=limit, at_once=at_once),
        )
    return worker_steps


def run_once(objects: MoorageObjects, *, limit: int = 100, at_once: int = 1) -> list[Round]:
    """Do all due work once; return the counts of webhooks, settled payments and calls, if any."""
    return [outcome for step in steps(objects, limit, at_once) if (outcome := step())]


def deliver(objects: MoorageObjects, *, limit: int = 100) -> list[HandledWebhooks | DeliveredCalls]:
    """Do all due work once; return the counts of webhooks and calls, if any."""
    rounds = run_once(objects, limit=limit)
    return [outcome for outcome in rounds if isinstance(outcome, (HandledWebhooks, DeliveredCalls))]


def delete_old_entries(objects: MoorageObjects) -> int:
    """Delete entries older than the settings allow, and return their number.

    Webhooks that are not handled and calls that are not finished are kept. The age of an entry is
    measured with the store's clock.
    """
    oldest_time = objects.stores.inbox.now() - timedelta(days=objects.settings.keep)
    removed_entries = objects.log.remove(LogQuery(until=oldest_time)) + objects.inbox.forget(
        oldest_time
    )
    return (
        removed_entries
        if objects.host.database is None
        else removed_entries + objects.outbox.forget(oldest_time)
    )
