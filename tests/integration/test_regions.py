"""Real servers as regions: one dies, one hangs, one hangs up, and all processes know it."""

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
from tests.integration.crew import calls
from tests.integration.workers import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.crew import Crew
    from tests.integration.places import Place

GET = Request.get("/items")
POST = Request.post("/orders", body=b"one")
HANGS_UP = Behaviour(raw=b"", then="close")
HANGS = Behaviour(raw=b"")


@pytest.fixture
def eu() -> Iterator[VendorServer]:
    """The region that is asked first."""
    with VendorServer() as made:
        made.always(Behaviour(body=b"eu"))
        yield made


@pytest.fixture
def us() -> Iterator[VendorServer]:
    """The region that stands by."""
    with VendorServer() as made:
        made.always(Behaviour(body=b"us"))
        yield made


def service(name: str, eu: VendorServer, us: VendorServer, **options: Any) -> Service:
    """A service in both."""
    fields: dict[str, Any] = {
        "regions": (Region("eu", eu.url), Region("us", us.url, tier=2)),
        "retry": RetryPolicy(3, 0.01),
        "circuit": CircuitBreakerConfig(failures=1, open_for=60),
        "idempotency_header": "Idempotency-Key",
        "idempotency_memory": 86_400,
    }
    return Service(name, **fields | options)


def answer(service: Service, request: Request, *, awaited: bool, **options: Any) -> Response:
    """What a manager of either mode, with nothing but its defaults, gets."""
    if not awaited:
        with ConnectorManager([service]) as manager:
            return manager.call(service.name, request, **options)

    async def call() -> Response:
        async with AsyncConnectorManager([service]) as manager:
            return await manager.call(service.name, request, **options)

    return asyncio.run(call())


modes = pytest.mark.parametrize("awaited", [False, True], ids=["plain", "awaited"])


@modes
@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
def test_a_region_that_is_dead_is_left_at_once(
    us: VendorServer, request_: Request, *, awaited: bool
) -> None:
    """Whatever was to be sent to a port where nobody listens goes to the next region."""
    with VendorServer(port="refusing") as dead:
        result = answer(service("shop", dead, us), request_, awaited=awaited)

    assert b"us" == result.body


@modes
def test_a_region_that_hangs_is_left_by_what_may_be_repeated(
    eu: VendorServer, us: VendorServer, *, awaited: bool
) -> None:
    """A read that was not answered in time is answered elsewhere; a write is not sent again."""
    eu.always(HANGS)
    hanging = service("shop", eu, us, attempt_timeout=0.2)

    assert b"us" == answer(hanging, GET, awaited=awaited).body
    with pytest.raises(AttemptTimeout):
        answer(hanging, POST, awaited=awaited)

    assert ["GET", "POST"] == [request.method for request in eu.requests]
    assert ["GET"] == [request.method for request in us.requests]


@modes
def test_a_region_that_hangs_up_has_heard_the_request(
    eu: VendorServer, us: VendorServer, *, awaited: bool
) -> None:
    """A POST that was read and not answered goes to no other region, with or without a key."""
    eu.queue(HANGS_UP, HANGS_UP)
    patient = service("shop", eu, us, circuit=None)

    with pytest.raises(ConnectionFailed):
        answer(patient, POST, awaited=awaited)
    result = answer(patient, POST, awaited=awaited, idempotency_key="k")

    assert b"eu" == result.body
    assert 3 == len(eu.requests)
    assert () == us.requests


def test_a_region_that_recovers_is_asked_again(eu: VendorServer, us: VendorServer) -> None:
    """A region that is well again is found by its probe, and takes its calls back."""
    eu.queue(Behaviour(503))
    brief = CircuitBreakerConfig(failures=1, open_for=0.05)
    with ConnectorManager([service("shop", eu, us, circuit=brief)]) as manager:
        first = manager.call("shop", GET).body
        last = first
        for _ in range(10_000):
            if last == b"us":
                last = manager.call("shop", GET).body
        after = manager.circuit_state("shop", region="eu")

    assert (b"us", b"eu", CircuitState.CLOSED) == (first, last, after.state)


def test_a_stream_comes_from_the_region_that_answers(us: VendorServer) -> None:
    """A stream is opened where somebody listens."""
    with (
        VendorServer(port="refusing") as dead,
        ConnectorManager([service("shop", dead, us)]) as manager,
        manager.stream("shop", GET) as stream,
    ):
        assert b"us" == b"".join(stream)


def test_all_processes_know_which_region_is_sick(
    crew: Crew, place: Place, name: str, eu: VendorServer, us: VendorServer
) -> None:
    """What one process has learnt of a region keeps the calls of all others from it."""
    eu.queue(Behaviour(503))
    job = Job(scenario="call", services=(service(name, eu, us),), state=place, path="/items")
    first = calls(crew.work(job))
    second = calls(crew.work(*[attrs.evolve(job, threads=2)] * 2))

    assert ["good"] * 5 == [call["outcome"] for call in (*first, *second)]
    assert ["us"] * 5 == [call["value"] for call in (*first, *second)]
    assert (1, 5) == (len(eu.requests), len(us.requests))


def test_all_processes_know_that_every_region_is_sick(
    crew: Crew, place: Place, name: str, eu: VendorServer, us: VendorServer
) -> None:
    """Where no region is left the calls of every process are refused."""
    eu.queue(Behaviour(503))
    us.queue(Behaviour(503))
    sick = service(name, eu, us)
    job = Job(scenario="call", services=(sick,), state=place, path="/items")
    first = calls(crew.work(job))
    second = calls(crew.work(job, job))
    with (
        place.open() as store,
        ConnectorManager([sick], state=store) as manager,
        pytest.raises(CircuitBreakerOpen),
    ):
        manager.call(name, GET)

    assert ["CircuitBreakerOpen"] * 3 == [call["outcome"] for call in (*first, *second)]
    assert (1, 1) == (len(eu.requests), len(us.requests))


def test_all_processes_know_where_a_key_was_sent(
    crew: Crew, place: Place, name: str, eu: VendorServer, us: VendorServer
) -> None:
    """A key whose answer one process lost is asked again by another in the same region only."""
    eu.queue(HANGS_UP)
    once = service(name, eu, us, retry=None, circuit=None)
    first = Job(scenario="call", services=(once,), state=place, path="/orders", key="k")
    # For the second process the other region comes first.
    turned = attrs.evolve(once, regions=(Region("us", us.url), Region("eu", eu.url, tier=2)))
    second = attrs.evolve(first, services=(turned,))

    lost, result = calls(crew.work(first)) + calls(crew.work(second))

    assert ("ConnectionFailed", "good") == (lost["outcome"], result["outcome"])
    assert "eu" == result["value"]
    assert (2, 0) == (len(eu.requests), len(us.requests))
