"""The conformance kit of payment vendors finds faults that cost money."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import pytest

from moorage.contracts.payments import (
    Money,
    MoveState,
    Page,
    PaymentState,
    PayoutItemKind,
    StoredMeans,
    StoredState,
)
from moorage.domain.http.requests import Request
from moorage.errors import InvalidData, VendorFailed
from moorage.testing import payments_conformance as kit
from moorage.vendors.payments._stripe_answers import read_payment
from moorage.vendors.payments._stripe_intents import confirmed_body
from moorage.vendors.payments._stripe_requests import form_pairs
from moorage.vendors.payments.stripe import Stripe
from tests.vendors.payments_subjects import stripe

if TYPE_CHECKING:
    from moorage.contracts.payments import (
        Charge,
        LinkRequest,
        Payment,
        PaymentEvent,
        PaymentLink,
        Payout,
        PayoutItem,
        Refund,
    )
    from moorage.contracts.vendor import MakeRef
    from moorage.contracts.wire import Wire
    from moorage.domain.http.requests import Response
    from moorage.domain.webhooks.events import WebhookEvent


Value = TypeVar("Value")


def as_captured(payment: Payment, *states: PaymentState) -> Payment:
    """Return the payment, changed to captured if its state is in the given list."""
    state = PaymentState.CAPTURED if payment.state in states else payment.state
    return attrs.evolve(payment, state=state)


def shifted(value: Value, name: str) -> Value:
    """Return a result of a vendor with one of its times shifted by five hours."""
    changes: dict[str, Any] = {name: getattr(value, name) + timedelta(hours=5)}
    return attrs.evolve(value, **changes)  # type: ignore[misc]  # a class of attrs


@attrs.frozen(kw_only=True)
class UnknownIsSuccessVendor(Stripe):
    """A faulty vendor that reports an unknown status as a success."""

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge, and report an unknown status as captured."""
        return as_captured(await Stripe.charge(self, wire, charge, key=key), PaymentState.UNKNOWN)


@attrs.frozen(kw_only=True)
class UnknownLookupIsSuccessVendor(Stripe):
    """A faulty vendor that, when a payment is looked up, reports an unknown status as a success."""

    async def get(self, wire: Wire, ref: Any, /) -> Payment:
        """Look up the payment, and report an unknown status as captured."""
        return as_captured(await Stripe.get(self, wire, ref), PaymentState.UNKNOWN)


@attrs.frozen(kw_only=True)
class PendingIsCapturedVendor(Stripe):
    """A faulty vendor that reports pending payments as captured."""

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge, and report a pending payment as captured."""
        return as_captured(await Stripe.charge(self, wire, charge, key=key), PaymentState.PENDING)


@attrs.frozen(kw_only=True)
class PendingRefundIsPaidOutVendor(Stripe):
    """A faulty vendor that reports pending refunds as paid out."""

    async def refund(self, *options: Any, **keywords: Any) -> Refund:
        """Refund, and report the refund as paid out."""
        refund = await Stripe.refund(self, *options, **keywords)
        return attrs.evolve(refund, state=MoveState.SUCCEEDED)


@attrs.frozen(kw_only=True)
class TwoDecimalDinarsVendor(Stripe):
    """A faulty vendor that sends dinars with two decimals instead of three."""

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge a wrong amount if the currency is KWD."""
        if charge.amount.currency == "KWD":
            charge = attrs.evolve(charge, amount=Money("0.120", "KWD"))
        return await Stripe.charge(self, wire, charge, key=key)


@attrs.frozen(kw_only=True)
class StoresUnreadableSuccessVendor(Stripe):
    """A faulty vendor whose idempotency key stores a success response that it cannot read."""

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge, and let the response be stored before it is read."""
        body = confirmed_body(charge, capture_method="automatic")
        request = Request.post("/v1/payment_intents", form=list(form_pairs(body)))
        response = await wire.send(request, key=key, parse=_as_it_is)
        return read_payment(wire, response)


@attrs.frozen(kw_only=True)
class EveryWebhookIsCaptureVendor(Stripe):
    """A faulty vendor that reads every payment webhook as a capture."""

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[PaymentEvent, ...]:
        """Return the webhook's events, with all payments changed to captured."""
        payment_events = Stripe.events(self, event, ref)
        return tuple(attrs.evolve(item, state=PaymentState.CAPTURED) for item in payment_events)


@attrs.frozen(kw_only=True)
class EveryRefundIsPaidOutVendor(Stripe):
    """A faulty vendor that reads every refund webhook as paid out."""

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[PaymentEvent, ...]:
        """Return the webhook's events, with all refunds changed to succeeded."""
        payment_events = Stripe.events(self, event, ref)
        return tuple(
            attrs.evolve(
                item, refund=item.refund and attrs.evolve(item.refund, state=MoveState.SUCCEEDED)
            )
            for item in payment_events
        )


