"""The result of one item of a batch: a value or an error."""

from __future__ import annotations

from typing import Generic, TypeVar

from moorage.domain.values.frozen_values import frozen

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
