"""Examples of the public API for the type checker; this file is never run.

A line that ends in `type: ignore` is a mistake that a user could make: were it no error, the
checkers would call the comment unused.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true
# ruff: noqa: PLW0108 - the lambdas are what is checked

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, assert_type

import moorage
from moorage import (
    AsyncConnectorManager,
    Bulkhead,
    CircuitBreaker,
    CircuitBreakerState,
    CircuitState,
    ConnectorError,
    ConnectorManager,
    Idempotency,
    PaymentDeclined,
    Proxy,
    RateLimitConfig,
    RateLimiter,
    Request,
    Response,
    Result,
    RetryHandler,
    RetryPolicy,
    Secret,
    Service,
    VendorRejected,
)
from moorage.adapters.grpc.connector_async import AsyncGrpcConnector
from moorage.adapters.grpc.connector_sync import GrpcConnector
from moorage.adapters.http.borrowed.httpx2 import Httpx2HttpClient
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.sql.connector import SqlConnector
from moorage.adapters.sql.statements import Command
from moorage.adapters.websocket.connector import WebSocketConnector
from moorage.hub.streams import AsyncStreamedAnswer, StreamedAnswer
from moorage.parts.idempotency import IdempotentResult
from moorage.parts.rate_limiter import Reservation

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.adapters.sql.transactions import Transaction
    from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
    from moorage.domain.observation.events import Event
    from moorage.ports.clock import AsyncSleeper, Sleeper


def price(item: str, *, amount: int = 1) -> float:
    """A synchronous function, as an example."""
    return len(item) * amount


async def price_later(item: str, *, amount: int = 1) -> float:
    """An asynchronous function, as an example."""
    return len(item) * amount


class Shop:
    """A class with protected methods, as an example."""

    retry = RetryHandler()

    @retry
    def sell(self, item: str) -> int:
        """A synchronous method, as an example."""
        return len(item)

    @retry
    async def deliver(self, item: str) -> int:
        """An asynchronous method, as an example."""
        return len(item)


# One protection at a time: guards.


async def guards(breaker: CircuitBreaker, limiter: RateLimiter, bulkhead: Bulkhead) -> None:
    """Type checkers see that protections keep a function's parameters and result type."""
    for part in (breaker, limiter, bulkhead):
        assert_type(part.call(price, "tea", amount=2), float)
        assert_type(await part.call(price_later, "tea", amount=2), float)
        assert_type(part(price)("tea", amount=2), float)
        assert_type(await part(price_later)("tea"), float)
        with part.guard() as nothing:
            assert_type(nothing, None)
        async with part.guard():
            pass

    breaker.call(price)  # type: ignore[call-arg]
    breaker.call(price, 3)  # type: ignore[arg-type]
    breaker.call(price, "tea", number=3)  # type: ignore[call-arg]
    breaker(price)(3)  # type: ignore[arg-type]
    breaker(price)("tea", 3)  # type: ignore[call-arg]
    await breaker.call(price, "tea")  # type: ignore[misc]
    breaker.call(3)  # type: ignore[arg-type]


async def circuit_breaker(breaker: CircuitBreaker) -> None:
    """A circuit breaker's state has a known type, and can be set by hand."""
    assert_type(breaker.state(), CircuitBreakerState)
    assert_type(await breaker.astate(), CircuitBreakerState)
    assert_type(breaker.state().state, CircuitState)
    breaker.set(CircuitState.CLOSED)
    await breaker.aset(CircuitState.CLOSED)

    CircuitBreaker(timeout=timedelta(seconds=3), ignore=(KeyError, ValueError), storage=None)
    CircuitBreaker(ignore=KeyboardInterrupt)  # type: ignore[arg-type]
    CircuitBreaker(storage=3)  # type: ignore[arg-type]
    breaker.set("closed")  # type: ignore[arg-type]


async def rate_limiter(limiter: RateLimiter) -> None:
    """A rate limiter can be awaited, tried without waiting, and reserved in advance."""
    limiter.acquire(2, key="a", timeout=1)
    await limiter.aacquire(2, key="a", timeout=timedelta(seconds=1))
    assert_type(limiter.try_acquire(), bool)
    assert_type(await limiter.atry_acquire(), bool)
    assert_type(limiter.reserve(), Reservation)
    assert_type(await limiter.areserve(), Reservation)
    assert_type(limiter.reserve().delay, float)
    limiter.pause(timedelta(seconds=1))
    await limiter.apause(1)

    RateLimiter(RateLimitConfig.per_second(1), RateLimitConfig.per_calendar_day(9), name="a")
    RateLimiter(1)  # type: ignore[arg-type]
    limiter.acquire("2")  # type: ignore[arg-type]
    limiter.acquire(2, "a")  # type: ignore[call-arg]


