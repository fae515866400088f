"""The synchronous store that gets tokens of much-used rate limits from the local lease broker.

`python -m tools.twins` makes this file; do not edit it.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from moorage.adapters.concurrency._closing import ContextClosable
from moorage.adapters.state._broker_channels import Channels
from moorage.adapters.state._leasing_shared import Leasing, micros_since, time_left

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from moorage.domain.state.commands import Command

Result = TypeVar("Result")


class LeasingStorage(Leasing, ContextClosable):
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
        self.channels = Channels(self._path)
        """The connections to the broker."""

    def execute(
        self,
        command: Command[Result],
        /,
        timeout: float | None = None,
    ) -> Result:
        """Run one command on its states, and return the reply."""
        end = self.end_of_question(command)
        if end is None:
            return self._execute(command, timeout)  # type: ignore[no-any-return]  # as the command answers
        admission: Any = command
        start = monotonic()
        channels = self.channels
        reply = None if channels.is_away() else channels.ask(end, admission.within, timeout)
        answer: Any = self.admitted(admission, reply, micros_since(start))
        if answer is None:
            answer = self._execute(*time_left(admission, timeout, start))
        return answer  # type: ignore[no-any-return]  # as the command answers

    def close(self) -> None:
        """Disconnect from the broker, and close the store."""
        self.channels.close()
        self._storage.close()
