"""Generated API clients are typed, tested and deterministic, and follow the API description."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import pytest

from moorage import (
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    ConnectorManager,
    DescriptionRefused,
    HttpOperation,
    InvalidData,
    OpenApi,
    Response,
    RetryPolicy,
    Service,
    VendorFailed,
    VendorRejected,
)
from moorage.cli import main
from moorage.client_sdk import (
    AS_TEXT,
    Items,
    Number,
    OneOf,
    Text,
    binary_answer,
    binary_content,
    json_answer,
    make_request,
    no_answer,
    parameter,
    read_value,
    sample,
    segment,
    text_answer,
    text_content,
    write_value,
)
from moorage.client_sdk.json_numbers import exact_json
from moorage.scaffold import write
from moorage.scaffold.client.package import ClientOptions, client_files
from moorage.testing import Behaviour, FakeVendor, ScriptedHttpClient, VendorServer
from tests.support.openapi_samples import description, operation
from tests.support.openapi_samples import parameter as described

if TYPE_CHECKING:
    from pathlib import Path

LINE = {"$ref": "#/components/schemas/Line"}
SCHEMAS: dict[str, Any] = {
    "Order": {
        "type": "object",
        "required": ["id", "total", "class"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "total": {"type": "number", "minimum": 0},
            "class": {"enum": ["small", "large", None], "nullable": True},
            "price": {"type": "string", "format": "decimal"},
            "placedAt": {"type": "string", "format": "date-time"},
            "due": {"type": "string", "format": "date"},
            "note": {"type": ["string", "null"], "maxLength": 5},
            "count": {"type": "integer", "exclusiveMinimum": True, "minimum": 0},
            "gift": {"type": "boolean"},
            "label": {"type": "string", "format": "byte"},
            "parent": {"$ref": "#/components/schemas/Order"},
            "lines": {
                "type": "array",
                "minItems": 1,
                "items": {"$ref": "#/components/schemas/Line"},
            },
            "payment": {"$ref": "#/components/schemas/Payment"},
            "owner": {"anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/Owner"}]},
            "tags": {"type": "object", "additionalProperties": {"type": "string"}},
            "anything": {},
            "code": {"enum": [1, 2, True]},
            "object": {"const": "order"},
            "api_token": {"type": "string"},
            "self": {"type": "string"},
        },
    },
    "Base": {"type": "object", "required": ["sku"], "properties": {"sku": {"type": "string"}}},
    "Line": {
        "allOf": [
            {"$ref": "#/components/schemas/Base"},
            {"type": "object", "properties": {"pieces": {"type": "integer"}}},
        ]
    },
    "Owner": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
    "Card": {
        "type": "object",
        "required": ["kind", "number"],
        "properties": {"kind": {"type": "string"}, "number": {"type": "string"}},
        "additionalProperties": False,
    },
    "Cash": {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"type": "string"}},
    },
    "Payment": {
        "oneOf": [{"$ref": "#/components/schemas/Card"}, {"$ref": "#/components/schemas/Cash"}],
        "discriminator": {
            "propertyName": "kind",
            "mapping": {"card": "#/components/schemas/Card", "c": "Cash"},
        },
    },
}


def in_json(schema: Any) -> dict[str, Any]:
    """Return a JSON response or request body with this schema."""
    return {"content": {"application/json": {"schema": schema}}}


ORDER = {"$ref": "#/components/schemas/Order"}
PATHS: dict[str, Any] = {
    "/orders/{id}": {
        "parameters": [described("id", "path")],
        "get": operation(
            "getOrder",
            summary='Get "one" order.',
            parameters=[
                described("expand", schema={"type": "array", "items": {"type": "string"}}),
                described("X-Trace", "header"),
                described("session", "cookie"),
            ],
            responses={"200": in_json(ORDER), "404": {}},
        ),
        "delete": operation("deleteOrder"),
    },
    "/orders": {
        "post": operation(
            "createOrder",
            requestBody={"required": True, **in_json(ORDER)},
            responses={"201": in_json(ORDER), "204": {}},
        ),
        "get": operation(
            "list",
            parameters=[
                described("limit", required=True, schema={"type": "integer", "maximum": 100}),
                described("filter", style="deepObject", schema={"type": "object"}),
                described("ids", explode=False, schema={"type": "array", "items": {}}),
            ],
            responses={"200": in_json({"type": "array", "items": ORDER})},
        ),
    },
    "/forms": {
        "post": operation(
            "sendForm",
            requestBody={
                "content": {
                    "application/x-www-form-urlencoded": {
                        "schema": {
                            "type": "object",
                            "properties": {"ids": {"type": "array", "items": {"type": "integer"}}},
                        },
                        "encoding": {"ids": {"style": "deepObject"}},
                    }
                }
            },
            responses={"200": {"content": {"text/plain": {}}}},
        ),
        "put": operation(
            "sendFiles",
            requestBody={
                "required": True,
                "content": {
                    "multipart/form-data": {
                        "schema": {"type": "object", "properties": {"name": {"type": "string"}}}
                    }
                },
            },
            responses={"default": {"content": {"application/pdf": {}}}},
        ),
        "patch": operation("sendText", requestBody={"required": True, "content": {"text/csv": {}}}),
    },
    "/raw": {
        "post": operation("sendRaw", requestBody={"required": True, "content": {"image/png": {}}})
    },
}
SHOP = description(PATHS, components={"schemas": SCHEMAS})


def generated_client(tmp_path: Path, name: str, **options: Any) -> Path:
    """Generate the client of the example shop, and return its folder."""
    folder = tmp_path / name
    write(client_files(OpenApi(SHOP), name, ClientOptions(**options)), folder)
    return folder


def run(folder: Path, *command: str) -> str:
    """Run a Python program in a folder, and return its output."""
    finished = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert 0 == finished.returncode, finished.stdout + finished.stderr
    return finished.stdout


def test_client_passes_its_tests_types_and_format(tmp_path: Path) -> None:
    """The generated package passes its own tests, strict type checks and the formatter."""
    folder = generated_client(tmp_path, "shop")
    plugins = ("cacheprovider", "django", "hypothesispytest", "pytest_cov", "randomly", "xdist")
    assert " passed" in run(folder, "pytest", "-q", *(f"-pno:{plugin}" for plugin in plugins))
    for module in ("mypy", "ruff"):
        pytest.importorskip(module)
    run(folder, "mypy", "--strict", "src")
    run(folder, "ruff", "format", "--check", ".")
    run(folder, "ruff", "check", ".")


def test_same_description_gives_same_files() -> None:
    """Generating the client twice from one description produces the same files."""
    first = client_files(OpenApi(SHOP), "shop", ClientOptions())
    assert first == client_files(OpenApi(json.loads(json.dumps(SHOP))), "shop", ClientOptions())
    assert "8 of 8 operations" in first["README.md"]


def test_client_calls_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manager runs the client's functions; amounts stay exact and unknown fields are kept."""
    monkeypatch.syspath_prepend(generated_client(tmp_path, "store", check_answers=True) / "src")
    client, models = import_module("store_client"), import_module("store_client.models")
    text = (
        '{"id": "6f1c8a52-0a6e-4b59-9a3c-3d1f2b7c9e10", "total": 0.1000000000000000055,'
        ' "class": null, "placedAt": "2026-01-02T03:04:05Z", "note": null, "later": [1.5],'
        ' "payment": {"kind": "card", "number": "4"}, "owner": {"name": "me"}}'
    )
    with ExitStack() as scope:
        vendor = scope.enter_context(VendorServer())
        vendor.always(Behaviour(body=text.encode(), headers={"Content-Type": "application/json"}))
        manager = scope.enter_context(ConnectorManager([client.make_service(vendor.url)]))
        order = manager.perform("store", client.operations.get_order("a/b", expand=["x", "y"]))
        assert Decimal("0.1000000000000000055") == order.total
        assert datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) == order.placed_at
        assert (None, {"later": [Decimal("1.5")]}) == (order.note, order.other_fields)
        assert models.Card(kind="card", number="4") == order.payment
        assert models.Owner(name="me", other_fields={}) == order.owner
        assert "api_token" not in repr(order)
        sent_path = vendor.requests[0].path
        assert "/orders/a%2Fb" in sent_path
        manager.perform("store", client.operations.create_order(order))
        sent_json = exact_json(vendor.requests[1].body)
        assert exact_json(text.encode()) == sent_json
        too_long = models.Order(id=order.id, total=Decimal(1), class_=None, note="123456")
        with pytest.raises(InvalidData, match=r"body.note has more than 5 characters"):
            client.operations.create_order(too_long)
    assert not models.OrderClass("huge").is_known
    assert models.OrderClass.SMALL.is_known


