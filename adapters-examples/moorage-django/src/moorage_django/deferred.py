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

    The call is stored in the project's transaction, and made after the commit, or by
    `manage.py moorage deliver` if the setting WORKER is true. If the call cannot be made
    immediately, ends in a temporary error or is interrupted by a crash, it stays in the outbox for
    that command. Failures never affect the commit or the project's other hooks: they are reported
    to the logger `moorage_django` and in the entry.

    Args:
        contract: the contract, such as "payments".
        verb: the operation, such as "charge".
        values: the positional arguments of the operation.
        options: named arguments of the operation and of `Outbox.put`, such as `tenant`.
    """
    entry = process.outbox().put(contract, verb, *values, **options)
    if not project_settings().worker:

        def deliver_entry() -> None:
            with log_errors(f"The delivery of {contract}.{verb} after the commit", _REMEDY):
                process.outbox().deliver(process.hub(), ids=[entry.id])

        transaction.on_commit(deliver_entry, using=DEFAULT_DB_ALIAS)
    return entry