@attrs.frozen(kw_only=True)
class TwoDecimalWebhooksVendor(Stripe):
    """A faulty vendor that reads every webhook amount with two decimals."""

    def events(self, event: WebhookEvent, ref: MakeRef) -> tuple[PaymentEvent, ...]:
        """Return the webhook's events, with each amount ten times as high."""
        payment_events = Stripe.events(self, event, ref)
        return tuple(
            attrs.evolve(item, amount=item.amount and item.amount * 10) for item in payment_events
        )


def _as_it_is(response: Response) -> Response:
    return response


@attrs.frozen(kw_only=True)
class EveryMethodIsStoredVendor(Stripe):
    """A faulty vendor that reports every payment method as stored."""

    async def store_means(self, *options: Any, **keywords: Any) -> StoredMeans:
        """Store the payment method, and always report success."""
        means = await Stripe.store_means(self, *options, **keywords)
        return attrs.evolve(means, state=StoredState.STORED)


@attrs.frozen(kw_only=True)
class FakeRemovalVendor(Stripe):
    """A faulty vendor that reports payment methods as removed without removing them."""

    async def remove_means(self, wire: Wire, ref: Any, /, *, key: str) -> StoredMeans:
        """Do not remove the payment method."""
        return StoredMeans(ref=ref, state=StoredState.REMOVED, vendor_state=key)


@attrs.frozen(kw_only=True)
class NewKeyPerLinkVendor(Stripe):
    """A faulty vendor that sends a new key with each request for a link."""

    async def create_link(self, wire: Wire, link: LinkRequest, /, *, key: str) -> PaymentLink:
        """Create a link under a new key."""
        return await Stripe.create_link(wire, link, key=f"{key}-{wire.new_id()}")


@attrs.frozen(kw_only=True)
class UnderchargingVendor(Stripe):
    """A faulty vendor that creates links with a wrong amount."""

    async def create_link(self, wire: Wire, link: LinkRequest, /, *, key: str) -> PaymentLink:
        """Create a link for a tenth of the amount in yen."""
        if link.amount.currency == "JPY":
            link = attrs.evolve(link, amount=Money("50", "JPY"))
        return await Stripe.create_link(wire, link, key=key)


@attrs.frozen(kw_only=True)
class GrossPayoutsVendor(Stripe):
    """A faulty vendor that reports payout amounts before fees."""

    async def payout_items(self, wire: Wire, ref: Any, /, *, after: Any) -> Page[PayoutItem]:
        """List the transactions without subtracting fees."""
        page = await Stripe.payout_items(self, wire, ref, after=after)
        return Page(tuple(attrs.evolve(item, net=item.gross) for item in page.items), page.next)


@attrs.frozen(kw_only=True)
class NetIsGrossVendor(Stripe):
    """A faulty vendor that reports the amounts of transactions without their fees."""

    async def payout_items(self, wire: Wire, ref: Any, /, *, after: Any) -> Page[PayoutItem]:
        """List the transactions with their net amounts as gross amounts."""
        page = await Stripe.payout_items(self, wire, ref, after=after)
        return Page(tuple(attrs.evolve(item, gross=item.net) for item in page.items), page.next)


@attrs.frozen(kw_only=True)
class EveryTransactionIsPaymentVendor(Stripe):
    """A faulty vendor that reports every transaction of a payout as a payment."""

    async def payout_items(self, wire: Wire, ref: Any, /, *, after: Any) -> Page[PayoutItem]:
        """List the transactions, each as a payment."""
        page = await Stripe.payout_items(self, wire, ref, after=after)
        kind = PayoutItemKind.PAYMENT
        return Page(tuple(attrs.evolve(item, kind=kind) for item in page.items), page.next)


@attrs.frozen(kw_only=True)
class LocalTransactionTimesVendor(Stripe):
    """A faulty vendor that reads the times of transactions as local times of another zone."""

    async def payout_items(self, wire: Wire, ref: Any, /, *, after: Any) -> Page[PayoutItem]:
        """List the transactions with shifted times."""
        page = await Stripe.payout_items(self, wire, ref, after=after)
        return Page(tuple(shifted(item, "at") for item in page.items), page.next)


@attrs.frozen(kw_only=True)
class RepeatedPayoutsVendor(Stripe):
    """A faulty vendor that lists a payout twice."""

    async def payouts(self, *options: Any, **keywords: Any) -> Page[Payout]:
        """List the payouts, and the first one again."""
        page = await Stripe.payouts(self, *options, **keywords)
        return Page((*page.items, *page.items[:1]), page.next)


@attrs.frozen(kw_only=True)
class LocalArrivalsVendor(Stripe):
    """A faulty vendor that shifts the expected time of a payout's arrival."""

    async def payouts(self, *options: Any, **keywords: Any) -> Page[Payout]:
        """List the payouts with shifted times of arrival."""
        page = await Stripe.payouts(self, *options, **keywords)
        return Page(tuple(shifted(item, "arrives") for item in page.items), page.next)