def test_names_of_generated_modules_may_occur_in_the_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Operations, parameters and members may have the names that generated modules use."""
    member = {"type": "object", "properties": {"dict": {"type": "string"}}}
    paths = {
        "/registry/{package}": {
            "get": operation(
                "json_answer",
                parameters=[described("package", "path"), described("make_request")],
                responses={"200": in_json(member)},
            ),
            "delete": operation(
                "remove",
                parameters=[described("package", "path"), described("no_answer")],
                responses={"204": {}},
            ),
        },
    }
    texts = client_files(OpenApi(description(paths)), "registry", ClientOptions())
    write(texts, tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "src")
    operations = import_module("registry_client").operations
    package_call = operations.json_answer_("left-pad", make_request_="1")
    assert ("/registry/left-pad", (("make_request", "1"),)) == (
        package_call.request.path,
        package_call.request.query,
    )
    assert "x" == package_call.read(Response(200, body=b'{"dict": "x"}')).dict_
    removal_call = operations.remove("left-pad", no_answer_="1")
    assert removal_call.read(Response(204)) is None


@pytest.mark.parametrize(
    "schema, pointer",
    [
        ({"type": "tuple"}, "/type"),
        ({"$dynamicRef": "#x"}, ""),
        (False, ""),
        ({"enum": 1}, "/enum"),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}], "properties": {"a": {}}}, "/oneOf"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "/allOf/0"),
        ({"type": "array", "items": {"$ref": "other.json"}}, "/items"),
    ],
)
def test_schema_that_cannot_be_mapped_is_reported_by_its_json_pointer(
    schema: Any, pointer: str
) -> None:
    """A schema that cannot be mapped is reported by JSON pointer, or its operations are skipped."""
    tree = description(
        {"/a": {"get": operation("a", responses={"200": in_json(schema)})}, **PATHS},
        components={"schemas": SCHEMAS},
    )
    with pytest.raises(DescriptionRefused) as excinfo:
        client_files(OpenApi(tree), "shop", ClientOptions())
    place = f"#/paths/~1a/get/responses/200/content/application~1json/schema{pointer}"
    assert [place] == [problem.path for problem in excinfo.value.problems]
    texts = client_files(OpenApi(tree), "shop", ClientOptions(skip_unmapped=True))
    assert f"`{place}`" in texts["README.md"]
    assert "8 of 9 operations" in texts["README.md"]


def test_schema_that_refers_only_to_itself_is_refused() -> None:
    """A schema that refers only to itself is refused; an object that contains itself is a class."""
    loop = {"$ref": "#/components/schemas/Loop"}
    schemas = {"Loop": {"type": "array", "items": loop}}
    tree = description(
        {
            "/a": {
                "get": operation(
                    "a", responses={"200": in_json({"$ref": "#/components/schemas/Loop"})}
                )
            }
        },
        components={"schemas": schemas},
    )
    with pytest.raises(DescriptionRefused, match="refers directly to itself"):
        client_files(OpenApi(tree), "shop", ClientOptions())
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(300):
        deep = {"type": "array", "items": deep}
    tree = description({"/a": {"get": operation("a", responses={"200": in_json(deep)})}})
    with pytest.raises(DescriptionRefused, match="nested too deeply"):
        client_files(OpenApi(tree), "shop", ClientOptions())


def test_command_writes_the_client(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`moorage scaffold client` writes the package, and lists what it cannot map."""
    file = tmp_path / "shop.json"
    file.write_text(json.dumps(SHOP))
    folder = tmp_path / "client"
    arguments = ["scaffold", "client", str(file), "--into", str(folder), "--drop-unknown"]
    assert 0 == main([*arguments, "--operation", "getOrder", "--operation", "list"])
    assert "def list_(" in (folder / "src/shop_api_client/operations.py").read_text()
    assert "other_fields" not in (folder / "src/shop_api_client/models.py").read_text()
    assert 2 == main([*arguments, "--force", "--operation", "none"])
    assert "#/paths" in capsys.readouterr().err


