"""Objects that compute their fields when these are first read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

V = TypeVar("V", bound="LateFields")


class LateFields:
    """The base class of objects that may compute their fields later from stored facts.

    Most events are never read as a whole, and many are not read at all. So a value made by `late`
    holds only its facts, and computes each field when the field is first read. To a reader it
    equals a value made by its constructor.

    Attributes:
        late_fields: the function that computes each field from the facts.
    """

    __slots__ = ("_facts",)

    late_fields: ClassVar[Mapping[str, Callable[[Any], object]]] = {}

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            compute = self.late_fields.get(name)
            if compute is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            value = compute(self._facts)
            object.__setattr__(self, name, value)
            return value


new_late: Final = object.__new__
set_facts: Final = vars(LateFields)["_facts"].__set__
"""The two steps of `late`, for code in which a function call is too slow."""


def late(kind: type[V], facts: object) -> V:
    """Return an object that computes its fields from `facts` when these are first read.

    Args:
        kind: its class.
        facts: what the functions of `late_fields` receive. It must never change.
    """
    value = new_late(kind)
    set_facts(value, facts)
    return value


def assign_facts(value: LateFields, facts: object) -> None:
    """Store the facts of an object that its constructor created."""
    set_facts(value, facts)


def facts_of(value: LateFields) -> Any:
    """Return the facts from which an object computes its fields; None if it has none."""
    return getattr(value, "_facts", None)
