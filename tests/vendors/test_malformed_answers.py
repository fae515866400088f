"""Answers of vendors that cannot be read: cut off ones are requested again, complete ones never."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from moorage import (
    Account,
    AsyncHub,
    CircuitBreakerConfig,
    CircuitState,
    Hub,
    RetryPolicy,
    VendorFailed,
)
from moorage.contracts.payments import Charge, Money, PaymentState
from moorage.domain.http.requests import Response
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient, reply
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.vendors.payments.stripe import Stripe

_CHARGE: Final = Charge(Money("149.90", "EUR"), "pm_card_visa", reference="INV-1")
_RETRY: Final = RetryPolicy(max_attempts=3, base_delay=0.0)
_JSON: Final = {"Content-Type": "application/json"}
_COMPLETE: Final = {
    "object": reply({}),
    "without a field": reply({"id": "pi_1", "object": "payment_intent"}),
    "list": reply([]),
}
_INCOMPLETE: Final = {
    "cut off": Response(200, _JSON, b'{"id": "pi_1", "amou'),
    "page of a proxy": Response(200, {"Content-Type": "text/html"}, b"<html></html>"),
    "empty": Response(200, _JSON, b""),
}


def _charge(sandbox: StripeSandbox, *, failures: int, is_async: bool) -> tuple[Any, Any]:
    """Return the result or the error of a charge with a key, and the state of the circuit."""
    vendor = Stripe(credentials=sandbox.api_key)
    settings = {
        "retry": _RETRY,
        "circuit": CircuitBreakerConfig(failures=failures),
        "volatile_keys": True,
    }
    accounts = [Account("shop", vendor, settings=settings)]

    async def charge() -> tuple[Any, Any]:
        async with AsyncHub(accounts, http=AsyncSandboxHttpClient(sandbox)) as async_hub:
            try:
                result: Any = await async_hub.payments().charge(_CHARGE, idempotency_key="k-1")
            except VendorFailed as error:
                result = error
            return result, (await async_hub.manager.circuit_state("shop")).state

    if is_async:
        return asyncio.run(charge())
    with Hub(accounts, http=SandboxHttpClient(sandbox)) as hub:
        try:
            result: Any = hub.payments().charge(_CHARGE, idempotency_key="k-1")
        except VendorFailed as error:
            result = error
        return result, hub.manager.circuit_state("shop").state


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("answer", _COMPLETE)
def test_complete_answer_is_not_requested_again(answer: str, is_async: bool) -> None:
    """A complete answer that breaks its description is not repeated, and opens no circuit."""
    sandbox = StripeSandbox()
    sandbox.fail(_COMPLETE[answer])
    error, circuit = _charge(sandbox, failures=1, is_async=is_async)

    assert isinstance(error, VendorFailed)
    assert (True, False) == (error.is_well_formed, error.retryable)
    assert 1 == len(sandbox.requests)
    assert circuit is CircuitState.CLOSED


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("answer", _INCOMPLETE)
def test_incomplete_answer_is_requested_again(answer: str, is_async: bool) -> None:
    """An answer that is not a whole JSON document is requested again, if that is safe."""
    sandbox = StripeSandbox()
    sandbox.fail(_INCOMPLETE[answer])
    result, _ = _charge(sandbox, failures=2, is_async=is_async)

    assert 2 == len(sandbox.requests)
    assert result.state is PaymentState.CAPTURED
