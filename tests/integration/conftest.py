"""Real stores, and worker processes that share them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import uuid4

import pytest

from moorage.testing import VendorServer
from tests.adapters.sql_lab import labs
from tests.integration.store_locations import StoreLocation, delete_prefix
from tests.integration.worker_pool import WorkerPool
from tests.support.servers import redis_url

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS: Final = ("sqlite", "redis", "postgresql", "mariadb")


@pytest.fixture(scope="session")
def sqlite_location(tmp_path_factory: pytest.TempPathFactory) -> StoreLocation:
    """A SQLite file."""
    return StoreLocation("sqlite", str(tmp_path_factory.mktemp("shared") / "state.db"))


@pytest.fixture(scope="session")
def redis_location() -> Iterator[StoreLocation]:
    """A Redis server, and a key prefix that no other test uses."""
    location = StoreLocation("redis", redis_url(), f"integration:{uuid4().hex}:")
    yield location
    delete_prefix(location)


@pytest.fixture(scope="session")
def postgresql_location() -> Iterator[StoreLocation]:
    """Tables in PostgreSQL that no other test uses."""
    with labs("postgresql") as lab:
        yield StoreLocation("postgresql", lab.url.render_as_string(hide_password=False), lab.prefix)


@pytest.fixture(scope="session")
def mariadb_location() -> Iterator[StoreLocation]:
    """Tables in MariaDB that no other test uses."""
    with labs("mariadb") as lab:
        yield StoreLocation("mariadb", lab.url.render_as_string(hide_password=False), lab.prefix)


@pytest.fixture(params=KINDS)
def location(request: pytest.FixtureRequest) -> StoreLocation:
    """Each available store."""
    result: StoreLocation = request.getfixturevalue(f"{request.param}_location")
    return result


@pytest.fixture(scope="session")
def pool() -> Iterator[WorkerPool]:
    """Worker processes that jobs can be given to."""
    workers = WorkerPool()
    yield workers
    workers.dismiss()


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    """The HTTP server of a vendor."""
    with VendorServer() as server:
        yield server


@pytest.fixture
def name() -> str:
    """The name of a service that no other test uses, so its state is its own."""
    return f"s{uuid4().hex}"
