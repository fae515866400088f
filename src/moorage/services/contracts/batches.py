"""Operations on many items, each of which has its own result."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from moorage.contracts.vendor import part_key
from moorage.domain.idempotency.claims import checked_key
from moorage.domain.resilience.interruptions import is_interruption
from moorage.domain.values.durations import count, maybe_seconds
from moorage.domain.values.result import Result

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from moorage.services.core.core import Core

T = TypeVar("T")


async def result_of(step: Callable[[], Awaitable[T]]) -> Result[T]:
    """Return the value of an operation, or the error that it raised."""
    try:
        return Result(await step())
    except Exception as error:
        if is_interruption(error):
            raise
        return Result(error=error)


async def call_for_each(
    core: Core,
    operation: Callable[..., Awaitable[T]],
    items: Sequence[Any],
    *,
    idempotency_key: str | None,
    timeout: float | None,
    at_once: int,
) -> list[Result[T]]:
    """Call an operation for each item, and return the results in order.

    With a key, each item has its own key, derived from the item's position: a repeat after an
    interruption calls the operation only for the missing items.

    Args:
        core: runs the calls.
        operation: operation to call with an item, a key and a timeout.
        items: items.
        idempotency_key: identifies this batch.
        timeout: seconds for each item.
        at_once: maximum number of concurrent calls.
    """
    maybe_seconds(timeout, "timeout")
    if idempotency_key is not None:
        checked_key(idempotency_key)

    def step(number: int, item: Any) -> Callable[[], Awaitable[Result[T]]]:
        key = None if idempotency_key is None else part_key(idempotency_key, number)
        call = partial(operation, item, idempotency_key=key, timeout=timeout)
        return partial(result_of, call)

    steps = [step(number, item) for number, item in enumerate(items, 1)]
    return await core.run_all(steps, at_once=count(at_once, "at_once"))
