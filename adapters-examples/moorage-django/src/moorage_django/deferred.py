"""Calls to vendors that are made once the transaction they belong to is committed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.db import DEFAULT_DB_ALIAS, transaction

from moorage_django.runtime import process
from moorage_django.settings import chosen

if TYPE_CHECKING:
    from moorage.outbox import Outbox, OutboxEntry

_AT_ONCE: Final = 10


def outbox() -> Outbox:
    """The outbox of this project."""
    return process.outbox()


def after_commit(contract: str, verb: str, *values: Any, **options: Any) -> OutboxEntry:
    """Have a call made once the open transaction is committed, and not if it is rolled back.

    It is written down in the host's own transaction, and made right after the commit, or by
    `manage.py moorage deliver` where the settings say that there is a worker. A crash in between
    loses nothing: whoever delivers next makes it.

    Args:
        contract: such as "payments".
        verb: such as "charge".
        values: what the verb takes.
        options: what `Outbox.put` takes besides, such as `tenant`, and what the verb takes.
    """
    entry = process.outbox().put(contract, verb, *values, **options)
    if not chosen().worker:
        transaction.on_commit(partial(_deliver, _AT_ONCE), using=DEFAULT_DB_ALIAS, robust=True)
    return entry


def _deliver(limit: int) -> None:
    process.outbox().deliver(process.hub(), limit=limit)
