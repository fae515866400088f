"""A machine's broker, which leases rate limit tokens to stores in several processes."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from moorage import (
    AsyncConnectorManager,
    ConfigurationError,
    ConnectorManager,
    InvalidData,
    RateLimitConfig,
    RateLimiter,
    RateLimitExceeded,
    Service,
    StorageUnavailable,
)
from moorage.adapters.state import _broker_channels, lease_broker
from moorage.adapters.state._broker_socket import BrokerSocket
from moorage.adapters.state.lease_broker import LeaseBroker
from moorage.adapters.state.leasing_async import AsyncLeasingStorage
from moorage.adapters.state.leasing_sync import LeasingStorage
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.adapters.state.redis import RedisStorage
from moorage.adapters.state.sqlite import AsyncSqliteStorage, SqliteStorage
from moorage.domain.resilience.lease_messages import LONGEST_LINE, question_end
from tests.adapters.forked import run_in_forked_child
from tests.support.servers import redis_url
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

HOT = RateLimitConfig.per_hour(60, burst=50)
"""A limit that gives no token back during a test."""


DISCONNECT = b"disconnect"


class UnreachableStore(AsyncSqliteStorage):
    """A store that cannot be reached."""

    async def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Raise StorageUnavailable."""
        raise StorageUnavailable("The store is away.")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder with a short path; files that a store still creates there do no harm."""
    with TemporaryDirectory(prefix="moor", ignore_cleanup_errors=True) as name:
        yield Path(name)


class BrokerThread:
    """A broker that runs in a separate thread.

    Attributes:
        broker: the broker.
        path: its socket.
    """

    def __init__(self, folder: Path, storage: Any = None) -> None:
        self.path = folder / "b.sock"
        self._storage = storage or (lambda: AsyncSqliteStorage(folder / "state.db", timeout=20))
        self._ready = Event()
        self._thread = Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        self._ready.wait(120)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with self._storage() as storage, LeaseBroker(storage, self.path) as self.broker:
            self._ready.set()
            await self._stop.wait()

    def end(self) -> None:
        """Stop the broker as SIGTERM does."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


@contextmanager
def serve_broker(folder: Path, storage: Any = None) -> Generator[BrokerThread]:
    """Run a broker in a thread during the block."""
    server = BrokerThread(folder, storage)
    try:
        yield server
    finally:
        server.end()


async def wait_for_requests(broker: LeaseBroker, number: int) -> None:
    """Wait until a broker has sent this number of requests to its store."""
    while broker.requests < number:  # noqa: ASYNC110 - the broker tells nobody
        await asyncio.sleep(0)


@contextmanager
def scripted_broker(
    folder: Path, reply: bytes, after_reply: Callable[[], object] = lambda: None
) -> Generator[None]:
    """Listen at the broker's socket, and send the same reply to each request.

    `DISCONNECT` ends the connection. An empty reply leaves a question open until the process gives
    up.
    """

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while question := connection.recv(LONGEST_LINE):
                number = json.loads(question.splitlines()[0])["id"]
                if reply == DISCONNECT:
                    return
                if reply:
                    connection.sendall(reply % number)
                after_reply()

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                thread = Thread(target=answer, args=(connection,))
                thread.start()
                threads.append(thread)

    threads: list[Thread] = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "b.sock"))
        listening.listen()
        accept_thread = Thread(target=accept)
        accept_thread.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            accept_thread.join()
            for thread in threads:
                thread.join()


def leasing_store(folder: Path, **options: Any) -> LeasingStorage:
    """Return a store that requests tokens from the broker of the folder."""
    options = {"services": ["hot"]} | options
    return LeasingStorage(
        SqliteStorage(folder / "state.db", timeout=20), folder / "b.sock", **options
    )


def limiter(storage: Any, name: str = "hot", limit: RateLimitConfig = HOT) -> RateLimiter:
    """Return a rate limiter on this store."""
    return RateLimiter(limit, name=name, storage=storage)


