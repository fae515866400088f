"""gRPC connectors opened from a configuration, and methods made from generated classes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2

import moorage
from moorage import ConfigurationError, InvalidData
from moorage.adapters.grpc.connector_async import AsyncGrpcConnector
from moorage.adapters.grpc.connector_sync import GrpcConnector
from moorage.adapters.grpc.methods import GrpcMethod
from tests.adapters.grpc.grpc_harness import ECHO

if TYPE_CHECKING:
    from pathlib import Path

    from tests.adapters.grpc.grpc_harness import Harness, HarnessServer


def configuration(server: HarnessServer, **settings: Any) -> dict[str, Any]:
    """Return a configuration with one gRPC connector."""
    connector = {"kind": "grpc", "address": server.address, "plaintext": True, **settings}
    return {"connectors": {"orders": connector}}


def test_a_configuration_names_a_connector(server: HarnessServer, monkeypatch: Any) -> None:
    """A connector of kind "grpc" can be opened by synchronous and asynchronous programs."""
    monkeypatch.setenv("ORDERS_TOKEN", "token-4711")
    config = configuration(server, token="secret://env/ORDERS_TOKEN")
    with moorage.open(config) as hub:
        connector = hub.connectors.get("orders", GrpcConnector)
        answer = hub.manager.perform("orders", connector.call(ECHO, {}))
        assert "Bearer token-4711" == answer["metadata"]["authorization"]
        assert "orders" == connector.name
        assert hub.connectors.health("orders").is_healthy

    async def perform() -> Any:
        async with moorage.aopen(config) as hub:
            connector = hub.connectors.get("orders", AsyncGrpcConnector)
            return await hub.manager.perform("orders", connector.call(ECHO, {"name": "bolt"}))

    assert "bolt" == asyncio.run(perform())["name"]


def test_certificate_files_need_tls(server: HarnessServer, tmp_path: Path) -> None:
    """If a configuration has certificate files but no TLS, the error names the setting's path."""
    config = configuration(server, authorities=str(tmp_path / "ca.pem"))
    with (
        moorage.open(config) as hub,
        pytest.raises(ConfigurationError, match="both `plaintext` and `tls`"),
    ):
        hub.connectors.get("orders", GrpcConnector)


def test_generated_classes_make_a_method(harness: Harness) -> None:
    """GrpcMethod.of() makes a method that takes and returns generated protobuf messages."""
    check = GrpcMethod.of(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest,
        health_pb2.HealthCheckResponse,
        safe=True,
    )
    answer = harness.perform(harness.connector.call(check, health_pb2.HealthCheckRequest()))
    assert health_pb2.HealthCheckResponse.SERVING == answer.status
    assert ("Health.Check", True) == (check.name, check.repeatable)


def test_idempotency_level_of_descriptor_decides_about_retries() -> None:
    """A method is safe or repeatable if the `idempotency_level` of its descriptor says so."""
    file = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    file.message_type.add(name="Order")
    service = file.service.add(name="Orders")
    levels = {"Get": "NO_SIDE_EFFECTS", "Put": "IDEMPOTENT", "Add": "IDEMPOTENCY_UNKNOWN"}
    for name, level in levels.items():
        method = service.method.add(name=name, input_type=".shop.Order", output_type=".shop.Order")
        method.server_streaming = name == "Get"
        method.options.idempotency_level = descriptor_pb2.MethodOptions.IdempotencyLevel.Value(
            level
        )
    pool: Any = descriptor_pool.DescriptorPool()
    pool.Add(file)
    methods = pool.FindServiceByName("shop.Orders").methods_by_name
    described: dict[str, GrpcMethod[Any, Any]] = {
        name: GrpcMethod.described(methods[name]) for name in levels
    }

    assert {"Get": (True, True), "Put": (False, True), "Add": (False, False)} == {
        name: (method.safe, method.repeatable) for name, method in described.items()
    }
    assert "/shop.Orders/Get" == described["Get"].path
    assert (True, False) == (described["Get"].streams_answers, described["Get"].streams_requests)
    assert GrpcMethod.described(methods["Add"], safe=True).safe


def test_method_path_without_a_service_is_refused() -> None:
    """A method path without a service name is refused."""
    with pytest.raises(InvalidData, match="not of the form"):
        GrpcMethod(path="Get", serialize=bytes, deserialize=bytes)


@pytest.mark.parametrize("name", ["safe", "repeatable", "streams_requests", "streams_answers"])
def test_string_is_not_accepted_as_a_flag(name: str) -> None:
    """A string such as "false" is not accepted as a flag of a method."""
    options: dict[str, Any] = {name: "false"}
    with pytest.raises(ConfigurationError, match=f"{name} is not True or False"):
        GrpcMethod(path="/shop.Orders/Get", serialize=bytes, deserialize=bytes, **options)
