"""The bulkhead as a stand-alone part, without a manager."""

import asyncio
import contextlib
import functools
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from moorage import AdaptiveLimit, Bulkhead, BulkheadFull, BulkheadShrank, ConfigurationError
from moorage.adapters.concurrency.locks import ThreadLocks
from moorage.adapters.concurrency.semaphore_slots import SlotHolders
from tests.parts import interrupted
from tests.parts.ways_of_use import (
    PATIENCE,
    USES,
    Clock,
    EventLog,
    FunctionFailure,
    as_async,
    call_async,
    call_in_block,
    call_part,
    run_threads,
)

EVERY_USE = pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)


def until_waiting(places: SlotHolders, callers: int) -> None:
    """Wait until this many callers are queued."""
    end = time.monotonic() + PATIENCE
    while callers != sum(queue.length for queue in list(vars(places)["_queues"].values())):
        assert time.monotonic() < end
        time.sleep(0)


@pytest.mark.parametrize(
    "path, options",
    [
        ("max_concurrent", (0,)),
        ("max_concurrent", (1.5,)),
        ("max_waiting", (1, -1)),
        ("max_wait", (1, 1, -1)),
    ],
)
def test_invalid_settings_are_refused(path: str, options: tuple[Any, ...]) -> None:
    """A bulkhead without slots, or with an invalid wait, is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        Bulkhead(*options[:2], **dict(zip(["max_wait"], options[2:], strict=False)))

    assert path == excinfo.value.path


@EVERY_USE
def test_call_beyond_the_limit_is_refused_at_once(use: Callable[..., Any]) -> None:
    """A call beyond a bulkhead's limit is refused at once, without calling its function."""
    bulkhead = Bulkhead(2, name="v")

    def expect_full() -> str:
        with pytest.raises(BulkheadFull, match=r"^v: 2 calls are already running") as excinfo:
            use(bulkhead, lambda: pytest.fail("called"))
        assert ("v", True) == (excinfo.value.service, excinfo.value.retryable)
        return "full"

    for _ in range(3):
        assert "full" == use(bulkhead, functools.partial(use, bulkhead, expect_full))


@EVERY_USE
@pytest.mark.parametrize("error", [FunctionFailure, KeyboardInterrupt, GeneratorExit])
def test_slot_is_freed_after_every_end(use: Callable[..., Any], error: type[BaseException]) -> None:
    """A call frees its bulkhead slot, whether it succeeds, fails or is cancelled."""
    bulkhead = Bulkhead(1)

    def end() -> None:
        raise error

    for _ in range(3):
        with pytest.raises(error):
            use(bulkhead, end)

    assert 1 == use(bulkhead, lambda: 1)


@pytest.mark.parametrize("use", [call_part, call_async], ids=["sync", "async"])
def test_refusals_are_reported(use: Callable[..., Any]) -> None:
    """Observers get an event for each call that a bulkhead refuses."""
    recorder = EventLog()
    bulkhead = Bulkhead(1, name="v", observers=[recorder])

    with pytest.raises(BulkheadFull):
        use(bulkhead, functools.partial(use, bulkhead, int))

    assert ["CallRefused"] == recorder.kinds()
    assert ("v", "BulkheadFull") == (recorder[0].service, recorder[0].error)


def test_bulkhead_runs_as_many_threads_as_it_has_slots() -> None:
    """At most as many threads run at once as a bulkhead has slots; all waiting threads get one."""
    bulkhead = Bulkhead(3, 20)
    running_calls, running_peaks = [0] * 20, [0] * 20

    def visit_bulkhead(number: int) -> None:
        for _ in range(20):
            with bulkhead.guard():
                running_calls[number] = 1
                running_peaks[number] = max(running_peaks[number], sum(running_calls))
                running_calls[number] = 0

    assert [None] * 20 == run_threads(20, visit_bulkhead)
    assert max(running_peaks) <= 3


