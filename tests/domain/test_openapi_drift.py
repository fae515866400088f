"""Of the changes between two API versions, only those that affect the program are shown."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from moorage.domain.openapi import fields
from moorage.domain.openapi.drift import ChangeKind, Usage, find_drift
from moorage.errors import DescriptionRefused

if TYPE_CHECKING:
    from collections.abc import Callable

Json = Any

OLD: Json = {
    "openapi": "3.0.0",
    "servers": [{"url": "https://pay.example/v1"}],
    "paths": {
        "/payments": {
            "parameters": [{"$ref": "#/components/parameters/limit"}],
            "post": {
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Order"}}
                    }
                },
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Payment"}}
                        }
                    },
                    "400": {"description": "refused"},
                },
            },
        },
        "/payments/{id}": {"get": {"responses": {"2XX": {"$ref": "#/components/responses/one"}}}},
        "/unused": {"get": {"responses": {}}},
    },
    "components": {
        "parameters": {"limit": {"name": "limit", "in": "query", "schema": {"type": "integer"}}},
        "responses": {
            "one": {"content": {"*/*": {"schema": {"$ref": "#/components/schemas/Payment"}}}}
        },
        "schemas": {
            "Order": {
                "type": "object",
                "required": ["amount"],
                "properties": {
                    "amount": {"$ref": "#/components/schemas/Amount"},
                    "mode": {"type": "string", "enum": ["test", "live", "dark"]},
                    "note": {"type": "string"},
                    "colour": {"type": "string"},
                },
            },
            "Amount": {
                "allOf": [
                    {"properties": {"value": {"type": ["integer", "string"]}}},
                    {"required": ["value"]},
                ]
            },
            "Payment": {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": {"type": "string"},
                    "status": {"type": "string", "enum": ["paid", "open"]},
                    "made": {"type": "string", "format": "date-time"},
                    "colour": {"type": "string"},
                    "refunds": {
                        "type": "array",
                        "items": {"anyOf": [{"$ref": "#/components/schemas/Payment"}]},
                    },
                    "links": {
                        "type": "object",
                        "additionalProperties": {
                            "type": "object",
                            "properties": {"href": {"type": "string"}},
                        },
                    },
                },
            },
        },
    },
}
"""A small description with references, alternatives, lists and a schema that contains itself."""

POST = ("POST", "/v1/payments")
USAGE = Usage(
    requests=frozenset({POST, ("GET", "/v1/payments/7"), ("GET", "/v9/nothing")}),
    names=frozenset(
        {
            *("amount", "value", "mode", "test", "limit", "id", "status"),
            *("paid", "made", "refunds", "links", "href", "note"),
        }
    ),
    sent={POST: frozenset({"amount", "amount.value", "mode"})},
)


def changed_description(change: Callable[[Json, Json], object]) -> Json:
    """Return the API description after a change of its schemas and paths."""
    new_description = copy.deepcopy(OLD)
    change(new_description["components"]["schemas"], new_description["paths"])
    return new_description


def kinds_at(new: Json, old: Json = OLD) -> set[tuple[str, str]]:
    """Return the kind and place of each reported change."""
    changes = find_drift(old, new, USAGE).changes
    return {(change.kind.value, f"{change.side or ''} {change.path}".strip()) for change in changes}


def put_keywords(node: Json, **fields: Json) -> None:
    """Set keywords of a schema."""
    node.update(fields)


TOUCHING: dict[str, tuple[Callable[[Json, Json], object], set[tuple[str, str]]]] = {
    "path": (lambda _, paths: paths.pop("/payments/{id}"), {("operation removed", "")}),
    "method": (lambda _, paths: paths["/payments"].pop("post"), {("operation removed", "")}),
    "deprecated": (
        lambda _, paths: put_keywords(paths["/payments"]["post"], deprecated=True),
        {("deprecated", "")},
    ),
    "sent field": (
        lambda schemas, _: schemas["Order"]["properties"].pop("mode"),
        {("field removed", "request mode")},
    ),
    "parameter": (
        lambda _, paths: paths["/payments"].pop("parameters"),
        {("field removed", "query limit")},
    ),
    "field with all below it": (
        lambda schemas, _: schemas["Payment"]["properties"].pop("refunds"),
        {("field removed", "answer refunds")},
    ),
    "field of a map": (
        lambda schemas, _: schemas["Payment"]["properties"]["links"]["additionalProperties"][
            "properties"
        ].clear(),
        {("field removed", "answer links.*.href")},
    ),
    "type of an answer": (
        lambda schemas, _: put_keywords(schemas["Payment"]["properties"]["id"], nullable=True),
        {("type changed", "answer id")},
    ),
    "type of a request": (
        lambda schemas, _: put_keywords(
            schemas["Amount"]["allOf"][0]["properties"]["value"], type=["string"]
        ),
        {("type changed", "request amount.value")},
    ),
    "format": (
        lambda schemas, _: put_keywords(schemas["Payment"]["properties"]["made"], format="date"),
        {("format changed", "answer made")},
    ),
    "word of a request": (
        lambda schemas, _: put_keywords(
            schemas["Order"]["properties"]["mode"], enum=["live", "dark"]
        ),
        {("words removed", "request mode")},
    ),
    "words of a free text": (
        lambda schemas, _: put_keywords(schemas["Order"]["properties"]["note"], enum=["a"]),
        {("words removed", "request note")},
    ),
    "word of an answer": (
        lambda schemas, _: put_keywords(
            schemas["Payment"]["properties"]["status"], enum=["paid", "open", "lost"]
        ),
        {("words added", "answer status")},
    ),
    "word that never comes": (
        lambda schemas, _: put_keywords(schemas["Payment"]["properties"]["status"], enum=["open"]),
        {("words removed", "answer status")},
    ),
    "new need of a known field": (
        lambda schemas, _: put_keywords(schemas["Order"], required=["amount", "note"]),
        {("now required", "request note")},
    ),
    "new need of an unknown field": (
        lambda schemas, _: put_keywords(schemas["Order"], required=["amount", "colour"]),
        {("now required", "request colour")},
    ),
    "answer that may lack it": (
        lambda schemas, _: put_keywords(schemas["Payment"], required=[]),
        {("now optional", "answer id")},
    ),
}


@pytest.mark.parametrize("name", TOUCHING)
def test_each_kind_of_change_to_part_that_program_uses_is_reported_with_its_place(
    name: str,
) -> None:
    """Each kind of change to a part that the program uses is reported with its place."""
    change, expected = TOUCHING[name]

    assert expected <= {
        (kind, place)
        for kind, place in kinds_at(changed_description(change))
        if not place.startswith("answer refunds[]")
    }


HARMLESS: dict[str, Callable[[Json, Json], object]] = {
    "other path": lambda _, paths: paths.pop("/unused"),
    "other field of a request": lambda schemas, _: schemas["Order"]["properties"].pop("colour"),
    "other field of an answer": lambda schemas, _: schemas["Payment"]["properties"].pop("colour"),
    "new field": lambda schemas, _: put_keywords(
        schemas["Order"]["properties"], size={"type": "string"}
    ),
    "other word of a request": lambda schemas, _: put_keywords(
        schemas["Order"]["properties"]["mode"], enum=["test", "live"]
    ),
    "more words of a request": lambda schemas, _: put_keywords(
        schemas["Order"]["properties"]["mode"], enum=["test", "live", "dark", "dim"]
    ),
    "more types of a request": lambda schemas, _: put_keywords(
        schemas["Order"]["properties"]["note"], type=["string", "null"]
    ),
    "any type of a request": lambda schemas, _: schemas["Order"]["properties"]["note"].pop("type"),
    "whole numbers are numbers": lambda schemas, _: put_keywords(
        schemas["Amount"]["allOf"][0]["properties"]["value"], type=["number", "string"]
    ),
    "need of what is always sent": lambda schemas, _: put_keywords(
        schemas["Order"], required=["amount", "mode"]
    ),
    "lesser need of a request": lambda schemas, _: put_keywords(schemas["Order"], required=[]),
    "new need of an answer": lambda schemas, _: put_keywords(
        schemas["Payment"], required=["id", "status", "colour"]
    ),
    "first format": lambda schemas, _: put_keywords(
        schemas["Payment"]["properties"]["id"], format="uuid"
    ),
    "prose": lambda schemas, _: put_keywords(schemas["Payment"], description="A payment."),
    "refusal": lambda _, paths: paths["/payments"]["post"]["responses"].pop("400"),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_change_to_part_that_program_does_not_use_is_not_reported(name: str) -> None:
    """A change to a part that the program does not use is not reported."""
    assert set() == kinds_at(changed_description(HARMLESS[name]))


def test_result_lists_the_compared_operations() -> None:
    """The result lists the compared operations, and the requests that neither version describes."""
    result = find_drift(OLD, OLD, USAGE)

    assert ("GET /payments/{id}", "POST /payments") == result.compared
    assert (("GET", "/v9/nothing"),) == result.undescribed
    assert () == result.changes


def test_operation_that_only_new_version_describes_is_neither_change_nor_compared() -> None:
    """An operation that only the new version describes is neither compared nor reported."""
    old_description = changed_description(lambda _, paths: paths.pop("/payments/{id}"))

    assert ("POST /payments",) == find_drift(old_description, OLD, USAGE).compared


def test_operation_beside_one_with_a_placeholder_is_another_one() -> None:
    """An added or removed `/payments/7` is a separate operation, not one of `/payments/{id}`."""
    totals = {"get": {"responses": {"200": {"description": "the totals"}}}}
    new_description = changed_description(lambda _, paths: paths.update({"/payments/7": totals}))
    expected = {(ChangeKind.OPERATION_REMOVED, "GET /payments/7")}
    added, removed = (
        find_drift(*pair, USAGE) for pair in ((OLD, new_description), (new_description, OLD))
    )

    assert ((), ("POST /payments",)) == (added.changes, added.compared)
    assert expected == {(change.kind, change.operation) for change in removed.changes}


@pytest.mark.parametrize("path", ["/payments/{payment}", "/payments/7"])
def test_renamed_placeholder_is_no_change(path: str) -> None:
    """A path is still compared if its placeholder was renamed or became a fixed word."""
    new_description = changed_description(
        lambda _, paths: paths.update({path: paths.pop("/payments/{id}")})
    )
    result = find_drift(OLD, new_description, USAGE)

    assert ((), 2) == (result.changes, len(result.compared))


def test_description_of_another_version_is_compared() -> None:
    """A recorded path also matches below another base path, such as `/v2` of another version."""
    new_description = {**OLD, "servers": [{"url": "https://pay.example/v2"}]}

    assert 2 == len(find_drift(new_description, new_description, USAGE).compared)


def test_description_of_openapi_2_is_compared() -> None:
    """Bodies, forms and responses of Swagger 2.0 descriptions are compared too."""

    def description(kind: str, answer: str) -> Json:
        body = {"type": "object", "properties": {"amount": {"type": kind}}}
        form = {"name": "note", "in": "formData", "type": kind}
        parameters = [
            {"name": "body", "in": "body", "schema": body},
            form,
            {"name": "id", "in": "path", "required": True, "type": "string"},
        ]
        schema = {"type": "object", "properties": {"id": {"type": answer}}}
        responses = {"200": {"schema": schema}}
        operation = {"parameters": parameters, "responses": responses}
        return {"swagger": "2.0", "basePath": "/v1/", "paths": {"/payments": {"post": operation}}}

    assert {
        ("type changed", "request amount"),
        ("type changed", "request note"),
        ("type changed", "answer id"),
    } == kinds_at(description("string", "integer"), description("integer", "string"))


def test_new_required_header_is_reported() -> None:
    """A new required header is reported, since the program's requests lack it."""
    header = {"name": "X-Trace", "in": "header", "required": True, "schema": {"type": "string"}}
    new_description = changed_description(
        lambda _, paths: put_keywords(paths["/payments"]["post"], parameters=[header])
    )

    assert {("now required", "header X-Trace")} == kinds_at(new_description)


