"""The conformance kit of payment vendors finds confused payments and incomplete readings."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.payments import DeclineReason, Page, PaymentQuery, PaymentState
from moorage.errors import PaymentDeclined
from moorage.testing import payments_conformance as kit
from moorage.vendors.payments.stripe import Stripe
from tests.vendors.payments_subjects import stripe

if TYPE_CHECKING:
    from moorage.contracts.payments import Charge, Dispute, Payment, Refund
    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire

_REMEMBERED_REFS: dict[str, Ref] = {}
"""The references that operations of faulty vendors remember during a check."""


@attrs.frozen(kw_only=True)
class SwappedReasonVendor(Stripe):
    """A faulty vendor that reports each decline except an expired card as a fraud."""

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge, and report another reason of a decline."""
        try:
            return await Stripe.charge(self, wire, charge, key=key)
        except PaymentDeclined as error:
            if error.reason != DeclineReason.EXPIRED_CARD:
                error.reason = DeclineReason.FRAUD_SUSPECTED
            raise


@attrs.frozen(kw_only=True)
class RefundsLastPaymentVendor(Stripe):
    """A faulty vendor that refunds the payment that was authorised last."""

    async def authorize(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Authorise, and remember the payment."""
        payment = await Stripe.authorize(self, wire, charge, key=key)
        _REMEMBERED_REFS["authorize"] = payment.ref
        return payment

    async def refund(self, wire: Wire, ref: Ref, *options: Any, **keywords: Any) -> Refund:
        """Refund the last payment."""
        ref = _REMEMBERED_REFS["authorize"]
        return await Stripe.refund(self, wire, ref, *options, **keywords)


@attrs.frozen(kw_only=True)
class LooksUpFirstRefundVendor(Stripe):
    """A faulty vendor that always looks up the same refund."""

    async def get_refund(self, wire: Wire, ref: Ref, /) -> Refund:
        """Look up the first refund."""
        return await Stripe.get_refund(self, wire, _REMEMBERED_REFS.setdefault("get_refund", ref))


@attrs.frozen(kw_only=True)
class ForgetsReferenceVendor(Stripe):
    """A faulty vendor that sends a reference of its own."""

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge under another reference."""
        charge = attrs.evolve(charge, reference="payment")
        return await Stripe.charge(self, wire, charge, key=key)


@attrs.frozen(kw_only=True)
class DropsDescriptorVendor(Stripe):
    """A faulty vendor that drops the text on the buyer's bank statement."""

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge without the text."""
        charge = attrs.evolve(charge, statement_descriptor=None)
        return await Stripe.charge(self, wire, charge, key=key)


@attrs.frozen(kw_only=True)
class ListsAllAsCapturedVendor(Stripe):
    """A faulty vendor that lists each payment as captured."""

    async def payments(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Payment]:
        """List payments with a wrong state."""
        page = await Stripe.payments(self, wire, query, after)
        items = [attrs.evolve(payment, state=PaymentState.CAPTURED) for payment in page.items]
        return Page(tuple(items), page.next)


@attrs.frozen(kw_only=True)
class IgnoresPeriodVendor(Stripe):
    """A faulty vendor that ignores the period of a query."""

    async def payments(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Payment]:
        """List payments of any period."""
        return await Stripe.payments(self, wire, PaymentQuery(limit=query.limit), after)


@attrs.frozen(kw_only=True)
class LosesFirstDisputeVendor(Stripe):
    """A faulty vendor that loses the first of several disputes."""

    async def disputes(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Dispute]:
        """List disputes without the first one."""
        page = await Stripe.disputes(self, wire, query, after)
        return Page(page.items[1:] or page.items, page.next)


@pytest.mark.parametrize(
    "kind, check, message",
    [
        (SwappedReasonVendor, "a_decline_says_why", "fraud_suspected, not insufficient_funds"),
        (
            RefundsLastPaymentVendor,
            "a_step_changes_only_its_payment",
            "The refund of one payment changed another payment to partially_refunded",
        ),
        (LooksUpFirstRefundVendor, "each_refund_is_looked_up", "returned another refund"),
        (ForgetsReferenceVendor, "a_payment_keeps_its_reference", "is in no request"),
        (
            DropsDescriptorVendor,
            "stated_features_are_sent",
            "The vendor states statement_descriptor, but sends the same request",
        ),
        (
            ListsAllAsCapturedVendor,
            "a_listed_payment_is_complete",
            "The state of a payment is captured in the list, but authorized in a look-up",
        ),
        (IgnoresPeriodVendor, "a_query_limits_the_list", "before 1990"),
        (LosesFirstDisputeVendor, "every_dispute_is_listed", "each dispute exactly once"),
    ],
)
def test_check_fails_for_a_faulty_vendor(kind: type[Stripe], check: str, message: str) -> None:
    """A payment vendor with one of these faults fails the check, in sync and in async mode."""

    def subject() -> kit.PaymentsSubject:
        _REMEMBERED_REFS.clear()
        subject = stripe()
        return attrs.evolve(subject, vendor=kind(credentials=subject.secret))

    sync_check = next(item for item in kit.CHECKS if item.__name__ == check)
    async_check = next(item for item in kit.ASYNC_CHECKS if item.__name__ == check)

    with pytest.raises(AssertionError, match=message):
        sync_check(subject)
    with pytest.raises(AssertionError, match=message):
        asyncio.run(async_check(subject))
