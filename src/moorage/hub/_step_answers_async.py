"""Functions that the steps of an asynchronous program call only once for each idempotency key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from moorage.errors import OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.parts.idempotency import Idempotency

R = TypeVar("R")


async def once_async(
    part: Idempotency, key: str, function: Callable[[], Coroutine[None, None, R]]
) -> R:
    """Call a function once for an idempotency key; a repeated call returns the stored result."""
    return (await part.aanswer(key, function, payload=None)).value


async def store_async(part: Idempotency, key: str, value: R) -> R:
    """Store a value for an idempotency key unless it has one; return the key's stored value."""
    return (await part.astore(key, value)).value


async def stored_async(part: Idempotency, key: str) -> Any:
    """Return the stored result for an idempotency key; None if no result is stored yet."""
    try:
        stored_answer = await part.astored(key)
    except OutcomeUnknown:
        return None
    return None if stored_answer is None else stored_answer.value
