"""Fixtures of the tests of the gRPC connector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.adapters.grpc.grpc_lab import Lab, LabServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    """The mode of a connector."""
    value: str = request.param
    return value


@pytest.fixture(scope="module")
def server() -> Generator[LabServer]:
    """A server that no test kills."""
    server = LabServer()
    yield server
    server.kill()


@pytest.fixture
def servers() -> Generator[Callable[..., LabServer]]:
    """Start servers that a test may kill."""
    started: list[LabServer] = []

    def start(*arguments: Any, **options: Any) -> LabServer:
        started.append(LabServer(*arguments, **options))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def labs(mode: str) -> Generator[Callable[..., Lab]]:
    """Make connectors."""
    made: list[Lab] = []

    def make(address: str, **settings: Any) -> Lab:
        made.append(Lab(mode, address, **settings))
        return made[-1]

    yield make
    for lab in made:
        lab.close()


@pytest.fixture
def lab(labs: Callable[..., Lab], server: LabServer) -> Lab:
    """A connector of the server that no test kills."""
    return labs(server.address)
