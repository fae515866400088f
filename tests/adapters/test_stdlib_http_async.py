"""The asynchronous HTTP client on the standard library in event loops."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from threading import enumerate as enumerate_threads
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.http.connections import _loops as _http_loops
from moorage.adapters.http.connections._loops import LoopNetwork
from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient
from moorage.domain.http.requests import BodyStream, Request, Timeouts
from moorage.errors import AttemptTimeout, ConnectionFailed
from moorage.testing import http_conformance as kit
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from moorage.testing.kits._http_harness import harness
from moorage.testing.kits.checks import name_of
from tests.adapters.http_modes import GET, LONG, in_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# --- bodies ------------------------------------------------------------------


def slow_request(*chunks: bytes, error: Exception | None = None) -> Request:
    """Return a request whose body yields two chunks and then fails or never ends."""

    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk
        if error is not None:
            raise error
        await asyncio.sleep(60)

    return Request.put("/", body=BodyStream.of(source))


@pytest.mark.parametrize("chunks", [(), (b"one",)])
@in_loop
async def test_slow_source_times_out(chunks: tuple[bytes, ...]) -> None:
    """A request whose body stalls ends at the total timeout.

    The error states whether part of it was sent.
    """
    async with harness(AsyncStdlibHttpClient) as (vendor, client):
        with pytest.raises(
            AttemptTimeout, match=r"did not receive (all of )?the request within"
        ) as excinfo:
            await client.send(slow_request(*chunks), vendor.url, Timeouts(total=0.05))

    assert bool(chunks) is excinfo.value.may_have_been_processed


@in_loop
async def test_client_without_a_timeout_waits_for_the_body() -> None:
    """Without a total timeout, the client waits for the request body without a limit."""
    async with harness(AsyncStdlibHttpClient) as (vendor, client):
        with pytest.raises(ConnectionFailed, match="failed with LookupError") as excinfo:
            await client.send(slow_request(b"x", error=LookupError()), vendor.url, Timeouts())

    assert excinfo.value.may_have_been_processed


@in_loop
async def test_timeout_of_the_source_is_a_source_error() -> None:
    """A TimeoutError raised by the request body is not mistaken for the total timeout."""
    async with harness(AsyncStdlibHttpClient) as (vendor, client):
        with pytest.raises(ConnectionFailed, match="failed with TimeoutError") as excinfo:
            await client.send(slow_request(error=TimeoutError()), vendor.url, LONG)

    assert not isinstance(excinfo.value, AttemptTimeout)
    assert not excinfo.value.may_have_been_processed


# --- cancelling --------------------------------------------------------------


async def cancelled_soon(call: asyncio.Task[Any]) -> bool:
    """Return whether a call that is cancelled just after its start ends as cancelled."""
    await asyncio.sleep(0.02)
    call.cancel()
    await asyncio.wait([call])
    return call.cancelled()


@in_loop
async def test_connecting_can_be_cancelled() -> None:
    """A call cancelled while it connects leaves no connection open."""
    async with harness(AsyncStdlibHttpClient, port="ignoring") as (vendor, client):
        assert await cancelled_soon(asyncio.ensure_future(client.send(GET, vendor.url, LONG)))


@in_loop
async def test_reading_can_be_cancelled() -> None:
    """Cancelling a read closes the connection, and the next read raises an error."""
    async with harness(AsyncStdlibHttpClient) as (vendor, client):
        vendor.queue(Behaviour(body=b"ab", cut=1))
        incoming = await client.open(GET, vendor.url, LONG)
        assert b"a" == await incoming.read()
        assert await cancelled_soon(asyncio.ensure_future(incoming.read()))
        await asyncio.to_thread(vendor.wait_for_closed)
        with pytest.raises(ConnectionFailed, match="closed before its end"):
            await incoming.read()


@pytest.mark.parametrize("freed_first", [False, True])
@in_loop
async def test_waiting_for_a_slot_can_be_cancelled(freed_first: bool) -> None:
    """If a call is cancelled while it waits for or gets a connection, its slot becomes free."""
    async with harness(lambda: AsyncStdlibHttpClient(max_connections=1)) as (vendor, client):
        vendor.always(Behaviour(204))
        vendor.queue(Behaviour(body=b"ab", cut=1))
        incoming = await client.open(GET, vendor.url, LONG)
        waiting_task = asyncio.ensure_future(client.send(GET, vendor.url, LONG))
        await asyncio.sleep(0.01)
        if freed_first:
            incoming.close()
        waiting_task.cancel()
        await asyncio.wait([waiting_task])
        incoming.close()

        assert waiting_task.cancelled()
        assert 204 == (await client.send(GET, vendor.url, Timeouts(pool=0.1))).status


# --- several event loops -----------------------------------------------------


def test_in_each_new_event_loop_client_opens_its_own_connections() -> None:
    """The client opens its own connections in each new event loop."""
    client = AsyncStdlibHttpClient()
    with VendorServer() as vendor:
        vendor.always(Behaviour(204))

        async def send_twice() -> None:
            for _ in range(2):
                await client.send(GET, vendor.url, LONG)

        asyncio.run(send_twice())
        asyncio.run(send_twice())
        assert [1, 1, 2, 2] == [request.connection for request in vendor.requests]
        vendor.wait_for_closed(1)
        asyncio.run(client.close())
        vendor.wait_for_closed(2)


def test_loops_side_by_side_each_connect() -> None:
    """Two event loops in two threads use one client with separate connections."""
    client = AsyncStdlibHttpClient()
    with VendorServer() as vendor:
        vendor.always(Behaviour(204))
        statuses: list[int] = []

        async def send_several() -> None:
            answers = await asyncio.gather(*(client.send(GET, vendor.url, LONG) for _ in range(8)))
            statuses.extend(answer.status for answer in answers)

        threads = [Thread(target=asyncio.run, args=(send_several(),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        asyncio.run(client.close())

    assert [204] * 16 == statuses


def test_late_name_resolution_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name lookup that ends after its event loop closed is ignored."""
    answer, result = Event(), Event()

    def look_up(*_: object, flags: int = 0, **__: object) -> list[Any]:
        if flags:
            raise socket.gaierror
        answer.wait(20)
        result.set()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    async def resolve_late() -> None:
        client = AsyncStdlibHttpClient()
        with pytest.raises(AttemptTimeout):
            await client.send(GET, "http://vendor.example/", Timeouts(total=0.02))

    asyncio.run(resolve_late())
    (lookup,) = (thread for thread in enumerate_threads() if "vendor.example" in thread.name)
    answer.set()
    lookup.join()
    assert result.is_set()


