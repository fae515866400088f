"""Requests and responses are checked against API descriptions, whole or as excerpts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import Request
from tools import descriptions, distil_descriptions
from tools.descriptions import (
    Description,
    Operation,
    check,
    exchanges_of,
    operation_of,
    problems_of,
    request_problems,
)
from tools.distil_descriptions import excerpt, facts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.exporting.recording import Exchange

TEXT: Any = {"type": "string"}
BALANCE: Any = {
    "type": "object",
    "description": "An object of this vendor.",
    "required": ["account_sid", "balance", "currency"],
    "properties": {
        "account_sid": {"type": "string", "maxLength": 34, "example": "AC1"},
        "balance": TEXT,
        "currency": {"type": "string", "enum": ["USD"], "description": "The currency."},
    },
}
PATH = "/2010-04-01/Accounts/{AccountSid}/Balance.json"


def describe_operation(schema: Any) -> Any:
    """Return a description of one Twilio operation with the given response schema."""
    response = {"description": "OK", "content": {"application/json": {"schema": {"$ref": "#/s/B"}}}}
    return {
        "info": {"version": "1", "license": {"name": "Ours"}},
        "servers": [{"url": "https://api.twilio.com"}],
        "paths": {
            PATH: {
                "parameters": [
                    {"in": "path", "name": "AccountSid", "required": True},
                    {"in": "header", "name": "X-Key"},
                ],
                "get": {"summary": "Fetch it.", "responses": {"200": response}},
            },
            "/unused": {"get": {"responses": {}}},
        },
        "s": {"B": schema, "Unused": TEXT},
    }


def changed_balance_schema(**properties: Any) -> Any:
    """Return the schema of a balance with the given properties changed."""
    return {**BALANCE, "properties": {**BALANCE["properties"], **properties}}


def folder_of(place: Path, schema: Any) -> Path:
    """Create a folder that contains Twilio's OpenAPI description."""
    folder = place / "official" / "twilio"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "api.json").write_text(json.dumps(describe_operation(schema)), "utf-8")
    return folder


def test_matching_sandbox_has_no_problems(tmp_path: Path) -> None:
    """A sandbox that responds as described has no problems; undescribed operations are listed."""
    wrong_counts, missing_counts = check(folder_of(tmp_path, BALANCE))

    assert {} == wrong_counts
    assert "POST /2010-04-01/Accounts/{account}/Messages.json" in missing_counts
    assert not any("Balance" in operation for operation in missing_counts)


@pytest.mark.parametrize(
    "schema, problem",
    [
        ({**BALANCE, "required": ["debt"]}, "body has no debt."),
        (changed_balance_schema(balance={"type": "number"}), "body.balance is no number."),
        (
            changed_balance_schema(balance={"type": ["number", "null"]}),
            "body.balance is no number or null.",
        ),
        (changed_balance_schema(currency={"enum": ["EUR"]}), "body.currency cannot be 'USD'."),
        (
            changed_balance_schema(currency={"type": "string", "maxLength": 2}),
            "body.currency is too long.",
        ),
        ({"type": "object", "properties": {"account_sid": TEXT}}, "body.balance is not known."),
        ({"type": "array"}, "body is no array."),
        (
            {"anyOf": [{"type": "array"}, {**BALANCE, "required": ["debt"]}]},
            "body has no debt.",
        ),
    ],
    ids=str,
)
def test_difference_is_reported(schema: Any, problem: str, tmp_path: Path) -> None:
    """A response that the description does not allow is reported with its operation."""
    wrong_counts, _ = check(folder_of(tmp_path, schema))

    assert f"GET {PATH}, response: {problem}" in wrong_counts


@pytest.mark.parametrize(
    "schema, value",
    [
        ({"type": "string", "nullable": True}, None),
        ({"type": "object", "additionalProperties": True, "properties": {"a": TEXT}}, {"b": 1}),
        ({"additionalProperties": TEXT}, {"b": "c"}),
        ({"allOf": [{"properties": {"a": TEXT}}, {"properties": {"b": TEXT}}]}, {"a": "", "b": ""}),
        ({"properties": {"a": {"writeOnly": True}}, "required": ["a"]}, {}),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, 1),
        ({"type": "array", "items": TEXT}, ["a"]),
    ],
    ids=str,
)
def test_response_that_description_allows_has_no_problems(schema: Any, value: Any) -> None:
    """A response that the description allows has no problems."""
    assert [] == problems_of(Description({"paths": {}}), schema, value, "readOnly")


