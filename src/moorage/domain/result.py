"""How one item of a batch ended, as a value."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.frozen
class Result(Generic[T]):
    """Either a value or the error that stood in its way; one per item, in the order of the items.

    Attributes:
        value: what the item gave; None if it failed.
        error: why it failed; None if it did not.
    """

    value: T | None = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return self.error is None

    def unwrap(self) -> T:
        """The value, or the error raised."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None only if T allows it
