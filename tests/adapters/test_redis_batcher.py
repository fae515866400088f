"""The batcher that combines an event loop's Redis commands, with delayed replies."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from redis import exceptions as wrong

from moorage import RateLimitConfig, StorageUnavailable
from moorage.adapters.state._redis_batcher import Batcher
from moorage.adapters.state._redis_wire import ScriptCall, ScriptCalls
from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.gate_commands import GiveBack
from moorage.errors import InvalidData
from moorage.testing.kits._state_commands import new_key
from tests.adapters.in_flight import CustomRule
from tests.adapters.redis_modes import Count
from tests.adapters.sqlite_harness import claim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.domain.state.commands import Command

PATIENT = 30.0
SCRIPT_CALLS = ScriptCalls("test:")
TICKETS = ((1, 2),)
GRANTED = (Answer.GO, 0, None, TICKETS)
UNREADABLE = [-1, 0, b"", b""]


class HeldConnection:
    """A fake Redis connection that replies only after the test releases it.

    Args:
        reply: a function that returns the reply to a call, or raises the connection's error.
    """

    def __init__(self, reply: Callable[[ScriptCall], Any]) -> None:
        self.calls: list[ScriptCall] = []
        self.released = asyncio.Event()
        self._reply = reply

    async def ready(self) -> None:
        """Do nothing, because the connection is open."""

    async def run_batch(self, batch: Sequence[ScriptCall]) -> list[Any]:
        """Reply once the test has released the connection."""
        self.calls += batch
        await self.released.wait()
        return [self._reply(call) for call in batch]

    async def drop(self) -> None:
        """Do nothing, because no connection is open."""


def batcher_on(connection: HeldConnection) -> Batcher:
    """Return a batcher for this connection in the running event loop."""
    untyped_connection: Any = connection
    return Batcher(
        asyncio.get_running_loop(),
        untyped_connection,
        script_calls=SCRIPT_CALLS,
        timeout=PATIENT,
        posted=deque(),
        error_of=lambda error: StorageUnavailable(type(error).__name__),
    )


def admission(rule: Any = None) -> Admission:
    """Return a command that requests one token of a rate limit."""
    limit = rule or RateLimitConfig.per_second(1).rule
    gates = Gates(limits=[limit], limit_keys=[new_key()])
    return Admission(gates, within=0, lease=1, ticketed=True)


def return_calls(command: Admission) -> list[bytes]:
    """Return the encoded script calls that give back the tokens of an admission."""
    call = SCRIPT_CALLS.of(GiveBack(command.gates, TICKETS))
    assert call is not None
    return [call.packed]


async def abandon(
    batcher: Batcher, connection: HeldConnection, task: asyncio.Task[Any], *, late: bool
) -> None:
    """Cancel a caller during its command, or just after the reply has arrived."""
    while not connection.calls:  # noqa: ASYNC110 - the queue goes on by itself
        await asyncio.sleep(0)
    if not late:
        task.cancel()
        await asyncio.wait([task])
    connection.released.set()
    while late and not batcher.idle():  # noqa: ASYNC110 - the queue goes on by itself
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await batcher.finish()
    assert task.cancelled()


LEAVING = pytest.mark.parametrize("late", [False, True], ids=["in flight", "with the reply"])


# --- commands that the script runs -----------------------------------------------


def sent_after_cancellation(
    command: Command[Any], reply: Callable[[ScriptCall], Any], *, late: bool
) -> Any:
    """Return the encoded script calls that the batcher sends after its caller was cancelled."""

    async def run_batches() -> list[bytes]:
        connection = HeldConnection(reply)
        batcher = batcher_on(connection)
        call = ScriptCall((b"k",), b"", lambda answer: answer, once=True)
        task = asyncio.ensure_future(batcher.send(call, None, command))
        await abandon(batcher, connection, task, late=late)
        return [call.packed for call in connection.calls[1:]]

    return asyncio.run(run_batches())


@LEAVING
def test_grant_of_a_cancelled_caller_is_returned(*, late: bool) -> None:
    """A token granted to a cancelled caller is given back."""
    command = admission()

    assert return_calls(command) == sent_after_cancellation(command, lambda _: GRANTED, late=late)


@LEAVING
@pytest.mark.parametrize("reply", [GRANTED, UNREADABLE], ids=["granted", "unreadable"])
def test_other_commands_of_cancelled_callers_return_nothing(reply: Any, *, late: bool) -> None:
    """A cancelled caller that asked for a claim, or whose reply is unreadable, returns no token."""
    command = claim(new_key()) if reply is GRANTED else admission()

    assert [] == sent_after_cancellation(command, lambda _: reply, late=late)


@LEAVING
def test_failed_request_of_a_cancelled_caller_returns_nothing(*, late: bool) -> None:
    """If the connection of a cancelled caller is lost, no token is given back."""

    def lose_request(_: ScriptCall) -> Any:
        raise wrong.ConnectionError

    assert [] == sent_after_cancellation(admission(), lose_request, late=late)


def test_reply_in_same_loop_iteration_as_caller_deadline_reaches_caller() -> None:
    """A reply that arrives in the loop iteration of the caller's deadline reaches the caller."""

    async def run_batches() -> list[Any]:
        connection = HeldConnection(lambda _: "reply")
        batcher = batcher_on(connection)
        connection.released.set()
        call = ScriptCall((b"k",), b"", lambda answer: answer, once=True)
        # The batch gets its timeout from the second caller, since the first caller has none.
        return [*await asyncio.gather(batcher.send(call, 0.0), batcher.send(call, PATIENT))]

    assert ["reply", "reply"] == asyncio.run(run_batches())


