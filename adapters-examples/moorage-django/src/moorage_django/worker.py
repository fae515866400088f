"""The worker's steps: handle webhooks, make stored calls, delete old entries."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

from django.db import close_old_connections

from moorage import LogQuery
from moorage.hub.worker import at_times
from moorage_django.runtime import process
from moorage_django.settings import project_settings
from moorage_django.webhooks import has_handlers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.contracts.payments import SettledPayment
    from moorage.hub.inbox import HandledWebhooks
    from moorage.hub.outbox import DeliveredCalls

Step: TypeAlias = "Callable[[], Sequence[HandledWebhooks | DeliveredCalls | SettledPayment]]"

_TIDYING: Final = 3_600.0
_SETTLING: Final = 60.0


def deliver(limit: int = 100, at_once: int = 1) -> list[HandledWebhooks | DeliveredCalls]:
    """Handle webhooks and make stored calls once; return whether there were any.

    Args:
        limit: the maximum number of webhooks and of calls.
        at_once: the number of concurrent calls, each in its own thread.
    """
    close_old_connections()
    rounds: list[HandledWebhooks | DeliveredCalls] = []
    if has_handlers():
        rounds.append(process.inbox().handle(limit=limit))
    rounds.append(process.outbox().deliver(process.hub(), limit=limit, at_once=at_once))
    process.flush()
    return [value for value in rounds if value]


def delete_old_entries() -> int:
    """Delete expired states, and entries older than the settings allow."""
    options = project_settings()
    removed_entries = 0
    if options.keep is not None:
        # The store's clock determines the age of an entry.
        oldest_time = process.now() - timedelta(days=options.keep)
        removed_entries += process.log().remove(LogQuery(until=oldest_time))
        removed_entries += process.inbox().forget(oldest_time)
        removed_entries += process.outbox().forget(oldest_time)
    housekeep = getattr(process.ports()["state"], "housekeep", None)
    return removed_entries + (0 if housekeep is None else int(housekeep()))


def settle() -> list[SettledPayment]:
    """Ask vendors for unknown outcomes of payments, and return the payments that this settled."""
    close_old_connections()
    return process.hub().settle_payments(limit=10)


def steps(at_once: int = 1) -> list[Step]:
    """Yield the worker's steps: handle a webhook, make some calls, and now and then clean up.

    Args:
        at_once: the number of concurrent calls.
    """

    def delete_old() -> list[HandledWebhooks | DeliveredCalls]:
        delete_old_entries()
        return []

    def deliver_batch() -> list[HandledWebhooks | DeliveredCalls]:
        return deliver(at_once, at_once)

    return [at_times(settle, _SETTLING), deliver_batch, at_times(delete_old, _TIDYING)]
