"""The call, top to bottom: bulkheads, fallbacks and batches."""

# ruff: noqa: SLF001 - values of any kind, and a look inside

from __future__ import annotations

from typing import Any

import pytest

from moorage import (
    BulkheadConfig,
    BulkheadFull,
    CircuitBreakerConfig,
    CircuitState,
    ConfigurationError,
    ConnectorError,
    DeadlineExceeded,
    Endpoint,
    IdempotencyConflict,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Response,
    Service,
    VendorFailed,
)
from moorage.domain.observation.events import CallRefused
from moorage.domain.values.text import with_article
from tests.services.vat import GET, POST, vat
from tests.support.modes import Interruption, World, sync_and_async

# --- bulkhead ---


@sync_and_async
async def test_a_bulkhead_lets_so_many_in(world: World) -> None:
    """When as many calls as may are under way, the next is refused, and the refusal is told."""
    gates = [world.gate(), world.gate()]
    world.vendor.answers(*(gate.answering(200) for gate in gates))
    manager = world.watched(vat(bulkhead=BulkheadConfig(2)))

    async def call() -> Response:
        response: Response = await manager.call("vat", GET)
        return response

    started = [world.start(call) for _ in gates]
    for gate in gates:
        await gate.reached()
    with pytest.raises(BulkheadFull) as caught:
        await manager.call("vat", GET)
    for gate in gates:
        gate.open()
    for item in started:
        await item.result()

    assert ("vat", True, 0) == (
        caught.value.service,
        caught.value.retryable,
        caught.value.attempts,
    )
    assert "2 calls are already in progress" in caught.value.message
    assert [("BulkheadFull", 0.0)] == [
        (event.error, event.retry_after) for event in world.events if isinstance(event, CallRefused)
    ]
    await manager.call("vat", GET)


@sync_and_async
async def test_a_bulkhead_has_a_queue(world: World) -> None:
    """A call that queues for a bulkhead slot gets it when one is free."""
    gate = world.gate()
    world.vendor.answers(gate.answering(200))
    manager = world.manager(vat(bulkhead=BulkheadConfig(1, max_waiting=1)))

    async def call() -> int:
        response: Response = await manager.call("vat", GET)
        return response.status

    started = [world.start(call)]
    await gate.reached()
    started.append(world.start(call))
    await world.wait(world.locks.arrived)
    with pytest.raises(BulkheadFull):
        await manager.call("vat", GET)
    gate.open()

    assert [200, 200] == [await item.result() for item in started]


@pytest.mark.parametrize(
    "timeout, max_wait, error",
    [
        (10, None, DeadlineExceeded),
        (0.5, None, DeadlineExceeded),
        (10, 9.999999999, BulkheadFull),
        (10, 3, BulkheadFull),
        (10, 0, BulkheadFull),
    ],
)
@sync_and_async
async def test_a_queue_is_left_in_time(
    world: World, timeout: float, max_wait: float | None, error: type[ConnectorError]
) -> None:
    """A call leaves the bulkhead's queue at its maximum wait or its deadline."""
    config = BulkheadConfig(1, max_waiting=9, max_wait=max_wait)
    manager = world.manager(vat(bulkhead=config, timeout=timeout))
    key = manager.manager._flows.plans.find("vat", None, None).bulkhead_key
    await world.locks.acquire(key, world, places=1, queue=0, timeout=0)
    world.impatient = True

    with pytest.raises(error) as caught:
        await manager.call("vat", GET)

    assert (timeout if max_wait is None else max_wait) == world.clock.now
    assert (max_wait is None) == isinstance(caught.value.__cause__, BulkheadFull)