def admitted_count(guard: RateLimiter, number: int) -> int:
    """Return how many of this number of calls the limit admits."""
    return sum(guard.try_acquire() for _ in range(number))


def test_two_stores_on_one_broker_together_never_get_more_tokens_than_burst(folder: Path) -> None:
    """Two stores on one broker together never get more tokens than the burst."""
    with (
        serve_broker(folder) as server,
        leasing_store(folder) as first_store,
        leasing_store(folder) as second_store,
    ):
        count = admitted_count(limiter(first_store), 40) + admitted_count(limiter(second_store), 40)

        assert 1 <= count <= 50
        assert count == server.broker.handed_out
        assert not limiter(SqliteStorage(folder / "state.db", timeout=20)).try_acquire(cost=50)


def test_services_that_do_not_opt_in_ask_the_store(folder: Path) -> None:
    """Limits of services that use no leases, and reservations, use the store, not the broker."""
    with serve_broker(folder) as server, leasing_store(folder) as store:
        limiter(store, "cold").acquire()
        limiter(store).reserve().cancel()

        assert 0 == server.broker.handed_out
        assert 0 == server.broker.requests


def test_manager_leases_calls_without_circuit(folder: Path) -> None:
    """A call without a circuit gets tokens from the broker; calls with a circuit use the store."""
    services = [Service("hot", limits=HOT, circuit=None), Service("vat", limits=HOT)]
    with (
        serve_broker(folder) as server,
        leasing_store(folder, services=["hot", "vat"]) as store,
        ConnectorManager(services, state=store) as manager,
    ):
        assert "done" == manager.run("hot", lambda: "done")
        assert 1 == server.broker.handed_out
        assert "done" == manager.run("vat", lambda: "done")
        assert 1 == server.broker.handed_out


def test_asynchronous_callers_share_a_connection(folder: Path) -> None:
    """Tasks share one connection to the broker, and a cancelled task withdraws its request."""

    async def run(server: BrokerThread) -> None:
        async with (
            AsyncSqliteStorage(folder / "state.db", timeout=20) as inner,
            AsyncLeasingStorage(inner, server.path, services=["hot"]) as store,
            AsyncConnectorManager(
                [Service("hot", limits=HOT, circuit=None)], state=store
            ) as manager,
        ):

            async def run_function() -> str:
                return "done"

            results = await asyncio.gather(*(manager.run("hot", run_function) for _ in range(20)))
            assert ["done"] * 20 == results
            assert server.broker.handed_out == 20
            await store.aclose()
            assert "done" == await manager.run("hot", run_function)

    with serve_broker(folder) as server:
        asyncio.run(run(server))


def test_tasks_without_a_broker_ask_the_store(folder: Path) -> None:
    """While no broker runs, tasks get their tokens from the store."""

    async def run() -> None:
        async with (
            AsyncSqliteStorage(folder / "state.db", timeout=20) as inner,
            AsyncLeasingStorage(inner, folder / "b.sock", services=["hot"]) as store,
        ):
            guard = limiter(store)
            await guard.aacquire()
            await guard.aacquire()
            assert store.channels.is_away()

    asyncio.run(run())


def test_task_whose_broker_connection_is_lost_asks_the_store() -> None:
    """A task whose broker connection was just lost gets its token from the store."""

    async def run() -> None:
        channel = _broker_channels.LoopChannel()
        channel.connection_lost(None)
        assert await channel.ask(b"", 0) is None

    asyncio.run(run())


def test_broker_is_closed_once(folder: Path) -> None:
    """A broker that was never used can be closed.

    Closing a serving broker ends its open requests.
    """

    async def run() -> None:
        storage = AsyncSqliteStorage(folder / "state.db", timeout=20)
        broker = LeaseBroker(storage, folder / "b.sock")
        await broker.aclose()
        async with (
            AsyncLeasingStorage(storage, folder / "b.sock", services=["hot"]) as store,
            broker,
        ):
            guard = limiter(store, limit=RateLimitConfig.per_second(2, burst=1))
            await guard.aacquire()
            waiting = asyncio.create_task(guard.aacquire())
            await wait_for_requests(broker, 2)
            await broker.aclose()
            await waiting
            assert 1 == broker.handed_out

    asyncio.run(run())


