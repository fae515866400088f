"""JSON Schemas are compared, and the result is checked by validating documents."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from moorage import InvalidData
from moorage.domain.schemas.evolution import read_incompatibilities
from moorage.domain.schemas.schema import CompleteSchema, Schema
from tests.support.examples import examples

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.5, "", "a", "ab"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)
NUMBERS = st.integers(-2, 2)
SIZES = st.integers(0, 2)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    named_values = st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
            "enum": st.lists(VALUES, min_size=1, max_size=2),
            "const": VALUES,
            "minimum": NUMBERS,
            "exclusiveMaximum": NUMBERS,
            "minLength": SIZES,
            "maxLength": SIZES,
            "maxItems": SIZES,
            "uniqueItems": st.booleans(),
            "items": inner,
            "properties": named_values,
            "required": st.lists(st.sampled_from("ab"), unique=True),
            "additionalProperties": inner,
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b"]), inner, max_size=1),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
            "pattern": st.sampled_from(["^a", "b"]),
        },
    ).filter(lambda schema: len(schema) <= 4)


SCHEMAS = st.recursive(
    st.just(True) | st.builds(lambda kind: {"type": kind}, TYPES), _objects, max_leaves=5
)


def complete_schema(schema: Any, **parts: Any) -> CompleteSchema:
    """Return a JSON Schema with its references."""
    return CompleteSchema(
        Schema(json.dumps(schema), "json"),
        tuple((name, Schema(json.dumps(part), "json")) for name, part in parts.items()),
    )


def problems(reader: Any, writer: Any) -> list[str]:
    """Return the reasons why a schema may refuse documents of another one, as strings."""
    return [
        str(problem)
        for problem in read_incompatibilities(complete_schema(reader), complete_schema(writer))
    ]


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Return a writer's and a reader's schema, often with the same rules."""
    writer = draw(SCHEMAS)
    if isinstance(writer, dict) and draw(st.booleans()):
        reader = {key: value for key, value in writer.items() if draw(st.booleans())}
        other = draw(SCHEMAS)
        key = draw(st.sampled_from(["anyOf", "oneOf", "allOf"]))
        return writer, draw(st.sampled_from([reader, {key: [reader, other]}]))
    return writer, draw(SCHEMAS)


@examples(1_500)
@given(_pairs(), st.data())
def test_reader_accepts_each_valid_document_of_writer_if_no_incompatibility_is_found(
    pair: tuple[Any, Any], drawn: st.DataObject
) -> None:
    """If no incompatibility is found, the reader accepts each valid document of the writer."""
    writer, reader = pair
    assume(not problems(reader, writer))
    valid = jsonschema_rs.validator_for(writer)
    accepts = jsonschema_rs.validator_for(reader)
    for value in drawn.draw(st.lists(VALUES, min_size=1, max_size=30)):
        assert accepts.is_valid(value) or not valid.is_valid(value), value


@given(SCHEMAS)
def test_schema_without_references_is_compatible_with_itself(schema: Any) -> None:
    """A schema without references is compatible with itself."""
    assert [] == problems(schema, schema)


DRAFTS = {
    4: "http://json-schema.org/draft-04/schema#",
    6: "http://json-schema.org/draft-06/schema",
    7: "http://json-schema.org/draft-07/schema#",
    2019: "https://json-schema.org/draft/2019-09/schema",
    2020: "https://json-schema.org/draft/2020-12/schema",
}
"""The value of `$schema` for each draft, by its number."""


def in_draft(draft: int, **rules: Any) -> dict[str, Any]:
    """Return a schema that names its draft."""
    return {"$schema": DRAFTS[draft], **rules}


