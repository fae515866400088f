"""Stripe's webhooks lead to the same payment, whatever order they arrive in."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.contracts.payments import (
    Charge,
    DeclineReason,
    Money,
    Payment,
    PaymentState,
    advance,
)
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.domain.webhooks.events import WebhookEvent
from moorage.hub.hub import Hub
from moorage.parts.webhook_verifier import WebhookVerifier
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.vendors.payments._stripe_events import read_events
from moorage.vendors.payments.stripe import Stripe

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.contracts.payments import PaymentEvent
    from moorage.operations.payments import Payments

SETTINGS = {"retry": None, "circuit": None, "volatile_keys": True}
EUROS = Money("149.90", "EUR")
PART = Money("50.00", "EUR")


def capture_and_refund(payments: Payments, _: StripeSandbox, payment: Payment) -> None:
    """Capture a part of the payment, and refund it in two steps."""
    payments.capture(payment.ref, PART * 2, idempotency_key="c-1")
    payments.refund(payment.ref, PART, idempotency_key="r-1")
    payments.refund(payment.ref, PART, idempotency_key="r-2")


def dispute_payment(
    payments: Payments, sandbox: StripeSandbox, payment: Payment, outcome: str
) -> None:
    """Capture the payment, refund a part of it, and open and close a dispute."""
    payments.capture(payment.ref, idempotency_key="c-1")
    payments.refund(payment.ref, PART, idempotency_key="r-1")
    sandbox.close_dispute(sandbox.dispute(payment.ref.id), outcome)


def void_payment(payments: Payments, _: StripeSandbox, payment: Payment) -> None:
    """Void the authorised payment."""
    payments.void(payment.ref, idempotency_key="v-1")


def expire_authorisation(_: Payments, sandbox: StripeSandbox, payment: Payment) -> None:
    """Make the authorisation expire."""
    sandbox.lapse(payment.ref.id)


def story(
    what: Callable[[Payments, StripeSandbox, Payment], None],
) -> tuple[Payment, list[PaymentEvent]]:
    """Return an authorised Stripe payment, and its later events at intervals of a second."""
    seconds = count(1_800_000_000)
    sandbox = StripeSandbox(now=lambda: next(seconds))
    vendor = Stripe(credentials=sandbox.api_key)
    http = SandboxHttpClient(sandbox)
    with Hub([Account("main", vendor, settings=SETTINGS)], http=http) as hub:
        charge = Charge(EUROS, "pm_card_visa", reference="INV-1")
        payment = hub.payments().authorize(charge, idempotency_key="a-1")
        what(hub.payments(), sandbox, payment)
        verifier = WebhookVerifier(
            "stripe", secrets=sandbox.webhook_secret, name="main", tolerance=10**9
        )
        events = [
            event
            for notice in sandbox.sent
            for webhook in verifier.verify(**notice.arguments())
            for event in hub.events("main", webhook)
        ]
    return payment, events


def ref(id: str, /, **related: str | None) -> Ref:
    """Return a reference to a Stripe object, such as a payment, in the test account."""
    return Ref("stripe", "main", id, {name: value for name, value in related.items() if value})


def failed(data: dict[str, Any]) -> WebhookEvent:
    """Return the webhook of a failed Stripe charge."""
    kind, now = "charge.failed", datetime(2031, 5, 6, tzinfo=UTC)
    return WebhookEvent(
        vendor="stripe", id="evt_1", type=kind, vendor_type=kind, time=now, data=data
    )


def test_events_have_our_reference() -> None:
    """If the response to a Stripe payment was lost, its event has our own reference for it."""
    _, events = story(void_payment)

    assert {"INV-1"} == {event.reference for event in events}
    assert {EUROS} == {event.amount for event in events}


def test_failed_charge_has_a_reason() -> None:
    """The event of a failed Stripe charge has the bank's reason."""
    fields = {"object": "charge", "id": "ch_1", "amount": 100, "currency": "eur", "captured": False}
    failure_details = {"failure_code": "card_declined", "outcome": {"reason": "insufficient_funds"}}
    [event] = read_events(failed({**fields, "payment_intent": "pi_1", **failure_details}), ref)
    [silent_event] = read_events(failed(fields), ref)

    assert event.decline is not None
    assert silent_event.decline is not None
    assert (PaymentState.FAILED, "pi_1") == (event.state, event.ref.id)
    assert (PaymentState.FAILED, "ch_1") == (silent_event.state, silent_event.ref.id)
    assert [DeclineReason.INSUFFICIENT_FUNDS, DeclineReason.OTHER] == [
        event.decline.reason,
        silent_event.decline.reason,
    ]


def test_decline_texts_are_masked() -> None:
    """A card number in a Stripe decline's text is masked."""
    fields = {"object": "charge", "id": "ch_1", "amount": 100, "currency": "eur", "captured": False}
    words = "Card 4242 4242 4242 4242 was declined."
    [event] = read_events(failed({**fields, "failure_message": words}), ref)

    assert event.decline is not None
    assert "4242 4242" not in str(event.decline.vendor_message)


@pytest.mark.untraced
@pytest.mark.parametrize(
    "what, state, captured, back",
    [
        (capture_and_refund, PaymentState.REFUNDED, PART * 2, PART * 2),
        (partial(dispute_payment, outcome="lost"), PaymentState.DISPUTED, EUROS, PART),
        (void_payment, PaymentState.VOIDED, EUROS * 0, EUROS * 0),
        (expire_authorisation, PaymentState.EXPIRED, EUROS * 0, EUROS * 0),
    ],
    ids=["refunded", "lost", "given-up", "lapsed"],
)
@given(data=st.data())
def test_events_in_any_order_give_the_same_payment(
    what: Callable[[Payments, StripeSandbox, Payment], None],
    state: PaymentState,
    captured: Money,
    back: Money,
    data: st.DataObject,
) -> None:
    """Stripe events that are late, repeated or in another order lead to the same payment."""
    payment, events = story(what)
    repeated_events = events + data.draw(st.lists(st.sampled_from(events), max_size=5))
    for event in data.draw(st.permutations(repeated_events)):
        payment = advance(payment, event)

    assert (state, captured, back) == (payment.state, payment.captured, payment.refunded)
