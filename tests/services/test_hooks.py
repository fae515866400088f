"""Exceptions of a user's hooks are raised unchanged, and never prove that nothing was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    CircuitBreakerOpen,
    ConfigurationError,
    ConnectionFailed,
    InvalidData,
    OutcomeUnknown,
    Request,
    RetryPolicy,
    Service,
    UnsupportedByVendor,
    VendorFailed,
)
from tests.support.modes import Harness, sync_and_async

if TYPE_CHECKING:
    from collections.abc import Callable

POST = Request.post("/charge", json={"amount": 1})
QUICK_RETRIES = RetryPolicy(3, 0)


def payment_service(**options: Any) -> Service:
    """Return a payment service, whose calls have an effect."""
    fields: dict[str, Any] = {
        "base_url": "https://pay.example",
        "circuit": None,
        "retry": QUICK_RETRIES,
    }
    return Service("pay", **(fields | options))


def other_calls_error() -> ConnectionFailed:
    """Return the error of a call inside another call; the inner request was not sent."""
    return ConnectionFailed("refused", may_have_been_processed=False)


def raising_hook(make: Callable[[], Exception]) -> Callable[..., Any]:
    """Return a hook that raises an error made by this function."""

    def hook(*_: object) -> Any:
        raise make()

    return hook


@pytest.mark.parametrize(
    "make", [other_calls_error, lambda: CircuitBreakerOpen("open"), lambda: VendorFailed("broken")]
)
@sync_and_async
async def test_failing_response_transform_repeats_no_effect(
    harness: Harness, make: Callable[[], Exception]
) -> None:
    """If a response transform raises an error, the POST request is not sent again."""
    manager = harness.manager(payment_service(response_transforms=raising_hook(make)))

    with pytest.raises(type(make())):
        await manager.call("pay", POST)

    assert 1 == len(harness.vendor.requests)


@pytest.mark.parametrize(
    "hook",
    [
        {"response_transforms": raising_hook(other_calls_error)},
        {"response_transforms": raising_hook(lambda: CircuitBreakerOpen("open"))},
        {"classify": raising_hook(other_calls_error)},
        {"classify": lambda *_: UnsupportedByVendor("not here")},
    ],
)
@sync_and_async
async def test_failing_hook_leaves_the_key_unknown(harness: Harness, hook: dict[str, Any]) -> None:
    """If a hook fails after the response, the outcome of the idempotency key is unknown."""
    manager = harness.manager(payment_service(**hook))

    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await manager.call("pay", POST, idempotency_key="INV-1")

    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_error_of_a_nested_call_proves_nothing(harness: Harness) -> None:
    """If a function acts and a nested call fails, the outcome of the idempotency key is unknown."""
    harness.vendor.otherwise = other_calls_error()
    manager = harness.manager(
        payment_service(), Service("other", "https://other.example", retry=None)
    )
    effects: list[int] = []

    async def charge() -> None:
        effects.append(1)
        await manager.call("other", Request.get("/"))

    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await manager.run("pay", charge, idempotency_key="INV-1")

    assert [1] == effects


@sync_and_async
async def test_function_may_prove_that_nothing_was_sent(harness: Harness) -> None:
    """If an error proves that nothing was sent, the function is retried, even with a key."""
    manager = harness.manager(payment_service())
    errors: list[Exception] = [other_calls_error(), other_calls_error()]

    async def charge() -> str:
        if errors:
            raise errors.pop()
        return "charged"

    assert "charged" == await manager.run("pay", charge, idempotency_key="INV-1")


@sync_and_async
async def test_failing_fallback_keeps_the_first_error(harness: Harness) -> None:
    """If a fallback fails, its error has the call's error as its cause, also in events."""
    harness.vendor.otherwise = 503
    manager = harness.watched(payment_service(retry=None, fallback=raising_hook(ZeroDivisionError)))

    with pytest.raises(ZeroDivisionError) as excinfo:
        await manager.call("pay", Request.get("/"))

    assert isinstance(excinfo.value.__context__, VendorFailed)
    finished_event = harness.events[-1]
    assert ("ZeroDivisionError", False) == (finished_event.error, finished_event.fallback)


@sync_and_async
async def test_text_is_not_a_sequence_of_keys(harness: Harness) -> None:
    """A string is refused as the keys of a batch; an unknown service is named in its error."""
    manager = harness.manager(payment_service())

    with pytest.raises(InvalidData, match="idempotency_keys"):
        await manager.call_many("pay", [POST, POST], idempotency_keys="ab")
    with pytest.raises(InvalidData, match="requests"):
        await manager.call_many("pay", POST)
    with pytest.raises(ConfigurationError, match="nope"):
        await manager.call_many("nope", [])
