"""A memory of a shared store's rejections, with which a process rejects further calls itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.resilience.admission import CIRCUIT_OPEN, Admission, Answer
from moorage.domain.values.bounded import BoundedCache
from moorage.domain.values.durations import FOREVER, SECOND
from moorage.domain.values.frozen_values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.resilience.admission import Admitted, Gates
    from moorage.domain.state.commands import Command
    from moorage.services.core.core import Flow

_MAX_DURATION: Final = SECOND
_MAX_ENTRIES: Final = 10_000


@frozen(eq=False)
class _Refusal:
    """A store's rejection of a call.

    Attributes:
        answer: the reason.
        ask_again: the time after which the store is asked again.
        end: the first time at which a call may be granted; None if only a person can end the
            refusal.
        gates: the protections of the refused call.
        costs: the tokens of the refused call.
    """

    answer: Answer
    ask_again: int
    end: int | None
    gates: Gates
    costs: tuple[int, ...]

    def answer_to(self, command: Admission, now: int) -> Admitted | None:
        """Return the same rejection for another call; None if the store might admit that call."""
        wait = FOREVER if self.end is None else -((now - self.end) // 1000)
        if self.answer is Answer.LIMITED and not (
            wait > command.within
            and self.costs == command.costs
            and self.gates.limit_keys == command.gates.limit_keys
            and self.gates.limits == command.gates.limits
        ):
            return None
        return self.answer, wait, None, ()


class Refusals:
    """Runs commands in a store; refuses attempts itself if the store certainly would.

    An open circuit stays open until its time unless a person closes it, and an empty limit has no
    token before its time unless a caller gives one back or a person ends a pause. A process
    remembers both for at most a second. So a change by another process takes effect within a
    second, and a change by this process immediately. A half-open circuit may close at any moment,
    and is not remembered. During an outage a rejection is remembered until the next probe, because
    calls probe whether the store is available again.

    Args:
        execute: runs a command in the store, or in its fallback.
        post: runs a command without waiting for the result.
        next_probe: returns the time of the next probe if the store of a command's states is
            unavailable, by the local clock; None if it is available.
        nanoseconds: the local clock.
    """

    def __init__(
        self,
        execute: Callable[[Command[Any], float | None], Flow[Any]],
        post: Callable[[Command[Any]], None],
        next_probe: Callable[[Command[Any]], int | None],
        nanoseconds: Callable[[], int],
    ) -> None:
        self._execute = execute
        self._post = post
        self._next_probe = next_probe
        self._nanoseconds = nanoseconds
        self._refusals: BoundedCache[str, _Refusal] = BoundedCache(_MAX_ENTRIES)
        """The refusals of circuits, and of limits by the key of the first one."""

    async def execute(self, command: Command[Any], timeout: float | None) -> Any:
        """Run a command, or refuse an attempt that the store would certainly refuse."""
        if not isinstance(command, Admission):
            self._forget(command)
            return await self._execute(command, timeout)
        # A wait begins when the store decides, which is never before this time.
        now = self._nanoseconds()
        if self._refusals and (refusal := self._known_refusal(command, now)) is not None:
            return refusal
        admission = await self._execute(command, timeout)
        if admission[0] is CIRCUIT_OPEN or admission[0] is Answer.LIMITED:
            self._remember(command, admission, now)
        return admission

    def post(self, command: Command[Any]) -> None:
        """Run a command without waiting for its result."""
        self._forget(command)
        self._post(command)

    def _known_refusal(self, command: Admission, now: int) -> Admitted | None:
        """Return the rejection that the store would return; None if the store must decide."""
        gates = command.gates
        for key in (gates.circuit_key, *gates.limit_keys[:1]):
            refusal = self._refusals.get(key)
            if refusal is None:
                continue
            if now >= refusal.ask_again:
                self._refusals.pop(key, None)
            elif (answer := refusal.answer_to(command, now)) is not None:
                return answer
        return None

    def _remember(self, command: Admission, admitted: Admitted, asked_at: int) -> None:
        answer, wait, _, _ = admitted
        gates = command.gates
        ask_again = asked_at + min(wait, _MAX_DURATION) * 1000
        probe_time = self._next_probe(command)
        self._refusals.add(
            gates.circuit_key if answer is CIRCUIT_OPEN else gates.limit_keys[0],
            _Refusal(
                answer,
                ask_again if probe_time is None else min(ask_again, probe_time),
                None if wait >= FOREVER else asked_at + wait * 1000,
                gates,
                command.costs,
            ),
        )

    def _forget(self, command: Command[Any]) -> None:
        """Forget the rejections that are based on states which a command may change."""
        if self._refusals:
            for key in command.keys:
                self._refusals.pop(key, None)
