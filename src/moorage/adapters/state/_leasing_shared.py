"""The rules of a store that gets tokens of much-used rate limits from the local lease broker.

Laws:

1. Only admissions by limits of the named services are sent to the broker. All other commands go to
   the store. While the broker is not available, all admissions go to the store too, unless the
   setting refuses them.
2. The broker and the store use the same token buckets. So both give consistent answers.
3. If a reply is lost, one token too many is taken from the bucket, never one too few.
"""

from __future__ import annotations

from inspect import iscoroutinefunction
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.state._broker_socket import socket_path
from moorage.adapters.state.lease_broker import check_store
from moorage.domain.resilience.admission import AT_ONCE, Admission, Answer
from moorage.domain.resilience.lease_messages import (
    LONGEST_LINE,
    WITHOUT_BROKER,
    kind_of,
    question_end,
)
from moorage.domain.state.keys import checked_name
from moorage.domain.values.bounded import BoundedCache
from moorage.domain.values.durations import SECOND
from moorage.domain.values.functions import check_store_kind, with_timeout
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from moorage.domain.resilience.admission import Admitted
    from moorage.domain.resilience.lease_messages import Reply
    from moorage.domain.state.commands import Command

_KINDS: Final = 10_000
_LARGEST_START: Final = 64


class Leasing:
    """The common code of the synchronous and asynchronous stores that use a lease broker."""

    def __init__(
        self,
        storage: Any,
        socket: str | Path,
        *,
        services: Iterable[str],
        without_broker: str = "store",
    ) -> None:
        check_store(storage)
        is_async = iscoroutinefunction(getattr(self, "execute"))  # noqa: B009 - of each subclass
        check_store_kind(storage, "storage", is_async=is_async)
        if without_broker not in WITHOUT_BROKER:
            raise ConfigurationError(
                f"{without_broker!r:.60} is not a valid without_broker.",
                path="without_broker",
                remedy='Use "store" to take the limits from the store instead, or "refuse".',
            )
        self._storage = storage
        self._path = socket_path(socket)
        self._services = _checked_services(services)
        self._refuses = without_broker == "refuse"
        self._ends: BoundedCache[tuple[Any, ...], bytes | None] = BoundedCache(_KINDS)
        self._execute = with_timeout(storage.execute, 1)

    def __getattr__(self, name: str) -> Any:
        # Other attributes of the store, such as `durable`, `node_of` and `housekeep`.
        return getattr(self.__dict__["_storage"], name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self._path)!r} of {self._storage!r}>"

    def post(self, command: Command[Any], /) -> None:
        """Run a command without waiting for its answer."""
        self._storage.post(command)

    def end_of_question(self, command: object) -> bytes | None:
        """Return the encoded end of a broker request; None if the command is for the store only."""
        if not isinstance(command, Admission) or command.claim is not None or command.ticketed:
            return None
        key = (command.keys, command.gates.limits, command.costs)
        if key not in self._ends:
            kind = kind_of(command, self._services)
            end = None if kind is None else question_end(kind)
            is_short = end is not None and len(end) <= LONGEST_LINE - _LARGEST_START
            self._ends.add(key, end if is_short else None)
        return self._ends[key]

    def admitted(
        self, command: Admission, reply: Reply | None, waited_time: int
    ) -> Admitted | None:
        """Return the outcome in a broker's reply; None if the store must decide."""
        if reply is None:
            if self._refuses:
                raise _no_broker(self._path)
            return None
        if reply.granted:
            return AT_ONCE
        if reply.wait is None or waited_time + reply.wait <= command.within:
            # The broker's store is unreachable, or the limit's queue is longer than the broker may
            # wait.
            return None
        return Answer.LIMITED, reply.wait, None, ()


def _checked_services(services: Iterable[str]) -> tuple[str, ...]:
    if isinstance(services, str):
        services = (services,)
    try:
        names = tuple([checked_name(name, "services") for name in services])
    except TypeError:
        names = ()
    if not names:
        raise ConfigurationError(
            "The list of services with leased limits is empty.",
            path="services",
            remedy='Pass the names of services, such as ["vat"].',
        )
    return names


def _no_broker(path: Path) -> StorageUnavailable:
    return StorageUnavailable(
        f"The broker of leases at {path} does not respond, and `without_broker` does not allow"
        " the limits to be used without it.",
        slow=True,
        remedy="Start `moorage broker`, or set without_broker to store.",
    )


def micros_since(start: float) -> int:
    return int((monotonic() - start) * SECOND)


def time_left(
    command: Admission, timeout: float | None, start: float
) -> tuple[Admission, float | None]:
    """Return the command and its timeout, reduced by the time that the broker took."""
    waited_time = micros_since(start)
    time_left = None if timeout is None else max(0.0, timeout - waited_time / SECOND)
    return command.evolve(within=max(0, command.within - waited_time)), time_left
