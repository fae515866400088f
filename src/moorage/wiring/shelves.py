"""Stores of entries, for the flows of one colour."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from moorage._bridge import guarded, guarded_later, lift
from moorage.errors import ConfigurationError
from moorage.services.entries import Shelf, lost
from moorage.wiring.ports import check_verb

if TYPE_CHECKING:
    from collections.abc import Callable

_VERBS: Final = ("add", "due", "swap", "find", "remove", "now")


def shelf_now(storage: Any) -> Shelf[Any]:
    """A plain store."""
    return _shelf(storage, lambda verb: lift(guarded(verb, lost)), awaited=False)


def shelf_later(storage: Any) -> Shelf[Any]:
    """A store that is awaited."""
    return _shelf(storage, lambda verb: guarded_later(verb, lost), awaited=True)


def _shelf(storage: Any, guard: Callable[[Any], Any], *, awaited: bool) -> Shelf[Any]:
    for name in _VERBS:
        check_verb(storage, "storage", name)
        if inspect.iscoroutinefunction(getattr(storage, name)) is not awaited:
            wanted, given = ("an asynchronous", "plain") if awaited else ("a plain", "asynchronous")
            raise ConfigurationError(
                f"{type(storage).__name__}.{name} is {given}, and this face needs {wanted} store.",
                path="storage",
                remedy="Give the store of this colour, or use the face of the other.",
            )
    return Shelf(**{name: guard(getattr(storage, name)) for name in _VERBS})