@pytest.mark.parametrize(
    "kind, value, limits",
    [
        (int, Decimal("1.5"), ()),
        (int, True, ()),
        (Decimal, "1", ()),
        (Decimal, Decimal("NaN"), ()),
        (str, 1, ()),
        (bool, 1, ()),
        (datetime, "2026-01-02", ()),
        (date, "x", ()),
        (UUID, "x", ()),
        (bytes, "x", ()),
        (Sequence[int], "12", ()),
        (Sequence[int], [1, "2"], ()),
        (Mapping[str, int], [1], ()),
        (Mapping[str, int], {"a": "b"}, ()),
        (int | bool, "x", ()),
        (Annotated[Decimal, AS_TEXT], 1, ()),
        (str, "abc", (Text(most=2),)),
        (str, "abc", (Text(least=4),)),
        (int, 3, (Number(most="2"),)),
        (int, 3, (Number(least="4"),)),
        (int, 3, (Number(above="3"),)),
        (int, 3, (Number(below="3"),)),
        (Sequence[int], [1], (Items(least=2),)),
        (Sequence[int], [1], (Items(most=0),)),
        (int, True, (OneOf(1),)),
        (str, "a", (OneOf("b"),)),
    ],
)
def test_response_value_that_does_not_fit_its_type_is_refused(
    kind: Any, value: Any, limits: tuple[Any, ...]
) -> None:
    """A response value of another type or beyond its limits is refused without being shown."""
    with pytest.raises(InvalidData):
        read_value(kind, value, *limits, checks=True)


