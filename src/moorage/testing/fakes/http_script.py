"""The scripted behaviour of a local vendor server, and the requests that it recorded."""

from __future__ import annotations

import json as json_text
from collections.abc import Mapping
from http import HTTPStatus
from reprlib import Repr
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast
from urllib.parse import parse_qsl

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self

    from moorage.domain.http.requests import Headers

Fields: TypeAlias = "tuple[tuple[str, str], ...]"
FieldsInput: TypeAlias = "Mapping[str, str] | Iterable[tuple[str, str]]"
Handler: TypeAlias = "Callable[[ReceivedRequest], Behaviour]"

_NO_BODY: Final = frozenset({204, 304})
_brief: Final = Repr()  # the delay between pieces of bodies, which may be large


def _pairs(fields: FieldsInput) -> Fields:
    if isinstance(fields, Mapping):
        return tuple(cast("Mapping[str, str]", fields).items())
    return tuple(fields)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


@attrs.frozen(repr=False)
class Behaviour:
    """The server's reaction to one request: a normal response or a fault.

    `Behaviour(raw=b"")` never answers; `Behaviour(raw=b"", then="close")` hangs up instead.

    Attributes:
        status: the status code.
        headers: the header fields to send. A field that shows where the body ends is added if none
            does.
        body: the complete body to send.
        framing: how the end of the body is shown, if the headers do not show it.
        raw: bytes to send instead of a response made of the attributes above; None to send that.
        before: bytes to send before the response, such as interim responses.
        repeat: bytes to send after the response, again and again, until the client leaves.
        delay: seconds before the first byte.
        piece: number of bytes to send at once; None for all.
        pause: seconds between two pieces.
        cut: number of bytes of the body to send, including its framing; None for all.
        reads: the part of the request that is read before the response is sent. With "nothing" the
            response is sent as soon as a client connects, whatever it requests.
        then: the end of the exchange. The connection stays open for the next request (or silent, if
            not all was sent or read), is closed without `Connection: close`, or is reset.
    """

    status: int = 200
    headers: Fields = attrs.field(default=(), converter=_pairs)
    body: bytes = b""
    framing: Literal["length", "chunked", "close"] = attrs.field(default="length", kw_only=True)
    raw: bytes | None = attrs.field(default=None, kw_only=True)
    before: bytes = attrs.field(default=b"", kw_only=True)
    repeat: bytes = attrs.field(default=b"", kw_only=True)
    delay: float = attrs.field(default=0.0, kw_only=True)
    piece: int | None = attrs.field(default=None, kw_only=True)
    pause: float = attrs.field(default=0.0, kw_only=True)
    cut: int | None = attrs.field(default=None, kw_only=True)
    reads: Literal["all", "head", "nothing"] = attrs.field(default="all", kw_only=True)
    then: Literal["stay", "close", "reset"] = attrs.field(default="stay", kw_only=True)

    @classmethod
    def of_json(
        cls,
        value: object,
        *,
        status: int = 200,
        headers: FieldsInput = (),
        framing: Literal["length", "chunked", "close"] = "length",
        before: bytes = b"",
        delay: float = 0.0,
        piece: int | None = None,
        pause: float = 0.0,
        cut: int | None = None,
        reads: Literal["all", "head", "nothing"] = "all",
        then: Literal["stay", "close", "reset"] = "stay",
    ) -> Self:
        """Return a behaviour that responds with this value as JSON.

        Args:
            value: the value of the body.
            status: the status code.
            headers: the header fields to send beside the `Content-Type`.
            framing: how the end of the body is shown, if the headers do not show it.
            before: bytes to send before the response, such as interim responses.
            delay: seconds before the first byte.
            piece: number of bytes to send at once; None for all.
            pause: seconds between two pieces.
            cut: number of bytes of the body to send, including its framing; None for all.
            reads: the part of the request that is read before the response is sent.
            then: the end of the exchange.
        """
        fields = (("Content-Type", "application/json"), *_pairs(headers))
        return cls(
            status,
            fields,
            json_text.dumps(value).encode(),
            framing=framing,
            before=before,
            delay=delay,
            piece=piece,
            pause=pause,
            cut=cut,
            reads=reads,
            then=then,
        )

    @property
    def last(self) -> bool:
        """True if the connection cannot be used for another request."""
        closes_connection = any(
            name.lower() == "connection" and value.lower() == "close"
            for name, value in self.headers
        )
        return closes_connection or self.framing == "close" or self.then != "stay"

    def wire(self, method: str = "GET") -> bytes:
        """Return the bytes that answer a request with this method."""
        if self.raw is not None:
            return self.before + self.raw
        fields, body = list(self.headers), self.body
        is_framed = any(
            name.lower() in {"content-length", "transfer-encoding"} for name, _ in fields
        )
        if self.framing == "chunked":
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
        if is_framed or self.status in _NO_BODY:
            pass
        elif self.framing == "length":
            fields.append(("Content-Length", str(len(body))))
        elif self.framing == "chunked":
            fields.append(("Transfer-Encoding", "chunked"))
        lines = [f"HTTP/1.1 {self.status} {_reason(self.status)}"]
        lines += [f"{name}: {value}" for name, value in fields]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        if method == "HEAD" or self.status in _NO_BODY:
            body = b""
        return self.before + head + body[: self.cut]

    def __repr__(self) -> str:
        fields = (
            f"{field.name}={_brief.repr(getattr(self, field.name))}"
            for field in attrs.fields(Behaviour)
            if getattr(self, field.name) != field.default
        )
        return f"Behaviour({', '.join(fields)})"


@attrs.frozen
class ReceivedRequest:
    """A request that the local server received.

    Attributes:
        method: the request's method.
        target: the request target, as it was sent.
        headers: the request's header fields.
        body: the request's body, joined from its chunks.
        connection: number of the connection that it arrived on, counted from 1.
    """

    method: str
    target: str
    headers: Headers
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        """The request's target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> Fields:
        """The decoded query parameters of the request, in order."""
        return tuple(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    def json(self) -> Any:
        """Return the request's body parsed as JSON."""
        return json_text.loads(self.body)