@sync_and_async
async def test_queue_time_counts_towards_the_deadline(world: World) -> None:
    """Time spent in the bulkhead's queue is missing from the wait for a limit.

    It takes no turn that it could not wait for.
    """
    gate = world.gate()
    world.vendor.answers(gate.answering(200))
    service = vat(
        bulkhead=BulkheadConfig(1, max_waiting=1), limits=RateLimitConfig(1, per=12), timeout=10
    )
    manager = world.manager(service)

    async def first() -> None:
        await manager.call("vat", GET)

    async def second() -> None:
        with pytest.raises(RateLimitExceeded):
            await manager.call("vat", GET)

    started = [world.start(first)]
    await gate.reached()
    started.append(world.start(second))
    await world.wait(world.locks.arrived)
    world.clock.advance(3)
    gate.open()
    for item in started:
        await item.result()

    assert 3 == world.clock.now
    assert [] == world.store.posted


@sync_and_async
async def test_a_place_is_given_back_whatever_happens(world: World) -> None:
    """An error, an interruption and a success all give the place back."""
    world.vendor.answers(503, Interruption(), 200)
    manager = world.manager(vat(bulkhead=BulkheadConfig(1)))

    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)
    with pytest.raises(Interruption):
        await manager.call("vat", GET)
    await manager.call("vat", GET)

    assert not any(world.locks.inside.values())


# --- fallback ---


@sync_and_async
async def test_a_fallback_answers_for_a_failure(world: World) -> None:
    """When a call has failed for good, its fallback answers, and that is told."""
    world.vendor.otherwise = 503
    manager = world.watched(vat(fallback=lambda error: f"instead of {error.status}"))

    assert "instead of 503" == await manager.call("vat", GET)

    finished: Any = world.events[-1]
    assert ("VendorFailed", True) == (finished.error, finished.fallback)


@sync_and_async
async def test_a_fallback_may_be_awaited(world: World) -> None:
    """On the asynchronous face a fallback may be asynchronous; the other refuses it by name."""
    world.vendor.otherwise = 503

    async def instead(_: ConnectorError) -> str:
        await world.breathe()
        return "instead"

    if world.is_awaited:
        assert "instead" == await world.manager(vat(fallback=instead)).call("vat", GET)
    else:
        with pytest.raises(ConfigurationError, match="instead is asynchronous"):
            world.manager(vat(fallback=instead))


@sync_and_async
async def test_an_endpoint_has_a_fallback_of_its_own(world: World) -> None:
    """An endpoint's fallback replaces the service's; None means none."""
    world.vendor.otherwise = 503
    service = vat(
        fallback=lambda _: "service's",
        endpoints=[Endpoint("own", fallback=lambda _: "own"), Endpoint("none", fallback=None)],
    )
    manager = world.manager(service)

    assert "service's" == await manager.call("vat", GET)
    assert "own" == await manager.call("vat", GET, endpoint="own")
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET, endpoint="none")


@sync_and_async
async def test_a_fallback_answers_for_an_open_circuit(world: World) -> None:
    """The fallback also answers calls that an open circuit refuses."""
    manager = world.manager(vat(circuit=CircuitBreakerConfig(), fallback=lambda _: "instead"))
    await manager.set_circuit("vat", CircuitState.FORCED_OPEN)

    assert "instead" == await manager.call("vat", GET)


