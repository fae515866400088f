"""The number of rules with which a JSON Schema checks one value."""

from __future__ import annotations

from typing import Any

import pytest

from moorage.domain.schemas.json_rules_per_value import MOST, rules_per_value


@pytest.mark.parametrize(
    "schema, expected",
    [
        (True, 1),
        ({}, 1),
        ({"type": "object", "properties": {"a": {}, "b": {}}}, 1),
        ({"items": {"allOf": [{}, {}]}}, 3),
        ({"allOf": [{}, {"anyOf": [{}, True]}], "oneOf": "?"}, 4),
        ({"not": {}, "if": {}, "then": {}, "else": False}, 4),
        ({"dependentSchemas": {"a": {}}, "dependencies": {"b": ["c"], "d": {}}}, 3),
        ({"$defs": {"a": {"not": {}}}, "$ref": "#/$defs/a"}, 3),
        ({"$defs": {"a b": {"not": {}}}, "$ref": "#/%24defs/a%20b"}, 3),
        ({"x": [{"not": {}}], "$ref": "#/x/0"}, 3),
        ({"x": [{"not": {}}], "allOf": [{"$ref": "#/x/1"}, {"$ref": "#/x/0/not/y/z"}]}, 3),
        ({"$defs": {"a": {"$anchor": "here", "not": {}}}, "$ref": "#here"}, 3),
        ({"$defs": {"a": {"$id": "https://e.com/in", "not": {}}}, "$ref": "in"}, 3),
        ({"$defs": {"a": {"$id": "in", "x": {"not": {}}}}, "$ref": "in#/x"}, 3),
        ({"$ref": "https://e.com/nowhere"}, 1),
        ({"$ref": 5, "allOf": {}, "dependentSchemas": []}, 1),
        ({"$ref": "#"}, 1),
        ({"properties": {"next": {"$ref": "#"}}}, 2),
        ({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}, 3),
    ],
)
def test_parts_that_apply_to_one_value_are_counted(schema: Any, expected: int) -> None:
    """References and alternatives count for the same value; properties and items do not."""
    assert expected == rules_per_value([("", schema)])


def test_registered_references_count() -> None:
    """If a schema refers to another document, the rules of that document count too."""
    other: tuple[str, Any] = ("https://e.com/money.json", {"oneOf": [{}, {}]})
    assert 5 == rules_per_value([("", {"items": {"allOf": [{"$ref": other[0]}]}}), other])


def test_long_chains_are_counted() -> None:
    """If thousands of parts each refer twice to the next, the count stops at its maximum."""
    parts: dict[str, Any] = {"0": {}}
    for number in range(5_000):
        part = {"$ref": f"#/$defs/{number}"}
        parts[str(number + 1)] = {"anyOf": [part, part]}
    assert MOST == rules_per_value([("", {"$defs": parts})])


def test_countless_references_are_not_followed() -> None:
    """If references could lead to too many parts, the maximum count is returned at once."""
    ids = [{"$id": f"{number}", "$ref": f"#/{number}"} for number in range(1_001)]
    assert MOST == rules_per_value([("", {"allOf": ids})])
    anchors: list[Any] = [{"$anchor": "a", "$ref": "#a"} for _ in range(1_001)]
    assert MOST == rules_per_value([("", {"allOf": anchors})])
