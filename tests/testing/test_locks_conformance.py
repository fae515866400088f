"""The conformance kit of locks finds faulty ones."""

import asyncio
from collections.abc import Callable
from threading import Event, current_thread, main_thread
from time import sleep

import pytest

from moorage.adapters.concurrency.locks import ThreadLocks
from moorage.adapters.concurrency.locks_async import AsyncioLocks
from moorage.testing import locks_conformance as kit
from moorage.testing.kits.checks import waiting_at_most


class _GrantsEveryCallerLocks(AsyncioLocks):
    """Faulty locks that grant a slot to each caller."""

    async def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        return True


class _GrantsNobodyLocks(AsyncioLocks):
    """Faulty locks that never grant a slot."""

    async def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        return False


class _OneNameLocks(AsyncioLocks):
    """Faulty locks that treat all lock names as the same."""

    async def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        return await super().acquire("", holder, slots=slots, queue=queue, timeout=timeout)

    def release(self, name: str, holder: object, /) -> None:
        super().release("", holder)


class _OneHolderLocks(AsyncioLocks):
    """Faulty locks that let any caller release a slot."""

    async def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        inside = await super().acquire(name, holder, slots=slots, queue=queue, timeout=timeout)
        self._inside = holder if inside else self._inside
        return inside

    def release(self, name: str, holder: object, /) -> None:
        super().release(name, self._inside)

    _inside: object = None


class _IgnoresTimeoutLocks(AsyncioLocks):
    """Faulty locks that let callers wait longer than their timeouts."""

    async def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        return await super().acquire(name, holder, slots=slots, queue=99, timeout=timeout + 1)


class _OverlongQueueLocks(AsyncioLocks):
    """Faulty locks that let more callers wait than the queue allows."""

    async def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        return await super().acquire(name, holder, slots=slots, queue=99, timeout=timeout)


class _RefusesAtOnceLocks(AsyncioLocks):
    """Faulty locks that refuse at once instead of letting callers wait."""

    async def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        return await super().acquire(name, holder, slots=slots, queue=queue, timeout=0)


class _UnqueuedLocks(AsyncioLocks):
    """Faulty locks without a queue, whose callers must ask again and again."""

    async def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        end = asyncio.get_running_loop().time() + timeout
        while not await super().acquire(name, holder, slots=slots, queue=0, timeout=0):
            if asyncio.get_running_loop().time() >= end:
                return False
            await asyncio.sleep(0.000_5)
        return True


class _AskAgainLocks(AsyncioLocks):
    """A faulty lock service without a queue: its callers have to ask again and again."""

    async def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        is_crowded = self._waited and not queue
        self._waited = queue > 0
        return is_crowded or await super().acquire(
            name, holder, slots=slots, queue=queue, timeout=timeout
        )

    _waited = False


class _LifoLocks(AsyncioLocks):
    """Faulty locks that serve the last waiting caller first."""

    def __init__(self) -> None:
        super().__init__()
        self._line: list[asyncio.Future[bool]] = []

    async def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        if queue != 99:  # a caller that leaves the queue again
            return await super().acquire(
                name, holder, slots=slots, queue=queue - len(self._line), timeout=timeout
            )
        self._line.append(asyncio.get_running_loop().create_future())
        return await self._line[-1]

    def release(self, name: str, holder: object, /) -> None:
        self._line.pop().set_result(True)


class _KeepsCancelledCallersLocks(AsyncioLocks):
    """Faulty locks that keep cancelled callers in the queue."""

    async def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        waiting = super().acquire(name, holder, slots=slots, queue=queue, timeout=1)
        self._waiting = asyncio.ensure_future(waiting)
        try:
            return await asyncio.wait_for(asyncio.shield(self._waiting), timeout)
        except TimeoutError:
            return False


class _IgnoresCancellationLocks(AsyncioLocks):
    """Faulty locks that return a refusal when they are cancelled."""

    async def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        try:
            return await super().acquire(name, holder, slots=slots, queue=queue, timeout=timeout)
        except asyncio.CancelledError:
            return False


