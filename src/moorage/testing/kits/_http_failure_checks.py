"""A list of HTTP failures; for each, a check produces the failure and tests its error.

`processed` is the error's statement about the request: False if certainly no byte of it was read,
True if bytes may have been read.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.domain.http.requests import BodyStream, Request, Timeouts
from moorage.domain.http.transport import Proxy, Tls
from moorage.errors import (
    AttemptTimeout,
    ConnectionFailed,
    ConnectorError,
    LocalFailure,
    VendorFailed,
)
from moorage.testing.fakes.http_proxy import ProxyServer
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from moorage.testing.kits._http_harness import BRIEFLY, PATIENT, failure_of, harness
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from moorage.testing.kits._http_harness import Clients

Scene: TypeAlias = "Callable[[Any], Awaitable[object]]"

_OK: Final = b"HTTP/1.1 200 OK\r\n"
_POST: Final = Request.post("/", body=b"x")
_LARGE: Final = Request.put("/", body=bytes(67_108_864))
_CONNECT: Final = Timeouts(connect=BRIEFLY)
_READ: Final = Timeouts(read=BRIEFLY)
_DRIP_SECONDS: Final = BRIEFLY / 10


@attrs.frozen
class Failure:
    """A failure of an HTTP exchange, and the error that it must raise.

    Attributes:
        happened: the failure, as a clause of a sentence.
        raised: the exact class of the error, not a subclass.
        processed: the value of the error's `may_have_been_processed`.
    """

    happened: str
    raised: type[ConnectorError]
    processed: bool
    _scene: Scene = attrs.field(repr=False)

    async def check(self, clients: Any) -> None:
        """Produce the failure, and check its error."""
        failed_error = await failure_of(self._scene(clients), self.raised, because=self.happened)
        kind = type(failed_error).__name__
        require(
            type(failed_error) is self.raised,
            f"{kind} was raised instead of {self.raised.__name__}: {self.happened}.",
        )
        is_processed = failed_error.may_have_been_processed
        require(
            is_processed is self.processed,
            f"may_have_been_processed is {is_processed}, not {self.processed}: {self.happened}.",
        )

    def named(self) -> Callable[[Any], Coroutine[Any, Any, None]]:
        """Return the check as a function with its own name."""

        async def check(clients: Any) -> None:
            await self.check(clients)

        check.__name__ = self.happened.replace(" ", "_").replace("'", "").replace(",", "")
        check.__doc__ = f"{self.raised.__name__} is raised where {self.happened}."
        return check


def _behaviour_scene(
    behaviour: Behaviour, request: Request = _POST, timeouts: Timeouts = PATIENT
) -> Scene:
    async def send_once(clients: Clients) -> object:
        async with harness(clients) as (vendor, client):
            vendor.queue(behaviour)
            return await client.send(request, vendor.url, timeouts)

    return send_once


def _raw_scene(rest: bytes, **more: Any) -> Scene:
    return _behaviour_scene(Behaviour(raw=_OK + rest, **more))


async def _unreachable_call(clients: Clients) -> object:
    async with harness(clients) as (_, client):
        return await client.send(_POST, "http://moorage..invalid/", PATIENT)


async def _refused_call(clients: Clients) -> object:
    async with harness(clients, port="refusing") as (vendor, client):
        return await client.send(_POST, vendor.url, PATIENT)


async def _ignoring_server(clients: Clients) -> object:
    async with harness(clients, port="ignoring") as (vendor, client):
        return await client.send(_POST, vendor.url, _CONNECT)


async def _secure_call(clients: Clients, behaviour: Behaviour, timeouts: Timeouts) -> object:
    async with harness(clients) as (vendor, client):
        vendor.queue(behaviour)
        return await client.send(_POST, vendor.url.replace("http:", "https:"), timeouts)


async def _non_http_answer(clients: Clients) -> object:
    from moorage.testing.fakes.http_tls import tls_pem  # noqa: PLC0415 - costs milliseconds to load

    async with harness(clients, tls=tls_pem()[0]) as (vendor, client):
        return await client.send(_POST, vendor.url, PATIENT)


def _failing_stream(*chunks: bytes) -> Iterator[bytes]:
    yield from chunks
    raise LookupError("the disk is gone")


async def _source_address(clients: Clients, *chunks: bytes) -> object:
    async with harness(clients) as (vendor, client):
        vendor.always(Behaviour(204))
        body = BodyStream.of(partial(_failing_stream, *chunks))
        return await client.send(Request.put("/", body=body), vendor.url, PATIENT)


async def _kept_alive(clients: Clients) -> object:
    async with harness(clients) as (vendor, client):
        vendor.queue(Behaviour(204), Behaviour(raw=b"", then="close"), Behaviour(204))
        await client.send(_POST, vendor.url, PATIENT)
        return await client.send(_POST, vendor.url, PATIENT)


async def _occupied_port(clients: Clients) -> object:
    async with harness(clients) as (vendor, client):
        vendor.queue(Behaviour(body=b"x" * 99, cut=9))
        incoming = await client.open(Request.get("/"), vendor.url, PATIENT)
        try:
            return await client.send(_POST, vendor.url, Timeouts(pool=BRIEFLY))
        finally:
            incoming.close()


async def _led_call(clients: Any, url: str, word: str, answers: bytes | None = None) -> object:
    with ProxyServer(target=("127.0.0.1", 9), credentials=("us", "word"), answers=answers) as proxy:
        client = clients(Proxy(url=proxy.url, username="us", password=word), Tls())
        try:
            return await client.send(_POST, url, PATIENT)
        finally:
            await client.close()


async def _misleading_server(clients: Any) -> object:
    with VendorServer(port="refusing") as unknown_server:
        client = clients(Proxy(url=unknown_server.url), Tls())
        try:
            return await client.send(_POST, "https://vendor.example/", PATIENT)
        finally:
            await client.close()


_SECURE: Final = "https://vendor.example/"
_PLAIN_URL: Final = "http://vendor.example/"
_FORBIDDEN: Final = b"HTTP/1.1 403 Forbidden\r\n\r\n"
_NO_TLS: Final = Behaviour(raw=b"HTTP/1.1 400 Bad\r\n\r\n", reads="nothing", then="close")
_SILENT_TLS: Final = Behaviour(raw=b"", reads="nothing")
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n\r\n"
_TWO_LENGTHS: Final = b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"
_UNPACKED_ANSWER: Final = b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain"
_ENDLESS: Final = Behaviour(framing="close", repeat=bytes(99_999))
_DRIPPING: Final = Behaviour(body=b"x" * 9_999, piece=1, pause=_DRIP_SECONDS)

FAILURES: Final = (
    Failure("the vendor's host name has no address", ConnectionFailed, False, _unreachable_call),
    Failure("the vendor's port refuses the connection", ConnectionFailed, False, _refused_call),
    Failure("the vendor cannot be reached in time", AttemptTimeout, False, _ignoring_server),
    Failure(
        "the vendor does not speak TLS",
        ConnectionFailed,
        False,
        partial(_secure_call, behaviour=_NO_TLS, timeouts=PATIENT),
    ),
    Failure(
        "the TLS handshake does not end in time",
        AttemptTimeout,
        False,
        partial(_secure_call, behaviour=_SILENT_TLS, timeouts=_CONNECT),
    ),
    Failure("the vendor's certificate is not trusted", ConnectionFailed, False, _non_http_answer),
    Failure(
        "the source of the request's body fails before its first byte",
        LocalFailure,
        False,
        _source_address,
    ),
    Failure(
        "the source of the request's body fails later",
        LocalFailure,
        True,
        lambda clients: _source_address(clients, bytes(1_048_576)),
    ),
    Failure(
        "the vendor does not read the request in time",
        AttemptTimeout,
        True,
        _behaviour_scene(Behaviour(raw=b"", reads="head"), _LARGE, Timeouts(write=BRIEFLY)),
    ),
    Failure(
        "the vendor does not answer in time",
        AttemptTimeout,
        True,
        _behaviour_scene(Behaviour(raw=b""), timeouts=_READ),
    ),
    Failure(
        "the answer does not end in time",
        AttemptTimeout,
        True,
        _behaviour_scene(_DRIPPING, timeouts=Timeouts(total=BRIEFLY)),
    ),
    Failure(
        "the vendor closes the connection instead of answering",
        ConnectionFailed,
        True,
        _behaviour_scene(Behaviour(raw=b"", then="close")),
    ),
    Failure(
        "the vendor resets the connection instead of answering",
        ConnectionFailed,
        True,
        _behaviour_scene(Behaviour(raw=b"", then="reset")),
    ),
    Failure(
        "the vendor closes a connection that was used before",
        ConnectionFailed,
        True,
        _kept_alive,
    ),
    Failure(
        "the answer is cut off in its header fields",
        ConnectionFailed,
        True,
        _raw_scene(b"Content-", then="close"),
    ),
    Failure(
        "the answer is cut off in its body",
        ConnectionFailed,
        True,
        _raw_scene(b"Content-Length: 9\r\n\r\nx", then="close"),
    ),
    Failure(
        "the answer is cut off before its last chunk",
        ConnectionFailed,
        True,
        _raw_scene(_CHUNKED + b"1\r\nx\r\n", then="close"),
    ),
    Failure(
        "the answer is not HTTP",
        VendorFailed,
        True,
        _behaviour_scene(Behaviour(raw=b"SSH-2.0-OpenSSH_9.6\r\n", then="close")),
    ),
    Failure(
        "the answer states its length in two different ways",
        VendorFailed,
        True,
        _raw_scene(_TWO_LENGTHS, then="close"),
    ),
    Failure(
        "the answer is not compressed as its header says",
        VendorFailed,
        True,
        _raw_scene(_UNPACKED_ANSWER, then="close"),
    ),
    Failure(
        "the answer's header fields never end",
        VendorFailed,
        True,
        _raw_scene(b"", repeat=b"A: b\r\n" * 99),
    ),
    Failure("the answer's body is too large", VendorFailed, True, _behaviour_scene(_ENDLESS)),
)
"""Failures that every HTTP client must report."""

ONE_CONNECTION_FAILURES: Final = (
    Failure("no connection becomes free in time", AttemptTimeout, False, _occupied_port),
)
"""Failures of a client with at most one connection to a vendor."""

PROXY_FAILURES: Final = (
    Failure("the proxy cannot be reached", ConnectionFailed, False, _misleading_server),
    Failure(
        "the proxy refuses to connect to the vendor",
        ConnectionFailed,
        False,
        lambda clients: _led_call(clients, _SECURE, "word", _FORBIDDEN),
    ),
    Failure(
        "the proxy refuses the client's credentials",
        ConnectionFailed,
        False,
        lambda clients: _led_call(clients, _PLAIN_URL, "another"),
    ),
)
"""Failures of a client that uses a proxy."""
