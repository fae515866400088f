"""The greatest depth of a value that a JSON Schema can check in limited time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moorage import InvalidData
from moorage.adapters.schemas.json_schema import JsonSchemaCodec
from moorage.domain.schemas.json_checks_by_depth import DEEPEST, depth_limit, depth_of
from moorage.domain.schemas.json_rules_per_value import MOST
from moorage.domain.schemas.schema import CompleteSchema, Schema, SchemaFormat

AGAIN = {"$ref": "#"}
DOUBLED = {"allOf": [AGAIN, AGAIN]}


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        {"properties": {"next": AGAIN}},
        {"properties": {"left": AGAIN, "right": AGAIN}, "additionalProperties": AGAIN},
        {"anyOf": [{"items": AGAIN}, {"additionalProperties": AGAIN}, {"type": "string"}]},
        {"oneOf": [{"properties": {"not": AGAIN}}, {"properties": {"and": {"items": AGAIN}}}]},
        {"prefixItems": [AGAIN, AGAIN], "items": AGAIN},
        {"items": [AGAIN, AGAIN], "additionalItems": AGAIN},
        {"anyOf": [{"properties": {"a": {"items": {}}}}, {"properties": {"a": {"items": {}}}}]},
        {"properties": [], "items": 1, "patternProperties": 2, "prefixItems": {}},
    ],
)
def test_schema_with_a_limited_number_of_checks_accepts_any_depth(schema: Any) -> None:
    """A schema that checks each place a limited number of times accepts values of any depth."""
    assert depth_limit([("", schema)]) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": DOUBLED}},
        {"additionalProperties": DOUBLED},
        {"allOf": [{"properties": {"a": AGAIN}}, {"properties": {"a": AGAIN}}]},
        {"allOf": [{"properties": {"a": AGAIN}}, {"additionalProperties": AGAIN}]},
        {"properties": {"a": AGAIN}, "patternProperties": {"a": AGAIN}},
        {"patternProperties": {"a": AGAIN, "b": AGAIN}},
        {"items": AGAIN, "contains": AGAIN},
        {"prefixItems": [AGAIN], "contains": AGAIN},
        {"items": DOUBLED},
    ],
)
def test_schema_that_doubles_its_checks_at_each_level_accepts_16_levels(schema: Any) -> None:
    """A schema that checks each level twice as often as the one above accepts 16 levels."""
    assert 16 == depth_limit([("", schema)])


def test_long_chain_of_references_is_limited_like_a_circle() -> None:
    """A long chain of parts that refer twice to the next is limited like a circle of parts."""
    parts: dict[str, Any] = {"0": {}}
    for number in range(40):
        part = {"$ref": f"#/$defs/{number}"}
        parts[str(number + 1)] = {"properties": {"a": {"allOf": [part, part]}}}
    assert 16 == depth_limit([("", {"$defs": parts, "$ref": "#/$defs/40"})])


def test_slow_growth_is_limited() -> None:
    """If each level adds a constant number of checks, a hundred levels are accepted."""
    schema = {
        "$defs": {"line": {"properties": {"a": {"$ref": "#/$defs/line"}}}},
        "properties": {"a": {"allOf": [AGAIN, {"$ref": "#/$defs/line"}]}},
    }
    assert DEEPEST == depth_limit([("", schema)])


def test_schema_with_too_many_references_accepts_no_nested_value() -> None:
    """A schema with more references than can be followed accepts no nested value."""
    ids = [{"$id": f"{number}", "$ref": f"#/{number}"} for number in range(1_001)]
    assert MOST < len(ids) ** 2
    assert 0 == depth_limit([("", {"allOf": ids})])


@pytest.mark.parametrize(
    "value, expected", [(1, 0), ([], 1), ({"a": [{}, 1], "b": 2}, 3), ([[], [[[]]]], 4)]
)
def test_depth_is_the_largest_number_of_nested_containers(value: Any, expected: int) -> None:
    """A value's depth is the largest number of objects and lists inside each other."""
    assert expected == depth_of(value)


def test_value_that_would_take_hours_is_refused() -> None:
    """A small value of many levels is refused at once, and one of few levels is checked."""
    schema = Schema(json.dumps({"properties": {"a": DOUBLED}}), SchemaFormat.JSON)
    codec = JsonSchemaCodec(CompleteSchema(schema, ()))

    def nested(levels: int) -> bytes:
        return b'{"a":' * levels + b"1" + b"}" * levels

    assert 1 == codec.decode(nested(1))["a"]
    assert codec.decode(nested(12))
    with pytest.raises(InvalidData, match="more than 16 levels"):
        codec.decode(nested(60))
