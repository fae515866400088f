"""One outbox worker that makes several calls at the same time."""

from __future__ import annotations

import asyncio
import json
from threading import Barrier, Event, Lock
from typing import TYPE_CHECKING, Any

import pytest

from moorage import AsyncHub, ConfigurationError, Hub, Request, Response, RetryPolicy, Service
from moorage.adapters.entries.memory import AsyncMemoryOutbox, MemoryOutbox
from moorage.adapters.entries.sqlite import AsyncSqliteOutbox, SqliteOutbox
from moorage.domain.entries.queue import EntryQuery
from moorage.errors import StorageUnavailable
from moorage.hub.outbox import AsyncOutbox, Outbox
from moorage.testing import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from pathlib import Path

    from moorage.domain.http.requests import Timeouts

PATIENCE = 30.0
SHOP = Service("shop", base_url="https://shop.example", retry=RetryPolicy(max_attempts=1))


def number_of(request: Request) -> int:
    """Return the number that the body of a call's request contains."""
    return int(json.loads(bytes(request.body)))  # type: ignore[arg-type]  # no stream


class Vendor:
    """A vendor that records each call, and runs the test's function before its response."""

    def __init__(self, does: Callable[[int], object]) -> None:
        self.calls: list[int] = []
        self._does = does

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Record the call, run the test's function, and return a success."""
        number = number_of(request)
        self.calls.append(number)
        self._does(number)
        return Response(200)


class AsyncVendor:
    """A vendor like `Vendor`, with asynchronous methods."""

    def __init__(self, does: Callable[[int], Awaitable[object]]) -> None:
        self._does = does

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Run the test's function, and return a success."""
        await self._does(number_of(request))
        return Response(200)


def hub_of(vendor: Vendor) -> Hub:
    """Return a hub that calls this vendor."""
    return Hub([], services=[SHOP], http=vendor)


def put_calls(outbox: Outbox, *numbers: int, **options: Any) -> None:
    """Store calls in the outbox."""
    for number in numbers:
        outbox.put_request("shop", Request.post("/orders", json=number), **options)


def states(outbox: Outbox) -> list[str]:
    """Return the state of each call, oldest first."""
    return [item.state.value for item in outbox.find(EntryQuery(limit=1000)).items][::-1]


@pytest.fixture(params=["memory", "sqlite"])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Outbox]:
    """Yield an outbox whose store claims single calls, then one whose store claims batches."""
    if request.param == "memory":
        yield Outbox(MemoryOutbox())
        return
    with SqliteOutbox(tmp_path / "app.db", create=True) as store:
        yield Outbox(store)


def test_calls_are_made_at_the_same_time(outbox: Outbox) -> None:
    """As many calls run at the same time as the caller of the outbox requests."""
    barrier = Barrier(4, timeout=PATIENCE)
    vendor = Vendor(lambda _: barrier.wait())
    put_calls(outbox, *range(8))

    assert 8 == outbox.deliver(hub_of(vendor), at_once=4).done
    assert list(range(8)) == sorted(vendor.calls)


def test_tasks_make_calls_at_the_same_time(tmp_path: Path) -> None:
    """An asynchronous outbox makes simultaneous calls in tasks."""

    async def deliver(store: Any) -> int:
        barrier = asyncio.Barrier(4)

        async def wait(_: int) -> None:
            await asyncio.wait_for(barrier.wait(), PATIENCE)

        hub = AsyncHub([], services=[SHOP], http=AsyncVendor(wait))
        outbox = AsyncOutbox(store)
        for number in range(4):
            await outbox.put_request("shop", Request.post("/orders", json=number))
        return (await outbox.deliver(hub, at_once=4)).done

    async def deliver_from_file() -> int:
        async with AsyncSqliteOutbox(tmp_path / "app.db", create=True) as store:
            return await deliver(store)

    assert 4 == asyncio.run(deliver(AsyncMemoryOutbox()))
    assert 4 == asyncio.run(deliver_from_file())