def test_connection_ends_with_its_event_loop(folder: Path) -> None:
    """An unclosed store disconnects when its event loop ends, and works in the next loop."""
    with serve_broker(folder) as server:
        store = AsyncLeasingStorage(
            AsyncSqliteStorage(folder / "state.db", timeout=20), server.path, services=["hot"]
        )
        guard = limiter(store)
        asyncio.run(guard.aacquire())
        asyncio.run(guard.aacquire())

        assert 2 == server.broker.handed_out

        async def close() -> None:
            await store.aclose()

        asyncio.run(close())


def test_cancelled_task_withdraws_its_request(folder: Path) -> None:
    """A task that is cancelled while it waits for the broker withdraws its request."""

    async def run() -> None:
        limit = RateLimitConfig.per_second(2, burst=1)
        async with (
            AsyncSqliteStorage(folder / "state.db", timeout=20) as inner,
            LeaseBroker(inner, folder / "b.sock") as broker,
            AsyncLeasingStorage(
                AsyncSqliteStorage(folder / "state.db", timeout=20),
                folder / "b.sock",
                services=["hot"],
            ) as store,
        ):
            guard = RateLimiter(limit, name="hot", storage=store)
            await guard.aacquire()
            waiting = asyncio.create_task(guard.aacquire())
            other = asyncio.create_task(guard.aacquire())
            await wait_for_requests(broker, 2)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await other
            assert 2 == broker.handed_out

    asyncio.run(run())


def test_dead_broker_is_replaced_by_the_store(folder: Path) -> None:
    """While the broker is down, the store admits calls.

    When a broker starts, the broker admits them.
    """
    with leasing_store(folder) as store:
        guard = limiter(store)
        with serve_broker(folder):
            assert 1 == admitted_count(guard, 1)
        assert 1 == admitted_count(guard, 1)
    with serve_broker(folder) as server, leasing_store(folder) as store:
        assert 1 == admitted_count(limiter(store), 1)
        assert 1 == server.broker.handed_out


def test_call_reconnects_to_new_broker_if_broker_was_replaced(folder: Path) -> None:
    """If the broker was replaced, a call reconnects to the new broker."""
    with leasing_store(folder) as store:
        guard = limiter(store)
        with serve_broker(folder):
            guard.acquire()
        with serve_broker(folder) as server:
            guard.acquire()
            assert 1 == server.broker.handed_out


def test_limit_may_be_refused_without_broker(folder: Path) -> None:
    """With without_broker="refuse", a call without a broker is refused with a remedy."""
    with leasing_store(folder, without_broker="refuse") as store:
        with pytest.raises(StorageUnavailable, match="does not respond") as excinfo:
            limiter(store).acquire()
        assert "moorage broker" in str(excinfo.value.remedy)


def test_broker_whose_store_is_unavailable_tells_processes_to_use_store_themselves(
    folder: Path,
) -> None:
    """If a broker's store is unavailable, the processes use the store without the broker."""
    with (
        serve_broker(folder, lambda: UnreachableStore(folder / "away.db")) as server,
        leasing_store(folder) as store,
    ):
        limiter(store).acquire()

        assert 0 == server.broker.handed_out
        assert 1 == server.broker.requests


def test_call_that_cannot_wait_long_enough_is_refused(folder: Path) -> None:
    """A call that cannot wait long enough is refused with the store's retry time."""
    limit = RateLimitConfig(1, per=3_600, burst=1)
    with serve_broker(folder), leasing_store(folder) as store:
        guard = limiter(store, limit=limit)
        guard.acquire()
        with pytest.raises(RateLimitExceeded) as excinfo:
            guard.acquire(timeout=60)
        assert excinfo.value.retry_at is not None


