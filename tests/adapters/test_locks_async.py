"""Bulkhead slots for asyncio tasks."""

import asyncio
import threading

import pytest

from moorage.adapters.concurrency.locks_async import AsyncioLocks
from moorage.adapters.concurrency.semaphore_slots import SlotHolders
from moorage.testing import locks_conformance as kit
from moorage.testing.kits.checks import name_of


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_asyncio_locks_passes_conformance_kit(check: kit.AsyncCheck) -> None:
    """AsyncioLocks passes the conformance kit."""
    asyncio.run(check(AsyncioLocks))


async def locks_with_waiter() -> tuple[AsyncioLocks, object, asyncio.Task[bool]]:
    """Return locks, the holder of their only slot, and a task that waits for that slot."""
    locks, holder = AsyncioLocks(), object()
    await locks.acquire("a", holder, slots=1, queue=0, timeout=0)
    pending_lock = locks.acquire("a", object(), slots=1, queue=9, timeout=float("inf"))
    task = asyncio.create_task(pending_lock)
    await asyncio.sleep(0)
    return locks, holder, task


def test_timeout_of_any_length_is_accepted() -> None:
    """A timeout of any length is accepted."""

    async def wait() -> bool:
        locks, holder, task = await locks_with_waiter()
        locks.release("a", holder)
        return await task

    assert asyncio.run(wait())


def test_slot_can_be_released_in_another_thread() -> None:
    """A waiting task gets a slot that another thread released."""

    async def wait() -> bool:
        locks, holder, task = await locks_with_waiter()
        thread = threading.Thread(target=locks.release, args=["a", holder])
        thread.start()
        is_inside = await task
        thread.join()
        return is_inside

    assert asyncio.run(wait())


def test_slots_stay_taken_when_their_event_loop_ends_and_another_one_starts() -> None:
    """Acquired slots stay acquired when their event loop ends and another one starts."""
    locks = AsyncioLocks()

    async def take() -> list[bool]:
        requests = (locks.acquire("a", object(), slots=2, queue=1, timeout=0.001) for _ in range(2))
        return await asyncio.gather(*requests)

    assert [True, True] == asyncio.run(take())
    assert [False, False] == asyncio.run(take())


def test_slots_are_not_granted_to_a_closed_loop() -> None:
    """When a slot becomes free, waiting tasks of a closed event loop are skipped."""
    places = SlotHolders()
    locks, holder = AsyncioLocks(places), object()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(locks.acquire("a", holder, slots=1, queue=0, timeout=0))
    pending_lock = locks.acquire("a", object(), slots=1, queue=9, timeout=20)
    # Run by hand up to its wait, because a task would complain differently about the end of the
    # loop.
    loop.call_soon(pending_lock.send, None)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    locks.release("a", holder)

    assert set() == places.names()
    pending_lock.close()