async def retry_handler(retry: RetryHandler, shop: Shop) -> None:
    """A retry handler keeps the parameters and the result type of a function."""
    assert_type(retry.call(price, "tea"), float)
    assert_type(await retry.call(price_later, "tea"), float)
    assert_type(retry(price)("tea"), float)
    assert_type(await retry(price_later)("tea"), float)
    assert_type(shop.sell("tea"), int)
    assert_type(await shop.deliver("tea"), int)
    for attempt in retry:
        with attempt as entered_attempt:
            assert_type(entered_attempt.number, int)
    async for attempt in retry:
        with attempt:
            assert_type(attempt.number, int)

    RetryHandler(RetryPolicy(retry_on=lambda error: "again" in str(error)))
    shop.sell(3)  # type: ignore[arg-type]
    retry.call(price, 3)  # type: ignore[arg-type]
    retry(price)("tea", 3)  # type: ignore[call-arg]
    RetryHandler(3)  # type: ignore[arg-type]


async def idempotency(once: Idempotency) -> None:
    """An idempotency object keeps its function's result type."""
    assert_type(once.call("key", price, "tea", amount=2), float)
    assert_type(await once.call("key", price_later, "tea"), float)
    assert_type(once.answer("key", lambda: 3, payload=1), IdempotentResult[int])
    assert_type(once.answer("key", lambda: 3, payload=1).value, int)
    assert_type((await once.aanswer("key", later_number, payload=1)).value, int)
    assert_type(once(lambda item, **_: str(item))(price)("tea"), float)
    assert_type(await once(lambda item: str(item))(price_later)("tea"), float)
    assert_type(once.resolve("key", done=True, answer=3), bool)
    assert_type(await once.aresolve("key", done=False), bool)

    once.call(price, "tea")  # type: ignore[arg-type]
    once.call("key", price, 3)  # type: ignore[arg-type]
    once(lambda item: str(item))(price)(3)  # type: ignore[arg-type]
    once.resolve("key")  # type: ignore[call-arg]
    await once.aanswer("key", lambda: 3, payload=1)  # type: ignore[arg-type,return-value]


async def later_number() -> int:
    """Return a number asynchronously."""
    return 3


# Whole services.


def manager(calls: ConnectorManager, request: Request) -> None:
    """A synchronous manager's call has the result type of the called function."""
    assert_type(calls.call("vat", request), Response)
    assert_type(
        calls.call(
            "vat",
            request,
            tenant="acme",
            endpoint="rates",
            idempotency_key="INV-1",
            timeout=3.0,
            request_id="id",
        ),
        Response,
    )
    assert_type(calls.run("vat", lambda: 3), int)
    assert_type(calls.stream("vat", request), StreamedAnswer)
    assert_type(calls.circuit_state("vat"), CircuitBreakerState)
    assert_type(calls.protect("vat")(price)("tea", amount=2), float)
    with calls as entered_manager, entered_manager.stream("vat", request) as answer:
        for piece in answer:
            assert_type(piece, bytes)

    calls.call("vat")  # type: ignore[call-arg]
    calls.call(request, "vat")  # type: ignore[arg-type]
    calls.call("vat", request, "acme")  # type: ignore[call-arg]
    calls.call("vat", request, tenent="acme")  # type: ignore[call-arg]
    calls.call("vat", request, timeout="3")  # type: ignore[arg-type]
    calls.run("vat", 3)  # type: ignore[arg-type]
    calls.protect("vat")(price)(3)  # type: ignore[arg-type]


async def async_manager(calls: AsyncConnectorManager, request: Request) -> None:
    """An asynchronous manager's call has the awaited result type of the called function."""
    assert_type(await calls.call("vat", request, tenant="acme"), Response)
    assert_type(await calls.run("vat", later_number), int)
    assert_type(await calls.stream("vat", request), AsyncStreamedAnswer)
    assert_type(await calls.circuit_state("vat"), CircuitBreakerState)
    assert_type(await calls.protect("vat")(price_later)("tea", amount=2), float)
    async with calls as entered_manager:
        async with await entered_manager.stream("vat", request) as answer:
            async for piece in answer:
                assert_type(piece, bytes)
        assert_type([*await entered_manager.call_many("vat", [request])], list[Result[Response]])

    _ = calls.call("vat", request).status  # type: ignore[attr-defined]
    await calls.call("vat")  # type: ignore[call-arg]
    await calls.call("vat", request, tenent="acme")  # type: ignore[call-arg]
    await calls.run("vat", lambda: 3)  # type: ignore[arg-type,return-value]
    calls.protect("vat")(price)  # type: ignore[arg-type]


def modes(plain: MemoryStorage, async_store: AsyncMemoryStorage, sleeper: Sleeper) -> None:
    """Type checkers refuse an asynchronous port in a synchronous class, and vice versa."""
    services = [Service("vat")]
    ConnectorManager(services, state=plain, sleeper=sleeper)
    AsyncConnectorManager(services, state=async_store)

    ConnectorManager(services, state=async_store)  # type: ignore[arg-type]
    AsyncConnectorManager(services, state=plain)  # type: ignore[arg-type]
    AsyncConnectorManager(services, sleeper=sleeper)  # type: ignore[arg-type]
    RetryHandler(async_sleeper=sleeper)  # type: ignore[arg-type]


