"""HTTP requests as operations: what their answers mean decides like a status does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    CallFinished,
    CircuitState,
    ConfigurationError,
    ConnectorError,
    DryRun,
    Endpoint,
    HedgeConfig,
    HttpOperation,
    InvalidData,
    OutcomeUnknown,
    RateLimitConfig,
    RateLimitExceeded,
    Region,
    Request,
    Response,
    RetryPolicy,
    Service,
    VendorFailed,
    VendorRejected,
)
from tests.support.modes import World, sync_and_async

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "https://erp.example"


def refusal_of(response: Response) -> ConnectorError | None:
    """The error that an answer of this test's vendor stands for."""
    errors: dict[str, Callable[[], ConnectorError]] = {
        "busy": lambda: VendorFailed("The vendor is busy.", retryable=True),
        "throttled": lambda: RateLimitExceeded("The vendor throttles.", by_vendor=True),
        "no": lambda: VendorRejected("The vendor refused."),
    }
    make_error = errors.get(response.json().get("error"))
    return None if make_error is None else make_error()


def total_of(response: Response) -> int:
    """The result of a successful answer."""
    total = response.json()["total"]
    assert isinstance(total, int)
    return total


def operation(**changes: Any) -> HttpOperation[int]:
    """An operation that changes something, unless its request says otherwise."""
    settings: dict[str, Any] = {
        "name": "orders.add",
        "request": Request.post("/rpc", json={"method": "add"}),
        "read": total_of,
        "refusal": refusal_of,
        "system": "rpc",
        **changes,
    }
    return HttpOperation(**settings)


def question(**changes: Any) -> HttpOperation[int]:
    """An operation that changes nothing, although its method is POST."""
    request = Request.post("/rpc", json={"method": "ask"}).evolve(idempotent=True)
    return operation(name="orders.total", request=request, safe=True, **changes)


def erp(**options: Any) -> Service:
    """A service with retries."""
    settings: dict[str, Any] = {"base_url": URL, "retry": RetryPolicy(3, 0), **options}
    return Service("erp", **settings)


def answer(**body: Any) -> Response:
    """A successful answer with this body."""
    return Response(200, body=json.dumps(body).encode())


@sync_and_async
async def test_result_is_what_the_answer_says(world: World) -> None:
    """The result is read from the answer, and events name the operation and the system."""
    world.vendor.answers(answer(total=7))
    manager = world.watched(erp())

    assert 7 == await manager.perform("erp", operation(), subject="person-1")
    assert ["/rpc"] == [request.path for request in world.vendor.requests]
    (end,) = [event for event in world.events if isinstance(event, CallFinished)]
    assert ("orders.add", "rpc", "person-1") == (end.operation, end.vendor, end.subject)


@pytest.mark.parametrize("word", ["busy", "throttled", "no"])
@sync_and_async
async def test_refusal_in_a_successful_answer(world: World, word: str) -> None:
    """An answer that refuses in its body counts like one that refuses by its status."""
    world.vendor.answers(*[answer(error=word)] * 3)
    manager = world.manager(erp())
    with pytest.raises(ConnectorError) as excinfo:
        await manager.perform("erp", operation())

    error = excinfo.value
    assert 1 == len(world.vendor.requests) == error.attempts
    assert ("erp", "orders.add", "rpc") == (error.service, error.operation, error.vendor)


@pytest.mark.parametrize("word", ["busy", "throttled"])
@sync_and_async
async def test_question_is_repeated(world: World, word: str) -> None:
    """A harmless question is repeated after a failure in the body of its answer."""
    world.vendor.answers(answer(error=word), answer(total=2))

    assert 2 == await world.manager(erp()).perform("erp", question())


@sync_and_async
async def test_pause_that_a_body_asks_for(world: World) -> None:
    """The pause that the body of an answer asks for is kept like that of a header."""
    world.vendor.answers(answer(error="throttled"), answer(total=2))

    def pause(response: Response) -> ConnectorError | None:
        error = refusal_of(response)
        if error is not None:
            error.vendor_retry_after = 4.0
        return error

    assert 2 == await world.manager(erp()).perform("erp", question(refusal=pause))
    assert 4.0 == sum(world.sleeper.slept)


@sync_and_async
async def test_failures_in_bodies_open_the_circuit(world: World) -> None:
    """The circuit counts what the bodies of the answers say, not their status."""
    world.vendor.answers(*[answer(error="busy")] * 30)
    manager = world.manager(erp(retry=None))
    for _ in range(30):
        with pytest.raises(ConnectorError):
            await manager.perform("erp", question())

    state = await manager.circuit_state("erp")
    assert CircuitState.OPEN is state.state


