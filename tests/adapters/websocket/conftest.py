"""Fixtures: a WebSocket server and connectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.adapters.websocket.websocket_harness import Harness, Server

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """Yield a WebSocket server that the tests of a module share and must not kill."""
    running = Server(tmp_path_factory.mktemp("orders") / "effects")
    yield running
    running.kill()


@pytest.fixture
def killable_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """Yield a WebSocket server that a test may kill."""
    running = Server(tmp_path_factory.mktemp("orders") / "effects")
    yield running
    running.kill()


@pytest.fixture(params=["sync", "async"])
def harness(request: pytest.FixtureRequest) -> Generator[Harness]:
    """Yield a factory of WebSocket connectors, in sync and in async mode."""
    made = Harness(request.param)
    yield made
    made.close()