@pytest.mark.parametrize(
    "reply",
    [
        b'{"id":%d,"wait":5}\n',
        b'{"id":%d,"store":true}\n',
        b'{"id":9%d,"granted":true}\n',
        b"[%d]\n",
        b'{"error":"%d"}\n',
        b"%d" + b"x" * LONGEST_LINE + b"\n",
        DISCONNECT,
    ],
)
def test_any_other_reply_leads_to_the_store(reply: bytes, folder: Path) -> None:
    """If the broker's reply is invalid, or refuses a call that may wait, the store decides."""

    async def run() -> None:
        inner = AsyncSqliteStorage(folder / "state.db", timeout=20)
        async with AsyncLeasingStorage(inner, folder / "b.sock", services=["hot"]) as store:
            await RateLimiter(HOT, name="hot", storage=store).aacquire(timeout=0.4)

    with scripted_broker(folder, reply), leasing_store(folder) as store:
        limiter(store).acquire(timeout=60)
        asyncio.run(run())
    with serve_broker(folder) as server:
        assert 0 == server.broker.handed_out


def test_only_one_call_is_delayed_if_broker_does_not_reply_in_time(folder: Path) -> None:
    """If the broker does not reply in time, only one call is delayed; later calls use the store."""

    async def run() -> None:
        inner = AsyncSqliteStorage(folder / "state.db", timeout=20)
        async with AsyncLeasingStorage(inner, folder / "b.sock", services=["hot"]) as store:
            guard = RateLimiter(HOT, name="hot", storage=store)
            assert await guard.atry_acquire()
            assert store.channels.is_away()

    with scripted_broker(folder, b""), leasing_store(folder) as store:
        assert limiter(store).try_acquire()
        assert store.channels.is_away()
        asyncio.run(run())


def test_call_without_time_asks_the_store(folder: Path) -> None:
    """A call whose deadline has passed sends no request to the broker."""
    with serve_broker(folder) as server, leasing_store(folder) as store:
        assert store.channels.ask(b"", 0, 0.0) is None
        assert 0 == server.broker.requests
        assert not store.channels.is_away()


def test_caller_without_time_does_not_keep_others_from_the_broker(folder: Path) -> None:
    """If one caller's time ends before the broker replies, other callers still use the broker."""

    async def run() -> None:
        inner = AsyncSqliteStorage(folder / "state.db", timeout=20)
        async with AsyncLeasingStorage(inner, folder / "b.sock", services=["hot"]) as store:
            assert await store.channels.ask(question_end(()), 0, 0.01) is None
            assert not store.channels.is_away()

    with scripted_broker(folder, b""), leasing_store(folder) as store:
        assert store.channels.ask(question_end(()), 0, 0.01) is None
        assert not store.channels.is_away()
        asyncio.run(run())