# --- event loops that cannot watch sockets -----------------------------------


def loop_without_sockets() -> asyncio.AbstractEventLoop:
    """Return an event loop that cannot watch sockets, like Windows' default loop."""

    def unsupported(*_: object) -> None:
        raise NotImplementedError

    loop = asyncio.SelectorEventLoop()
    vars(loop).update(add_reader=unsupported, add_writer=unsupported)
    return loop


WAITING = {
    "callers_do_not_mix",
    "silence_ends_with_the_read_timeout",
    "unread_requests_end_with_the_write_timeout",
    "an_unreachable_vendor_got_nothing",
    "cancelling_closes_the_connection",
}


@pytest.mark.parametrize(
    "check", [check for check in kit.ASYNC_CHECKS if name_of(check) in WAITING], ids=name_of
)
def test_waits_where_loops_cannot_watch_sockets(
    check: kit.AsyncCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an event loop that cannot watch sockets, threads wait for them."""
    monkeypatch.setattr(_http_loops, "_THREAD_INTERVAL", 0.01)
    with asyncio.Runner(loop_factory=loop_without_sockets) as runner:
        runner.run(check(AsyncStdlibHttpClient))


@in_loop
async def test_caller_at_the_head_of_the_queue_gets_its_slot_at_its_timeout() -> None:
    """A caller at the head of the queue gets its slot, even if its timeout ends at that moment."""
    waiter = LoopNetwork().waiter()
    waiter.call()
    waiter.call()

    await waiter.wait(0)


def test_client_works_in_loops_of_many_threads() -> None:
    """Threads that each run an event loop can share one client."""
    client = AsyncStdlibHttpClient()
    with VendorServer() as vendor, ThreadPoolExecutor(8) as threads:
        vendor.always(Behaviour(204))

        def send_request(_: int) -> int:
            return asyncio.run(client.send(GET, vendor.url, LONG)).status

        assert [204] * 200 == list(threads.map(send_request, range(200)))
    asyncio.run(client.close())
