"""Calls with bulkheads, fallbacks and batches."""

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
    Region,
    Request,
    Response,
    Service,
    VendorFailed,
)
from moorage.domain.observation.events import CallRefused
from moorage.domain.values.text import with_article
from tests.services.vat import GET, POST, vat
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_tasks import Interruption

# --- bulkhead ---


@sync_and_async
async def test_bulkhead_limits_concurrent_calls(harness: Harness) -> None:
    """Calls beyond the bulkhead's limit are refused, and observers get an event."""
    gates = [harness.gate(), harness.gate()]
    harness.vendor.answers(*(gate.answering(200) for gate in gates))
    manager = harness.watched(vat(bulkhead=BulkheadConfig(2)))

    async def call() -> Response:
        response: Response = await manager.call("vat", GET)
        return response

    running_calls = [harness.start(call) for _ in gates]
    for gate in gates:
        await gate.reached()
    with pytest.raises(BulkheadFull) as excinfo:
        await manager.call("vat", GET)
    for gate in gates:
        gate.open()
    for item in running_calls:
        await item.result()

    assert ("vat", True, 0) == (
        excinfo.value.service,
        excinfo.value.retryable,
        excinfo.value.attempts,
    )
    assert "2 calls are already in progress" in excinfo.value.message
    assert [("BulkheadFull", 0.0)] == [
        (event.error, event.retry_after)
        for event in harness.events
        if isinstance(event, CallRefused)
    ]
    await manager.call("vat", GET)


@sync_and_async
async def test_call_in_bulkhead_queue_gets_next_free_slot(harness: Harness) -> None:
    """A call in the bulkhead's queue gets the next free slot."""
    gate = harness.gate()
    harness.vendor.answers(gate.answering(200))
    manager = harness.manager(vat(bulkhead=BulkheadConfig(1, max_waiting=1)))

    async def call() -> int:
        response: Response = await manager.call("vat", GET)
        return response.status

    running_calls = [harness.start(call)]
    await gate.reached()
    running_calls.append(harness.start(call))
    await harness.wait(harness.locks.arrived)
    with pytest.raises(BulkheadFull):
        await manager.call("vat", GET)
    gate.open()

    assert [200, 200] == [await item.result() for item in running_calls]


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
async def test_call_leaves_the_bulkhead_queue_at_its_time_limit(
    harness: Harness, timeout: float, max_wait: float | None, error: type[ConnectorError]
) -> None:
    """A call leaves the bulkhead's queue after its maximum wait or at its deadline."""
    config = BulkheadConfig(1, max_waiting=9, max_wait=max_wait)
    manager = harness.manager(vat(bulkhead=config, timeout=timeout))
    key = manager.manager._flows.plans.find("vat", None, None).bulkhead_key
    await harness.locks.acquire(key, harness, slots=1, queue=0, timeout=0)
    harness.impatient = True

    with pytest.raises(error) as excinfo:
        await manager.call("vat", GET)

    assert (timeout if max_wait is None else max_wait) == harness.clock.now
    assert (max_wait is None) == isinstance(excinfo.value.__cause__, BulkheadFull)


@sync_and_async
async def test_queue_time_counts_towards_the_deadline(harness: Harness) -> None:
    """Time spent in the bulkhead's queue shortens the time that a call may wait for a rate limit.

    A call takes no slot of a limit that it could not wait for.
    """
    gate = harness.gate()
    harness.vendor.answers(gate.answering(200))
    service = vat(
        bulkhead=BulkheadConfig(1, max_waiting=1), limits=RateLimitConfig(1, per=12), timeout=10
    )
    manager = harness.manager(service)

    async def call_first() -> None:
        await manager.call("vat", GET)

    async def second() -> None:
        with pytest.raises(RateLimitExceeded):
            await manager.call("vat", GET)

    running_calls = [harness.start(call_first)]
    await gate.reached()
    running_calls.append(harness.start(second))
    await harness.wait(harness.locks.arrived)
    harness.clock.advance(3)
    gate.open()
    for item in running_calls:
        await item.result()

    assert 3 == harness.clock.now
    assert [] == harness.store.posted


