"""Filters and paths in requests of identity providers (RFC 7644, 3.4.2.2 and 3.5.2)."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moorage.domain.values.frozen_values import frozen
from moorage.domain.values.json_text import is_list, is_object
from moorage.scim.attributes import ATTRIBUTES, CORE, ENTERPRISE, canonical, is_storable
from moorage.scim.refusals import ScimRefusal, invalid_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.scim.port import ScimKind

_MAX_LENGTH: Final = 2_000
_VALUE: Final = r'"(?:[^"\\]|\\.)*"|true|false'
_CONDITION: Final = re.compile(
    rf"\s*(?P<path>[\w.:$-]+(?:\[[^\]]*\](?:\.\w+)?)?)\s+eq\s+(?P<value>{_VALUE})\s*", re.IGNORECASE
)
_ENTRY: Final = re.compile(r"\s*(?P<path>[\w.:$-]+\[[^\]]*\])\s*")
"""A condition on an entry of a list, such as `emails[type eq "work" and value eq "a"]`."""
_AND_WORD: Final = re.compile(r"\band\s", re.IGNORECASE)
_PATH: Final = re.compile(
    r"(?:(?P<urn>urn:[\w.:-]+):)?(?P<name>[A-Za-z$][\w$]*)"
    r"(?:\[(?P<filter>.*)\])?(?:\.(?P<sub>[A-Za-z$][\w$]*))?"
)
_EXACT_ATTRIBUTES: Final = frozenset({"externalId", "id", "value"})
"""Attributes whose letters' case matters; that of an email address does not."""


@frozen(kw_only=True)
class ScimCondition:
    """A condition of a filter: an attribute must have the given value.

    Attributes:
        path: name of the attribute and, if any, of its part, such as ("emails", "value").
        value: the value, a text or a boolean.
        same_entry: conditions on other parts of the same entry of a list, such as the part
            ("type",) in `emails[type eq "work"].value`; the parts of another entry do not count.
    """

    path: tuple[str, ...]
    value: str | bool
    same_entry: tuple[ScimCondition, ...] = ()


class AttributePath(NamedTuple):
    """The target of a change: an attribute, some of its list entries, or a part of these entries.

    `names` is the path of the attribute. `conditions` select entries of a list; without conditions,
    all entries are selected. `part` is the part of the attribute or of each entry.
    """

    names: tuple[str, ...]
    conditions: tuple[ScimCondition, ...] = ()
    part: str | None = None


def conditions_of(kind: ScimKind, text: str) -> tuple[ScimCondition, ...]:
    """Return the conditions of a filter; a resource must meet all of them.

    Raises:
        ScimRefusal: the filter does not consist of conditions with `eq`, joined by `and`; or it
            refers to passwords.
    """
    pairs = tuple(_pairs(text, entries=True))
    try:
        conditions = tuple(_condition_at(path_of(kind, path), value) for path, value in pairs)
    except ScimRefusal as refusal:
        raise ScimRefusal(400, refusal.detail, "invalidFilter") from None
    if any(condition.path == ("password",) for condition in conditions):
        raise ScimRefusal(400, "People cannot be searched by password.", "invalidFilter")
    return conditions


def _condition_at(
    path: AttributePath,
    value: str | bool | None,  # noqa: FBT001 - a value of a filter
) -> ScimCondition:
    """Return the condition that an attribute has a value; None if its path has the conditions."""
    if value is None:
        *others, last = sorted(path.conditions, key=lambda item: item.path == ("value",))
        return ScimCondition(
            path=(*path.names, *last.path), value=last.value, same_entry=tuple(others)
        )
    part = () if path.part is None else (path.part,)
    if path.conditions and not part:
        part = ("value",)
    return ScimCondition(path=(*path.names, *part), value=value, same_entry=path.conditions)


def _pairs(text: str, *, entries: bool = False) -> Iterator[tuple[str, str | bool | None]]:
    """Yield the path and value of each condition; no value if the path has the conditions."""
    position = 0
    if len(text) > _MAX_LENGTH:
        raise _no_filter()
    while True:
        match = _CONDITION.match(text, position)
        value: str | bool | None = None
        if match is not None:
            value = _value_of(match["value"])
        elif entries:
            match = _ENTRY.match(text, position)
        if match is None:
            raise _no_filter()
        yield match["path"], value
        if match.end() == len(text):
            return
        next_match = _AND_WORD.match(text, match.end())
        if next_match is None:
            raise _no_filter()
        position = next_match.end()


def _value_of(text: str) -> str | bool:
    try:
        value: str | bool = json.loads(text if text[0] == '"' else text.lower())
    except ValueError:
        raise _no_filter() from None
    if isinstance(value, str) and not is_storable(value):
        raise _no_filter()
    return value


def path_of(kind: ScimKind, text: str) -> AttributePath:
    """Return the attribute that a path names, in the spelling of its schema.

    Raises:
        ScimRefusal: the path names no attribute.
    """
    if text.lower() == ENTERPRISE.lower() and ENTERPRISE in ATTRIBUTES[kind]:
        return AttributePath((ENTERPRISE,))
    match = _PATH.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if match is None:
        raise invalid_path("The path does not name an attribute.")
    names, shape = _attribute_path(kind, match["urn"], match["name"])
    conditions: tuple[ScimCondition, ...] = ()
    parts = shape[0] if is_list(shape) else shape
    if match["filter"] is not None:
        if not is_list(shape):
            raise invalid_path(f"The attribute {names[-1]} has no entries.")
        conditions = tuple(
            ScimCondition(path=(_part(parts, name),), value=value)
            for name, value in _pairs(match["filter"])
            if value is not None
        )
    part = None if match["sub"] is None else _part(parts, match["sub"])
    return AttributePath(names, conditions, part)


