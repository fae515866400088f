"""Commands of an asynchronous store that run in the background, without a waiting caller."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.concurrency.forking import restart_in_child
from moorage.adapters.state._posted_commands import MAX_POSTED, PostedCommands
from moorage.errors import InvalidData, StateUnavailable, StorageUnavailable

if TYPE_CHECKING:
    from moorage.domain.state.commands import States


class NumberedCommand:
    """A store command with a number that identifies it."""

    keys = ("a",)
    once = True
    durable = False

    def __init__(self, number: int) -> None:
        self.number = number

    def apply(self, states: States, now: int) -> tuple[States, None]:
        """Return the states unchanged."""
        return states, None


class RepeatableCommand(NumberedCommand):
    """A store command whose repetition changes nothing."""

    once = False


class SlowStore:
    """A fake store that runs commands one by one when the test allows it, and can fail."""

    def __init__(self, timeout: float = 20, **errors: Exception) -> None:
        self.done: list[int] = []
        self.begun: list[int] = []
        self.may = asyncio.Event()
        self.may.set()
        self.errors = errors
        self.posts = PostedCommands(self.execute, timeout)

    async def execute(self, command: Any) -> None:
        """Run the command in a later iteration of the event loop, when the test allows it."""
        self.begun.append(command.number)
        await asyncio.sleep(0)
        await self.may.wait()
        error = self.errors.pop(f"at{command.number}", None)
        if error:
            raise error
        self.done.append(command.number)

    def post(self, *numbers: int) -> None:
        """Post commands one after another."""
        for number in numbers:
            self.posts.post(NumberedCommand(number))

    @property
    def is_busy(self) -> bool:
        """Return whether any command is queued or running."""
        return bool(self.posts.queue or self.posts.task)


async def run_other_tasks(number: int = 50) -> None:
    """Give all other tasks this number of iterations of the event loop."""
    for _ in range(number):
        await asyncio.sleep(0)


def test_posts_are_executed_by_a_task() -> None:
    """Posted commands are executed in order by a task of the running loop."""

    async def run() -> SlowStore:
        store = SlowStore()
        store.post(1, 2, 3)
        await run_other_tasks()
        return store

    store = asyncio.run(run())

    assert ([1, 2, 3], False) == (store.done, store.is_busy)


def test_settle_waits_for_posts() -> None:
    """`settle` returns after all posted commands have run, even those posted while it waits."""

    async def run() -> list[int]:
        store = SlowStore()
        store.post(1, 2)
        waiting_tasks = [asyncio.ensure_future(store.posts.settle()) for _ in range(2)]
        await asyncio.sleep(0)
        store.post(3)
        await asyncio.wait(waiting_tasks)
        return store.done

    assert [1, 2, 3] == asyncio.run(run())


def test_posts_without_a_loop_are_kept() -> None:
    """Commands posted without an event loop are executed in the next loop."""
    store = SlowStore()
    store.post(1, 2)
    queued_posts, finished_posts = len(store.posts.queue), [*store.done]

    asyncio.run(store.posts.settle())

    assert (2, [], [1, 2]) == (queued_posts, finished_posts, store.done)


def test_posts_of_an_ended_loop_continue_in_the_next() -> None:
    """When an event loop ends, its posted commands run in the next event loop, each once."""

    async def run(store: SlowStore) -> None:
        store.may.clear()
        store.post(1, 2, 3)
        await run_other_tasks()

    store = SlowStore()
    asyncio.run(run(store))
    queued_posts = [command.number for command in store.posts.queue]  # type: ignore[attr-defined]  # as posted
    store.may = asyncio.Event()
    store.may.set()

    asyncio.run(store.posts.settle())

    assert ([2, 3], [1, 2, 3], [2, 3]) == (queued_posts, store.begun, store.done)


def test_repeatable_command_of_an_ended_loop_is_executed_again() -> None:
    """The next loop repeats the command that the end of a loop interrupted, if that is harmless."""

    async def begin() -> SlowStore:
        store = SlowStore()
        store.may.clear()
        store.posts.post(RepeatableCommand(1))
        store.post(2)
        await run_other_tasks()
        return store

    store = asyncio.run(begin())
    store.may.set()
    asyncio.run(store.posts.settle())

    assert ([1, 1, 2], [1, 2]) == (store.begun, store.done)


def test_no_command_is_lost_if_task_for_posted_commands_is_cancelled_before_it_starts() -> None:
    """If the task that sends posted commands is cancelled early, no command is lost."""

    async def run(store: SlowStore) -> list[int]:
        store.post(1, 2)
        assert store.posts.task
        store.posts.task.cancel()
        await run_other_tasks()
        begun_posts = [*store.begun]
        await store.posts.settle()
        return begun_posts

    store = SlowStore()

    assert ([], [1, 2]) == (asyncio.run(run(store)), store.done)


def test_blocked_event_loop_delays_only_commands_posted_in_it() -> None:
    """A blocked event loop delays only the commands that were posted in it."""
    store, other_loop = SlowStore(), asyncio.new_event_loop()

    async def begin() -> None:
        store.may.clear()
        store.post(1, 2)
        await run_other_tasks(3)

    async def settle_posts() -> None:
        store.may = asyncio.Event()
        store.may.set()
        await store.posts.settle()

    waiting_event = store.may
    other_loop.run_until_complete(begin())
    asyncio.run(settle_posts())
    finished_posts = [*store.done]
    waiting_event.set()
    other_loop.run_until_complete(run_other_tasks())
    other_loop.close()

    assert ([2], [2, 1], False) == (finished_posts, store.done, store.is_busy)


def test_failing_post_does_not_stop_others() -> None:
    """An exception of a posted command is dropped, and the other commands run."""
    store = SlowStore(at1=InvalidData("no"), at2=RuntimeError("no"))
    store.post(1, 2, 3)

    asyncio.run(store.posts.settle())

    assert [3] == store.done


def test_post_on_unreadable_state_does_not_block_others() -> None:
    """A posted command on a state that cannot be read is dropped, and the other commands run."""
    store = SlowStore(at1=StateUnavailable("newer"))
    store.post(1, 2, 3)

    asyncio.run(store.posts.settle())

    assert [2, 3] == store.done


def test_after_outage_remaining_posted_commands_are_kept_for_next_attempt() -> None:
    """After an outage the remaining posted commands are kept for the next attempt."""
    store = SlowStore(at1=StorageUnavailable("down"))
    store.post(1, 2, 3)

    asyncio.run(store.posts.settle())
    begun_posts = [*store.begun]
    asyncio.run(store.posts.settle())

    assert ([1], [2, 3]) == (begun_posts, store.done)


def test_settle_returns_at_its_timeout() -> None:
    """`settle` returns at the timeout if the store hangs."""

    async def run() -> SlowStore:
        store = SlowStore(timeout=0.001)
        store.may.clear()
        store.post(1)
        await store.posts.settle()
        return store

    store = asyncio.run(run())

    assert ([1], []) == (store.begun, store.done)


def test_cancelled_waiter_does_not_stop_posts() -> None:
    """Cancelling a task that waits in `settle` does not stop the posted commands."""

    async def run() -> list[int]:
        store = SlowStore()
        store.post(1, 2)
        waiting_task = asyncio.ensure_future(store.posts.settle())
        await asyncio.sleep(0)
        waiting_task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting_task
        await run_other_tasks()
        return store.done

    assert [1, 2] == asyncio.run(run())


def test_full_queue_drops_the_oldest_commands() -> None:
    """If the queue of posted commands is full, the oldest are dropped."""
    store = SlowStore()
    store.post(*range(MAX_POSTED + 2))

    asyncio.run(store.posts.settle())

    assert [*range(2, MAX_POSTED + 2)] == store.done


def test_forked_child_drops_its_parents_posts() -> None:
    """A forked child drops the commands that the parent posted, so that they do not run twice."""
    store = SlowStore()
    store.post(1)

    restart_in_child()

    assert not store.is_busy
