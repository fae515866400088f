"""The asynchronous store that gets tokens of much-used rate limits from the local lease broker.

`python -m tools.twins` makes `leasing_sync.py` of this file.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from moorage.adapters.concurrency._closing import AsyncContextClosable
from moorage.adapters.state._broker_channels import AsyncChannels
from moorage.adapters.state._leasing_shared import Leasing, micros_since, time_left

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from moorage.domain.state.commands import Command

Result = TypeVar("Result")


class AsyncLeasingStorage(Leasing, AsyncContextClosable):
    """A store that gets tokens of much-used rate limits from the machine's lease broker.

    The services must have neither a circuit nor a retry budget, because these would need the store
    for each call. Calls with an idempotency key use the store too.

    Args:
        storage: the store that all machines share, and the broker uses.
        socket: the path of the broker's socket.
        services: the names of the services, or limiters, whose limits are leased.
        without_broker: "store" to use the store while the broker is not available, or "refuse" to
            refuse such calls with `StorageUnavailable`.

    Raises:
        ConfigurationError: an argument is not valid, or the store belongs to one process only.
    """

    def __init__(
        self,
        storage: Any,
        socket: str | Path,
        *,
        services: Iterable[str],
        without_broker: str = "store",
    ) -> None:
        super().__init__(storage, socket, services=services, without_broker=without_broker)
        self.channels = AsyncChannels(self._path)
        """The connections to the broker."""

    async def execute(
        self,
        command: Command[Result],
        /,
        timeout: float | None = None,
    ) -> Result:
        """Run one command on its states, and return the reply."""
        end = self.end_of_question(command)
        if end is None:
            return await self._execute(command, timeout)  # type: ignore[no-any-return]  # as the command answers
        admission: Any = command
        start = monotonic()
        channels = self.channels
        reply = None if channels.is_away() else await channels.ask(end, admission.within, timeout)
        answer: Any = self.admitted(admission, reply, micros_since(start))
        if answer is None:
            answer = await self._execute(*time_left(admission, timeout, start))
        return answer  # type: ignore[no-any-return]  # as the command answers

    async def aclose(self) -> None:
        """Disconnect from the broker, and close the store."""
        await self.channels.aclose()
        await self._storage.aclose()
