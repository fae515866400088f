"""The conformance kit of payment vendors finds faulty ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

import attrs
import pytest

from moorage.contracts.payments import (
    Capture,
    Charge,
    MoveState,
    NextAction,
    NextActionType,
    Payment,
    PaymentState,
    Refund,
    SubscriptionState,
)
from moorage.errors import VendorRejected
from moorage.testing import name_of, payments_conformance
from moorage.testing.kits.payments_conformance import CHECKS
from moorage.vendors.payments.razorpay import Razorpay
from moorage.vendors.payments.stripe import Stripe
from tests.vendors.payments_subjects import stripe
from tests.vendors.subjects.razorpay import razorpay

if TYPE_CHECKING:
    from moorage.contracts.payments import (
        Dispute,
        DisputeEvidence,
        LinkRequest,
        Money,
        PayeePayout,
        PayeeTransfer,
        PaymentEvent,
        PaymentLink,
        RefundReason,
        Subscription,
        SubscriptionRequest,
    )
    from moorage.contracts.ref import Ref
    from moorage.contracts.vendor import MakeRef
    from moorage.contracts.wire import Wire
    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.testing.kits.payments_conformance import PaymentsSubject


@attrs.frozen(kw_only=True)
class SlowVendor(Stripe):
    """A correct vendor that confirms every request by webhook, and offers no lists."""

    capabilities: ClassVar[frozenset[str]] = frozenset()

    async def capture(
        self, wire: Wire, ref: Ref, amount: Money | None, /, *, final: bool, key: str
    ) -> Capture:
        """Request a capture, and report it as pending even if it is refused."""
        try:
            finished_capture = await Stripe.capture(self, wire, ref, amount, final=final, key=key)
        except VendorRejected:
            return Capture(ref=ref, payment=ref, state=MoveState.PENDING, amount=amount)
        return attrs.evolve(finished_capture, state=MoveState.PENDING)

    async def refund(
        self,
        wire: Wire,
        ref: Ref,
        amount: Money | None,
        /,
        *,
        reason: RefundReason | None,
        key: str,
    ) -> Refund:
        """Request a refund, and report it as pending even if it is refused."""
        try:
            finished_refund = await Stripe.refund(self, wire, ref, amount, reason=reason, key=key)
        except VendorRejected:
            return Refund(ref=ref, payment=ref, state=MoveState.PENDING, amount=amount)
        return attrs.evolve(finished_refund, state=MoveState.PENDING)


@attrs.frozen(kw_only=True)
class EveryPaymentCapturedVendor(Stripe):
    """A faulty vendor that reports all payments as captured, and drops the buyer's next step."""

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge; report the payment as captured, and drop the buyer's next step."""
        finished_payment = await Stripe.charge(self, wire, charge, key=key)
        return attrs.evolve(finished_payment, next_action=None)


@attrs.frozen(kw_only=True)
class RefusedIsCapturedVendor(Stripe):
    """A faulty vendor that reports a refused charge as captured."""

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge, and report the payment as captured even after an error response."""
        try:
            return await Stripe.charge(self, wire, charge, key=key)
        except VendorRejected:
            return Payment(ref=wire.ref("pi_0"), state=PaymentState.CAPTURED)


@attrs.frozen(kw_only=True)
class DropsOrderDetailsVendor(Stripe):
    """A faulty vendor that drops the addresses and the lines of an order."""

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge without the order's lines and addresses."""
        bare_charge = attrs.evolve(charge, billing_address=None, shipping_address=None, lines=())
        return await Stripe.charge(self, wire, bare_charge, key=key)

    async def create_link(self, wire: Wire, link: LinkRequest, /, *, key: str) -> PaymentLink:
        """Create a payment link without the order's lines."""
        return await Stripe.create_link(wire, attrs.evolve(link, lines=()), key=key)


@attrs.frozen(kw_only=True)
class AcceptsDisputesVendor(Stripe):
    """A faulty vendor that accepts disputes instead of contesting them, and mixes up keys."""

    async def submit_evidence(
        self,
        wire: Wire,
        ref: Ref,
        evidence: DisputeEvidence,
        /,
        *,
        key: str,
    ) -> Dispute:
        """Accept the dispute instead of sending the evidence."""
        return await Stripe.accept_dispute(wire, ref, key=key)

    async def accept_dispute(self, wire: Wire, ref: Ref, /, *, key: str) -> Dispute:
        """Look up the dispute, but do not accept it."""
        return await self.get_dispute(wire, ref)

    async def pay_payee(self, wire: Wire, transfer: PayeeTransfer, /, *, key: str) -> PayeePayout:
        """Send a transfer under a new key each time."""
        return await Stripe.pay_payee(self, wire, transfer, key=f"{key}{wire.now().timestamp()}")


@attrs.frozen(kw_only=True)
class WrongSubscriptionsVendor(Stripe):
    """A faulty vendor that handles subscriptions wrongly."""

    async def create_subscription(
        self, wire: Wire, request: SubscriptionRequest, /, *, key: str
    ) -> Subscription:
        """Create a subscription that starts at once, under a new key each time."""
        started = attrs.evolve(request, starts_at=None)
        fresh_key = f"{key}{wire.now().timestamp()}"
        return await Stripe.create_subscription(wire, started, key=fresh_key)

    async def change_subscription(
        self, wire: Wire, ref: Ref, /, *, amount: Money | None, quantity: int | None, key: str
    ) -> Subscription:
        """Look up the subscription, but change nothing."""
        return await self.get_subscription(wire, ref)

    async def cancel_subscription(
        self, wire: Wire, ref: Ref, /, *, at_period_end: bool, key: str
    ) -> Subscription:
        """Always cancel at the end of the period."""
        return await Stripe.cancel_subscription(wire, ref, at_period_end=True, key=key)

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[PaymentEvent, ...]:
        """Return a webhook's events, but none for failed charges."""
        if event.vendor_type == "invoice.payment_failed":
            return ()
        return Stripe.events(self, event, ref)