def test_all_slots_of_bulkhead_can_be_used_at_same_time() -> None:
    """All slots of a bulkhead can be used at the same time."""
    bulkhead, inner_barrier = Bulkhead(5), threading.Barrier(5)

    results = run_threads(5, lambda _: bulkhead.call(inner_barrier.wait, PATIENCE))

    assert list(range(5)) == sorted(results)


def test_threads_wait_in_order_of_arrival() -> None:
    """A free bulkhead slot goes to the thread that has waited longest."""
    places = SlotHolders()
    bulkhead = Bulkhead(1, 9, locks=ThreadLocks(places))
    call_order: list[int] = []
    threads: list[threading.Thread] = []

    def visit_bulkhead(number: int) -> None:
        bulkhead.call(call_order.append, number)

    with bulkhead.guard():
        for number in range(6):
            threads.append(threading.Thread(target=visit_bulkhead, args=(number,), daemon=True))
            threads[-1].start()
            until_waiting(places, number + 1)
    for thread in threads:
        thread.join(PATIENCE)

    assert list(range(6)) == call_order


def test_tasks_wait_in_order_of_arrival_past_the_cancelled() -> None:
    """A free bulkhead slot goes to the task that has waited longest and is not cancelled."""
    bulkhead = Bulkhead(1, 9)
    call_order: list[int] = []

    async def visit_bulkhead(number: int) -> None:
        async with bulkhead.guard():
            call_order.append(number)

    async def queue() -> None:
        async with bulkhead.guard():
            tasks = [asyncio.ensure_future(visit_bulkhead(number)) for number in range(6)]
            await asyncio.sleep(0)
            tasks[0].cancel()
            tasks[3].cancel()
            await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE)

    asyncio.run(queue())

    assert [1, 2, 4, 5] == call_order
    assert 1 == asyncio.run(bulkhead.call(as_async(lambda: 1)))


@pytest.mark.parametrize("wait", [None, 0.002])
def test_queue_is_bounded(wait: float | None) -> None:
    """A call is refused at once if a bulkhead's queue is full, else after the longest wait."""
    places = SlotHolders()
    bulkhead = Bulkhead(1, 1, max_wait=wait, locks=ThreadLocks(places))
    results: list[Any] = []

    def visit_bulkhead() -> None:
        try:
            results.append(bulkhead.call(int, "1"))
        except BulkheadFull:
            results.append("full")

    thread = threading.Thread(target=visit_bulkhead, daemon=True)
    with bulkhead.guard():
        thread.start()
        if wait is None:
            until_waiting(places, 1)
            visit_bulkhead()
            assert ["full"] == results
        else:
            thread.join(PATIENCE)
    thread.join(PATIENCE)

    assert ["full", 1] == results if wait is None else ["full"] == results


def test_tasks_wait_no_longer_than_max_wait() -> None:
    """A task that waits too long for a bulkhead slot is refused, and occupies no slot."""
    bulkhead = Bulkhead(1, 1, max_wait=0.002)

    async def wait() -> None:
        async with bulkhead.guard():
            with pytest.raises(BulkheadFull):
                await bulkhead.call(as_async(int))
        assert 1 == await bulkhead.call(as_async(int), 1)

    asyncio.run(wait())


@pytest.mark.parametrize("turns", range(4))
def test_a_cancelled_wait_holds_nothing(turns: int) -> None:
    """If a task is cancelled around the time it gets a slot, the next task gets the slot."""
    bulkhead = Bulkhead(1, 9)

    async def cancel() -> None:
        entry = bulkhead.guard()
        await entry.__aenter__()
        task = asyncio.ensure_future(bulkhead.call(asyncio.sleep, PATIENCE))
        for turn in range(4):
            if turn == turns:
                await entry.__aexit__(None, None, None)
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert 1 == await bulkhead.call(as_async(int), 1)

    asyncio.run(cancel())


