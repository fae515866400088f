"""The metaclass of events, which turns the annotated names of a class into fields.

There are more than thirty kinds of events, and most programs use only five of them. attrs would
write and compile an initialiser for each kind when moorage is imported; this class generates no
code.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from moorage.domain.values.field_declarations import NOTHING, field
from moorage.domain.values.frozen_classes import field_attributes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import attrs

    # For type checkers, event classes are attrs classes with the same initialiser.
    from attrs import frozen as frozen  # noqa: PLC0414 - exported for the module of the events
else:

    def frozen(**_: object) -> Any:
        """Return a decorator that marks an event class as frozen, for type checkers only."""
        return _unchanged


def _unchanged(kind: type) -> type:
    return kind


class EventKind(type):
    """The metaclass of events: each annotated name of the class becomes a keyword-only field.

    `attrs.fields`, `attrs.asdict` and `attrs.evolve` work for kinds and events as for classes and
    values of attrs.

    Attributes:
        field_defaults: the default of each field, first those of the base class; `NOTHING`
            for a field without a default.
    """

    field_defaults: Mapping[str, object]

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> EventKind:
        """Create an event class from the body of its definition."""
        names = tuple(namespace.get("__annotations__", ()))
        defaults = {item: namespace.pop(item, NOTHING) for item in names}
        namespace["__slots__"] = (*namespace.get("__slots__", ()), *names)
        kind = super().__new__(cls, name, bases, namespace)
        kind.field_defaults = {**getattr(kind, "field_defaults", {}), **defaults}
        return kind

    @property
    def __attrs_attrs__(cls) -> tuple[attrs.Attribute[Any], ...]:
        """The fields of an event, described in the form that attrs uses."""
        return _attrs_fields(cls)


@functools.cache
def _attrs_fields(kind: EventKind) -> tuple[attrs.Attribute[Any], ...]:
    types = {
        name: annotation
        for base in reversed(kind.__mro__)
        if isinstance(base, EventKind)
        for name, annotation in base.__annotations__.items()
    }
    fields = (
        field(default=default, kw_only=True).named(name, types[name])
        for name, default in kind.field_defaults.items()
    )
    return field_attributes(kind.__name__, fields)
