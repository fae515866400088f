"""Transforms of an exchange's requests and responses."""

# ruff: noqa: SLF001 - a look inside

from __future__ import annotations

from typing import Any

import attrs
import pytest

from moorage import (
    CircuitBreakerConfig,
    ConfigurationError,
    Credentials,
    DeadlineExceeded,
    Endpoint,
    Request,
    RetryPolicy,
)
from moorage.services.calling.steps import CallOperations
from tests.services.renewed_tokens import vat
from tests.services.vat import GET
from tests.support.modes import Harness, sync_and_async


@sync_and_async
async def test_request_transforms_run_in_order(harness: Harness) -> None:
    """The service's transforms run before the endpoint's, and these before the credentials."""

    def add(letter: str) -> Any:
        def transform(request: Request) -> Request:
            assert "authorization" not in request.headers
            return request.with_header("X-Order", (request.headers.get("x-order") or "") + letter)

        return transform

    service = vat(
        credentials=Credentials.bearer("t"),
        request_transforms=[add("a"), add("b")],
        endpoints=Endpoint("rates", path="/rates", request_transforms=add("c")),
    )

    await harness.manager(service).call("vat", GET)

    assert "abc" == harness.vendor.requests[0].header("x-order")


@sync_and_async
async def test_transform_may_change_the_url(harness: Harness) -> None:
    """A request is sent to the URL that the transforms have set."""
    service = vat(request_transforms=lambda request: request.evolve(path="/v2" + request.path))

    await harness.manager(service).call("vat", GET)

    assert ["https://vat.example/v1/v2/rates"] == [
        requests.url for requests in harness.vendor.requests
    ]


@sync_and_async
async def test_response_transforms_run_in_reverse(harness: Harness) -> None:
    """An endpoint's response transforms run before the service's."""

    def add(letter: bytes) -> Any:
        return lambda response: response.evolve(body=response.body + letter)

    service = vat(
        response_transforms=add(b"a"),
        endpoints=Endpoint("rates", path="/rates", response_transforms=[add(b"b"), add(b"c")]),
    )

    assert b"bca" == (await harness.manager(service).call("vat", GET)).body


@sync_and_async
async def test_transforms_may_be_asynchronous(harness: Harness) -> None:
    """Asynchronous calls accept asynchronous transforms; synchronous calls refuse them."""

    async def stamp(message: Any) -> Any:
        await harness.yield_to_tasks()
        return message

    service = vat(request_transforms=stamp, response_transforms=stamp)

    if harness.is_awaited:
        assert 200 == (await harness.manager(service).call("vat", GET)).status
    else:
        with pytest.raises(ConfigurationError, match="stamp is asynchronous") as excinfo:
            harness.manager(service)
        assert "services.vat.request_transforms" == excinfo.value.path


@sync_and_async
async def test_synchronous_transform_that_returns_an_awaitable_is_refused(harness: Harness) -> None:
    """A synchronous transform that returns an awaitable is refused when it runs."""

    async def stamp(message: Any) -> Any:
        return message

    def return_awaitable(request: Request) -> Any:
        return stamp(request)

    manager = harness.manager(vat(request_transforms=return_awaitable))

    if harness.is_awaited:
        assert 200 == (await manager.call("vat", GET)).status
    else:
        with pytest.raises(ConfigurationError, match="awaitable"):
            await manager.call("vat", GET)


def _count(_: object) -> int:
    """Return a number instead of a request or response, as a faulty transform does."""
    return 7


@pytest.mark.parametrize("kind", ["request_transforms", "response_transforms"])
@sync_and_async
async def test_transform_with_a_wrong_result_is_named(harness: Harness, kind: str) -> None:
    """The error for a transform that returns a wrong type names its configuration field."""
    description = kind.partition("_")[0]
    with pytest.raises(ConfigurationError) as excinfo:
        await harness.manager(vat(**{kind: _count})).call("vat", GET)

    assert f"_count returned an int, not a {description}." == excinfo.value.message
    assert (
        kind,
        f"Correct the transform so that it returns the {description}, changed or unchanged.",
    ) == (
        excinfo.value.path,
        excinfo.value.remedy,
    )


@sync_and_async
async def test_transform_errors_pass_through(harness: Harness) -> None:
    """An exception of a transform is raised unchanged, reported, and not retried."""

    def fail_to_transform(_: object) -> Any:
        raise KeyError("rates")

    manager = harness.watched(
        vat(
            response_transforms=fail_to_transform,
            retry=RetryPolicy(3, 0),
            circuit=CircuitBreakerConfig(),
        )
    )

    with pytest.raises(KeyError):
        await manager.call("vat", GET)

    assert 1 == len(harness.vendor.requests)
    assert 0 == (await manager.circuit_state("vat")).failures
    assert ("KeyError", False) == (harness.events[-1].error, harness.events[-1].cancelled)


@sync_and_async
async def test_asynchronous_hooks_are_bounded_by_the_deadline(harness: Harness) -> None:
    """Asynchronous transforms and providers are stopped at the call's deadline."""
    bounds: list[float] = []

    async def wait_within(pending: Any, seconds: float) -> Any:
        bounds.append(seconds)
        return await pending

    def advance_clock(message: Any) -> Any:
        harness.clock.advance(4)
        return message

    service = vat(request_transforms=[advance_clock, lambda request: request])
    core = attrs.evolve(harness.manager().manager._flows.core, within=wait_within)

    await CallOperations(core, [service]).call("vat", GET, timeout=10)

    assert [6.0, 6.0] == bounds


@sync_and_async
async def test_no_request_is_sent_if_a_transform_uses_up_the_time(harness: Harness) -> None:
    """If a transform uses up the call's time, no request is sent."""

    def advance_clock(request: Request) -> Request:
        harness.clock.advance(30)
        return request

    with pytest.raises(DeadlineExceeded) as excinfo:
        await harness.manager(vat(request_transforms=advance_clock)).call("vat", GET)

    assert not excinfo.value.may_have_been_processed
    assert [] == harness.vendor.requests
