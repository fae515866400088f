"""Waiting in one event loop for many sockets at the same time."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import weakref
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.http.connections import _loops as _http_loops
from moorage.adapters.http.connections._loops import LoopNetwork, ReaderWatch, SocketWatch, watch_in
from moorage.adapters.http.connections._watch import EpollWatch
from moorage.adapters.http.connections._wire import DeadlinePassed
from tests.adapters.http_modes import in_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT_WAIT = 0.01
LONG = 30.0

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Yield two connected non-blocking sockets."""
    own_socket, foreign_socket = socket.socketpair()
    own_socket.setblocking(False)
    foreign_socket.setblocking(False)
    yield own_socket, foreign_socket
    own_socket.close()
    foreign_socket.close()


def watches() -> list[SocketWatch]:
    """Return an object of each kind that watches sockets for the running event loop."""
    return [EpollWatch(asyncio.get_running_loop()), ReaderWatch()]


@in_loop
async def test_waiting_task_wakes_when_bytes_arrive(pair: Pair) -> None:
    """A task waiting to read a socket wakes for each byte that arrives."""
    own_socket, foreign_socket = pair
    loop = asyncio.get_running_loop()
    for watch in watches():
        for _ in range(3):
            waiting_task = asyncio.ensure_future(
                watch.ready(loop, own_socket, monotonic() + LONG, watch.readable)
            )
            await asyncio.sleep(0)
            foreign_socket.send(b".")
            await waiting_task
            assert b"." == own_socket.recv(1)


@in_loop
async def test_ready_socket_does_not_wait(pair: Pair) -> None:
    """Waiting to write to a writable socket returns at once."""
    own_socket, _ = pair
    for watch in watches():
        await watch.ready(asyncio.get_running_loop(), own_socket, float("inf"), watch.writable)


@in_loop
async def test_waits_end_at_their_deadlines(pair: Pair) -> None:
    """Waits for sockets end at their deadlines, the earliest first."""
    own_socket, foreign_socket = pair
    loop, order = asyncio.get_running_loop(), list[str]()
    for watch in watches():

        async def wait_too_long(
            name: str, sock: socket.socket, seconds: float, watch: SocketWatch = watch
        ) -> None:
            with pytest.raises(DeadlinePassed):
                await watch.ready(loop, sock, monotonic() + seconds, watch.readable)
            order.append(name)

        await asyncio.gather(
            wait_too_long("later", own_socket, 5 * SHORT_WAIT),
            wait_too_long("sooner", foreign_socket, SHORT_WAIT),
        )
    assert ["sooner", "later"] * 2 == order


@in_loop
async def test_old_timer_does_not_wake_a_later_wait(pair: Pair) -> None:
    """The deadline of an earlier wait for a socket does not affect the next wait."""
    own_socket, foreign_socket = pair
    loop = asyncio.get_running_loop()
    watch = EpollWatch(loop)
    foreign_socket.send(b".")
    await watch.ready(loop, own_socket, monotonic() + SHORT_WAIT, watch.readable)
    own_socket.recv(1)

    for end_time in (float("inf"), monotonic() + LONG):
        waiting_task = asyncio.ensure_future(
            watch.ready(loop, own_socket, end_time, watch.readable)
        )
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting_task), 3 * SHORT_WAIT)
        foreign_socket.send(b".")
        await waiting_task
        own_socket.recv(1)


@in_loop
async def test_timers_do_not_accumulate(pair: Pair) -> None:
    """Many short waits for a socket during a long one leave no extra timers in the event loop."""
    own_socket, foreign_socket = pair
    loop: Any = asyncio.get_running_loop()
    watch = EpollWatch(loop)
    lasting_task = asyncio.ensure_future(
        watch.ready(loop, own_socket, monotonic() + LONG, watch.readable)
    )
    await asyncio.sleep(0)
    set_before = len(loop._scheduled)  # noqa: SLF001 - no loop says how many alarms are set
    for _ in range(20):
        with pytest.raises(DeadlinePassed):
            await watch.ready(loop, foreign_socket, monotonic() + SHORT_WAIT / 10, watch.readable)
    assert set_before == len(loop._scheduled)  # noqa: SLF001 - no loop says how many alarms are set
    foreign_socket.send(b".")
    await lasting_task


@in_loop
async def test_next_wait_works_and_no_registration_remains_after_cancelled_wait_for_socket(
    pair: Pair,
) -> None:
    """After a cancelled wait for a socket, the next wait works and no registration remains."""
    own_socket, foreign_socket = pair
    loop = asyncio.get_running_loop()
    for watch in watches():
        waiting_task = asyncio.ensure_future(
            watch.ready(loop, own_socket, monotonic() + LONG, watch.readable)
        )
        await asyncio.sleep(0)
        waiting_task.cancel()
        foreign_socket.send(b".")
        with pytest.raises(asyncio.CancelledError):
            await waiting_task
        await watch.ready(loop, own_socket, monotonic() + LONG, watch.readable)
        own_socket.recv(1)


@in_loop
async def test_event_without_a_waiter_is_ignored(pair: Pair) -> None:
    """An event for a socket for which no task waits is ignored."""
    own_socket, foreign_socket = pair
    loop = asyncio.get_running_loop()
    watch = EpollWatch(loop)
    waiting_task = asyncio.ensure_future(
        watch.ready(loop, own_socket, monotonic() + LONG, watch.readable)
    )
    await asyncio.sleep(0)
    waiting_task.cancel()
    await asyncio.sleep(0)

    foreign_socket.send(b".")
    await asyncio.sleep(SHORT_WAIT)

    assert waiting_task.cancelled()
    assert b"." == own_socket.recv(1)


@in_loop
async def test_reused_file_number_is_a_new_socket(pair: Pair) -> None:
    """A new socket that gets the file number of a closed one is watched as a new socket."""
    own_socket, _ = pair
    loop = asyncio.get_running_loop()
    watch = EpollWatch(loop)
    with pytest.raises(DeadlinePassed):
        await watch.ready(loop, own_socket, monotonic() + SHORT_WAIT, watch.readable)
    number = own_socket.detach()
    copied_socket = os.dup(number)  # as in a child process that was forked in between
    mine, other_socket = socket.socketpair()
    with mine, other_socket:
        os.dup2(mine.fileno(), number)
        with socket.socket(fileno=number) as repeated_socket:
            waiting_task = asyncio.ensure_future(
                watch.ready(loop, repeated_socket, monotonic() + LONG, watch.readable)
            )
            await asyncio.sleep(0)
            other_socket.send(b".")
            await waiting_task
            assert b"." == repeated_socket.recv(1)
    os.close(copied_socket)


def test_watch_does_not_keep_its_loop_alive() -> None:
    """A closed event loop is garbage-collected together with its socket watch."""
    loop = asyncio.new_event_loop()
    watch = watch_in(loop)
    assert isinstance(watch, EpollWatch)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    lost_loop = weakref.ref(loop)

    del loop
    gc.collect()

    assert lost_loop() is None


def test_reader_watch_without_epoll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without epoll, sockets are watched by the event loop's add_reader and add_writer."""

    def lack_epoll(_: object) -> EpollWatch:
        raise AttributeError("epoll")

    monkeypatch.setattr(_http_loops, "EpollWatch", lack_epoll)

    async def wait() -> None:
        own_socket, foreign_socket = socket.socketpair()
        with own_socket, foreign_socket:
            await LoopNetwork().writable(own_socket, monotonic() + LONG)

    asyncio.run(wait())