@pytest.mark.parametrize(
    "kind, value",
    [
        (datetime, datetime(2026, 1, 2)),  # noqa: DTZ001 - the missing time zone is the subject
        (date, datetime(2026, 1, 2, tzinfo=UTC)),
        (UUID, "6f1c8a52-0a6e-4b59-9a3c-3d1f2b7c9e10"),
        (Decimal, 1.5),
        (Sequence[str], "ab"),
        (Mapping[str, str], {1: "a"}),
        (str, "\ud800"),
        (Sequence[str], ["\ud800"]),
        (Mapping[str, str], "a"),
    ],
)
def test_request_value_of_another_type_is_refused(kind: Any, value: Any) -> None:
    """A request value of another type is refused before anything is sent."""
    with pytest.raises(InvalidData):
        write_value(kind, value)


@pytest.mark.parametrize(
    "kind, limits",
    [
        (str, (Text(least=9, most=12),)),
        (int, (Number(above="3"),)),
        (int, (Number(below="0"),)),
        (Decimal, (Number(least="2", most="3"),)),
        (Decimal, (Number(above="0", below="1"),)),
        (Decimal, (Number(above="0", most="0.5"),)),
        (Decimal, (Number(least="-2", below="-1"),)),
        (int, (Number(least="0.5"),)),
        (int, (Number(above="1.5", most="2"),)),
        (int, (Number(most="-0.5"),)),
        (Sequence[int], (Items(least=2, most=2),)),
        (Mapping[str, int], ()),
        (Annotated[Decimal, AS_TEXT], ()),
        (str, (OneOf("a", "b"),)),
    ],
)
def test_sample_values_keep_the_limits_of_their_types(kind: Any, limits: tuple[Any, ...]) -> None:
    """Generated sample values pass the limits of their types when written and read."""
    value = sample(kind, *limits)
    assert value == read_value(kind, write_value(kind, value, *limits), *limits, checks=True)


def test_deeply_nested_unions_are_read_in_linear_time() -> None:
    """Nested unions are read in time proportional to the value, however deep they are."""
    kind: Any = int
    for _ in range(9):
        kind = Sequence[kind] | Mapping[str, kind]
    value: Any = "wrong"
    for _ in range(9):
        value = [value]
    with pytest.raises(InvalidData, match="none of the alternatives in the description"):
        read_value(kind, value)


