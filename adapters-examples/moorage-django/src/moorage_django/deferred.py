"""Calls to vendors that are made after a transaction commits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db import DEFAULT_DB_ALIAS, transaction

from moorage_django.guard import log_errors
from moorage_django.runtime import process
from moorage_django.settings import project_settings

if TYPE_CHECKING:
    from moorage.hub.outbox import Outbox, OutboxEntry

_REMEDY: Final = "It stays in the outbox until `manage.py moorage deliver` makes the call."


def outbox() -> Outbox:
    """Return this project's outbox."""
    return process.outbox()


def after_commit(contract: str, verb: str, *values: Any, **options: Any) -> OutboxEntry:
    """Make a call after the open transaction commits.

    If the transaction rolls back, the call is not made.

    It is written down in the host's own transaction, and made right after the commit, or by
    `manage.py moorage deliver` where the settings say that there is a worker. What cannot be made
    right away, or ends in an error that may pass, stays in the outbox for that command; so does
    what a crash has interrupted. The commit and the host's other hooks are never disturbed: the
    reason goes to the logger `moorage_django`, and to the entry.

    Args:
        contract: such as "payments".
        verb: such as "charge".
        values: what the verb takes.
        options: what `Outbox.put` takes besides, such as `tenant`, and what the verb takes.
    """
    entry = process.outbox().put(contract, verb, *values, **options)
    if not project_settings().worker:

        def deliver_entry() -> None:
            with log_errors(f"The delivery of {contract}.{verb} after the commit", _REMEDY):
                process.outbox().deliver(process.hub(), ids=[entry.id])

        transaction.on_commit(deliver_entry, using=DEFAULT_DB_ALIAS)
    return entry
