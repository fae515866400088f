"""Prepares Checkout.com and its sandbox for the conformance kit of payment vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.payments import DeclineReason
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.payments_conformance import PaymentsSubject
from moorage.testing.sandboxes.payments._checkout_com_rules import error
from moorage.testing.sandboxes.payments.checkout_com import CheckoutComSandbox, token
from moorage.vendors.payments.checkout_com import CheckoutCom

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def checkout_com() -> PaymentsSubject:
    """Return a Checkout.com test subject with a new sandbox."""
    sandbox = CheckoutComSandbox()
    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (error(429, "rate_limit_exceeded"), RateLimitExceeded),
        (error(401), AuthenticationFailed),
        (error(403), AuthenticationFailed),
        (error(422, "amount_invalid"), InvalidRequest),
        (error(404), VendorRejected),
    )
    return PaymentsSubject(
        vendor=CheckoutCom(
            credentials=sandbox.secret_key, base_url="https://api.sandbox.checkout.com"
        ),
        sandbox=sandbox,
        charged=lambda: sum(payment.authorized > 0 for payment in sandbox.payments.values()),
        pays=token(),
        declined=token("20051"),
        decline_reason=DeclineReason.INSUFFICIENT_FUNDS,
        expired=token("20054"),
        asks="ideal",
        refusals=refusals,
        written=lambda request: int(request.json()["amount"]),
        pending="Pending",
        pending_refund="Pending",
        option=({"payment_type": "MOTO"}, b'"payment_type":"MOTO"'),
        secret=sandbox.secret_key,
        webhook_secret=sandbox.webhook_secret,
        happen=sandbox.settle,
        dispute=lambda id: str(sandbox.dispute(id)["id"]),
        longest_key=64,
        largest=999_999_999,
    )
