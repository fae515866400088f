"""Liveness, readiness and health pages as small WSGI and ASGI applications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.monitoring.health_pages import health_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from moorage.domain.monitoring.health import Health
    from moorage.hub.health import AsyncHealthMonitor, HealthMonitor


class HealthApp:
    """A WSGI application with the pages `/live`, `/ready` and `/health`.

    It shows the health of the monitor's last check, and reads no store itself.

    Args:
        monitor: the monitor.
    """

    def __init__(self, monitor: HealthMonitor | AsyncHealthMonitor) -> None:
        self._read = _reader(monitor)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request for one of the health pages."""
        answer = health_answer(
            environ.get("REQUEST_METHOD", "GET"), environ.get("PATH_INFO", ""), self._read
        )
        start_response(answer.status_line, list(answer.headers))
        return [answer.body]


class AsyncHealthApp:
    """An ASGI application with the pages `/live`, `/ready` and `/health`.

    It shows the health of the monitor's last check, and reads no store itself.

    Args:
        monitor: the monitor.
    """

    def __init__(self, monitor: HealthMonitor | AsyncHealthMonitor) -> None:
        self._read = _reader(monitor)

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer a request for a health page, or the server's start-up and shutdown messages."""
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
            return
        path: str = scope["path"]
        answer = health_answer(
            scope["method"], path.removeprefix(scope.get("root_path", "")), self._read
        )
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [
                    (name.lower().encode(), value.encode()) for name, value in answer.headers
                ],
            }
        )
        await send({"type": "http.response.body", "body": answer.body})


def _reader(monitor: HealthMonitor | AsyncHealthMonitor) -> Callable[[], Health]:
    return lambda: monitor.health
