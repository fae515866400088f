"""Settling a single payment with an unknown outcome at a person's request."""

from __future__ import annotations

import asyncio

import pytest

from moorage import AsyncHub
from moorage.contracts.payments import SettledAs
from moorage.contracts.routes import Account
from moorage.errors import IdempotencyInProgress, InvalidData, OutcomeUnknown
from moorage.testing import VirtualClock
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, Lost
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from tests.contracts.unsettled_harness import (
    KEY,
    ORDER,
    WAIT,
    KeylessStripe,
    PaymentsHarness,
    UnlistedStripe,
)


def test_payment_is_settled_when_a_person_asks() -> None:
    """If the vendor lists the payment, repeats with its key return the receipt from then on."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        harness.lose(hub)
        harness.clock.advance(WAIT)
        settled_payment = hub.settle_payment(KEY)
        assert settled_payment is not None
        assert SettledAs.DONE is settled_payment.outcome
        assert [] == hub.unsettled_payments()
        with pytest.raises(InvalidData, match="No unsettled payment"):
            hub.settle_payment(KEY)


def test_person_can_settle_a_payment_before_the_job() -> None:
    """A person can settle a payment at once, before the job's next look-up is due."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        harness.lose(hub)
        harness.clock.advance(WAIT)
        charges = dict(harness.stripe.charges)
        harness.stripe.charges.clear()
        assert [] == hub.settle_payments()
        assert None is hub.settle_payment(KEY)
        harness.stripe.charges.update(charges)
        assert [] == hub.settle_payments()
        settled_payment = hub.settle_payment(KEY)
        assert settled_payment is not None


def test_payment_is_not_looked_up_while_its_first_request_may_still_be_running() -> None:
    """A payment is not looked up while its first request may still be running."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        harness.lose(hub)
        with pytest.raises(IdempotencyInProgress, match="Ask again in"):
            hub.settle_payment(KEY)


def test_error_refers_operator_to_vendor_website_if_vendor_cannot_list_payments() -> None:
    """If the vendor cannot list payments, the error refers the operator to the vendor's website."""
    harness = PaymentsHarness(UnlistedStripe)
    with harness.hub() as hub:
        harness.lose(hub)
        harness.clock.advance(WAIT)
        with pytest.raises(InvalidData, match="on the vendor's website"):
            hub.settle_payment(KEY)


def test_asynchronous_hub_settles_payment_like_synchronous_one() -> None:
    """An asynchronous hub settles a payment like a synchronous one."""
    asyncio.run(_check_settlement())


async def _check_settlement() -> None:
    clock = VirtualClock()
    stripe = StripeSandbox(now=lambda: clock.utc().timestamp())
    settings = {"volatile_keys": True, "circuit": None, "retry": None}
    account = Account("till", KeylessStripe(credentials=stripe.api_key), settings=settings)
    async with AsyncHub([account], http=AsyncSandboxHttpClient(stripe), clock=clock) as hub:
        stripe.fail(Lost())
        with pytest.raises(OutcomeUnknown):
            await hub.payments().charge(ORDER, idempotency_key=KEY)
        clock.advance(WAIT)
        settled_payment = await hub.settle_payment(KEY)
    assert settled_payment is not None
    assert SettledAs.DONE is settled_payment.outcome
