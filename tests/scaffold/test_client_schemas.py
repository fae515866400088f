"""Type annotations that a generated client gets from schemas and operations."""

from __future__ import annotations

import ast
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import DescriptionRefused, OpenApi
from moorage.client_sdk import read_value, write_value
from moorage.scaffold import write
from moorage.scaffold.client.package import ClientOptions, client_files
from tests.support.openapi_samples import description, operation, parameter

if TYPE_CHECKING:
    from pathlib import Path

SCHEMAS: dict[str, Any] = {
    "Card": {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"type": "string"}},
    },
    "Cash": {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"type": "string"}, "coins": {"type": "integer"}},
        "additionalProperties": {"type": "integer"},
    },
    "Bare": {"type": "object", "properties": {"note": {"type": "string"}}},
    "Closed": {"type": "object", "additionalProperties": False},
    "Circle": {"allOf": [{"$ref": "#/components/schemas/Circle"}]},
    "Broken": {
        "type": "object",
        "properties": {
            "whole": {"$ref": "#/components/schemas/Whole"},
            "wrong": {"type": "tuple"},
        },
    },
    "Whole": {
        "type": "object",
        "properties": {"broken": {"$ref": "#/components/schemas/Broken"}},
    },
}
CARD, CASH, BARE = ({"$ref": f"#/components/schemas/{name}"} for name in ("Card", "Cash", "Bare"))
OBJECT = {"type": "object", "properties": {"x": {"type": "string"}}}


def in_json(schema: Any) -> dict[str, Any]:
    """Return a JSON response or request body with this schema."""
    return {"content": {"application/json": {"schema": schema}}}


def files_of(*operations: dict[str, Any], paths: Any = None, **options: Any) -> dict[str, str]:
    """Return the files of a client with these operations, each under its own path."""
    tree = description(
        paths or {f"/p{number}": {"post": item} for number, item in enumerate(operations)},
        components={"schemas": SCHEMAS},
    )
    files = client_files(OpenApi(tree), "shop", ClientOptions(**options))
    for path, text in files.items():
        if path.endswith(".py"):
            ast.parse(text)
    return files


def functions(*operations: dict[str, Any], **options: Any) -> str:
    """Return the generated module of functions for these operations, in one line."""
    text = files_of(*operations, **options)["src/shop_client/operations.py"]
    return " ".join(text.split())


def models(*schemas: Any, **options: Any) -> str:
    """Return the generated module of classes for responses with these schemas, in one line."""
    operations = [
        operation(f"get{number}", responses={"200": in_json(schema)})
        for number, schema in enumerate(schemas)
    ]
    return " ".join(files_of(*operations, **options)["src/shop_client/models.py"].split())


def problems(*operations: dict[str, Any], **options: Any) -> dict[str, str]:
    """Return the problems of a client with these operations, by their places in the description."""
    with pytest.raises(DescriptionRefused) as excinfo:
        files_of(*operations, **options)
    return {problem.path: problem.found for problem in excinfo.value.problems}


