"""A synchronous operation in an asynchronous program."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from moorage.adapters.concurrency.in_thread import run_in_thread

if TYPE_CHECKING:
    from moorage.domain.service.operation import OperationAttempt
    from moorage.errors import ConnectorError
    from moorage.ports.operation import Operation

T = TypeVar("T")


class OperationInThread(Generic[T]):
    """Performs a synchronous operation in a thread of the event loop's pool.

    An attempt that is cancelled goes on in its thread until its own time limit.

    Args:
        operation: the operation.
    """

    def __init__(self, operation: Operation[T]) -> None:
        self._operation = operation
        self.name = operation.name
        self.system = operation.system
        self.safe = operation.safe
        self.repeatable = operation.repeatable
        for method in ("pack_result", "unpack_result"):
            if hasattr(operation, method):
                setattr(self, method, getattr(operation, method))

    async def perform(self, attempt: OperationAttempt) -> T:
        """Perform the operation once."""
        return await run_in_thread(partial(self._operation.perform, attempt))

    def translate_error(self, error: Exception) -> ConnectorError | None:
        """Return the moorage error for an exception of the operation."""
        return self._operation.translate_error(error)
