"""The fake schema registry for users' tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from moorage import ConfigurationError, InvalidRequest, SchemaIncompatible
from moorage.domain.schemas.schema import Schema, SchemaFormat, SchemaReference
from moorage.testing import Behaviour, SchemaRegistryServer
from tests.schemas.registry_server import confluent_client

if TYPE_CHECKING:
    from collections.abc import Iterator

INT = Schema("int", SchemaFormat.AVRO)
LONG = Schema("long", SchemaFormat.AVRO)
JSON_TYPE = {"Content-Type": "application/vnd.schemaregistry.v1+json"}


@pytest.fixture
def server() -> Iterator[SchemaRegistryServer]:
    """A registry whose subjects must keep their schemas compatible."""
    with SchemaRegistryServer("full") as registry:
        yield registry


def answer(server: SchemaRegistryServer, path: str, body: bytes | None = None) -> tuple[int, Any]:
    """Return the status and the document of the server's response."""
    request = Request(server.url + path, body, JSON_TYPE)  # noqa: S310 - on this machine
    try:
        with urlopen(request) as response:  # noqa: S310 - on this machine
            return response.status, json.load(response)
    except HTTPError as error:
        return error.code, json.load(error)["error_code"]


@pytest.mark.parametrize(
    "path, body, status, code",
    [
        ("/subjects/a/versions/0", None, 422, 42202),
        ("/subjects/a/versions/first", None, 422, 42202),
        ("/subjects/a/versions/2", None, 404, 40402),
        ("/subjects/b/versions/1", None, 404, 40401),
        ("/schemas/ids/9", None, 404, 40403),
        ("/subjects/a/versions", b"{", 422, 42201),
        ("/subjects/a/versions", b"[]", 422, 42201),
        ("/subjects/a/versions", b"{}", 422, 42201),
        ("/subjects/a/versions", b'{"schema": "int", "schemaType": "THRIFT"}', 422, 42201),
        ("/compatibility/subjects/a/versions", b'{"schema": ""}', 422, 42201),
        ("/subjects/a", None, 404, 404),
        ("/schemas/ids/1", b"{}", 404, 404),
    ],
)
def test_wrong_requests_have_codes(
    server: SchemaRegistryServer, path: str, body: bytes | None, status: int, code: int
) -> None:
    """An invalid request gets the status and error code that a real registry would return."""
    server.register("a", INT)
    assert (status, code) == answer(server, path, body)


async def test_incompatible_schema_is_refused(server: SchemaRegistryServer) -> None:
    """A schema that violates its subject's compatibility level is refused with the reason."""
    registry = confluent_client(server)
    assert () == await registry.check("orders", INT)
    await registry.register("orders", INT)
    [problem] = await registry.check("orders", LONG)
    assert "The reader expects int; the writer has long." == problem
    with pytest.raises(SchemaIncompatible):
        await registry.register("orders", LONG)
    assert 1 == await registry.register("orders", INT)


async def test_schemas_that_are_used_are_judged_too(server: SchemaRegistryServer) -> None:
    """The compatibility check covers referenced schemas too; a missing reference is refused."""
    registry = confluent_client(server)

    def order(version: int) -> Schema:
        fields = [{"name": "customer", "type": "shop.Customer"}]
        text = json.dumps({"type": "record", "name": "shop.Order", "fields": fields})
        reference = SchemaReference("shop.Customer", "customers", version)
        return Schema(text, SchemaFormat.AVRO, references=[reference])

    for kind in ("string", "long"):
        fields = [{"name": "id", "type": kind}]
        text = json.dumps({"type": "record", "name": "shop.Customer", "fields": fields})
        server.register("customers", Schema(text, SchemaFormat.AVRO))
    id = await registry.register("orders", order(1))
    assert order(1) == await registry.schema(id)
    problems = await registry.check("orders", order(2))
    assert problems[0].startswith("shop.Order.customer.id: ")
    with pytest.raises(InvalidRequest):
        await registry.check("orders", order(3))


async def test_tests_decide_about_schemas_and_failures(server: SchemaRegistryServer) -> None:
    """A test can make the server refuse schemas by name, fail, or lose responses."""
    registry = confluent_client(server)
    server.incompatible, server.invalid = {"long"}, {"nonsense"}
    assert ("READER_FIELD_MISSING_DEFAULT_VALUE",) == await registry.check("new", LONG)
    with pytest.raises(InvalidRequest):
        await registry.check("new", Schema("nonsense", SchemaFormat.AVRO))
    server.queue(server.error(500, 50001, "Error in the backend"))
    assert 1 == await registry.register("orders", INT)
    server.queue(Behaviour(raw=b"", then="close"))
    assert 1 == await registry.register("orders", INT)
    assert 1 == (await registry.version("orders")).version


def test_unknown_compatibility_level_is_refused() -> None:
    """An unknown compatibility level raises ConfigurationError."""
    with pytest.raises(ConfigurationError):
        SchemaRegistryServer("sometimes")
