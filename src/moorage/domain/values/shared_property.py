"""A property that threads compute only once for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class shared_property(Generic[T]):  # noqa: N801 - used as a decorator, like `property`
    """A property that is computed at its first use; all threads get the same value.

    Threads that use it first at the same time may each compute a value. The first value is kept and
    the others are dropped. `functools.cached_property` would give each thread its own value.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Store the property's name, under which each object keeps the computed value."""
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> shared_property[T]: ...

    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...

    def __get__(self, instance: object | None, owner: type | None = None) -> shared_property[T] | T:
        """Compute and store the value, unless another thread stored a value in the meantime."""
        if instance is None:
            return self
        value = self._compute(instance)
        first_value: T = instance.__dict__.setdefault(self._name, value)
        return first_value
