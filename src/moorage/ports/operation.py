"""The interface of operations that a manager protects, such as an SQL statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from moorage.domain.service.operation import OperationAttempt
    from moorage.errors import ConnectorError

T_co = TypeVar("T_co", covariant=True)


class OperationTraits(Protocol):
    """The properties of an operation that decide how a manager protects it.

    `name` appears in events, errors and logs, such as "orders.insert"; an endpoint of the service
    with this name applies to the operation. `system` is the kind of the foreign system, such as
    "postgresql". `safe` is True if the operation changes nothing there. `repeatable` is True if
    performing it twice has the same effect as performing it once; only then is it repeated after a
    failure that leaves open whether it happened.
    """

    @property
    def name(self) -> str: ...

    @property
    def system(self) -> str: ...

    @property
    def safe(self) -> bool: ...

    @property
    def repeatable(self) -> bool: ...


class DescribedOperation(OperationTraits, Protocol):
    """The part of an operation that synchronous and asynchronous programs share.

    `judge` converts an exception of `perform` to an error of this package. Every exception of the
    foreign library needs one, because the text of a foreign exception may contain a secret. If the
    operation certainly did not happen, the error says so by `may_have_been_processed=False` or by
    its class, such as `VendorRejected`. `judge` returns None for exceptions that it does not know;
    they are raised unchanged, and the outcome of the operation counts as unknown.
    """

    def judge(self, error: Exception, /) -> ConnectorError | None: ...


class Operation(DescribedOperation, Protocol[T_co]):
    """An operation that a synchronous program performs.

    `perform` makes one attempt, and returns its result within `attempt.timeout` seconds or raises.
    It never repeats anything itself.
    """

    def perform(self, attempt: OperationAttempt, /) -> T_co: ...


class AsyncOperation(DescribedOperation, Protocol[T_co]):
    """The asynchronous `Operation`; an attempt that takes too long is cancelled."""

    async def perform(self, attempt: OperationAttempt, /) -> T_co: ...
