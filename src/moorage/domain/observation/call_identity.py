"""The data that all events of one call have in common, such as its id and contract."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from moorage.domain.values.frozen_values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.observation.call_content import CallContent
    from moorage.domain.observation.operation_target import OperationTarget
    from moorage.domain.observation.success_listeners import SuccessListeners


_EXACT_FLOATS: Final = 1 << 52
"""The microseconds since the Unix epoch up to which dividing them by a million loses nothing."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class CallOutcome(enum.Enum):
    """The effect that a call or attempt had at the vendor: none, done, or unknown.

    `NOTHING`: the vendor certainly did nothing for it, for example because nothing was sent.
    `DONE`: the vendor answered that it did the work. `UNKNOWN`: the vendor may have done the
    work, but no response confirmed it.
    """

    NOTHING = "nothing"
    DONE = "done"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@frozen
class ContractCall:
    """The operation of a contract that a call performs, with its vendor and account.

    Attributes:
        operation: the contract and its operation, such as "payments.charge".
        vendor: the name of the vendor, such as "stripe".
        account: the name of the account at the vendor.
        idempotency_key: the key that the caller of the operation gave.
        target: the part of a database or a broker that the operation concerns, if it is known and
            the call is observed.
        timeout: the seconds that the caller allowed the operation; None if each of its steps has
            the time limit of its service.
    """

    operation: str
    vendor: str
    account: str
    idempotency_key: str | None = None
    target: OperationTarget | None = None
    timeout: float | None = None


class CallIdentity:
    """The start of a call and its correlation id, which all events of the call share.

    Args:
        started: the start in nanoseconds of the local clock.
        wall: the same moment by the wall clock, in nanoseconds since the Unix epoch.
        make_id: makes the correlation id of a call that started at this moment, in milliseconds
            since the Unix epoch, when the id is first read; None if it is set immediately.

    Attributes:
        started, wall: the start of the call by both clocks, as given.
        listeners: the observers of the call, if the call has no other state until its first attempt
            ends.
        contract: the operation of a contract that the call belongs to, if any.
        idempotency_key: the key that the caller gave, if any.
        trace_id: the id of the trace that the call belongs to, once an observer knows it.
        span_ids: the ids of the spans of the latest attempts, by the number of the hedge, once
            an observer knows them.
        content: the request and response for the integration log, if the log stores them.
    """

    __slots__ = ("__dict__", "__weakref__", "_make_id", "listeners", "started", "wall")

    listeners: SuccessListeners
    contract: ContractCall | None = None
    idempotency_key: str | None = None
    trace_id: str | None = None
    span_ids: dict[int, str] | None = None
    content: CallContent | None = None

    def __init__(
        self, started: int, wall: int, make_id: Callable[[int], str] | None = None
    ) -> None:
        self.started = started
        self.wall = wall
        self._make_id = make_id

    @property
    def started_at(self) -> datetime:
        """The start of the call by the wall clock."""
        return _moment_at(self.wall // 1_000)

    @property
    def request_id(self) -> str:
        """The call's correlation id, created when it is first read."""
        existing_id: str | None = self.__dict__.get("id")
        if existing_id is not None:
            return existing_id
        make_id = self._make_id
        if make_id is None:
            raise AssertionError("The id of a call is missing although it is not created lazily.")
        # `setdefault` is atomic, so that threads reading the id at the same time get the same.
        request_id: str = self.__dict__.setdefault("id", make_id(self.wall // 1_000_000))
        return request_id

    @request_id.setter
    def request_id(self, request_id: str) -> None:
        self.__dict__["id"] = request_id

    def moment(self, nanoseconds: int) -> datetime:
        """Return the wall-clock time at which the local clock showed this number of nanoseconds."""
        return _moment_at(self.wall // 1_000 + (nanoseconds - self.started) // 1_000)


def _moment_at(microseconds: int) -> datetime:
    """Return the time that is this number of microseconds after the Unix epoch."""
    if 0 <= microseconds < _EXACT_FLOATS:
        return datetime.fromtimestamp(microseconds / 1e6, UTC)
    return _EPOCH + timedelta(0, 0, microseconds)
