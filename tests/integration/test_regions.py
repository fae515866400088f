"""Real servers as regions that fail, hang or close connections, as seen by several processes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AsyncConnectorManager,
    AttemptTimeout,
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    CircuitState,
    ConnectionFailed,
    ConnectorManager,
    Region,
    Request,
    Response,
    RetryPolicy,
    Service,
)
from moorage.testing import Behaviour, VendorServer
from tests.integration.worker_pool import calls
from tests.integration.workers import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.store_locations import StoreLocation
    from tests.integration.worker_pool import WorkerPool

GET = Request.get("/items")
POST = Request.post("/orders", body=b"one")
HANGS_UP = Behaviour(raw=b"", then="close")
HANGS = Behaviour(raw=b"")


@pytest.fixture
def eu() -> Iterator[VendorServer]:
    """Yield the region that is tried first."""
    with VendorServer() as server:
        server.always(Behaviour(body=b"eu"))
        yield server


@pytest.fixture
def standby_region() -> Iterator[VendorServer]:
    """Return the standby region."""
    with VendorServer() as server:
        server.always(Behaviour(body=b"us"))
        yield server


def service(name: str, eu: VendorServer, us: VendorServer, **options: Any) -> Service:
    """Return a service with the two regions."""
    fields: dict[str, Any] = {
        "regions": (Region("eu", eu.url), Region("us", us.url, tier=2)),
        "retry": RetryPolicy(3, 0.01),
        "circuit": CircuitBreakerConfig(failures=1, open_for=60),
        "idempotency_header": "Idempotency-Key",
        "idempotency_memory": 86_400,
    }
    return Service(name, **fields | options)


def answer(service: Service, request: Request, *, is_async: bool, **options: Any) -> Response:
    """Make a call with a synchronous or asynchronous manager that has default settings."""
    if not is_async:
        with ConnectorManager([service]) as manager:
            return manager.call(service.name, request, **options)

    async def call() -> Response:
        async with AsyncConnectorManager([service]) as manager:
            return await manager.call(service.name, request, **options)

    return asyncio.run(call())


modes = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@modes
@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
def test_refused_connection_moves_to_the_next_region(
    standby_region: VendorServer, request_: Request, *, is_async: bool
) -> None:
    """A request to a closed port goes to the next region at once."""
    with VendorServer(port="refusing") as dead_server:
        result = answer(service("shop", dead_server, standby_region), request_, is_async=is_async)

    assert b"us" == result.body


@modes
def test_only_safe_requests_leave_a_hanging_region(
    eu: VendorServer, standby_region: VendorServer, *, is_async: bool
) -> None:
    """A read that times out is sent to another region, but a write is not sent again."""
    eu.always(HANGS)
    hanging_service = service("shop", eu, standby_region, attempt_timeout=0.2)

    assert b"us" == answer(hanging_service, GET, is_async=is_async).body
    with pytest.raises(AttemptTimeout):
        answer(hanging_service, POST, is_async=is_async)

    assert ["GET", "POST"] == [request.method for request in eu.requests]
    assert ["GET"] == [request.method for request in standby_region.requests]


@modes
def test_post_without_a_response_stays_in_its_region(
    eu: VendorServer, standby_region: VendorServer, *, is_async: bool
) -> None:
    """A POST that was received but not answered goes to no other region, even with a key."""
    eu.queue(HANGS_UP, HANGS_UP)
    patient_service = service("shop", eu, standby_region, circuit=None)

    with pytest.raises(ConnectionFailed):
        answer(patient_service, POST, is_async=is_async)
    result = answer(patient_service, POST, is_async=is_async, idempotency_key="k")

    assert b"eu" == result.body
    assert 3 == len(eu.requests)
    assert () == standby_region.requests


def test_recovered_region_is_used_again(eu: VendorServer, standby_region: VendorServer) -> None:
    """A probe notices a recovered region, and calls return to it."""
    eu.queue(Behaviour(503))
    brief_config = CircuitBreakerConfig(failures=1, open_for=0.05)
    with ConnectorManager([service("shop", eu, standby_region, circuit=brief_config)]) as manager:
        first = manager.call("shop", GET).body
        last_bytes = first
        for _ in range(10_000):
            if last_bytes == b"us":
                last_bytes = manager.call("shop", GET).body
        later_circuit = manager.circuit_state("shop", region="eu")

    assert (b"us", b"eu", CircuitState.CLOSED) == (first, last_bytes, later_circuit.state)


def test_stream_opens_in_an_available_region(standby_region: VendorServer) -> None:
    """A stream opens in a region that accepts connections."""
    with (
        VendorServer(port="refusing") as dead_server,
        ConnectorManager([service("shop", dead_server, standby_region)]) as manager,
        manager.stream("shop", GET) as stream,
    ):
        assert b"us" == b"".join(stream)


def test_region_health_is_shared(
    pool: WorkerPool,
    location: StoreLocation,
    name: str,
    eu: VendorServer,
    standby_region: VendorServer,
) -> None:
    """A region that failed for one process is avoided by all others."""
    eu.queue(Behaviour(503))
    job = Job(
        scenario="call",
        services=(service(name, eu, standby_region),),
        state=location,
        path="/items",
    )
    first = calls(pool.work(job))
    second = calls(pool.work(*[attrs.evolve(job, threads=2)] * 2))

    assert ["good"] * 5 == [call["outcome"] for call in (*first, *second)]
    assert ["us"] * 5 == [call["value"] for call in (*first, *second)]
    assert (1, 5) == (len(eu.requests), len(standby_region.requests))


def test_no_healthy_region_refuses_all_processes(
    pool: WorkerPool,
    location: StoreLocation,
    name: str,
    eu: VendorServer,
    standby_region: VendorServer,
) -> None:
    """If every region has failed, the calls of every process are refused."""
    eu.queue(Behaviour(503))
    standby_region.queue(Behaviour(503))
    sick = service(name, eu, standby_region)
    job = Job(scenario="call", services=(sick,), state=location, path="/items")
    first = calls(pool.work(job))
    second = calls(pool.work(job, job))
    with (
        location.open() as store,
        ConnectorManager([sick], state=store) as manager,
        pytest.raises(CircuitBreakerOpen),
    ):
        manager.call(name, GET)

    assert ["CircuitBreakerOpen"] * 3 == [call["outcome"] for call in (*first, *second)]
    assert (1, 1) == (len(eu.requests), len(standby_region.requests))


def test_key_stays_in_its_region(
    pool: WorkerPool,
    location: StoreLocation,
    name: str,
    eu: VendorServer,
    standby_region: VendorServer,
) -> None:
    """If one process gets no response, another process repeats the key in the same region."""
    eu.queue(HANGS_UP)
    first_service = service(name, eu, standby_region, retry=None, circuit=None)
    first = Job(scenario="call", services=(first_service,), state=location, path="/orders", key="k")
    # The second process prefers the other region.
    turned_service = attrs.evolve(
        first_service, regions=(Region("us", standby_region.url), Region("eu", eu.url, tier=2))
    )
    second = attrs.evolve(first, services=(turned_service,))

    lost_call, result = calls(pool.work(first)) + calls(pool.work(second))

    assert ("ConnectionFailed", "good") == (lost_call["outcome"], result["outcome"])
    assert "eu" == result["value"]
    assert (2, 0) == (len(eu.requests), len(standby_region.requests))
