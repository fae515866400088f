"""Clients of pymongo in threads, for the synchronous connector only."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from moorage.adapters.mongodb._monitor import obstacles_of
from moorage.domain.connectors.mongodb_failures import unreachable_error

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from moorage.adapters.mongodb._monitor import Monitor

R = TypeVar("R")

Client: Final = MongoClient
EndOfStream: Final = StopIteration


class Scope:
    """The owner of a synchronous connector: all threads of the process."""

    def check(self) -> None:
        """Do nothing, because every thread may use the connector."""


def time_limit(_: float) -> AbstractContextManager[None]:
    """Return a context manager that does nothing, because pymongo limits the time itself."""
    return nullcontext()


def cancellable(result: R) -> R:
    """Return the result unchanged, because a synchronous operation cannot be cancelled."""
    return result


def ready(client: Any, monitor: Monitor, seconds: float, *, for_writing: bool) -> None:
    """Wait until the client knows a server that accepts operations.

    pymongo looks for a server up to half a second longer than allowed. So it looks in a thread of
    its own, for which the caller waits only for the allowed time.

    Raises:
        ConnectionFailed: no server was found in time.
    """
    if monitor.is_ready(client, for_writing=for_writing):
        return
    if monitor.begin_search():
        Thread(target=_search, args=(client, monitor), daemon=True).start()
    monitor.wait_for_search(seconds)
    if not monitor.is_ready(client, for_writing=for_writing):
        raise unreachable_error(obstacles_of(client))


def _search(client: Any, monitor: Monitor) -> None:
    try:
        with suppress(PyMongoError):
            _ = client.is_primary
    finally:
        monitor.end_search()
