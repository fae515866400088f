"""Calls that are made once per key, for the steps of an asynchronous program."""

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
    """Call a function once for a key; for a repeat, return the stored result of the first call."""
    return (await part.aanswer(key, function, payload=None)).value


async def store_async(part: Idempotency, key: str, value: R) -> R:
    """Store a value for a key unless one is stored, and return the one that is stored now."""
    return (await part.astore(key, value)).value


async def stored_async(part: Idempotency, key: str) -> Any:
    """Return the stored result of a key's function; None if the function has not returned yet."""
    try:
        answered = await part.astored(key)
    except OutcomeUnknown:
        return None
    return None if answered is None else answered.value
