"""The interface of operations that a manager protects, such as an SQL statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from moorage.domain.service.operation import OperationAttempt
    from moorage.errors import ConnectorError

T = TypeVar("T")
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


class StorableResults(Protocol[T]):
    """The methods that convert an operation's results for storage, unless they are plain values.

    An answer under an idempotency key is stored, and a store that outlives the process accepts
    plain values only. `pack_result` returns a result as plain values: None, numbers, strings,
    bytes, times, and tuples, lists and dictionaries of these. `unpack_result` returns the result
    again. An operation without these two methods is protected too, but a repeat of its key can get
    only results that are plain values.
    """

    def pack_result(self, result: T, /) -> object: ...

    def unpack_result(self, stored: object, /) -> T: ...


class DescribedOperation(OperationTraits, Protocol):
    """The attributes that synchronous and asynchronous operations share.

    `translate_error` converts an exception of `perform` to an error of this package. Every
    exception of the foreign library must be converted, because the text of a foreign exception may
    contain a secret. If the operation certainly did not happen, the error says so by
    `may_have_been_processed=False` or by its class, such as `VendorRejected`. `translate_error`
    returns None for exceptions that it does not know; they are raised unchanged, and the outcome of
    the operation counts as unknown.
    """

    def translate_error(self, error: Exception, /) -> ConnectorError | None: ...


class Operation(DescribedOperation, Protocol[T_co]):
    """An operation that a synchronous program performs.

    `perform` makes one attempt, and returns its result within `attempt.timeout` seconds or raises.
    `perform` never repeats anything itself.
    """

    def perform(self, attempt: OperationAttempt, /) -> T_co: ...


class AsyncOperation(DescribedOperation, Protocol[T_co]):
    """The asynchronous `Operation`; an attempt that exceeds its time limit is cancelled."""

    async def perform(self, attempt: OperationAttempt, /) -> T_co: ...
