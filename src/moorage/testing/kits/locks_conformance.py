"""Checks for every implementation of named semaphores.

```python
import pytest

from moorage.adapters.concurrency.locks import ThreadLocks  # yours
from moorage.testing import locks_conformance, name_of


@pytest.mark.parametrize("check", locks_conformance.CHECKS, ids=name_of)
def test_locks(check):
    check(ThreadLocks)
```

`CHECKS` are for `Locks`. `ASYNC_CHECKS` are for `AsyncLocks`, and awaited. Each takes a function
that makes locks whose slots are all free.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeAlias, cast

from moorage.ports.locks import AsyncLocks, Locks
from moorage.testing.kits.checks import (
    AsyncView,
    interrupted_results,
    patience,
    require,
    run_concurrently,
    sync_check,
    wait_soon,
)

Factory: TypeAlias = Callable[[], Locks]
AsyncFactory: TypeAlias = Callable[[], AsyncLocks]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[AsyncFactory], Coroutine[Any, Any, None]]

_BRIEFLY: Final = 0.02
_NAME: Final = "payments"
_STUCK: Final = "A thread still waits for a slot, though no thread holds one for long."
_NOT_LET_IN: Final = "A caller was refused although a slot was free."


def _view(factory: Factory) -> AsyncLocks:
    """Wrap new synchronous locks in an asynchronous interface that runs their calls in threads."""
    return cast("AsyncLocks", AsyncView(factory(), threads=True, unchanged={"release"}))


class _SlotCaller:
    """A caller that waits for a semaphore's slot and then acquires it."""

    def __init__(self, locks: AsyncLocks, *, timeout: float | None = None) -> None:
        timeout = patience() if timeout is None else timeout
        acquisition = locks.acquire(_NAME, self, slots=1, queue=99, timeout=timeout)
        self.acquisition: asyncio.Task[bool] = asyncio.ensure_future(acquisition)


async def slots_are_limited(factory: AsyncFactory) -> None:
    """A semaphore's slot has one holder at a time, and is free after its release."""
    locks = factory()
    holders = [object(), object(), object()]
    for slots, holder in enumerate(holders, 1):
        is_admitted = await _gets_slot(locks, holder, slots=slots)
        require(is_admitted, f"Of {slots} free slots, one was refused.")
    require(not await _gets_slot(locks, slots=3), "A fourth caller got one of three slots.")
    locks.release(_NAME, holders[1])
    require(await _gets_slot(locks, slots=3), "A released slot was not granted to the next caller.")
    require(not await _gets_slot(locks, slots=3), "One slot was released, but two were granted.")


async def names_are_separate(factory: AsyncFactory) -> None:
    """Semaphores with different names have independent slots."""
    locks, first_holder, second_holder = factory(), object(), object()
    require(
        await _gets_slot(locks, first_holder, name="a"), "A free slot of key 'a' was not granted."
    )
    require(
        await _gets_slot(locks, second_holder, name="b"),
        "A slot of key 'b' was blocked by a holder of key 'a'.",
    )
    locks.release("a", first_holder)
    require(
        not await _gets_slot(locks, name="b"),
        "Returning a slot of key 'a' freed a slot of key 'b'.",
    )


async def only_a_holder_releases(factory: AsyncFactory) -> None:
    """Releasing a semaphore without holding a slot does nothing."""
    locks, holder, refused_caller = factory(), object(), object()
    locks.release(_NAME, holder)
    await _gets_slot(locks, holder)
    require(not await _gets_slot(locks, refused_caller), "A slot was granted twice.")
    locks.release(_NAME, refused_caller)
    locks.release("elsewhere", holder)
    require(not await _gets_slot(locks), "A caller without a slot returned a slot.")
    locks.release(_NAME, holder)
    await _gets_slot(locks)
    locks.release(_NAME, holder)
    require(not await _gets_slot(locks), "A caller returned its slot twice.")


async def without_timeout_or_queue_a_caller_is_refused(factory: AsyncFactory) -> None:
    """Without a timeout or a queue, a caller of a busy semaphore is refused immediately."""
    locks = factory()
    await _gets_slot(locks)
    for queue, timeout in ((9, 0.0), (9, -1.0), (0, patience() * 2)):
        acquisition = locks.acquire(_NAME, object(), slots=1, queue=queue, timeout=timeout)
        is_refused = not await wait_soon(
            acquisition, f"A caller waited with a queue of {queue} and {timeout} s."
        )
        require(is_refused, "A slot was granted twice.")


