"""Slow database servers, whose late connections and replies are still used."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.databases._sql_pool import LinkPool, PendingConnection
from moorage.adapters.databases._sql_runtimes import _WorkerTask
from moorage.errors import StorageUnavailable
from moorage.testing import TcpProxy
from tests.adapters.sql_harness import PATIENCE, Append, Harness, new_key, values
from tests.adapters.sql_harness import Proxy as Watching
from tests.support.threads import no_new_threads
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy

SHORT = 0.3
"""Seconds of a deadline that is long enough to send a command, but not to get a slow answer."""
HASTE = 0.02
"""Seconds that a hasty caller has."""


@pytest.fixture
def stuck_network(harness: Harness) -> Iterator[TcpProxy]:
    """Yield a fake network that delivers nothing until the test repairs it."""
    address = urlsplit(harness.url.render_as_string(hide_password=False))
    with TcpProxy(address.hostname or "", address.port or 0) as proxy:
        proxy.withhold()
        yield proxy


def _url_through(harness: Harness, proxy: TcpProxy) -> sqlalchemy.URL:
    return harness.url.set(host="127.0.0.1", port=proxy.address[1])


def test_a_connection_that_comes_late_is_kept_for_the_next_caller(
    harness: Harness, stuck_network: TcpProxy
) -> None:
    """Callers that time out share one connection attempt, and a later caller uses its result."""
    store, key = harness.sync_store(_url_through(harness, stuck_network)), new_key()
    for _ in range(3):
        with pytest.raises(StorageUnavailable, match="in time"):
            store.execute(Append(0, key), HASTE)
    stuck_network.restore()

    store.execute(Append(1, key), PATIENCE)

    assert ((1,),) == values(harness.sync_store(), key)
    assert 1 == stuck_network.connections


def test_late_connection_is_kept(harness: Harness, stuck_network: TcpProxy) -> None:
    """A connection that opens after its caller timed out is used by the next caller."""
    store, key = harness.sync_store(_url_through(harness, stuck_network)), new_key()
    with pytest.raises(StorageUnavailable, match="in time"):
        store.execute(Append(0, key), HASTE)
    stuck_network.restore()
    (pool,) = store._engine._pools.values()  # noqa: SLF001 - no caller could tell
    wait_until(lambda: pool.idle, "the connection")

    store.execute(Append(1, key), PATIENCE)

    assert ((1,),) == values(harness.sync_store(), key)
    assert (1, []) == (stuck_network.connections, pool.late_openings)


def test_a_connection_that_fails_late_is_forgotten(
    harness: Harness, stuck_network: TcpProxy
) -> None:
    """A connection that fails to open after its caller timed out is dropped."""
    store, key = harness.sync_store(_url_through(harness, stuck_network)), new_key()
    with pytest.raises(StorageUnavailable, match="in time"):
        store.execute(Append(0, key), HASTE)
    (pool,) = store._engine._pools.values()  # noqa: SLF001 - no caller could tell
    stuck_network.cut_connections()
    wait_until(lambda: not pool.late_openings, "the connection's end")
    stuck_network.restore()

    store.execute(Append(1, key), PATIENCE)

    assert ((1,),) == values(harness.sync_store(), key)


def test_late_connection_is_used_by_the_next_task(
    harness: Harness, stuck_network: TcpProxy
) -> None:
    """In an asynchronous store, a connection that opens late is used by the next task."""
    key = new_key()

    async def run_scenario() -> int:
        async with harness.async_store(_url_through(harness, stuck_network)) as store:
            with pytest.raises(StorageUnavailable, match="in time"):
                await store.execute(Append(0, key), HASTE)
            stuck_network.restore()
            await store.execute(Append(1, key), PATIENCE)
            return stuck_network.connections

    assert 1 == asyncio.run(run_scenario())
    assert ((1,),) == values(harness.sync_store(), key)


def test_connection_that_is_being_opened_for_cancelled_task_is_used_by_next_task(
    harness: Harness, stuck_network: TcpProxy
) -> None:
    """A connection that is being opened for a cancelled task is used by the next task."""
    key = new_key()

    async def run_scenario() -> int:
        async with harness.async_store(_url_through(harness, stuck_network)) as store:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(store.execute(Append(0, key), PATIENCE), HASTE)
            stuck_network.restore()
            await store.execute(Append(1, key), PATIENCE)
            return stuck_network.connections

    assert 1 == asyncio.run(run_scenario())


async def _remaining_tasks() -> set[asyncio.Task[Any]]:
    """Return the event loop's other tasks that still run after the longest wait of a test."""
    remaining_tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if remaining_tasks:
        _, remaining_tasks = await asyncio.wait(remaining_tasks, timeout=PATIENCE)
    return remaining_tasks


