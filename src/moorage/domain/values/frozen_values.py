"""A decorator for immutable values that takes half as long at import as the one of attrs.

attrs writes and compiles source text for each method of each class when its module is imported.
Here, only the initialiser comes from attrs. Equality, hash and representation are the same as those
of attrs, but are closures over the names of the fields, so nothing is compiled for them.
"""

from __future__ import annotations

from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    # For type checkers, the classes are attrs classes with the same initialiser.
    from attrs import frozen as frozen  # noqa: PLC0414 - exported for the modules of values
else:

    def frozen(kind: type | None = None, **options: Any) -> Any:
        """Turn a class into an immutable value, as `attrs.frozen` does.

        It takes the options of `attrs.frozen`, except `order` and `cache_hash`. Fields are
        compared without a function for `eq`. Methods that the class itself defines stay.
        """

        def decorate(kind: type) -> type:
            return _frozen_kind(kind, **options)

        return decorate if kind is None else decorate(kind)


Kind = TypeVar("Kind", bound=type)


def _frozen_kind(kind: Kind, *, eq: bool = True, repr: bool = True, **options: Any) -> Kind:  # noqa: A002 - the name of attrs' option
    body = kind.__dict__
    has_own_hash = body.get("__hash__") is not None
    adds_equality = eq and "__eq__" not in body
    adds_repr = repr and "__repr__" not in body
    value_kind: Any = attrs.frozen(eq=False, repr=False, **options)(kind)
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(value_kind)
    if adds_equality:
        value_kind.__eq__ = _equality(_getter([field.name for field in fields if field.eq]))
        if not has_own_hash:
            hashed = [
                field.name for field in fields if (field.eq if field.hash is None else field.hash)
            ]
            value_kind.__hash__ = _hash(_getter(hashed))
    if adds_repr:
        value_kind.__repr__ = _representation(fields)
    result: Kind = value_kind
    return result


def _getter(names: Sequence[str]) -> Callable[[object], object]:
    return attrgetter(*names) if names else _no_values


def _no_values(_value: object) -> object:
    return None


def _equality(values_of: Callable[[object], object]) -> Callable[[object, object], bool]:
    def __eq__(self: object, other: object) -> bool:  # noqa: N807 - becomes a class's method
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values_of(self) == values_of(other)

    return __eq__


def _hash(values_of: Callable[[object], object]) -> Callable[[object], int]:
    def __hash__(self: object) -> int:  # noqa: N807 - becomes a class's method
        return hash(values_of(self))

    return __hash__


def _representation(fields: tuple[attrs.Attribute[Any], ...]) -> Callable[[object], str]:
    shown_fields = tuple(
        (field.name, repr if field.repr is True else field.repr) for field in fields if field.repr
    )

    @recursive_repr("...")
    def __repr__(self: object) -> str:  # noqa: N807 - becomes a class's method
        values = ", ".join(f"{name}={show(getattr(self, name))}" for name, show in shown_fields)
        return f"{type(self).__qualname__.rpartition('>.')[2]}({values})"

    return __repr__
