"""Clients of pymongo in threads, for the synchronous connector only."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pymongo
from pymongo import MongoClient, ReadPreference
from pymongo.errors import PyMongoError

from moorage.adapters.concurrency.thread_start import start_thread
from moorage.adapters.mongodb._monitor import obstacles_of
from moorage.domain.connectors.mongodb_failures import unreachable_error
from moorage.errors import LocalFailure

if TYPE_CHECKING:
    from collections.abc import Callable
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
        LocalFailure: the system has no more threads.
    """
    if monitor.is_ready(client, for_writing=for_writing):
        return
    if monitor.begin_search():
        searches_secondary = not for_writing and client.read_preference != ReadPreference.PRIMARY
        search = _ask_readable if searches_secondary else _find_writable
        thread = Thread(target=_search, args=(search, client, monitor, seconds), daemon=True)
        try:
            start_thread(thread)
        except LocalFailure:
            monitor.end_search()
            raise
    monitor.wait_for_search(seconds)
    if not monitor.is_ready(client, for_writing=for_writing):
        raise unreachable_error(obstacles_of(client))


def _search(
    search: Callable[[Any, float], None], client: Any, monitor: Monitor, seconds: float
) -> None:
    try:
        with suppress(PyMongoError):
            search(client, seconds)
    finally:
        monitor.end_search()


def _find_writable(client: Any, _: float) -> None:
    _ = client.is_primary


def _ask_readable(client: Any, seconds: float) -> None:
    # Only an operation waits until a server that the read preference allows is available.
    with pymongo.timeout(seconds):
        client.admin.command("ping", read_preference=client.read_preference)