# --- commands that Python runs ---------------------------------------------------


READ = b"\11"


def count_state_reads(
    command: Command[Any], *, late: bool, error: type[Exception] | None = None
) -> tuple[int, int]:
    """Return how often a caller's command has read states, before and after its cancellation."""

    def reply(call: ScriptCall) -> Any:
        if error is not None:
            raise error
        return [1, None] if call.packed == READ else 1

    async def run_batches() -> tuple[int, int]:
        connection = HeldConnection(reply)
        batcher = batcher_on(connection)
        task = asyncio.ensure_future(batcher.swap(command))
        await abandon(batcher, connection, task, late=late)
        reads = [call.packed == READ for call in connection.calls]
        return sum(reads[:2]), sum(reads[2:])

    return asyncio.run(run_batches())


@LEAVING
def test_decided_grant_of_a_cancelled_caller_is_returned(*, late: bool) -> None:
    """A token that a custom rule granted to a cancelled caller is given back by a new command."""
    command = admission(CustomRule(RateLimitConfig.per_second(1).rule))

    assert (1, 1) == count_state_reads(command, late=late)


class RefusedCommand(Count):
    """A command that raises an error when it is applied."""

    def apply(self, states: Any, now: int) -> Any:
        """Raise an error."""
        raise InvalidData("this command is wrong.")


@LEAVING
@pytest.mark.parametrize("kind", [Count, RefusedCommand])
def test_cancelled_command_without_tokens_is_not_undone(kind: type[Count], *, late: bool) -> None:
    """A cancelled command that takes no tokens, or raises, is not undone."""
    assert (1, 0) == count_state_reads(kind(new_key()), late=late)


@LEAVING
def test_failed_decision_of_a_cancelled_caller_returns_nothing(*, late: bool) -> None:
    """If a caller is cancelled and its connection is lost, its custom command returns no token."""
    timeout_error = wrong.TimeoutError

    assert (1, 0) == count_state_reads(Count(new_key()), late=late, error=timeout_error)


def test_caller_cancelled_while_its_command_is_still_queued_sends_nothing() -> None:
    """A caller cancelled while its command is still queued sends nothing."""

    async def run_batches() -> int:
        connection = HeldConnection(lambda _: 1)
        batcher = batcher_on(connection)
        connection.released.set()
        call = ScriptCall((b"k",), b"", lambda answer: answer, once=True)
        tasks = [
            asyncio.ensure_future(batcher.send(call)),
            asyncio.ensure_future(batcher.swap(Count(new_key()))),
        ]
        await asyncio.sleep(0)  # both commands are queued, and are sent after this turn
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await batcher.finish()
        return len(connection.calls)

    assert 0 == asyncio.run(run_batches())


def test_reply_in_the_same_loop_iteration_as_the_deadline_is_returned() -> None:
    """A reply that arrives in the same loop iteration as its deadline is returned to the caller."""

    async def run_batches() -> Any:
        connection = HeldConnection(lambda _: 7)
        connection.released.set()
        batcher = batcher_on(connection)
        call = ScriptCall((b"k",), b"", lambda answer: answer, once=True)
        answer = await batcher.send(call, 0.0)
        await batcher.finish()
        return answer

    assert 7 == asyncio.run(run_batches())
