"""Closes connections when their event loop ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

_OPEN_GUARDS: Final[set[AsyncGenerator[None]]] = set()


async def close_with_loop(close: Callable[[], Awaitable[object]]) -> AsyncGenerator[None]:
    """Return a generator that awaits `close` when the generator or its event loop is closed.

    `asyncio.run` closes all generators of its loop at the end. A global reference keeps the guard
    alive until then, because the garbage collector could find it when the loop has ended.
    """

    async def wait_for_close() -> AsyncGenerator[None]:
        try:
            yield
        finally:
            _OPEN_GUARDS.discard(guard)
            await close()

    guard = wait_for_close()
    _OPEN_GUARDS.add(guard)
    await anext(guard)
    return guard
