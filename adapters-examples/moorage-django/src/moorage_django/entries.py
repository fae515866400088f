"""Inbox and outbox in Django's database: moorage's stores, on connections that Django opens."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import connections, transaction

from moorage.adapters.entries.host import AsyncHostInbox, AsyncHostOutbox, HostInbox, HostOutbox
from moorage_django.errors import translating_errors
from moorage_django.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

A = TypeVar("A")


class _ConnectionSource:
    """Provides the connection of a database alias.

    Args:
        alias: of the database.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias

    @translating_errors
    def lend(self, work: Callable[[Any], A], /) -> A:
        """Call a function in a transaction, which joins the host's open one."""
        with transaction.atomic(using=self._alias, savepoint=False):
            return work(connections[self._alias])

    def skips_locked(self) -> bool:
        """True if the server supports SKIP LOCKED."""
        return bool(connections[self._alias].features.has_select_for_update_skip_locked)

    @property
    def options(self) -> dict[str, Any]:
        """Return the options of a moorage store."""
        return {
            "database": connections[self._alias].vendor,
            "lend": self.lend,
            "mark": "%s",
            "skips_locked": self.skips_locked,
        }


class _ThreadRelease:
    alias: str

    def release_thread(self) -> None:
        """Close the connection of a thread that no request ends."""
        connections[self.alias].close()


class OrmInbox(_ThreadRelease, HostInbox):
    """Keeps webhooks in the database of an alias.

    Args:
        alias: of the database.
    """

    def __init__(self, alias: str = "default") -> None:
        super().__init__(**_ConnectionSource(alias).options)
        self.alias = alias


class OrmOutbox(_ThreadRelease, HostOutbox):
    """Keeps calls in the database of an alias.

    Args:
        alias: of the database: the host's own, so that `add` is part of its transactions.
    """

    def __init__(self, alias: str = "default") -> None:
        super().__init__(**_ConnectionSource(alias).options)
        self.alias = alias


class AsyncOrmInbox(AsyncHostInbox):
    """The asynchronous `OrmInbox`: threads wait for the database, outside any transaction.

    Args:
        alias: of the database.
    """

    def __init__(self, alias: str = "default") -> None:
        super().__init__(OrmInbox(alias), partial(in_thread, alias))


class AsyncOrmOutbox(AsyncHostOutbox):
    """The asynchronous `OrmOutbox`, outside any transaction of the host.

    Args:
        alias: of the database.
    """

    def __init__(self, alias: str = "default") -> None:
        super().__init__(OrmOutbox(alias), partial(in_thread, alias))