def test_required_fields_inside_new_optional_object_are_not_reported() -> None:
    """Required fields inside a new optional object are not reported."""
    new_object = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
    new_description = changed_description(
        lambda schemas, _: put_keywords(schemas["Order"]["properties"], status=new_object)
    )

    assert set() == kinds_at(new_description)


def test_types_of_both_described_responses_are_allowed() -> None:
    """If two responses describe a field, the types and values of both are allowed."""

    def description(*types: str) -> Json:
        answers = {
            f"20{number}": {
                "content": {
                    "application/json": {
                        "schema": {
                            "oneOf": [
                                {"properties": {"status": {"type": kind, "enum": ["paid"]}}},
                                {"properties": {"status": {"const": "open", "type": kind}}},
                            ]
                        }
                    }
                }
            }
            for number, kind in enumerate(types)
        }
        return {"openapi": "3.1.0", "paths": {"/payments": {"post": {"responses": answers}}}}

    described = description("string", "integer")

    assert set() == kinds_at(description("string"), described)
    assert {("type changed", "answer status")} == kinds_at(described, description("string"))


def test_required_field_that_is_read_only_is_not_required_of_requests() -> None:
    """A required field that is read-only is not required of requests."""
    new_description = changed_description(
        lambda schemas, _: put_keywords(
            schemas["Order"],
            required=["amount", "id"],
            properties={
                **schemas["Order"]["properties"],
                "id": {"type": "string", "readOnly": True},
            },
        )
    )

    assert set() == kinds_at(new_description)