@pytest.mark.parametrize(
    "schema, annotation",
    [
        (True, "Any"),
        ({"type": ["string", "integer"]}, "str | int"),
        ({"type": ["string", "null"]}, "str | None"),
        ({"type": "array"}, "Sequence[Any]"),
        ({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, "Sequence[Any]"),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": False}, "Sequence[Any]"),
        ({"allOf": [CARD, {"nullable": True}]}, "models.Card | None"),
        ({"allOf": [CARD], "nullable": True}, "models.Card | None"),
        ({"type": "object"}, "Mapping[str, Any]"),
        ({"type": "object", "additionalProperties": True}, "Mapping[str, Any]"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "Mapping[str, int]"),
        ({"description": "Anything."}, "Any"),
        ({"items": {"type": "string"}}, "Sequence[str]"),
        ({"enum": [None]}, "Any"),
        ({"enum": [1.5, 2.5], "type": "number"}, "Decimal"),
        ({"enum": [[1], [2]]}, "Any"),
        ({"enum": [1, "a"]}, 'int | str, OneOf(1, "a")'),
        ({"enum": [str(number) for number in range(1_001)]}, "str"),
        ({"allOf": [CARD]}, "models.Card"),
        ({"allOf": [CARD, {"description": "The card."}]}, "models.Card"),
        ({"allOf": [{"type": "object"}, {"type": "object"}]}, "Mapping[str, Any]"),
        ({"allOf": [{"description": "Anything."}]}, "Any"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "str | None"),
        ({"anyOf": [{"type": "string"}, {"type": "string"}]}, "str"),
        ({"anyOf": [{"type": "string"}, {}]}, "Any"),
        ({"anyOf": [True, {"type": "string"}, {"type": "integer"}]}, "Any"),
        ({"oneOf": [{"type": "null"}]}, "Any"),
        ({"type": "number", "maximum": float("inf"), "minimum": True}, "Decimal"),
        ({"type": "string", "minLength": 0, "maxLength": "3"}, "str"),
    ],
)
def test_function_is_annotated_with_its_response_type(schema: Any, annotation: str) -> None:
    """An operation's function is annotated with the type of the operation's response."""
    text = functions(operation("call", responses={"200": in_json(schema)}))
    assert f"read=json_answer({annotation})," in text


def test_schemas_of_all_of_are_merged_into_one_class() -> None:
    """Schemas in `allOf` become one class; alternatives with only `required` add nothing to it."""
    required_only = {"anyOf": [{"required": ["x"]}, {"required": ["y"]}]}
    text = models({"allOf": [BARE, OBJECT | required_only, {"additionalProperties": False}]})
    assert "note: str | None = None x: str | None = None" in text
    assert "other_fields: Mapping[str, Any]" in text
    place = "#/paths/~1p0/post/responses/200/content/application~1json/schema"
    answer = operation("call", responses={"200": in_json({"$ref": "#/components/schemas/Circle"})})
    assert "allOf is circular" in next(iter(problems(answer).values()))
    wrong_operation = operation("call", responses={"200": in_json({"allOf": [OBJECT, False]})})
    assert {f"{place}/allOf/1": "allOf is circular or malformed."} == problems(wrong_operation)


def test_further_members_have_their_type() -> None:
    """Additional properties keep the described type, even if a class has no other properties."""
    assert "other_fields: Mapping[str, int]" in models(CASH)
    closed = models({"$ref": "#/components/schemas/Closed"})
    assert 'class Closed: """The schema at #/components/schemas/Closed."""' in closed
    assert "other_fields" not in closed
    assert "other_fields" not in models(CARD, keep_unknown=False)


def test_further_members_have_the_type_of_a_class_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Additional properties may be of the class itself or of one defined later."""
    tree: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}}
    tree["additionalProperties"] = {"$ref": "#/components/schemas/Tree"}
    answer = operation("call", responses={"200": in_json({"$ref": "#/components/schemas/Tree"})})
    api = OpenApi(description({"/a": {"get": answer}}, components={"schemas": {"Tree": tree}}))
    write(client_files(api, "forest", ClientOptions()), tmp_path / "forest")
    monkeypatch.syspath_prepend(tmp_path / "forest" / "src")
    models_of_trees: Any = import_module("forest_client.models")
    value = read_value(models_of_trees.Tree, {"name": "a", "left": {"name": "b"}})
    assert models_of_trees.Tree(name="b") == value.other_fields["left"]
    assert {"name": "a", "left": {"name": "b"}} == write_value(models_of_trees.Tree, value)


def test_discriminators_name_the_classes_that_have_the_member() -> None:
    """A discriminator lists all classes with its property, and is not used if a class lacks it."""
    by_kind = {"propertyName": "kind", "mapping": {"c": "Card", "other": "Other"}}
    text = models({"oneOf": [CARD, CASH], "discriminator": by_kind})
    assert 'Discriminator("kind", {"c": "Card", "Cash": "Cash"})' in text
    for union in (
        {"oneOf": [CARD, BARE], "discriminator": by_kind},
        {"oneOf": [CARD, {"type": "string"}], "discriminator": by_kind},
        {"oneOf": [CARD, CASH]},
    ):
        assert "Discriminator(" not in models(union)


def test_same_alternatives_are_one_union() -> None:
    """An alternative's title names its class; two responses become a union of their types."""
    titled = OBJECT | {"title": "Titled thing"}
    assert "Union[TitledThing, str]" in models({"oneOf": [titled, {"type": "string"}]})
    responses = {"200": in_json(CARD), "201": in_json({"type": "string"}), "202": {"content": {}}}
    assert "Union[models.Card, str] | None" in functions(operation("call", responses=responses))
    assert "json_answer(Any)" in functions(
        operation("call", responses={"200": {"content": {"application/json": {}}}})
    )


def test_schema_is_refused_wherever_it_is_used() -> None:
    """Each operation that uses a refused schema, directly or indirectly, is left out."""
    broken, whole_schema = (
        {"$ref": f"#/components/schemas/{name}"} for name in ("Broken", "Whole")
    )
    operations = [
        operation("first", responses={"200": in_json(broken)}),
        operation("second", responses={"200": in_json(whole_schema)}),
        operation("third", responses={"200": in_json(broken)}),
        operation("fourth"),
    ]
    place = "#/components/schemas/Broken/properties/wrong/type"
    assert {place, "#/paths/~1p1/post"} == set(problems(*operations))
    readme = files_of(*operations, skip_unmapped=True)["README.md"]
    assert "1 of 4 operations" in readme
    assert place in problems(operations[0], skip_unmapped=True)


def test_description_without_operations_is_refused() -> None:
    """An API description without operations is refused."""
    with pytest.raises(DescriptionRefused, match="The description has no operation"):
        client_files(OpenApi(description({})), "shop", ClientOptions())


@pytest.mark.parametrize(
    "part, code",
    [
        (parameter("a", style="pipeDelimited", schema={"type": "array"}), 'style="pipe"'),
        (parameter("a", style="spaceDelimited", explode=True, schema={"type": "array"}), "a)"),
        (parameter("a", style="spaceDelimited", schema={"type": "array"}), 'style="space"'),
        ({"name": "a", "in": "query", **in_json(CARD)}, 'style="json"'),
        ({"name": "a", "in": "query"}, '"a", str'),
    ],
)
def test_parameters_have_their_style(part: dict[str, Any], code: str) -> None:
    """List and object parameters have the style that the description gives."""
    assert code in functions(operation("call", parameters=[part]))


@pytest.mark.parametrize(
    "part, place, problem",
    [
        (parameter("a", "cookie", required=True), "", "A required cookie is not supported."),
        (parameter("a", style="matrix"), "/style", "The style 'matrix' is not supported."),
        (parameter("a", "header", style="deepObject"), "/style", "'deepObject' is not supported."),
        (
            {"name": "a", "in": "query", "content": {"text/csv": {}}},
            "/content/text~1csv",
            "A parameter in 'text/csv' is not supported.",
        ),
    ],
)
def test_parameters_that_cannot_be_mapped_are_reported(
    part: dict[str, Any], place: str, problem: str
) -> None:
    """A parameter that no HTTP request can carry is reported with its place."""
    refusals = problems(operation("call", parameters=[part]))
    assert [f"#/paths/~1p0/post/parameters/0{place}"] == [*refusals]
    assert next(iter(refusals.values())).endswith(problem)


def test_forms_keep_field_styles_and_json_variants_keep_media_types() -> None:
    """Forms keep the styles of their fields, and JSON variants keep their media type."""
    schema = {"properties": {name: {"type": "array"} for name in "abcd"}}
    encoding = {
        "a": {"explode": False},
        "b": {"contentType": "application/json"},
        "c": {"style": "pipeDelimited"},
        "d": {},
    }
    form = {"application/x-www-form-urlencoded": {"schema": schema, "encoding": encoding}}
    text = functions(operation("call", requestBody={"content": form}))
    assert '{"a": "comma", "b": "json", "c": "pipe"}' in text
    patch = {"application/merge-patch+json": {"schema": CARD}}
    assert 'media_type="application/merge-patch+json"' in functions(
        operation("call", requestBody={"content": patch})
    )
    any_content = {"*/*": {"schema": CARD}}
    assert "json_content(models.Card, body)" in functions(
        operation("call", requestBody={"content": any_content})
    )


def test_request_bodies_that_cannot_be_mapped_are_reported() -> None:
    """A form that is not an object, and a request body without content, are reported."""
    form = {"application/x-www-form-urlencoded": {"schema": {"type": "string"}}}
    refusals = problems(operation("call", requestBody={"content": form}))
    assert ["The form is not an object."] == [*refusals.values()]
    refusals = problems(operation("call", requestBody={"content": {}}))
    assert ["A request of this method cannot have content, or its content has no media type."] == [
        *refusals.values()
    ]
    paths = {"/a": {"get": operation("call", requestBody=in_json(CARD))}}
    assert ["#/paths/~1a/get/requestBody"] == [*problems(paths=paths)]


def test_head_response_has_no_type() -> None:
    """A HEAD request has no response type; without a success response the default one counts."""
    paths = {"/a": {"head": operation("call", responses={"200": in_json(CARD)})}}
    assert "read=no_answer" in functions(paths=paths)
    default = operation("call", responses={"default": in_json(CARD), "404": {}})
    assert "json_answer(models.Card)" in functions(default)


def test_extensions_reach_the_service() -> None:
    """An operation's timeout goes to its endpoint, and unsupported headers are listed."""
    headers = {"X-Quota-Left": {"schema": {"type": "integer"}}}
    files = files_of(
        operation("call", **{"x-speakeasy-timeout": 2500}, responses={"200": {"headers": headers}})
    )
    assert "timeout=2.5" in files["src/shop_client/service.py"]
    assert "documented headers: X-Quota-Left." in files["README.md"]


def test_endpoint_of_a_partial_segment_has_no_path() -> None:
    """No path is generated for a parameter that is only part of a segment, as in `/f/{id}.json`."""
    paths = {"/a.{id}": {"get": operation("call", parameters=[parameter("id", "path")])}}
    service = files_of(paths=paths)["src/shop_client/service.py"]
    assert 'Endpoint("call", HttpMethod.GET)' in service


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "object", "#/x", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "$ref", "a"]), inner, max_size=3)
    ),
    max_leaves=4,
)
KEYWORDS = [
    *("additionalProperties", "allOf", "anyOf", "const", "discriminator", "enum", "format"),
    *("items", "maximum", "minLength", "nullable", "oneOf", "properties", "required", "title"),
    "type",
]


@given(
    schema=st.dictionaries(st.sampled_from(KEYWORDS), JUNK, max_size=3),
    place=st.sampled_from(["schema", "parameters", "requestBody", "responses", "content"]),
)
def test_malformed_descriptions_are_refused(schema: dict[str, Any], place: str) -> None:
    """Any malformed part of a description is either mapped or refused with DescriptionRefused."""
    parts: dict[str, Any] = {place: schema}
    if place == "schema":
        parts = {"responses": {"200": in_json(schema)}}
    elif place == "content":
        parts = {"requestBody": {"content": schema}}
    with suppress(DescriptionRefused):
        assert "README.md" in files_of(operation("call") | parts)
