"""HTTP operations: an error in the response body affects retries and circuits like a status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    BodyStream,
    BulkheadConfig,
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
    Secret,
    Service,
    VendorFailed,
    VendorRejected,
)
from tests.support.modes import Harness, sync_and_async

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "https://erp.example"


def refusal_of(response: Response) -> ConnectorError | None:
    """Return the error that a fake vendor's response body reports, or None."""
    errors: dict[str, Callable[[], ConnectorError]] = {
        "busy": lambda: VendorFailed("The vendor is busy.", retryable=True),
        "throttled": lambda: RateLimitExceeded("The vendor throttles.", by_vendor=True),
        "no": lambda: VendorRejected("The vendor refused."),
    }
    make_error = errors.get(response.json().get("error"))
    return None if make_error is None else make_error()


def total_of(response: Response) -> int:
    """Return the total from a successful response."""
    total = response.json()["total"]
    assert isinstance(total, int)
    return total


def operation(**changes: Any) -> HttpOperation[int]:
    """Return an operation with the given options, by default one that writes."""
    settings: dict[str, Any] = {
        "name": "orders.add",
        "request": Request.post("/rpc", json={"method": "add"}),
        "read": total_of,
        "refusal": refusal_of,
        "system": "rpc",
        **changes,
    }
    return HttpOperation(**settings)


def reading_operation(**changes: Any) -> HttpOperation[int]:
    """Return an operation that only reads, although it uses POST."""
    request = Request.post("/rpc", json={"method": "ask"}).evolve(idempotent=True)
    return operation(name="orders.total", request=request, safe=True, **changes)


def erp(**options: Any) -> Service:
    """Return a service with retries and the given options."""
    settings: dict[str, Any] = {"base_url": URL, "retry": RetryPolicy(3, 0), **options}
    return Service("erp", **settings)


def json_response(**body: Any) -> Response:
    """Return a successful response with this JSON body."""
    return Response(200, body=json.dumps(body).encode())


@sync_and_async
async def test_operation_returns_value_read_from_response(harness: Harness) -> None:
    """An operation returns the value read from the response; events have its name and system."""
    harness.vendor.answers(json_response(total=7))
    manager = harness.watched(erp())

    assert 7 == await manager.perform("erp", operation(), subject="person-1")
    assert ["/rpc"] == [request.path for request in harness.vendor.requests]
    (end,) = [event for event in harness.events if isinstance(event, CallFinished)]
    assert ("orders.add", "rpc", "person-1") == (end.operation, end.vendor, end.subject)


@pytest.mark.parametrize("key", [None, "k"])
@sync_and_async
async def test_answer_is_read_once(harness: Harness, key: str | None) -> None:
    """Each response is parsed only once, and the caller gets the parsed value."""
    harness.vendor.answers(json_response(total=1), json_response(total=2))
    answers: list[dict[str, Any]] = []

    def read(response: Response) -> dict[str, Any]:
        answers.append(response.json())
        return answers[-1]

    manager = harness.manager(erp(idempotency_header="Key", idempotency_memory=60.0))
    first = await manager.perform("erp", operation(read=read), idempotency_key=key)
    second = await manager.perform("erp", operation(read=read))

    assert [{"total": 1}, {"total": 2}] == answers
    assert first is answers[0]
    assert second is answers[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"secrets": (Secret("hunter2"),)},
        {"attempt_body": lambda body, _: body + b" "},
        {"request": Request("POST", "/rpc", body=BodyStream(lambda: iter([b"{}"])))},
    ],
    ids=["secrets", "a body for each attempt", "a stream"],
)
@sync_and_async
async def test_requests_that_need_preparation(harness: Harness, changes: dict[str, Any]) -> None:
    """An operation's request may have secrets, a body made anew per attempt, or a stream."""
    harness.vendor.answers(json_response(total=1))
    manager = harness.manager(erp(retry=None))

    assert 1 == await manager.perform("erp", operation(**changes))


