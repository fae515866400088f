"""A queue of tasks for Redis, over a connection whose replies the test holds back."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from redis import exceptions as wrong

from moorage import RateLimitConfig, StorageUnavailable
from moorage.adapters.state._redis_lanes import Lane
from moorage.adapters.state._redis_wire import Question, Questions
from moorage.domain.resilience.admission import Admission, Answer, Gates, GiveBack
from moorage.errors import InvalidData
from moorage.testing.kits._state_commands import new_key
from tests.adapters.in_flight import OfOnesOwn
from tests.adapters.redis_faces import Count
from tests.adapters.sqlite_lab import claim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.domain.state.commands import Command

PATIENT = 30.0
QUESTIONS = Questions("test:")
TICKETS = ((1, 2),)
GRANTED = (Answer.GO, 0, None, TICKETS)
UNREADABLE = [-1, 0, b"", b""]


class HeldLink:
    """A connection that answers once it is released, and then at once.

    Args:
        reply: returns the reply to a question, or raises the error of the connection.
    """

    def __init__(self, reply: Callable[[Question], Any]) -> None:
        self.asked: list[Question] = []
        self.released = asyncio.Event()
        self._reply = reply

    async def ready(self) -> None:
        """Be connected."""

    async def ask(self, batch: Sequence[Question]) -> list[Any]:
        """Answer when the test says so."""
        self.asked += batch
        await self.released.wait()
        return [self._reply(question) for question in batch]

    async def drop(self) -> None:
        """Be disconnected."""


def lane_over(link: HeldLink) -> Lane:
    """Return the queue of the running loop for a connection."""
    link_: Any = link
    return Lane(
        asyncio.get_running_loop(),
        link_,
        questions=QUESTIONS,
        timeout=PATIENT,
        posted=deque(),
        error_of=lambda error: StorageUnavailable(type(error).__name__),
    )


def admission(rule: Any = None) -> Admission:
    """Return a request for one token of a limit."""
    limit = rule or RateLimitConfig.per_second(1).rule
    gates = Gates(limits=[limit], limit_keys=[new_key()])
    return Admission(gates, within=0, lease=1, ticketed=True)


def given_back(command: Admission) -> list[bytes]:
    """Return what the script is sent when the tickets of an admission are given back."""
    question = QUESTIONS.of(GiveBack(command.gates, TICKETS))
    assert question is not None
    return [question.packed]


async def abandon(lane: Lane, link: HeldLink, task: asyncio.Task[Any], *, late: bool) -> None:
    """Cancel a caller in flight, or after its reply arrived but before it has read it."""
    while not link.asked:  # noqa: ASYNC110 - the queue goes on by itself
        await asyncio.sleep(0)
    if not late:
        task.cancel()
        await asyncio.wait([task])
    link.released.set()
    while late and not lane.idle():  # noqa: ASYNC110 - the queue goes on by itself
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await lane.finish()
    assert task.cancelled()


LEAVING = pytest.mark.parametrize("late", [False, True], ids=["in flight", "with the reply"])


# --- commands of the script ------------------------------------------------------


def sent_after(command: Command[Any], reply: Callable[[Question], Any], *, late: bool) -> Any:
    """Return what is sent for a caller of the script that was cancelled."""

    async def story() -> list[bytes]:
        link = HeldLink(reply)
        lane = lane_over(link)
        question = Question((b"k",), b"", lambda answer: answer, once=True)
        task = asyncio.ensure_future(lane.ask(question, None, command))
        await abandon(lane, link, task, late=late)
        return [each.packed for each in link.asked[1:]]

    return asyncio.run(story())


@LEAVING
def test_grant_of_a_cancelled_caller_is_given_back(*, late: bool) -> None:
    """A grant goes back whether its caller left before the reply or together with it."""
    command = admission()

    assert given_back(command) == sent_after(command, lambda _: GRANTED, late=late)


@LEAVING
@pytest.mark.parametrize("reply", [GRANTED, UNREADABLE], ids=["granted", "unreadable"])
def test_other_commands_of_cancelled_callers_return_nothing(reply: Any, *, late: bool) -> None:
    """A claim is not given back, and a reply that is no answer grants nothing."""
    command = claim(new_key()) if reply is GRANTED else admission()

    assert [] == sent_after(command, lambda _: reply, late=late)


@LEAVING
def test_failed_request_of_a_cancelled_caller_returns_nothing(*, late: bool) -> None:
    """A connection that is lost under a caller that has left grants nothing."""

    def lose(_: Question) -> Any:
        raise wrong.ConnectionError

    assert [] == sent_after(admission(), lose, late=late)


def test_reply_in_the_iteration_of_its_deadline_is_kept() -> None:
    """A caller whose deadline passes just after its reply arrived gets the reply."""

    async def story() -> list[Any]:
        link = HeldLink(lambda _: "reply")
        lane = lane_over(link)
        link.released.set()
        question = Question((b"k",), b"", lambda answer: answer, once=True)
        # The second caller gives the batch its time: the first one alone has none.
        return [*await asyncio.gather(lane.ask(question, 0.0), lane.ask(question, PATIENT))]

    assert ["reply", "reply"] == asyncio.run(story())


# --- commands that are decided here ----------------------------------------------


LOOK = b"\11"


def looks_after(
    command: Command[Any], *, late: bool, error: type[Exception] | None = None
) -> tuple[int, int]:
    """Return how often stored states were read for a cancelled caller, and how often after it."""

    def reply(question: Question) -> Any:
        if error is not None:
            raise error
        return [1, None] if question.packed == LOOK else 1

    async def story() -> tuple[int, int]:
        link = HeldLink(reply)
        lane = lane_over(link)
        task = asyncio.ensure_future(lane.decide(command))
        await abandon(lane, link, task, late=late)
        looks = [each.packed == LOOK for each in link.asked]
        return sum(looks[:2]), sum(looks[2:])

    return asyncio.run(story())


@LEAVING
def test_decided_grant_of_a_cancelled_caller_is_given_back(*, late: bool) -> None:
    """A grant by a custom rule is given back with another command, which reads the state again."""
    command = admission(OfOnesOwn(RateLimitConfig.per_second(1).rule))

    assert (1, 1) == looks_after(command, late=late)


class Refused(Count):
    """A command that cannot be decided."""

    def apply(self, states: Any, now: int) -> Any:
        """Refuse."""
        raise InvalidData("this command is wrong.")


@LEAVING
@pytest.mark.parametrize("kind", [Count, Refused])
def test_other_decided_commands_of_cancelled_callers_return_nothing(
    kind: type[Count], *, late: bool
) -> None:
    """A command that takes nothing from a limit, or that raises, stays as it was decided."""
    assert (1, 0) == looks_after(kind(new_key()), late=late)


@LEAVING
def test_failed_decision_of_a_cancelled_caller_returns_nothing(*, late: bool) -> None:
    """A connection that is lost under a caller that has left decides nothing, once and for all."""
    lost = wrong.TimeoutError

    assert (1, 0) == looks_after(Count(new_key()), late=late, error=lost)


def test_caller_cancelled_before_its_command_is_sent_sends_nothing() -> None:
    """A cancelled caller's command leaves the queue unsent, as long as it waits there."""

    async def story() -> int:
        link = HeldLink(lambda _: 1)
        lane = lane_over(link)
        link.released.set()
        question = Question((b"k",), b"", lambda answer: answer, once=True)
        tasks = [
            asyncio.ensure_future(lane.ask(question)),
            asyncio.ensure_future(lane.decide(Count(new_key()))),
        ]
        await asyncio.sleep(0)  # both have joined their queues, which are served after this
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await lane.finish()
        return len(link.asked)

    assert 0 == asyncio.run(story())


def test_reply_in_the_same_turn_as_the_deadline_arrives() -> None:
    """A caller gets a reply that comes in the turn of the loop in which its time is over."""

    async def story() -> Any:
        link = HeldLink(lambda _: 7)
        link.released.set()
        lane = lane_over(link)
        question = Question((b"k",), b"", lambda answer: answer, once=True)
        answer = await lane.ask(question, 0.0)
        await lane.finish()
        return answer

    assert 7 == asyncio.run(story())
