"""Connection pools of sync and async mode: waiting, validation, interruption, forks and closing."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from moorage.adapters.concurrency import forking
from moorage.adapters.links._turns_async import Turn
from moorage.adapters.links.pool_async import AsyncLinkPool
from moorage.adapters.links.pool_sync import LinkPool
from moorage.domain.connectors.link_pool import PoolConfig
from moorage.errors import AttemptTimeout, ConnectionFailed, LocalFailure, PoolExhausted
from tests.adapters.link_harness import FakeLink, LinkServer, PoolHarness, with_both_pools

if TYPE_CHECKING:
    from collections.abc import Callable

MakeHarness: TypeAlias = "Callable[..., PoolHarness]"


@with_both_pools
async def test_returned_link_is_reused(make: MakeHarness) -> None:
    """A pooled connection is reused by one caller after another."""
    harness = make()
    for _ in range(3):
        lease, link = await harness.take()
        assert 1 == link.number
        await harness.end(lease)

    numbers = harness.pool.statistics()
    assert (1, 2, 1, 0, 0, 10) == (
        numbers.created,
        numbers.reused,
        numbers.idle,
        numbers.active,
        numbers.waiting,
        numbers.maximum,
    )


@with_both_pools
async def test_waiting_callers_get_the_link_in_order_of_arrival(make: MakeHarness) -> None:
    """Callers waiting for an exhausted pool are served in order of arrival."""
    harness = make(maximum=1)
    first, link = await harness.take("orders.report")
    assert [("orders.report", 0.0)] == list(harness.pool.holders())
    second, second_task = await harness.queue()
    _, third_task = await harness.queue()
    await harness.end(first)

    assert link is await second_task
    assert not third_task.done()
    await harness.end(second)
    assert link is await third_task


@with_both_pools
async def test_exhausted_pool_names_the_holders(make: MakeHarness) -> None:
    """The error for an exhausted pool names the operations that hold its connections."""
    harness = make(maximum=1)
    await harness.take("orders.report")
    harness.now = 42.0
    with pytest.raises(PoolExhausted) as excinfo:
        await harness.begin(harness.loan("orders.insert", timeout=0.001))

    assert [("orders.report", 42.0)] == list(excinfo.value.holders)
    assert "orders.report for 42.0 s" in str(excinfo.value)
    assert 0 == harness.pool.statistics().waiting


@with_both_pools
async def test_wait_is_bounded_by_the_configuration_too(make: MakeHarness) -> None:
    """A pool's `max_wait` limits a wait even if the caller's timeout is longer."""
    harness = make(maximum=1, max_wait=0.001)
    await harness.take()

    with pytest.raises(PoolExhausted):
        await harness.begin(harness.loan(timeout=1e12))


@with_both_pools
async def test_caller_that_got_a_slot_too_late_opens_nothing(make: MakeHarness) -> None:
    """A caller whose pool slot becomes free only after its timeout opens no connection."""
    harness = make(maximum=1)
    first, link = await harness.take()
    _, task = await harness.queue()
    link.close()
    harness.now = 61.0
    await harness.end(first)

    with pytest.raises(AttemptTimeout) as excinfo:
        await task
    assert not excinfo.value.may_have_been_processed
    assert 0 == harness.pool.statistics().size


@with_both_pools
async def test_link_that_was_idle_for_long_is_tested(make: MakeHarness) -> None:
    """A connection that was idle for long is pinged before reuse; a recent one is not."""
    harness = make(validate_after=5.0, validation_timeout=2.0)
    lease, link = await harness.take()
    await harness.end(lease)
    lease, _ = await harness.take()
    assert 0 == harness.server.pings
    await harness.end(lease)
    harness.now = 5.0
    lease, tested = await harness.take()

    assert (link, 1, 2.0) == (tested, harness.server.pings, harness.server.timeouts[-1])


@with_both_pools
async def test_pool_survives_a_restart_of_the_server(make: MakeHarness) -> None:
    """After a server restart, only one caller of the pool meets a broken connection."""
    harness = make(maximum=3)
    loans = [await harness.take() for _ in range(3)]
    for lease, _ in loans:
        await harness.end(lease)
    harness.now = 1.0
    harness.server.restart()
    broken_loan, broken = await harness.take()
    broken.close()
    await harness.end(broken_loan, ConnectionFailed("cut off"))

    for _ in range(3):
        lease, link = await harness.take()
        assert link.is_answered
    assert [1, 1, 1] == [
        link.closed for link in harness.server.opened[:3] if link is not broken
    ] + [1]


@with_both_pools
async def test_closed_idle_link_is_replaced_without_a_ping(make: MakeHarness) -> None:
    """An idle connection that is known to be closed is replaced without a ping."""
    harness = make()
    lease, link = await harness.take()
    await harness.end(lease)
    link.close()
    _, new_link = await harness.take()

    assert 2 == new_link.number
    assert 0 == harness.server.pings


@with_both_pools
async def test_slot_of_a_caller_that_could_not_connect_is_free_again(make: MakeHarness) -> None:
    """A caller that fails to connect frees its slot in the pool."""
    harness = make(maximum=1)
    harness.server.is_up = False
    for _ in range(2):
        with pytest.raises(ConnectionFailed, match="is down"):
            await harness.take()
    harness.server.is_up = True
    _, link = await harness.take()

    assert [link] == harness.server.opened


@with_both_pools
async def test_error_in_the_block_keeps_a_link_that_is_connected(make: MakeHarness) -> None:
    """After an error in the `with` block, a connection that still works stays in the pool."""
    harness = make()
    lease, link = await harness.take()
    await harness.end(lease, ValueError("refused"))

    assert link is (await harness.take())[1]


@with_both_pools
async def test_interruption_of_the_block_closes_the_link(make: MakeHarness) -> None:
    """An interrupted `with` block closes its connection, because a response may be half read."""
    harness = make()
    lease, link = await harness.take()
    await harness.end(lease, KeyboardInterrupt())

    assert 1 == link.closed
    assert 0 == harness.pool.statistics().size


@with_both_pools
async def test_interruption_right_after_opening_closes_the_link(make: MakeHarness) -> None:
    """If a caller is interrupted just after opening a connection, the connection is closed."""
    harness = make()

    def interrupt() -> float:
        raise UncaughtInterruption

    harness.pool._draw = interrupt  # noqa: SLF001 - what comes first after the opening
    with pytest.raises(UncaughtInterruption):
        await harness.take()

    assert [1] == [link.closed for link in harness.server.opened]
    assert 0 == harness.pool.statistics().size


@with_both_pools
async def test_interruption_of_a_test_closes_the_link(make: MakeHarness) -> None:
    """If a validating ping is interrupted, its connection is closed."""

    def interrupt() -> None:
        raise UncaughtInterruption

    harness = make()
    lease, link = await harness.take()
    await harness.end(lease)
    harness.now = 10.0
    harness.server.on_ping = interrupt
    with pytest.raises(UncaughtInterruption):
        await harness.take()

    assert 1 == link.closed
    assert 0 == harness.pool.statistics().active


@with_both_pools
async def test_open_opens_the_minimum(make: MakeHarness) -> None:
    """Opening a pool opens the configured minimum number of connections."""
    harness = make(minimum=3)
    await harness.run(harness.pool.open, 5.0)
    assert 3 == harness.pool.statistics().idle
    assert [5.0] == sorted(set(harness.server.timeouts))


@with_both_pools
async def test_open_again_replaces_links_that_have_ended(make: MakeHarness) -> None:
    """Opening a pool again replaces expired connections up to the minimum."""
    harness = make(minimum=2, lifetime=100.0)
    await harness.run(harness.pool.open, 5.0)
    harness.now = 100.0
    await harness.run(harness.pool.open, 5.0)

    assert [1, 1, 0, 0] == [link.closed for link in harness.server.opened]
    assert 2 == harness.pool.statistics().idle


@with_both_pools
async def test_open_fails_if_the_server_is_down(make: MakeHarness) -> None:
    """Opening a pool fails if the server cannot be reached."""
    harness = make()
    harness.server.is_up = False

    with pytest.raises(ConnectionFailed, match="is down"):
        await harness.run(harness.pool.open, 5.0)
    assert 0 == harness.pool.statistics().active


@with_both_pools
async def test_server_that_ends_while_the_minimum_is_opened(make: MakeHarness) -> None:
    """If the server fails while a pool opens, the pool keeps its connections and loses no slot."""
    harness = make(minimum=3)
    harness.server.on_connect = lambda: setattr(
        harness.server, "is_up", len(harness.server.opened) < 2
    )
    with pytest.raises(ConnectionFailed, match="is down"):
        await harness.run(harness.pool.open, 5.0)

    assert (2, 0) == (harness.pool.statistics().idle, harness.pool.statistics().active)


@with_both_pools
async def test_closing_ends_waits_and_idle_links(make: MakeHarness) -> None:
    """Closing a pool ends all waits; a connection that is in use is closed when it is returned."""
    harness = make(maximum=1)
    lease, link = await harness.take()
    _, task = await harness.queue()
    await harness.run(harness.pool.close)
    with pytest.raises(LocalFailure, match="is closed"):
        await task
    assert 0 == link.closed
    await harness.end(lease)

    assert 1 == link.closed
    with pytest.raises(LocalFailure, match="is closed"):
        await harness.take()


@with_both_pools
async def test_discarded_links_are_replaced(make: MakeHarness) -> None:
    """Discarding a pool's connections also removes those that fail to close."""
    harness = make()
    lease, link = await harness.take()
    await harness.end(lease)
    link.fails_to_close = True
    harness.pool.discard_links()

    assert 2 == (await harness.take())[1].number
    assert 1 == link.closed