@sync_and_async
async def test_operation_waits_for_a_slot(harness: Harness) -> None:
    """A service's bulkhead limits its HTTP operations too."""
    harness.vendor.answers(json_response(total=1))
    manager = harness.manager(erp(bulkhead=BulkheadConfig(max_concurrent=1)))

    assert 1 == await manager.perform("erp", operation())


@sync_and_async
async def test_operation_uses_one_part_of_a_divided_limit(harness: Harness) -> None:
    """When a limit is split into parts, an operation uses the share of only one part."""
    harness.vendor.answers(*[json_response(total=1)] * 2)
    manager = harness.manager(erp(limits=RateLimitConfig(1000, parts=2)))

    assert [1, 1] == [await manager.perform("erp", operation()) for _ in range(2)]


@sync_and_async
async def test_invalid_endpoint_name_is_refused(harness: Harness) -> None:
    """An endpoint with an invalid name is refused before anything is sent."""
    wrong_name: Any = []
    with pytest.raises(InvalidData, match="no endpoint"):
        await harness.manager(erp()).perform("erp", operation(), endpoint=wrong_name)
    assert [] == harness.vendor.requests


@pytest.mark.parametrize("word", ["busy", "throttled", "no"])
@sync_and_async
async def test_error_in_a_body_acts_like_an_error_status(harness: Harness, word: str) -> None:
    """An error in a response body has the same effect as an error status."""
    harness.vendor.answers(*[json_response(error=word)] * 3)
    manager = harness.manager(erp())
    with pytest.raises(ConnectorError) as excinfo:
        await manager.perform("erp", operation())

    error = excinfo.value
    assert 1 == len(harness.vendor.requests) == error.attempts
    assert ("erp", "orders.add", "rpc") == (error.service, error.operation, error.vendor)


@pytest.mark.parametrize("word", ["busy", "throttled"])
@sync_and_async
async def test_safe_operation_is_retried(harness: Harness, word: str) -> None:
    """A safe operation is retried if the response body reports a failure."""
    harness.vendor.answers(json_response(error=word), json_response(total=2))

    assert 2 == await harness.manager(erp()).perform("erp", reading_operation())


@sync_and_async
async def test_pause_requested_in_a_body_is_respected(harness: Harness) -> None:
    """A pause that the response body asks for is respected like a `Retry-After` header."""
    harness.vendor.answers(json_response(error="throttled"), json_response(total=2))

    def pause(response: Response) -> ConnectorError | None:
        error = refusal_of(response)
        if error is not None:
            error.vendor_retry_after = 4.0
        return error

    assert 2 == await harness.manager(erp()).perform("erp", reading_operation(refusal=pause))
    assert 4.0 == sum(harness.sleeper.slept)


@sync_and_async
async def test_failures_in_bodies_open_the_circuit(harness: Harness) -> None:
    """Errors in response bodies count in the circuit, whatever the HTTP status is."""
    harness.vendor.answers(*[json_response(error="busy")] * 30)
    manager = harness.manager(erp(retry=None))
    for _ in range(30):
        with pytest.raises(ConnectorError):
            await manager.perform("erp", reading_operation())

    state = await manager.circuit_state("erp")
    assert CircuitState.OPEN is state.state


@pytest.mark.parametrize("word, unknown", [("busy", True), ("no", False)])
@sync_and_async
async def test_rejection_of_a_keyed_operation_is_raised_unchanged(
    harness: Harness, word: str, unknown: bool
) -> None:
    """A keyed operation's rejection is raised unchanged; after a failure the outcome is unknown."""
    harness.vendor.answers(json_response(error=word), json_response(total=3))
    manager = harness.manager(erp())
    with pytest.raises(OutcomeUnknown if unknown else VendorRejected):
        await manager.perform("erp", operation(), idempotency_key="order-1")

    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_repeated_key_of_http_operation_returns_first_result_and_sends_nothing(
    harness: Harness,
) -> None:
    """A repeated key of an HTTP operation returns the first result and sends nothing."""
    harness.vendor.answers(json_response(total=3))
    manager = harness.manager(erp())
    results = [
        await manager.perform("erp", operation(), idempotency_key="order-1") for _ in range(2)
    ]

    assert [3, 3] == results
    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_unreadable_response_counts_as_lost(harness: Harness) -> None:
    """An unreadable response counts as lost, and is not stored under its idempotency key."""
    harness.vendor.answers(json_response(unexpected=1))
    manager = harness.manager(erp())
    with pytest.raises(OutcomeUnknown):
        await manager.perform("erp", operation(), idempotency_key="order-1")