@pytest.mark.parametrize("wrong", [None, [], {}, {"paths": []}, "text", 7])
def test_document_without_paths_is_refused(wrong: Json) -> None:
    """A document without paths is refused.

    The error says whether it is the old or the new document.
    """
    with pytest.raises(DescriptionRefused, match=r"The old description .* OpenAPI"):
        find_drift(wrong, OLD, USAGE)
    with pytest.raises(DescriptionRefused, match=r"The new description .* OpenAPI"):
        find_drift(OLD, wrong, USAGE)


@pytest.mark.parametrize("wrong", [None, [], "text", 7, {"$ref": "#/nothing"}, {"$ref": "x.json"}])
def test_damaged_parts_are_left_out(wrong: Json) -> None:
    """A malformed part of a description, or a dangling reference, counts as missing."""
    new_description = changed_description(lambda schemas, _: schemas.update(Order=wrong))

    assert {("field removed", "request amount"), ("field removed", "request mode")} <= kinds_at(
        new_description
    )
    assert set() == kinds_at(OLD, new_description) - {("now required", "request amount")}


def test_change_that_adds_many_enum_values_names_five_of_them() -> None:
    """A change that adds many enum values names five of them, and the number of further values."""
    words = [f"word{number}" for number in range(9)]
    new_description = changed_description(
        lambda schemas, _: put_keywords(
            schemas["Payment"]["properties"]["status"], enum=["paid", "open", *words]
        )
    )
    change = find_drift(OLD, new_description, USAGE).changes[0]

    assert ChangeKind.WORDS_ADDED is change.kind
    assert not change.breaks
    assert (
        "Responses may now contain word0, word1, word2, word3, word4 and 4 more." == change.sentence
    )