def _rule_of_draft(draw: st.DrawFn, draft: int, depth: int) -> dict[str, Any]:
    """Return keywords that mean different things, or nothing, in other drafts."""

    def parts() -> list[Any]:
        return [_schema_of_draft(draw, draft, depth - 1) for _ in range(draw(st.integers(1, 2)))]

    keyword = draw(
        st.sampled_from([
            "type", "const", "exclusiveMinimum", "items", "prefixItems", "additionalItems",
            "contains", "propertyNames", "anyOf", "oneOf", "allOf", "properties", "$defs",
            "definitions",
        ])
    )  # fmt: skip
    match keyword:
        case "type":
            return {keyword: draw(TYPES)}
        case "const":
            return {keyword: draw(VALUES)}
        case "exclusiveMinimum":
            number = draw(NUMBERS)
            early_rules = {"minimum": number, keyword: draw(st.booleans())}
            return early_rules if draft == 4 else {keyword: number}
        case "items":
            return {keyword: parts()[0] if draft == 2020 or draw(st.booleans()) else parts()}
        case "prefixItems" | "anyOf" | "oneOf" | "allOf":
            return {keyword: parts()}
        case "properties":
            return {keyword: dict(zip("ab", parts(), strict=False))}
        case "$defs" | "definitions":
            return {keyword: {"x": parts()[0]}, "$ref": f"#/{keyword}/x"}
        case _:
            return {keyword: parts()[0]}


def _schema_of_draft(draw: st.DrawFn, draft: int, depth: int) -> dict[str, Any]:
    """Return a schema without `$schema`; a reference in it may be broken."""
    if depth == 0:
        return {"type": draw(TYPES)}
    rules: dict[str, Any] = {}
    for _ in range(draw(st.integers(1, 3))):
        rules |= _rule_of_draft(draw, draft, depth)
    return rules


@st.composite
def _pairs_of_drafts(draw: st.DrawFn) -> tuple[Any, Any]:
    """Return a writer's and a reader's schema in one draft or two, often with the same text."""
    numbers = st.sampled_from(list(DRAFTS))
    draft, other_draft = draw(numbers), draw(numbers)
    writer = _schema_of_draft(draw, draft, depth=2)
    reader = writer if draw(st.booleans()) else _schema_of_draft(draw, other_draft, depth=2)
    return in_draft(draft, **writer), in_draft(other_draft, **reader)


@examples(400)
@given(_pairs_of_drafts(), st.data())
def test_reader_accepts_documents_of_writer_of_another_draft(
    pair: tuple[Any, Any], drawn: st.DataObject
) -> None:
    """If no incompatibility is found, the reader accepts each document, whatever the drafts."""
    writer, reader = pair
    try:
        valid = jsonschema_rs.validator_for(writer)
        accepts = jsonschema_rs.validator_for(reader)
    except (jsonschema_rs.ReferencingError, jsonschema_rs.ValidationError):
        reject()
    assume(not problems(reader, writer))
    for value in drawn.draw(st.lists(VALUES | st.just(1.0), min_size=1, max_size=30)):
        assert accepts.is_valid(value) or not valid.is_valid(value), value