def test_text_bytes_and_empty_responses_are_read() -> None:
    """Text, bytes and empty responses are read; a body that is not JSON is an error."""
    assert "a" == text_answer(Response(200, body=b"a"))
    assert b"a" == binary_answer(Response(200, body=b"a"))
    no_answer(Response(204))
    assert json_answer(int | None)(Response(204)) is None
    for body in (b"{", b"NaN", b'"a"', b"[" * 100_000, b"1e9999999999999999999"):
        with pytest.raises(VendorFailed):
            json_answer(int)(Response(200, body=body))
    request = make_request("POST", "/a", content=text_content("é"))
    assert ("é".encode(), "text/plain; charset=utf-8") == (
        request.body,
        request.headers["content-type"],
    )
    assert b"\0" == binary_content(b"\0").body


def test_status_304_raises_vendor_rejected_and_opens_no_circuit() -> None:
    """The answer 304 to a condition raises VendorRejected at once, and never opens the circuit."""
    request = make_request("GET", "/a", headers=[("If-None-Match", '"1"')])
    reading = HttpOperation(name="get", request=request, read=json_answer(int))
    vendor = FakeVendor(Response(304))
    service = Service(
        "shop", "https://shop.example", circuit=CircuitBreakerConfig(consecutive_failures=1)
    )
    with ConnectorManager([service], http=ScriptedHttpClient(vendor)) as manager:
        for _ in range(2):
            with pytest.raises(VendorRejected, match="has not changed") as excinfo:
                manager.perform("shop", reading)
            assert (304, 1) == (excinfo.value.status, excinfo.value.attempts)


def test_answer_that_differs_from_its_description_is_neither_repeated_nor_a_failure() -> None:
    """JSON that does not fit its schema raises at once and opens no circuit, unlike HTML."""
    reading = HttpOperation(
        name="get", request=make_request("GET", "/a"), read=json_answer(int, checks=True)
    )
    bodies = (b'"a"', b'"a"', b"<p>", b"<p>")
    vendor = FakeVendor([Response(200, body=body) for body in bodies])
    service = Service(
        "shop",
        "https://shop.example",
        circuit=CircuitBreakerConfig(consecutive_failures=2),
        retry=RetryPolicy(max_attempts=2, base_delay=0.001),
    )
    with ConnectorManager([service], http=ScriptedHttpClient(vendor)) as manager:
        for _ in range(2):
            with pytest.raises(VendorFailed, match="does not fit the description") as excinfo:
                manager.perform("shop", reading)
            assert (False, 1) == (excinfo.value.retryable, excinfo.value.attempts)
        with pytest.raises(VendorFailed, match="is not JSON") as excinfo:
            manager.perform("shop", reading)
        assert (True, 2) == (excinfo.value.retryable, excinfo.value.attempts)
        with pytest.raises(CircuitBreakerOpen):
            manager.perform("shop", reading)


def test_float_is_refused_with_its_reason() -> None:
    """A float in place of a Decimal is refused, and the error says that it is not exact."""
    for kind in (Decimal, Annotated[Decimal, AS_TEXT]):
        with pytest.raises(InvalidData, match="is a float, which is not exact: pass a Decimal"):
            write_value(kind, 1.1)


def test_parameters_are_written_in_their_style_and_cannot_change_the_path() -> None:
    """Parameters are written in the described style, and no value can change the path."""
    assert [] == parameter("a", str, None)
    assert [("a", "1"), ("a", "2")] == parameter("a", Sequence[int], [1, 2])
    assert [("a", "1,2")] == parameter("a", Sequence[int], [1, 2], style="comma")
    assert [("a[b]", "true")] == parameter("a", Mapping[str, bool], {"b": True}, style="deep")
    assert [("b", "1.50")] == parameter("a", Mapping[str, Decimal], {"b": Decimal("1.50")})
    assert [("a", '{"b":1.50}')] == parameter(
        "a", Mapping[str, Decimal], {"b": Decimal("1.50")}, style="json"
    )
    assert "a%2F..%3Fb" == segment("id", str, "a/..?b")
    assert "1,2" == segment("id", Sequence[int], (1, 2))
    for value in ("", ".", ".."):
        with pytest.raises(InvalidData, match="not a valid segment of a path"):
            segment("id", str, value)
    with pytest.raises(InvalidData, match="single value"):
        parameter("a", Sequence[Any], [[1]], style="comma")
