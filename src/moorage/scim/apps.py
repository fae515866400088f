"""A SCIM server as small WSGI and ASGI applications."""

from __future__ import annotations

from http.client import responses
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moorage.domain.values.json_text import encode_json
from moorage.domain.webhooks.rejection import WebhookReason
from moorage.errors import WebhookRejected
from moorage.hub.receiving import from_asgi, from_wsgi
from moorage.scim.refusals import ScimRefusal
from moorage.scim.server import LIMIT, ScimAnswer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping

    from moorage.scim.server import AsyncScimServer, ScimServer

_STATUSES: Final[Mapping[str, int]] = {
    WebhookReason.TOO_LARGE: 413,
    WebhookReason.LENGTH_REQUIRED: 411,
}


class ScimApp:
    """A WSGI application that serves a SCIM server; mount it at the path of the base URL.

    Args:
        server: the server.
    """

    def __init__(self, server: ScimServer) -> None:
        self._server = server

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request."""
        try:
            request = from_wsgi(environ, limit=LIMIT)
        except WebhookRejected as error:
            answer = _body_refusal(error)
        else:
            answer = self._server.answer(
                request["method"],
                _path_of(environ.get("PATH_INFO", "").encode("latin-1")),
                query=environ.get("QUERY_STRING", ""),
                headers=request["headers"],
                body=request["body"],
            )
        status_line = f"{answer.status} {responses.get(answer.status, 'Unknown')}"
        start_response(status_line, list(answer.headers))
        return [answer.body]


class AsyncScimApp:
    """An ASGI application that serves a SCIM server; mount it at the path of the base URL.

    Args:
        server: the server.
    """

    def __init__(self, server: AsyncScimServer) -> None:
        self._server = server

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer a request, or the server's start-up and shutdown messages."""
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})
            return
        answer = await self._answer(scope, receive)
        fields = [(name.lower().encode(), value.encode()) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": fields})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    ) -> ScimAnswer:
        try:
            request = await from_asgi(scope, receive, limit=LIMIT)
        except WebhookRejected as error:
            return _body_refusal(error)
        path: str = scope["path"]
        return await self._server.answer(
            request["method"],
            _path_of(path.removeprefix(scope.get("root_path", "")).encode()),
            query=scope.get("query_string", b"").decode("latin-1"),
            headers=request["headers"],
            body=request["body"],
        )


def _path_of(decoded: bytes) -> str:
    """Return a decoded path in which the slashes of a resource's id are encoded again."""
    collection, _, id_ = decoded.strip(b"/").partition(b"/")
    return f"{quote(collection)}/{quote(id_, safe='')}" if id_ else quote(collection)


def _body_refusal(error: WebhookRejected) -> ScimAnswer:
    """Return the response to a request whose body is too large, incomplete or without length."""
    status = _STATUSES.get(error.reason or "", 400)
    refusal = ScimRefusal(status, "The body is too large, was cut off, or has no length.")
    return ScimAnswer(
        status=status,
        headers=(("Content-Type", "application/scim+json"),),
        body=encode_json(refusal.body),
    )
