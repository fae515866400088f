"""Generated clients of difficult descriptions send the right requests and read the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from moorage import DescriptionRefused, FormFile, OpenApi, Response
from moorage.client_sdk import multipart_content
from moorage.scaffold import write
from moorage.scaffold.client.package import ClientOptions, client_files
from tests.support.openapi_samples import description, operation, parameter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Generate = Callable[..., Any]

TEXT = {"type": "string"}
NUMBERS = count(1)
"""The numbers of generated packages, whose names must differ in one process."""

SHARED = {
    "Status": {"enum": ["open", "done", None]},
    "Amount": {
        "oneOf": [{"type": "integer"}, {"type": "string", "format": "date"}, {"type": "null"}]
    },
    "Ticket": {
        "type": "object",
        "required": ["before", "after", "from", "to"],
        "properties": {
            "before": {"$ref": "#/components/schemas/Status"},
            "after": {"$ref": "#/components/schemas/Status"},
            "from": {"$ref": "#/components/schemas/Amount"},
            "to": {"$ref": "#/components/schemas/Amount"},
        },
    },
    "Filter": {
        "oneOf": [{"$ref": "#/components/schemas/All"}, {"$ref": "#/components/schemas/Equal"}],
        "discriminator": {"propertyName": "kind"},
    },
    "All": {
        "type": "object",
        "required": ["kind", "filters"],
        "properties": {
            "kind": {"const": "all"},
            "filters": {"type": "array", "items": {"$ref": "#/components/schemas/Filter"}},
        },
    },
    "Equal": {"type": "object", "required": ["kind"], "properties": {"kind": {"const": "equal"}}},
    "Node": {
        "allOf": [
            {
                "type": "object",
                "properties": {"next": {"$ref": "#/components/schemas/Node"}, "name": TEXT},
            }
        ]
    },
    "Account": {
        "type": "object",
        "required": ["id", "name", "password"],
        "properties": {
            "id": {"type": "string", "readOnly": True},
            "name": TEXT,
            "password": {"type": "string", "writeOnly": True},
        },
    },
}
PAIR = {"type": "object", "properties": {"a": {"type": "integer"}, "b": TEXT}}


@pytest.fixture
def generate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generate:
    """A function that generates a client with one operation per item, and imports its package."""

    def generate(*items: dict[str, Any], paths: Any = None) -> Any:
        tree = description(
            paths or {f"/p{number}": {"post": item} for number, item in enumerate(items)},
            components={"schemas": SHARED},
        )
        name = f"shop{next(NUMBERS)}"
        write(client_files(OpenApi(tree), name, ClientOptions()), tmp_path)
        monkeypatch.syspath_prepend(tmp_path / "src")
        return import_module(f"{name}_client")

    return generate


def operation_with_answer(schema: Any) -> dict[str, Any]:
    """Return an operation whose answer has a schema."""
    content = {"application/json": {"schema": schema}}
    return operation("ask", responses={"200": {"content": content}})


def schema_reference(name: str) -> dict[str, str]:
    """Return a reference to a shared schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def result(call: Any, value: Any) -> Any:
    """Return an operation's result for a JSON answer."""
    return call.read(
        Response(200, {"Content-Type": "application/json"}, json.dumps(value).encode())
    )


def operation_with_content(content: dict[str, Any]) -> dict[str, Any]:
    """Return an operation with required content."""
    return operation("give", requestBody={"required": True, "content": content})


def test_every_use_of_a_nullable_schema_allows_null(generate: Generate) -> None:
    """An enumeration or union that lists null may be null wherever the description refers to it."""
    client = generate(operation_with_answer(schema_reference("Ticket")))
    value = dict.fromkeys(("before", "after", "from", "to"))
    ticket = result(client.operations.ask(), value)
    assert (None, None, None, None) == (ticket.before, ticket.after, ticket.from_, ticket.to)


def test_union_may_contain_itself_in_an_object(generate: Generate) -> None:
    """A union whose object contains the union is read by its discriminator at each level."""
    client = generate(operation_with_answer(schema_reference("Filter")))
    inner = {"kind": "all", "filters": [{"kind": "equal"}]}
    value = result(client.operations.ask(), {"kind": "all", "filters": [inner, {"kind": "equal"}]})
    kinds = [type(item).__name__ for item in (*value.filters, *value.filters[0].filters)]
    assert ["All", "Equal", "Equal"] == kinds


def test_wrapped_object_may_contain_itself(generate: Generate) -> None:
    """An object in an `allOf` of one part may refer to the whole schema."""
    client = generate(operation_with_answer(schema_reference("Node")))
    node = result(client.operations.ask(), {"next": {"next": None, "name": "b"}, "name": "a"})
    assert ("a", "b", None) == (node.name, node.next.name, node.next.next)


def test_discriminator_of_unnamed_alternatives_is_their_constant(generate: Generate) -> None:
    """Alternatives without a name are chosen by the constants of the discriminator."""
    alternatives = [
        {"type": "object", "properties": {"kind": {"enum": [word]}, word: TEXT}}
        for word in ("cat", "dog")
    ]
    union = {"oneOf": alternatives, "discriminator": {"propertyName": "kind"}}
    client = generate(operation_with_answer(union))
    assert "woof" == result(client.operations.ask(), {"kind": "dog", "dog": "woof"}).dog


