"""How a request leaves and its answer comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from moorage.domain.http import Headers, Request, Response, Timeouts


class Incoming(Protocol):
    """An answer whose body is still coming.

    `read` returns the next piece of the body, and b"" at its end, then and ever after; it raises as
    `HttpClient.send` does. The body is decoded as its Content-Encoding says, unless the request's
    Accept-Encoding names `identity`: then it comes as it is. `close` is plain, does not wait, and
    may be called at any time and again; a body that was not read to its end costs the connection.
    """

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Headers: ...

    def read(self) -> bytes: ...

    def close(self) -> None: ...


class HttpClient(Protocol):
    """Sends one request, once.

    `url` is absolute; method, headers and body are the request's. No redirect is followed, no
    cookie kept, nothing retried. TLS is verified. Every failure is one of three:
    `ConnectionFailed`, with `may_have_been_processed` False only where it is certain that no byte
    of the request reached the vendor; its kind `AttemptTimeout`; and `VendorFailed` for an answer
    that is not HTTP, or is larger than the client accepts. No foreign exception passes.

    `timeouts.total` bounds the whole exchange, body included, also against a vendor that drips.
    A client that cannot bound one of the other steps by itself has an attribute `lacks`, a
    frozenset of their names: a manager then refuses a service that sets one, and the client
    refuses with `ConfigurationError`, before anything is sent, a bound that is less than `total`.

    A client that writes down what it sends has a method `learn_secrets`. A manager calls it before
    each attempt, with two sequences of bytes: what that sends as a credential, and other words of
    the request that are as secret. Neither may be written down. It must not raise.

    A client may be used from several threads at once.
    """

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response: ...

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> Incoming: ...

    def close(self) -> None: ...


class AsyncIncoming(Protocol):
    """As `Incoming`; `read` is awaited, `close` is plain all the same."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Headers: ...

    async def read(self) -> bytes: ...

    def close(self) -> None: ...


class AsyncHttpClient(Protocol):
    """As `HttpClient`, awaited; a cancelled exchange closes its connection."""

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response: ...

    async def open(self, request: Request, url: str, timeouts: Timeouts, /) -> AsyncIncoming: ...

    async def close(self) -> None: ...
