"""Stores and connectors that are closed, or used elsewhere, in the middle of another operation."""

# ruff: noqa: SLF001 - nobody else can tell what stays open

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from moorage import Hub
from moorage.adapters.databases._sql_engine import Engine
from moorage.adapters.databases._sql_pool import LinkPool
from moorage.adapters.databases._sql_source import Names
from moorage.adapters.databases._sqlite_file import Link
from moorage.adapters.databases._sqlite_pool import Pool
from moorage.adapters.mongodb._monitor import Progress
from moorage.adapters.mongodb.connector_sync import MongoConnector
from moorage.adapters.state._broker_channels import AsyncChannels
from moorage.adapters.state.memory import AsyncMemoryStorage
from moorage.adapters.state.shards import AsyncShardedStorage
from tests.parts.ways_of_use import run_threads
from tests.support.intervening_thread import InterveningThread

if TYPE_CHECKING:
    from pathlib import Path


class SqliteLinkInUse(Link):
    """A connection whose pool is closed just after the connection was checked for staleness."""

    pool: Pool | None = None

    @property
    def stale(self) -> bool:
        """Return whether the connection is stale, and close the pool afterwards."""
        is_stale = self._is_stale
        if self.pool is not None:
            pool, self.pool = self.pool, None
            pool.close()
        return is_stale

    @stale.setter
    def stale(self, value: bool) -> None:
        self._is_stale = value


def test_sqlite_connection_that_returns_during_close_is_closed() -> None:
    """If a SQLite connection is given back while its pool is being closed, it is closed too."""
    pool = Pool()
    link = SqliteLinkInUse(sqlite3.connect(":memory:"), None)
    pool.open(lambda: link)
    link.pool = pool
    pool.give(link)
    assert ([], False) == (pool.idle, link.open)


class LinkOfPool:
    """A connection that records whether it was closed."""

    ready = True
    is_closed = False

    def close(self) -> None:
        """Record that the connection was closed."""
        self.is_closed = True


class PoolInUse(LinkPool):
    """A store's pool that is closed just before a connection returns to it."""

    engine: Engine

    def gives_back_now(self) -> bool:
        """Close the store, then return False."""
        self.engine.close()
        return False


class OneScopeRuntime:
    """A runtime that has only one scope."""

    def scope(self) -> None:
        """Return the scope."""


def test_sql_connection_that_returns_during_close_is_closed() -> None:
    """If a connection is given back while its SQL store is being closed, it is closed too."""
    engine = Engine(
        cast("Any", OneScopeRuntime()),
        names=Names("db", "t", ""),
        timeout=1,
        connections=1,
        create=False,
    )
    link, pool = LinkOfPool(), PoolInUse()
    pool.engine = engine
    engine._pools[None] = pool
    engine._return_link(pool, cast("Any", link))
    assert ([], True) == (pool.idle, link.is_closed)


class FakeMongoClient:
    """A client without a server, which records whether it was closed."""

    is_closed = False

    def __getitem__(self, _: str) -> object:
        return object()

    def close(self) -> None:
        """Record that the client was closed."""
        self.is_closed = True


def test_mongo_client_that_is_made_during_close_is_closed() -> None:
    """If another thread closes a MongoDB connector during its first use, no client stays open."""
    connector = MongoConnector("mongodb://db.example/shop")
    other_thread = InterveningThread(connector.close)
    client = FakeMongoClient()

    class Settings:
        connect_timeout = 0.01

        def client(self, *_: object) -> FakeMongoClient:
            other_thread.start()
            return client

    connector._settings = cast("Any", Settings())
    with suppress(Exception):
        connector.attempt(
            cast("Any", None), 0.01, Progress(has_effect=False, is_whole=True), for_writing=False
        )
    other_thread.result()
    assert client.is_closed


class LoopInUse:
    """An event loop that lets another loop begin to use the same connections."""

    def __init__(self, channels: AsyncChannels) -> None:
        self._channels = channels

    def is_closed(self) -> bool:
        """Start to use the connections in another event loop, then return False."""
        self._channels._of_loops[cast("Any", object())] = cast("Any", None)
        return False


def test_event_loops_begin_to_use_broker_at_once(tmp_path: Path) -> None:
    """Several event loops may begin to use a lease broker at the same time."""
    channels = AsyncChannels(tmp_path / "absent")
    channels._of_loops[cast("Any", LoopInUse(channels))] = cast("Any", None)
    assert asyncio.run(channels.ask(b"\n", 0, 1.0)) is None


def test_shards_may_get_commands_while_they_are_closed() -> None:
    """While a store of shards runs queued commands and closes, it may still get new commands."""
    store = AsyncShardedStorage({"a": AsyncMemoryStorage(), "b": AsyncMemoryStorage()})
    settled: list[str] = []

    class PendingCommands:
        queue = ("command",)
        task = None

        async def settle(self) -> None:
            settled.append("settled")
            store._posted[cast("Any", object())] = cast("Any", self)

    store._posted[cast("Any", "location")] = cast("Any", PendingCommands())
    asyncio.run(store.aclose())
    assert ["settled"] == settled


class _Transport:
    """An empty stand-in for the transport of an account."""


def test_hub_lists_transports_while_tenants_get_some() -> None:
    """A hub can be closed while other threads make transports for tenants."""
    runtime = Hub([])._runtime
    kept_transports = [_Transport() for _ in range(200)]
    for transport in kept_transports:
        runtime._own_transports[id(transport)] = transport
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    may_stop = threading.Event()

    def use(number: int) -> int:
        if number:
            while not may_stop.is_set():
                transport = _Transport()
                runtime._own_transports[id(transport)] = transport
            return 0
        try:
            return min(len(runtime.own_transports()) for _ in range(1_000))
        finally:
            may_stop.set()

    try:
        assert run_threads(3, use)[0] >= len(kept_transports)
    finally:
        sys.setswitchinterval(interval)
