"""The subset of SCIM filters and paths for the sandbox (RFC 7644, section 3.4.2.2)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONDITION: Final = re.compile(
    r"([A-Za-z][\w.$-]*) eq (\"(?:[^\"\\]|\\.)*\"|true|false)", re.IGNORECASE
)
_PATH: Final = re.compile(
    r"(?:(?P<urn>urn:[\w:.-]+:[A-Z]\w*):)?(?P<name>[A-Za-z]\w*)"
    r"(?:\[(?P<filter>.+)\])?(?:\.(?P<sub>[A-Za-z]\w*))?"
)
_EXACT: Final = frozenset({"externalId", "id", "value"})
"""Attributes that are compared with regard to upper and lower case."""


class SyntaxProblemError(Exception):
    """Raised if a filter or path cannot be parsed."""


def conditions(text: str) -> list[tuple[str, Any]]:
    """Return the attribute and value of each condition in a filter; all must hold."""
    pairs: list[tuple[str, Any]] = []
    position = 0
    while True:
        match = _CONDITION.match(text, position)
        if match is None:
            raise SyntaxProblemError(text)
        pairs.append((match[1], json.loads(match[2])))
        position = match.end()
        if position == len(text):
            return pairs
        if not text.startswith(" and ", position):
            raise SyntaxProblemError(text)
        position += len(" and ")


def holds(item: Any, pairs: list[tuple[str, Any]]) -> bool:
    """Return whether a resource or list entry matches all conditions."""
    return all(
        any(_is_equal(name, expected, actual) for actual in _values(item, name.split(".")))
        for name, expected in pairs
    )


def _is_equal(name: str, expected: Any, actual: Any) -> bool:
    if isinstance(expected, str) and isinstance(actual, str) and name not in _EXACT:
        return expected.casefold() == actual.casefold()
    return bool(expected == actual)


def _values(node: Any, names: list[str]) -> Iterator[Any]:
    if is_list(node):
        for entry in node:
            yield from _values(entry, names)
    elif not names:
        yield node
    elif is_object(node) and names[0] in node:
        yield from _values(node[names[0]], names[1:])


def path_of(text: str) -> re.Match[str]:
    """Return the parts of a path: its URN, attribute name, filter and sub-attribute."""
    match = _PATH.fullmatch(text)
    if match is None:
        raise SyntaxProblemError(text)
    return match