@sync_and_async
async def test_bulkhead_slot_is_always_released(harness: Harness) -> None:
    """A call that fails, is interrupted or succeeds releases its bulkhead slot."""
    harness.vendor.answers(503, Interruption(), 200)
    manager = harness.manager(vat(bulkhead=BulkheadConfig(1)))

    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)
    with pytest.raises(Interruption):
        await manager.call("vat", GET)
    await manager.call("vat", GET)

    assert not any(harness.locks.inside.values())


# --- fallback ---


@sync_and_async
async def test_fallback_replaces_a_failure(harness: Harness) -> None:
    """If a call finally fails, its fallback's value is returned, and observers get an event."""
    harness.vendor.otherwise = 503
    manager = harness.watched(vat(fallback=lambda error: f"instead of {error.status}"))

    assert "instead of 503" == await manager.call("vat", GET)

    finished_event: Any = harness.events[-1]
    assert ("VendorFailed", True) == (finished_event.error, finished_event.fallback)


@sync_and_async
async def test_fallback_may_be_asynchronous(harness: Harness) -> None:
    """Asynchronous calls accept an asynchronous fallback; synchronous calls refuse it."""
    harness.vendor.otherwise = 503

    async def answer_instead(_: ConnectorError) -> str:
        await harness.yield_to_tasks()
        return "instead"

    if harness.is_awaited:
        assert "instead" == await harness.manager(vat(fallback=answer_instead)).call("vat", GET)
    else:
        with pytest.raises(ConfigurationError, match="instead is asynchronous"):
            harness.manager(vat(fallback=answer_instead))


@sync_and_async
async def test_endpoint_fallback_replaces_that_of_the_service(harness: Harness) -> None:
    """An endpoint's fallback replaces the service's fallback; None means no fallback."""
    harness.vendor.otherwise = 503
    service = vat(
        fallback=lambda _: "service's",
        endpoints=[Endpoint("own", fallback=lambda _: "own"), Endpoint("none", fallback=None)],
    )
    manager = harness.manager(service)

    assert "service's" == await manager.call("vat", GET)
    assert "own" == await manager.call("vat", GET, endpoint="own")
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET, endpoint="none")


@sync_and_async
async def test_fallback_replaces_an_open_circuit(harness: Harness) -> None:
    """If the circuit is open, a call returns its fallback's value."""
    manager = harness.manager(vat(circuit=CircuitBreakerConfig(), fallback=lambda _: "instead"))
    await manager.set_circuit("vat", CircuitState.FORCED_OPEN)

    assert "instead" == await manager.call("vat", GET)


