"""The conformance kit of payment vendors notices wrong ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

import attrs
import pytest

from moorage.contracts.payments import (
    Capture,
    Charge,
    MoveState,
    Payment,
    PaymentState,
    Refund,
)
from moorage.errors import VendorRejected
from moorage.testing import name_of, payments_conformance
from moorage.testing.kits.payments_conformance import CHECKS
from moorage.vendors.payments.stripe import Stripe
from tests.vendors.payments_subjects import stripe

if TYPE_CHECKING:
    from moorage.contracts.payments import Money, RefundReason
    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire
    from moorage.testing.kits.payments_conformance import PaymentsSubject


@attrs.frozen(kw_only=True)
class SlowVendor(Stripe):
    """A vendor that accepts everything, reports by webhook only, and lists nothing."""

    capabilities: ClassVar[frozenset[str]] = frozenset()

    async def capture(
        self, wire: Wire, ref: Ref, amount: Money | None, /, *, final: bool, key: str
    ) -> Capture:
        """Accept the request with any result."""
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
        """Accept the request with any result."""
        try:
            finished_refund = await Stripe.refund(self, wire, ref, amount, reason=reason, key=key)
        except VendorRejected:
            return Refund(ref=ref, payment=ref, state=MoveState.PENDING, amount=amount)
        return attrs.evolve(finished_refund, state=MoveState.PENDING)


@attrs.frozen(kw_only=True)
class Careless(Stripe):
    """A vendor that reports everything as captured, and no next action."""

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge, and hope."""
        finished_payment = await Stripe.charge(self, wire, charge, key=key)
        return attrs.evolve(finished_payment, next_action=None)


@attrs.frozen(kw_only=True)
class Hopeful(Stripe):
    """A vendor that takes a failure for a success."""

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge, and say that it went well."""
        try:
            return await Stripe.charge(self, wire, charge, key=key)
        except VendorRejected:
            return Payment(ref=wire.ref("pi_0"), state=PaymentState.CAPTURED)


def slow_subject() -> PaymentsSubject:
    """A slow vendor with a new sandbox."""
    subject = stripe()
    return attrs.evolve(subject, vendor=SlowVendor(credentials=subject.secret))


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_slow_vendor_conforms(check: payments_conformance.Check) -> None:
    """A vendor that confirms by webhook, with few capabilities, passes every check."""
    check(slow_subject)


@pytest.mark.parametrize(
    "kind, name",
    [(Careless, "a_buyer_may_be_asked"), (Hopeful, "a_decline_says_why")],
)
def test_notices_broken_vendors(kind: type[Stripe], name: str) -> None:
    """A vendor with one fault fails the check for it."""
    subject = stripe()
    broken_subject = attrs.evolve(subject, vendor=kind(credentials=subject.secret))
    result = {name_of(check): check for check in payments_conformance.ASYNC_CHECKS}

    with pytest.raises(AssertionError):
        asyncio.run(result[name](lambda: broken_subject))
