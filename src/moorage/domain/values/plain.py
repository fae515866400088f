"""Plain values: nested lists, tuples and mappings of numbers, strings, bytes and None."""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

DEEPEST: Final = 50
"""The maximum depth of nested containers in plain values."""

_SCALARS: Final = frozenset({str, int, float, bool, bytes, type(None)})


def is_plain(value: object) -> bool:
    """Return whether a value consists of plain types only, with strings as keys.

    A value that is nested more deeply than `DEEPEST`, or contains itself, is not plain.
    """
    return type(value) in _SCALARS or _holds_plain(value, DEEPEST)


def _holds_plain(value: object, levels: int) -> bool:
    if not levels:
        return False
    levels -= 1
    kind = type(value)
    if kind is dict:
        for name, item in cast("dict[object, object]", value).items():
            if type(name) is not str:
                return False
            if type(item) not in _SCALARS and not _holds_plain(item, levels):
                return False
        return True
    if kind is list or kind is tuple:
        for item in cast("list[object]", value):
            if type(item) not in _SCALARS and not _holds_plain(item, levels):
                return False
        return True
    return False


def copy_function(copy: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that copies plain values fast, and passes other values to `copy`.

    If a part appears in several places of the value, the copy also shares one copy of that part.
    """

    def copy_of(value: Any) -> Any:
        if type(value) in _SCALARS:
            return value
        if is_plain(value):
            return marshal.loads(marshal.dumps(value))  # noqa: S302 - written in this line
        return copy(value)

    return copy_of