def test_closing_stops_opening_connections(harness: Harness, stuck_network: TcpProxy) -> None:
    """Closing an asynchronous store cancels the connections that are still being opened."""

    async def run_scenario() -> set[asyncio.Task[Any]]:
        url = _url_through(harness, stuck_network)
        async with harness.async_store(url, timeout=10 * PATIENCE) as store:
            with pytest.raises(StorageUnavailable):
                await store.execute(Append(0, new_key()), HASTE)
        return await _remaining_tasks()

    assert set() == asyncio.run(run_scenario())


def test_connection_that_is_awaited_at_closing_is_not_left_opening(
    harness: Harness, stuck_network: TcpProxy
) -> None:
    """If an asynchronous store is closed while a command connects, connecting stops too."""

    async def run_scenario() -> set[asyncio.Task[Any]]:
        url = _url_through(harness, stuck_network)
        async with harness.async_store(url, timeout=10 * PATIENCE) as store:
            running_command = asyncio.ensure_future(store.execute(Append(0, new_key()), SHORT))
            await asyncio.to_thread(wait_until, lambda: stuck_network.connections, "an opening")
        with pytest.raises(StorageUnavailable):
            await running_command
        return await _remaining_tasks()

    assert set() == asyncio.run(run_scenario())


def test_server_slow_in_the_session_setup_is_not_down(harness: Harness) -> None:
    """A timeout while a session is prepared counts as a slow server, not as a lost one."""
    received_event = threading.Event()
    word = b"current_setting" if harness.kind == "postgresql" else b"TRANSACTION ISOLATION"

    def fall_silent(chunk: bytes) -> str | None:
        if word in chunk:
            received_event.set()
        return "never" if received_event.is_set() else None

    with Watching(harness.url, fall_silent) as proxy:
        store = harness.sync_store(proxy.url)
        with pytest.raises(StorageUnavailable, match="in time"):
            store.execute(Append(0, new_key()), HASTE)
        assert received_event.wait(PATIENCE)

        with pytest.raises(StorageUnavailable, match="in time") as excinfo:
            store.execute(Append(0, new_key()), HASTE)

    assert excinfo.value.slow


# --- connection attempts ------------------------------------------------------------


class ControlledConnection:
    """A fake connection attempt that the test controls."""

    def __init__(self, opening: PendingConnection) -> None:
        opening.running = self

    async def wait(self, seconds: float) -> None:
        """Return at once."""

    def cancel(self) -> None:
        """Record that the attempt was cancelled."""


def _late_opening(pool: LinkPool, stored: list[Any], *, age: float = 0.0) -> PendingConnection:
    """Return a connection attempt whose caller no longer waits."""
    opening = PendingConnection(lambda _, link: stored.append(link))
    opening._began -= age  # noqa: SLF001 - no test waits so long
    ControlledConnection(opening)
    assert run_now(opening.within(0, pool.late_openings)) is None
    return opening


def test_hanging_connections_are_passed_over_up_to_a_limit() -> None:
    """While a connection attempt hangs, further attempts may be started up to a maximum."""
    pool, opened_links = LinkPool(), []  # type: ignore[var-annotated]  # of links
    hanging_link = _late_opening(pool, opened_links, age=60)

    assert pool.joinable(2) is None
    assert hanging_link is pool.joinable(1)
    assert pool.joinable(1) is None


