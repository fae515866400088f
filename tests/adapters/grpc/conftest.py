"""Fixtures for the tests of the gRPC connector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.adapters.grpc.grpc_harness import Harness, HarnessServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    """Return the mode of the connector under test: "sync" or "async"."""
    value: str = request.param
    return value


@pytest.fixture(scope="module")
def server() -> Generator[HarnessServer]:
    """Yield a gRPC server that several tests share and must not kill."""
    server = HarnessServer()
    yield server
    server.kill()


@pytest.fixture
def servers() -> Generator[Callable[..., HarnessServer]]:
    """Return a function that starts gRPC servers; tests may kill them."""
    started: list[HarnessServer] = []

    def start(*arguments: Any, **options: Any) -> HarnessServer:
        started.append(HarnessServer(*arguments, **options))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def harnesses(mode: str) -> Generator[Callable[..., Harness]]:
    """Return a function that makes connectors; the fixture closes the connectors after the test."""
    made: list[Harness] = []

    def make_harness(address: str, **settings: Any) -> Harness:
        made.append(Harness(mode, address, **settings))
        return made[-1]

    yield make_harness
    for harness in made:
        harness.close()


@pytest.fixture
def harness(harnesses: Callable[..., Harness], server: HarnessServer) -> Harness:
    """Return a connector to the shared gRPC server."""
    return harnesses(server.address)