def test_interrupted_thread_closes_its_broker_connection(folder: Path) -> None:
    """Interrupting a thread that waits for the broker closes its connection."""

    def interrupt(_: int, __: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with scripted_broker(folder, b"", lambda: os.kill(os.getpid(), signal.SIGUSR1)):
            with leasing_store(folder) as store, pytest.raises(KeyboardInterrupt):
                limiter(store).acquire()
            assert 0 == store.channels.connections
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_free_connections_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections above the maximum of idle connections are closed after their request."""
    monkeypatch.setattr(_broker_channels, "_MOST_FREE", 0)
    with serve_broker(folder) as server, leasing_store(folder) as store:
        limiter(store).acquire()
        assert 0 == store.channels.connections
        assert 1 == server.broker.handed_out


def test_pause_during_a_wait_reaches_the_waiting(folder: Path) -> None:
    """If a service is paused, the store decides on calls that wait for the broker."""

    async def run() -> None:
        limit = RateLimitConfig.per_second(4, burst=1)
        async with (
            AsyncSqliteStorage(folder / "state.db", timeout=20) as inner,
            LeaseBroker(inner, folder / "b.sock") as broker,
            AsyncLeasingStorage(
                AsyncSqliteStorage(folder / "state.db", timeout=20),
                folder / "b.sock",
                services=["hot"],
            ) as store,
        ):
            guard = RateLimiter(limit, name="hot", storage=store)
            await guard.aacquire()
            waiting = asyncio.create_task(guard.aacquire(timeout=0.9))
            await wait_for_requests(broker, 2)
            await guard.apause(3_600)
            with pytest.raises(RateLimitExceeded):
                await waiting
            assert 1 == broker.handed_out

    asyncio.run(run())


def test_parent_and_child_each_have_their_own_connection_to_broker_after_fork(folder: Path) -> None:
    """After a fork, parent and child each have their own connection to the broker."""
    with serve_broker(folder) as server, leasing_store(folder) as store:
        guard = limiter(store)
        guard.acquire()

        assert 1 == run_in_forked_child(lambda: admitted_count(guard, 1))
        guard.acquire()
        assert 3 == server.broker.handed_out
        store.channels.restart_after_fork()
        assert 0 == store.channels.connections


def test_forked_child_forgets_the_connections_of_loops(folder: Path) -> None:
    """After a fork, a task opens a new connection to the broker."""

    async def run(server: BrokerThread) -> None:
        async with (
            AsyncSqliteStorage(folder / "state.db", timeout=20) as inner,
            AsyncLeasingStorage(inner, server.path, services=["hot"]) as store,
        ):
            guard = limiter(store)
            await guard.aacquire()
            store.channels.restart_after_fork()
            await guard.aacquire()

    with serve_broker(folder) as server:
        asyncio.run(run(server))
        assert 2 == server.broker.handed_out


def _ask(path: Path, *lines: bytes) -> list[Any]:
    """Send lines to a broker, and return the bytes that it sends until it disconnects."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(120)
        client.connect(str(path))
        with suppress(BrokenPipeError):
            client.sendall(b"".join(lines))
        received_bytes = b""
        while data := client.recv(65_536):
            received_bytes += data
    return [json.loads(line) for line in received_bytes.splitlines()]


QUESTION = b'{"id":%d,"within":0,"limits":[["{:hot}:limit:x",1,1000,20,1]]}\n'
LIMIT_KEY = b"{:hot}:limit:x"


def test_garbage_ends_its_own_connection_only(folder: Path) -> None:
    """A broker rejects garbage, overlong lines and reused numbers; other connections go on."""
    with serve_broker(folder) as server, leasing_store(folder) as store:
        guard = limiter(store)
        guard.acquire()
        garbage = _ask(server.path, b"\x00\xff garbage\n")
        answer = _ask(server.path, b"x" * (LONGEST_LINE + 1))
        repeated = _ask(server.path, QUESTION % 1, QUESTION % 1)
        claims = _ask(server.path, (QUESTION % 1).replace(LIMIT_KEY, b"{:hot:k}:key"))
        guard.acquire()

    assert [{"error": "A message must be a line with a JSON object."}] == garbage
    assert [{"error": f"A message is longer than {LONGEST_LINE} bytes."}] == answer
    assert "number as another open request" in repeated[-1]["error"]
    assert [
        "The key does not belong to a rate limit, but a broker leases only tokens of rate limits."
    ] == [claim["error"] for claim in claims]


def test_withdrawal_of_an_unknown_request_is_ignored(folder: Path) -> None:
    """A withdrawal that arrives after the reply has no effect."""
    with serve_broker(folder) as server:
        leave = b'{"id":1,"leave":true}\n'
        assert "error" in _ask(server.path, leave, b"end\n")[0]


def test_connections_and_kinds_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above its maximum, a broker refuses connections, and tells callers to use the store."""
    monkeypatch.setattr(lease_broker, "_MOST_QUEUES", 1)
    limit = b'{"id":%d,"within":0,"limits":[["{:hot}:limit:%d",1,1000,20,1]]}\n'
    with serve_broker(folder) as server, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(120)
        client.connect(str(server.path))
        client.sendall(limit % (1, 1) + limit % (2, 2))
        reader = client.makefile("rb")
        replies = sorted(reader.readline() for _ in range(2))
        assert [b'{"id":1,"granted":true}\n', b'{"id":2,"store":true}\n'] == replies
        reply = b'"store":true'
        while b'"store":true' in reply:  # until the tokens of the first kind have expired
            client.sendall(limit % (3, 3))
            reply = reader.readline()
        assert b'{"id":3,"granted":true}\n' == reply
        server.broker.most_connections = 1
        assert [{"error": "The broker has too many connections."}] == _ask(server.path)
        reader.close()


def test_process_that_does_not_read_is_disconnected(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker disconnects a process that leaves too many replies unread."""
    monkeypatch.setattr(lease_broker, "_MOST_UNREAD", 0)
    with serve_broker(folder) as server, socket.socket(socket.AF_UNIX) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        client.connect(str(server.path))
        client.settimeout(120)
        with pytest.raises(OSError, match=r"reset|pipe"):  # noqa: PT012 - until the broker leaves
            while True:
                client.sendall(b"".join(QUESTION % number for number in range(1_000, 3_000)))


def test_broker_ends_although_a_process_does_not_read(folder: Path) -> None:
    """Closing a broker does not wait until a process reads its replies."""

    def send() -> None:
        with suppress(OSError):
            for first in range(0, 100_000, 1_000):
                client.sendall(b"".join(QUESTION % (first + number) for number in range(1_000)))

    def is_unread() -> bool:
        connections = list(server.broker._connections)  # noqa: SLF001 - nobody else can tell
        return any(item._transport.get_write_buffer_size() for item in connections)  # noqa: SLF001 - nobody else can tell

    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(120)
        with serve_broker(folder) as server:
            client.connect(str(server.path))
            sending = Thread(target=send)
            sending.start()
            wait_until(is_unread, "unread replies")
        sending.join()


def test_second_broker_is_refused_and_a_stale_socket_replaced(folder: Path) -> None:
    """A second broker at one socket is refused; the socket of a dead broker is replaced."""
    path = folder / "b.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    first = BrokerSocket(path, 0o600)
    with pytest.raises(ConfigurationError, match="Another broker serves"):
        BrokerSocket(path, 0o600)
    assert 0o600 == path.stat().st_mode & 0o777
    first.close()
    assert not path.exists()
    second = BrokerSocket(path, 0o660)
    assert 0o660 == path.stat().st_mode & 0o777
    path.unlink()
    second.close()


def test_other_files_are_never_replaced(folder: Path) -> None:
    """A broker replaces only socket files, and refuses missing or unsafe folders."""
    file = folder / "b.sock"
    file.write_text("precious")
    with pytest.raises(ConfigurationError, match="is not a socket"):
        BrokerSocket(file, 0o600)
    assert "precious" == file.read_text()
    with pytest.raises(ConfigurationError, match="cannot listen at"):
        BrokerSocket(folder / "missing" / "b.sock", 0o600)
    (folder / "link.sock.lock").symlink_to(file)
    with pytest.raises(ConfigurationError, match="cannot listen at"):
        BrokerSocket(folder / "link.sock", 0o600)
    (folder / "full.sock.new").mkdir()
    with pytest.raises(ConfigurationError, match="cannot listen at"):
        BrokerSocket(folder / "full.sock", 0o600)
    folder.chmod(0o777)
    with pytest.raises(ConfigurationError, match="Every user can replace"):
        BrokerSocket(folder / "other.sock", 0o600)


@pytest.mark.parametrize("mode", [-1, 0o1000, True, "600"])
def test_invalid_socket_mode_is_refused(mode: Any, folder: Path) -> None:
    """A number that is not a valid file mode is refused as the socket's mode."""
    with pytest.raises(ConfigurationError, match="not a valid file mode"):
        BrokerSocket(folder / "b.sock", mode)


@pytest.mark.parametrize("path", ["", 7, None, "x" * 101, "a\nb", "a\0b", ".", "/", "run/.."])
def test_impossible_socket_path_is_refused(path: Any, folder: Path) -> None:
    """A path at which no socket can be created is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        LeasingStorage(SqliteStorage(folder / "s.db"), path, services=["hot"])
    assert "socket" == excinfo.value.path


@pytest.mark.parametrize("services", [[], 7, [7], "", ["a\n"], None])
def test_invalid_service_names_are_refused(services: Any, folder: Path) -> None:
    """Values that are not service names are refused."""
    with pytest.raises((ConfigurationError, InvalidData)):
        leasing_store(folder, services=services)


def test_single_service_name_is_accepted(folder: Path) -> None:
    """The broker's `services` may be a single name; the store has the usual `reach` and `repr`."""
    with leasing_store(folder, services="hot") as store:
        assert "machine" == store.reach
        assert "LeasingStorage" in repr(store)
        assert "b.sock" in repr(LeaseBroker(AsyncSqliteStorage(folder / "s.db"), folder / "b.sock"))


@pytest.mark.parametrize("choice", ["never", None, 7, "x" * 10_000])
def test_invalid_without_broker_setting_is_refused(choice: Any, folder: Path) -> None:
    """A `without_broker` value other than the two documented values is refused."""
    with pytest.raises(ConfigurationError, match="not a valid without_broker"):
        leasing_store(folder, without_broker=choice)


def test_in_memory_store_is_refused(folder: Path) -> None:
    """The broker refuses an in-memory store, because other processes cannot share its limits."""
    with pytest.raises(ConfigurationError, match="share limits between processes"):
        LeasingStorage(MemoryStorage(), folder / "b.sock", services=["hot"])
    with pytest.raises(ConfigurationError, match="share limits between processes"):
        LeaseBroker(AsyncMemoryStorage(), folder / "b.sock")


@pytest.mark.parametrize(
    "files, connections", [(None, 4_096), (1_048_576, 4_096), (1_024, 832), (192, 1), (10, 1)]
)
def test_connections_leave_files_for_the_store(files: int | None, connections: int) -> None:
    """The more files a broker's process may open, the more connections the broker accepts."""
    assert connections == lease_broker.most_connections(files)


def test_unlimited_files_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """`open_files` returns None if the process has no limit of open files."""
    assert lease_broker.open_files() != 0
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _: unlimited)
    assert lease_broker.open_files() is None