@sync_and_async
async def test_hedged_question_reads_every_answer(harness: Harness) -> None:
    """A hedged operation classifies the response to each of its requests."""
    harness.vendor.answers(*[json_response(error="no")] * 2)
    manager = harness.manager(erp(hedge=HedgeConfig(0.01)))
    with pytest.raises(VendorRejected):
        await manager.perform("erp", reading_operation())


@sync_and_async
async def test_operation_is_sent_to_the_region_of_its_service(harness: Harness) -> None:
    """An HTTP operation is sent to the region that its service chooses."""
    harness.vendor.answers(json_response(total=1))
    manager = harness.manager(erp(base_url=None, regions=[Region("eu", "https://eu.example")]))

    assert 1 == await manager.perform("erp", operation())
    assert ["https://eu.example/rpc"] == [request.url for request in harness.vendor.requests]


@sync_and_async
async def test_endpoint_with_the_name_of_the_operation_applies(harness: Harness) -> None:
    """The endpoint with the operation's name applies, whatever the request's path."""
    harness.vendor.answers(*[json_response(total=1)] * 2)
    endpoints = [Endpoint("orders.add", limits=[RateLimitConfig(1)])]
    manager = harness.manager(erp(endpoints=endpoints))
    for _ in range(2):
        await manager.perform("erp", operation())

    assert [1.0] == harness.sleeper.slept


@pytest.mark.parametrize("safe", [True, False])
@sync_and_async
async def test_rehearsal_sends_only_safe_operations(harness: Harness, safe: bool) -> None:
    """A rehearsal (`dry_run`) sends only safe operations."""
    harness.vendor.answers(json_response(total=1))
    manager = harness.manager(erp(), dry_run=True)
    if safe:
        assert 1 == await manager.perform("erp", reading_operation())
        return
    with pytest.raises(DryRun, match="POST /rpc was not sent"):
        await manager.perform("erp", operation())
    assert [] == harness.vendor.requests


@sync_and_async
async def test_http_operation_accepts_no_payload(harness: Harness) -> None:
    """An HTTP operation accepts no payload; repeats of an idempotency key compare the requests."""
    manager = harness.manager(erp())
    with pytest.raises(InvalidData) as excinfo:
        await manager.perform("erp", operation(), idempotency_key="k", payload={"a": 1})

    assert "payload" == excinfo.value.field


@sync_and_async
async def test_refusal_hook_must_return_an_error(harness: Harness) -> None:
    """If a `refusal` hook returns anything but an error of moorage, an error is raised."""
    harness.vendor.answers(json_response(total=1))
    manager = harness.manager(erp())
    with pytest.raises(ConfigurationError, match="refusal"):
        await manager.perform("erp", operation(refusal=lambda _: "no"))


def test_safety_follows_the_method() -> None:
    """An operation is safe if its HTTP method is safe, unless the operation declares otherwise."""
    get = operation(request=Request.get("/orders"))
    assert (True, True) == (get.safe, get.repeatable)
    assert (False, False) == (operation().safe, operation().repeatable)
    assert "method" not in repr(operation())


def test_safe_setting_must_be_a_bool() -> None:
    """An operation whose `safe` setting is a string instead of True or False is refused."""
    not_a_switch: Any = "false"
    with pytest.raises(ConfigurationError, match="safe is not True or False"):
        HttpOperation(
            name="orders.create", request=Request.post("/"), read=Response.json, safe=not_a_switch
        )
