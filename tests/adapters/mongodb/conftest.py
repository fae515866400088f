"""Fixtures for the tests of the MongoDB connector."""

from __future__ import annotations

import gc
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests.adapters.mongodb.mongodb_harness import Harness
from tests.support.mongodb_servers import PrivateMongo

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@pytest.fixture(autouse=True)
def _sockets() -> Generator[None]:
    """Remove the sockets that asynchronous pymongo clients leave if closed while connecting.

    Otherwise the warning that such a socket was not closed fails a later test.
    """
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    """Return the mode of the connector under test: "sync" or "async"."""
    value: str = request.param
    return value


@pytest.fixture(scope="module")
def server() -> Generator[PrivateMongo]:
    """Yield a MongoDB server that several tests share and must not kill."""
    with PrivateMongo() as server:
        yield server


@pytest.fixture
def harnesses(mode: str) -> Generator[Callable[..., Harness]]:
    """Return a function that makes connectors; the fixture closes the connectors after the test."""
    made: list[Harness] = []

    def make_harness(url: str, **settings: Any) -> Harness:
        made.append(Harness(mode, url, **settings))
        return made[-1]

    yield make_harness
    for harness in made:
        harness.close()


@pytest.fixture
def harness(harnesses: Callable[..., Harness], server: PrivateMongo) -> Harness:
    """Return a connector to a new database of the shared MongoDB server."""
    return harnesses(server.url(database=Harness.new_name()))
