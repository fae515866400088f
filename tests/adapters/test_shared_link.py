"""One connection that many callers share at the same time."""

from __future__ import annotations

import asyncio
import os
from threading import Barrier, Event, Thread

import pytest

from moorage import AttemptTimeout, ConnectionFailed, LocalFailure
from moorage.adapters.links.shared_async import AsyncSharedLink
from moorage.adapters.links.shared_sync import SharedLink
from tests.support.waiting import wait_until


class Link:
    """A fake connection that records whether `leave` ended it or whether it was only closed."""

    version = None

    def __init__(self) -> None:
        self.is_open = True
        self.journal: list[str] = []

    def is_connected(self) -> bool:
        """Return whether the connection is open."""
        return self.is_open

    def ping(self, timeout: float) -> None:
        """Do nothing."""

    def leave(self, _: float) -> None:
        """Record that the connection was ended properly."""
        self.journal.append("leave")

    def close(self) -> None:
        """Record that the connection was closed."""
        self.is_open = False
        self.journal.append("close")


class AsyncLink(Link):
    """A fake asynchronous connection."""

    async def ping(self, timeout: float) -> None:  # type: ignore[override]  # the asynchronous one
        """Do nothing."""

    async def leave(self, timeout: float) -> None:  # type: ignore[override]  # the asynchronous one
        """Record that the connection was ended properly."""
        super().leave(timeout)


class Links:
    """A connect function that opens fake connections, or raises prepared errors."""

    def __init__(self, *errors: Exception) -> None:
        self.made: list[Link] = []
        self.errors = list(errors)
        self.gate = Event()
        self.gate.set()
        self.entered = Event()

    def __call__(self, _: float) -> Link:
        """Open a connection once the test allows it, or raise the next prepared error."""
        self.entered.set()
        self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.made.append(Link())
        return self.made[-1]


REFUSED = ConnectionFailed("Refused.", may_have_been_processed=False)


def test_concurrent_callers_share_one_connection() -> None:
    """Concurrent callers share one connection, which stays open afterwards."""
    links = Links()
    shared_link = SharedLink(links)
    with shared_link.link("a", 1.0) as first, shared_link.link("b", 1.0) as second:
        assert first is second is links.made[0]
        assert (shared_link.statistics().active, shared_link.statistics().idle) == (1, 0)
    statistics = shared_link.statistics()
    assert (statistics.active, statistics.idle, statistics.created) == (0, 1, 1)
    assert (statistics.reused, statistics.maximum) == (1, 1)
    assert links.made[0].journal == []


def test_broken_shared_connection_gets_no_new_callers() -> None:
    """A broken shared connection gets no new callers, and its last user closes it."""
    links = Links()
    shared_link = SharedLink(links)
    with shared_link.link("a", 1.0) as first:
        first.is_open = False
        with shared_link.link("b", 1.0) as second:
            assert second is not first
        assert first.journal == []
    assert first.journal == ["close"]
    assert second.journal == []
    second.is_open = False
    shared_link.open(1.0)
    assert second.journal == ["close"]
    assert len(links.made) == 3


def test_close_ends_an_idle_link_in_good_order() -> None:
    """Closing an idle shared connection ends it properly, and refuses further use."""
    links = Links()
    shared_link = SharedLink(links)
    shared_link.close()
    shared_link = SharedLink(links)
    shared_link.open(1.0)
    shared_link.close()
    assert links.made[0].journal == ["leave", "close"]
    with pytest.raises(LocalFailure, match="closed"):
        shared_link.open(1.0)


def test_closing_shared_connection_that_is_in_use_closes_it_when_it_is_returned() -> None:
    """Closing a shared connection that is in use closes it when it is returned."""
    links = Links()
    shared_link = SharedLink(links)
    with shared_link.link("a", 1.0) as link:
        shared_link.close()
        assert link.journal == []
    assert link.journal == ["close"]


def test_failed_opening_fails_for_all_who_waited() -> None:
    """If a shared connection cannot be opened, all waiting callers get the same error."""
    links = Links(REFUSED, ValueError("Another caller tried again."))
    links.gate.clear()
    shared_link = SharedLink(links)
    errors: list[Exception] = []

    def use_link() -> None:
        try:
            shared_link.open(10.0)
        except ConnectionFailed as error:
            errors.append(error)

    threads = [Thread(target=use_link) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: shared_link.statistics().waiting == 2, "two callers waiting")
    links.gate.set()
    for thread in threads:
        thread.join()
    assert [error.message for error in errors] == ["Refused."] * 3  # type: ignore[attr-defined]  # ours
    assert len({id(error) for error in errors}) == 3
    assert len(links.errors) == 1