def _object(name: str, **rules: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": {"$ref": f"#/{name}/x"}}, name: {"x": rules}}


@pytest.mark.parametrize(
    "reader, writer",
    [
        (
            in_draft(2020, exclusiveMinimum=1),
            in_draft(4, type="number", minimum=1, exclusiveMinimum=True),
        ),
        (
            in_draft(4, minimum=1, exclusiveMinimum=True),
            in_draft(7, type="number", exclusiveMinimum=1),
        ),
        (
            in_draft(4, maximum=1, exclusiveMaximum=False),
            in_draft(2019, type="number", exclusiveMaximum=1),
        ),
        (
            in_draft(2020, **_object("$defs", type="string")),
            in_draft(7, **_object("definitions", type="string")),
        ),
        (
            in_draft(2020, prefixItems=[{"type": "string"}], items=False),
            in_draft(7, type="array", items=[{"type": "string"}], additionalItems=False),
        ),
        (
            in_draft(7, items=[{"type": "string"}], additionalItems=False),
            in_draft(2020, type="array", prefixItems=[{"type": "string"}], items=False),
        ),
        (
            {"items": [{"type": "string"}]},
            in_draft(2020, type="array", prefixItems=[{"type": "string"}]),
        ),
        (in_draft(2019, prefixItems=[{"type": "string"}]), in_draft(2020, type="array")),
        (in_draft(7, additionalItems=False), in_draft(7, type="array")),
        (in_draft(4, const=5), in_draft(4, type="string")),
        (in_draft(6, **{"if": True, "then": False}), in_draft(7, type="string")),
        (in_draft(2020, pattern="a"), in_draft(7, type="string", pattern="a")),
        (
            in_draft(7, properties={"a": {"$ref": "#", "minLength": 5}}),
            in_draft(7, type="object"),
        ),
        (in_draft(4, type="integer"), in_draft(4, type="integer", minimum=0)),
        (
            in_draft(7, properties={"a": {"id": "about", "type": "string"}}),
            in_draft(7, type="object", properties={"a": {"type": "string"}}),
        ),
    ],
)
def test_equal_rules_of_different_drafts_are_compatible(reader: Any, writer: Any) -> None:
    """Rules that drafts write in different ways are compared by their meaning."""
    assert [] == problems(reader, writer)


NEWER = "The reader allows only certain values, but the writer also allows others."
SMALL = "The reader does not allow small numbers that the writer may write."
WHOLE = (
    "In draft 4, the reader's integers do not include numbers such as 1.0, which the writer may"
    " write."
)


@pytest.mark.parametrize(
    "reader, writer, expected",
    [
        (in_draft(7, const=5), in_draft(4, type="number", const=5), NEWER),
        (
            in_draft(2020, exclusiveMinimum=1),
            in_draft(4, type="number", minimum=1, exclusiveMinimum=False),
            SMALL,
        ),
        (in_draft(4, type="integer"), in_draft(7, type="integer"), WHOLE),
        (in_draft(4, type="integer"), in_draft(4, enum=[1]), WHOLE),
        (
            in_draft(7, contains={"type": "string"}),
            in_draft(6, type="array", contains={"type": "string"}),
            "The compatibility check cannot judge the rule 'contains'.",
        ),
        (
            in_draft(7, propertyNames={"const": "a"}),
            in_draft(6, type="object", propertyNames={"const": "a"}),
            "The compatibility check cannot judge the rule 'propertyNames'.",
        ),
        (
            in_draft(4, properties={"a": {"id": "inner", "type": "string"}}),
            in_draft(4, type="object"),
            "a: The compatibility check cannot judge the reference 'inner'.",
        ),
        (
            {"$schema": "https://example.com/own", "type": "string"},
            in_draft(4, type="string"),
            "The compatibility check cannot judge the draft 'https://example.com/own'.",
        ),
    ],
)
def test_rules_that_differ_between_drafts_are_reported(
    reader: Any, writer: Any, expected: str
) -> None:
    """Rules with one text and different meanings in two drafts are not taken for the same."""
    assert [expected] == problems(reader, writer)


def test_referenced_document_has_a_draft_of_its_own() -> None:
    """A referenced document is read in its own draft, not in that of the document around it."""
    number = in_draft(4, type="number", minimum=1, exclusiveMinimum=True)
    branch = {"$ref": "number"}
    writer = complete_schema(in_draft(2020, anyOf=[branch, {"type": "null"}]), number=number)
    reader = complete_schema({"type": ["number", "null"], "exclusiveMinimum": 1})
    assert not read_incompatibilities(reader, writer)
    narrow_reader = complete_schema({"type": ["number", "null"], "exclusiveMinimum": 2})
    assert [SMALL] == [problem.problem for problem in read_incompatibilities(narrow_reader, writer)]


ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "note": {"type": "string"}},
    "required": ["id"],
    "additionalProperties": False,
}


def _order(**changes: Any) -> dict[str, Any]:
    return {**ORDER, **changes}