@pytest.mark.parametrize("word, unknown", [("busy", True), ("no", False)])
@sync_and_async
async def test_key_of_a_refused_operation(world: World, word: str, unknown: bool) -> None:
    """A refusal proves that a keyed operation did nothing; a failure leaves its outcome open."""
    world.vendor.answers(answer(error=word), answer(total=3))
    manager = world.manager(erp())
    with pytest.raises(OutcomeUnknown if unknown else VendorRejected):
        await manager.perform("erp", operation(), idempotency_key="order-1")

    assert 1 == len(world.vendor.requests)


@sync_and_async
async def test_repeated_key_has_one_effect(world: World) -> None:
    """A repeated key returns the first result, and sends nothing."""
    world.vendor.answers(answer(total=3))
    manager = world.manager(erp())
    results = [
        await manager.perform("erp", operation(), idempotency_key="order-1") for _ in range(2)
    ]

    assert [3, 3] == results
    assert 1 == len(world.vendor.requests)


@sync_and_async
async def test_answer_that_cannot_be_read(world: World) -> None:
    """An answer from which nothing can be read counts as lost, and is not stored under a key."""
    world.vendor.answers(answer(unexpected=1))
    manager = world.manager(erp())
    with pytest.raises(OutcomeUnknown):
        await manager.perform("erp", operation(), idempotency_key="order-1")


@sync_and_async
async def test_hedged_question_reads_every_answer(world: World) -> None:
    """A hedged operation judges the answer of each of its requests."""
    world.vendor.answers(*[answer(error="no")] * 2)
    manager = world.manager(erp(hedge=HedgeConfig(0.01)))
    with pytest.raises(VendorRejected):
        await manager.perform("erp", question())


@sync_and_async
async def test_operation_in_a_region(world: World) -> None:
    """An HTTP operation goes to the region that its service chooses."""
    world.vendor.answers(answer(total=1))
    manager = world.manager(erp(base_url=None, regions=[Region("eu", "https://eu.example")]))

    assert 1 == await manager.perform("erp", operation())
    assert ["https://eu.example/rpc"] == [sent.url for sent in world.vendor.requests]


@sync_and_async
async def test_endpoint_with_the_name_of_the_operation_applies(world: World) -> None:
    """The endpoint with the operation's name applies, whatever the path of the request is."""
    world.vendor.answers(*[answer(total=1)] * 2)
    endpoints = [Endpoint("orders.add", limits=[RateLimitConfig(1)])]
    manager = world.manager(erp(endpoints=endpoints))
    for _ in range(2):
        await manager.perform("erp", operation())

    assert [1.0] == world.sleeper.slept


@pytest.mark.parametrize("safe", [True, False])
@sync_and_async
async def test_rehearsal_sends_only_safe_operations(world: World, safe: bool) -> None:
    """A rehearsal asks questions, and holds back what changes something."""
    world.vendor.answers(answer(total=1))
    manager = world.manager(erp(), dry_run=True)
    if safe:
        assert 1 == await manager.perform("erp", question())
        return
    with pytest.raises(DryRun, match="POST /rpc was not sent"):
        await manager.perform("erp", operation())
    assert [] == world.vendor.requests


@sync_and_async
async def test_payload_of_an_http_operation(world: World) -> None:
    """A payload is refused, because a repeated key is compared with the request."""
    manager = world.manager(erp())
    with pytest.raises(InvalidData) as excinfo:
        await manager.perform("erp", operation(), idempotency_key="k", payload={"a": 1})

    assert "payload" == excinfo.value.field


@sync_and_async
async def test_hook_that_returns_no_error(world: World) -> None:
    """A refusal that is no error of moorage is the operation's mistake, and says so."""
    world.vendor.answers(answer(total=1))
    manager = world.manager(erp())
    with pytest.raises(ConfigurationError, match="refusal"):
        await manager.perform("erp", operation(refusal=lambda _: "no"))


def test_safety_follows_the_method() -> None:
    """An operation is safe if its method is, unless it says otherwise."""
    get = operation(request=Request.get("/orders"))
    assert (True, True) == (get.safe, get.repeatable)
    assert (False, False) == (operation().safe, operation().repeatable)
    assert "method" not in repr(operation())
