"""The simplest correct store, from which tests derive faulty ones."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command, State

Answer = TypeVar("Answer")

NEW_YEAR: Final = 1_767_225_600_000_000
"""The first time of a test's clock, in microseconds."""


class Time:
    """A clock that advances on request, and by a microsecond at each reading."""

    def __init__(self) -> None:
        self.micros = NEW_YEAR

    def __call__(self) -> int:
        """Advance the time by a microsecond, and return it."""
        self.micros += 1
        return self.micros

    def pass_by(self, seconds: float) -> None:
        """Advance the clock."""
        self.micros += round(seconds * 1e6)


class NaiveStore:
    """A correct synchronous store in memory, with one lock around everything."""

    def __init__(self, bound: int = 1_000_000) -> None:
        self.time = Time()
        self.cells: dict[str, State] = {}
        self.lock = Lock()
        self.bound = bound

    def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer:
        """Read the states, apply the command and write the new states."""
        if not self.lock.acquire(timeout=-1 if timeout is None else timeout):
            raise StorageUnavailable("busy")
        try:
            previous_states = tuple(self.read(key) for key in command.keys)
            now = self.now()
            next_states, answer = command.apply(previous_states, now)
            self.write(dict(zip(command.keys, next_states, strict=True)), now)
            return answer
        finally:
            self.lock.release()

    def post(self, command: Command[Any], /) -> None:
        """Execute the command immediately, and ignore its result."""
        with suppress(Exception):
            self.execute(command)

    def now(self) -> int:
        """Return the time in microseconds."""
        return self.time()

    def read(self, key: str) -> State | None:
        """Return the stored state of a key, or None."""
        return self.cells.get(key)

    def write(self, states: dict[str, State | None], now: int) -> None:
        """Store all given states, or raise an error if the store has no space for them."""
        written_states = {key: state for key, state in states.items() if state is not None}
        if len(self.cells | written_states) > self.bound:
            self.forget(now)
        if len(self.cells | written_states) > self.bound:
            raise StorageUnavailable("full")
        for key, state in written_states.items():
            self.put(key, state)

    def put(self, key: str, state: State) -> None:
        """Store the state of one key."""
        self.cells[key] = state

    def forget(self, now: int) -> None:
        """Remove expired states."""
        live_states = {key: state for key, state in self.cells.items() if state[0] + state[1] > now}
        self.cells = live_states


class AsyncNaiveStore:
    """A correct asynchronous store with a lock that tasks wait for."""

    def __init__(self, bound: int = 1_000_000) -> None:
        self.plain = NaiveStore(bound)
        self.time = self.plain.time
        self.post = self.plain.post
        self.turn = asyncio.Lock()

    async def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer:
        """Wait for the lock, and execute the command with pauses for other tasks."""
        async with self.turn:
            await asyncio.sleep(0)
            answer = self.plain.execute(command, timeout)
        await asyncio.sleep(0)
        return answer
