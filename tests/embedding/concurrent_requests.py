"""A client that proves that two requests are under way at the same time."""

from __future__ import annotations

from threading import Barrier
from typing import TYPE_CHECKING

from moorage.testing.sandboxes.base import SandboxHttpClient

if TYPE_CHECKING:
    from moorage import Request, Response
    from moorage.domain.http.requests import Timeouts
    from moorage.testing.sandboxes.base import Sandbox

_TIMEOUT = 60.0


class MeetingHttpClient:
    """An HTTP client that delays each request to a sandbox until a second one is also waiting."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._client = SandboxHttpClient(sandbox)
        self._barrier = Barrier(2)

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request while a second request waits.

        Raise BrokenBarrierError if no second request comes.
        """
        self._barrier.wait(_TIMEOUT)
        return self._client.send(request, url, timeouts)