def test_field_of_a_response_may_be_missing_in_a_request() -> None:
    """A request may lack a field that only responses require."""
    schema = {"properties": {"a": {"readOnly": True}, "b": {}}, "required": ["a", "b"]}

    assert ["body has no b."] == problems_of(Description({"paths": {}}), schema, {}, "writeOnly")


def test_request_is_checked(tmp_path: Path) -> None:
    """A request's query and form are checked against their schemas."""
    folder = folder_of(tmp_path, BALANCE)
    form = {
        "type": "object",
        "required": ["Wanted"],
        "properties": {"To": TEXT, "ValidityPeriod": {"type": "string"}},
    }
    content = {"application/x-www-form-urlencoded": {"schema": form}}
    root = {
        "paths": {
            "/2010-04-01/Accounts/{a}/Messages.json": {
                "post": {
                    "parameters": [{"in": "query", "name": "dry", "required": True}],
                    "requestBody": {"content": content},
                    "responses": {},
                }
            },
            "/v2/PhoneNumbers/{n}": {
                "get": {
                    "parameters": [{"in": "query", "name": "Fields", "schema": {"enum": ["a"]}}],
                    "responses": {"2XX": {}},
                }
            },
        }
    }
    (folder / "api.json").write_text(json.dumps(root), "utf-8")
    wrong_counts, _ = check(folder)
    place = "POST /2010-04-01/Accounts/{a}/Messages.json"

    assert f"{place}, request: The query has no dry." in wrong_counts
    assert f"{place}, request: body has no Wanted." in wrong_counts
    assert f"{place}, request: body.Body is not known." in wrong_counts
    assert f"{place}, response: The status 201 is not described." in wrong_counts