@attrs.frozen(kw_only=True)
class EverySubscriptionActiveVendor(Stripe):
    """A faulty vendor that reports each subscription as active."""

    async def get_subscription(self, wire: Wire, ref: Ref, /) -> Subscription:
        """Look up the subscription, and report it as active."""
        current = await Stripe.get_subscription(wire, ref)
        return attrs.evolve(current, state=SubscriptionState.ACTIVE)


@attrs.frozen(kw_only=True)
class VendorWithoutConsentPage(Razorpay):
    """A faulty vendor that does not return the page on which the buyer consents."""

    async def create_subscription(
        self, wire: Wire, request: SubscriptionRequest, /, *, key: str
    ) -> Subscription:
        """Create a subscription, and drop the buyer's consent page."""
        created = await Razorpay.create_subscription(wire, request, key=key)
        return attrs.evolve(created, next_action=None)


@attrs.frozen(kw_only=True)
class VendorActiveBeforeConsent(Razorpay):
    """A faulty vendor that reports a subscription as active before the buyer's consent."""

    async def create_subscription(
        self, wire: Wire, request: SubscriptionRequest, /, *, key: str
    ) -> Subscription:
        """Create a subscription, and report it as active."""
        created = await Razorpay.create_subscription(wire, request, key=key)
        return attrs.evolve(created, state=SubscriptionState.ACTIVE)


@attrs.frozen(kw_only=True)
class VendorThatAsksAgain(Razorpay):
    """A faulty vendor that asks for consent again after the buyer has consented."""

    async def get_subscription(self, wire: Wire, ref: Ref, /) -> Subscription:
        """Look up the subscription, and request its buyer's consent again."""
        current = await Razorpay.get_subscription(wire, ref)
        action = NextAction(type=NextActionType.REDIRECT, url="https://rzp.io/i/1")
        return attrs.evolve(current, next_action=action)


def slow_subject() -> PaymentsSubject:
    """Return a test subject with the slow vendor and a new sandbox."""
    subject = stripe()
    return attrs.evolve(subject, vendor=SlowVendor(credentials=subject.secret))


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_slow_vendor_conforms(check: payments_conformance.Check) -> None:
    """A vendor with few capabilities that confirms by webhook passes all checks."""
    check(slow_subject)


@pytest.mark.parametrize(
    "kind, name",
    [
        (EveryPaymentCapturedVendor, "a_buyer_may_be_asked_to_confirm"),
        (RefusedIsCapturedVendor, "a_decline_says_why"),
        (DropsOrderDetailsVendor, "order_addresses_and_lines_are_sent"),
        (DropsOrderDetailsVendor, "order_addresses_and_lines_are_sent_with_a_link"),
        (AcceptsDisputesVendor, "evidence_arrives"),
        (AcceptsDisputesVendor, "a_dispute_is_accepted_once"),
        (AcceptsDisputesVendor, "a_payee_is_paid_once"),
        (WrongSubscriptionsVendor, "a_subscription_is_created_once"),
        (WrongSubscriptionsVendor, "a_subscription_starts_later"),
        (WrongSubscriptionsVendor, "a_subscription_is_changed"),
        (WrongSubscriptionsVendor, "a_subscription_ends"),
        (WrongSubscriptionsVendor, "charges_of_a_subscription_are_reported"),
        (EverySubscriptionActiveVendor, "an_unknown_subscription_state_is_unknown"),
    ],
)
def test_check_fails_for_a_faulty_vendor(kind: type[Stripe], name: str) -> None:
    """A payment vendor with one fault fails the check for that fault."""
    subject = stripe()
    broken_subject = attrs.evolve(subject, vendor=kind(credentials=subject.secret))
    result = {name_of(check): check for check in payments_conformance.ASYNC_CHECKS}

    with pytest.raises(AssertionError):
        asyncio.run(result[name](lambda: broken_subject))


@pytest.mark.parametrize(
    "kind, name",
    [
        (VendorWithoutConsentPage, "a_buyer_consents_to_a_subscription"),
        (VendorWithoutConsentPage, "a_subscription_is_created_once"),
        (VendorActiveBeforeConsent, "a_buyer_consents_to_a_subscription"),
        (VendorThatAsksAgain, "a_buyer_consents_to_a_subscription"),
        (VendorThatAsksAgain, "a_subscription_is_created_once"),
    ],
)
def test_check_fails_for_a_vendor_that_handles_consent_wrongly(
    kind: type[Razorpay], name: str
) -> None:
    """A vendor that handles a buyer's consent wrongly fails the checks for consent."""
    subject = razorpay()
    broken_vendor = kind(key_id="rzp_test_sandbox", credentials=subject.secret)
    result = {name_of(check): check for check in CHECKS}

    with pytest.raises(AssertionError):
        result[name](lambda: attrs.evolve(subject, vendor=broken_vendor))
