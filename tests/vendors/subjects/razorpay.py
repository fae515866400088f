"""Prepares Razorpay and its sandbox for the conformance kit of payment vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.payments import Customer, DeclineReason
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.payments_conformance import PaymentsSubject
from moorage.testing.sandboxes.payments._razorpay_rules import error, invalid_request
from moorage.testing.sandboxes.payments.razorpay import RazorpaySandbox
from moorage.vendors.payments.razorpay import Razorpay

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import SandboxRequest


def _key_of(request: SandboxRequest) -> str | None:
    """Return a request's identifier: the key of a refund, or the unique name of a link."""
    if request.path.endswith("/payment_links"):
        return str(request.json()["reference_id"])
    return request.headers.get("x-refund-idempotency")


def razorpay() -> PaymentsSubject:
    """Return a Razorpay test subject with a new sandbox."""
    sandbox = RazorpaySandbox()
    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (error(429, "Too many requests"), RateLimitExceeded),
        (error(401, "The api key provided is invalid"), AuthenticationFailed),
        (error(403, "Access denied"), AuthenticationFailed),
        (invalid_request("The amount is invalid.", "amount").response, InvalidRequest),
        (error(404, "Not found"), VendorRejected),
    )
    return PaymentsSubject(
        vendor=Razorpay(key_id=sandbox.key_id, credentials=sandbox.key_secret),
        sandbox=sandbox,
        charged=lambda: sum(payment["status"] != "failed" for payment in sandbox.payments.values()),
        pays="token_sandbox",
        declined="token_insufficient_funds",
        decline_reason=DeclineReason.INSUFFICIENT_FUNDS,
        expired="token_card_expired",
        refusals=refusals,
        written=lambda request: int(request.json()["amount"]),
        pending="created",
        pending_refund="pending",
        option=({"description": "An option"}, b'"description":"An option"'),
        secret=sandbox.key_secret,
        webhook_secret=sandbox.webhook_secret,
        key_of=_key_of,
        keyless=(
            "/v1/orders",
            "/create/recurring",
            "/capture",
            "/v1/plans",
            "/v1/subscriptions",
            "/cancel",
        ),
        consent=sandbox.consent,
        renew=lambda id, success: sandbox.renew(id, success=success),
        buyer=Customer(id="cust_ada", email="ada@erp.example", phone="+919000090000"),
    )