def test_waiting_for_the_opening_has_a_time_limit() -> None:
    """A caller with a short timeout stops waiting while another caller is still connecting."""
    links = Links()
    links.gate.clear()
    shared_link = SharedLink(links)
    thread = Thread(target=shared_link.open, args=(10.0,))
    thread.start()
    links.entered.wait()
    with pytest.raises(AttemptTimeout, match="still opening") as excinfo:
        shared_link.open(0.01)
    assert not excinfo.value.may_have_been_processed
    waiter = Thread(target=shared_link.open, args=(10.0,))
    waiter.start()
    wait_until(lambda: shared_link.statistics().waiting == 1, "a caller waiting")
    links.gate.set()
    thread.join()
    waiter.join()
    assert len(links.made) == 1
    assert shared_link.statistics().reused == 1


def test_link_that_was_opened_during_close_is_closed() -> None:
    """A connection that opens during close serves its caller, and is closed afterwards."""
    links = Links()
    links.gate.clear()
    shared_link = SharedLink(links)
    thread = Thread(target=shared_link.open, args=(10.0,))
    thread.start()
    links.entered.wait()
    shared_link.close()
    links.gate.set()
    thread.join()
    assert links.made[0].journal == ["close"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX can fork")
def test_forked_child_begins_without_a_link() -> None:
    """A forked child opens its own shared connection, and does not use the parent's."""
    links = Links()
    shared_link = SharedLink(links)
    shared_link.open(1.0)
    shared_link.restart_after_fork()  # as the hook of a fork does
    with shared_link.link("a", 1.0) as link:
        assert link is links.made[1]
    shared_link.close()
    assert [link.journal for link in links.made] == [[], ["leave", "close"]]


def test_cancelled_opening_leaves_the_opening_to_the_next() -> None:
    """If the task that connects is cancelled, the next waiting task connects."""

    async def run() -> None:
        links: list[AsyncLink] = []
        gates = [asyncio.Event(), asyncio.Event()]
        order = iter(gates)

        async def connect(_: float) -> AsyncLink:
            await next(order).wait()
            links.append(AsyncLink())
            return links[-1]

        shared_link: AsyncSharedLink[AsyncLink] = AsyncSharedLink(connect)
        first = asyncio.create_task(shared_link.open(10.0))
        second = asyncio.create_task(shared_link.open(10.0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        gates[1].set()
        await second
        assert first.cancelled()
        assert len(links) == 1
        links[0].is_open = False
        order = iter([asyncio.Event()])
        third = asyncio.create_task(shared_link.open(10.0))
        await asyncio.sleep(0)
        with pytest.raises(AttemptTimeout):
            await shared_link.open(0.0)
        third.cancel()
        await shared_link.close()

    asyncio.run(run())


def test_link_of_a_closed_event_loop_is_forgotten() -> None:
    """A new event loop opens its own shared connection.

    A second event loop at the same time is refused.
    """
    links: list[AsyncLink] = []

    async def connect(_: float) -> AsyncLink:
        links.append(AsyncLink())
        return links[-1]

    shared_link: AsyncSharedLink[AsyncLink] = AsyncSharedLink(connect)
    asyncio.run(shared_link.open(1.0))
    asyncio.run(shared_link.open(1.0))
    assert [link.journal for link in links] == [["close"], []]
    asyncio.run(shared_link.close())
    assert links[1].journal[-1] == "close"


def test_cancelling_task_that_uses_shared_connection_does_not_close_it() -> None:
    """Cancelling a task that uses the shared connection does not close it."""

    async def run() -> None:
        async def connect(_: float) -> AsyncLink:
            return AsyncLink()

        shared_link: AsyncSharedLink[AsyncLink] = AsyncSharedLink(connect)

        async def use_link() -> None:
            async with shared_link.link("a", 1.0):
                await asyncio.Event().wait()

        task = asyncio.create_task(use_link())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with shared_link.link("b", 1.0) as link:
            assert link.is_connected()
        assert shared_link.statistics().created == 1
        await shared_link.close()

    asyncio.run(run())


class AsyncLinks:
    """An asynchronous connect function that opens fake connections, or raises prepared errors."""

    def __init__(self, *errors: Exception) -> None:
        self.made: list[AsyncLink] = []
        self.errors = list(errors)
        self.gate = asyncio.Event()

    async def __call__(self, _: float) -> AsyncLink:
        """Open a connection once the test allows it, or raise the next prepared error."""
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.made.append(AsyncLink())
        return self.made[-1]


async def start_waiting_tasks(
    shared: AsyncSharedLink[AsyncLink], count: int
) -> tuple[asyncio.Task[None], list[asyncio.Task[None]]]:
    """Return a task that is connecting, and tasks that wait for its connection."""
    tasks = [asyncio.create_task(shared.open(10.0)) for _ in range(count + 1)]
    while shared.statistics().waiting < count:  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(0)
    return tasks[0], tasks[1:]


def test_tasks_wait_for_the_opening_of_another() -> None:
    """Tasks that wait while another task connects use that task's connection."""

    async def run() -> None:
        links = AsyncLinks()
        shared_link: AsyncSharedLink[AsyncLink] = AsyncSharedLink(links)
        opening, other_tasks = await start_waiting_tasks(shared_link, 2)
        links.gate.set()
        await asyncio.gather(opening, *other_tasks)
        assert len(links.made) == 1
        assert (shared_link.statistics().created, shared_link.statistics().reused) == (1, 2)
        await shared_link.close()

    asyncio.run(run())


def test_failed_opening_fails_for_all_tasks_that_waited() -> None:
    """If a shared connection cannot be opened, all waiting tasks get the same error."""

    async def run() -> None:
        links = AsyncLinks(REFUSED, ValueError("Another task tried again."))
        shared_link: AsyncSharedLink[AsyncLink] = AsyncSharedLink(links)
        opening, other_tasks = await start_waiting_tasks(shared_link, 2)
        links.gate.set()
        errors = await asyncio.gather(opening, *other_tasks, return_exceptions=True)
        assert [str(error) for error in errors] == [str(REFUSED)] * 3
        assert len({id(error) for error in errors}) == 3
        assert len(links.errors) == 1

    asyncio.run(run())


def test_link_that_a_task_opened_during_close_is_closed() -> None:
    """A connection that a task opens during close is closed after its use."""

    async def run() -> None:
        links = AsyncLinks()
        shared_link: AsyncSharedLink[AsyncLink] = AsyncSharedLink(links)
        opening, (other,) = await start_waiting_tasks(shared_link, 1)
        await shared_link.close()
        links.gate.set()
        await opening
        assert links.made[0].journal == ["close"]
        with pytest.raises(LocalFailure, match="closed"):
            await other

    asyncio.run(run())


def test_closing_shared_connection_that_tasks_use_closes_it_when_last_task_returns_it() -> None:
    """Closing a shared connection that tasks use closes it when the last task returns it."""

    async def run() -> None:
        links = AsyncLinks()
        links.gate.set()
        shared_link: AsyncSharedLink[AsyncLink] = AsyncSharedLink(links)
        async with shared_link.link("a", 1.0) as link:
            await shared_link.close()
            assert link.journal == []
        assert link.journal == ["close"]

    asyncio.run(run())


class SlowLink(Link):
    """A fake connection whose `leave` waits until two callers have called it."""

    def __init__(self) -> None:
        super().__init__()
        self._both = Barrier(2)

    def leave(self, _: float) -> None:
        """Wait until two callers are leaving."""
        self._both.wait()
        super().leave(_)


class AsyncSlowLink(AsyncLink):
    """A fake asynchronous connection whose `leave` waits until two callers have called it."""

    def __init__(self) -> None:
        super().__init__()
        self._both = asyncio.Barrier(2)

    async def leave(self, timeout: float) -> None:  # type: ignore[override]  # the asynchronous one
        """Wait until two callers are leaving."""
        await self._both.wait()
        await super().leave(timeout)


def test_two_threads_may_close_at_once() -> None:
    """If two threads close a shared connection at the same time, no connection stays open."""
    link = SlowLink()
    shared_link = SharedLink(lambda _: link)
    shared_link.open(1.0)
    threads = [Thread(target=shared_link.close) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not link.is_open
    assert shared_link.statistics().idle == 0


def test_two_tasks_may_close_at_once() -> None:
    """If two tasks close a shared connection at the same time, no connection stays open."""

    async def run() -> None:
        link = AsyncSlowLink()

        async def connect(_: float) -> AsyncSlowLink:
            return link

        shared_link: AsyncSharedLink[AsyncSlowLink] = AsyncSharedLink(connect)
        await shared_link.open(1.0)
        await asyncio.gather(shared_link.close(), shared_link.close())
        assert not link.is_open
        assert shared_link.statistics().idle == 0

    asyncio.run(run())


def test_event_loop_that_ended_without_a_link_is_forgotten() -> None:
    """If an event loop ended after connecting had failed, another event loop can connect."""
    links: list[AsyncLink] = []
    errors: list[Exception] = [REFUSED]

    async def connect(_: float) -> AsyncLink:
        if errors:
            raise errors.pop()
        links.append(AsyncLink())
        return links[-1]

    shared_link: AsyncSharedLink[AsyncLink] = AsyncSharedLink(connect)
    with pytest.raises(ConnectionFailed):
        asyncio.run(shared_link.open(1.0))
    asyncio.run(shared_link.open(1.0))
    assert len(links) == 1
