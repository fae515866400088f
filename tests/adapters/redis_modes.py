"""A Redis store of sync or async mode behind one synchronous interface."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, TypeVar

from moorage.adapters.state.redis import AsyncRedisStorage, RedisStorage

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command, States

Answer = TypeVar("Answer")

MODES = ("sync", "async")
DAY = 86_400_000_000


class SyncStore:
    """A wrapper that makes the methods of an asynchronous store synchronous."""

    def __init__(self, mode: str, where: object, **options: Any) -> None:
        self.store: Any
        if mode == "sync":
            self.store, self._runner = RedisStorage(where, **options), None
        else:
            self.store, self._runner = AsyncRedisStorage(where, **options), asyncio.Runner()

    def execute(self, command: Command[Answer], timeout: float | None = None) -> Answer:
        """Run a command on the stored states of its keys, and return its result."""
        return self._result_of(self.store.execute(command, timeout))  # type: ignore[no-any-return]  # as it answers

    def post(self, command: Command[Any]) -> None:
        """Post a command for background execution.

        An asynchronous store executes it in an event loop.
        """
        if self._runner is None:
            self.store.post(command)
        else:
            self._runner.run(self._posted(command))

    async def _posted(self, command: Command[Any]) -> None:
        self.store.post(command)

    def node_of(self, command: Command[Any]) -> str:
        """Return the cluster node that stores a command's keys."""
        if self._runner is None:
            return str(self.store.node_of(command))
        return self._runner.run(self._node_of(command))

    async def _node_of(self, command: Command[Any]) -> str:
        return str(self.store.node_of(command))

    def housekeep(self) -> int:
        """Run the store's housekeeping, and return the number of deleted states."""
        return self._result_of(self.store.housekeep())  # type: ignore[no-any-return]  # a number

    def close(self) -> None:
        """Close the store and its event loop."""
        if self._runner is None:
            self.store.close()
        else:
            self._runner.run(self.store.aclose())

    def _result_of(self, value: Any) -> Any:
        return value if self._runner is None else self._runner.run(value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if self._runner is not None:
            self._runner.close()


class Count:
    """A command that increases a number, and that the Redis script does not support."""

    durable = False

    def __init__(self, key: str, *, once: bool = True) -> None:
        self.keys = (key,)
        self.once = once

    def apply(self, states: States, now: int) -> tuple[States, int]:
        """Return the state increased by one."""
        number = 1 if states[0] is None else states[0][2] + 1
        return ((now, DAY, number),), number