def sent_exchange(body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> Exchange:
    """Return a recorded request with the given body, content type and headers."""
    url = "https://api.example/orders"
    request = Request.post(url, body=body, headers={"Content-Type": kind, **(headers or {})})
    return attrs.evolve(exchanges_of("twilio")[0], url=url, request=request)


def orders(schema: Any, kind: str) -> tuple[Description, Operation]:
    """Return a description of `POST /orders` with the given body schema, and its operation."""
    parts = {"requestBody": {"content": {kind: {"schema": schema}}}, "responses": {}}
    description = Description({"paths": {"/orders": {"post": parts}}, "s": {"Card": CARD}})
    (operation,) = description.operations("POST", "/orders")
    return description, operation


CARD: Any = {"type": "object", "required": ["number"], "properties": {"type": TEXT, "number": TEXT}}
FORM: Any = {
    "type": "object",
    "properties": {
        "title": TEXT,
        "test": {"type": "boolean"},
        "signers": {"type": "array", "items": CARD},
        "files": {"type": "array", "items": TEXT},
        "notes": {"type": "object", "properties": {"a": TEXT}},
    },
}


def test_form_in_parts_is_checked() -> None:
    """Fields of a multipart form are checked; a list may be one field or several."""
    fields = {
        "title": "A",
        "test": "1",
        "signers": '[{"type": "x"}]',
        "files[0]": "%PDF",
        "files[1]": "%PDF",
        "notes": '{"b": "c"}',
        "other": "1",
    }
    parts = "".join(
        f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in fields.items()
    )
    kind = "multipart/form-data"
    exchange = sent_exchange(f"{parts}--edge--\r\n".encode(), f"{kind}; boundary=edge")

    assert [
        "body.signers[0] has no number.",
        "body.notes.b is not known.",
        "body.other is not known.",
    ] == request_problems(*orders(FORM, kind), exchange)


NESTED: Any = {
    "type": "object",
    "properties": {
        "amount": {"type": "integer"},
        "metadata": {"anyOf": [{"type": "object", "additionalProperties": TEXT}, {"enum": [""]}]},
        "off_session": {"anyOf": [{"type": "boolean"}, {"type": "string", "enum": ["one_off"]}]},
        "expand": {"type": "array", "items": TEXT},
        "items": {
            "type": "array",
            "items": {"type": "object", "properties": {"quantity": {"type": "integer"}}},
        },
    },
}


@pytest.mark.parametrize(
    "text, expected",
    [
        ("amount=1&metadata[reference]=A1&off_session=true&expand[]=a&expand[]=b", []),
        ("metadata=&off_session=one_off&items[0][quantity]=1&items[1][quantity]=2", []),
        ("off_session=maybe", ["body.off_session cannot be 'maybe'."]),
        ("items[0][quantity]=many", ["body.items[0].quantity is no integer."]),
        ("items[0][number]=1", ["body.items[0].number is not known."]),
        ("amount[value]=1", ["body.amount is no integer."]),
    ],
)
def test_nested_form_is_checked(text: str, expected: list[str]) -> None:
    """Form names with brackets become objects and lists; a value gets the first type that fits."""
    kind = "application/x-www-form-urlencoded"

    assert expected == request_problems(*orders(NESTED, kind), sent_exchange(text.encode(), kind))


@pytest.mark.parametrize("text, problem", [("true", []), ("yes", ["body.test is no boolean."])])
def test_boolean_in_a_form_is_checked(text: str, problem: list[str]) -> None:
    """A boolean in a form must be written as one of the usual words."""
    kind = "application/x-www-form-urlencoded"

    assert problem == request_problems(
        *orders(FORM, kind), sent_exchange(f"test={text}".encode(), kind)
    )


LISTING: Any = {
    "type": "object",
    "properties": {
        "Owner": {"type": "string", "xml": {"attribute": True}},
        "Count": {"type": "integer"},
        "Names": {"type": "array", "items": TEXT, "xml": {"wrapped": True}},
        "Items": {"type": "array", "items": {**CARD, "xml": {"name": "Item"}}},
        "Labels": {"type": "object", "additionalProperties": TEXT},
    },
}
XML = """<?xml version="1.0"?><Listing xmlns="urn:acme" Owner="Ada"><Count>2</Count>
<Names><Name>a</Name><Name>b</Name></Names><Item><number>1</number></Item><Item/>
<Labels><colour>red</colour></Labels><Other>x</Other></Listing>"""


def test_xml_is_checked() -> None:
    """Attributes, lists and texts in XML are read as the schema says."""
    problems = request_problems(
        *orders(LISTING, "application/xml"), sent_exchange(XML.encode(), "text/xml")
    )

    assert problems == request_problems(
        *orders(LISTING, "application/xml"), sent_exchange(XML.encode(), "application/xml")
    )
    assert ["body.Items[1] has no number.", "body.Other is not known."] == problems


def test_xml_that_is_a_text_has_no_structure() -> None:
    """An XML document whose schema is a text is not parsed."""
    description, operation = orders(TEXT, "application/xml")

    assert [] == request_problems(description, operation, sent_exchange(b"<a>", "application/xml"))


def test_metadata_of_an_upload_are_checked() -> None:
    """The JSON part of a multipart upload is checked against the schema."""
    kind = "multipart/related; boundary=x"
    body = (
        b"--x\r\nContent-Type: application/json\r\n\r\n{}\r\n"
        b"--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x--"
    )

    assert ["body has no number."] == request_problems(
        *orders(CARD, "multipart/related"), sent_exchange(body, kind)
    )


def test_files_may_have_any_content() -> None:
    """A body that is described as a file may have any type and content."""
    body = {"in": "body", "name": "file", "schema": {"type": "string", "format": "binary"}}
    root: Any = {"paths": {"/orders": {"post": {"parameters": [body], "responses": {}}}}}
    description = Description(root)
    (operation,) = description.operations("POST", "/orders")

    assert [] == request_problems(description, operation, sent_exchange(b"\x00", "image/png"))


def test_missing_definition_allows_anything() -> None:
    """A schema reference that leads nowhere allows any value."""
    schema = {"type": "object", "properties": {"a": {"$ref": "#/s/Missing/inner"}}}
    description, _ = orders(schema, "application/json")

    assert [] == problems_of(description, schema, {"a": [1]}, "writeOnly")


def test_best_operation_of_a_path_is_chosen() -> None:
    """If operations differ only in their headers, the one with the fewest problems is used."""
    copy = {"parameters": [{"in": "header", "name": "x-source", "required": True}], "responses": {}}
    root = {"paths": {"/orders#copy": {"post": copy}, "/orders#put": {"post": {"responses": {}}}}}
    exchange = sent_exchange(b"", "text/plain")
    chosen = [
        operation_of([Description(root)], exchange),
        operation_of([Description({"paths": {"/orders#copy": {"post": copy}}})], exchange),
    ]

    assert ["/orders#put", "/orders#copy"] == [match[1].template for match in chosen if match]
    assert operation_of([Description({"paths": {}})], exchange) is None


@pytest.mark.parametrize(
    "value, expected",
    [
        ({"type": "card"}, ["body has no number."]),
        ({"type": "card", "number": "1"}, []),
        ({"type": "cash"}, []),
        ("card", ["body is no object."]),
    ],
    ids=str,
)
def test_discriminator_chooses_the_schema(value: Any, expected: list[str]) -> None:
    """A value is checked by the schema that its discriminator names, if that is mapped."""
    choice = {"propertyName": "type", "mapping": {"card": "#/s/Card"}}
    schema = {"type": "object", "properties": {"type": TEXT}, "discriminator": choice}
    description, _ = orders(schema, "application/json")

    assert expected == problems_of(description, schema, value, "writeOnly")


def test_excerpt_keeps_discriminator_property_and_schemas() -> None:
    """An excerpt keeps a discriminator's property and schemas, but not its prose."""
    choice = {"propertyName": "currency", "mapping": {"USD": "#/s/Dollars"}, "note": "Long."}
    root = describe_operation({**BALANCE, "discriminator": choice})
    root["s"]["Dollars"] = TEXT
    result = excerpt(root, "api.json", [("GET", PATH.replace("{AccountSid}", "AC1"))])

    assert {"B", "Dollars"} == set(result["s"])
    assert {"propertyName": "currency", "mapping": {"USD": "#/s/Dollars"}} == result["s"]["B"][
        "discriminator"
    ]


def test_facts_have_no_prose() -> None:
    """An excerpt of a description keeps names, types and enumerations, but no prose."""
    schema = {
        "description": "A long text.",
        "example": 1,
        "x-vendor": True,
        "type": "object",
        "properties": {"description": {"type": "string", "enum": ["It is all of it."]}},
        "oneOf": [{"title": "One", "enum": ["a word", "b"]}],
    }

    assert {
        "type": "object",
        "properties": {"description": {"type": "string"}},
        "oneOf": [{"enum": ["a word", "b"]}],
    } == facts(schema)


def test_excerpt_has_what_is_in_use() -> None:
    """An excerpt has the operations that the vendor uses, their references, and the licence."""
    path = PATH.replace("{AccountSid}", "AC1")
    result = excerpt(describe_operation(BALANCE), "api.json", [("GET", path), ("GET", "/none")])

    assert [PATH] == list(result["paths"])
    assert [{"in": "header", "name": "X-Key"}] == result["paths"][PATH]["get"]["parameters"]
    assert ["B"] == list(result["s"])
    assert ("api.json", "1", "Ours") == (result["source"], result["version"], result["license"])
    assert excerpt(describe_operation(BALANCE), "api.json", [("GET", "/none")]) is None


def test_excerpts_are_as_good_as_the_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An excerpt finds the same problems as the whole description; a changed excerpt is noticed."""
    official = folder_of(tmp_path, {**BALANCE, "required": ["debt"]}).parent
    target = tmp_path / "excerpts"

    assert 1 == distil_descriptions.main(official, target, check=True)
    assert 0 == distil_descriptions.main(official, target, check=False)
    assert 0 == distil_descriptions.main(official, target, check=True)
    assert check(official / "twilio") == check(target / "twilio")
    capsys.readouterr()
    assert 1 == descriptions.main(target)
    assert "twilio: GET" in capsys.readouterr().out
    folder_of(tmp_path, BALANCE)
    assert 1 == distil_descriptions.main(official, target, check=True)
    assert "api.json differs from its description.\n" in capsys.readouterr().out
