"""Fixtures for the tests of the MongoDB connector."""

from __future__ import annotations

import gc
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests.adapters.mongodb.mongodb_lab import Lab
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
def labs(mode: str) -> Generator[Callable[..., Lab]]:
    """Return a function that makes connectors; the fixture closes the connectors after the test."""
    made: list[Lab] = []

    def make_lab(url: str, **settings: Any) -> Lab:
        made.append(Lab(mode, url, **settings))
        return made[-1]

    yield make_lab
    for lab in made:
        lab.close()


@pytest.fixture
def lab(labs: Callable[..., Lab], server: PrivateMongo) -> Lab:
    """Return a connector to a new database of the shared MongoDB server."""
    return labs(server.url(database=Lab.new_name()))
