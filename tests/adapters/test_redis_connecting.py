"""Connecting to a Redis server that does not respond, up to the caller's deadline.

The store's own timeout is so long that a command which ignores its caller's deadline would hang.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import pytest
import redis

from moorage import StorageUnavailable
from moorage.adapters.http.connections import _resolve as _http_resolve
from moorage.adapters.state.redis import AsyncRedisStorage, RedisStorage
from moorage.testing.kits._state_commands import new_key
from tests.adapters.redis_modes import MODES, Count, SyncStore
from tests.support.redis_servers import PrivateRedis, Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 3_600.0
SHORT = 0.3
LONG = 60.0
SILENT = ["192.0.2.1", "192.0.2.2"]


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Return the mode of the store under test: synchronous or asynchronous."""
    return str(request.param)


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateRedis]:
    """Yield a Redis server that works normally."""
    with PrivateRedis() as start_redis:
        yield start_redis


class AdvancingClock:
    """A fake clock that advances only while a silent address is waited for."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        """Return the fake time, in seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> AdvancingClock:
    """Replace the clock by one that advances only while a silent address is tried."""
    clock = AdvancingClock()

    class Socket(socket.socket):
        def connect(self, address: Any, /) -> None:
            if address[0] not in SILENT:
                return super().connect(address)
            wait = self.gettimeout()
            assert wait is not None
            clock.waits.append(wait)
            clock.now += wait
            raise TimeoutError

    monkeypatch.setattr(socket, "socket", Socket)
    monkeypatch.setattr("moorage.adapters.state.redis.time", clock)
    for module in ("state._redis_socket", "state._redis_pool", "http.connections._resolve"):
        monkeypatch.setattr(f"moorage.adapters.{module}.monotonic", clock.monotonic)
    return clock


def give_addresses(monkeypatch: pytest.MonkeyPatch, addresses: list[tuple[str, int]]) -> None:
    """Make a host name resolve to these addresses."""

    def look_up(host: str, *_: object, **__: object) -> list[Any]:
        if host != "redis.example":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        kinds = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kinds, address) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def test_silent_address_leaves_time_for_the_next(
    server: PrivateRedis, clock: AdvancingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the first addresses of a Redis host are silent, the next one is reached in time."""
    port = server.port
    give_addresses(
        monkeypatch, [*((silent_host, port) for silent_host in SILENT), ("127.0.0.1", port)]
    )
    with RedisStorage(f"redis://redis.example:{port}/0", timeout=HOUR) as store:
        assert 1 == store.execute(Count(new_key()), LONG)
    assert [LONG / 3, LONG / 3] == clock.waits


def test_silent_address_holds_up_no_task(
    server: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one address of a Redis host does not respond, the event loop tries another."""
    port, connect = server.port, asyncio.SelectorEventLoop.sock_connect

    async def connect_unless_silent(loop: Any, connecting: socket.socket, address: Any) -> None:
        if address[0] in SILENT:
            await loop.create_future()
        await connect(loop, connecting, address)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", connect_unless_silent)
    give_addresses(monkeypatch, [(SILENT[0], port), ("127.0.0.1", port)])

    async def execute_count() -> int:
        async with AsyncRedisStorage(f"redis://redis.example:{port}/0", timeout=HOUR) as store:
            return await store.execute(Count(new_key()), LONG)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert 1 == runner.run(execute_count())


def test_loop_that_is_not_asyncios_connects_as_usual(
    server: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an event loop that is not asyncio's own, connecting uses no asyncio-only option."""
    monkeypatch.setattr(asyncio, "BaseEventLoop", str)
    with SyncStore("async", server.url, timeout=LONG) as store:
        assert 1 == store.execute(Count(new_key()))


def test_silent_addresses_end_by_the_deadline(
    clock: AdvancingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If all addresses of a Redis host are silent, the command fails at the caller's deadline."""
    give_addresses(monkeypatch, [(silent_host, 6379) for silent_host in SILENT * 2])
    with (
        RedisStorage("redis://redis.example/0", timeout=HOUR) as store,
        pytest.raises(StorageUnavailable, match="did not answer in time"),
    ):
        store.execute(Count(new_key()), LONG)
    assert 4 == len(clock.waits)
    assert clock.now <= LONG


def test_name_without_addresses_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown Redis host name, or one without addresses, raises StorageUnavailable."""
    give_addresses(monkeypatch, [])
    for host in ("redis.example", "other.example"):
        with (
            RedisStorage(f"redis://{host}/0", timeout=LONG) as store,
            pytest.raises(StorageUnavailable, match="cannot be reached"),
        ):
            store.execute(Count(new_key()))


def test_name_that_is_looked_up_for_ever_ends_by_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name lookup that never ends raises an error at the caller's deadline."""
    end_event = threading.Event()

    def look_up(host: str, *_: object) -> list[Any]:
        end_event.wait(LONG)
        raise socket.gaierror(socket.EAI_AGAIN, host)

    monkeypatch.setattr(_http_resolve, "numeric_addresses", lambda *_: [])
    monkeypatch.setattr(_http_resolve, "_look_up", look_up)
    try:
        with (
            RedisStorage("redis://redis.example/0", timeout=HOUR) as store,
            pytest.raises(StorageUnavailable, match="did not answer in time"),
        ):
            store.execute(Count(new_key()), SHORT)
    finally:
        end_event.set()


class SlowTlsServer:
    """A server that accepts a connection and sends an endless TLS record byte by byte."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._never = threading.Event()
        self._serving = threading.Thread(target=self._accept, daemon=True)
        self._serving.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._trickle, args=(client,), daemon=True).start()

    def _trickle(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.sendall(b"\x16\x03\x03\x40\x00")
            while not self._never.wait(0.02):
                client.sendall(b"\x02")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()


def test_tls_that_trickles_ends_by_the_deadline(mode: str) -> None:
    """A TLS handshake that arrives byte by byte fails at the caller's deadline."""
    with (
        SlowTlsServer() as trickling,
        SyncStore(mode, f"rediss://localhost:{trickling.port}/0", timeout=HOUR) as store,
        pytest.raises(StorageUnavailable, match="did not answer in time"),
    ):
        store.execute(Count(new_key()), SHORT)


def test_sentinels_that_trickle_end_by_the_deadline(mode: str, server: PrivateRedis) -> None:
    """If sentinels answer byte by byte, the command fails at its timeout."""
    with Proxy(server.port) as proxy:
        proxy.trickles = True
        url = f"redis+sentinel://127.0.0.1:{proxy.port},127.0.0.1:{proxy.port}/main"
        with (
            SyncStore(mode, url, timeout=HOUR) as store,
            pytest.raises(StorageUnavailable),
        ):
            store.execute(Count(new_key()), SHORT)


@pytest.mark.parametrize("keepalive", [False, True])
def test_host_own_redis_client_keeps_its_keep_alive_settings_for_sockets(
    server: PrivateRedis, *, keepalive: bool
) -> None:
    """A Redis client that the host passes keeps its keep-alive settings."""
    options = {socket.TCP_KEEPINTVL: 17} if keepalive else {}
    client = redis.Redis(
        port=server.port, socket_keepalive=keepalive, socket_keepalive_options=options
    )
    with client, RedisStorage(client, timeout=LONG) as store:
        store.execute(Count(new_key()))
        (pooled_link,) = store._pool._idle  # type: ignore[union-attr]  # noqa: SLF001 - nobody else can tell
        connected_socket = pooled_link._connection._sock  # noqa: SLF001 - nobody else can tell
        assert keepalive == bool(
            connected_socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        )
        if keepalive:
            assert 17 == connected_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