PROCESS = """
import asyncio, resource, sys
from moorage.adapters.state.lease_broker import LeaseBroker
from moorage.wiring.store_urls import aopen_storage

async def main():
    path, url, files = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(files), int(files)))
    async with aopen_storage(url) as storage, LeaseBroker(storage, path):
        print("serving", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@contextmanager
def broker_process(
    folder: Path, url: str | None = None, files: int = 1_024
) -> Generator[subprocess.Popen[bytes]]:
    """Run a broker in a separate process, and kill the process at the end."""
    url = url or f"sqlite:///{folder}/state.db"
    command = [sys.executable, "-c", PROCESS, str(folder / "b.sock"), url, str(files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"serving" in process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_killed_brokers_never_double_tokens(folder: Path) -> None:
    """However often the broker is killed, all processes together get at most the burst."""
    limit, count = RateLimitConfig.per_hour(60, burst=200), 0
    for _ in range(4):
        with leasing_store(folder) as store:
            guard = limiter(store, limit=limit)
            with broker_process(folder):
                count += admitted_count(guard, 5)
            count += admitted_count(guard, 1)
    assert 24 == count
    with leasing_store(folder) as store:
        assert count + admitted_count(limiter(store, limit=limit), 250) <= 200


def store_over_redis(folder: Path, name: str, **options: Any) -> LeasingStorage:
    """Return a store that uses the folder's broker, and Redis if the broker is away."""
    return LeasingStorage(RedisStorage(redis_url()), folder / "b.sock", services=[name], **options)


