"""The HTTP responses to liveness and readiness checks, for any web server."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.monitoring.health import Health

_JSON: Final = (
    ("Content-Type", "application/json"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)
_READING_METHODS: Final = frozenset({"GET", "HEAD"})


@attrs.frozen
class HealthAnswer:
    """The HTTP response to a liveness or readiness check.

    Attributes:
        status: the status code.
        headers: the headers.
        body: the body; empty for HEAD.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def status_line(self) -> str:
        """The status with its reason phrase, in the form that WSGI requires."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"


def health_answer(method: str, path: str, read: Callable[[], Health]) -> HealthAnswer:
    """Return the response to the HTTP request of a liveness or readiness check.

    `/live` responds with 200 as long as the process responds at all. `/ready` and `/health` respond
    with 200 if requests should be sent to this process, and otherwise with 503; `/health` gives all
    reasons too.

    Args:
        method: the HTTP method.
        path: the path below the place where the application is mounted.
        read: returns the current health without waiting.
    """
    page = path.strip("/") or "health"
    if page not in {"live", "ready", "health"}:
        return _health_answer(
            method, 404, {"error": ("This page does not exist. Use /live or /ready.")}
        )
    if method not in _READING_METHODS:
        answer = _health_answer("GET", 405, {"error": "Only GET and HEAD are allowed."})
        return attrs.evolve(answer, headers=(*answer.headers, ("Allow", "GET, HEAD")))
    if page == "live":
        return _health_answer(method, 200, {"state": "alive"})
    health = read()
    content = health.as_dict()
    if page == "ready":
        content = {
            "state": health.state.value,
            "at": content["at"],
            "reasons": [reason.text for reason in health.all_reasons],
        }
    return _health_answer(method, 200 if health.is_ready else 503, content)


def _health_answer(method: str, status: int, content: dict[str, Any]) -> HealthAnswer:
    body = json.dumps(content).encode()
    headers = (*_JSON, ("Content-Length", str(len(body))))
    return HealthAnswer(status, headers, b"" if method == "HEAD" else body)