def test_ended_opening_is_not_waited_for() -> None:
    """A caller that arrives just after a connection was opened uses that connection."""
    pool, opened_links = LinkPool(), []  # type: ignore[var-annotated]  # of links
    opening = _late_opening(pool, opened_links)

    async def return_connection(_: PendingConnection) -> Any:
        return "link"

    run_now(opening.run(return_connection))

    assert ["link"] == opened_links
    assert pool.joinable(5) is None


def test_connection_that_opens_while_its_caller_is_interrupted_is_kept_in_pool() -> None:
    """A connection that opens while its caller is interrupted is kept in the pool."""
    opened_links: list[Any] = []
    pool = LinkPool()
    opening = PendingConnection(lambda _, link: opened_links.append(link))

    class Interruption(BaseException):
        """The exception of a signal handler."""

    class InterruptingConnection(ControlledConnection):
        async def wait(self, seconds: float) -> None:
            await opening.run(return_connection)
            raise Interruption

    async def return_connection(_: PendingConnection) -> Any:
        return "link"

    InterruptingConnection(opening)
    with pytest.raises(Interruption):
        run_now(opening.within(1, pool.late_openings))

    assert (["link"], []) == (opened_links, pool.late_openings)


def test_interrupted_caller_leaves_an_opening_connection_to_the_next() -> None:
    """After its caller is interrupted, a connection attempt can be joined by the next caller."""
    pool = LinkPool()
    opening = PendingConnection(lambda *_: None)

    class InterruptingConnection(ControlledConnection):
        async def wait(self, seconds: float) -> None:
            raise KeyboardInterrupt

    InterruptingConnection(opening)
    with pytest.raises(KeyboardInterrupt):
        run_now(opening.within(1, pool.late_openings))

    assert opening is pool.joinable(5)


def test_finished_opening_is_not_cancelled() -> None:
    """Cancelling a finished connection attempt has no effect, even if its event loop is closed."""

    async def run_scenario() -> _WorkerTask:
        opening = _WorkerTask(asyncio.sleep(0))
        await opening.wait(PATIENCE)
        return opening

    asyncio.run(run_scenario()).cancel()


def test_a_server_that_answered_not_long_ago_is_slow(
    harness: Harness, stuck_network: TcpProxy
) -> None:
    """If a connection that worked before replies late, the error says that the server is slow."""
    stuck_network.restore()
    store, key = harness.sync_store(_url_through(harness, stuck_network)), new_key()
    store.execute(Append(1, key))
    stuck_network.withhold()

    with pytest.raises(StorageUnavailable, match="in time") as excinfo:
        store.execute(Append(2, key), 1.0)

    assert excinfo.value.slow


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_reply_that_trickles_ends_by_the_deadline(harness: Harness, mode: str) -> None:
    """If a reply arrives byte by byte, the command fails at the caller's deadline."""
    key, word = new_key(), [b"never sent"]

    def trickle_reply(chunk: bytes) -> str | None:
        return "trickle" if word[0] in chunk else None

    async def run_scenario(url: sqlalchemy.URL) -> None:
        store = harness.async_store(url)
        await store.execute(Append(0, key), PATIENCE)
        word[0] = b""
        with pytest.raises(StorageUnavailable):
            await store.execute(Append(1, key), SHORT)
        await store.aclose()

    with Watching(harness.url, trickle_reply) as proxy:
        if mode == "async":
            asyncio.run(run_scenario(proxy.url))
            return
        store = harness.sync_store(proxy.url)
        store.execute(Append(0, key), PATIENCE)
        word[0] = b""
        with pytest.raises(StorageUnavailable):
            store.execute(Append(1, key), SHORT)


def test_a_connection_is_opened_where_no_thread_can_be_started(harness: Harness) -> None:
    """A process that cannot start threads can still open a database connection."""
    store, key = harness.sync_store(), new_key()
    with no_new_threads():
        store.execute(Append(1, key))

    assert ((1,),) == values(store, key)
