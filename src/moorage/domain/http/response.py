"""The response of a service."""

from __future__ import annotations

from typing import Any, Final

from moorage.domain.http.headers import Headers, as_headers
from moorage.domain.http.media_type import decode_body
from moorage.domain.values.frozen_values import evolve, field, frozen
from moorage.domain.values.json_text import decode_json
from moorage.domain.values.text import brief_repr
from moorage.errors import InvalidData


def _is_status(_: Response, __: object, value: Any) -> None:
    if not isinstance(value, int) or not 100 <= value <= 999:
        raise InvalidData(
            f"{brief_repr(value)} is not an HTTP status.",
            field="status",
            remedy="Pass a number of three digits.",
        )


def _is_bytes(_: Response, __: object, value: Any) -> None:
    if not isinstance(value, bytes):
        raise InvalidData(
            f"A response's body of type {type(value).__name__} is not bytes.",
            field="body",
            remedy="Encode the body, or read the stream to its end first.",
        )


@frozen(repr=False)
class Response:
    """The response of a service, read to its end.

    Attributes:
        status: the status code.
        headers: the fields received.
        body: the content, decompressed.
        reason: the reason phrase, if the protocol has one.
        url: the URL that answered.
        elapsed: seconds from sending to the last byte.
        replayed: whether this is the stored response of an earlier call with the same key.
        cached: whether it comes from the cache: because it is fresh, because the service confirmed
            it, or because the service could not be reached.
    """

    status: int = field(validator=_is_status)
    # Pretty-printers show attrs fields, whatever `__repr__` returns.
    headers: Headers = field(factory=Headers, converter=as_headers, repr=False)
    body: bytes = field(default=b"", validator=_is_bytes, repr=False)
    reason: str | None = field(default=None, kw_only=True)
    url: str | None = field(default=None, repr=False, kw_only=True)
    elapsed: float = field(default=0.0, kw_only=True)
    replayed: bool = field(default=False, kw_only=True)
    cached: bool = field(default=False, kw_only=True)

    @property
    def ok(self) -> bool:
        """True if the status is a success."""
        return 200 <= self.status < 300

    def header(self, name: str) -> str | None:
        """Return the first value of the header of this name."""
        return self.headers.get(name)

    @property
    def text(self) -> str:
        """The body as text in its charset, by default UTF-8; bad bytes become U+FFFD."""
        return decode_body(self.body, self.header("content-type"))

    def json(self) -> Any:
        """Return the body parsed as JSON.

        Raises:
            InvalidData: the body is not JSON.
        """
        # The decoder's error contains the whole document, so it must not become the error's
        # context.
        try:
            return decode_json(self.body)
        except (ValueError, RecursionError):
            pass
        raise InvalidData(
            f"The response (status {self.status}, {len(self.body)} bytes) is not JSON.",
            field="body",
            remedy="Check the status and the Content-Type of the response before you read it"
            " as JSON.",
        )

    def as_replayed(self) -> Response:
        """Return this response marked as stored by an earlier call with the same idempotency key.

        Calls with an idempotency key use it.
        """
        if type(self) is not Response:
            return evolve(self, replayed=True)
        response = _own_copy(self)
        response.replayed = True
        response.__class__ = Response
        return response  # type: ignore[no-any-return]  # its class was just set

    def as_cached(self, headers: Headers, body: bytes) -> Response:
        """Return this response marked as a cached response, with the given headers and body.

        Only the response cache calls this method.
        """
        if type(self) is not Response:
            return evolve(self, headers=headers, body=body, cached=True)
        response = _own_copy(self)
        response.headers = headers
        response.body = body
        response.cached = True
        response.__class__ = Response
        return response  # type: ignore[no-any-return]  # its class was just set

    def evolve(self, **changes: Any) -> Response:
        """Return this response with the given attributes replaced."""
        return evolve(self, **changes)

    def __repr__(self) -> str:
        return f"<Response {self.status} ({len(self.body)} bytes)>"


class _NewResponse(Response):
    """A mutable response, which becomes a `Response` once all of its fields are set."""

    __slots__ = ()
    # Python sets an attribute without calling a function only if neither method is overridden.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


def received_response(
    status: int, headers: Headers, body: bytes, *, reason: str | None, url: str, elapsed: float
) -> Response:
    """Return a response that an HTTP client has received and checked."""
    response: Any = _new(_NewResponse)
    response.status = status
    response.headers = headers
    response.body = body
    response.reason = reason
    response.url = url
    response.elapsed = elapsed
    response.replayed = False
    response.cached = False
    response.__class__ = Response
    return response  # type: ignore[no-any-return]  # its class was just set


def _own_copy(response: Response) -> Any:
    """Return a mutable copy of a response; the caller must then set its class to `Response`."""
    copied_response: Any = _new(_NewResponse)
    copied_response.status = response.status
    copied_response.headers = response.headers
    copied_response.body = response.body
    copied_response.reason = response.reason
    copied_response.url = response.url
    copied_response.elapsed = response.elapsed
    copied_response.replayed = response.replayed
    copied_response.cached = response.cached
    return copied_response


_new: Final = object.__new__
