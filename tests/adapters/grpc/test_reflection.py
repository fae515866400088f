"""Calls of gRPC methods with JSON; the method descriptors come from the server or from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

import moorage
from moorage import ConfigurationError, InvalidData, InvalidRequest, VendorFailed
from moorage.adapters.grpc.connector_sync import GrpcConnector
from moorage.adapters.grpc.descriptors import GrpcDescriptors
from moorage.domain.connectors import grpc_reflection as reflection
from tests.adapters.grpc import shop_definitions as shop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.adapters.grpc.grpc_harness import Harness, HarnessServer

ORDER = {"orderId": "7", "notes": ["urgent"], "due": "2026-01-02T03:04:05Z"}
FOUND = {**ORDER, "notes": ["found", "urgent"]}
FIELDS = {
    "orderId": "int64",
    "notes": "repeated string",
    "due": "google.protobuf.Timestamp",
    "state": "shop.Order.State",
    "prices": "map<string, double>",
}


@pytest.fixture
def descriptors() -> GrpcDescriptors:
    """Return the descriptors of the shop service."""
    return GrpcDescriptors(reflection.files_of_set(shop.descriptor_set()))


def test_a_server_lists_its_methods(harness: Harness) -> None:
    """Reflection returns the methods, their request fields, and which methods can be repeated."""
    described: GrpcDescriptors = harness.perform(harness.connector.reflect())

    assert "shop.Orders" in described.services
    assert {shop.GET, shop.PUT, shop.WATCH} <= {*described.methods}
    assert FIELDS == described.fields(shop.GET)
    assert (True, False) == (described.method(shop.GET).safe, described.method(shop.PUT).repeatable)
    assert "shop.Orders" in repr(described)
    assert "Reflection" in repr(harness.connector.reflect())


def test_a_method_is_called_by_its_name(harness: Harness) -> None:
    """A gRPC method can be called by its name with plain JSON, using the server's descriptors."""
    first = harness.connector.call_by_name("/shop.Orders/Get", ORDER)
    assert (False, False, "Orders.Get") == (first.safe, first.repeatable, first.name)
    assert FOUND == harness.perform(first)

    second = harness.connector.call_by_name(shop.GET, ORDER, metadata={"traceparent": "00-aa"})
    assert (True, True) == (second.safe, second.repeatable)
    assert FOUND == harness.perform(second)
    assert "Orders.Get" in repr(second)


def test_descriptions_make_methods_for_streams(
    harness: Harness, descriptors: GrpcDescriptors
) -> None:
    """A server-streaming method that is made from descriptors is opened by the method `stream`."""
    method = descriptors.method(shop.WATCH, safe=True)
    stream = harness.perform(harness.connector.stream(method, {"orderId": "7"}))

    assert [{"orderId": "7"}, {"orderId": "7"}] == harness.answers(stream)


def test_a_method_with_streams_is_not_called_by_name(
    harnesses: Callable[..., Harness], server: HarnessServer, descriptors: GrpcDescriptors
) -> None:
    """`call_by_name` refuses a streaming method; if the descriptors are local, nothing is sent."""
    with pytest.raises(InvalidData, match="uses streams"):
        harnesses(server.address, descriptors=descriptors).connector.call_by_name(shop.WATCH, {})
    harness = harnesses(server.address)
    operation = harness.connector.call_by_name(shop.WATCH, {})
    with pytest.raises(InvalidData, match="uses streams"):
        harness.perform(operation)


def test_error_for_invalid_request_names_only_the_field(
    harnesses: Callable[..., Harness], server: HarnessServer, descriptors: GrpcDescriptors
) -> None:
    """If a field of the request has a wrong type, the error names only the field.

    Nothing is sent.
    """
    connector = harnesses(server.address, descriptors=descriptors).connector
    with pytest.raises(InvalidData, match=r"'colour'.*orderId, notes") as excinfo:
        connector.call_by_name(shop.GET, {"colour": "red-4711"})
    assert "4711" not in str(excinfo.value)
    with pytest.raises(InvalidData, match="does not match the type") as excinfo:
        connector.call_by_name(shop.GET, {"orderId": "secret-4711"})
    assert "4711" not in str(excinfo.value)
    with pytest.raises(InvalidData, match="not a JSON object"):
        connector.call_by_name(shop.GET, [])
    with pytest.raises(InvalidData, match=r"no method 'shop.Orders/Nothing'.*shop.Orders/Get"):
        connector.call_by_name("shop.Orders/Nothing", {})


