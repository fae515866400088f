"""The lifetime of other libraries' clients, and the settings that conflict with them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

from moorage.domain.http.transport import Tls
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from moorage.adapters.http.connections._settings import ConnectionSettings


class Closable(Protocol):
    """An object that can be closed."""

    def close(self) -> object: ...


class SyncLibraryClient:
    """A synchronous client of another library, used in one process.

    Args:
        closables: the objects to close with it; never those of the host.
    """

    def __init__(self, closables: Iterable[Closable]) -> None:
        self._closables = tuple(closables)

    async def settle(self) -> None:
        """Return immediately, because no task runs in the background."""

    def shut(self) -> None:
        """Close the library objects that moorage created."""
        for closable in self._closables:
            with contextlib.suppress(Exception):
                closable.close()


class LoopLibraryClient:
    """An asynchronous client of another library, used in one event loop.

    Args:
        closers: the functions to await when it is closed; never those of the host's objects.

    Attributes:
        closing_tasks: the tasks that close exchanges and the client.
    """

    def __init__(self, closers: Iterable[Callable[[], Awaitable[object]]]) -> None:
        self._closables = tuple(closers)
        self._loop = asyncio.get_running_loop()
        self.closing_tasks: set[asyncio.Task[None]] = set()

    def shut(self) -> None:
        """Close the library objects that moorage created, in a new task."""
        with contextlib.suppress(RuntimeError):  # without a loop there is nothing to close
            if asyncio.get_running_loop() is self._loop:
                task = self._loop.create_task(self._close_all(tuple(self.closing_tasks)))
                self.closing_tasks.add(task)
                task.add_done_callback(self.closing_tasks.discard)

    async def settle(self) -> None:
        """Wait until the library's objects are closed."""
        if asyncio.get_running_loop() is self._loop:
            if self.closing_tasks:
                await asyncio.wait(self.closing_tasks)
            await asyncio.sleep(0)  # a closed connection releases its socket in the next iteration

    async def _close_all(self, earlier_tasks: tuple[asyncio.Task[None], ...]) -> None:
        if earlier_tasks:
            await asyncio.wait(earlier_tasks)
        for close in self._closables:
            with contextlib.suppress(Exception):
                await close()


def refuse_settings(
    client: object, name: str, settings: ConnectionSettings, *, with_proxy: bool = False
) -> None:
    """Raise an error if connection settings are given together with the application's client.

    Args:
        client: the host's client, if there is one.
        name: the argument of the client.
        settings: the settings of the adapter.
        with_proxy: whether the adapter's proxy is used for the host's client too.
    """
    tls, guard = settings.tls, settings.guard
    proxy = None if with_proxy else settings.proxy
    if client is None:
        return
    if guard is not None:
        raise ConfigurationError(
            f"Your {name} opens its own connections, so the guard cannot check their addresses.",
            path="guard",
            remedy=f"Leave out the {name}. moorage then uses its own {name}, which the guard"
            " checks.",
        )
    if proxy is not None or (tls is not None and tls != Tls(unverified=tls.unverified)):
        setting = "certificates" if proxy is None else "proxy"
        raise ConfigurationError(
            f"Your {name} has its own {setting}, so this setting would have no effect.",
            path="tls" if proxy is None else "proxy",
            remedy=f"Configure it where you create the {name}, or leave out the {name}.",
        )
