"""HTTP clients: sending a request and receiving its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from moorage.domain.http.requests import Headers, Request, Response, Timeouts


class Incoming(Protocol):
    """A response whose body is still being received.

    `read` returns the next piece of the body, and b"" at its end and in all later calls; it raises
    like `HttpClient.send`. The body is decoded according to its Content-Encoding, unless the
    request's Accept-Encoding names `identity`. `close` is synchronous, does not wait, and may be
    called at any time and repeatedly; closing before the end of the body closes the connection.
    """

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Headers: ...

    def read(self) -> bytes: ...

    def close(self) -> None: ...


class HttpClient(Protocol):
    """Sends a request once, without retries, and returns the response.

    `url` is absolute; method, headers and body are the request's. The client follows no redirect,
    keeps no cookie and never retries. The client verifies TLS. Every failure is raised as one of
    three
    errors: `ConnectionFailed`, with `may_have_been_processed` False only if it is certain that no
    byte of the request reached the vendor; its subclass `AttemptTimeout`; and `VendorFailed` for an
    answer that is not HTTP, or is larger than the client accepts. No foreign exception passes.

    `timeouts.total` limits the whole exchange including the body, even if a vendor sends slowly.
    A client that cannot limit one of the other steps has an attribute `lacks`, a frozenset of their
    names: a manager then refuses a service that sets one, and the client refuses with
    `ConfigurationError`, before anything is sent, a limit that is less than `total`.

    A client that does not speak HTTP/2 has an attribute `http2` that is False. A manager then
    refuses a service that requires HTTP/2.

    A client that records its requests has a method `learn_secrets`. A manager calls it before each
    attempt, with two sequences of bytes: the credentials of the request, and other secret words in
    it. Neither may be recorded. It must not raise.

    Several threads may use a client concurrently.
    """

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response: ...

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> Incoming: ...

    def close(self) -> None: ...


class AsyncIncoming(Protocol):
    """The asynchronous `Incoming`: `read` is awaited, `close` is synchronous."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Headers: ...

    async def read(self) -> bytes: ...

    def close(self) -> None: ...


class AsyncHttpClient(Protocol):
    """The asynchronous `HttpClient`; a cancelled request closes its connection."""

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response: ...

    async def open(self, request: Request, url: str, timeouts: Timeouts, /) -> AsyncIncoming: ...

    async def close(self) -> None: ...
