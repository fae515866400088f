"""The result of one item of a batch: a value or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from moorage.domain.values.frozen_values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")


@frozen
class Result(Generic[T]):
    """The value or the error of one item in a batch.

    Attributes:
        value: the value; None if the item failed.
        error: the error; None if the item succeeded.
    """

    value: T | None = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """True if the item succeeded."""
        return self.error is None

    def unwrap(self) -> T:
        """Return the item's value, or raise its error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None only if T allows it


class _NewResult(Result[Any]):
    """A result whose fields can be set; it becomes a `Result` when it has both of them."""

    __slots__ = ()
    # Python sets an attribute without calling a function only if neither method is overridden.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


def results_of(values: Iterable[T]) -> list[Result[T]]:
    """Return results of items that succeeded, in half of the constructor's time."""
    results: list[Result[T]] = []
    new = object.__new__
    for value in values:
        result: Any = new(_NewResult)
        result.value = value
        result.error = None
        result.__class__ = Result
        results.append(result)
    return results
