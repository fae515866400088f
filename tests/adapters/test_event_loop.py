"""Asynchronous classes used without asyncio's event loop, for example under Trio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AsyncConnectorManager,
    AsyncOAuthTokenRefresher,
    Bulkhead,
    ClientCredentials,
    HedgeConfig,
    LocalFailure,
    OAuthClient,
    RateLimitConfig,
    RateLimiter,
    Request,
    RetryHandler,
    RetryPolicy,
    Service,
)
from moorage.adapters.state.redis import AsyncRedisStorage
from moorage.adapters.state.sqlite import AsyncSqliteStorage
from moorage.testing import Behaviour, VendorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

GET = Request.get("/rates")


@pytest.fixture(name="vendor")
def _vendor() -> Iterator[VendorServer]:
    with VendorServer() as vendor:
        vendor.always(Behaviour.of_json({}))
        yield vendor


def run_without_loop(flow: Awaitable[Any]) -> Any:
    """Run an awaitable without asyncio until it first waits, as another library would."""
    return flow.__await__().send(None)


def manager_of(vendor: VendorServer, **options: Any) -> AsyncConnectorManager:
    """Return a manager of one service at this vendor."""
    ports = {name: options.pop(name) for name in ("state",) if name in options}
    return AsyncConnectorManager([Service("vat", vendor.url, **options)], **ports)


async def fail_once(retry: RetryHandler) -> None:
    """Call a function that fails, through the given retry handler."""

    async def raise_error() -> None:
        raise OSError

    await retry.call(raise_error)


async def wait_for_limit() -> None:
    """Take two tokens of a limit; the second token is available only after a wait."""
    limiter = RateLimiter(RateLimitConfig.per_second(1, burst=1))
    await limiter.aacquire()
    await limiter.aacquire()


async def wait_for_slot() -> None:
    """Take the only slot of a bulkhead twice."""
    bulkhead = Bulkhead(1, 1)
    async with bulkhead.guard(), bulkhead.guard():
        raise AssertionError


OPERATIONS: dict[str, Callable[[VendorServer, Path], Awaitable[Any]]] = {
    "call": lambda vendor, _: manager_of(vendor).call("vat", GET),
    "many calls": lambda vendor, _: manager_of(vendor).call_many("vat", [GET, GET]),
    "hedged call": lambda vendor, _: manager_of(vendor, hedge=HedgeConfig(1)).call("vat", GET),
    "sqlite": lambda vendor, folder: manager_of(
        vendor, state=AsyncSqliteStorage(folder / "state.db")
    ).call("vat", GET),
    "redis": lambda vendor, _: manager_of(
        vendor, state=AsyncRedisStorage("redis://127.0.0.1:1")
    ).call("vat", GET),
    "retry": lambda _, __: fail_once(RetryHandler(RetryPolicy(2, 0.1))),
    "limiter": lambda _, __: wait_for_limit(),
    "bulkhead": lambda _, __: wait_for_slot(),
    "token": lambda vendor, _: AsyncOAuthTokenRefresher(
        {"vat": OAuthClient(server=vendor.url, client_id="erp", grant=ClientCredentials())}
    ).get("vat", None),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_missing_event_loop_is_named(operation: str, vendor: VendorServer, tmp_path: Path) -> None:
    """An operation that has to wait outside of asyncio raises an error with a remedy."""
    with pytest.raises(LocalFailure, match=r"need a running asyncio event loop") as excinfo:
        run_without_loop(OPERATIONS[operation](vendor, tmp_path))

    assert "asyncio.run" in excinfo.value.remedy
    assert not excinfo.value.retryable
    assert not vendor.requests


def test_key_is_free_after_a_call_without_event_loop(vendor: VendorServer) -> None:
    """A call outside of asyncio sends nothing, so its idempotency key can be used again."""
    manager, charge = manager_of(vendor), Request.post("/charges", json={})
    with pytest.raises(LocalFailure):
        run_without_loop(manager.call("vat", charge, idempotency_key="INV-1"))

    async def call_and_close() -> Any:
        async with manager:
            return await manager.call("vat", charge, idempotency_key="INV-1")

    answer = asyncio.run(call_and_close())

    assert (200, False, 1) == (answer.status, answer.replayed, len(vendor.requests))


@pytest.mark.parametrize("options", [{}, {"idempotency_key": "INV-1"}])
def test_later_calls_without_event_loop_fail_like_the_first(
    vendor: VendorServer, options: dict[str, Any]
) -> None:
    """Outside of asyncio, later calls fail like the first one, which loads the HTTP client."""
    manager, charge = manager_of(vendor), Request.post("/charges", json={})
    for _ in range(3):
        with pytest.raises(LocalFailure, match="need a running asyncio event loop") as excinfo:
            run_without_loop(manager.call("vat", charge, **options))
        assert not excinfo.value.may_have_been_processed
    with pytest.raises(LocalFailure, match="need a running asyncio event loop"):
        run_without_loop(manager.call("vat", charge, idempotency_key="INV-2"))
