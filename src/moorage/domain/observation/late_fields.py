"""Objects that compute their fields when a field is first read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

V = TypeVar("V", bound="LateFields")

_COMPLETIONS: Final[dict[type[LateFields], Callable[[Any], Any]]] = {}
"""For classes whose facts may be stored in a shorter form, the function that completes them."""


class LateFields:
    """The base class of objects that store data, and compute their fields from it when read.

    Most events are never read as a whole, and many are not read at all. So a value of `make_late`
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
            value = compute(facts_of(self))
            object.__setattr__(self, name, value)
            return value


new_late: Final = object.__new__
set_facts: Final = vars(LateFields)["_facts"].__set__
"""The two steps of `make_late`, for code in which a function call is too slow."""


def make_late(kind: type[V], facts: object) -> V:
    """Return an object that computes its fields from the data `facts` when one is first read.

    Args:
        kind: its class.
        facts: the argument of the functions of `late_fields`. It must never change.
    """
    value = new_late(kind)
    set_facts(value, facts)
    return value


def assign_facts(value: LateFields, facts: object) -> None:
    """Store the data of an object whose constructor has just created it."""
    set_facts(value, facts)


def complete_facts_with(complete: Callable[[Any], Any], kind: type[LateFields]) -> None:
    """Register a function that completes a class's stored data before fields are computed from it.

    Args:
        complete: returns the facts that `late_fields` expects, from facts in a shorter form. It
            returns complete facts unchanged.
        kind: the class.
    """
    _COMPLETIONS[kind] = complete


def facts_of(value: LateFields) -> Any:
    """Return the data from which an object later computes its fields; None if it has none."""
    known_facts = getattr(value, "_facts", None)
    complete = _COMPLETIONS.get(type(value))
    if complete is None or known_facts is None:
        return known_facts
    full_facts = complete(known_facts)
    if full_facts is not known_facts:
        set_facts(value, full_facts)
    return full_facts


def stored_facts_of(value: LateFields) -> Any:
    """Return the data that an object stores, in its short or its complete form; else None."""
    return getattr(value, "_facts", None)
