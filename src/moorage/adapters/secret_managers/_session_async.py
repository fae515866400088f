"""Sessions that do not block the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.concurrency.locks_async import AsyncioLocks
from moorage.adapters.concurrency.pooled_threads import to_thread
from moorage.adapters.secret_managers._session import HttpWire, Session, content_of
from moorage.domain.values.durations import seconds

if TYPE_CHECKING:
    from datetime import timedelta

    from moorage.domain.http.requests import Request, Response
    from moorage.domain.http.timeouts import Timeouts
    from moorage.domain.secrets.secret import Secret
    from moorage.ports.clock import Clock
    from moorage.ports.http import AsyncHttpClient
    from moorage.ports.secret_manager import LoginProvider

P = TypeVar("P", bound="LoginProvider")

_UNLIMITED_QUEUE: Final = 10**9


def session_async(
    provider: P, client: AsyncHttpClient, timeout: float | timedelta, clock: Clock | None
) -> Session[P]:
    """Return a session with a secret manager whose operations are awaited."""
    locks = AsyncioLocks()

    async def send_request(request: Request, url: str, timeouts: Timeouts) -> Response:
        return await client.send(request, url, timeouts)

    async def enter(holder: object, timeout: float) -> bool:
        return await locks.acquire("", holder, slots=1, queue=_UNLIMITED_QUEUE, timeout=timeout)

    async def read_secret(path: str) -> Secret | None:
        return await to_thread(content_of, path)

    timeout_seconds = seconds(timeout, "timeout")
    wire = HttpWire(
        provider.where, send_request, read_secret, timeout_seconds, clock or SystemClock()
    )
    return Session(provider, wire, enter, lambda holder: locks.release("", holder))
