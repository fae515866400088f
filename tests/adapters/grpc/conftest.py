"""Fixtures for the tests of the gRPC connector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.adapters.grpc.grpc_lab import Lab, LabServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    """Return the mode of the connector under test: "sync" or "async"."""
    value: str = request.param
    return value


@pytest.fixture(scope="module")
def server() -> Generator[LabServer]:
    """Yield a gRPC server that several tests share and must not kill."""
    server = LabServer()
    yield server
    server.kill()


@pytest.fixture
def servers() -> Generator[Callable[..., LabServer]]:
    """Return a function that starts gRPC servers; tests may kill them."""
    started: list[LabServer] = []

    def start(*arguments: Any, **options: Any) -> LabServer:
        started.append(LabServer(*arguments, **options))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def labs(mode: str) -> Generator[Callable[..., Lab]]:
    """Return a function that makes connectors; the fixture closes the connectors after the test."""
    made: list[Lab] = []

    def make_lab(address: str, **settings: Any) -> Lab:
        made.append(Lab(mode, address, **settings))
        return made[-1]

    yield make_lab
    for lab in made:
        lab.close()


@pytest.fixture
def lab(labs: Callable[..., Lab], server: LabServer) -> Lab:
    """Return a connector to the shared gRPC server."""
    return labs(server.address)
