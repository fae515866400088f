"""The number of checks that a JSON Schema makes at one place in a value, by depth.

Two parts of a schema may both check the same property with a third part, whose own parts do the
same with the property below, and so on. A schema of one line then checks a value of thirty levels a
thousand million times.

Laws:

1. The number is never smaller than the number of checks of a validator that repeats each check.
2. Parts for different properties, or for objects and lists, do not add up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.schemas.json_rules_per_value import applied_parts, objects
from moorage.domain.values.json_text import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TypeAlias

    _Part: TypeAlias = dict[str, Any]
    _SubschemaPlace: TypeAlias = tuple[str, str | int | None]
    _Counts: TypeAlias = Mapping[_SubschemaPlace, int]

DEEPEST: Final = 100
"""The depth up to which the number is calculated."""

MOST_CHECKS: Final = 100_000
"""The largest number of checks of one place."""

_PROPERTY: Final = "property"
_ITEM: Final = "item"
_REMAINING_KEYWORDS: Final = {
    "additionalItems": _ITEM,
    "items": _ITEM,
    "unevaluatedItems": _ITEM,
    "additionalProperties": _PROPERTY,
    "unevaluatedProperties": _PROPERTY,
}
"""Keywords whose part checks all properties or items that have no label of their own."""


def depth_limit(documents: Sequence[tuple[str, Any]]) -> int | None:
    """Return the depth to which checking a value takes limited time; None without a limit.

    Args:
        documents: the schema and its references, each with its name.
    """
    applied_by_part = applied_parts(documents)
    if applied_by_part is None:
        return 0
    parts = {id(part): part for _, document in documents for part in objects(document)}
    children = {number: list(_children(part)) for number, part in parts.items()}
    checks_below = dict.fromkeys(parts, 1)
    for depth in range(DEEPEST):
        counts: dict[int, _Counts] = {}
        for number in parts:
            _count(number, applied_by_part, children, checks_below, counts)
        deepest_counts = {number: max(counts[number].values(), default=0) for number in parts}
        if max(deepest_counts.values(), default=0) > MOST_CHECKS:
            return depth
        if deepest_counts == checks_below:
            return None
        checks_below = deepest_counts
    return DEEPEST


def depth_of(value: Any) -> int:
    """Return the depth of a JSON value: the largest number of nested objects and lists."""
    depth, level = 0, [value]
    while level := [item for item in level if is_object(item) or is_list(item)]:
        depth += 1
        level = [
            inner_item
            for item in level
            for inner_item in (item.values() if is_object(item) else item)
        ]
    return depth


def _count(
    first: int,
    applied: Mapping[int, Sequence[Sequence[_Part]]],
    children: Mapping[int, Sequence[tuple[_SubschemaPlace, _Part]]],
    checks_below: Mapping[int, int],
    counts: dict[int, _Counts],
) -> None:
    """Count the checks that a schema part, and each part it refers to, causes in a child value."""
    stack = [first] if first not in counts else []
    while stack:
        number = stack[-1]
        if number not in counts:
            counts[number] = {}
            stack += [id(part) for group in applied[number] for part in group]
            continue
        stack.pop()
        sums: dict[_SubschemaPlace, int] = {}
        for label, child in children[number]:
            sums[label] = sums.get(label, 0) + checks_below[id(child)]
        for group in applied[number]:
            most_by_label: dict[_SubschemaPlace, int] = {}
            for part in group:
                other_counts = counts[id(part)]
                most_by_label = {
                    label: max(_count_of(most_by_label, label), _count_of(other_counts, label))
                    for label in {*most_by_label, *other_counts}
                }
            sums = {
                label: _count_of(sums, label) + _count_of(most_by_label, label)
                for label in {*sums, *most_by_label}
            }
        counts[number] = sums


def _count_of(counts: _Counts, label: _SubschemaPlace) -> int:
    """Return the count for one property or item, or the common count for those without one."""
    return counts[label] if label in counts else counts.get((label[0], None), 0)


def _children(part: _Part) -> Iterator[tuple[_SubschemaPlace, _Part]]:
    """Yield the parts of a schema that check child values, with the label of each child."""
    other_keywords = [
        ((kind, None), part.get(keyword)) for keyword, kind in _REMAINING_KEYWORDS.items()
    ]
    labelled_parts = [
        *_labelled_parts(part, "properties"),
        *_labelled_parts(part, "prefixItems"),
        *_labelled_parts(part, "items"),
    ]
    patterns = part.get("patternProperties")
    unlabelled_parts = [(_ITEM, part.get("contains"))]
    unlabelled_parts += (
        [(_PROPERTY, item) for item in patterns.values()] if is_object(patterns) else []
    )
    labels = {(_ITEM, None), (_PROPERTY, None), *(label for label, _ in labelled_parts)}
    overlapping_parts = [
        (label, item) for kind, item in unlabelled_parts for label in labels if label[0] == kind
    ]
    for label, child in [*other_keywords, *labelled_parts, *overlapping_parts]:
        if is_object(child):
            yield label, child


def _labelled_parts(part: _Part, keyword: str) -> list[tuple[_SubschemaPlace, Any]]:
    """Yield the schema parts that a keyword gives to single properties or items, with labels."""
    named_schemas = part.get(keyword)
    if keyword == "properties":
        return (
            [((_PROPERTY, name), item) for name, item in named_schemas.items()]
            if is_object(named_schemas)
            else []
        )
    return (
        [((_ITEM, number), item) for number, item in enumerate(named_schemas)]
        if is_list(named_schemas)
        else []
    )