@sync_and_async
async def test_a_fallback_hides_nothing_that_may_have_happened(world: World) -> None:
    """A fallback does not answer for an unknown outcome, a conflict, or a mistake of ours."""
    world.vendor.answers(503)
    manager = world.manager(vat(fallback=lambda _: "instead"))

    with pytest.raises(OutcomeUnknown):
        await manager.call("vat", POST, idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        await manager.call("vat", GET, idempotency_key="k")
    with pytest.raises(InvalidData):
        await manager.call("vat", Request.get("https://evil.example/"))
    with pytest.raises(ConfigurationError):
        await world.manager(Service("bare", fallback=lambda _: "instead")).call("bare", GET)


@sync_and_async
async def test_fallback_ignores_foreign_exceptions(world: World) -> None:
    """An exception of the caller's own function is raised unchanged despite a fallback."""

    async def fail() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await world.manager(vat(fallback=lambda _: "instead")).run("vat", fail)


# --- batches ---


@sync_and_async
async def test_each_item_has_its_own_result(world: World) -> None:
    """Results come in the order of the requests, and none raises for another."""

    async def by_path(sent: Any) -> int:
        return 200 if sent.path in {"/0", "/2"} else 422

    world.vendor.otherwise = by_path
    requests = (Request.get(f"/{number}") for number in range(4))

    results = await world.manager(vat()).call_many("vat", requests, at_once=2)

    assert [True, False, True, False] == [result.ok for result in results]
    assert InvalidRequest is type(results[1].error)
    assert [200, 200] == [results[number].unwrap().status for number in (0, 2)]


@sync_and_async
async def test_a_batch_survives_anything(world: World) -> None:
    """Invalid requests and transform errors become results of a batch."""

    def broken(request: Request) -> Request:
        if request.path == "/bad":
            raise KeyError("bad")
        return request

    manager = world.manager(vat(request_transforms=broken))

    results = await manager.call_many("vat", [GET, Request.get("/bad"), "/rates"])

    assert ["NoneType", "KeyError", "InvalidData"] == [type(r.error).__name__ for r in results]


@sync_and_async
async def test_a_batch_is_of_one_tenant_and_endpoint(world: World) -> None:
    """Tenant, endpoint and timeout are every item's."""
    service = vat(endpoints=Endpoint("slow", limits=RateLimitConfig(1, per=9)))
    manager = world.watched(service)

    results = await manager.call_many(
        "vat", [GET, GET], tenant="acme", endpoint="slow", timeout=3, at_once=1
    )

    assert [True, False] == [result.ok for result in results]
    assert {("acme", "slow")} == {(event.tenant, event.operation) for event in world.events}
    assert [3.0] == [sent.timeouts.total for sent in world.vendor.requests]
    assert 2 == len({event.request_id for event in world.events})


@sync_and_async
async def test_a_batch_is_sent_eight_at_a_time(world: World) -> None:
    """Unless it is said, eight items are under way at once."""
    manager = world.manager(vat())

    await manager.call_many("vat", [GET] * 9)

    assert 8 == world.gather.at_once


@sync_and_async
async def test_a_batch_may_have_keys(world: World) -> None:
    """Each request has its own key, so that a repeated batch repeats nothing."""
    manager = world.manager(vat())

    await manager.call_many("vat", [POST, POST], idempotency_keys=["a", "b"])
    results = await manager.call_many("vat", [POST, POST], idempotency_keys=["a", "b"])

    assert [True, True] == [result.unwrap().replayed for result in results]
    assert 2 == len(world.vendor.requests)


@sync_and_async
async def test_a_batch_needs_a_key_for_each(world: World) -> None:
    """As many keys as requests, and at least one at once."""
    manager = world.manager(vat())

    with pytest.raises(InvalidData) as caught:
        await manager.call_many("vat", [POST, POST], idempotency_keys=["a"])
    assert ("idempotency_keys", "vat") == (caught.value.field, caught.value.service)
    assert "2 requests but 1 idempotency keys" in caught.value.message
    assert "one key for each" in caught.value.remedy
    with pytest.raises(ConfigurationError) as wrong:
        await manager.call_many("vat", [GET], at_once=0)
    assert "at_once" == wrong.value.path


@pytest.mark.parametrize(
    "options, field, kind",
    [
        ({"requests": "/rates"}, "requests", "str"),
        ({"requests": GET}, "requests", "Request"),
        ({"requests": [GET], "idempotency_keys": "a"}, "idempotency_keys", "str"),
        ({"requests": [GET], "idempotency_keys": 7}, "idempotency_keys", "int"),
    ],
)
@sync_and_async
async def test_a_batch_is_a_list(
    world: World, options: dict[str, Any], field: str, kind: str
) -> None:
    """Arguments other than a sequence of requests or keys are refused by name."""
    with pytest.raises(InvalidData) as caught:
        await world.manager(vat()).call_many("vat", **options)

    assert field == caught.value.field
    assert f"{field} must be a sequence, not {with_article(kind)}." == caught.value.message
    assert "Give a list." == caught.value.remedy
