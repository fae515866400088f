"""Sinks that call a function."""

from __future__ import annotations

import asyncio
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.concurrency.in_thread import run_in_thread
from moorage.domain.values.result import Result
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from moorage.domain.pipelines.records import SinkRecord

T = TypeVar("T")

_LONGEST_SECONDS: Final = 0.1
"""Seconds after which a batch of a slow function is divided, so that its first part is stored."""


class _FunctionSink:
    """The base class of sinks that call a function; they need not be opened or closed."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        if not callable(function):
            raise ConfigurationError(
                f"{function!r} is not a function.",
                path="sink",
                remedy="Pass a function, synchronous or asynchronous.",
            )
        self._call = function if is_async(function) else threaded_function(function)

    async def open(self) -> None:
        """Do nothing, because there is nothing to open."""

    async def flush(self) -> None:
        """Do nothing, because processed records are already stored."""

    async def close(self) -> None:
        """Do nothing, because there is nothing to close."""


class RecordSink(_FunctionSink):
    """A sink that calls a function with each record.

    The pipeline commits the first records of a batch while a slow function processes the rest. When
    the pipeline stops, it gives the source back the records that the function has not begun.

    Args:
        function: processes one record, and raises an error if it cannot. A synchronous function
            runs in a thread, and continues there if the pipeline stops without waiting for it.
    """

    async def process_batch(self, records: Sequence[SinkRecord], /) -> Sequence[Result[object]]:
        """Process records in order, until one fails or the batch has taken long enough.

        If it is cancelled after the first records, it returns their results instead of raising an
        error, so that they need not be processed again.
        """
        time = asyncio.get_running_loop().time
        until = time() + _LONGEST_SECONDS
        results: list[Result[object]] = []
        for record in records:
            try:
                results.append(Result(await self._call(record)))
            except asyncio.CancelledError:
                if not results:
                    raise
                return results
            except Exception as error:  # noqa: BLE001 - the pipeline decides about the error
                return [*results, Result(error=error)]
            if time() >= until:
                break
        return results


class BatchSink(_FunctionSink):
    """A sink that calls a function with each batch.

    Args:
        function: processes a list of records as a whole; an error means that no record was
            processed. The function returns None, or a list of `Result`, one for each record. A
            synchronous function runs in a thread.
    """

    async def process_batch(
        self, records: Sequence[SinkRecord], /
    ) -> Sequence[Result[object]] | None:
        """Call the function with a batch of records."""
        results: Sequence[Result[object]] | None = await self._call(list(records))
        return results


def is_async(function: Any) -> bool:
    """Return whether a function, or an object with `__call__`, is asynchronous."""
    return iscoroutinefunction(function) or iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object may have an asynchronous `__call__`
    )


def threaded_function(function: Callable[[Any], T]) -> Callable[[Any], Awaitable[T]]:
    """Return an asynchronous function that runs a synchronous function in a thread."""

    async def call(argument: Any) -> T:
        return await run_in_thread(lambda: function(argument))

    return call
