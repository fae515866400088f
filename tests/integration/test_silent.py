"""A store that accepts connections but never replies does not delay calls beyond their deadline."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from moorage import (
    AsyncConnectorManager,
    ConnectorManager,
    Event,
    RateLimitConfig,
    Service,
    StorageLost,
    StorageUnavailable,
)
from moorage.testing import VirtualClock
from tests.integration.store_locations import StoreLocation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

ASKED = 1.0
"""Seconds that a call has, by a clock that stands still: only the wait for the store is real."""
STORE_PATIENCE = 3_600.0
"""Seconds that the store would wait by itself: whoever listens to it waits longer than the test."""
URLS = {
    "redis": "redis://127.0.0.1:{port}/0",
    "redis-cluster": "redis+cluster://127.0.0.1:{port}",
    "redis-sentinel": "redis+sentinel://127.0.0.1:{port}/primary",
    "postgresql": "postgresql://user@127.0.0.1:{port}/database",
    "mariadb": "mariadb://user@127.0.0.1:{port}/database",
}
EACH_STORE = pytest.mark.parametrize("kind", URLS)
SERVICE = Service(
    "vat", timeout=ASKED, retry=None, limits=RateLimitConfig.per_second(100, burst=100)
)


@pytest.fixture
def silent_server() -> Iterator[socket.socket]:
    """Yield a server that accepts connections and never replies.

    A test stops it before closing its store, which would wait for it.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server


def _location(kind: str, server: socket.socket) -> StoreLocation:
    port = server.getsockname()[1]
    prefix = "silent_" if kind in {"postgresql", "mariadb"} else "silent:"
    url = URLS[kind].format(port=port)
    return StoreLocation(kind.partition("-")[0], url, prefix=prefix, timeout=STORE_PATIENCE)


@asynccontextmanager
async def _closing_server(server: socket.socket) -> AsyncGenerator[None]:
    with server:
        yield


def _count_lost_storage(events: list[Event]) -> int:
    return sum(isinstance(event, StorageLost) for event in events)


@EACH_STORE
def test_unkeyed_call_ignores_a_silent_store(kind: str, silent_server: socket.socket) -> None:
    """If the store never replies, only the first call waits for the store, and no call fails."""
    events: list[Event] = []
    with _location(kind, silent_server).open() as store, silent_server:
        manager = ConnectorManager(
            [SERVICE], state=store, observers=[events.append], clock=VirtualClock()
        )

        assert [1, 2] == [manager.run("vat", partial(int, number)) for number in (1, 2)]

    assert 1 == _count_lost_storage(events)


@EACH_STORE
def test_keyed_call_is_refused_with_a_silent_store(kind: str, silent_server: socket.socket) -> None:
    """If the store never replies, a call with an idempotency key is refused soon."""
    effects: list[int] = []
    with _location(kind, silent_server).open() as store, silent_server:
        manager = ConnectorManager([SERVICE], state=store, clock=VirtualClock())
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                manager.run("vat", partial(effects.append, 1), idempotency_key="key")

    assert [] == effects


@EACH_STORE
def test_async_unkeyed_call_ignores_a_silent_store(kind: str, silent_server: socket.socket) -> None:
    """If the store never replies, an asynchronous call without a key continues."""
    events: list[Event] = []

    async def story() -> list[int]:
        async def call(number: int) -> int:
            return number

        async with (
            _location(kind, silent_server).open_async() as store,
            _closing_server(silent_server),
            AsyncConnectorManager(
                [SERVICE], state=store, observers=[events.append], clock=VirtualClock()
            ) as manager,
        ):
            return [await manager.run("vat", partial(call, number)) for number in (1, 2)]

    assert [1, 2] == asyncio.run(story())
    assert 1 == _count_lost_storage(events)


@EACH_STORE
def test_async_keyed_call_is_refused_with_a_silent_store(
    kind: str, silent_server: socket.socket
) -> None:
    """If the store never replies, an asynchronous call with an idempotency key is refused soon."""
    effects: list[int] = []

    async def call() -> None:
        effects.append(1)

    async def story() -> None:
        async with (
            _location(kind, silent_server).open_async() as store,
            _closing_server(silent_server),
            AsyncConnectorManager([SERVICE], state=store, clock=VirtualClock()) as manager,
        ):
            for _ in range(2):
                with pytest.raises(StorageUnavailable):
                    await manager.run("vat", call, idempotency_key="key")

    asyncio.run(story())
    assert [] == effects