@pytest.fixture
def name() -> str:
    """Return a service name that no other test uses."""
    return f"hot-{uuid4().hex}"


def test_machines_share_a_limit_in_redis(folder: Path, name: str) -> None:
    """Brokers of two machines, and processes without one, together grant at most the burst."""
    machines = [folder / "a", folder / "b", folder / "none"]
    for machine in machines:
        machine.mkdir()
    with (
        broker_process(machines[0], redis_url()),
        broker_process(machines[1], redis_url()),
        store_over_redis(machines[0], name, without_broker="refuse") as first,
        store_over_redis(machines[1], name, without_broker="refuse") as second,
        store_over_redis(machines[2], name) as third_store,
    ):
        guards = [limiter(store, name) for store in (first, second, third_store)]
        assert [3, 3, 3] == [admitted_count(guard, 3) for guard in guards]
        other_count = sum(admitted_count(guard, 50) for guard in guards)

    # Tokens that a broker took in advance are lost if it has no time to grant them.
    assert 0 < other_count <= 41


def test_killed_broker_is_replaced_by_redis(folder: Path, name: str) -> None:
    """If the broker is killed, calls use the same bucket in Redis, and later a new broker."""
    with store_over_redis(folder, name) as store:
        guard = limiter(store, name)
        with broker_process(folder, redis_url()) as process:
            assert guard.try_acquire()
            process.kill()
            process.wait()
            assert guard.try_acquire()
        with broker_process(folder, redis_url()):
            assert guard.try_acquire()
        assert admitted_count(guard, 60) <= 47


