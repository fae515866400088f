"""The response of a service."""

from __future__ import annotations

from typing import Any

from moorage.domain.http.headers import Headers, as_headers
from moorage.domain.http.media_type import decoded
from moorage.domain.values.frozen_values import evolve, field, fields_of, frozen
from moorage.domain.values.json_text import decode_json
from moorage.errors import InvalidData


def _is_status(_: Response, __: object, value: Any) -> None:
    if not isinstance(value, int) or not 100 <= value <= 999:
        raise InvalidData(
            f"{value!r} is not an HTTP status.",
            field="status",
            remedy="Give a number of three digits.",
        )


def _is_bytes(_: Response, __: object, value: Any) -> None:
    if not isinstance(value, bytes):
        raise InvalidData(
            f"A response's body of type {type(value).__name__} is not bytes.",
            field="body",
            remedy="Encode it, or read it to its end first.",
        )


@frozen(repr=False)
class Response:
    """The response of a service, read to its end.

    Attributes:
        status: the status code.
        headers: the fields received.
        body: the content, decompressed.
        reason: the reason phrase, where the protocol has one.
        url: the URL that answered.
        elapsed: seconds from sending to the last byte.
        replayed: whether this is the stored answer of an earlier call with the same key.
        cached: whether it comes from the cache, because it is fresh, or the service confirmed it or
            could not be reached.
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
        return decoded(self.body, self.header("content-type"))

    def json(self) -> Any:
        """Return the body parsed as JSON.

        Raises:
            InvalidData: the body is not JSON.
        """
        # The decoder's error contains the whole document, so it must not become the context.
        try:
            return decode_json(self.body)
        except (ValueError, RecursionError):
            pass
        raise InvalidData(
            f"The answer (status {self.status}, {len(self.body)} bytes) is not JSON.",
            field="body",
            remedy="Check the answer's status and Content-Type before you read it as JSON.",
        )

    def as_replayed(self) -> Response:
        """Return this response marked as the stored answer of an earlier call with the key."""
        if type(self) is not Response:
            return evolve(self, replayed=True)
        response = self._copied()
        _set_replayed(response, True)
        return response

    def as_cached(self, headers: Headers, body: bytes) -> Response:
        """Return this response as the cache answers with it, with the given headers and body."""
        if type(self) is not Response:
            return evolve(self, headers=headers, body=body, cached=True)
        new_response = self._copied()
        _set_headers(new_response, headers)
        _set_body(new_response, body)
        _set_cached(new_response, True)
        return new_response

    def _copied(self) -> Response:
        """Return a copy whose fields may be changed, because nothing else refers to it."""
        copied_response = object.__new__(Response)
        _set_status(copied_response, self.status)
        _set_headers(copied_response, self.headers)
        _set_body(copied_response, self.body)
        _set_reason(copied_response, self.reason)
        _set_url(copied_response, self.url)
        _set_elapsed(copied_response, self.elapsed)
        _set_replayed(copied_response, self.replayed)
        _set_cached(copied_response, self.cached)
        return copied_response

    def evolve(self, **changes: Any) -> Response:
        """Return this response with the given attributes replaced."""
        return evolve(self, **changes)

    def __repr__(self) -> str:
        return f"<Response {self.status} ({len(self.body)} bytes)>"


(
    _set_status,
    _set_headers,
    _set_body,
    _set_reason,
    _set_url,
    _set_elapsed,
    _set_replayed,
    _set_cached,
) = (vars(Response)[field.name].__set__ for field in fields_of(Response))


def received_response(
    status: int, headers: Headers, body: bytes, *, reason: str | None, url: str, elapsed: float
) -> Response:
    """Return a response that an HTTP client has received and checked."""
    response = object.__new__(Response)
    _set_status(response, status)
    _set_headers(response, headers)
    _set_body(response, body)
    _set_reason(response, reason)
    _set_url(response, url)
    _set_elapsed(response, elapsed)
    _set_replayed(response, False)
    _set_cached(response, False)
    return response