@with_both_pools
async def test_forked_child_begins_with_an_empty_pool(make: MakeHarness) -> None:
    """A forked child neither uses nor closes its parent's pooled connections."""
    harness = make(maximum=2)
    lease, used_link = await harness.take()
    other, idle = await harness.take()
    await harness.end(other)
    forking.restart_in_child()  # as in a child process
    gc.collect()
    await harness.end(lease)

    assert (0, 0) == (used_link.closed, idle.closed)
    assert 0 == harness.pool.statistics().size
    assert 3 == (await harness.take())[1].number


@with_both_pools
async def test_fork_during_a_test_of_a_link(make: MakeHarness) -> None:
    """A child forked during its parent's ping does not continue with that connection."""

    def fork() -> None:
        forking.restart_in_child()  # as in a child process
        raise OSError

    harness = make()
    lease, link = await harness.take()
    await harness.end(lease)
    harness.now = 10.0
    harness.server.on_ping = fork

    with pytest.raises(LocalFailure):
        await harness.take()
    assert 0 == link.closed


@with_both_pools
async def test_closed_pool_stays_closed_in_a_child(make: MakeHarness) -> None:
    """A pool that was closed before a fork stays closed in the child."""
    harness = make()
    await harness.run(harness.pool.close)
    forking.restart_in_child()  # as in a child process

    with pytest.raises(LocalFailure, match="is closed"):
        await harness.take()