@pytest.mark.parametrize(
    "check, wrong, sentence",
    [
        (kit.slots_are_limited, _GrantsEveryCallerLocks, "A fourth caller got"),
        (kit.slots_are_limited, _GrantsNobodyLocks, "one was refused"),
        (
            kit.names_are_separate,
            _OneNameLocks,
            "A slot of key 'b' was blocked by a holder of key 'a'",
        ),
        (kit.only_a_holder_releases, _OneHolderLocks, "A caller without a slot returned a slot"),
        (
            kit.without_timeout_or_queue_a_caller_is_refused,
            _IgnoresTimeoutLocks,
            "A caller waited with a queue of 9 and 0",
        ),
        (kit.a_wait_ends_with_its_timeout, _RefusesAtOnceLocks, "ended too early"),
        (kit.a_full_queue_refuses_at_once, _OverlongQueueLocks, "allows a wait was refused"),
        (kit.first_come_first_served, _UnqueuedLocks, "allows a wait was refused"),
        (kit.first_come_first_served, _LifoLocks, "waited longer"),
        (
            kit.new_callers_do_not_overtake,
            _AskAgainLocks,
            "A new caller got the slot for which another caller was waiting",
        ),
        (
            kit.callers_that_left_the_queue_get_no_slot,
            _KeepsCancelledCallersLocks,
            "was refused although|A caller was admitted before a caller that had waited longer",
        ),
        (kit.no_caller_waits_forever, _GrantsEveryCallerLocks, "in two slots at once"),
        (kit.no_caller_waits_forever, _GrantsNobodyLocks, "Only 0 were served"),
        (kit.a_cancelled_waiter_holds_nothing, _IgnoresCancellationLocks, "was swallowed"),
        (
            kit.a_cancelled_waiter_holds_nothing,
            _KeepsCancelledCallersLocks,
            "was refused although|A caller was admitted before a caller that had waited longer",
        ),
        (
            kit.a_cancelled_caller_passes_its_slot_on,
            _KeepsCancelledCallersLocks,
            "without a holder|was refused although|admitted before a caller",
        ),
    ],
)
def test_check_fails_for_faulty_locks(
    check: kit.AsyncCheck, wrong: Callable[[], AsyncioLocks], sentence: str
) -> None:
    """Locks with one fault fail the check for that fault."""
    with waiting_at_most(0.2), pytest.raises(AssertionError, match=sentence):
        asyncio.run(check(wrong))


class _AdmittingNobody(ThreadLocks):
    def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        """Refuse every caller."""
        return False


class _TwoStepLocks:
    """Faulty locks that look for a free slot and then take it, without a lock around both."""

    def __init__(self) -> None:
        self._holders: dict[str, set[object]] = {}

    def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        holders = self._holders.setdefault(name, set())
        while len(holders) >= slots:
            if not timeout:
                return False
            sleep(0)
        holders.add(holder)
        return True

    def release(self, name: str, holder: object, /) -> None:
        self._holders[name].discard(holder)


class _OneSlotTooManyLocks(ThreadLocks):
    """Faulty locks with one slot more than allowed."""

    def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        return super().acquire(name, holder, slots=slots + 1, queue=queue, timeout=timeout)


class _OneThreadLocks(ThreadLocks):
    """Faulty locks that raise an error in each thread but the main thread."""

    def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        if current_thread() is not main_thread():
            raise LookupError("another thread")
        return super().acquire(name, holder, slots=slots, queue=queue, timeout=timeout)


class _NeverReturnsLocks(ThreadLocks):
    """Faulty locks that never return to a caller that must wait."""

    def acquire(
        self, name: str, holder: object, /, *, slots: int, queue: int, timeout: float
    ) -> bool:
        if super().acquire(name, holder, slots=slots, queue=0, timeout=0):
            return True
        Event().wait()
        raise AssertionError


@pytest.mark.untraced
@pytest.mark.parametrize(
    "wrong, kind, sentence",
    [
        (_TwoStepLocks, AssertionError, "threads were in three slots|2 threads got a single"),
        (_OneSlotTooManyLocks, AssertionError, "threads were in three slots at once"),
        (_OneThreadLocks, LookupError, "another thread"),
        (_NeverReturnsLocks, AssertionError, "A thread still waits for a slot"),
    ],
)
def test_thread_check_fails_for_faulty_locks(
    wrong: kit.Factory, kind: type[Exception], sentence: str
) -> None:
    """Locks that let too many threads in, raise an error or hang fail the check for threads."""
    with waiting_at_most(0.2), pytest.raises(kind, match=sentence):
        kit.threads_never_exceed_the_limit(wrong)


def test_notices_that_threads_are_refused() -> None:
    """If locks refuse threads that could still wait, the check fails."""
    with pytest.raises(AssertionError, match="was refused although"):
        kit.threads_never_exceed_the_limit(_AdmittingNobody)
