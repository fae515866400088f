"""Functions that the steps of a synchronous program call only once for each idempotency key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from moorage.errors import OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.parts.idempotency import Idempotency

R = TypeVar("R")


def once_sync(part: Idempotency, key: str, function: Callable[[], R]) -> R:
    """Call a function once for an idempotency key; a repeated call returns the stored result."""
    return part.answer(key, function, payload=None).value


def store_sync(part: Idempotency, key: str, value: R) -> R:
    """Store a value for an idempotency key unless it has one; return the key's stored value."""
    return part.store(key, value).value


def stored_sync(part: Idempotency, key: str) -> Any:
    """Return the stored result for an idempotency key; None if no result is stored yet."""
    try:
        stored_result = part.stored(key)
    except OutcomeUnknown:
        return None
    return None if stored_result is None else stored_result.value