class UncaughtInterruption(BaseException):
    """A BaseException, which handlers of ordinary exceptions do not catch."""


def test_pool_in_a_real_child_process() -> None:
    """After a real fork, the child opens its own connection and the parent's stays open."""
    server = LinkServer()
    with LinkPool(server.connect) as pool:
        with pool.link("parent", 1.0) as link:
            pass
        child = os.fork()
        if child == 0:
            with pool.link("child", 1.0) as opened:
                os._exit(0 if (opened.number, link.closed) == (2, 0) else 1)
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with pool.link("parent", 1.0) as second_link:
            assert second_link is link
    assert 1 == link.closed


def test_threads_never_share_a_link() -> None:
    """Threads never use a pooled connection at the same time, and reuse nearly all connections."""
    server, in_use, errors = LinkServer(), set[int](), list[BaseException]()

    def use_links(pool: LinkPool[FakeLink]) -> None:
        try:
            for _ in range(200):
                with pool.link("work", 60.0) as link:
                    assert link.number not in in_use
                    in_use.add(link.number)
                    in_use.remove(link.number)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    pool = LinkPool[FakeLink](server.connect, PoolConfig(maximum=3))
    threads = [threading.Thread(target=use_links, args=(pool,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == errors
    numbers = pool.statistics()
    assert 4000 == numbers.created + numbers.reused
    assert 0.99 <= numbers.reuse
    assert (0, 0) == (numbers.active, numbers.waiting)


def test_decision_is_made_again_when_another_caller_was_faster() -> None:
    """If another caller changes the pool while a caller inspects it, the caller inspects again."""
    server = LinkServer()
    moments: list[Any] = []

    def now() -> float:
        if moments:
            moments.pop()()  # another caller, while this caller is deciding
        return 0.0

    pool = LinkPool(server.connect, PoolConfig(maximum=2), now=now)
    other_link = pool.link("other", 1.0)
    lease = pool.link("first", 1.0)
    moments += [other_link.__enter__, lambda: None]
    with lease as link:
        assert 2 == pool.statistics().active
        assert {1, 2} == {link.number for link in server.opened}
        assert link.number == 2
    other_link.__exit__(None, None, None)

    assert 2 == pool.statistics().idle


def test_cancelled_wait_leaves_the_queue() -> None:
    """A task cancelled while it waits for the pool leaves the queue."""

    async def run() -> None:
        harness = PoolHarness(is_async=True, maximum=1)
        lease, link = await harness.take()
        _, cancelled = await harness.queue()
        _, patient = await harness.queue()
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        await harness.end(lease)
        assert link is await patient

    asyncio.run(run())


def test_task_cancelled_as_it_gets_connection_passes_connection_on_to_next_task() -> None:
    """If a task is cancelled as it gets a connection, the next waiting task gets the connection."""

    async def run() -> None:
        harness = PoolHarness(is_async=True, maximum=1)
        lease, link = await harness.take()
        _, cancelled = await harness.queue()
        _, patient = await harness.queue()
        await lease.__aexit__(None, None, None)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled

        assert link is await patient
        assert 0 == link.closed

    asyncio.run(run())


def test_call_before_the_wait_is_not_lost() -> None:
    """A task in the pool's queue that is woken before it waits continues at once."""

    async def run() -> None:
        turn = Turn()
        turn.call()
        await turn.wait(120.0)

    asyncio.run(run())


def test_call_after_the_wait_changes_nothing() -> None:
    """If a task in the pool's queue is woken after its wait timed out, nothing changes."""

    async def run() -> None:
        turn = Turn()
        await turn.wait(0.0)
        turn.call()
        await turn.wait(120.0)

    asyncio.run(run())


def test_cancelled_block_closes_its_link() -> None:
    """If a task is cancelled inside its block, the connection is closed."""

    async def run() -> None:
        harness = PoolHarness(is_async=True)
        start_event = asyncio.Event()

        async def use_links() -> None:
            async with harness.pool.link("work", 1.0):
                start_event.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(use_links())
        await start_event.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [1] == [link.closed for link in harness.server.opened]
        assert 0 == harness.pool.statistics().size

    asyncio.run(run())


def test_pool_moves_to_a_new_event_loop() -> None:
    """When a pool moves to a new event loop, it closes the old loop's connections."""
    server = LinkServer()
    pool = AsyncLinkPool(server.connect_async)
    lost_link = pool.link("lost", 1.0)

    async def use_link() -> int:
        async with pool.link("work", 1.0) as link:
            return link.number

    async def leave_open() -> None:
        link = await lost_link.__aenter__()
        link.fails_to_close = True
        await use_link()

    asyncio.run(leave_open())

    assert 3 == asyncio.run(use_link())
    assert [1, 1, 0] == [link.closed for link in server.opened]


def test_pool_refuses_a_second_event_loop() -> None:
    """An asynchronous pool refuses a second event loop."""
    pool = AsyncLinkPool(LinkServer().connect_async)

    async def use_link() -> None:
        async with pool.link("work", 1.0):
            pass

    async def run() -> None:
        await use_link()
        with pytest.raises(LocalFailure, match="another event loop"):
            await asyncio.to_thread(asyncio.run, use_link())

    asyncio.run(run())


def test_asynchronous_pool_closes_with_its_block() -> None:
    """An asynchronous pool closes at the end of its `async with` block."""

    async def run() -> int:
        server = LinkServer()
        async with AsyncLinkPool(server.connect_async) as pool, pool.link("work", 1.0):
            pass
        return server.opened[0].closed

    assert 1 == asyncio.run(run())
