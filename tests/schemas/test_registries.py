"""Schema registries in memory, in a folder, and behind Confluent's HTTP API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    Credentials,
    InvalidData,
    InvalidRequest,
    SchemaIncompatible,
    SchemaNotFound,
    UnsupportedByVendor,
    VendorFailed,
)
from moorage.adapters.schemas.complete import complete_schema
from moorage.adapters.schemas.memory import FolderSchemaRegistry, MemorySchemaRegistry
from moorage.domain.schemas.schema import Schema, SchemaFormat, SchemaReference
from moorage.testing import SchemaRegistryServer
from tests.schemas.protobuf_samples import order_file, schema_of
from tests.schemas.registry_server import confluent_client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INT = Schema("int", SchemaFormat.AVRO)
LONG = Schema("long", SchemaFormat.AVRO)


@pytest.fixture
def server() -> Iterator[SchemaRegistryServer]:
    """A registry's HTTP server."""
    with SchemaRegistryServer() as registry:
        yield registry


@pytest.fixture(params=["memory", "confluent"])
def registry(request: pytest.FixtureRequest, server: SchemaRegistryServer) -> Any:
    """Each kind of registry that accepts new schemas, in turn."""
    return MemorySchemaRegistry() if request.param == "memory" else confluent_client(server)


async def test_schema_is_registered_once(registry: Any) -> None:
    """A schema registered again keeps its id and version; in another subject it has the same id."""
    first = await registry.register("orders-value", INT)
    second = await registry.register("orders-value", LONG)
    assert [first, second] == [
        await registry.register("orders-value", INT),
        await registry.register("other/subject", LONG),
    ]
    assert INT == await registry.schema(first)
    latest = await registry.version("orders-value")
    assert (2, second, LONG) == (latest.version, latest.id, latest.schema)
    assert 1 == (await registry.version("orders-value", 1)).version
    assert "other/subject" == (await registry.version("other/subject")).subject
    assert () == await registry.check("orders-value", LONG)


async def test_what_is_missing_is_not_found(registry: Any) -> None:
    """An unknown id, subject and version raise SchemaNotFound."""
    await registry.register("orders-value", INT)
    for question in (
        registry.schema(77),
        registry.version("nothing"),
        registry.version("orders-value", 7),
    ):
        with pytest.raises(SchemaNotFound):
            await question


@pytest.mark.parametrize("id", [0, -1, 2**31, True, "1"])
async def test_impossible_numbers_and_subjects_are_refused(registry: Any, id: Any) -> None:
    """Ids, versions and subjects that no registry can have raise ConfigurationError."""
    for question in (registry.schema(id), registry.version("a", id), registry.version("")):
        with pytest.raises(ConfigurationError):
            await question


async def test_references_are_completed(registry: Any) -> None:
    """A schema is returned with its direct and indirect references, dependencies first."""
    await registry.register("c", INT)
    c = SchemaReference("shop.C", "c", 1)
    middle = {"type": "record", "name": "shop.B", "fields": []}
    await registry.register("b", Schema(json.dumps(middle), SchemaFormat.AVRO, references=[c]))
    top = Schema("shop.B", SchemaFormat.AVRO, references=[SchemaReference("shop.B", "b", 1), c])
    id = await registry.register("a", top)
    complete = await complete_schema(registry, await registry.schema(id))
    assert ["shop.C", "shop.B"] == [name for name, _ in complete.parts]


async def test_circle_of_references_is_refused(server: SchemaRegistryServer) -> None:
    """Schemas that refer to each other in a circle raise InvalidData."""
    registry = confluent_client(server)
    circle = Schema("a", SchemaFormat.AVRO, references=[SchemaReference("a", "a", 1)])
    await registry.register("a", circle)
    with pytest.raises(InvalidData, match="form a cycle"):
        await complete_schema(registry, circle)


async def test_memory_checks_new_versions() -> None:
    """An in-memory registry refuses an incompatible version, and a string that is not a schema."""
    registry = MemorySchemaRegistry("full")
    await registry.register("orders", INT)
    [problem] = await registry.check("orders", LONG)
    assert "The reader expects int; the writer has long." == problem
    with pytest.raises(SchemaIncompatible, match="expects int"):
        await registry.register("orders", LONG)
    with pytest.raises(InvalidData):
        await registry.register("new", Schema("nonsense", SchemaFormat.AVRO))
    with pytest.raises(InvalidData):
        await registry.check("new", Schema("nonsense", SchemaFormat.AVRO))
    assert () == await registry.check("new", LONG)
    with pytest.raises(ConfigurationError):
        MemorySchemaRegistry("sometimes")


async def test_confluent_refusals_have_types(server: SchemaRegistryServer) -> None:
    """An incompatible schema and an invalid one raise different errors."""
    registry = confluent_client(server)
    server.incompatible, server.invalid = {"long"}, {"nonsense"}
    with pytest.raises(SchemaIncompatible) as excinfo:
        await registry.register("orders", LONG)
    assert ("409", 409) == (excinfo.value.vendor_code, excinfo.value.status)
    assert ("READER_FIELD_MISSING_DEFAULT_VALUE",) == await registry.check("orders", LONG)
    with pytest.raises(InvalidRequest, match="cannot read"):
        await registry.register("orders", Schema("nonsense", SchemaFormat.AVRO))


async def test_each_schema_format_is_sent_by_name(server: SchemaRegistryServer) -> None:
    """A schema is sent with its format's name; Protobuf schemas are requested as descriptors."""
    registry = confluent_client(server)
    for schema in (Schema("{}", SchemaFormat.JSON), schema_of(order_file())):
        id = await registry.register("a", schema)
        assert schema == await registry.schema(id)
    assert "/schemas/ids/1?format=serialized" in [request.target for request in server.requests]


