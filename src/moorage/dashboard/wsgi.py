"""The operations page as a WSGI application, and as an ASGI application over the same function."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency.pooled_threads import to_thread
from moorage.dashboard.layout import bare_document
from moorage.dashboard.markup import tag
from moorage.dashboard.web import (
    LARGEST_BODY,
    PageRequest,
    PageResponse,
    complete_body,
    html_page,
    see_other,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping

    from moorage.dashboard.dashboard import Dashboard
    from moorage.dashboard.people import Person

    Environ = Mapping[str, Any]
    StartResponse = Callable[..., Any]
    Receive = Callable[[], Awaitable[Mapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_HEADERS: Final = ("cookie", "origin", "sec-fetch-site")


class DashboardApp:
    """The operations page as a WSGI application, for people that `identify` recognises.

    The method `asgi` is the same page as an ASGI application; it runs in a thread beside the event
    loop.

    Args:
        dashboard: the operations page.
        identify: returns the person who sends a request, or the response for an unknown person,
            such as a redirect to a login page.
    """

    def __init__(
        self, dashboard: Dashboard, identify: Callable[[PageRequest], Person | PageResponse]
    ) -> None:
        self._dashboard = dashboard
        self._identify = identify

    def handle(self, request: PageRequest) -> PageResponse:
        """Return the response to a request."""
        if len(request.body) > LARGEST_BODY:
            return _refusal_page("The form is too large.", 413)
        if not request.path:
            return see_other(request.link("/"))
        person = self._identify(request)
        if isinstance(person, PageResponse):
            return person
        return self._dashboard.respond(request, person)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request of a WSGI server."""
        response = self.handle(request_of(environ))
        phrase = HTTPStatus(response.status).phrase
        headers = [*response.headers, ("Content-Length", str(len(response.body)))]
        start_response(f"{response.status} {phrase}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]

    async def asgi(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request of an ASGI server."""
        if scope["type"] != "http":
            return
        request = await _request_of_scope(scope, receive)
        response = await to_thread(self.handle, request)
        headers = [*response.headers, ("Content-Length", str(len(response.body)))]
        encoded_headers = [
            (name.lower().encode(), value.encode("latin-1")) for name, value in headers
        ]
        await send(
            {"type": "http.response.start", "status": response.status, "headers": encoded_headers}
        )
        body = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body})


def request_of(environ: Environ) -> PageRequest:
    """Return the request of a WSGI environment, without reading its body."""
    headers = {
        name: environ[key]
        for name in _HEADERS
        if (key := f"HTTP_{name.upper().replace('-', '_')}") in environ
    }
    return PageRequest(
        method=environ["REQUEST_METHOD"],
        root=_text(environ.get("SCRIPT_NAME", "")).rstrip("/"),
        path=_text(environ.get("PATH_INFO", "")),
        query=environ.get("QUERY_STRING", ""),
        body=_body(environ),
        content_type=environ.get("CONTENT_TYPE", ""),
        host=environ.get("HTTP_HOST", ""),
        headers=headers,
        secure=environ.get("wsgi.url_scheme") == "https",
    )


def _text(path: str) -> str:
    """Decode a WSGI path, in which each character represents one byte."""
    return path.encode("latin-1", "replace").decode("utf-8", "replace")


def _body(environ: Environ) -> bytes:
    """Return the body, up to one byte over the limit; empty if it is incomplete."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        return b""
    if len(length) > len(str(LARGEST_BODY)) or int(length) > LARGEST_BODY:
        return b" " * (LARGEST_BODY + 1)
    try:
        body: bytes = environ["wsgi.input"].read(int(length))
    except OSError:  # the client is too slow or gone
        return b""
    return complete_body(body, length)


async def _request_of_scope(scope: Mapping[str, Any], receive: Receive) -> PageRequest:
    fields: dict[str, str] = {}
    for name_bytes, value_bytes in scope["headers"]:
        name, value = name_bytes.decode("latin-1").lower(), value_bytes.decode("latin-1")
        # Over HTTP/2, a browser may send each cookie in a header field of its own.
        is_next_cookie = name == "cookie" and name in fields
        fields[name] = f"{fields[name]}; {value}" if is_next_cookie else value
    body = b""
    while len(body) <= LARGEST_BODY:
        message = await receive()
        if message["type"] != "http.request":  # the client is gone, so the body is incomplete
            body = b""
            break
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    root = scope.get("root_path", "").rstrip("/")
    return PageRequest(
        method=scope["method"],
        root=root,
        path=scope["path"].removeprefix(root),
        query=scope.get("query_string", b"").decode("latin-1"),
        body=body,
        content_type=fields.get("content-type", ""),
        host=fields.get("host", ""),
        headers={name: fields[name] for name in _HEADERS if name in fields},
        secure=scope.get("scheme") == "https",
    )


def _refusal_page(words: str, status: int) -> PageResponse:
    return html_page(bare_document("Refused", tag("p", words)), status=status)
