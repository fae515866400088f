"""A hub of sync or async mode that is opened from a file, with an HTTP client in memory."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import TYPE_CHECKING, Any

import moorage
from moorage import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage import Event


class ReloadHarness:
    """An HTTP client that replies with the request's URL once the test opens the client's gate.

    Attributes:
        sent: the URLs, as they were sent.
    """

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.told: list[Event] = []
        self.gate = threading.Event()
        self.gate.set()
        self._counted = threading.Condition()
        self.hook: Callable[[], None] = lambda: None

    def _answer(self, url: str) -> Response:
        with self._counted:
            self.sent.append(url)
            self._counted.notify_all()
        self.hook()
        return Response(200, {}, url.encode())

    def wait_for(self, count: int) -> None:
        """Wait until at least this many requests were sent."""
        with self._counted:
            assert self._counted.wait_for(lambda: len(self.sent) >= count, 30)

    def client(self, *, is_async: bool) -> Any:
        """Return the synchronous or the asynchronous HTTP client."""
        return _AsyncClient(self) if is_async else _SyncClient(self)

    def open(self, source: Any, *, is_async: bool, **ports: Any) -> Any:
        """Open the hub of a configuration."""
        make = moorage.aopen if is_async else moorage.open
        ports.setdefault("http", self.client(is_async=is_async))
        return make(source, observers=[self.told.append], **ports)

    def kinds(self, *kinds: type[Event]) -> list[Event]:
        """Return the recorded events of these kinds."""
        return [report for report in self.told if isinstance(report, kinds)]


class _SyncClient:
    def __init__(self, town: ReloadHarness) -> None:
        self._town = town

    def send(self, request: Request, url: str, timeouts: Any) -> Response:
        """Wait until the test opens the gate, then answer the request."""
        answer = self._town._answer(url)  # noqa: SLF001 - its other half
        assert self._town.gate.wait(30)
        return answer


class _AsyncClient:
    def __init__(self, town: ReloadHarness) -> None:
        self._town = town

    async def send(self, request: Request, url: str, timeouts: Any) -> Response:
        """Wait until the test opens the gate, then answer the request."""
        answer = self._town._answer(url)  # noqa: SLF001 - its other half
        while not self._town.gate.is_set():  # noqa: ASYNC110 - a gate of both modes
            await asyncio.sleep(0)
        return answer


async def result_of(value: Any) -> Any:
    """Return a result, awaiting it if it is awaitable."""
    return await value if inspect.isawaitable(value) else value


def services(path: Path, **urls: str) -> Path:
    """Write a configuration file with these services, and replace the previous file."""
    lines = [f'[services.{name}]\nbase_url = "{url}"' for name, url in urls.items()]
    new_path = path.with_suffix(".new")
    new_path.write_text("\n".join(lines), encoding="utf-8")
    return new_path.replace(path)