@pytest.mark.parametrize(
    "reader, writer, expected",
    [
        (_order(properties={**ORDER["properties"], "new": {"type": "string"}}), ORDER, []),
        (
            _order(properties={"id": {"type": "integer"}}),
            ORDER,
            ["note: The reader does not allow any value here."],
        ),
        (
            _order(required=["id", "note"]),
            ORDER,
            ["note: The reader requires the property, but the writer does not."],
        ),
        ({"type": "number"}, {"type": "integer"}, []),
        (
            {"type": "integer"},
            {"type": ["number", "null"]},
            [
                (
                    "The writer may write values of the type null, number, which the reader"
                    " does not accept."
                )
            ],
        ),
        ({"minimum": 1}, {"type": "integer", "minimum": 2}, []),
        (
            {"minimum": 1, "exclusiveMinimum": True},
            {"type": "integer", "minimum": 1},
            ["The reader does not allow small numbers that the writer may write."],
        ),
        (
            {"maximum": 1},
            {"type": "integer"},
            ["The reader does not allow large numbers that the writer may write."],
        ),
        (
            {"minLength": 1, "maxLength": 2},
            {"type": "string"},
            [
                "The reader's minimum length is greater than the writer's.",
                "The reader's maximum length is smaller than the writer's.",
            ],
        ),
        ({"enum": [1, "a"]}, {"const": "a"}, []),
        ({"enum": [1]}, {"enum": [1, 2]}, ["The reader does not allow the value 2."]),
        (
            {"enum": [1]},
            {"type": "integer"},
            ["The reader allows only certain values, but the writer also allows others."],
        ),
        (
            {"uniqueItems": True},
            {"type": "array"},
            ["The reader does not allow duplicate items, but the writer does."],
        ),
        (
            {"items": {"type": "integer"}},
            {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}},
            [
                (
                    "[0]: The writer may write values of the type string, which the reader does"
                    " not accept."
                )
            ],
        ),
        (
            {"prefixItems": [True], "items": False},
            {"type": "array", "prefixItems": [True, False]},
            [],
        ),
        (
            {"prefixItems": [{"type": "string"}], "items": False},
            {"type": "array", "prefixItems": [{"type": "string"}]},
            ["[]: The reader does not allow any value here."],
        ),
        ({"prefixItems": [False]}, {"type": "array", "maxItems": 0}, []),
        ({"items": {"type": "integer"}}, {"type": "array", "maxItems": 0}, []),
        ({"type": "array"}, {"type": "array", "prefixItems": [True]}, []),
        ({"oneOf": [{"type": "null"}, {"type": "string"}]}, {"type": "string"}, []),
        (
            {"oneOf": [{"minLength": 1}, {"type": "string"}]},
            {"type": "string"},
            ["The compatibility check cannot judge the rule 'oneOf'."],
        ),
        ({"type": "string"}, {"allOf": [{"type": "string"}, {"minLength": 2}]}, []),
        (
            {"pattern": "a"},
            {"type": "string"},
            ["The compatibility check cannot judge the rule 'pattern'."],
        ),
        ({"pattern": "a"}, {"type": "string", "pattern": "a"}, []),
        (
            {"dependentRequired": {"a": ["b"]}},
            {"type": "object"},
            ["The compatibility check cannot judge the rule 'dependentRequired'."],
        ),
        (
            {"properties": {"a": {"type": "string"}}},
            {"type": "object", "patternProperties": {"^a": {"type": "integer"}}},
            ["The compatibility check cannot judge the rule 'patternProperties'."],
        ),
        ({"type": "string", "format": "date", "title": "A"}, {"type": "string"}, []),
        (False, {"type": "string"}, ["The reader does not allow any value here."]),
        (False, False, []),
        ({"type": "object"}, {"anyOf": [{"required": ["a"]}], "type": "object"}, []),
        (
            {"type": "object", "required": ["a"]},
            {"type": "object", "anyOf": [{"required": ["a"]}, True]},
            ["a: The reader requires the property, but the writer does not."],
        ),
        (
            {"type": "object", "required": ["a"]},
            {"type": "object", "anyOf": [{"required": ["a"]}, False]},
            [],
        ),
    ],
)
def test_incompatibility_has_its_place_and_reason(
    reader: Any, writer: Any, expected: list[str]
) -> None:
    """Each incompatibility has its place and reason; parts that cannot be compared are reported."""
    assert expected == problems(reader, writer)


