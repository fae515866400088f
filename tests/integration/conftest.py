"""Real stores, and processes that share them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import uuid4

import pytest

from moorage.testing import VendorServer
from tests.adapters.sql_lab import labs
from tests.integration.crew import Crew
from tests.integration.places import Place, forgotten
from tests.support.servers import redis_url

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS: Final = ("sqlite", "redis", "postgresql", "mariadb")


@pytest.fixture(scope="session")
def sqlite_place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A file."""
    return Place("sqlite", str(tmp_path_factory.mktemp("shared") / "state.db"))


@pytest.fixture(scope="session")
def redis_place() -> Iterator[Place]:
    """A Redis, and a part of it that nobody else uses."""
    place = Place("redis", redis_url(), f"integration:{uuid4().hex}:")
    yield place
    forgotten(place)


@pytest.fixture(scope="session")
def postgresql_place() -> Iterator[Place]:
    """Tables in PostgreSQL that nobody else uses."""
    with labs("postgresql") as lab:
        yield Place("postgresql", lab.url.render_as_string(hide_password=False), lab.prefix)


@pytest.fixture(scope="session")
def mariadb_place() -> Iterator[Place]:
    """Tables in MariaDB that nobody else uses."""
    with labs("mariadb") as lab:
        yield Place("mariadb", lab.url.render_as_string(hide_password=False), lab.prefix)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> Place:
    """Each store that is there."""
    result: Place = request.getfixturevalue(f"{request.param}_place")
    return result


@pytest.fixture(scope="session")
def crew() -> Iterator[Crew]:
    """Processes to give jobs to."""
    made = Crew()
    yield made
    made.dismiss()


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    """Somebody else's API."""
    with VendorServer() as made:
        yield made


@pytest.fixture
def name() -> str:
    """The name of a service that no other test has: its state is its own."""
    return f"s{uuid4().hex}"