async def a_wait_ends_with_its_timeout(factory: AsyncFactory) -> None:
    """A caller that gets no slot waits until its timeout, and then leaves the queue."""
    locks, holder = factory(), object()
    await _gets_slot(locks, holder)
    start = time.monotonic()
    is_waited = not await wait_soon(
        _SlotCaller(locks, timeout=_BRIEFLY).acquisition, "A wait did not end in time."
    )
    require(is_waited, "A slot was granted twice.")
    require(time.monotonic() - start >= _BRIEFLY, "A wait ended too early.")
    locks.release(_NAME, holder)
    require(await _gets_slot(locks), "A slot was granted to a caller that had given up.")


async def a_full_queue_refuses_at_once(factory: AsyncFactory) -> None:
    """A semaphore with a full queue refuses further callers immediately."""
    locks, holder = factory(), object()
    await _gets_slot(locks, holder)
    waiting_guests = [await _join_queue(locks, ahead) for ahead in range(3)]
    acquisition = locks.acquire(_NAME, object(), slots=1, queue=3, timeout=patience() * 2)
    is_refused = not await wait_soon(
        acquisition, "A fourth caller waits in a queue with three places."
    )
    require(is_refused, "A slot was granted twice.")
    await _require_slots_in_order(locks, holder, waiting_guests)


async def first_come_first_served(factory: AsyncFactory) -> None:
    """A semaphore grants slots in order of arrival."""
    locks, holder = factory(), object()
    await _gets_slot(locks, holder)
    waiting_guests = [await _join_queue(locks, ahead) for ahead in range(4)]
    await _require_slots_in_order(locks, holder, waiting_guests)


async def new_callers_do_not_overtake(factory: AsyncFactory) -> None:
    """A released slot goes to the longest waiting caller, not to a new caller."""
    locks, holder = factory(), object()
    await _gets_slot(locks, holder)
    waiting_caller = await _join_queue(locks, 0)
    locks.release(_NAME, holder)
    require(
        not await _gets_slot(locks),
        "A new caller got the slot for which another caller was waiting.",
    )
    require(await wait_soon(waiting_caller.acquisition, _NOT_LET_IN), _NOT_LET_IN)