def more_modes(sleeper: AsyncSleeper) -> None:
    """Type checkers refuse an asynchronous port in a synchronous manager."""
    ConnectorManager([], sleeper=sleeper)  # type: ignore[arg-type]
    RetryHandler(sleeper=sleeper)  # type: ignore[arg-type]


def observers() -> None:
    """An observer must be a plain function of an event."""

    def observe(event: Event, /) -> None:
        """A valid observer."""

    async def observe_later(event: Event, /) -> None:
        """An invalid observer, because it is asynchronous."""

    seen_services: list[str] = []
    RetryHandler(observers=[observe, lambda event: seen_services.append(event.service)])
    RetryHandler(observers=[observe_later])  # type: ignore[list-item]


# Values and errors.


def errors(error: ConnectorError, declined: PaymentDeclined) -> None:
    """Error classes have typed fields, and an `except` block sees the caught class."""
    assert_type(error.retryable, bool)
    assert_type(error.service, str | None)
    assert_type(error.attempts, int)
    assert_type(declined.vendor_code, str | None)
    assert_type(declined.response, Response | None)
    refused_error: VendorRejected = declined
    assert_type(refused_error.status, int | None)

    _ = error.vendor_code  # type: ignore[attr-defined]
    raise ConnectorError("what happened", retryable="yes")  # type: ignore[arg-type]


async def connectors(manager: ConnectorManager, async_manager: AsyncConnectorManager) -> None:
    """A manager keeps the result type of a connector operation."""
    method: moorage.GrpcMethod[str, int] = moorage.GrpcMethod(
        path="/shop.Orders/Count", serialize=str.encode, deserialize=int.from_bytes, safe=True
    )
    orders = GrpcConnector("orders.example:443")
    assert_type(manager.perform("orders", orders.call(method, "tea")), int)
    with manager.perform("orders", orders.stream(method, "tea")) as stream:
        assert_type(list(stream), list[int])
    async_orders = AsyncGrpcConnector("orders.example:443")
    assert_type(await async_manager.perform("orders", async_orders.call(method, "tea")), int)

    raise_price = Command("UPDATE item SET price = 2", name="raise_price")
    with SqlConnector("sqlite:///shop.db") as database:
        assert_type(manager.perform("shop", database.execute(raise_price)), int)
        assert_type(
            manager.perform("shop", database.transaction(rename_in_transaction, name="rename")), str
        )
    publisher = moorage.RabbitMq(url="amqps://mq.example").publisher("events")
    assert_type(publisher, moorage.MessagePublisher)
    operation = publisher.publish("orders", moorage.Message("a"))
    assert_type(manager.perform("events", operation), moorage.PublishReceipt)
    policy = moorage.ReconnectPolicy(patience=60.0)
    WebSocketConnector("wss://feed.example", reconnect=policy)

    moorage.ReconnectPolicy(patience="long")  # type: ignore[arg-type]
    GrpcConnector("orders.example:443", plaintext="no")  # type: ignore[arg-type]
    manager.perform("orders", async_orders.call(method, "tea"))  # type: ignore[unused-coroutine]


def rename_in_transaction(transaction: Transaction) -> str:
    """An example function that runs in a transaction."""
    return str(transaction)


def exports() -> None:
    """Type checkers refuse the import of a name that is not exported."""
    assert_type(moorage.Secret("x").reveal(), str)
    assert_type(Secret("x").reveal_bytes(), bytes)

    _ = moorage.Monkey  # type: ignore[attr-defined]


def shapes(breaker: CircuitBreaker, retry: RetryHandler) -> None:
    """A decorated function has the same type as the function itself."""
    plain_breaker: Callable[[str], float] = breaker(price)
    async_retry: Callable[[str], Coroutine[Any, Any, float]] = retry(price_later)
    wrong_function: Callable[[int], float] = breaker(price)  # type: ignore[arg-type]
    del plain_breaker, async_retry, wrong_function


def http_settings() -> None:
    """The arguments of an HTTP client are type-checked, including inherited ones."""
    client = StdlibHttpClient(
        max_connections=20, keep_alive=timedelta(minutes=1), proxy="http://proxy.example:3128"
    )
    assert_type(client.keep_alive, float)
    assert_type(client.proxy, Proxy | None)
    Httpx2HttpClient(client=None, max_fields=50)

    StdlibHttpClient(None)  # type: ignore[call-arg]
    StdlibHttpClient(max_connections="many")  # type: ignore[arg-type]
    StdlibHttpClient(max_connection=20)  # type: ignore[call-arg]