async def test_reads_and_registrations_are_repeated(server: SchemaRegistryServer) -> None:
    """If a registry fails temporarily, a look-up or a registration is sent again."""
    registry = confluent_client(server)
    server.respond_json({"error_code": 50003, "message": "x"}, status=500)
    id = await registry.register("orders", INT)
    server.respond_json({"error_code": 50001, "message": "x"}, status=500)
    assert INT == await registry.schema(id)


async def test_service_credentials_are_sent(
    server: SchemaRegistryServer,
) -> None:
    """The service's credentials are sent; if they are refused, AuthenticationFailed is raised."""
    registry = confluent_client(server, credentials=Credentials.basic("u", "p"))
    server.respond_json({"error_code": 40101, "message": "Unauthorized"}, status=401)
    with pytest.raises(AuthenticationFailed):
        await registry.schema(1)
    assert "Basic dTpw" == server.requests[0].headers["authorization"]


async def test_wrong_address_is_no_missing_schema(server: SchemaRegistryServer) -> None:
    """After a 404 without the registry's error code, the error reports a wrong address."""
    for body in (b"<html>", b'{"error_code":404}', b"[]"):
        server.respond(404, body=body)
        with pytest.raises(ConfigurationError, match="does not lead to a registry"):
            await confluent_client(server).schema(1)


@pytest.mark.parametrize(
    "answer, problem",
    [
        ([], "not a JSON object"),
        ({}, "invalid schema"),
        ({"schema": 5}, "invalid schema"),
        ({"schema": "int", "schemaType": "THRIFT"}, "unknown schema type"),
        ({"schema": "int", "references": 5}, "not a list"),
        ({"schema": "int", "references": [5]}, "reference without a name"),
        ({"schema": "int", "references": [{"name": "a"}]}, "invalid schema"),
    ],
)
async def test_wrong_answer_is_a_failure(
    server: SchemaRegistryServer, answer: Any, problem: str
) -> None:
    """A response that is not a schema raises VendorFailed, which is retryable."""
    server.respond_json(answer)
    server.respond_json(answer)
    with pytest.raises(VendorFailed, match=problem) as excinfo:
        await confluent_client(server).schema(1)
    assert excinfo.value.retryable


async def test_wrong_verdicts_and_versions_are_failures(server: SchemaRegistryServer) -> None:
    """Ids, versions and verdicts in a registry's responses are validated too."""
    registry = confluent_client(server)
    questions: list[tuple[Any, Any]] = [
        ({"id": "1"}, lambda: registry.register("a", INT)),
        ({"schema": "int", "id": 1, "version": 1}, lambda: registry.version("a")),
        ({"schema": "int", "subject": "a", "id": 1}, lambda: registry.version("a")),
        ({"is_compatible": 1}, lambda: registry.check("a", INT)),
    ]
    for answer, ask in questions:
        server.respond_json(answer)
        server.respond_json(answer)
        with pytest.raises(VendorFailed):
            await ask()
    server.respond(200, body=b"nonsense")
    server.respond(200, body=b"nonsense")
    with pytest.raises(VendorFailed):
        await registry.check("a", INT)
    server.respond_json({"is_compatible": False})
    assert ("The registry did not return a reason.",) == await registry.check("a", INT)


async def test_registry_that_is_away_is_retryable() -> None:
    """An unreachable registry raises a retryable error."""
    with SchemaRegistryServer() as stopped_server:
        registry = confluent_client(stopped_server)
    with pytest.raises(ConnectionFailed) as excinfo:
        await registry.schema(1)
    assert excinfo.value.retryable


def _folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        file = path / "orders" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(data)
    return path


async def test_folder_has_versions(tmp_path: Path) -> None:
    """Each file in a folder is one version of a schema, with an id if the file's name has one."""
    file = order_file(("a", 1, "int32"))
    files = {"1.avsc": b"int", "2@7.avsc": b"long", "3.json": b"{}"}
    registry = FolderSchemaRegistry(
        _folder(tmp_path, {**files, "4@9.protoset": file.SerializeToString()})
    )
    assert (1, None) == ((await registry.version("orders", 1)).version, None)
    assert LONG == await registry.schema(7)
    assert schema_of(file) == (await registry.version("orders")).schema
    assert 7 == await registry.register("orders", LONG)
    for schema in (INT, Schema("string", SchemaFormat.AVRO)):
        with pytest.raises(UnsupportedByVendor, match="cannot register new schemas"):
            await registry.register("orders", schema)


@pytest.mark.parametrize(
    "files, problem",
    [
        ({}, "does not contain folders"),
        ({"first.avsc": b"int"}, "is not a valid name of a schema file"),
        ({"1.proto": b"int"}, "is not a valid name of a schema file"),
        ({"1.avsc": b""}, "not a string"),
        ({"1.avsc": b"\xff"}, "not UTF-8"),
        ({"9999999999.avsc": b"int"}, "not an integer"),
        ({"1.avsc": b"int", "1@2.avsc": b"int"}, "version or the same id"),
        ({"1@2.avsc": b"int", "2@2.avsc": b"long"}, "version or the same id"),
    ],
)
def test_wrong_folder_is_refused(tmp_path: Path, files: dict[str, bytes], problem: str) -> None:
    """If a file of a schema folder cannot be read, ConfigurationError is raised with its name."""
    with pytest.raises(ConfigurationError, match=problem):
        FolderSchemaRegistry(_folder(tmp_path, files))