def test_two_bulkheads_with_same_name_and_same_locks_share_their_slots() -> None:
    """Two bulkheads with the same name and the same locks share their slots."""
    locks = ThreadLocks()
    first, second, other_bulkhead = (
        Bulkhead(1, name=name, locks=locks) for name in ("a", "a", "b")
    )

    with first.guard():
        with pytest.raises(BulkheadFull):
            second.call(int)
        assert 0 == other_bulkhead.call(int)


@interrupted.UNTIDY
@pytest.mark.parametrize(
    "use, contended",
    [
        (call_part, False),
        (call_in_block, False),
        (call_async, False),
        (call_part, True),
        (call_in_block, True),
    ],
)
def test_interruption_at_any_point_frees_the_slot(
    use: Callable[..., Any],
    contended: bool,
) -> None:
    """After an interruption at any point of a call, its bulkhead slot is free."""
    places = SlotHolders()
    bulkhead = Bulkhead(1, 9, max_wait=0.000_001, locks=ThreadLocks(places))
    use_bulkhead = functools.partial(use, bulkhead, int)
    use_bulkhead()
    remaining_names: list[set[str]] = []

    def visit_bulkhead() -> None:
        if contended:
            with pytest.raises(BulkheadFull):
                use_bulkhead()
        else:
            use_bulkhead()

    for point in itertools.count():
        with bulkhead.guard() if contended else contextlib.nullcontext():
            is_struck = interrupted.interrupt_at(point, visit_bulkhead)
        if not is_struck:
            break
        remaining_names.append(places.names())
        assert 0 == use_bulkhead()

    assert [set()] * len(remaining_names) == remaining_names
    assert len(remaining_names) > 15


@EVERY_USE
def test_keyed_bulkheads_have_slots_for_each_key(use: Callable[..., Any]) -> None:
    """Bulkheads with the same key share their slots; bulkheads with other keys do not."""
    recorder = EventLog()
    bulkhead = Bulkhead(1, name="v", observers=[recorder])
    single_bulkhead, other_bulkhead = bulkhead.keyed("a"), bulkhead.keyed("b")

    def call_inside() -> int:
        with pytest.raises(BulkheadFull, match=r"^v: 1 call is already running"):
            use(other_bulkhead.keyed("a"), lambda: pytest.fail("called"))
        return use(other_bulkhead, int) + use(bulkhead, int)  # type: ignore[no-any-return]  # `use` returns what the function does

    for _ in range(2):
        assert 0 == use(single_bulkhead, call_inside)

    assert [("v", "a", "BulkheadFull")] * 2 == [
        (event.service, event.tenant, event.error) for event in recorder
    ]


@EVERY_USE
@pytest.mark.parametrize("key", [None, "acme"], ids=["whole", "keyed"])
def test_adaptive_bulkhead_shrinks_for_a_while(use: Callable[..., Any], key: str | None) -> None:
    """A timeout shrinks the limit of an adaptive bulkhead, which grows again with time."""
    clock, recorder = Clock(), EventLog()
    adaptive = AdaptiveLimit(shrink_to=0.5, recovery=30)
    unkeyed_bulkhead = Bulkhead(4, adaptive=adaptive, clock=clock, observers=[recorder])
    bulkhead = unkeyed_bulkhead if key is None else unkeyed_bulkhead.keyed(key)

    def depth() -> int:
        try:
            return 1 + int(use(bulkhead, depth))
        except BulkheadFull:
            return 0

    def time_out() -> None:
        raise TimeoutError

    assert 4 == depth()
    with pytest.raises(TimeoutError):
        use(bulkhead, time_out)
    assert [1] == [event.limit for event in recorder if isinstance(event, BulkheadShrank)]
    assert 1 == depth()
    clock.advance(10)
    assert 2 == depth()
    clock.advance(20)
    assert 4 == depth()
    with pytest.raises(FunctionFailure):
        use(bulkhead, raise_failure)
    assert 4 == depth()


def raise_failure() -> None:
    """Raise an error that is not a sign of overload."""
    raise FunctionFailure