def test_calls_with_same_order_are_made_one_after_another(outbox: Outbox) -> None:
    """Calls with the same `order` are made one after another, in the order of their creation."""
    running: set[int] = set()
    lock = Lock()

    def handle_entry(number: int) -> None:
        with lock:
            assert number % 2 not in running
            running.add(number % 2)
        with lock:
            running.remove(number % 2)

    vendor = Vendor(handle_entry)
    for number in range(12):
        put_calls(outbox, number, order=f"order-{number % 2}")

    assert 12 == outbox.deliver(hub_of(vendor), at_once=4).done
    for lane in (0, 1):
        assert [n for n in range(12) if n % 2 == lane] == [n for n in vendor.calls if n % 2 == lane]


def test_stopped_worker_begins_no_other_call(outbox: Outbox) -> None:
    """A stopped worker finishes its running calls and leaves the other calls waiting."""
    stop, barrier = Event(), Barrier(2, timeout=PATIENCE)

    def handle_entry(_: int) -> None:
        barrier.wait()
        stop.set()

    put_calls(outbox, *range(6))

    assert 2 == outbox.deliver(hub_of(Vendor(handle_entry)), at_once=2, stop=stop).done
    assert {"done": 2, "waiting": 4} == {
        state: states(outbox).count(state) for state in set(states(outbox))
    }


def test_interrupted_calls_are_given_back(tmp_path: Path) -> None:
    """After an interruption, calls that are not running are released for other workers."""
    barrier = Barrier(2, timeout=PATIENCE)

    def handle_entry(_: int) -> None:
        barrier.wait()
        raise KeyboardInterrupt

    with SqliteOutbox(tmp_path / "app.db", create=True) as store:
        outbox = Outbox(store)
        put_calls(outbox, *range(2))
        with pytest.raises(KeyboardInterrupt):
            outbox.deliver(hub_of(Vendor(handle_entry)), at_once=2)
        assert "waiting" in states(outbox)


def test_failing_store_is_reported_after_the_calls_have_ended(tmp_path: Path) -> None:
    """If results cannot be stored, the worker starts no other call and raises the error."""

    class FailingOutbox(SqliteOutbox):
        """A store that fails when results are written."""

        def settle(self, *_: Any, **__: Any) -> Sequence[bool]:
            raise StorageUnavailable("The disk is full.", remedy="Free some space.")

    clock = VirtualClock()
    vendor = Vendor(lambda _: clock.advance(1))
    with FailingOutbox(tmp_path / "app.db", create=True) as store:
        outbox = Outbox(store, clock=clock)
        put_calls(outbox, *range(8))
        with pytest.raises(StorageUnavailable, match="disk is full"):
            outbox.deliver(hub_of(vendor), at_once=2)
    assert len(vendor.calls) < 8


def test_results_are_written_while_other_calls_go_on(tmp_path: Path) -> None:
    """A slow call does not delay the results of other calls; results are written one at a time."""
    clock = VirtualClock()

    async def deliver() -> list[int]:
        first_written, second_ended = asyncio.Event(), asyncio.Event()
        written_numbers: list[int] = []

        class Store(AsyncSqliteOutbox):
            """A store that waits during its first write until another call has ended."""

            async def settle(self, entries: Any, *options: Any, **named: Any) -> Sequence[bool]:
                written_numbers.append(len(entries))
                first_written.set()
                await asyncio.wait_for(second_ended.wait(), PATIENCE)
                return await super().settle(entries, *options, **named)

        async def handle_entry(number: int) -> None:
            if number == 1:
                await asyncio.wait_for(first_written.wait(), PATIENCE)
                asyncio.get_running_loop().call_later(0, second_ended.set)
            clock.advance(1)

        hub = AsyncHub([], services=[SHOP], http=AsyncVendor(handle_entry))
        async with Store(tmp_path / "app.db", create=True) as store:
            outbox = AsyncOutbox(store, clock=clock)
            for number in range(2):
                await outbox.put_request("shop", Request.post("/orders", json=number))
            await outbox.deliver(hub, at_once=2)
        return written_numbers

    assert [1, 1] == asyncio.run(deliver())


@pytest.mark.parametrize("number", [0, -1, 1.5, True, 1001])
def test_number_of_simultaneous_calls_must_be_from_1_to_1000(outbox: Outbox, number: Any) -> None:
    """The number of simultaneous calls must be a whole number from 1 to 1,000."""
    with pytest.raises(ConfigurationError, match="allowed range") as excinfo:
        outbox.deliver(hub_of(Vendor(lambda _: None)), at_once=number)
    assert "at_once" == excinfo.value.path