@sync_and_async
async def test_fallback_hides_no_unknown_outcome(harness: Harness) -> None:
    """No fallback replaces an unknown outcome, a key conflict or a programming error."""
    harness.vendor.answers(503)
    manager = harness.manager(vat(fallback=lambda _: "instead"))

    with pytest.raises(OutcomeUnknown):
        await manager.call("vat", POST, idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        await manager.call("vat", GET, idempotency_key="k")
    with pytest.raises(InvalidData):
        await manager.call("vat", Request.get("https://evil.example/"))
    with pytest.raises(ConfigurationError):
        await harness.manager(Service("bare", fallback=lambda _: "instead")).call("bare", GET)


@sync_and_async
async def test_fallback_ignores_foreign_exceptions(harness: Harness) -> None:
    """An exception of the caller's own function is raised unchanged despite a fallback."""

    async def raise_error() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await harness.manager(vat(fallback=lambda _: "instead")).run("vat", raise_error)


# --- batches ---


@sync_and_async
async def test_batch_returns_its_results_in_request_order(harness: Harness) -> None:
    """A batch returns its results in request order; an error does not stop the other requests."""

    async def by_path(sent: Any) -> int:
        return 200 if sent.path in {"/0", "/2"} else 422

    harness.vendor.otherwise = by_path
    requests = (Request.get(f"/{number}") for number in range(4))

    results = await harness.manager(vat()).call_many("vat", requests, at_once=2)

    assert [True, False, True, False] == [result.ok for result in results]
    assert InvalidRequest is type(results[1].error)
    assert [200, 200] == [results[number].unwrap().status for number in (0, 2)]


@sync_and_async
async def test_errors_become_results_of_a_batch(harness: Harness) -> None:
    """If an item of a batch is invalid or its transform fails, the error is this item's result."""

    def fail_on_bad_path(request: Request) -> Request:
        if request.path == "/bad":
            raise KeyError("bad")
        return request

    manager = harness.manager(vat(request_transforms=fail_on_bad_path))

    results = await manager.call_many("vat", [GET, Request.get("/bad"), "/rates"])

    assert ["NoneType", "KeyError", "InvalidData"] == [type(r.error).__name__ for r in results]


@sync_and_async
async def test_batch_options_apply_to_every_item(harness: Harness) -> None:
    """The tenant, endpoint and timeout passed to a batch apply to each of its items."""
    service = vat(endpoints=Endpoint("slow", limits=RateLimitConfig(1, per=9)))
    manager = harness.watched(service)

    results = await manager.call_many(
        "vat", [GET, GET], tenant="acme", endpoint="slow", timeout=3, at_once=1
    )

    assert [True, False] == [result.ok for result in results]
    assert {("acme", "slow")} == {(event.tenant, event.operation) for event in harness.events}
    assert [3.0] == [requests.timeouts.total for requests in harness.vendor.requests]
    assert 2 == len({event.request_id for event in harness.events})


@sync_and_async
async def test_invalid_tenant_becomes_a_result_of_a_batch(harness: Harness) -> None:
    """If a batch's tenant is not a string, the result of each of its items is an error."""
    wrong_tenant: Any = ["acme"]

    results = await harness.manager(vat()).call_many("vat", [GET, GET], tenant=wrong_tenant)

    assert [InvalidData, InvalidData] == [type(result.error) for result in results]


@sync_and_async
async def test_address_outside_of_all_regions_is_refused(harness: Harness) -> None:
    """With endpoints and regions, a request to a URL outside all regions raises InvalidData."""
    regions = (Region("eu", "https://eu.example"), Region("us", "https://us.example", tier=2))
    manager = harness.manager(
        vat(base_url=None, regions=regions, endpoints=Endpoint("rates", path="/rates"))
    )

    for _ in range(2):
        with pytest.raises(InvalidData):
            await manager.call("vat", Request.get("https://other.example/rates"))


@sync_and_async
async def test_batch_concurrency_defaults_to_eight(harness: Harness) -> None:
    """By default eight items of a batch are in flight at once."""
    manager = harness.manager(vat())

    await manager.call_many("vat", [GET] * 9)

    assert 8 == harness.gather.at_once


@sync_and_async
async def test_repeated_batch_with_keys_sends_nothing(harness: Harness) -> None:
    """Each request of a batch has an idempotency key, so repeating the batch sends nothing."""
    manager = harness.manager(vat())

    await manager.call_many("vat", [POST, POST], idempotency_keys=["a", "b"])
    results = await manager.call_many("vat", [POST, POST], idempotency_keys=["a", "b"])

    assert [True, True] == [result.unwrap().replayed for result in results]
    assert 2 == len(harness.vendor.requests)


@sync_and_async
async def test_batch_needs_one_key_per_request_and_concurrency_of_at_least_one(
    harness: Harness,
) -> None:
    """A batch needs one idempotency key per request and a concurrency of at least one."""
    manager = harness.manager(vat())

    with pytest.raises(InvalidData) as excinfo:
        await manager.call_many("vat", [POST, POST], idempotency_keys=["a"])
    assert ("idempotency_keys", "vat") == (excinfo.value.field, excinfo.value.service)
    assert "2 requests were passed, but 1 idempotency keys" in excinfo.value.message
    assert "one key for each" in excinfo.value.remedy
    with pytest.raises(ConfigurationError) as wrong_excinfo:
        await manager.call_many("vat", [GET], at_once=0)
    assert "at_once" == wrong_excinfo.value.path


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
async def test_batch_arguments_must_be_sequences(
    harness: Harness, options: dict[str, Any], field: str, kind: str
) -> None:
    """A batch refuses requests or keys that are not a sequence, and names the wrong argument."""
    with pytest.raises(InvalidData) as excinfo:
        await harness.manager(vat()).call_many("vat", **options)

    assert field == excinfo.value.field
    assert f"{field} must be a sequence, not {with_article(kind)}." == excinfo.value.message
    assert "Give a list." == excinfo.value.remedy
