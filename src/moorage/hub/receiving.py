"""Webhooks from WSGI, ASGI and web frameworks, read with their raw body up to a size limit.

Each function returns the arguments of `WebhookVerifier.verify`, for
`verifier.verify(**from_wsgi(…))`. No framework is imported: the functions use only attributes of
the requests. If other code has already consumed a body, an error is raised instead of returning an
empty body.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, TypedDict, cast
from urllib.parse import quote

from moorage.domain.webhooks.rejection import WebhookReason, rejection_error
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from moorage.errors import WebhookRejected

LIMIT: Final = 1_048_576
"""The default limit of a webhook's body, in bytes."""

_PIECE_BYTES: Final = 65_536
_UNPREFIXED_HEADERS: Final = frozenset({"CONTENT_TYPE", "CONTENT_LENGTH"})
_DISCONNECT_ERRORS: Final = frozenset({"ClientDisconnect", "ClientDisconnected", "RequestAborted"})
_SAFE_CHARACTERS: Final = "/:@!$&'()*+,;=~-._"


class ReceivedWebhook(TypedDict):
    """The arguments of `WebhookVerifier.verify`, taken from one HTTP request."""

    headers: list[tuple[str, str]]
    body: bytes
    url: str
    method: str


def from_wsgi(environ: Mapping[str, Any], *, limit: int = LIMIT) -> ReceivedWebhook:
    """Return the webhook in a WSGI environment; its input must not have been read yet.

    Raises:
        WebhookRejected: the body is larger than the limit, or was cut off; or it has no length, and
            the server does not say where it ends.
    """
    headers = [
        (name.removeprefix("HTTP_").replace("_", "-"), str(value))
        for name, value in environ.items()
        if name.startswith("HTTP_") or (name in _UNPREFIXED_HEADERS and value)
    ]
    size = _size(environ.get("CONTENT_LENGTH"), limit)
    if size is not None:
        body = _whole_body(_read_body(environ["wsgi.input"], size), size)
    elif environ.get("wsgi.input_terminated"):
        body = _check_size(_read_body(environ["wsgi.input"], limit + 1), limit)
    elif environ.get("HTTP_TRANSFER_ENCODING"):
        raise _unbounded_rejection()
    else:
        body = b""
    place = _endpoint_name(environ)
    host = environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    return {
        "headers": headers,
        "body": body,
        "url": _url(environ["wsgi.url_scheme"], host, place, environ.get("QUERY_STRING", "")),
        "method": str(environ["REQUEST_METHOD"]),
    }


async def from_asgi(
    scope: Mapping[str, Any],
    receive: Callable[[], Awaitable[Mapping[str, Any]]],
    *,
    limit: int = LIMIT,
) -> ReceivedWebhook:
    """Return the webhook in an ASGI request; its body must not have been received yet.

    If the body was received before, this waits forever, because it does not arrive again.
    `from_starlette` can detect this.

    Raises:
        WebhookRejected: the body is larger than the limit, or was cut off.
    """
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
    ]
    headers_by_name = dict(headers)
    size = _size(headers_by_name.get("content-length"), limit)
    # Not a list, which would need many times the memory for a body that arrives a few bytes at a
    # time.
    received_bytes = bytearray()
    has_more = True
    while has_more:
        message = await receive()
        if message["type"] != "http.request":
            raise _cut_off()
        received_bytes += message.get("body", b"")
        if len(received_bytes) > limit:
            raise _too_large(limit)
        has_more = message.get("more_body", False)
    body = bytes(received_bytes)
    raw_path = scope.get("raw_path")
    path = (
        quote(scope["path"], safe=_SAFE_CHARACTERS)
        if raw_path is None
        else raw_path.decode("latin-1")
    )
    server = scope.get("server") or ("", None)
    host = headers_by_name.get("host") or ":".join(str(part) for part in server if part)
    query = scope.get("query_string", b"").decode("latin-1")
    return {
        "headers": headers,
        "body": body if size is None else _whole_body(body, size),
        "url": _url(scope.get("scheme", "http"), host, path, query),
        "method": scope["method"],
    }


async def from_starlette(request: Any, *, limit: int = LIMIT) -> ReceivedWebhook:
    """Return the webhook in a Starlette or FastAPI request; call this before `request.form()`.

    It works even if other code has awaited `request.body()` before.

    Raises:
        WebhookRejected: the body is larger than the limit, or was cut off.
        ConfigurationError: something read the body as a stream or a form before.
    """
    stream = request.stream()

    async def receive() -> Mapping[str, Any]:
        try:
            piece = await anext(stream)
        except StopAsyncIteration:
            return {"type": "http.request"}
        except Exception as error:  # noqa: BLE001 - distinguished by the names of the framework's classes
            failure = _failure(error)
        else:
            return {"type": "http.request", "body": piece, "more_body": True}
        raise failure

    return await from_asgi(request.scope, receive, limit=limit)


def from_django(request: Any, *, limit: int = LIMIT) -> ReceivedWebhook:
    """Return the webhook in a request of Django; call it before `request.POST` is used.

    Raises:
        WebhookRejected: the body is larger than the limit, or was cut off; or it has no length, and
            Django does not read it.
        ConfigurationError: something read the body as a stream before.
    """
    size = _size(request.META.get("CONTENT_LENGTH"), limit)
    if size is None:
        _framework_value(lambda: _buffer_django(request, limit))
    body = _check_size(_framework_value(lambda: request.body), limit)
    over_wsgi = "wsgi.input" in request.META
    if over_wsgi and size is None and not body and request.headers.get("Transfer-Encoding"):
        raise _unbounded_rejection()
    place = quote(request.path, safe=_SAFE_CHARACTERS)
    host, query = _framework_value(request.get_host), str(request.META.get("QUERY_STRING", ""))
    return {
        "headers": [*request.headers.items()],
        "body": body if size is None else _whole_body(body, size),
        "url": _url(request.scheme, host, place, query),
        "method": str(request.method),
    }