def _attribute_path(kind: ScimKind, urn: str | None, name: str) -> tuple[tuple[str, ...], Any]:
    table: Mapping[str, Any] = {"id": "string", **ATTRIBUTES[kind]}
    prefix: tuple[str, ...] = ()
    if urn is not None and urn.lower() == ENTERPRISE.lower() and ENTERPRISE in table:
        table, prefix = table[ENTERPRISE], (ENTERPRISE,)
    elif urn is not None and urn.lower() != CORE[kind].lower():
        raise invalid_path(f"The schema {urn[:80]} is not supported.")
    spelling = canonical(table, name)
    if spelling is None:
        raise invalid_path(f"The attribute {name[:80]} does not exist.")
    return (*prefix, spelling), table[spelling]


def _part(parts: Any, name: str) -> str:
    spelling = canonical(parts, name) if is_object(parts) else None
    if spelling is None:
        raise invalid_path(f"There is no attribute with the part {name[:80]}.")
    return spelling


def fulfils(content: Mapping[str, Any], conditions: tuple[ScimCondition, ...]) -> bool:
    """Return whether a resource, or an entry of a list, meets all conditions."""
    return all(_is_met(content, condition) for condition in conditions)


def entry_fulfils(
    name: str, entry: Mapping[str, Any], conditions: tuple[ScimCondition, ...]
) -> bool:
    """Return whether an entry of the list attribute with this name meets all conditions."""
    return all(
        _is_same((name, *condition.path), condition.value, value)
        for condition in conditions
        for value in (entry.get(condition.path[0]),)
    )


def _is_met(content: Mapping[str, Any], condition: ScimCondition) -> bool:
    if not condition.same_entry:
        return any(
            _is_same(condition.path, condition.value, value)
            for value in _values(content, condition.path)
        )
    *names, part = condition.path
    conditions = (*condition.same_entry, ScimCondition(path=(part,), value=condition.value))
    return any(
        entry_fulfils(names[0], entry, conditions) for entry in _entries(content, tuple(names))
    )


def _entries(node: Any, names: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    if is_list(node):
        for entry in node:
            yield from _entries(entry, names)
    elif is_object(node) and not names:
        yield node
    elif is_object(node) and names[0] in node:
        yield from _entries(node[names[0]], names[1:])


def _is_same(path: tuple[str, ...], expected: str | bool, value: Any) -> bool:  # noqa: FBT001 - a value of a filter
    if isinstance(expected, str) and isinstance(value, str) and not is_exact(path):
        return expected.casefold() == value.casefold()
    return type(expected) is type(value) and expected == value


def is_exact(path: tuple[str, ...]) -> bool:
    """Return whether the case of letters matters in an attribute's values."""
    return path[-1] in _EXACT_ATTRIBUTES and path[0] != "emails"


def _values(node: Any, names: tuple[str, ...]) -> Iterator[Any]:
    if is_list(node):
        for entry in node:
            yield from _values(entry, names)
    elif not names:
        yield node.get("value") if is_object(node) else node
    elif is_object(node) and names[0] in node:
        yield from _values(node[names[0]], names[1:])


def selected_attributes(
    kind: ScimKind, content: Mapping[str, Any], included: str, excluded: str
) -> dict[str, Any]:
    """Return the attributes that a request wants to see, and their parts.

    Args:
        kind: kind of the resource.
        content: all attributes.
        included: the names in the parameter `attributes`; empty for all.
        excluded: the names in the parameter `excludedAttributes`.
    """
    included_paths, excluded_paths = _paths(kind, included), _paths(kind, excluded)
    result = content if not included.strip() else _selection(content, included_paths)
    remaining: dict[str, Any] = _without(result, excluded_paths)
    return remaining


def _paths(kind: ScimKind, text: str) -> list[tuple[str, ...]]:
    """Return the paths in a list of names; names without an attribute are left out."""
    paths: list[tuple[str, ...]] = []
    for name in text.split(","):
        with suppress(ScimRefusal):
            path = path_of(kind, name.strip())
            paths.append(path.names if path.part is None else (*path.names, path.part))
    return paths


def _selection(node: Any, paths: list[tuple[str, ...]]) -> Any:
    """Return the parts of an object, or of each object of a list, at some paths."""
    if is_list(node):
        return [_selection(entry, paths) for entry in node]
    if () in paths or not is_object(node):
        return node
    return {
        name: _selection(value, rest)
        for name, value in node.items()
        if (rest := [path[1:] for path in paths if path[0] == name])
    }


def _without(node: Any, paths: list[tuple[str, ...]]) -> Any:
    """Return a value without the parts at some paths."""
    if is_list(node):
        return [_without(entry, paths) for entry in node]
    if not is_object(node):
        return node
    return {
        name: _without(value, rest)
        for name, value in node.items()
        if () not in (rest := [path[1:] for path in paths if path[0] == name])
    }


def _no_filter() -> ScimRefusal:
    detail = 'A filter is one condition such as userName eq "ada", or several joined by and.'
    return ScimRefusal(400, detail, "invalidFilter")
