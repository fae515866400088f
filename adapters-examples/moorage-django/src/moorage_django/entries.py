"""Inbox and outbox in Django's database: moorage's stores over Django's connections."""

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
    """Provides a database alias's connection.

    Args:
        alias: the database alias.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias

    @translating_errors
    def lend(self, work: Callable[[Any], A], /) -> A:
        """Call a function in the project's open transaction, or else in a new one."""
        with transaction.atomic(using=self._alias, savepoint=False):
            return work(connections[self._alias])

    def skips_locked(self) -> bool:
        """True if the server supports SKIP LOCKED."""
        return bool(connections[self._alias].features.has_select_for_update_skip_locked)

    @property
    def options(self) -> dict[str, Any]:
        """Return a moorage store's options."""
        return {
            "database": connections[self._alias].vendor,
            "lend": self.lend,
            "mark": "%s",
            "skips_locked": self.skips_locked,
        }


class _ThreadRelease:
    alias: str

    def release_thread(self) -> None:
        """Close the database connection of a thread that serves no request."""
        connections[self.alias].close()


class OrmInbox(_ThreadRelease, HostInbox):
    """An inbox in a database alias.

    Args:
        alias: the database alias.
    """

    def __init__(self, alias: str = "default") -> None:
        super().__init__(**_ConnectionSource(alias).options)
        self.alias = alias


class OrmOutbox(_ThreadRelease, HostOutbox):
    """An outbox in a database alias.

    Args:
        alias: the project's database alias, so that `add` is part of the project's transactions.
    """

    def __init__(self, alias: str = "default") -> None:
        super().__init__(**_ConnectionSource(alias).options)
        self.alias = alias


class AsyncOrmInbox(AsyncHostInbox):
    """The asynchronous `OrmInbox`; threads access the database, outside transactions.

    Args:
        alias: the database alias.
    """

    def __init__(self, alias: str = "default") -> None:
        super().__init__(OrmInbox(alias), partial(in_thread, alias))


class AsyncOrmOutbox(AsyncHostOutbox):
    """The asynchronous `OrmOutbox`; threads access the database, outside transactions.

    Args:
        alias: the database alias.
    """

    def __init__(self, alias: str = "default") -> None:
        super().__init__(OrmOutbox(alias), partial(in_thread, alias))