def from_flask(request: Any, *, limit: int = LIMIT) -> ReceivedWebhook:
    """Return the webhook in a request of Flask; call it before `request.form` is used.

    Raises:
        WebhookRejected: the body is larger than the limit, or was cut off; or it has no length, and
            the server does not say where it ends.
        ConfigurationError: something read the body as a stream or a form before.
    """
    size = _size(request.headers.get("Content-Length"), limit)
    attributes = cast("dict[str, object]", request.__dict__)
    is_untouched = attributes.keys().isdisjoint({"stream", "form", "files"})
    if size is None:
        _framework_value(lambda: _buffer(request, limit))
    body = _check_size(
        _framework_value(lambda: request.get_data(cache=True, parse_form_data=False)), limit
    )
    if not body and (size or request.headers.get("Transfer-Encoding")):
        if size is None and not request.environ.get("wsgi.input_terminated"):
            raise _unbounded_rejection()
        if not is_untouched:
            raise _consumed_error("it was read as a stream, or as a form")
    query = request.query_string.decode("latin-1")
    return {
        "headers": [*request.headers.items()],
        "body": body if size is None else _whole_body(body, size),
        # The raw URL is passed on, because the framework's own URL is decoded for people.
        "url": _url(
            request.scheme,
            _framework_value(lambda: request.host),
            _endpoint_name(request.environ),
            query,
        ),
        "method": str(request.method),
    }


def _buffer(request: Any, limit: int) -> None:
    """Read a request's body of unknown length up to the limit, and make it readable again."""
    body = _read_body(request.stream, limit + 1)
    if body:
        request.stream = BytesIO(_check_size(body, limit))


def _buffer_django(request: Any, limit: int) -> None:
    """Read a Django request's body of unknown length up to the limit, and make it readable again.

    `request.body` reads a body of any length if the project lifts `DATA_UPLOAD_MAX_MEMORY_SIZE`.
    """
    attributes = cast("dict[str, object]", request.__dict__)
    if "_body" in attributes or attributes.get("_read_started"):
        return
    body = _check_size(request.read(limit + 1), limit)
    # Django's own property `body` sets the same two attributes.
    attributes.update(_body=body, _stream=BytesIO(body))


def _framework_value(read_value: Callable[[], Any]) -> Any:
    """Return a value from a web framework; turn the framework's errors into moorage's."""
    try:
        return read_value()
    except Exception as error:  # noqa: BLE001 - distinguished by the names of the framework's classes
        failure = _failure(error)
    raise failure


def _failure(error: Exception) -> ConnectorError:
    """Return the moorage error for an exception of a web framework."""
    kind = type(error).__name__
    if isinstance(error, ConnectorError):
        return error
    if isinstance(error, OSError) or kind in _DISCONNECT_ERRORS:
        return _cut_off()
    if kind in {"RequestDataTooBig", "RequestEntityTooLarge"}:
        return rejection_error(
            WebhookReason.TOO_LARGE, "The webhook's body is larger than the web framework accepts."
        )
    if kind in {"DisallowedHost", "SecurityError"}:
        return rejection_error(
            WebhookReason.FOREIGN,
            "The web framework refused the host name to which the webhook was sent.",
        )
    return _consumed_error(f"the framework raised {kind}")


def _read_body(source: Any, size: int) -> bytes:
    pieces: list[bytes] = []
    while size > 0:
        try:
            piece = source.read(min(size, _PIECE_BYTES))
        except OSError:
            raise _cut_off() from None
        if not piece:
            break
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _size(text: object, limit: int) -> int | None:
    """Return the length that a request states for its body; None if it states no length."""
    if text is None or text == "":
        return None
    digits = str(text)
    if not (digits.isascii() and digits.isdigit()):
        raise rejection_error(
            WebhookReason.MALFORMED,
            "The length that the webhook states for its body is not a number.",
        )
    if len(digits) > 18 or int(digits) > limit:
        raise _too_large(limit)
    return int(digits)


def _whole_body(body: bytes, size: int) -> bytes:
    if len(body) == size:
        return body
    raise _cut_off()


def _check_size(body: bytes, limit: int) -> bytes:
    if len(body) <= limit:
        return body
    raise _too_large(limit)


def _endpoint_name(environ: Mapping[str, Any]) -> str:
    """Return the request's path as it was sent, if the WSGI server preserves it."""
    path = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
    return quote(path.encode("latin-1"), safe=_SAFE_CHARACTERS)


def _url(scheme: str, host: str, path: str, query: str) -> str:
    return f"{scheme}://{host}{path}{'?' if query else ''}{query}"


def _cut_off() -> WebhookRejected:
    return rejection_error(WebhookReason.MALFORMED, "The webhook's body arrived incomplete.")


def _too_large(limit: int) -> WebhookRejected:
    return rejection_error(
        WebhookReason.TOO_LARGE,
        f"The webhook's body is larger than {limit} bytes.",
        remedy="Pass a higher limit= if this vendor sends bodies of that size.",
    )


def _unbounded_rejection() -> WebhookRejected:
    return rejection_error(
        WebhookReason.LENGTH_REQUIRED,
        "The webhook's body came in chunks, and this server does not say where they end.",
        remedy="Let a proxy in front of this server buffer requests, or serve this endpoint with"
        " a server that sets wsgi.input_terminated, or over ASGI.",
    )


def _consumed_error(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The raw body of the webhook can no longer be read: {why}.",
        path="body",
        remedy="Read the webhook before anything parses the request, middleware included.",
    )
