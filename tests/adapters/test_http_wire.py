"""Byte streams of HTTP connections: waiting, forking and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import warnings
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from moorage.adapters.concurrency.forking import restart_in_child
from moorage.adapters.http.connections import _wait as _http_wait
from moorage.adapters.http.connections._threads import ThreadNetwork, run
from moorage.adapters.http.connections._tls import TlsWire, http_context, secured
from moorage.adapters.http.connections._wire import DeadlinePassed, SocketWire
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient
from moorage.domain.http.transport import Tls
from moorage.errors import ConfigurationError, ConnectionFailed
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from moorage.testing.fakes.http_tls import tls_pair
from moorage.testing.kits._http_harness import harness
from tests.adapters.forked import run_in_forked_child
from tests.adapters.http_modes import GET, LONG, POST, Make, with_both_clients

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

# --- waiting -----------------------------------------------------------------

ways = pytest.mark.parametrize("wait", [_http_wait.by_poll, _http_wait.by_select])


@pytest.fixture(name="pair")
def _pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return two connected sockets."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        with (
            socket.create_connection(door.getsockname()) as own_socket,
            door.accept()[0] as foreign_socket,
        ):
            yield own_socket, foreign_socket


@ways
@pytest.mark.parametrize("until", [inf, 1e15], ids=["ever", "ages"])
def test_ready_wire_does_not_wait(
    pair: tuple[socket.socket, socket.socket], wait: Callable[..., None], until: float
) -> None:
    """Waiting for a socket that is writable, or has bytes to read, returns at once."""
    own_socket, foreign_socket = pair
    wait(own_socket, until, writing=True)
    foreign_socket.send(b"x")
    wait(own_socket, until, writing=False)


@ways
def test_wait_ends_at_the_deadline(
    pair: tuple[socket.socket, socket.socket],
    wait: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wait for a socket ends at its deadline, even if it consists of several shorter polls."""
    monkeypatch.setattr(_http_wait, "_MAX_WAIT", 0.004)
    start = monotonic()
    with pytest.raises(DeadlinePassed):
        wait(pair[0], start + 0.02, writing=False)

    assert monotonic() >= start + 0.02


def test_blocking_flow_that_suspends_is_an_error() -> None:
    """If a coroutine needs an event loop in synchronous code, an error is raised."""

    class SuspendingAwaitable:
        def __await__(self) -> Generator[None]:
            yield

    async def flow() -> None:
        await SuspendingAwaitable()

    with pytest.raises(RuntimeError, match="run without waiting"):
        run(flow())


def test_threads_share_connections() -> None:
    """All threads share a client's connections, which stay open when a thread ends."""
    assert not ThreadNetwork().gone(None)


# --- forking -----------------------------------------------------------------


def test_forked_child_has_its_own_connections() -> None:
    """After a fork, parent and child do not share a connection.

    The parent's connections stay open.
    """
    with VendorServer() as vendor, StdlibHttpClient() as client:
        vendor.always(Behaviour(204))
        client.send(GET, vendor.url, LONG)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # we have threads: 3.12 minds
            status = run_in_forked_child(lambda: client.send(GET, vendor.url, LONG).status)
        client.send(GET, vendor.url, LONG)

        assert 204 == status
        assert [1, 2, 1] == [request.connection for request in vendor.requests]


def test_forked_child_does_not_wait_for_locks() -> None:
    """A forked child does not wait for a lock that a thread of the parent holds."""
    with VendorServer() as vendor, StdlibHttpClient() as client:
        vendor.always(Behaviour(204))
        vendor.queue(Behaviour(body=b"x" * 9_999_999))
        incoming = client.open(GET, vendor.url, LONG)
        with client._engine.pool()._lock:  # noqa: SLF001 - as a thread that will be no more
            restart_in_child()
            incoming.close()

            assert 204 == client.send(GET, vendor.url, LONG).status


# --- TLS ---------------------------------------------------------------------


def test_default_context_verifies() -> None:
    """The default TLS context verifies certificates and host names, and requires TLS 1.2."""
    context = http_context(Tls())

    assert ssl.CERT_REQUIRED is context.verify_mode
    assert context.check_hostname
    assert ssl.TLSVersion.TLSv1_2 is context.minimum_version
    assert not context.options & ssl.OP_IGNORE_UNEXPECTED_EOF


def _context_without_checks() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


def _unverified_tls_context() -> ssl.SSLContext:
    context = _context_without_checks()
    context.verify_mode = ssl.CERT_NONE
    return context


def _old_tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    return context


@pytest.mark.parametrize("kind", [StdlibHttpClient, AsyncStdlibHttpClient])
@pytest.mark.parametrize(
    "context", [_context_without_checks, _unverified_tls_context, _old_tls_context]
)
def test_unverified_context_is_refused(
    kind: Callable[..., object], context: Callable[[], ssl.SSLContext]
) -> None:
    """An `ssl_context` that does not verify certificates is refused."""
    with pytest.raises(ConfigurationError, match="The ssl_context") as excinfo:
        kind(ssl_context=context())

    assert "ssl_context" == excinfo.value.path


@with_both_clients
async def test_unknown_certificates_are_refused_by_default(make: Make) -> None:
    """By default, only certificates of the system's authorities are trusted."""
    async with harness(make, tls=tls_pair()[0]) as (vendor, client):
        for _ in range(2):
            with pytest.raises(
                ConnectionFailed, match="could not be reached: self-signed"
            ) as excinfo:
                await client.send(GET, vendor.url, LONG)
            assert "authorities=" in excinfo.value.remedy