async def callers_that_left_the_queue_get_no_slot(factory: AsyncFactory) -> None:
    """A released slot is never granted to a caller that has left the queue."""
    locks, holder = factory(), object()
    await _gets_slot(locks, holder)
    patient_guests: list[_SlotCaller] = []
    for ahead in range(5):
        if ahead % 2:
            patient_guests.append(await _join_queue(locks, ahead // 2))
        else:
            await wait_soon(
                _SlotCaller(locks, timeout=_BRIEFLY).acquisition, "A wait did not end in time."
            )
    await _require_slots_in_order(locks, holder, patient_guests)


async def no_caller_waits_forever(factory: AsyncFactory) -> None:
    """While many callers come and go, the limit is observed and nobody waits forever."""
    locks = factory()
    inside_count = largest_count = served_count = 0

    async def visit_lock(visitor: int) -> None:
        nonlocal inside_count, largest_count, served_count
        holder, timeout = object(), 0.000_5 if visitor % 3 == 0 else patience()
        if await locks.acquire(_NAME, holder, slots=2, queue=100, timeout=timeout):
            inside_count += 1
            largest_count = max(largest_count, inside_count)
            served_count += 1
            await asyncio.sleep(0.000_1 * (visitor % 4))
            inside_count -= 1
            locks.release(_NAME, holder)

    visits = asyncio.gather(*map(visit_lock, range(60)))
    await wait_soon(visits, "A caller waits forever although a slot is free.")
    require(largest_count <= 2, f"{largest_count} were in two slots at once.")
    require(served_count >= 40, f"Only {served_count} were served, though 40 had the time to wait.")
    require(await _gets_slot(locks), "A slot is counted as taken without a holder.")


async def a_cancelled_waiter_holds_nothing(factory: AsyncFactory) -> None:
    """A caller cancelled while waiting leaves the queue, and gets no slot later."""
    locks, holder = factory(), object()
    await _gets_slot(locks, holder)
    lost_guest, lasting_guest = await _join_queue(locks, 0), await _join_queue(locks, 1)
    await _cancel_and_wait(lost_guest)
    locks.release(_NAME, lost_guest)
    require(not await _gets_slot(locks), "A cancelled caller released a slot that it did not have.")
    await _require_slots_in_order(locks, holder, [lasting_guest])


async def a_cancelled_caller_passes_its_slot_on(factory: AsyncFactory) -> None:
    """If a caller is cancelled just as it gets a slot, the next caller gets the slot."""
    for cancelled_first in (False, True):
        locks, holder = factory(), object()
        await _gets_slot(locks, holder)
        lost_guest, lasting_guest = await _join_queue(locks, 0), await _join_queue(locks, 1)
        if cancelled_first:
            lost_guest.acquisition.cancel()
        locks.release(_NAME, holder)
        await _cancel_and_wait(lost_guest)
        await _require_slots_in_order(locks, lost_guest, [lasting_guest])


def threads_never_exceed_the_limit(factory: Factory) -> None:
    """Threads that enter and leave rapidly never have more slots than allowed."""
    locks, long_timeout = factory(), patience()
    inner_numbers, largest_numbers, refused_numbers = [0] * 8, [0] * 8, [0] * 8

    def visit_lock(visitor: int) -> None:
        for _ in range(50):
            holder = object()
            refused_numbers[visitor] += not locks.acquire(
                _NAME, holder, slots=3, queue=8, timeout=long_timeout
            )
            inner_numbers[visitor] = 1
            for _ in range(5):
                time.sleep(0)  # other threads may get a slot that they must not have
                largest_numbers[visitor] = max(largest_numbers[visitor], sum(inner_numbers))
            inner_numbers[visitor] = 0
            locks.release(_NAME, holder)

    run_concurrently([partial(visit_lock, visitor) for visitor in range(8)], _STUCK)
    require(not sum(refused_numbers), _NOT_LET_IN)
    require(
        max(largest_numbers) <= 3, f"{max(largest_numbers)} threads were in three slots at once."
    )
    is_acquired = locks.acquire(_NAME, object(), slots=1, queue=0, timeout=0)
    require(is_acquired, "A slot is counted as taken without a holder.")

    def two_calls(number: int) -> tuple[Callable[[], bool], Callable[[], bool]]:
        acquire = partial(locks.acquire, f"{_NAME}-{number}", slots=1, queue=0, timeout=0)
        return partial(acquire, object()), partial(acquire, object())

    for _, *are_admitted in interrupted_results(two_calls, _STUCK):
        require(sum(are_admitted) == 1, f"{sum(are_admitted)} threads got a single free slot.")


async def _gets_slot(
    locks: AsyncLocks, holder: object = None, *, name: str = _NAME, slots: int = 1
) -> bool:
    """Return whether a new caller gets a slot without waiting."""
    return await locks.acquire(name, holder or object(), slots=slots, queue=0, timeout=0)


async def _join_queue(locks: AsyncLocks, ahead: int) -> _SlotCaller:
    """Add a caller behind `ahead` waiting callers, and return when it waits."""
    caller = _SlotCaller(locks)
    end = time.monotonic() + patience()
    while time.monotonic() < end:
        # With so long a queue the caller is refused, and the early refusal proves that.
        start = time.monotonic()
        acquisition = locks.acquire(_NAME, object(), slots=1, queue=ahead + 1, timeout=_BRIEFLY)
        require(
            not await wait_soon(acquisition, "A wait did not end in time."),
            "A slot was granted twice.",
        )
        if time.monotonic() - start < _BRIEFLY:
            return caller
    raise AssertionError("A caller whose time limit allows a wait was refused at once.")


async def _require_slots_in_order(
    locks: AsyncLocks, holder: object, waiting: list[_SlotCaller]
) -> None:
    """Release the slots one by one, and check that each goes to the next caller."""
    requests = [caller.acquisition for caller in waiting]
    for caller in waiting:
        locks.release(_NAME, holder)
        finished_tasks, _ = await wait_soon(
            asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED), _NOT_LET_IN
        )
        is_alone = finished_tasks == {caller.acquisition} and caller.acquisition.result()
        require(is_alone, "A caller was admitted before a caller that had waited longer.")
        requests.remove(caller.acquisition)
        holder = caller
    locks.release(_NAME, holder)
    require(await _gets_slot(locks), "A slot is counted as taken without a holder.")


async def _cancel_and_wait(guest: _SlotCaller) -> None:
    guest.acquisition.cancel()
    await asyncio.wait([guest.acquisition])
    require(guest.acquisition.cancelled(), "A cancellation was swallowed.")


_SHARED_CHECKS: Final[tuple[AsyncCheck, ...]] = (
    slots_are_limited,
    names_are_separate,
    only_a_holder_releases,
    without_timeout_or_queue_a_caller_is_refused,
    a_wait_ends_with_its_timeout,
    a_full_queue_refuses_at_once,
    first_come_first_served,
    new_callers_do_not_overtake,
    callers_that_left_the_queue_get_no_slot,
    no_caller_waits_forever,
)

CHECKS: Final[tuple[Check, ...]] = (
    *(sync_check(check, _view) for check in _SHARED_CHECKS),
    threads_never_exceed_the_limit,
)

ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = (
    *_SHARED_CHECKS,
    a_cancelled_waiter_holds_nothing,
    a_cancelled_caller_passes_its_slot_on,
)