def entangled_schemas() -> Json:
    """Return schemas that each refer to all other schemas."""
    references = [{"$ref": f"#/components/schemas/S{number}"} for number in range(9)]
    return {f"S{number}": {"anyOf": references} for number in range(9)}


def deep_schema() -> Json:
    """Return a schema nested in two thousand others."""
    schema: Json = {"type": "object"}
    for _ in range(2_000):
        schema = {"allOf": [schema]}
    return {"S0": schema}


@pytest.mark.parametrize("schemas", [entangled_schemas(), deep_schema()], ids=["entangled", "deep"])
def test_schemas_without_end_are_refused(schemas: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    """Schemas that refer to each other in too many ways, or are too deep, are refused."""
    monkeypatch.setattr(fields, "_MOST_SCHEMAS", 1_000)
    content = {"*/*": {"schema": {"$ref": "#/components/schemas/S0"}}}
    operation = {"responses": {"200": {"content": content}}}
    description = {"paths": {"/a": {"get": operation}}, "components": {"schemas": schemas}}
    usage = Usage(requests=frozenset({("GET", "/a")}), names=frozenset(), sent={})
    with pytest.raises(DescriptionRefused, match="nested too deeply"):
        find_drift(description, description, usage)


def with_status(schema: Json, **schemas: Json) -> Json:
    """Return the API description with another schema of the status, and further schemas."""

    def change(described: Json, _: Json) -> None:
        described["Payment"]["properties"]["status"] = schema
        described.update(schemas)

    return changed_description(change)


WORDS: Json = {"type": "string", "enum": ["paid", "open"]}
SHARED_WORDS: Json = {"$ref": "#/components/schemas/Words"}


@pytest.mark.parametrize(
    "old, new",
    [
        (
            {"nullable": True, "allOf": [SHARED_WORDS]},
            {"anyOf": [SHARED_WORDS, {"type": "null"}]},
        ),
        (
            {"nullable": True, "oneOf": [{"type": "string"}, {"type": "integer"}]},
            {"type": ["string", "integer", "null"]},
        ),
        (WORDS, {"enum": ["paid", "open"]}),
        (WORDS, {"oneOf": [{"const": "paid"}, {"const": "open"}]}),
        ({"type": "object", "properties": {"id": WORDS}}, {"properties": {"id": WORDS}}),
        ({"type": "array", "items": WORDS}, {"items": WORDS}),
    ],
)
def test_another_notation_of_a_schema_is_no_change(old: Json, new: Json) -> None:
    """A schema in OpenAPI 3.1's notation, or without a type that is implied, is no change."""
    descriptions = [with_status(schema, Words=WORDS) for schema in (old, new)]
    assert set() == kinds_at(descriptions[1], descriptions[0])
    assert set() == kinds_at(descriptions[0], descriptions[1])


@pytest.mark.parametrize(
    "new",
    [
        {"nullable": True, "allOf": [SHARED_WORDS]},
        {"anyOf": [SHARED_WORDS, {"type": "null"}]},
        {"enum": ["paid", "open", None]},
    ],
)
def test_new_null_is_reported_in_every_notation(new: Json) -> None:
    """A response field that may now be null is reported as having another type."""
    places = {("type changed", f"answer {path}status") for path in ("", "refunds[].")}
    assert kinds_at(with_status(new, Words=WORDS)) & places


def test_default_response_is_compared_if_no_success_is_described() -> None:
    """If an operation describes no success, its default response is compared instead."""

    def rename(_: Json, paths: Json) -> None:
        responses = paths["/payments"]["post"]["responses"]
        responses["default"] = responses.pop("200")

    assert set() == kinds_at(changed_description(rename))


def test_parameter_of_an_operation_replaces_that_of_its_path() -> None:
    """A parameter that an operation requires, but its path does not, is reported as required."""
    required = {"name": "limit", "in": "query", "required": True, "schema": {"type": "integer"}}
    new = changed_description(
        lambda _, paths: put_keywords(paths["/payments"]["post"], parameters=[required])
    )
    assert {("now required", "query limit")} == kinds_at(new)