def test_discriminator_without_names_and_constants_is_not_used(generate: Generate) -> None:
    """Unnamed alternatives without constants are chosen by the other members."""
    alternatives = [
        {"type": "object", "required": [word], "properties": {"kind": TEXT, word: TEXT}}
        for word in ("cat", "dog")
    ]
    union = {"oneOf": alternatives, "discriminator": {"propertyName": "kind"}}
    client = generate(operation_with_answer(union))
    assert "woof" == result(client.operations.ask(), {"kind": "7", "dog": "woof"}).dog


def test_one_direction_may_omit_its_required_members(generate: Generate) -> None:
    """A request omits read-only members, and a response omits write-only members."""
    json_content = {"application/json": {"schema": schema_reference("Account")}}
    both = operation_with_content(json_content) | {"responses": {"200": {"content": json_content}}}
    client = generate(both)
    call = client.operations.give(client.models.Account(name="Ada", password="pw"))
    assert b'{"name":"Ada","password":"pw"}' == call.request.body
    account = result(call, {"id": "7", "name": "Ada"})
    assert ("7", None) == (account.id, account.password)


def test_members_of_their_own_direction_stay_required(generate: Generate) -> None:
    """A class that is only received keeps its required read-only members."""
    client = generate(operation_with_answer(schema_reference("Account")))
    with pytest.raises(TypeError, match="'id'"):
        client.models.Account(name="Ada")


@pytest.mark.parametrize(
    "schemas, problem",
    [
        (
            {
                f"A{level}": {
                    "allOf": [schema_reference(f"A{level + 1}"), schema_reference(f"A{level + 1}")]
                }
                for level in range(40)
            }
            | {"A40": {"$ref": "#/components/schemas/A0"}},
            "allOf is circular or malformed.",
        ),
        (
            {
                f"A{level}": {
                    "type": ["array", "object"],
                    "items": schema_reference(f"A{level + 1}"),
                    "additionalProperties": schema_reference(f"A{level + 1}"),
                }
                for level in range(40)
            }
            | {"A40": TEXT},
            "The type annotation of the schema is too long.",
        ),
    ],
)
def test_schemas_that_expand_exponentially_are_refused(schemas: Any, problem: str) -> None:
    """Schemas that double at each level are refused, and take neither time nor memory."""
    tree = description(
        {"/a": {"get": operation_with_answer(schema_reference("A0"))}},
        components={"schemas": schemas},
    )
    with pytest.raises(DescriptionRefused, match=problem):
        client_files(OpenApi(tree), "bomb", ClientOptions())


def test_repeated_part_of_all_of_is_merged_once() -> None:
    """Parts that `allOf` reaches on many paths are merged in a short time."""
    levels = {
        f"A{level}": {
            "allOf": [schema_reference(f"A{level + 1}"), schema_reference(f"A{level + 1}")]
        }
        for level in range(40)
    }
    schemas = SHARED | levels | {"A40": PAIR}
    tree = description(
        {"/a": {"get": operation_with_answer(schema_reference("A0"))}},
        components={"schemas": schemas},
    )
    models = client_files(OpenApi(tree), "many", ClientOptions())["src/many_client/models.py"]
    assert "class A0:" in models
    assert "a: int | None = None" in models


@pytest.mark.parametrize(
    "media_type, accept, content_type",
    [
        ("image/*", "image/*", "application/octet-stream"),
        ("text/*", "text/*", "text/plain"),
        ("*/*", "application/json", "application/json"),
    ],
)
def test_media_type_range_is_accepted_and_content_has_a_concrete_type(
    media_type: str, accept: str, content_type: str
) -> None:
    """A range such as `image/*` stays in the Accept header; a body gets a concrete media type."""
    ask = operation("ask", responses={"200": {"content": {media_type: {}}}})
    give = operation_with_content({media_type: {}})
    tree = description({"/a": {"get": ask, "post": give}})
    text = client_files(OpenApi(tree), "ranges", ClientOptions())["src/ranges_client/operations.py"]
    assert f'accept="{accept}"' in text
    assert f'media_type="{content_type}"' in text or content_type == "application/json"


def test_objects_in_parameters_are_joined(generate: Generate) -> None:
    """An object parameter is joined to names and values, or with `explode` to name=value pairs."""
    parameters = [
        parameter("key", "path", schema=PAIR),
        parameter("full", "path", schema=PAIR, explode=True),
        parameter("q", schema=PAIR, explode=False),
        parameter("p", schema=PAIR, style="pipeDelimited"),
        parameter("X-Pair", "header", schema=PAIR),
        parameter("X-Full", "header", schema=PAIR, explode=True),
    ]
    paths = {"/{key}/{full}": {"get": operation("ask", parameters=parameters)}}
    client = generate(paths=paths)
    models = client.models
    request = client.operations.ask(
        models.AskKey(a=1, b="x,y/z"),
        models.AskFull(a=1, b="x=y"),
        q=models.AskQ(a=1, b="z"),
        p=models.AskP(a=1, b="z"),
        x_pair=models.AskXPair(a=1, b="z"),
        x_full=models.AskXFull(a=1, b="z"),
    ).request
    assert "/a,1,b,x%2Cy%2Fz/a=1,b=x%3Dy" == request.path
    assert (("q", "a,1,b,z"), ("p", "a|1|b|z")) == request.query
    assert ("a,1,b,z", "a=1,b=z") == (request.headers["X-Pair"], request.headers["X-Full"])