@attrs.frozen(kw_only=True)
class LocalTimesVendor(Stripe):
    """A faulty vendor that reads the time of a charge as a local time of another zone."""

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge, and shift the time of the payment."""
        return shifted(await Stripe.charge(self, wire, charge, key=key), "created_at")


@attrs.frozen(kw_only=True)
class ZonelessTimesVendor(Stripe):
    """A faulty vendor whose times of payments have no zone."""

    async def get(self, wire: Wire, ref: Any, /) -> Payment:
        """Look up the payment, and drop the zone of its time."""
        payment = await Stripe.get(self, wire, ref)
        time = payment.created_at
        return attrs.evolve(payment, created_at=time and time.replace(tzinfo=None))


@attrs.frozen(kw_only=True)
class LocalRefundTimesVendor(Stripe):
    """A faulty vendor that reads the time of a refund as a local time of another zone."""

    async def refund(self, *options: Any, **keywords: Any) -> Refund:
        """Refund, and shift the time of the refund."""
        return shifted(await Stripe.refund(self, *options, **keywords), "at")


@pytest.mark.parametrize(
    "kind, check",
    [
        (NetIsGrossVendor, "transactions_explain_a_payout"),
        (EveryTransactionIsPaymentVendor, "transactions_explain_a_payout"),
        (LocalTransactionTimesVendor, "transactions_explain_a_payout"),
        (RepeatedPayoutsVendor, "transactions_explain_a_payout"),
        (LocalArrivalsVendor, "times_are_those_of_the_vendor"),
        (LocalTimesVendor, "times_are_those_of_the_vendor"),
        (ZonelessTimesVendor, "times_are_those_of_the_vendor"),
        (LocalRefundTimesVendor, "times_are_those_of_the_vendor"),
        (EveryMethodIsStoredVendor, "an_unknown_state_of_a_stored_method_is_unknown"),
        (FakeRemovalVendor, "means_are_stored_and_removed"),
        (NewKeyPerLinkVendor, "links_are_created_once"),
        (UnderchargingVendor, "links_are_created_once"),
        (GrossPayoutsVendor, "transactions_explain_a_payout"),
        (UnknownIsSuccessVendor, "an_unknown_state_is_no_success"),
        (UnknownLookupIsSuccessVendor, "an_unknown_state_is_no_success"),
        (PendingIsCapturedVendor, "a_pending_payment_is_no_success"),
        (PendingRefundIsPaidOutVendor, "a_pending_payment_is_no_success"),
        (TwoDecimalDinarsVendor, "amounts_are_exact"),
        (EveryWebhookIsCaptureVendor, "an_unknown_webhook_state_is_no_success"),
        (EveryRefundIsPaidOutVendor, "an_unknown_webhook_state_is_no_success"),
        (TwoDecimalWebhooksVendor, "amounts_in_webhooks_are_exact"),
        (StoresUnreadableSuccessVendor, "an_unreadable_success_charges_nothing_twice"),
    ],
)
def test_check_fails_for_a_faulty_vendor(kind: type[Stripe], check: str) -> None:
    """A payment vendor with one of these faults fails the check, in sync and in async mode."""

    def subject() -> kit.PaymentsSubject:
        subject = stripe()
        return attrs.evolve(subject, vendor=kind(credentials=subject.secret))

    sync_check = next(item for item in kit.CHECKS if item.__name__ == check)
    async_check = next(item for item in kit.ASYNC_CHECKS if item.__name__ == check)

    with pytest.raises((AssertionError, VendorFailed)):
        sync_check(subject)
    with pytest.raises((AssertionError, VendorFailed)):
        asyncio.run(async_check(subject))


@attrs.frozen(kw_only=True)
class VendorWithoutThreeDecimals(Stripe):
    """A correct vendor that refuses currencies with three decimals."""

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge, unless the currency is KWD."""
        if charge.amount.currency == "KWD":
            raise InvalidData("KWD is not supported.", field="amount", remedy="Use EUR.")
        return await Stripe.charge(self, wire, charge, key=key)


def test_a_currency_may_be_refused() -> None:
    """A vendor that refuses a currency with a message passes the check."""

    def subject() -> kit.PaymentsSubject:
        subject = stripe()
        return attrs.evolve(subject, vendor=VendorWithoutThreeDecimals(credentials=subject.secret))

    name = "amounts_in_webhooks_are_exact"
    next(check for check in kit.CHECKS if check.__name__ == name)(subject)
    asyncio.run(next(check for check in kit.ASYNC_CHECKS if check.__name__ == name)(subject))


def test_amount_beyond_the_vendors_limit_must_be_refused() -> None:
    """A vendor fails the check if it sends an amount above the limit that it states."""

    def subject() -> kit.PaymentsSubject:
        return attrs.evolve(stripe(), largest=999_999_999)

    name = "amounts_are_exact"
    with pytest.raises(AssertionError, match="More than 999999999"):
        next(check for check in kit.CHECKS if check.__name__ == name)(subject)
    with pytest.raises(AssertionError, match="More than 999999999"):
        asyncio.run(next(check for check in kit.ASYNC_CHECKS if check.__name__ == name)(subject))