def test_queued_redis_call_is_admitted_through_broker(folder: Path, name: str) -> None:
    """A broker over Redis admits a call that must wait for its token once the wait is over."""
    limit = RateLimitConfig.per_second(20, burst=1)
    with (
        broker_process(folder, redis_url()),
        store_over_redis(folder, name, without_broker="refuse") as store,
    ):
        guard = limiter(store, name, limit)
        for _ in range(4):
            guard.acquire(timeout=60)


def test_broker_that_may_open_256_files_refuses_surplus_connections_and_serves_others(
    folder: Path,
) -> None:
    """A broker that may open 256 files refuses surplus connections and serves the others."""
    with (
        broker_process(folder, files=256) as process,
        leasing_store(folder, without_broker="refuse") as store,
        ExitStack() as stack,
    ):
        guard = limiter(store)
        assert guard.try_acquire()
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(200)]
        for client in clients:
            client.connect(str(folder / "b.sock"))
            client.settimeout(120)
        for client in clients[64:]:
            assert b"too many connections" in client.recv(200)
        assert guard.try_acquire()
        process.kill()
        assert process.stderr is not None
        assert b"" == process.stderr.read()


def test_endless_line_takes_no_memory(folder: Path) -> None:
    """A gigabyte without a line end is refused early and takes no memory."""
    with (
        broker_process(folder),
        leasing_store(folder, without_broker="refuse") as store,
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.settimeout(120)
        client.connect(str(folder / "b.sock"))
        sent_at, line = 0, b"x" * 65_536
        with suppress(OSError):
            while sent_at < 1 << 30:
                sent_at += client.send(line)
        assert sent_at < 1 << 20
        assert limiter(store).try_acquire()


def test_error_says_so_if_broker_folder_has_no_space_for_socket(folder: Path) -> None:
    """If the broker's folder has no space for the socket, the error states this cause."""

    def raise_disk_full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", raise_disk_full)
        with pytest.raises(ConfigurationError, match="No space left on device"):
            BrokerSocket(folder / "b.sock", 0o600)
    # The lock and the file descriptors are free again.
    BrokerSocket(folder / "b.sock", 0o600).close()