@pytest.mark.parametrize(
    "reader, writer, value",
    [
        (
            {"properties": {"a": {}}, "additionalProperties": False},
            {
                "properties": {"a": {}},
                "anyOf": [{"properties": {"b": {}}, "additionalProperties": False}],
            },
            {"b": 1},
        ),
        (
            {"properties": {"a": {}}, "unevaluatedProperties": False},
            {
                "properties": {"a": {}},
                "unevaluatedProperties": False,
                "anyOf": [{"properties": {"b": {}}}],
            },
            {"b": 1},
        ),
        (
            {"minimum": 10, "exclusiveMinimum": True},
            {"minimum": 10, "anyOf": [{"minimum": 5, "exclusiveMinimum": True}]},
            10,
        ),
    ],
)
def test_rules_of_an_alternative_and_its_surroundings_are_not_combined(
    reader: Any, writer: Any, value: Any
) -> None:
    """Rules of an alternative and of its surroundings are not combined into a narrower rule."""
    reader, writer = ({"type": ["object", "integer"], **part} for part in (reader, writer))
    if "exclusiveMinimum" in reader:
        reader, writer = (
            {"$schema": "http://json-schema.org/draft-04/schema#", **part}
            for part in (reader, writer)
        )
    assert jsonschema_rs.is_valid(writer, value)
    assert not jsonschema_rs.is_valid(reader, value)

    assert [] != problems(reader, writer)


def test_ignored_rules_make_findings_uncertain() -> None:
    """A rule of the writer that the comparison ignores makes the findings uncertain."""
    [problem] = read_incompatibilities(
        complete_schema({"type": "string"}), complete_schema({"not": {"type": "integer"}})
    )
    assert not problem.is_certain
    [problem] = read_incompatibilities(
        complete_schema({"type": "string"}), complete_schema({"type": "null"})
    )
    assert problem.is_certain


def test_recursive_schema_is_compared_once() -> None:
    """A schema's references to itself and to its own definitions are followed."""
    tree = {
        "type": "object",
        "properties": {"next": {"$ref": "#"}, "x": {"$ref": "#/$defs/x~1y", "title": "X"}},
        "$defs": {"x/y": {"type": "integer"}},
    }
    narrow = {**tree, "$defs": {"x/y": {"type": "integer", "minimum": 0}}}
    assert [] == problems(tree, narrow)
    expected = ["x: The reader does not allow small numbers that the writer may write."]
    assert expected == problems(narrow, tree)


def test_reference_may_stand_next_to_definitions() -> None:
    """A schema that only refers to one of its definitions, as Pydantic writes it, is compared."""

    def tree(**properties: Any) -> dict[str, Any]:
        node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}, **properties}}
        draft = "https://json-schema.org/draft/2020-12/schema"
        return {"$schema": draft, "$ref": "#/$defs/N", "$defs": {"N": node}}

    number, text = {"type": "integer"}, {"type": "string"}
    assert [] == problems(tree(x=number), tree(x={"type": "integer", "minimum": 0}))
    expected = "x: The writer may write values of the type string, which the reader does not accept"
    assert [f"{expected}."] == problems(tree(x=number), tree(x=text))


def test_reference_may_be_percent_encoded() -> None:
    """A reference names a definition such as 'Page[Order]' by its percent-encoded name."""
    schema = {
        "type": "object",
        "properties": {"page": {"$ref": "#/$defs/Page%5BOrder%5D"}},
        "$defs": {"Page[Order]": {"type": "string"}},
    }
    assert [] == problems(schema, schema)


@pytest.mark.parametrize("keyword", ["$dynamicRef", "$recursiveRef"])
def test_equal_dynamic_references_may_lead_to_different_parts(keyword: str) -> None:
    """Equal dynamic references are not taken for equal rules: their targets may differ."""
    draft = {"$dynamicRef": "2020-12", "$recursiveRef": "2019-09"}[keyword]
    target = {"$dynamicRef": "#node", "$recursiveRef": "#"}[keyword]
    writer: dict[str, Any] = {
        "$schema": f"https://json-schema.org/draft/{draft}/schema",
        "$dynamicAnchor": "node",
        "type": ["array", "string"],
        "items": {keyword: target},
    }
    reader = {**writer, "maxLength": 3}
    value = ["long text"]
    assert jsonschema_rs.is_valid(writer, value)
    assert not jsonschema_rs.is_valid(reader, value)

    assert any(repr(keyword) in problem for problem in problems(reader, writer))


