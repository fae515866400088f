"""Results of functions that count as failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.values.functions import check_plain
from moorage.runtime.flows import can_be_awaited, not_awaitable_error, refuse_awaitable

if TYPE_CHECKING:
    from collections.abc import Callable


class FailedResultError(Exception):
    """An exception that carries a function's result, because the result counts as a failure.

    Args:
        value: the result.
    """

    def __init__(self, value: Any) -> None:
        super().__init__("The result of the function counts as a failure.")
        self.value = value


class ResultCheck:
    """Calls functions, and raises `FailedResultError` for results that count as failures.

    Args:
        is_failed: the function that returns whether a result counts as a failure.
    """

    def __init__(self, is_failed: Callable[[Any], object]) -> None:
        check_plain(is_failed, "failed_result")
        self._is_failed = is_failed

    def call(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function, and return its result if that does not count as a failure."""
        return self._checked(refuse_awaitable(function(*args, **kwargs)))

    async def call_later(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Await a function, and return its result if that does not count as a failure."""
        awaitable = function(*args, **kwargs)
        if not can_be_awaited(awaitable):
            raise not_awaitable_error(function)
        return self._checked(await awaitable)

    def _checked(self, value: Any) -> Any:
        if self._is_failed(value):
            raise FailedResultError(value)
        return value


def result_check(is_failed: Callable[[Any], object] | None) -> ResultCheck | None:
    """Return the check of a part's results; None if every result is a success."""
    return None if is_failed is None else ResultCheck(is_failed)