@with_both_clients
async def test_tls_connection_is_reused_while_open(make: Make) -> None:
    """An idle TLS connection is reused, and replaced when the vendor has closed it."""
    server, trusting_context = tls_pair()
    async with harness(lambda: make(ssl_context=trusting_context), tls=server) as (vendor, client):
        vendor.always(Behaviour(204))
        vendor.queue(Behaviour(204), Behaviour(204, then="close"))
        for count in (1, 2, 3):
            await client.send(POST, vendor.url, LONG)
            if count == 2:
                vendor.wait_for_closed()

        assert [1, 1, 2] == [request.connection for request in vendor.requests]


@with_both_clients
async def test_closing_ends_a_read_through_tls(make: Make) -> None:
    """A read on a TLS connection ends when another task closes the response."""
    server, trusting_context = tls_pair()
    async with harness(lambda: make(ssl_context=trusting_context), tls=server) as (vendor, client):
        vendor.queue(Behaviour(body=b"ab", cut=0))
        incoming = await client.open(GET, vendor.url, LONG)
        reading = asyncio.ensure_future(incoming.read())
        await asyncio.sleep(0.02)
        incoming.close()
        with pytest.raises(ConnectionFailed):
            await reading


@with_both_clients
async def test_end_without_close_notify_is_cut_off(make: Make) -> None:
    """A TLS response that ends with its connection is complete only after a close_notify."""
    server, trusting_context = tls_pair()
    trusting_context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    async with harness(lambda: make(ssl_context=trusting_context), tls=server) as (vendor, client):
        vendor.queue(Behaviour(body=b"half", framing="close"))
        with pytest.raises(ConnectionFailed, match="before the end of its response"):
            await client.send(GET, vendor.url, LONG)


class _TlsPeerNetwork(ThreadNetwork):
    """A fake network in which the TLS peer runs whenever moorage's side waits."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def readable(self, sock: socket.socket, until: float) -> None:
        """Run the TLS peer until moorage's side can continue."""
        self.shake_hands()
        self.flush()
        await super().readable(sock, until)

    def shake_hands(self) -> None:
        """Continue the peer's TLS handshake with the bytes that arrived."""
        with contextlib.suppress(BlockingIOError):
            self._incoming.write(self._sock.recv(65_536, socket.MSG_DONTWAIT))
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()

    def flush(self) -> None:
        """Send the bytes that the TLS peer has ready."""
        self._sock.sendall(self._outgoing.read())


@pytest.fixture(name="ends")
def _ends(pair: tuple[socket.socket, socket.socket]) -> tuple[TlsWire, _TlsPeerNetwork]:
    """Return both ends of a TLS connection with session tickets that were not read yet."""
    server, trusting_context = tls_pair()
    own_socket, foreign_socket = pair
    own_socket.setblocking(False)
    other_side = _TlsPeerNetwork(foreign_socket, server)
    wire = run(secured(SocketWire(other_side, own_socket), trusting_context, "127.0.0.1", inf))
    other_side.shake_hands()
    return wire, other_side


def test_tickets_do_not_make_a_connection_stale(ends: tuple[TlsWire, _TlsPeerNetwork]) -> None:
    """Unread TLS session tickets do not make a connection stale."""
    wire, other_side = ends
    assert not wire.stale()
    other_side.flush()
    assert not wire.stale()


def test_unrequested_bytes_make_a_connection_stale(ends: tuple[TlsWire, _TlsPeerNetwork]) -> None:
    """A connection that received an unrequested response is stale and not reused."""
    wire, other_side = ends
    other_side.tls.write(b"unasked")
    other_side.flush()

    assert wire.stale()


def test_undecryptable_bytes_make_a_connection_stale(
    ends: tuple[TlsWire, _TlsPeerNetwork], pair: tuple[socket.socket, socket.socket]
) -> None:
    """A connection that received bytes which cannot be decrypted is stale."""
    pair[1].sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")

    assert ends[0].stale()


def test_tls_close_notify_is_the_end(
    ends: tuple[TlsWire, _TlsPeerNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TLS close_notify ends the stream, no matter how the operating system reports the close."""
    wire, other_side = ends
    with pytest.raises(ssl.SSLWantReadError):
        other_side.tls.unwrap()
    other_side.flush()
    assert b"" == run(wire.receive(inf))

    def read(_: int) -> bytes:
        raise ssl.SSLZeroReturnError

    monkeypatch.setattr(wire, "_tls", type("Tls", (), {"read": staticmethod(read)}))
    assert b"" == run(wire.receive(inf))


def test_certificate_error_survives_a_closed_peer(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """If a bad certificate ends a TLS handshake, the error says so, even after a disconnect."""
    server, _ = tls_pair()
    own_socket, foreign_socket = pair
    own_socket.setblocking(False)
    other_side = _TlsPeerNetwork(foreign_socket, server)

    class ClosingWire(SocketWire):
        async def send(self, data: bytes | memoryview, until: float) -> None:
            if self.written:
                raise BrokenPipeError
            await super().send(data, until)

    with pytest.raises(ssl.SSLCertVerificationError):
        run(secured(ClosingWire(other_side, own_socket), http_context(Tls()), "127.0.0.1", inf))