def test_multipart_form_has_objects_in_json_and_optional_files(generate: Generate) -> None:
    """An object in a multipart form is a part in JSON, and a required file comes from `files`."""
    schema = {
        "type": "object",
        "required": ["file", "scans", "pair"],
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "scans": {"type": "array", "items": {"contentMediaType": "image/png"}},
            "pair": PAIR,
            "pairs": {"type": "array", "items": PAIR},
            "ids": {"type": "array", "items": {"type": "integer"}},
        },
    }
    encoding = {"ids": {"contentType": "application/json"}}
    form = {"multipart/form-data": {"schema": schema, "encoding": encoding}}
    client = generate(operation_with_content(form))
    pair = client.models.GiveBodyPair(a=1)
    items = [client.models.GiveBodyPairsItem(b="x")]
    body = client.models.GiveBody(pair=pair, pairs=items, ids=[1, 2])
    sent = client.operations.give(body, files={"file": FormFile("a.txt", b"text")}).request.body
    head = b"\r\nContent-Type: application/json\r\n\r\n"
    assert b'name="pair"' + head + b'{"a":1}\r\n' in sent
    assert b'name="pairs"' + head + b'{"b":"x"}\r\n' in sent
    assert b'name="ids"' + head + b"[1,2]\r\n" in sent
    assert 1 == sent.count(b'name="file"')


def test_multipart_fields_have_the_described_styles() -> None:
    """A multipart field with a described style is written in that style, not as a part in JSON."""
    content = multipart_content(Mapping[str, Any], {"a": {"b": 1}}, styles={"a": "deep"})
    assert isinstance(content.body, bytes)
    assert b'name="a[b]"\r\n\r\n1\r\n' in content.body


def test_form_may_have_any_members(generate: Generate) -> None:
    """A form may have any members, and its media type may have parameters."""
    form = "application/x-www-form-urlencoded; charset=utf-8"
    client = generate(operation_with_content({form: {"schema": {"type": "object"}}}))
    request = client.operations.give({"a": "1", "b": ["2", "3"]}).request
    assert b"a=1&b=2&b=3" == request.body
    assert "application/x-www-form-urlencoded" == request.headers["Content-Type"]


def test_values_may_contain_class_name_markers(generate: Generate) -> None:
    """A value may contain the characters that mark the names of classes in annotations."""
    client = generate(operation_with_answer({"type": "array", "items": {"enum": ["«Ticket»"]}}))
    assert ("«Ticket»",) == result(client.operations.ask(), ["«Ticket»"])


def test_function_does_not_hide_the_future_import() -> None:
    """An operation named `annotations` does not get the name of the imported feature."""
    tree = description({"/a": {"get": operation("annotations")}})
    files = client_files(OpenApi(tree), "notes", ClientOptions())
    assert "def annotations_(" in files["src/notes_client/operations.py"]


def test_skipped_operation_with_an_unprintable_path_is_listed(tmp_path: Path) -> None:
    """The README lists a skipped operation whose path UTF-8 cannot encode."""
    paths = {"/a": {"get": operation("a")}, "/b \ud800`\n": {"get": operation("b")}}
    files = client_files(OpenApi(description(paths)), "odd", ClientOptions(skip_unmapped=True))
    write(files, tmp_path)
    listed = [line for line in files["README.md"].splitlines() if line.startswith("- `#/paths")]
    assert 1 == len(listed)


@pytest.mark.parametrize(
    "schema, value, expected",
    [
        ({"type": "integer", "enum": ["1", "2"]}, 1, 1),
        ({"type": "array", "items": TEXT, "enum": ["a"]}, ["a"], ("a",)),
        ({"type": ["integer", "null"], "enum": ["1"]}, None, None),
    ],
)
def test_choices_of_another_type_are_ignored(
    schema: Any, value: Any, expected: Any, generate: Generate
) -> None:
    """An `enum` whose values cannot have the type of the schema does not change the type."""
    member = {"type": "object", "required": ["a"], "properties": {"a": schema}}
    client = generate(operation_with_answer(member))
    assert expected == result(client.operations.ask(), {"a": value}).a


def test_requirement_beside_a_reference_is_kept(generate: Generate) -> None:
    """A schema that only adds required members to another one has a class of its own."""
    strict = {"allOf": [schema_reference("Node")], "required": ["name"]}
    client = generate(operation_with_content({"application/json": {"schema": strict}}))
    with pytest.raises(TypeError, match="'name'"):
        client.models.GiveBody()
    assert b'{"name":"a"}' == client.operations.give(client.models.GiveBody(name="a")).request.body
