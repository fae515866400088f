"""Fixtures of the tests of the MongoDB connector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.adapters.mongodb.mongodb_lab import Lab
from tests.support.mongodb_servers import PrivateMongo

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    """The mode of a connector."""
    value: str = request.param
    return value


@pytest.fixture(scope="module")
def server() -> Generator[PrivateMongo]:
    """A server that no test kills."""
    with PrivateMongo() as server:
        yield server


@pytest.fixture
def labs(mode: str) -> Generator[Callable[..., Lab]]:
    """Make connectors."""
    made: list[Lab] = []

    def make(url: str, **settings: Any) -> Lab:
        made.append(Lab(mode, url, **settings))
        return made[-1]

    yield make
    for lab in made:
        lab.close()


@pytest.fixture
def lab(labs: Callable[..., Lab], server: PrivateMongo) -> Lab:
    """A connector of a new database of the server that no test kills."""
    return labs(server.url(database=Lab.new_name()))
