"""Real stores, and worker processes that share them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import uuid4

import pytest

from moorage.testing import VendorServer
from tests.adapters.sql_harness import harnesses
from tests.integration.store_locations import StoreLocation, delete_prefix
from tests.integration.worker_pool import WorkerPool
from tests.support.nats_servers import PrivateNats
from tests.support.servers import redis_url

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS: Final = ("sqlite", "redis", "postgresql", "mariadb")


@pytest.fixture(scope="session")
def sqlite_location(tmp_path_factory: pytest.TempPathFactory) -> StoreLocation:
    """Return the location of a SQLite file."""
    return StoreLocation("sqlite", str(tmp_path_factory.mktemp("shared") / "state.db"))


@pytest.fixture(scope="session")
def redis_location() -> Iterator[StoreLocation]:
    """Return the location of a Redis server, with its own key prefix."""
    location = StoreLocation("redis", redis_url(), f"integration:{uuid4().hex}:")
    yield location
    delete_prefix(location)


@pytest.fixture(scope="session")
def postgresql_location() -> Iterator[StoreLocation]:
    """Return the location of tables in PostgreSQL that no other test uses."""
    with harnesses("postgresql") as harness:
        yield StoreLocation(
            "postgresql", harness.url.render_as_string(hide_password=False), harness.prefix
        )


@pytest.fixture(scope="session")
def mariadb_location() -> Iterator[StoreLocation]:
    """Return the location of tables in MariaDB that no other test uses."""
    with harnesses("mariadb") as harness:
        yield StoreLocation(
            "mariadb", harness.url.render_as_string(hide_password=False), harness.prefix
        )


@pytest.fixture(scope="session")
def nats_location() -> Iterator[StoreLocation]:
    """Return the location of a bucket in a private NATS server.

    The bucket can store only idempotency claims.
    """
    with PrivateNats() as server:
        yield StoreLocation("nats", f"{server.url}/keys")


@pytest.fixture(scope="session")
def shards_location(
    sqlite_location: StoreLocation,
    redis_location: StoreLocation,
    postgresql_location: StoreLocation,
) -> StoreLocation:
    """Return the location of a store with three shards, the last of which was just added."""
    shards = (postgresql_location, redis_location, sqlite_location)
    return StoreLocation("shards", "", shards=shards, former=2)


@pytest.fixture(params=KINDS)
def location(request: pytest.FixtureRequest) -> StoreLocation:
    """Return the location of a store, for each available kind."""
    result: StoreLocation = request.getfixturevalue(f"{request.param}_location")
    return result


@pytest.fixture(scope="session")
def pool() -> Iterator[WorkerPool]:
    """Return worker processes that run jobs for the tests."""
    workers = WorkerPool()
    yield workers
    workers.dismiss()


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    """Start a vendor's HTTP server."""
    with VendorServer() as server:
        yield server


@pytest.fixture
def name() -> str:
    """Return the name of a service that no other test uses."""
    return f"s{uuid4().hex}"