def doubling_schema(keyword: str, times: int, leaf: dict[str, Any]) -> dict[str, Any]:
    """Return a schema whose parts refer twice to the next part, this many times."""
    parts = {"0": leaf}
    for number in range(times):
        part = {"$ref": f"#/$defs/{number}"}
        parts[str(number + 1)] = {keyword: [part, part]}
    return {"allOf": [{"$ref": f"#/$defs/{times}"}], "$defs": parts}


def test_nested_parts_are_compared_once() -> None:
    """If parts refer to each other many times, each part is compared only once."""
    reader = doubling_schema("allOf", 8, {"type": "string"})
    writer = doubling_schema("allOf", 8, {"type": "integer"})
    [problem] = problems(reader, writer)
    assert "The writer may write values of the type" in problem
    assert [] == problems(reader, {"type": "string"})


@pytest.mark.parametrize(
    "keyword, part",
    [
        ("allOf", "so many combinations of alternatives"),
        ("anyOf", "so many combinations of alternatives"),
        ("oneOf", "the rule 'oneOf'"),
    ],
)
def test_schema_with_too_many_combinations_is_reported(keyword: str, part: str) -> None:
    """Schemas with too many combinations of alternatives are reported, not compared for ever."""
    reader = doubling_schema(keyword, 30, {"type": "string"})
    writer = doubling_schema(keyword, 30, {"type": "integer"})
    [problem] = read_incompatibilities(complete_schema(reader), complete_schema(writer))
    assert f"The compatibility check cannot judge {part}." == str(problem)
    assert not problem.is_certain


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/nowhere"},
        {"$ref": "#name"},
        {"$ref": "https://example.com/other"},
        {"$ref": 5},
        {"$ref": "#/anyOf/7", "anyOf": [True]},
        {"$ref": "#/x", "x": 5},
        {"$ref": "#/x", "x": {"$ref": "#/x"}},
        {"$ref": "other#/x"},
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/x"}},
            "$defs": {"x": {"$ref": "#/$defs/x"}},
        },
        {"properties": {"a": {"$id": "inner", "type": "string"}}, "type": "object"},
    ],
)
def test_reference_to_unknown_document_is_reported(schema: Any) -> None:
    """A reference to an unknown document is reported as a part that cannot be compared."""
    reader, writer = complete_schema(schema, other={"x": True}), complete_schema({"type": "object"})
    assert any("reference" in problem.problem for problem in read_incompatibilities(reader, writer))


def test_registered_reference_is_followed() -> None:
    """A reference to a whole registered document is followed, also through a list."""
    reader = complete_schema({"$ref": "money"}, money={"type": "integer"})
    assert not read_incompatibilities(reader, complete_schema({"type": "integer"}))
    array_schema = complete_schema(
        {"type": "array", "items": {"$ref": "#/x/0"}, "x": [{"type": "null"}]}
    )
    assert not read_incompatibilities(
        array_schema, complete_schema({"type": "array", "items": {"type": "null"}})
    )


@pytest.mark.parametrize("text", ["5", "nonsense", "[]", "NaN", "[" * 100_000])
def test_text_that_is_no_schema_is_refused(text: str) -> None:
    """A string that is neither an object nor a boolean raises InvalidData."""
    schema = CompleteSchema(Schema(text, "json"))
    with pytest.raises(InvalidData, match="not an object or a boolean"):
        read_incompatibilities(schema, schema)


@pytest.mark.parametrize(
    "schema", [{"type": 5}, {"required": 5}, {"properties": []}, {"minimum": "a"}, {"allOf": [5]}]
)
def test_keyword_of_a_wrong_type_is_refused(schema: Any) -> None:
    """A keyword with an impossible value raises InvalidData."""
    with pytest.raises(InvalidData, match="wrong type"):
        read_incompatibilities(
            complete_schema(schema), complete_schema({"type": ["object", "integer"]})
        )