@pytest.mark.parametrize(
    "request_, problem",
    [
        ({}, "a required field is missing"),
        ({"name": "a", "price": 10**400}, "does not match the type"),
        ({"name": "a", "extra": {"@type": 5}}, "does not match the type"),
    ],
)
def test_value_that_protobuf_cannot_write_is_a_wrong_request(
    harnesses: Callable[..., Harness], server: HarnessServer, request_: dict[str, Any], problem: str
) -> None:
    """A request that protobuf refuses in any way raises InvalidData; nothing is sent."""
    kinds = FieldDescriptorProto
    file = FileDescriptorProto(
        name="part.proto", package="part", dependency=["google/protobuf/any.proto"]
    )
    part = file.message_type.add(name="Part")
    required, optional = kinds.LABEL_REQUIRED, kinds.LABEL_OPTIONAL
    part.field.add(name="name", number=1, type=kinds.TYPE_STRING, label=required)
    part.field.add(name="price", number=2, type=kinds.TYPE_DOUBLE, label=optional)
    extra = part.field.add(name="extra", number=3, type=kinds.TYPE_MESSAGE, label=optional)
    extra.type_name = ".google.protobuf.Any"
    service = file.service.add(name="Parts")
    service.method.add(name="Get", input_type=".part.Part", output_type=".part.Part")
    descriptors = GrpcDescriptors({file.name: file.SerializeToString()})
    connector = harnesses(server.address, descriptors=descriptors).connector

    with pytest.raises(InvalidData, match=problem):
        connector.call_by_name("part.Parts/Get", request_)


def test_error_for_server_without_reflection_asks_for_file_of_descriptors(
    servers: Callable[..., HarnessServer], harnesses: Callable[..., Harness]
) -> None:
    """If a server has no reflection, the error asks for a file of descriptors."""
    harness = harnesses(servers(MOORAGE_HARNESS_NO_REFLECTION="1").address)
    with pytest.raises(InvalidRequest, match=r"does not support reflection.*`descriptors`"):
        harness.perform(harness.connector.call_by_name(shop.GET, {}))


def test_a_configured_connector_runs_methods_by_name(server: HarnessServer, tmp_path: Path) -> None:
    """`moorage run` calls a gRPC method by name, with descriptors from a file or the server."""
    file = tmp_path / "shop.protoset"
    file.write_bytes(shop.descriptor_set())
    base = {"kind": "grpc", "address": server.address, "plaintext": True}
    config: dict[str, Any] = {
        "connectors": {"asked": base, "described": {**base, "descriptors": str(file)}}
    }
    with moorage.open(config) as hub:
        described = hub.connectors.get("described", GrpcConnector)
        assert ["methods", "call", shop.GET, shop.PUT, shop.WATCH] == [*described.operations]
        assert 5 == len(described.operations)
        assert ["methods", "call"] == [*hub.connectors.get("asked", GrpcConnector).operations]
        for name in ("described", "asked"):
            assert FOUND == hub.connectors.run(name, shop.GET, ORDER)
            arguments = {"method": shop.GET, "request": ORDER, "metadata": {"a": "b"}}
            assert FOUND == hub.connectors.run(name, "call", arguments)
            assert FIELDS == hub.connectors.run(name, "methods")[shop.GET]
        with pytest.raises(ConfigurationError, match=r"no operation 'shop.Orders/Nothing'"):
            hub.connectors.run("described", "shop.Orders/Nothing", {})
        with pytest.raises(InvalidData, match="no argument 'colour'"):
            hub.connectors.run("described", shop.GET, {"colour": "red"})
        with pytest.raises(InvalidData, match="not of the form"):
            hub.connectors.run("asked", "call", {"method": "Get"})
        with pytest.raises(InvalidData, match="metadata of the call is not"):
            hub.connectors.run("asked", "call", {"method": shop.GET, "metadata": []})


@pytest.mark.parametrize(
    "content,problem",
    [
        (b"\xff", "not a FileDescriptorSet"),
        (shop.descriptor_set(without="shop/types.proto"), "'shop/types.proto' is missing"),
        (b"\x0a\x08\x0a\x01a\x12\x03b\x0a\x01", "contradict"),
    ],
)
def test_a_bad_file_of_descriptions_is_refused(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    """The error for an invalid descriptor file names the file and the problem."""
    file = tmp_path / "shop.protoset"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"shop.protoset.*{problem}"):
        GrpcDescriptors.of_file(file)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        GrpcDescriptors.of_file(tmp_path / "nothing")


def test_common_files_may_be_missing() -> None:
    """A descriptor set may omit protobuf's well-known types such as timestamp.proto."""
    files = reflection.files_of_set(shop.descriptor_set(without="google/protobuf/timestamp.proto"))

    assert FIELDS == GrpcDescriptors(files, ("shop.Orders", "shop.Unknown")).fields(shop.GET)


def test_unusable_reflection_answer_raises_vendor_failed() -> None:
    """A reflection answer that is an error, garbage or too large raises VendorFailed."""
    unknown = b"\x3a\x02\x08\x05"
    assert {} == reflection.files_of(unknown)
    for answer in (b"\x3a\x02\x08\x0d", b"\xff", b"\x22\x02\x0a\x00"):
        with pytest.raises(VendorFailed, match="cannot be read"):
            reflection.files_of(answer)
    with pytest.raises(VendorFailed):
        reflection.services_of(b"\x32\x04\x0a\x02\x0a\x05")
    with pytest.raises(VendorFailed):
        reflection.missing_imports({"a": b"\xff"}, ())
    files = {str(number): b"" for number in range(reflection.MOST_FILES + 1)}
    with pytest.raises(VendorFailed):
        reflection.missing_imports(files, ())


def test_descriptor_files_that_import_each_other_in_circle_are_refused() -> None:
    """Descriptor files that import each other in a circle are refused."""
    with pytest.raises(ValueError, match="each other"):
        reflection.in_import_order({"a": b"\x1a\x01b", "b": b"\x1a\x01a"})
