"""The number of rules with which a JSON Schema checks one value.

A part of a schema may refer twice to a second part for the same value, the second twice to a third,
and so on. A schema of a few lines then checks a value against millions of rules, for minutes.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from moorage.domain.values.json_text import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TypeAlias

    _Part: TypeAlias = dict[str, Any]
    _Applied: TypeAlias = Mapping[int, Sequence[Sequence[_Part]]]

MOST: Final = 1_000_000
"""The largest number that is counted."""

_ALTERNATIVES: Final = ("allOf", "anyOf", "oneOf")
_SINGLE_PARTS: Final = ("not", "if", "then", "else")
_PARTS_BY_NAME: Final = ("dependentSchemas", "dependencies")
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_IDS: Final = ("$id", "id")
_ANCHORS: Final = ("$anchor", "$dynamicAnchor")


def rules_per_value(documents: Sequence[tuple[str, Any]]) -> int:
    """Return the largest number of schema parts that apply to one value, up to `MOST`.

    A part that is reached in several ways counts each time. If a reference may mean several parts,
    the part with the largest number counts; if parts form a circle, each counts once. The result is
    also `MOST` if there are too many references to count.

    Args:
        documents: the schema and its references, each with its name.
    """
    applied_by_part = applied_parts(documents)
    if applied_by_part is None:
        return MOST
    counts: dict[int, int] = {}
    for number in applied_by_part:
        _count(number, applied_by_part, counts)
    return max(counts.values(), default=1)


def applied_parts(documents: Sequence[tuple[str, Any]]) -> _Applied | None:
    """Return the parts that apply to the same value as each part; None if there are too many.

    The parts of a schema are known by `id`. Each list holds alternatives, of which one applies.

    Args:
        documents: the schema and its references, each with its name.
    """
    parts = [part for _, document in documents for part in objects(document)]
    targets = _targets(documents, parts)
    if targets is None:
        return None
    applied_by_part = {id(part): _parts_applied(part, targets) for part in parts}
    size = sum(len(group) for groups in applied_by_part.values() for group in groups)
    return None if size > MOST else applied_by_part


def _count(first: int, applied: _Applied, counts: dict[int, int]) -> None:
    """Count the schema parts that apply to a value together with this part."""
    if first in counts:
        return
    counts[first] = 0
    stack = [(first, chain.from_iterable(applied[first]))]
    while stack:
        number, other_parts = stack[-1]
        other_part = next(
            (id(other_part) for other_part in other_parts if id(other_part) not in counts), None
        )
        if other_part is not None:
            counts[other_part] = 0
            stack.append((other_part, chain.from_iterable(applied[other_part])))
            continue
        stack.pop()
        highest_counts = (
            max((counts[id(part)] for part in group), default=0) for group in applied[number]
        )
        counts[number] = min(MOST, 1 + sum(highest_counts))


def objects(value: Any) -> Iterator[_Part]:
    """Yield all objects in a JSON value, including those that are not schemas."""
    stack = [value]
    while stack:
        item = stack.pop()
        if is_object(item):
            yield item
            stack += item.values()
        elif is_list(item):
            stack += item


def _targets(
    documents: Sequence[tuple[str, Any]], parts: Sequence[_Part]
) -> dict[str, list[_Part]] | None:
    """Return the schema parts to which each reference may point, by the reference or its last part.

    None stands for too many parts.
    """
    bases = [(name, document) for name, document in documents if is_object(document)]
    bases += [(part[key], part) for part in parts for key in _IDS if isinstance(part.get(key), str)]
    named_parts = [(part[key], part) for part in parts for key in _ANCHORS if key in part]
    targets: dict[str, list[_Part]] = {}
    for name, part in [*bases, *named_parts]:
        targets.setdefault(_last_piece(str(name)), []).append(part)
    references = {
        part[key] for part in parts for key in _REFERENCES if isinstance(part.get(key), str)
    }
    if len(references) * len(bases) > MOST:
        return None
    for reference in references:
        _, separator, pointer = reference.partition("#")
        if separator and (not pointer or pointer.startswith("/")):
            parts_there = [_part_at(base, unquote(pointer)) for _, base in bases]
            targets[reference] = [part for part in parts_there if part is not None]
    return targets


def _last_piece(reference: str) -> str:
    return reference.rstrip("#").replace("#", "/").rpartition("/")[2]


def _part_at(base: Any, pointer: str) -> _Part | None:
    """Return the object at a JSON pointer."""
    part = base
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if is_object(part):
            part = part.get(name)
        elif is_list(part) and name.isdecimal() and int(name) < len(part):
            part = part[int(name)]
        else:
            return None
    return part if is_object(part) else None


def _parts_applied(part: _Part, targets: Mapping[str, list[_Part]]) -> list[list[_Part]]:
    """Return the schema parts that also apply to the value of a part; of each list, one applies."""
    other_parts: list[Any] = [part[keyword] for keyword in _SINGLE_PARTS if keyword in part]
    for keyword in _ALTERNATIVES:
        branches = part.get(keyword)
        other_parts += branches if is_list(branches) else ()
    for keyword in _PARTS_BY_NAME:
        named_schemas = part.get(keyword)
        other_parts += named_schemas.values() if is_object(named_schemas) else ()
    groups = [[other_part] for other_part in other_parts if is_object(other_part)]
    for keyword in _REFERENCES:
        reference = part.get(keyword)
        if isinstance(reference, str):
            groups.append(targets.get(reference) or targets.get(_last_piece(reference), []))
    return groups
